//! Threads that would wait for ever, if nobody came to their rescue: with all of a pool's threads in the middle of something,
//! and cores that nobody may use.

use crate::common::{Gate, LONG, note, spin_until, watched, within};
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

/// A thread from outside holds a lock while it asks for something, and all cores run tasks that want it.
fn lock_across(stack_size: Option<usize>, cores: usize, ask: fn(&Pool) -> u8) {
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
        assert_eq!(ask(&pool), 3);
        drop(held);
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(*lock.lock().expect("no panic"), cores);
    });
    within(LONG, || drop(pool));
}

const CORES: [usize; 3] = [1, 2, 64];

fn region(pool: &Pool) -> u8 {
    let (one, two) = pool.install(|| purloin::join(|| 1, || 2));
    one + two
}

fn task(pool: &Pool) -> u8 {
    pool.spawn(|| 3).join().expect("no panic")
}

#[test]
fn as_a_guest() {
    CORES.into_iter().for_each(|cores| lock_across(None, cores, region));
}

#[test]
fn on_stacks_of_a_size() {
    CORES.into_iter().for_each(|cores| lock_across(Some(1 << 20), cores, region));
}

#[test]
fn with_a_handle_on_stacks_of_a_size() {
    CORES.into_iter().for_each(|cores| lock_across(Some(1 << 20), cores, task));
}

/// A pool whose threads should have run the regions, and have ended: callers run them, and one has the last core and waits for
/// another.
#[test]
fn a_lock_held_across_a_region_of_an_ended_pool() {
    for cores in CORES {
        note(format!("{cores} cores"));
        let pool = Pool::builder().cores(cores).stack_size(1 << 20).build().expect("a pool");
        pool.close();
        assert_eq!(pool.join_threads(None), Ok(()));
        watched(LONG, Some(&pool), || {
            let lock = Mutex::new(());
            let held = lock.lock().expect("no panic");
            std::thread::scope(|scope| {
                for _ in 0..cores {
                    let begun = Arc::new(Gate::new());
                    let (told, pool, lock) = (Arc::clone(&begun), &pool, &lock);
                    scope.spawn(move || {
                        pool.install(|| {
                            told.open();
                            drop(lock.lock().expect("no panic"));
                        });
                    });
                    begun.pass();
                }
                assert_eq!(pool.install(|| 7), 7);
                drop(held);
            });
        });
        within(LONG, || drop(pool));
    }
}

/// A task comes back from `blocking`, finds all cores taken, and is lent one. When it is over that core goes back, and is not
/// there for what is queued.
#[test]
fn a_lent_core_goes_back() {
    for cores in [1, 2] {
        note(format!("{cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let (taken, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(Gate::new()));
            let away: Vec<_> = (0..cores)
                .map(|_| {
                    let (taken, blocks) = (Arc::clone(&taken), Arc::new(Gate::new()));
                    let told = Arc::clone(&blocks);
                    let task = pool.spawn(move || {
                        told.open();
                        purloin::blocking(|| spin_until(|| taken.load(Ordering::Relaxed) == cores));
                    });
                    blocks.pass();
                    task
                })
                .collect();
            let busy: Vec<_> = (0..2 * cores)
                .map(|_| {
                    let (taken, over) = (Arc::clone(&taken), Arc::clone(&over));
                    pool.spawn(move || {
                        taken.fetch_add(1, Ordering::Relaxed);
                        over.pass();
                    })
                })
                .collect();
            // Those were lent a core, since the busy ones keep theirs.
            spin_until(|| away.iter().all(purloin::JoinHandle::is_finished));
            spin_until(|| format!("{pool:#?}").contains("cores lent 0"));
            assert_eq!(taken.load(Ordering::Relaxed), cores, "as many at once as the pool has cores");
            over.open();
            busy.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}

/// The same for a scope's tasks, of which a thread runs several in a row.
#[test]
fn a_lent_core_goes_back_between_a_scopes_tasks() {
    let pool = Pool::new(2).expect("a pool");
    watched(LONG, Some(&pool), || {
        let (taken, blocks, over) = (AtomicUsize::new(0), Gate::new(), Gate::new());
        // Its own thread keeps the other core all the while.
        pool.scope(|s| {
            let away = s.spawn(|| {
                blocks.open();
                purloin::blocking(|| spin_until(|| taken.load(Ordering::Relaxed) == 1));
            });
            blocks.pass();
            for _ in 0..4 {
                s.spawn(|| {
                    taken.fetch_add(1, Ordering::Relaxed);
                    over.pass();
                });
            }
            spin_until(|| away.is_finished());
            spin_until(|| format!("{pool:#?}").contains("cores lent 0"));
            assert_eq!(taken.load(Ordering::Relaxed), 1, "as many at once as the pool has cores");
            over.open();
        });
    });
    within(LONG, || drop(pool));
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
