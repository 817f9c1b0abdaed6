//! Panics where code of the user's runs that is no closure's body: when what a closure captured is dropped, or a result,
//! a payload, an item, what a hook owns. Each reaches whoever runs or drops it, and the pool goes on.

use crate::common::{
    CORES, Gate, LONG, assert_sound, at_cores, note, panic_of, panic_text_of, spin_until, watched, within,
};
use purloin::{BuildError, Pool};
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Panics when it is dropped, and counts its drops.
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("the bomb");
    }
}

/// Makes bombs, and tells how many have gone off since it was last asked.
#[derive(Default)]
struct Arsenal(Arc<AtomicUsize>);

impl Arsenal {
    fn bomb(&self) -> Bomb {
        Bomb(Arc::clone(&self.0))
    }

    fn gone_off(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// A closure that does nothing but to end the life of what it owns.
fn holding(bomb: Bomb) -> impl FnOnce() + Send {
    move || drop(bomb)
}

/// What a closure owns and does not use dies with the closure: when it has run, where it ran.
fn owning(bomb: Bomb) -> impl FnOnce() -> usize + Send {
    move || {
        let _owned = &bomb;
        7
    }
}

#[test]
fn captured_by_regions() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        assert_eq!(panic_text_of(|| pool.install(owning(bombs.bomb()))), "the bomb");
        assert_eq!(panic_text_of(|| pool.join(owning(bombs.bomb()), || 1)), "the bomb");
        assert_eq!(panic_text_of(|| pool.join(|| 1, owning(bombs.bomb()))), "the bomb");
        assert_eq!(bombs.gone_off(), 3);
        let bomb = bombs.bomb();
        let body = panic_text_of(|| {
            pool.scope(move |s| {
                let _owned = &bomb;
                s.spawn(|| 1).join().expect("no panic")
            })
        });
        assert_eq!((body.as_str(), bombs.gone_off()), ("the bomb", 1));
        let bomb = bombs.bomb();
        let results = Arc::new(());
        let body = panic_text_of(|| {
            pool.map(0..100, |_| {
                let _owned = &bomb;
                Arc::clone(&results)
            });
            drop(bomb);
        });
        assert_eq!((body.as_str(), bombs.gone_off(), Arc::strong_count(&results)), ("the bomb", 1, 1));
        assert_sound(pool);
    });
}

/// The second half is run by a thief for certain: what it owned goes off there, and is told here.
#[test]
fn captured_by_a_stolen_half() {
    at_cores(|pool| {
        if pool.cores() == 1 {
            return;
        }
        let bombs = Arsenal::default();
        for result in [false, true] {
            let (gate, bomb) = (Gate::new(), bombs.bomb());
            let text = panic_text_of(|| {
                let both = pool.join(
                    || gate.pass(),
                    || {
                        gate.open();
                        // Dropped by the thief, or handed on and dropped here.
                        if result { Some(bomb) } else { None }
                    },
                );
                drop(both);
            });
            assert_eq!((text.as_str(), bombs.gone_off()), ("the bomb", 1));
        }
        assert_sound(pool);
    });
}

#[test]
fn captured_by_tasks() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        let told = pool.spawn(owning(bombs.bomb())).join().expect_err("it panics").to_string();
        assert_eq!(told, "the task panicked: the bomb");
        let told = pool.scope(|s| s.spawn(owning(bombs.bomb())).join().expect_err("it panics").to_string());
        assert_eq!(told, "the task panicked: the bomb");
        let by_the_scope = || pool.scope(|s| drop(s.spawn(owning(bombs.bomb()))));
        assert_eq!(panic_text_of(by_the_scope), "the bomb");
        assert_eq!(bombs.gone_off(), 3);
        assert_sound(pool);
    });
}

/// The loop goes on elsewhere or stops, and drops the other items, each once.
#[test]
fn items() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        for place in [0, 1, 49, 99] {
            let others = Arc::new(());
            let items: Vec<_> = (0..100)
                .map(|n| if n == place { (None, Some(bombs.bomb())) } else { (Some(Arc::clone(&others)), None) })
                .collect();
            assert_eq!(panic_text_of(|| pool.map(items, drop)), "the bomb");
            assert_eq!((bombs.gone_off(), Arc::strong_count(&others)), (1, 1));
        }
        assert_sound(pool);
    });
}

/// A result that is there when its handle is dropped dies with the handle. A panic's payload is handed to the pool, which tells
/// nobody of what comes of it.
#[test]
fn dropped_with_the_handle() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        for payload in [false, true] {
            let bomb = bombs.bomb();
            let task = pool.spawn(move || if payload { panic_any(bomb) } else { bomb });
            spin_until(|| task.is_finished());
            if payload {
                drop(task);
            } else {
                assert_eq!(panic_text_of(|| drop(task)), "the bomb");
            }
            assert_eq!(bombs.gone_off(), 1);
        }
        // With a single core the body itself would have to make way for the task.
        if pool.cores() > 1 {
            let body = || {
                pool.scope(|s| {
                    let task = s.spawn(|| bombs.bomb());
                    spin_until(|| task.is_finished());
                    drop(task);
                })
            };
            assert_eq!(panic_text_of(body), "the bomb");
            assert_eq!(bombs.gone_off(), 1);
        }
        let error = pool.spawn({
            let bomb = bombs.bomb();
            move || panic_any(bomb)
        });
        let error = error.join().map(drop).expect_err("it panics");
        assert_eq!(error.to_string(), "the task panicked: (no text)");
        assert_eq!(panic_text_of(|| drop(error)), "the bomb");
        let resumed = pool.spawn({
            let bomb = bombs.bomb();
            move || panic_any(bomb)
        });
        let payload = panic_of(|| resumed.join().map(drop).expect_err("it panics").resume());
        assert_eq!(bombs.gone_off(), 1, "handed on whole");
        assert!(payload.is::<Bomb>());
        assert_eq!(panic_text_of(|| drop(payload)), "the bomb");
        assert_sound(pool);
    });
}

/// With no hook to tell, a payload that panics when it is dropped is dropped all the same, and harms nobody.
#[test]
fn payloads_of_detached_tasks() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        let go = Arc::new(Gate::new());
        for _ in 0..10 {
            let (bomb, go) = (bombs.bomb(), Arc::clone(&go));
            drop(pool.spawn(move || {
                go.pass();
                panic_any(bomb)
            }));
        }
        go.open();
        spin_until(|| bombs.0.load(Ordering::Relaxed) == 10);
        assert_sound(pool);
        pool.close();
        assert_eq!(pool.join_threads(None), Ok(()));
        assert_eq!(bombs.gone_off(), 10);
    });
}

/// A task that is refused is dropped where it was spawned. The hook is told, and the handle says what it always says.
#[test]
fn refused_tasks() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let (bombs, told) = (Arsenal::default(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&told);
        let hook = move |payload: Box<dyn std::any::Any + Send>| {
            assert_eq!(crate::common::text_of(&*payload), "the bomb");
            count.fetch_add(1, Ordering::Relaxed);
        };
        let pool = Pool::builder().cores(cores).on_task_panic(hook).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            pool.close();
            assert!(pool.spawn(holding(bombs.bomb())).join().is_err_and(|error| error.is_cancelled()));
            assert_eq!(pool.join_threads(None), Ok(()));
            assert!(pool.spawn(holding(bombs.bomb())).join().is_err_and(|error| error.is_cancelled()));
            assert_eq!((bombs.gone_off(), told.load(Ordering::Relaxed)), (2, 2));
        });
    }
}

/// The payload of a hook's panic, or of the function's that names threads.
#[test]
fn payloads_of_hooks() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        within(LONG, || {
            let bombs = Arsenal::default();
            let throw = || {
                let made = Arc::clone(&bombs.0);
                move |_| panic_any(Bomb(Arc::clone(&made)))
            };
            let pool = Pool::builder().cores(cores).on_thread_start(throw()).on_thread_exit(throw()).build();
            let pool = pool.expect("a pool");
            assert_sound(&pool);
            pool.close();
            assert_eq!(pool.join_threads(None), Ok(()));
            assert_eq!(bombs.gone_off(), 2 * pool.stats().peak_threads);
            let made = Arc::clone(&bombs.0);
            let unnamed = Pool::builder().cores(cores).thread_name(move |_| panic_any(Bomb(Arc::clone(&made))));
            assert!(matches!(unnamed.build(), Err(BuildError::Thread { started: 0, .. })));
        });
    }
}

/// What a hook owns goes with the pool: at the drop of the last handle, or in the task that dropped it.
#[test]
fn owned_by_hooks() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        within(LONG, || {
            let bombs = Arsenal::default();
            let armed = || {
                let bomb = bombs.bomb();
                let hook = move |_| _ = &bomb;
                Pool::builder().cores(cores).on_thread_exit(hook).build().expect("a pool")
            };
            let pool = armed();
            assert_sound(&pool);
            assert_eq!(panic_text_of(|| drop(pool)), "the bomb");
            assert_eq!(bombs.gone_off(), 1);
            // The task's handle is the last: the pool ends with its own thread.
            let pool = armed();
            let (handle, go) = (pool.clone(), Arc::new(Gate::new()));
            let task = pool.spawn({
                let go = Arc::clone(&go);
                move || {
                    go.pass();
                    drop(handle);
                    5
                }
            });
            drop(pool);
            go.open();
            assert_eq!(task.join().expect("no panic"), 5);
            spin_until(|| bombs.0.load(Ordering::Relaxed) == 1);
        });
    }
}
