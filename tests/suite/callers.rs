//! Threads from outside: one that finds an idle core does the work itself, and many more than there are cores take turns
//! (rayon#648: small work handed to other threads is slower than done at once).

use crate::common::{CORES, Gate, LONG, at_cores, note, panic_text_of, spin_until, watched, within};
use purloin::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::{self, current};

const CALLERS: usize = 32;

/// In a pool in which nobody has done anything yet all cores are idle. Each call of a fresh one, since after some use a
/// thread of the pool may still be looking for more.
#[test]
fn the_caller_does_the_work() {
    fn fresh(cores: usize, body: impl FnOnce(&Pool) + Send) {
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || body(&pool));
        within(LONG, || drop(pool));
    }
    for cores in CORES {
        note(format!("with {cores} cores"));
        fresh(cores, |pool| {
            let (a, b) = pool.join(|| current().id(), || current().id());
            assert_eq!(a, current().id());
            assert!(cores > 1 || b == a, "alone it does both");
            assert_eq!(pool.stats().injected, 0);
        });
        fresh(cores, |pool| assert_eq!(pool.install(|| current().id()), current().id()));
        fresh(cores, |pool| assert_eq!(pool.scope(|_| current().id()), current().id()));
        fresh(cores, |pool| {
            let threads = pool.map(0..100, |_| current().id());
            assert_eq!(threads[0], current().id(), "the first item at once");
            assert!(cores > 1 || threads.iter().all(|&thread| thread == current().id()), "alone it does all");
        });
        // Within the region it stays where it is.
        fresh(cores, |pool| {
            pool.install(|| {
                let here = current().id();
                assert_eq!(purloin::join(|| current().id(), || ()).0, here);
                assert_eq!(purloin::scope(|_| current().id()), here);
                assert_eq!(pool.install(|| current().id()), here);
                assert_eq!(pool.join(|| current().id(), || ()).0, here);
            });
        });
    }
}

/// As long as one core is idle, whatever the others are busy with.
#[test]
fn the_last_idle_core_is_the_callers() {
    for cores in [2, 64] {
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let (go, begun) = (Gate::new(), Barrier::new(cores));
            thread::scope(|scope| {
                // Each a guest on a core of its own.
                for _ in 1..cores {
                    scope.spawn(|| {
                        let caller = current().id();
                        pool.install(|| {
                            assert_eq!(current().id(), caller);
                            begun.wait();
                            go.pass();
                        });
                    });
                }
                begun.wait();
                assert_eq!(pool.install(|| current().id()), current().id());
                go.open();
            });
            assert_eq!(pool.stats().injected, 0);
        });
        within(LONG, || drop(pool));
    }
}

/// The caller holds a lock that every core's thread waits for: it gets a core beyond the pool's own, since nobody else
/// would go on.
#[test]
fn a_lock_held_across_a_region() {
    at_cores(|pool| {
        let lock = Arc::new(Mutex::new(0));
        for round in 1..=3 {
            let held = lock.lock().expect("no panic");
            let tasks: Vec<_> = (0..pool.cores())
                .map(|_| {
                    let (lock, begun) = (Arc::clone(&lock), Arc::new(Gate::new()));
                    let told = Arc::clone(&begun);
                    let task = pool.spawn(move || {
                        told.open();
                        *lock.lock().expect("no panic") += 1;
                    });
                    begun.pass();
                    task
                })
                .collect();
            assert_eq!(pool.install(|| purloin::join(|| 1, || 2)), (1, 2));
            assert_eq!(pool.map(0..100, |n| n).len(), 100);
            drop(held);
            tasks.into_iter().for_each(|task| task.join().expect("no panic"));
            assert_eq!(*lock.lock().expect("no panic"), round * pool.cores());
        }
    });
}

/// One caller's share of calls of every kind.
fn use_everything(pool: &Pool, caller: usize) {
    let (a, b) = pool.join(|| caller, || caller + 1);
    assert_eq!((a, b), (caller, caller + 1));
    assert_eq!(pool.map(caller..caller + 50, |n| n * 2), (caller..caller + 50).map(|n| n * 2).collect::<Vec<_>>());
    let nested = pool.install(|| purloin::join(|| purloin::join(|| 1, || 2), || pool.map(0..10u32, |n| n).len()));
    assert_eq!(nested, ((1, 2), 10));
    let runs = AtomicUsize::new(0);
    let joined = pool.scope(|s| {
        (0..10).for_each(|_| drop(s.spawn(|| runs.fetch_add(1, Ordering::Relaxed))));
        s.spawn(|| caller).join().expect("no panic")
    });
    assert_eq!((joined, runs.into_inner()), (caller, 10));
    assert_eq!(pool.spawn(move || caller).join().expect("no panic"), caller);
    assert_eq!(panic_text_of(|| pool.join(|| (), || panic!("caller {caller}"))), format!("caller {caller}"));
}

#[test]
fn many_more_callers_than_cores() {
    at_cores(|pool| {
        let together = Barrier::new(CALLERS);
        thread::scope(|scope| {
            for caller in 0..CALLERS {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    (0..20).for_each(|_| use_everything(pool, caller));
                });
            }
        });
    });
}

/// The same where the pool's own threads do the work, and where no thread is to spare.
#[test]
fn many_callers_of_other_pools() {
    for cores in [1, 2] {
        for (stack_size, spare) in [(None, 0), (Some(1 << 20), 256), (Some(1 << 20), 0)] {
            note(format!("with {cores} cores, {spare} threads to spare and a stack of {stack_size:?}"));
            let builder = Pool::builder().cores(cores).max_threads(cores + spare);
            let builder = if let Some(bytes) = stack_size { builder.stack_size(bytes) } else { builder };
            let pool = builder.build().expect("a pool");
            watched(LONG, Some(&pool), || {
                thread::scope(|scope| {
                    for caller in 0..CALLERS {
                        let pool = &pool;
                        scope.spawn(move || (0..10).for_each(|_| use_everything(pool, caller)));
                    }
                });
            });
            within(LONG, || drop(pool));
        }
    }
}

/// With a size for the stacks the caller never does the work, idle cores or not.
#[test]
fn stacks_of_a_size_are_the_pools() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let named = |index| format!("sized-{index}");
        let pool = Pool::builder().cores(cores).stack_size(1 << 20).thread_name(named).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let is_the_pools = || current().name().is_some_and(|name| name.starts_with("sized-"));
            assert!(pool.install(is_the_pools));
            assert_eq!(pool.join(is_the_pools, is_the_pools), (true, true));
            assert!(pool.scope(|s| is_the_pools() && s.spawn(is_the_pools).join().expect("no panic")));
            assert!(pool.map(0..100, |_| is_the_pools()).into_iter().all(|its| its));
        });
        within(LONG, || drop(pool));
    }
}

/// All cores but one come free while a region keeps the last one, and keeps its forks to itself, since nobody wanted any for a
/// while. What it forks from then on reaches them.
#[test]
fn forks_reach_the_cores_that_guests_leave() {
    for cores in [2, 64] {
        note(format!("with {cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let (leave, here, kept) = (Gate::new(), AtomicUsize::new(0), Gate::new());
            thread::scope(|scope| {
                let guests: Vec<_> = (1..cores)
                    .map(|_| {
                        scope.spawn(|| {
                            pool.install(|| {
                                here.fetch_add(1, Ordering::Relaxed);
                                leave.pass();
                            });
                        })
                    })
                    .collect();
                let last = scope.spawn(|| {
                    spin_until(|| here.load(Ordering::Relaxed) == cores - 1);
                    pool.install(|| {
                        // Forks that come back in no time are no longer shared, in the end. (In builds that are not optimised
                        // they take longer, and each is shared.)
                        let shared = || pool.stats().published;
                        let unshared = || {
                            let before = shared();
                            (0..100).for_each(|_| _ = purloin::join(|| (), || ()));
                            shared() == before
                        };
                        let _ = (0..1_000).any(|_| unshared());
                        kept.open();
                        spin_until(|| here.load(Ordering::Relaxed) == 0);
                        let begun = Gate::new();
                        purloin::join(|| begun.pass(), || begun.open());
                    });
                });
                kept.pass();
                leave.open();
                guests.into_iter().for_each(|guest| guest.join().expect("no panic"));
                here.store(0, Ordering::Relaxed);
                last.join().expect("no panic");
            });
        });
        within(LONG, || drop(pool));
    }
}
