//! What can still be done with a pool that has been closed, and with one whose threads are gone: everything that the
//! caller can do itself (cpython#79492, rayon#903: calls that hang on a pool that is shut down).

use crate::common::{CORES, LONG, at_cores, note, panic_text_of, within};
use purloin::{JoinError, Pool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (x, y) = purloin::join(|| fib(n - 1), || fib(n - 2));
    x + y
}

/// Regions of every kind work, tasks are refused.
fn use_regions(pool: &Pool) {
    assert_eq!(pool.install(|| fib(12)), 144);
    assert_eq!(pool.join(|| fib(10), || fib(11)), (55, 89));
    assert_eq!(pool.map(0..1_000, |n| n), (0..1_000).collect::<Vec<_>>());
    let nested = pool.scope(|s| {
        let tasks: Vec<_> = (0..50).map(|n| s.spawn(move || s.spawn(move || n).join().expect("no panic"))).collect();
        tasks.into_iter().map(|task| task.join().expect("no panic")).sum::<i32>()
    });
    assert_eq!(nested, (0..50).sum());
    assert_eq!(panic_text_of(|| pool.map(0..100, |n| assert!(n != 50, "fifty"))), "fifty");
    assert_eq!(panic_text_of(|| pool.scope(|s| drop(s.spawn(|| panic!("in the scope"))))), "in the scope");
    assert!(matches!(pool.spawn(|| ()).join(), Err(JoinError::Cancelled)));
    assert!(matches!(pool.install(|| purloin::spawn(|| ())).join(), Err(JoinError::Cancelled)));
}

#[test]
fn closed() {
    for terminate in [false, true] {
        at_cores(|pool| {
            pool.install(|| {
                if terminate {
                    pool.terminate()
                } else {
                    pool.close()
                }
                // The threads are still there, since this region is.
                use_regions(pool);
            });
            use_regions(pool);
        });
    }
}

#[test]
fn without_threads() {
    for terminate in [false, true] {
        at_cores(|pool| {
            if terminate {
                pool.terminate()
            } else {
                pool.close()
            }
            assert_eq!(pool.join_threads(None), Ok(()));
            use_regions(pool);
            assert_eq!(pool.stats().threads, 0);
        });
    }
}

/// More callers than cores, all at once, on a pool without threads: they take turns. Also where the pool's own threads,
/// with a stack of their own size, used to do the work.
#[test]
fn many_callers_without_threads() {
    for cores in CORES {
        for stack_size in [None, Some(1 << 20)] {
            note(format!("with {cores} cores and a stack of {stack_size:?}"));
            let builder = Pool::builder().cores(cores);
            let builder = if let Some(bytes) = stack_size { builder.stack_size(bytes) } else { builder };
            let pool = builder.build().expect("a pool");
            within(LONG, || {
                pool.close();
                assert_eq!(pool.join_threads(None), Ok(()));
                let callers = cores.min(8) + 2;
                let (together, ran) = (Barrier::new(callers), AtomicUsize::new(0));
                thread::scope(|scope| {
                    for _ in 0..callers {
                        scope.spawn(|| {
                            together.wait();
                            for _ in 0..20 {
                                pool.install(|| {
                                    // Time for the others to come to where they must wait.
                                    thread::sleep(Duration::from_micros(200));
                                    ran.fetch_add(1, Ordering::Relaxed);
                                });
                                assert_eq!(pool.map(0..100, |n| n).len(), 100);
                            }
                        });
                    }
                });
                assert_eq!(ran.into_inner(), callers * 20);
            });
        }
    }
}

#[test]
fn handles_outlive_the_pool() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        within(LONG, || {
            let pool = Pool::new(cores).expect("a pool");
            let tasks: Vec<_> = (0..100).map(|n| pool.spawn(move || n)).collect();
            let panics = pool.spawn(|| panic!("late"));
            let unwanted = pool.spawn(|| Box::new(1));
            drop(pool);
            drop(unwanted);
            // Perhaps in the place of the one that is gone: a handle must not take it for its own.
            let other = Pool::new(cores).expect("a pool");
            other.install(|| {
                for (n, task) in tasks.into_iter().enumerate() {
                    assert!(task.is_finished());
                    assert_eq!(task.join().expect("it ran before the pool was gone"), n);
                }
            });
            assert!(panics.join().is_err_and(|error| error.is_panic()));
        });
    }
}

/// Everything that a task may own is dropped on a pool that refuses it, once.
#[test]
fn refused_tasks_are_dropped() {
    at_cores(|pool| {
        pool.close();
        let shared = Arc::new(());
        for ended in [false, true] {
            if ended {
                assert_eq!(pool.join_threads(None), Ok(()));
            }
            let handles: Vec<_> = (0..10)
                .map(|_| {
                    let owned = Arc::clone(&shared);
                    pool.spawn(move || drop(owned))
                })
                .collect();
            assert_eq!(Arc::strong_count(&shared), 1);
            drop(handles);
        }
    });
}
