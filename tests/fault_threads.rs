//! The system refuses to start a thread, by its limit on the threads of a user: when the pool is built, and later, when tasks
//! block and their cores want other threads. See also `tests/threads.rs`, where memory for stacks runs out.
#![cfg(target_os = "linux")]

mod common;

use common::{Gate, LONG, assert_sound, await_threads, good_child, part, spin_for, spin_until, threads, within};
use purloin::sync::{Event, Monitor, Mutex, Queue, Semaphore};
use purloin::{BuildError, Pool};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// From now on this process may have `more` threads beyond those that it has. `false` if it cannot be had: the superuser has no
/// limit, so the process becomes somebody else, of whom there must be no other process, and that takes a right.
fn limit(more: usize) -> bool {
    // Derived from the process, so that tests that run at the same time are different users.
    let user = 100_000 + std::process::id();
    // SAFETY: no memory is involved.
    if unsafe { libc::geteuid() } == 0 {
        // SAFETY: no memory is involved. Both are for all threads of the process, as glibc does it.
        assert_eq!(unsafe { libc::setresgid(user, user, user) }, 0);
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setresuid(user, user, user) }, 0);
        set_limit((threads() + more) as u64);
        return true;
    }
    // Whoever starts as a mere user shares a count with other processes: no threads at all is what can be had for certain.
    set_limit(0);
    more == 0
}

fn set_limit(most: u64) {
    let limit = libc::rlimit { rlim_cur: most, rlim_max: libc::RLIM_INFINITY };
    let mut now = limit;
    // SAFETY: a valid place.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &raw mut now) }, 0);
    now.rlim_cur = most.min(now.rlim_max);
    // SAFETY: a valid structure, and this process is there for this test alone.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const now) }, 0);
}

/// In a process of its own, under the watchdog, whose thread is there before the limit is.
fn alone(test: &str, body: impl FnOnce() + Send) {
    if part().is_none() {
        good_child(test, "limited", &[]);
        return;
    }
    within(LONG, body);
}

#[test]
fn none_can_be_started() {
    alone("none_can_be_started", || {
        limit(0);
        for cores in common::CORES {
            let before = threads();
            match Pool::new(cores) {
                Err(BuildError::Thread { started: 0, source }) => {
                    assert_eq!(source.kind(), std::io::ErrorKind::WouldBlock, "{source}");
                }
                other => panic!("a thread beyond the limit: {other:?}"),
            }
            assert_eq!(threads(), before);
        }
        // The global pool says the same, each time.
        for _ in 0..2 {
            let text = common::panic_text_of(|| purloin::join(|| 1, || 2));
            assert!(text.contains("the global pool can't be built: thread 0"), "{text}");
        }
    });
}

#[test]
fn some_can_be_started() {
    alone("some_can_be_started", || {
        if !limit(3) {
            return;
        }
        for _ in 0..10 {
            let before = threads();
            match Pool::new(5) {
                Err(BuildError::Thread { started: 3, .. }) => {}
                other => panic!("3 threads can be had: {other:?}"),
            }
            // Those that were have been joined, and their number is given back.
            await_threads(before);
        }
        let before = threads();
        // All cores have their thread, and the watchdog has none.
        let error = Pool::builder().cores(3).watchdog(Duration::from_secs(1), |_| ()).build();
        assert!(matches!(error, Err(BuildError::Thread { started: 3, .. })), "{error:?}");
        await_threads(before);
        // The last of them is making a name for a fourth, most likely, when it turns out that there is no watchdog.
        let name = |index| {
            if index == 3 {
                spin_for(Duration::from_millis(20));
            }
            format!("limited-{index}")
        };
        let error = Pool::builder().cores(3).thread_name(name).watchdog(Duration::from_secs(1), |_| ()).build();
        assert!(matches!(error, Err(BuildError::Thread { started: 3, .. })), "{error:?}");
        await_threads(before);
        let pool = Pool::new(3).expect("three can be had");
        assert_sound(&pool);
    });
}

/// The pool has a thread for each core and can have no other. Tasks that block then just block, and what they wait for comes
/// from outside, or from a thread that is left.
#[test]
fn none_more_when_tasks_block() {
    alone("none_more_when_tasks_block", || {
        let pool = Pool::new(2).expect("a pool");
        limit(0);
        {
            let (go, begun) = (Arc::new(Event::new()), Arc::new(Semaphore::new(0)));
            let blocked: Vec<_> = (0..2)
                .map(|n| {
                    let (go, begun) = (Arc::clone(&go), Arc::clone(&begun));
                    pool.spawn(move || {
                        begun.add_permits(1).expect("few");
                        go.wait();
                        n
                    })
                })
                .collect();
            begun.acquire(2).expect("open").forget();
            // Nobody is there for these but who waits for them.
            let queued: Vec<_> = (2..20).map(|n| pool.spawn(move || n)).collect();
            assert_eq!(pool.join(|| 1, || 2), (1, 2));
            assert_eq!(pool.map(0..100, |n| n).len(), 100);
            assert!(queued.into_iter().zip(2..).all(|(task, n)| task.join().is_ok_and(|m| m == n)));
            go.set();
            assert!(blocked.into_iter().zip(0..).all(|(task, n)| task.join().is_ok_and(|m| m == n)));
        }
        assert_eq!(pool.stats().threads, 2);
        for round in 0..20 {
            let (mutex, monitor, queue) = (Mutex::new(0), Monitor::new(0), Queue::bounded(1));
            pool.scope(|s| {
                // Two tasks that wait for each other, on the two threads that there are.
                s.spawn(|| (0..50).for_each(|n| queue.push(n).expect("open")));
                s.spawn(|| {
                    for n in 0..50 {
                        assert_eq!(queue.pop(), Ok(n));
                        monitor.with(|mut count| *count += 1);
                    }
                });
                (0..10).for_each(|_| drop(s.spawn(|| *mutex.lock() += 1)));
                s.spawn(|| purloin::blocking(thread::yield_now));
            });
            assert_eq!((mutex.into_inner(), monitor.into_inner()), (10, 50), "round {round}");
        }
        assert_sound(&pool);
        pool.close();
        assert_eq!(pool.join_threads(None), Ok(()));
    });
}

/// A long wait for a stolen fork hands its core over, to nobody as it turns out.
#[test]
fn none_more_when_a_fork_waits() {
    alone("none_more_when_a_fork_waits", || {
        let pool = Pool::new(2).expect("a pool");
        limit(0);
        {
            let (stolen, go) = (Gate::new(), Gate::new());
            let handle = pool.clone();
            let region = || {
                pool.join(
                    || stolen.pass(),
                    || {
                        stolen.open();
                        let left = handle.spawn(|| 5);
                        spin_until(|| handle.stats().hand_overs > 0);
                        go.open();
                        left.join().expect("no panic")
                    },
                )
            };
            // As a task: a caller from outside would be a third thread.
            assert_eq!(pool.scope(|s| s.spawn(region).join().expect("no panic")), ((), 5));
            assert!(go.is_open());
        }
        assert_sound(&pool);
    });
}
