//! `fork()` takes along the thread that calls it and no other: in the child a pool of the parent's is refused with a clear
//! panic, and never hangs (rayon#708, polars#8032, tokenizers#187).
#![cfg(unix)]

mod common;

use common::forked::{End, at_cores_alone, fork_and_go_on, forked, forked_within};
use common::{Gate, LONG, assert_sound, good_child, part, spin_until, within};
use purloin::Pool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

#[test]
fn every_call_says_why() {
    at_cores_alone("every_call_says_why", |pool| {
        for used in [false, true] {
            if used {
                assert_sound(pool);
            }
            assert_eq!(forked(|| drop(pool.map(0..10, |n| n))), End::SaysWhy);
            assert_eq!(forked(|| assert_eq!(pool.join(|| 1, || 2), (1, 2))), End::SaysWhy);
            assert_eq!(forked(|| pool.install(|| ())), End::SaysWhy);
            assert_eq!(forked(|| pool.scope(|s| drop(s.spawn(|| ())))), End::SaysWhy);
            assert_eq!(forked(|| drop(pool.spawn(|| ()))), End::SaysWhy);
            assert_eq!(
                forked(|| {
                    pool.close();
                    let _ = pool.join_threads(None);
                }),
                End::SaysWhy
            );
        }
    });
}

/// A task that was running when the process forked does not run in the child: its handle cannot wait for it there.
#[test]
fn a_running_tasks_handle_says_why() {
    at_cores_alone("a_running_tasks_handle_says_why", |pool| {
        let (gate, begun) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let task = pool.spawn({
            let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
            move || {
                begun.open();
                gate.pass();
                5
            }
        });
        let queued = pool.spawn(|| 6);
        begun.pass();
        let (mut task, mut queued) = (Some(task), Some(queued));
        assert_eq!(forked(|| drop(task.take().map(purloin::JoinHandle::join))), End::SaysWhy);
        if pool.cores() == 1 {
            // Not begun: no thread of the child's will.
            assert_eq!(forked(|| drop(queued.take().map(purloin::JoinHandle::join))), End::SaysWhy);
        }
        gate.open();
        assert_eq!(task.take().map(|task| task.join().expect("no panic")), Some(5));
        assert_eq!(queued.take().map(|task| task.join().expect("no panic")), Some(6));
        let finished = pool.spawn(|| 7);
        spin_until(|| finished.is_finished());
        let mut finished = Some(finished);
        assert_eq!(
            forked(|| assert_eq!(finished.take().map(|task| task.join().expect("no panic")), Some(7))),
            End::Done,
            "a result that is there can be had in the child too"
        );
    });
}

/// The child may build a pool of its own.
#[test]
fn a_new_pool_works() {
    at_cores_alone("a_new_pool_works", |pool| {
        let cores = pool.cores();
        let build = || {
            let own = Pool::new(cores).expect("a pool");
            assert_sound(&own);
            assert_eq!(forked(|| own.install(|| ())), End::SaysWhy, "and a child's child needs yet another");
            drop(own);
        };
        assert_eq!(forked(build), End::Done);
    });
}

/// The process forks while all locks of the pool are in use: what belongs to the end of a program must not hang even so.
#[test]
fn dropping_returns() {
    at_cores_alone("dropping_returns", |pool| {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        pool.install(|| drop(purloin::spawn(|| ())));
                    }
                });
            }
            for round in 0..60 {
                let end = match round % 3 {
                    // The handle is the child's copy; the parent keeps its own.
                    // SAFETY: the original is not used again in this process.
                    0 => forked(|| drop(unsafe { std::ptr::read(pool) })),
                    1 => forked(|| assert!(!format!("{pool:?}{:?}", pool.cores()).is_empty())),
                    _ => forked(|| {
                        let _ = catch_unwind(AssertUnwindSafe(|| pool.close()));
                        let _ = catch_unwind(AssertUnwindSafe(|| pool.terminate()));
                        let _ = catch_unwind(AssertUnwindSafe(|| pool.stats()));
                    }),
                };
                if end != End::Done {
                    stop.store(true, Ordering::Relaxed);
                }
                assert_eq!(end, End::Done, "round {round}");
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// A thread of the pool forks: in the child it is alone, so that it must not wait for what another had begun.
#[test]
fn forking_inside() {
    at_cores_alone("forking_inside", |pool| {
        let ends = pool.install(|| {
            let alone = forked(|| assert_eq!(purloin::join(|| 1, || 2), (1, 2)));
            let (stolen, gate) = (Gate::new(), Gate::new());
            let in_a = || {
                if pool.cores() == 1 {
                    return None;
                }
                stolen.pass();
                let mut child = false;
                // The child goes on with the outer `join` by panicking there: it is not to come back from here.
                let end = forked(|| {
                    child = true;
                    let handle = pool.spawn(|| ());
                    drop(handle);
                });
                gate.open();
                assert!(!child);
                Some(end)
            };
            let (end, ()) = purloin::join(in_a, || {
                stolen.open();
                if pool.cores() > 1 {
                    gate.pass();
                }
            });
            (alone, end)
        });
        assert!(matches!(ends.0, End::Done | End::SaysWhy), "{ends:?}");
        assert_eq!(ends.1, (pool.cores() > 1).then_some(End::SaysWhy));
    });
}

/// The second half of a `join` is running elsewhere when the first one forks and goes on in the child.
#[test]
fn the_stolen_half_stays_behind() {
    at_cores_alone("the_stolen_half_stays_behind", |pool| {
        if pool.cores() == 1 {
            return;
        }
        let (stolen, gate) = (Gate::new(), Gate::new());
        let end = forked_within(|fork| {
            let in_a = || {
                stolen.pass();
                if !fork() {
                    gate.open();
                }
            };
            let in_b = || {
                stolen.open();
                gate.pass();
            };
            pool.join(in_a, in_b);
        });
        assert_eq!(end, End::SaysWhy);
    });
}

/// The same with one `join` inside another: the child's panic ends the inner fork and the outer one, and nothing is left in
/// between that a check of the library's own would come upon.
#[test]
fn two_stolen_halves_stay_behind() {
    at_cores_alone("two_stolen_halves_stay_behind", |pool| {
        if pool.cores() == 1 {
            return;
        }
        let (inner, outer, gate) = (Gate::new(), Gate::new(), Gate::new());
        let end = forked_within(|fork| {
            let in_a = || {
                inner.pass();
                outer.pass();
                if !fork() {
                    gate.open();
                }
            };
            // On two cores one thread comes for both.
            let stolen = |mine: &Gate| {
                mine.open();
                purloin::blocking(|| gate.pass());
            };
            pool.join(|| purloin::join(in_a, || stolen(&inner)), || stolen(&outer));
        });
        assert_eq!(end, End::SaysWhy);
    });
}

/// A thread forks in the middle of a region, while others use all locks and queues of the pool, and goes on in the child:
/// out of the region, or to where it is told what is wrong, but never to a lock that nobody will open.
#[test]
fn leaving_returns() {
    at_cores_alone("leaving_returns", |pool| {
        let stop = AtomicBool::new(false);
        let ends: Vec<(u32, End)> = thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        drop(pool.spawn(|| ()));
                        pool.install(|| ());
                    }
                });
            }
            let ends = (0..60).map(|round| {
                let end = forked_within(|fork| {
                    pool.install(|| match round % 5 {
                        0 => drop(fork()),
                        1 => assert!(!fork(), "forked from the one that built the pool: so says this test"),
                        2 => drop(purloin::blocking(fork)),
                        3 => drop(purloin::join(|| purloin::blocking(fork), || ())),
                        _ => {
                            let in_a = || purloin::blocking(|| assert!(!fork(), "a panic of the child's"));
                            purloin::join(in_a, || ());
                        }
                    });
                });
                (round, end)
            });
            let ends = ends.collect();
            stop.store(true, Ordering::Relaxed);
            ends
        });
        // A child in which a thread of the pool's is left, and ends, ends well.
        let hung = ends.into_iter().filter(|(_, end)| matches!(end, End::Signal(_))).collect::<Vec<_>>();
        assert_eq!(hung, []);
    });
}

/// The same in the middle of a task: the thread is the pool's own, and nobody else is left.
#[test]
fn a_task_that_forks_ends() {
    at_cores_alone("a_task_that_forks_ends", |pool| {
        for round in 0..20 {
            let end = pool.spawn(fork_and_go_on);
            let end = end.join().expect("no panic");
            assert_eq!(end, Some(End::Done), "round {round}");
        }
    });
}

#[test]
fn the_global_pool_says_why() {
    if part().is_none() {
        good_child("the_global_pool_says_why", "fork", &[]);
        return;
    }
    within(LONG, || {
        // Not built yet: the child builds its own.
        assert_eq!(forked(|| assert_eq!(purloin::join(|| 1, || 2), (1, 2))), End::Done);
        assert_eq!(purloin::join(|| 1, || 2), (1, 2));
        assert_eq!(forked(|| assert_eq!(purloin::join(|| 1, || 2), (1, 2))), End::SaysWhy);
        assert_eq!(forked(|| drop(purloin::spawn(|| ()))), End::SaysWhy);
        assert_eq!(purloin::join(|| 1, || 2), (1, 2));
    });
}
