//! Closing and terminating a pool, and waiting for its threads (rayon#1242, rayon#903, cpython#73945: threads that nobody
//! can wait for; cpython#83371, #87472: shutdowns that hang).

mod common;

use common::{CORES, Gate, LONG, at_cores, good_child, part, spin_for, spin_until, watched, within};
use purloin::{JoinError, JoinThreadsError, Pool};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A pool whose threads count their ends.
fn counted(cores: usize) -> (Pool, Arc<AtomicUsize>) {
    let exits = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&exits);
    let hook = move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    (Pool::builder().cores(cores).on_thread_exit(hook).build().expect("a pool"), exits)
}

/// Keeps every core of the pool busy until the gate is opened.
fn occupy(pool: &Pool) -> (Arc<Gate>, Vec<purloin::JoinHandle<()>>) {
    let (gate, begun) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
    let tasks = (0..pool.cores()).map(|_| {
        let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
        pool.spawn(move || {
            begun.fetch_add(1, Ordering::Relaxed);
            gate.pass();
        })
    });
    let tasks = tasks.collect();
    spin_until(|| begun.load(Ordering::Relaxed) == pool.cores());
    (gate, tasks)
}

#[test]
fn threads_end_after_close() {
    for cores in CORES {
        let (pool, exits) = counted(cores);
        within(LONG, || {
            pool.map(0..1_000, |n| n);
            pool.close();
            assert_eq!(pool.join_threads(None), Ok(()));
            assert_eq!(exits.load(Ordering::Relaxed), pool.stats().peak_threads, "all that started have ended");
            assert_eq!(pool.stats().threads, 0);
            assert_eq!(pool.join_threads(None), Ok(()), "one may wait again");
        });
    }
}

#[test]
fn threads_end_after_drop() {
    for cores in CORES {
        let (pool, exits) = counted(cores);
        within(LONG, move || {
            let other = pool.clone();
            drop(pool);
            assert_eq!(exits.load(Ordering::Relaxed), 0, "a clone keeps the pool");
            drop(other);
            assert!(exits.load(Ordering::Relaxed) >= cores, "gone when the drop returns");
        });
    }
}

/// What the operating system says, in a process with no threads but the test's own.
#[cfg(target_os = "linux")]
#[test]
fn threads_are_gone_for_the_system_too() {
    if part().is_none() {
        good_child("threads_are_gone_for_the_system_too", "count", &[]);
        return;
    }
    /// The last that a thread does, and not at once.
    struct Farewell(Arc<AtomicUsize>);
    impl Drop for Farewell {
        fn drop(&mut self) {
            spin_for(Duration::from_millis(1));
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    std::thread_local! {
        static FAREWELL: RefCell<Option<Farewell>> = const { RefCell::new(None) };
    }
    within(LONG, || {
        let before = common::threads();
        for cores in CORES {
            let gone = Arc::new(AtomicUsize::new(0));
            let build = || {
                let gone = Arc::clone(&gone);
                let hook = move |_| FAREWELL.set(Some(Farewell(Arc::clone(&gone))));
                Pool::builder().cores(cores).on_thread_start(hook).build().expect("a pool")
            };
            let pool = build();
            assert_eq!(common::threads(), before + cores);
            pool.close();
            pool.join_threads(None).expect("closed");
            assert_eq!(gone.load(Ordering::Relaxed), cores, "after join_threads");
            common::await_threads(before);
            drop(pool);
            drop(build());
            assert_eq!(gone.load(Ordering::Relaxed), 2 * cores, "after drop");
            common::await_threads(before);
        }
    });
}

#[test]
fn waiting_is_refused_where_it_could_not_end() {
    at_cores(|pool| {
        assert_eq!(pool.join_threads(None), Err(JoinThreadsError::StillOpen));
        assert_eq!(pool.install(|| pool.join_threads(None)), Err(JoinThreadsError::StillOpen));
        let handle = pool.clone();
        let inside = pool.spawn(move || {
            handle.close();
            handle.join_threads(None)
        });
        assert_eq!(inside.join().expect("no panic"), Err(JoinThreadsError::FromInside));
        assert_eq!(
            pool.install(|| pool.join_threads(None)),
            Err(JoinThreadsError::FromInside),
            "a guest is inside too"
        );
        let elsewhere = Pool::new(1).expect("a pool");
        let nested = pool.install(|| elsewhere.install(|| pool.join_threads(None)));
        assert_eq!(nested, Err(JoinThreadsError::FromInside), "and so through another pool");
        assert_eq!(pool.join_threads(None), Ok(()));
    });
}

#[test]
fn a_deadline_passes() {
    at_cores(|pool| {
        let (gate, tasks) = occupy(pool);
        pool.close();
        let cores = pool.cores();
        for wait in [0, 20] {
            let deadline = Instant::now() + Duration::from_millis(wait);
            match pool.join_threads(Some(deadline)) {
                Err(JoinThreadsError::Deadline { alive }) => assert!(alive >= cores),
                other => panic!("{other:?} while {cores} tasks run"),
            }
            assert!(Instant::now() >= deadline, "not before");
        }
        gate.open();
        assert_eq!(pool.join_threads(Some(Instant::now() + Duration::from_secs(LONG))), Ok(()));
        tasks.into_iter().for_each(|task| task.join().expect("it ran to its end"));
    });
}

/// Several threads wait at once, one of them a worker of another pool.
#[test]
fn many_wait_for_the_end() {
    at_cores(|pool| {
        let (gate, _) = occupy(pool);
        pool.close();
        let elsewhere = Pool::new(1).expect("a pool");
        let begun = AtomicUsize::new(0);
        thread::scope(|scope| {
            for index in 0..4 {
                let (elsewhere, begun) = (&elsewhere, &begun);
                scope.spawn(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    let waited = if index == 0 {
                        elsewhere.install(|| pool.join_threads(None))
                    } else {
                        pool.join_threads(None)
                    };
                    assert_eq!((waited, pool.stats().threads), (Ok(()), 0));
                });
            }
            spin_until(|| begun.load(Ordering::Relaxed) == 4);
            // The other pool's only core is not held by the thread of its that waits.
            assert_eq!(elsewhere.spawn(|| 7).join().expect("no panic"), 7);
            gate.open();
        });
    });
}

#[test]
fn closing_finishes_what_is_queued() {
    at_cores(|pool| {
        let (gate, _) = occupy(pool);
        let queued: Vec<_> = (0..200).map(|n| pool.spawn(move || n)).collect();
        pool.close();
        pool.close();
        assert!(matches!(pool.spawn(|| 0).join(), Err(JoinError::Cancelled)), "too late");
        gate.open();
        for (n, task) in queued.into_iter().enumerate() {
            assert_eq!(task.join().expect("queued before the close"), n);
        }
    });
}

/// Counts its drops.
struct Token(Arc<AtomicUsize>);

impl Drop for Token {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn terminating_drops_what_is_queued() {
    at_cores(|pool| {
        let (drops, runs) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (gate, running) = occupy(pool);
        let queue = || {
            let (token, runs) = (Token(Arc::clone(&drops)), Arc::clone(&runs));
            pool.spawn(move || {
                runs.fetch_add(1, Ordering::Relaxed);
                drop(token);
            })
        };
        let queued: Vec<_> = (0..200).map(|_| queue()).collect();
        (0..200).for_each(|_| drop(queue()));
        pool.terminate();
        assert_eq!(drops.load(Ordering::Relaxed), 400, "each closure dropped, once");
        assert!(queued.iter().all(|task| task.is_finished()));
        for task in queued {
            assert!(matches!(task.join(), Err(JoinError::Cancelled)), "a handle says so");
        }
        assert!(matches!(queue().join(), Err(JoinError::Cancelled)), "too late");
        pool.terminate();
        gate.open();
        running.into_iter().for_each(|task| task.join().expect("what has begun goes on"));
        assert_eq!(pool.join_threads(None), Ok(()));
        assert_eq!((drops.load(Ordering::Relaxed), runs.load(Ordering::Relaxed)), (401, 0));
    });
}

#[test]
fn ending_the_pool_from_its_own_task() {
    for terminate in [false, true] {
        at_cores(|pool| {
            let handle = pool.clone();
            let task = pool.spawn(move || {
                if terminate {
                    handle.terminate()
                } else {
                    handle.close()
                }
                let late = handle.spawn(|| ()).join();
                // Regions go on.
                let sum: i32 = handle.map(0..100, |n| n).into_iter().sum();
                (late.is_err(), sum)
            });
            assert_eq!(task.join().expect("it had begun"), (true, 4950));
            assert_eq!(pool.join_threads(None), Ok(()));
        });
    }
}

/// A region that a caller has queued, since all cores are busy, is not a task: it is run, on the caller's own thread if
/// need be, even if the pool is terminated again and again.
#[test]
fn terminating_leaves_regions_alone() {
    for stack_size in [None, Some(1 << 20)] {
        for cores in CORES {
            let builder = Pool::builder().cores(cores);
            let pool = match stack_size {
                Some(bytes) => builder.stack_size(bytes),
                None => builder,
            };
            let pool = pool.build().expect("a pool");
            watched(LONG, Some(&pool), || {
                let (gate, _) = occupy(&pool);
                let done = Gate::new();
                thread::scope(|scope| {
                    let caller = scope.spawn(|| {
                        let sum: i32 = pool.map(0..100, |n| n).into_iter().sum();
                        done.open();
                        sum
                    });
                    for _ in 0..100 {
                        pool.terminate();
                    }
                    gate.open();
                    while !done.is_open() {
                        pool.terminate();
                    }
                    assert_eq!(caller.join().expect("no panic"), 4950);
                });
            });
            within(LONG, || drop(pool));
        }
    }
}

/// What a cancelled task drops may wait for a region that was queued before it.
#[test]
fn terminating_hides_no_region() {
    struct Waits([Arc<Gate>; 2]);
    impl Drop for Waits {
        fn drop(&mut self) {
            let [begun, done] = &self.0;
            begun.open();
            done.pass();
        }
    }
    for cores in CORES {
        for _ in 0..10 {
            let pool = Pool::builder().cores(cores).stack_size(1 << 20).build().expect("a pool");
            watched(LONG, Some(&pool), || {
                let (gate, _) = occupy(&pool);
                let [dropping, done]: [Arc<Gate>; 2] = Default::default();
                thread::scope(|scope| {
                    let caller = scope.spawn(|| pool.install(|| done.open()));
                    // So that the region is most likely in front, where it matters.
                    thread::sleep(Duration::from_millis(5));
                    let waits = Waits([Arc::clone(&dropping), Arc::clone(&done)]);
                    drop(pool.spawn(move || drop(waits)));
                    let end = scope.spawn(|| pool.terminate());
                    dropping.pass();
                    gate.open();
                    caller.join().expect("no panic");
                    end.join().expect("no panic");
                });
            });
            within(LONG, || drop(pool));
        }
    }
}

/// Nor is a queued task run by who joins it afterwards: from outside, or inside as the task that has terminated the pool.
#[test]
fn who_joins_a_terminated_task_does_not_run_it() {
    let pool = Pool::new(1).expect("a pool");
    watched(LONG, Some(&pool), || {
        let (gate, blockers) = occupy(&pool);
        let (begun, go) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let (tell, wait, inner) = (Arc::clone(&begun), Arc::clone(&go), pool.clone());
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = |ran: &Arc<AtomicUsize>| {
            let ran = Arc::clone(ran);
            move || ran.fetch_add(1, Ordering::Relaxed)
        };
        let (sender, receiver) = std::sync::mpsc::channel::<purloin::JoinHandle<usize>>();
        let outer = pool.spawn(move || {
            tell.open();
            wait.pass();
            inner.terminate();
            receiver.recv().expect("it is sent").join().is_err()
        });
        let tasks: Vec<_> = (0..32).map(|_| pool.spawn(counted(&ran))).collect();
        // With the outer task some of those move on to the core's own end.
        gate.open();
        blockers.into_iter().for_each(|task| task.join().expect("no panic"));
        begun.pass();
        let mut tasks = tasks.into_iter();
        sender.send(tasks.next().expect("one of them")).expect("it is awaited");
        pool.terminate();
        assert!(tasks.all(|task| matches!(task.join(), Err(purloin::JoinError::Cancelled))));
        go.open();
        assert!(outer.join().expect("no panic"));
        assert_eq!(ran.load(Ordering::Relaxed), 0);
    });
    within(LONG, || drop(pool));
}

/// A scope's tasks belong to the scope: they run even if the pool is terminated while the offer of them is queued, all
/// cores being busy, and the thread that waits for the scope has parked.
#[test]
fn terminating_leaves_scopes_alone() {
    let pool = Pool::new(2).expect("a pool");
    watched(LONG, Some(&pool), || {
        let (inside, blocked, go) = (Gate::new(), Gate::new(), Gate::new());
        let leave = Arc::new(Gate::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.scope(|s| {
                    s.spawn(|| {
                        inside.open();
                        blocked.pass();
                        // From a thread that is not the pool's, so that the offer goes to the injector.
                        thread::scope(|outside| {
                            outside.spawn(|| {
                                let late = s.spawn(|| 5);
                                pool.terminate();
                                go.open();
                                assert_eq!(late.join().expect("not cancelled"), 5);
                            });
                        });
                    });
                    // Otherwise this thread would run the task itself.
                    inside.pass();
                });
            });
            inside.pass();
            // This task is begun when the thread that waits for the scope has handed its core over: then both are taken.
            let (leave, begun) = (Arc::clone(&leave), Arc::new(Gate::new()));
            let blocker = pool.spawn({
                let (leave, begun) = (Arc::clone(&leave), Arc::clone(&begun));
                move || {
                    begun.open();
                    leave.pass();
                }
            });
            begun.pass();
            blocked.open();
            go.pass();
            leave.open();
            blocker.join().expect("it had begun");
        });
    });
}

/// What tasks have put into a queue may be taken out after the pool's end (Python: to join a process before its queue is
/// drained is a deadlock).
#[test]
fn joined_before_the_queue_is_drained() {
    for cores in CORES {
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let queue = Arc::new(purloin::sync::Queue::unbounded());
            for part in 0..100 {
                let queue = Arc::clone(&queue);
                drop(pool.spawn(move || (0..1000).for_each(|n| queue.push(1000 * part + n).expect("it is open"))));
            }
            pool.close();
            pool.join_threads(None).expect("all end");
            queue.close();
            let mut numbers: Vec<i32> = queue.iter().collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..100_000));
        });
    }
}
