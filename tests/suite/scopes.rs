//! Scopes: very many tasks in one, many scopes at once, scopes within scopes, and what their tasks may borrow.

use crate::common::{Gate, at_cores, panic_text_of};
use purloin::{Pool, Scope};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;

const MANY: u64 = 100_000;

#[test]
fn very_many_tasks() {
    at_cores(|pool| {
        let (runs, sum) = (AtomicU64::new(0), AtomicU64::new(0));
        pool.scope(|s| {
            for n in 0..MANY {
                let (runs, sum) = (&runs, &sum);
                s.spawn(move || {
                    runs.fetch_add(1, Ordering::Relaxed);
                    sum.fetch_add(n, Ordering::Relaxed);
                });
            }
        });
        assert_eq!((runs.into_inner(), sum.into_inner()), (MANY, MANY * (MANY - 1) / 2));
    });
}

/// All handles are kept, and joined from the last to the first.
#[test]
fn very_many_handles() {
    at_cores(|pool| {
        let sum = pool.scope(|s| {
            let tasks: Vec<_> = (0..MANY).map(|n| s.spawn(move || n)).collect();
            tasks.into_iter().rev().map(|task| task.join().expect("no panic")).sum::<u64>()
        });
        assert_eq!(sum, MANY * (MANY - 1) / 2);
    });
}

/// Each task spawns two more in the same scope, down to the leaves.
#[test]
fn tasks_that_spawn_tasks() {
    fn grow<'scope>(s: &'scope Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for _ in 0..2 {
            s.spawn(move || grow(s, depth - 1, leaves));
        }
    }
    at_cores(|pool| {
        let leaves = AtomicUsize::new(0);
        pool.scope(|s| grow(s, 14, &leaves));
        assert_eq!(leaves.into_inner(), 1 << 14);
    });
}

/// More threads from outside than there are cores open scopes at the same moment, again and again.
#[test]
fn from_many_threads_at_once() {
    at_cores(|pool| {
        let (callers, rounds) = (16, 40);
        let together = Barrier::new(callers);
        thread::scope(|scope| {
            for caller in 0..callers {
                let together = &together;
                scope.spawn(move || {
                    for round in 0..rounds {
                        together.wait();
                        let mut numbers: Vec<usize> = (0..20).collect();
                        let base = caller * rounds + round;
                        let body = pool.scope(|s| {
                            for number in &mut numbers {
                                s.spawn(move || *number += base);
                            }
                            base
                        });
                        assert_eq!((body, numbers), (base, (base..base + 20).collect()));
                    }
                });
            }
        });
    });
}

/// Each level lends parts of what it owns to the next.
#[test]
fn three_deep_with_borrowed_data() {
    at_cores(|pool| {
        let mut cube = vec![vec![vec![0u64; 8]; 8]; 8];
        let touched = Mutex::new(0);
        pool.scope(|outer| {
            for (x, plane) in cube.iter_mut().enumerate() {
                let touched = &touched;
                outer.spawn(move || {
                    let offset = x * 64;
                    pool.scope(|middle| {
                        for (y, row) in plane.iter_mut().enumerate() {
                            let offset = &offset;
                            middle.spawn(move || {
                                let offset = offset + y * 8;
                                pool.scope(|inner| {
                                    for (z, cell) in row.iter_mut().enumerate() {
                                        let offset = &offset;
                                        inner.spawn(move || *cell = (offset + z) as u64);
                                    }
                                });
                                *touched.lock().expect("no panic") += row.len();
                            });
                        }
                    });
                    assert_eq!(plane[7][7], (offset + 63) as u64, "the inner scopes are over");
                });
            }
        });
        assert_eq!(*touched.lock().expect("no panic"), 512);
        assert!(cube.into_iter().flatten().flatten().eq(0..512));
    });
}

/// A task of an inner scope spawns into the outer one, whose body has long returned.
#[test]
fn inner_tasks_spawn_outer_ones() {
    at_cores(|pool| {
        let late = AtomicUsize::new(0);
        pool.scope(|outer| {
            outer.spawn(|| {
                pool.scope(|inner| {
                    for _ in 0..10 {
                        inner.spawn(|| {
                            outer.spawn(|| late.fetch_add(1, Ordering::Relaxed));
                        });
                    }
                });
            });
        });
        assert_eq!(late.into_inner(), 10);
    });
}

/// A thread that is not the pool's spawns and joins through a scope that it has been lent.
#[test]
fn used_by_threads_from_outside() {
    at_cores(|pool| {
        let runs = AtomicUsize::new(0);
        pool.scope(|s| {
            thread::scope(|threads| {
                for n in 0..4 {
                    let runs = &runs;
                    let caller = threads.spawn(move || {
                        for _ in 0..100 {
                            s.spawn(|| runs.fetch_add(1, Ordering::Relaxed));
                        }
                        n
                    });
                    assert_eq!(caller.join().expect("no panic"), n);
                }
            });
        });
        assert_eq!(runs.into_inner(), 400);
    });
}

/// The scope's own thread spawns as the worker that it was, and from a region of another pool.
#[test]
fn used_within_another_pool() {
    let other = Pool::new(1).expect("a pool");
    at_cores(|pool| {
        let sum = AtomicU64::new(0);
        pool.scope(|s| {
            let add = |n: u64| {
                let sum = &sum;
                s.spawn(move || sum.fetch_add(n, Ordering::Relaxed));
            };
            for n in 0..1_000 {
                add(n);
                other.install(|| add(1_000 + n));
            }
        });
        assert_eq!(sum.into_inner(), 2_000 * 1_999 / 2);
    });
}

/// The scope's own thread spawns while it has no core, and in a region of its own pool within one of another, and its body
/// panics with tasks left: all of them run.
#[test]
fn used_in_every_state() {
    let other = Pool::new(1).expect("a pool");
    at_cores(|pool| {
        let runs = AtomicUsize::new(0);
        let text = panic_text_of(|| {
            pool.scope(|s| {
                let add = || drop(s.spawn(|| runs.fetch_add(1, Ordering::Relaxed)));
                for _ in 0..100 {
                    add();
                    purloin::blocking(add);
                    other.install(|| pool.install(add));
                }
                panic!("the body's");
            });
        });
        assert_eq!((text.as_str(), runs.into_inner()), ("the body's", 300));
    });
}

/// The scope is over when its last task is, wherever its body ended.
#[test]
fn outlives_its_body() {
    at_cores(|pool: &Pool| {
        if pool.cores() == 1 {
            return;
        }
        let (begun, go, done) = (Gate::new(), Gate::new(), AtomicUsize::new(0));
        thread::scope(|threads| {
            threads.spawn(|| {
                pool.scope(|s| {
                    s.spawn(|| {
                        begun.open();
                        go.pass();
                        done.fetch_add(1, Ordering::Relaxed);
                    });
                    begun.pass();
                });
                assert_eq!(done.load(Ordering::Relaxed), 1);
            });
            begun.pass();
            assert_eq!(done.load(Ordering::Relaxed), 0);
            go.open();
        });
    });
}
