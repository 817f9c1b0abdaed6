//! Panics in tasks, scoped or detached, and in the pool's hooks: each reaches whoever holds the handle, else the scope or
//! the hook for it, and the pool goes on (rayon#1252, rayon#890: a task's panic aborts the process; cpython#79492).

use crate::bomb::{BOMB, Bomb};
use crate::common::{Gate, LONG, assert_sound, at_cores, panic_of, panic_text_of, text_of, watched, within};
use purloin::Pool;
use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

#[test]
fn scope_body_and_tasks() {
    at_cores(|pool| {
        let ended = AtomicUsize::new(0);
        let end = || {
            ended.fetch_add(1, Ordering::Relaxed);
        };
        let body = || {
            pool.scope(|s| {
                (0..50).for_each(|_| drop(s.spawn(end)));
                panic!("the body");
            })
        };
        assert_eq!(panic_text_of(body), "the body");
        assert_eq!(ended.swap(0, Ordering::Relaxed), 50, "all tasks end before the panic goes on");
        let task = || {
            pool.scope(|s| {
                drop(s.spawn(|| panic!("a task")));
                (0..50).for_each(|_| drop(s.spawn(end)));
            })
        };
        assert_eq!(panic_text_of(task), "a task");
        assert_eq!(ended.swap(0, Ordering::Relaxed), 50);
        let below = || pool.scope(|s| drop(s.spawn(move || drop(s.spawn(move || drop(s.spawn(|| panic!("below"))))))));
        assert_eq!(panic_text_of(below), "below");
        let joined = pool.scope(|s| s.spawn(|| panic!("joined")).join().map_err(|error| error.to_string()));
        assert_eq!(joined, Err::<(), _>("the task panicked: joined".to_string()), "whoever joins has it");
        let ignored = || {
            pool.scope(|s| {
                let task = s.spawn(|| panic!("ignored"));
                crate::common::spin_until(|| task.is_finished() || pool.cores() == 1);
            })
        };
        assert_eq!(panic_text_of(ignored), "ignored", "a handle dropped after the panic");
        assert_sound(pool);
    });
}

/// Several panics in one scope: the body's wins, the others are dropped, and those of them that panic then are contained.
#[test]
fn scope_with_several() {
    at_cores(|pool| {
        let body_and_task = || {
            pool.scope(|s| {
                drop(s.spawn(|| panic!("a task")));
                panic!("the body");
            })
        };
        assert_eq!(panic_text_of(body_and_task), "the body");
        let tasks = panic_text_of(|| {
            pool.scope(|s| (0..20).for_each(|n| drop(s.spawn(move || panic!("task {n}")))));
        });
        assert!(tasks.starts_with("task "), "one of them: {tasks}");
        let bombs = || pool.scope(|s| (0..20).for_each(|_| drop(s.spawn(|| panic_any(BOMB)))));
        let payload = panic_of(bombs);
        assert!(payload.is::<Bomb<'static>>());
        std::mem::forget(payload);
        assert_sound(pool);
    });
}

#[test]
fn scope_with_a_bomb_beside_the_body() {
    at_cores(|pool| {
        let both = || {
            pool.scope(|s| {
                drop(s.spawn(|| panic_any(BOMB)));
                panic!("the body");
            })
        };
        assert_eq!(panic_text_of(both), "the body");
        assert_sound(pool);
    });
}

/// Results that nobody takes, and that panic when they are dropped, are a panic of the task.
#[test]
fn results_that_panic_when_dropped() {
    at_cores(|pool| {
        let drops = AtomicUsize::new(0);
        assert_eq!(panic_text_of(|| pool.scope(|s| drop(s.spawn(|| Bomb(&drops))))), "the bomb");
        let kept = pool.scope(|s| s.spawn(|| Bomb(&drops)).join());
        assert_eq!((drops.load(Ordering::Relaxed), kept.is_ok()), (1, true));
        assert_eq!(panic_text_of(|| drop(kept)), "the bomb");
        let (one, two) = pool.join(|| Bomb(&drops), || Bomb(&drops));
        std::mem::forget((one, two));
        std::mem::forget(pool.map(0..10, |_| Bomb(&drops)));
        assert_eq!(drops.load(Ordering::Relaxed), 2);
        assert_sound(pool);
    });
}

/// A pool that keeps what its hook was told.
fn told(cores: usize) -> (Pool, Arc<Mutex<Vec<String>>>) {
    let texts = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&texts);
    let hook = move |payload: Box<dyn std::any::Any + Send>| {
        told.lock().expect("no panic").push(text_of(&*payload).to_string());
        if payload.is::<Bomb<'static>>() {
            std::mem::forget(payload);
        }
    };
    (Pool::builder().cores(cores).on_task_panic(hook).build().expect("a pool"), texts)
}

#[test]
fn detached_tasks() {
    for cores in crate::common::CORES {
        let (pool, texts) = told(cores);
        watched(LONG, Some(&pool), || {
            assert_eq!(text_of(&*pool.spawn(|| panic!("held")).join().unwrap_err().into_panic().unwrap()), "held");
            assert_eq!(panic_text_of(|| pool.spawn(|| panic!("resumed")).join().unwrap_err().resume()), "resumed");
            assert_eq!(*texts.lock().expect("no panic"), Vec::<String>::new(), "whoever joined has it");
            // Dropped before it begins, so that nobody can be told but the hook.
            let gate = Arc::new(Gate::new());
            for payload in ["dropped", "dropped too"] {
                let gate = Arc::clone(&gate);
                drop(pool.spawn(move || {
                    gate.pass();
                    panic!("{payload}")
                }));
            }
            let result = Arc::clone(&gate);
            drop(pool.spawn(move || {
                result.pass();
                BOMB
            }));
            let payload = Arc::clone(&gate);
            drop(pool.spawn(move || {
                payload.pass();
                panic_any(BOMB)
            }));
            gate.open();
            crate::common::spin_until(|| texts.lock().expect("no panic").len() == 4);
            let mut all = texts.lock().expect("no panic").clone();
            all.sort();
            assert_eq!(all, ["(no text)", "dropped", "dropped too", "the bomb"]);
            // A queued task's closure panics when it is dropped.
            let (gate, begun) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
            for _ in 0..cores {
                let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
                drop(pool.spawn(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    gate.pass();
                }));
            }
            crate::common::spin_until(|| begun.load(Ordering::Relaxed) == cores);
            let queued = pool.spawn(|| std::mem::forget(BOMB));
            let armed = pool.spawn({
                let bomb = BOMB;
                move || std::mem::forget(bomb)
            });
            pool.terminate();
            gate.open();
            assert!(queued.join().is_err_and(|error| !error.is_panic()));
            assert!(armed.join().is_err_and(|error| !error.is_panic()));
            assert_eq!(pool.join_threads(None), Ok(()));
            assert_eq!(texts.lock().expect("no panic").len(), 5);
        });
        within(LONG, || drop(pool));
    }
}

/// The hook is told of each panic that nobody joined, also where the task was over before its handle was dropped; and not of
/// those of another pool, which may lie where that one lay.
#[test]
fn handles_dropped_after_the_end() {
    for cores in crate::common::CORES {
        let (pool, texts) = told(cores);
        let late = watched(LONG, Some(&pool), || {
            let over = pool.spawn(|| panic!("over"));
            let late = pool.spawn(|| panic!("late"));
            crate::common::spin_until(|| over.is_finished() && late.is_finished());
            assert_eq!(*texts.lock().expect("no panic"), Vec::<String>::new(), "somebody may join yet");
            drop(over);
            assert_eq!(*texts.lock().expect("no panic"), ["over"]);
            late
        });
        within(LONG, || drop(pool));
        let (_pool, others) = told(cores);
        drop(late);
        assert_eq!((texts.lock().expect("no panic").len(), others.lock().expect("no panic").len()), (1, 0));
    }
}

/// Panics in all hooks: threads start and end all the same, and none of it reaches a task.
#[test]
fn hooks() {
    for cores in crate::common::CORES {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let pool = Pool::builder()
            .cores(cores)
            .on_thread_start(|index| panic!("the start of {index}"))
            .on_thread_exit(|index| panic!("the end of {index}"))
            .on_task_panic(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
                panic!("while being told");
            })
            .build()
            .expect("a pool");
        watched(LONG, Some(&pool), || {
            assert_sound(&pool);
            crate::common::spin_until(|| told.load(Ordering::Relaxed) >= cores);
            let starts = told.load(Ordering::Relaxed);
            drop(pool.spawn(|| panic!("detached")));
            crate::common::spin_until(|| told.load(Ordering::Relaxed) > starts);
            assert_sound(&pool);
            pool.close();
            assert_eq!(pool.join_threads(None), Ok(()));
            assert!(told.load(Ordering::Relaxed) > starts + cores, "told of the ends too");
        });
    }
}
