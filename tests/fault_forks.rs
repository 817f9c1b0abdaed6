//! `fork()` in the middle of things, for the operations that `tests/fork.rs` leaves out: loops that can fail, under options or
//! as streams, handles that are waited for with a time-out, tasks of a scope. In the child each says why or ends; none hangs.
#![cfg(unix)]

mod common;

use common::forked::{End, at_cores_alone, end_child, fork_and_go_on, forked, forked_within};
use common::{Gate, assert_sound, spin_until};
use purloin::sync::{Mutex, waiting};
use purloin::{CancelToken, Options, Pool};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn every_other_call_says_why() {
    at_cores_alone("every_other_call_says_why", |pool| {
        let with = || pool.with(Options::new().token(&CancelToken::new()));
        let calls: [(&str, &dyn Fn()); 17] = [
            ("for_each", &|| pool.for_each(0..10, |_| ())),
            ("try_map", &|| drop(pool.try_map(0..10, Ok::<_, ()>))),
            ("try_for_each", &|| _ = pool.try_for_each(0..10, |_| Ok::<_, ()>(()))),
            ("map_reduce", &|| _ = pool.map_reduce(0..10, |n| n, 0, |a, b| a + b)),
            ("imap", &|| drop(pool.imap(0..10, |n| n).collect::<Vec<_>>())),
            ("imap_unordered", &|| drop(pool.imap_unordered(0..10, |n| n).collect::<Vec<_>>())),
            ("with map", &|| drop(with().map(0..10, |n| n))),
            ("with try_map", &|| drop(with().try_map(0..10, Ok::<_, ()>))),
            ("with for_each", &|| drop(with().for_each(0..10, |_| ()))),
            ("with map_reduce", &|| drop(with().map_reduce(0..10, |n| n, 0, |a, b| a + b))),
            ("with imap", &|| _ = with().imap(0..10, |n| n).map_while(Result::ok).count()),
            ("with imap_unordered", &|| _ = with().imap_unordered(0..10, |n| n).map_while(Result::ok).count()),
            ("with install", &|| drop(with().install(|| ()))),
            ("with spawn", &|| drop(with().spawn(|| ()))),
            ("stats", &|| _ = pool.stats()),
            ("terminate", &|| pool.terminate()),
            ("join_threads", &|| _ = pool.join_threads(Some(Instant::now()))),
        ];
        for (name, call) in calls {
            assert_eq!((name, forked(call)), (name, End::SaysWhy));
        }
        // Nothing that prints takes a lock.
        assert_eq!(forked(|| assert!(format!("{pool:#?}").contains("cores"))), End::Done);
    });
}

/// A stream that was in use goes on in the parent. In the child its `next` says why, and to drop it takes no lock.
#[test]
fn a_stream_in_the_middle() {
    at_cores_alone("a_stream_in_the_middle", |pool| {
        for ordered in [true, false] {
            for started in [0, 1, 5] {
                let items = || (0..100).map(|n| n + 1);
                let mut stream =
                    if ordered { pool.imap(items(), |n| n) } else { pool.imap_unordered(items(), |n| n) }.buffer(8);
                let mut sum: i32 = (0..started).filter_map(|_| stream.next()).sum();
                let end = forked(|| while stream.next().is_some() {});
                assert_eq!(end, End::SaysWhy, "ordered: {ordered}, started: {started}");
                // SAFETY: the original is not used again in that process.
                let end = forked(|| drop(unsafe { std::ptr::read(&raw const stream) }));
                assert_eq!(end, End::Done, "ordered: {ordered}, started: {started}");
                sum += stream.sum::<i32>();
                assert_eq!(sum, 5_050);
            }
        }
    });
}

/// An item of the stream is under way elsewhere, and no thread of the child's will end it.
#[test]
fn a_stream_whose_item_stays_behind() {
    at_cores_alone("a_stream_whose_item_stays_behind", |pool| {
        for ordered in [true, false] {
            for deadline in [None, Instant::now().checked_add(Duration::from_secs(3_600))] {
                let go = Arc::new(Gate::new());
                let item = {
                    let go = Arc::clone(&go);
                    move |n: i32| {
                        if n == 1 {
                            go.pass();
                        }
                        n
                    }
                };
                let options = Options::new();
                let with = pool.with(deadline.map_or(options.clone(), |deadline| options.deadline(deadline)));
                let stream = if ordered { with.imap(0..2, item) } else { with.imap_unordered(0..2, item) };
                let mut stream = stream.buffer(2);
                assert_eq!(stream.next().map(|result| result.expect("time enough")), Some(0));
                // With one core perhaps nobody has begun it: then the consumer would run it.
                assert_eq!(forked(|| _ = stream.next()), End::SaysWhy, "ordered: {ordered}");
                go.open();
                assert_eq!(stream.next().map(|result| result.expect("time enough")), Some(1));
            }
        }
    });
}

#[test]
fn handles_and_time_outs() {
    at_cores_alone("handles_and_time_outs", |pool| {
        let (begun, go) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let mut task = Some(pool.spawn({
            let (begun, go) = (Arc::clone(&begun), Arc::clone(&go));
            move || {
                begun.open();
                go.pass();
                5
            }
        }));
        begun.pass();
        for time in [Duration::ZERO, Duration::from_millis(10), Duration::MAX] {
            let wait = || drop(task.take().map(|task| task.join_timeout(time)));
            assert_eq!(forked(wait), End::SaysWhy, "{time:?}");
        }
        let end = forked(|| assert!(task.take().is_some_and(|task| task.try_join().is_err())));
        assert_eq!(end, End::Done, "to look takes no thread");
        assert_eq!(forked(|| drop(task.take())), End::Done);
        go.open();
        assert_eq!(task.map(|task| task.join().expect("no panic")), Some(5));
    });
}

/// A task that panicked, and whose handle is dropped: the parent's pool is told of it, in the parent. In the child
/// its hook is not called, which may want a lock that a thread has which stayed behind.
#[test]
fn a_panic_that_nobody_joins() {
    at_cores_alone("a_panic_that_nobody_joins", |pool| {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let hook = move |_| _ = count.fetch_add(1, Ordering::Relaxed);
        let pool = Pool::builder().cores(pool.cores()).on_task_panic(hook).build().expect("a pool");
        let task = pool.spawn(|| panic!("nobody joins"));
        spin_until(|| task.is_finished());
        let mut task = Some(task);
        let drop_it = || {
            drop(task.take());
            assert_eq!(told.load(Ordering::Relaxed), 0);
        };
        assert_eq!(forked(drop_it), End::Done);
        drop(task);
        assert_eq!(told.load(Ordering::Relaxed), 1);
    });
}

/// A task of a scope is under way elsewhere: the child's scope would have to wait for it, and says that it can't.
#[test]
fn a_scopes_task_stays_behind() {
    at_cores_alone("a_scopes_task_stays_behind", |pool| {
        if pool.cores() == 1 {
            return;
        }
        for joined in [true, false] {
            let (begun, go) = (Gate::new(), Gate::new());
            let parent = std::process::id();
            let region = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.scope(|s| {
                    let task = s.spawn(|| {
                        begun.open();
                        go.pass();
                    });
                    begun.pass();
                    let end = fork_and_go_on();
                    if end.is_some() {
                        go.open();
                    }
                    if joined {
                        task.join().expect("no panic");
                    }
                    end
                })
            }));
            if std::process::id() != parent {
                end_child(region.map(drop));
            }
            assert_eq!(region.expect("no panic in the parent"), Some(End::SaysWhy), "joined: {joined}");
        }
    });
}

/// The scope's own thread, asleep in the scope's wait, is called for a task, which forks. Another task is under way elsewhere,
/// so the child can't end the wait, and says so. Both threads of the pool are taken: nobody else can run the task.
#[test]
fn a_task_that_is_run_in_a_wait_forks() {
    at_cores_alone("a_task_that_is_run_in_a_wait_forks", |pool| {
        if pool.cores() != 2 {
            return;
        }
        let pool = Pool::builder().cores(2).max_threads(2).build().expect("a pool");
        let (away, begun, go) = (Gate::new(), Gate::new(), Gate::new());
        let end = forked_within(|fork| {
            pool.scope(|s| {
                s.spawn(|| {
                    purloin::blocking(|| {
                        away.open();
                        go.pass();
                    });
                });
                away.pass();
                s.spawn(|| {
                    // From here on it is the scope's own thread alone that can park.
                    let parks = pool.stats().parks;
                    begun.open();
                    spin_until(|| pool.stats().parks > parks);
                    s.spawn(|| {
                        if !fork() {
                            go.open();
                        }
                    });
                    go.pass();
                });
                begun.pass();
            });
        });
        assert_eq!(end, End::SaysWhy);
    });
}

/// The child builds a pool of its own in the middle of the parent's, and all works there.
#[test]
fn a_new_pool_in_the_middle() {
    at_cores_alone("a_new_pool_in_the_middle", |pool| {
        let cores = pool.cores();
        let build = || {
            let own = Pool::new(cores).expect("a pool");
            assert_sound(&own);
            assert_eq!(own.imap(0..100, |n| n).sum::<i32>(), 4_950);
            assert_eq!(own.imap_unordered(0..100, |n| n).sum::<i32>(), 4_950);
            assert!(own.with(Options::new()).map(0..100, |n| n).is_ok());
            own.close();
            assert_eq!(own.join_threads(None), Ok(()));
        };
        let end = pool.install(|| forked(build));
        assert_eq!(end, End::Done);
    });
}

/// A thread that waits for a lock does not come along, nor does what was known of it: the lock may be gone before the child is.
#[test]
fn who_waits_in_the_parent_is_not_known_in_the_child() {
    at_cores_alone("who_waits_in_the_parent_is_not_known_in_the_child", |_| {
        let mutex = Mutex::new(());
        let guard = mutex.lock();
        std::thread::scope(|s| {
            s.spawn(|| drop(mutex.lock()));
            spin_until(|| !waiting().threads().is_empty());
            assert_eq!(forked(|| assert!(waiting().threads().is_empty())), End::Done);
            assert_eq!(waiting().threads().len(), 1);
            drop(guard);
        });
    });
}

/// An item of a stream forks the process. The child finishes that item, and begins no other one: its results are the parent's.
#[test]
fn an_item_forks() {
    static IN_CHILD: AtomicUsize = AtomicUsize::new(0);
    static ENDED: std::sync::Mutex<Option<End>> = std::sync::Mutex::new(None);
    at_cores_alone("an_item_forks", |pool| {
        let parent = std::process::id();
        for ordered in [true, false] {
            let item = |n: i32| {
                if IN_CHILD.load(Ordering::Relaxed) > 0 {
                    end_child(Err(Box::new("another item is begun in the child")));
                }
                if n == 3 {
                    match fork_and_go_on() {
                        None => IN_CHILD.store(1, Ordering::Relaxed),
                        end => *ENDED.lock().expect("no panic") = end,
                    }
                }
                n
            };
            let sum = catch_unwind(AssertUnwindSafe(|| {
                if ordered { pool.imap(0..100, item) } else { pool.imap_unordered(0..100, item) }.sum::<i32>()
            }));
            if std::process::id() != parent {
                end_child(sum.map(drop));
            }
            assert_eq!(sum.expect("no panic in the parent"), 4_950);
            // Of a thread of the pool the child is that thread alone, and ends with it; or the consumer says why.
            let end = ENDED.lock().expect("no panic").take();
            assert!(matches!(end, Some(End::Done | End::SaysWhy)), "{end:?}, ordered: {ordered}");
        }
    });
}
