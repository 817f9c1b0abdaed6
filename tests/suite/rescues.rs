//! Threads that would wait for ever, if nobody came to their rescue: with all of a pool's threads in the middle of something,
//! and cores that nobody may use.

use crate::common::{Gate, LONG, note, watched, within};
use purloin::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Pool `a` has one core and one thread, which waits for what a thread of pool `b` stole within `b.install`. That thread
/// joins a task of `a`'s: `a`'s core is idle, its only thread away, and nobody runs the task.
#[test]
fn a_handle_joined_by_another_pools_thread_at_the_cap() {
    let a = Pool::builder().cores(1).max_threads(1).build().expect("a pool");
    let b = Pool::builder().cores(2).max_threads(2).build().expect("a pool");
    watched(LONG.min(5), Some(&a), || {
        let (inner_a, inner_b) = (a.clone(), b.clone());
        let task = a.spawn(move || {
            let stolen = Gate::new();
            inner_b.join(
                || stolen.pass(),
                || {
                    stolen.open();
                    inner_a.spawn(|| 1).join().expect("no panic")
                },
            )
        });
        assert_eq!(task.join().expect("no panic"), ((), 1));
    });
    within(LONG, || drop((a, b)));
}

/// A caller from outside holds a lock across a region, and all cores run tasks that want it.
fn lock_across_a_region(stack_size: Option<usize>, cores: usize) {
    let builder = Pool::builder().cores(cores);
    let builder = if let Some(bytes) = stack_size { builder.stack_size(bytes) } else { builder };
    let pool = builder.build().expect("a pool");
    watched(LONG.min(5), Some(&pool), || {
        let lock = Arc::new(Mutex::new(0));
        let held = lock.lock().expect("no panic");
        let tasks: Vec<_> = (0..cores)
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
        // Every core has a thread that waits for the lock.
        assert_eq!(pool.install(|| purloin::join(|| 1, || 2)), (1, 2));
        drop(held);
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(*lock.lock().expect("no panic"), cores);
    });
    within(LONG, || drop(pool));
}

#[test]
fn as_a_guest() {
    [1, 2, 64].into_iter().for_each(|cores| lock_across_a_region(None, cores));
}

#[test]
fn on_stacks_of_a_size() {
    [1, 2, 64].into_iter().for_each(|cores| lock_across_a_region(Some(1 << 20), cores));
}

/// The opener of a scope sleeps and holds a lock. What a task of the scope spawns is left behind by a thread that goes on to
/// something else, and all cores come to hang on that lock. The rest of the tasks is the opener's to run.
#[test]
fn tasks_left_to_a_sleeping_opener() {
    for (cores, lockers) in [(2, 0), (2, 1), (2, 2), (2, 8), (4, 8)] {
        note(format!("{cores} cores, {lockers} tasks that want the lock"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let (lock, ran) = (Arc::new(Mutex::new(())), AtomicUsize::new(0));
            let (begun, lockers_queued) = (Gate::new(), Gate::new());
            let held = lock.lock().expect("no panic");
            pool.scope(|s| {
                s.spawn(|| {
                    begun.open();
                    lockers_queued.pass();
                    // Long enough for the opener to have gone to sleep, most of the time.
                    std::thread::sleep(std::time::Duration::from_millis(5));
                    (0..200).for_each(|_| drop(s.spawn(|| ran.fetch_add(1, Ordering::Relaxed))));
                });
                begun.pass();
                for _ in 0..lockers {
                    let lock = Arc::clone(&lock);
                    drop(pool.spawn(move || drop(lock.lock().expect("no panic"))));
                }
                lockers_queued.open();
            });
            drop(held);
            assert_eq!(ran.into_inner(), 200);
        });
        within(LONG, || drop(pool));
    }
}

/// A thread from outside holds a lock, and joins a task that waits behind others which want that lock.
#[test]
fn a_lock_held_across_a_join() {
    for cores in [1, 2, 64] {
        note(format!("{cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let lock = Arc::new(Mutex::new(()));
            let held = lock.lock().expect("no panic");
            let lockers: Vec<_> = (0..4 * cores)
                .map(|_| {
                    let lock = Arc::clone(&lock);
                    pool.spawn(move || drop(lock.lock().expect("no panic")))
                })
                .collect();
            assert_eq!(pool.spawn(|| 7).join().expect("no panic"), 7);
            drop(held);
            lockers.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}

/// All threads that a pool may have are consumers of streams, and each has given its core away: who runs the items?
#[test]
fn streams_at_the_cap() {
    for (cores, ordered) in [1, 2, 64].into_iter().flat_map(|cores| [(cores, true), (cores, false)]) {
        note(format!("{cores} cores, in order: {ordered}"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let sums: Vec<_> = (0..2 * cores)
                .map(|_| {
                    let inner = pool.clone();
                    pool.spawn(move || {
                        let items = 0..50u64;
                        if ordered {
                            inner.imap(items, |n| n).sum()
                        } else {
                            inner.imap_unordered(items, |n| n).sum::<u64>()
                        }
                    })
                })
                .collect();
            sums.into_iter().for_each(|sum| assert_eq!(sum.join().expect("no panic"), 1225));
        });
        within(LONG, || drop(pool));
    }
}

/// The pool's threads are all away until a consumer from outside has its results.
#[test]
fn a_stream_from_outside_at_the_cap() {
    for (cores, ordered) in [1, 2, 64].into_iter().flat_map(|cores| [(cores, true), (cores, false)]) {
        note(format!("{cores} cores, in order: {ordered}"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (gate, away) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
            let blocked: Vec<_> = (0..cores)
                .map(|_| {
                    let (gate, away) = (Arc::clone(&gate), Arc::clone(&away));
                    pool.spawn(move || {
                        purloin::blocking(|| {
                            away.fetch_add(1, Ordering::Relaxed);
                            gate.pass();
                        });
                    })
                })
                .collect();
            while away.load(Ordering::Relaxed) < cores {
                std::thread::yield_now();
            }
            let items = 0..50u64;
            let sum: u64 =
                if ordered { pool.imap(items, |n| n).sum() } else { pool.imap_unordered(items, |n| n).sum() };
            assert_eq!(sum, 1225);
            gate.open();
            blocked.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}

/// A consumer from outside holds a lock, and all cores run tasks that want it.
#[test]
fn a_lock_held_across_a_stream() {
    for (cores, ordered) in [1, 2, 64].into_iter().flat_map(|cores| [(cores, true), (cores, false)]) {
        note(format!("{cores} cores, in order: {ordered}"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let lock = Arc::new(Mutex::new(()));
            let held = lock.lock().expect("no panic");
            let lockers: Vec<_> = (0..cores)
                .map(|_| {
                    let (lock, begun) = (Arc::clone(&lock), Arc::new(Gate::new()));
                    let told = Arc::clone(&begun);
                    let task = pool.spawn(move || {
                        told.open();
                        drop(lock.lock().expect("no panic"));
                    });
                    begun.pass();
                    task
                })
                .collect();
            let items = 0..20u64;
            let sum: u64 =
                if ordered { pool.imap(items, |n| n).sum() } else { pool.imap_unordered(items, |n| n).sum() };
            assert_eq!(sum, 190);
            drop(held);
            lockers.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}

/// While one thread is in a start hook that waits for a task, the others see to the task.
#[test]
fn a_start_hook_that_waits_for_a_task() {
    for slow in [0, 1] {
        note(format!("the hook of thread {slow}"));
        let ran = Arc::new(Gate::new());
        let awaited = Arc::clone(&ran);
        let hook = move |index| {
            if index == slow {
                awaited.pass();
            }
        };
        let pool = Pool::builder().cores(2).on_thread_start(hook).build().expect("a pool");
        watched(LONG, Some(&pool), || pool.spawn(move || ran.open()).join().expect("no panic"));
        within(LONG, || drop(pool));
    }
}

/// Who waits for a scope helps the thief of its task, as who waits for a fork does.
#[test]
fn who_waits_for_a_scope_helps_its_thief() {
    fn tree(layers: u32) {
        if layers > 0 {
            purloin::join(|| tree(layers - 1), || tree(layers - 1));
        } else {
            (0..2_000).for_each(|_| std::hint::spin_loop());
        }
    }
    let pool = Pool::new(2).expect("a pool");
    watched(LONG, Some(&pool), || {
        while pool.stats().leapfrogs == 0 {
            let begun = Gate::new();
            pool.scope(|s| {
                s.spawn(|| {
                    begun.open();
                    tree(7);
                });
                begun.pass();
            });
        }
    });
}
