//! What a pool's threads do at their start and end: who runs the hooks, when, and for which pool.

use crate::common::{CORES, Gate, LONG, note, run_by_its_pool, spin_until, watched, within};
use purloin::Pool;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

/// Who ran a hook: the index that it was told, its thread and that thread's name.
type Calls = Arc<Mutex<Vec<(usize, ThreadId, String)>>>;

fn note_calls() -> (Calls, impl Fn(usize) + Send + Sync + 'static) {
    let calls = Calls::default();
    let noted = Arc::clone(&calls);
    let hook = move |index| {
        let thread = thread::current();
        let name = thread.name().unwrap_or_default().to_owned();
        noted.lock().expect("no panic").push((index, thread.id(), name));
    };
    (calls, hook)
}

/// Each thread of the pool runs each hook once, and no guest ever does.
#[test]
fn run_by_each_thread_once() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let ((starts, on_start), (exits, on_exit)) = (note_calls(), note_calls());
        let builder = Pool::builder().cores(cores).thread_name(|index| format!("hooked-{index}"));
        let pool = builder.on_thread_start(on_start).on_thread_exit(on_exit).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            thread::scope(|scope| {
                (0..8).for_each(|_| drop(scope.spawn(|| assert_eq!(pool.map(0..100, |n| n).len(), 100))));
            });
            assert_eq!(exits.lock().expect("no panic").len(), 0, "as long as the pool is open");
            pool.close();
            assert_eq!(pool.join_threads(None), Ok(()));
            let peak = pool.stats().peak_threads;
            let sorted = |calls: &Calls| {
                let mut calls = calls.lock().expect("no panic").clone();
                calls.sort_by_key(|call| call.0);
                calls
            };
            let (starts, exits) = (sorted(&starts), sorted(&exits));
            assert_eq!(starts, exits, "who starts ends");
            assert!(starts.len() >= peak && peak >= cores);
            assert_eq!(starts.iter().map(|call| call.1).collect::<HashSet<_>>().len(), starts.len());
            for (place, (index, _, name)) in starts.into_iter().enumerate() {
                assert_eq!((index, name), (place, format!("hooked-{place}")));
            }
        });
    }
}

/// A hook runs before its thread works for the pool, or when it has ceased to: the free functions mean the global pool.
#[test]
fn run_outside_the_pool() {
    within(LONG, || {
        let names = Arc::new(Mutex::new(Vec::new()));
        let ask = || {
            let names = Arc::clone(&names);
            move |_| {
                let name = purloin::spawn(|| thread::current().name().unwrap_or_default().to_owned());
                names.lock().expect("no panic").push(run_by_its_pool(name));
                assert_eq!(purloin::join(|| 1, || 2), (1, 2));
            }
        };
        let pool = Pool::builder().cores(2).on_thread_start(ask()).on_thread_exit(ask()).build().expect("a pool");
        pool.close();
        assert_eq!(pool.join_threads(None), Ok(()));
        let names = names.lock().expect("no panic");
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|name| name.starts_with("purloin-global-")), "{names:?}");
    });
}

/// Neither `build` nor outside callers wait for it.
#[test]
fn a_slow_start_holds_up_nobody() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let (go, begun) = (Arc::new(Gate::new()), Calls::default());
        let (wait, count) = (Arc::clone(&go), Arc::clone(&begun));
        let hook = move |index| {
            count.lock().expect("no panic").push((index, thread::current().id(), String::new()));
            wait.pass();
        };
        let pool = Pool::builder().cores(cores).on_thread_start(hook).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            spin_until(|| begun.lock().expect("no panic").len() == cores);
            assert_eq!(pool.join(|| 1, || 2), (1, 2));
            assert_eq!(pool.map(0..1_000, |n| n).len(), 1_000);
            pool.scope(|s| (0..100).for_each(|_| drop(s.spawn(|| ()))));
            let task = pool.spawn(|| 5);
            assert_eq!(pool.install(|| pool.spawn(|| 6).join().expect("no panic")), 6, "joined inside, done inside");
            assert!(!task.is_finished(), "no thread of the pool works yet");
            go.open();
            assert_eq!(task.join().expect("no panic"), 5);
        });
        within(LONG, || drop(pool));
    }
}

/// Threads that are in their hooks come for the work that is there: no others are started for it. They are where those are
/// blocked that have been through it.
#[test]
fn no_thread_is_started_while_others_start() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let (go, begun) = (Arc::new(Gate::new()), Calls::default());
        let (wait, count) = (Arc::clone(&go), Arc::clone(&begun));
        let hook = move |index| {
            count.lock().expect("no panic").push((index, thread::current().id(), String::new()));
            if index > 0 {
                wait.pass();
            }
        };
        let pool = Pool::builder().cores(cores).on_thread_start(hook).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            spin_until(|| begun.lock().expect("no panic").len() == cores);
            assert_eq!(pool.map(0..1_000, |n| n).len(), 1_000);
            pool.scope(|s| (0..100).for_each(|_| drop(s.spawn(|| ()))));
            assert_eq!(pool.stats().threads, cores);
            // The one that has been through its hook blocks until another one works.
            let (blocked, other) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
            let (told, awaited) = (Arc::clone(&blocked), Arc::clone(&other));
            let first = pool.spawn(move || {
                told.open();
                purloin::blocking(|| awaited.pass());
            });
            blocked.pass();
            drop(pool.spawn(move || other.open()));
            spin_until(|| begun.lock().expect("no panic").len() == cores + 1);
            assert_eq!(pool.stats().threads, cores + 1);
            go.open();
            first.join().expect("no panic");
        });
        within(LONG, || drop(pool));
    }
}

/// A thread that waits for an item stands by for a core of the item's pool, and starts a thread for it, whose name is made in another
/// pool: what it is granted there is not taken for a core of that one.
#[test]
fn a_name_from_another_pool() {
    for round in 0..5 {
        note(format!("in round {round}"));
        within(LONG, || {
            let names = Pool::new(1).expect("a pool");
            let name = {
                let names = names.clone();
                move |index| if index == 0 { String::new() } else { names.install(|| format!("named-{index}")) }
            };
            let pool = Pool::builder().cores(1).max_threads(2).thread_name(name).build().expect("a pool");
            let go = Arc::new(Gate::new());
            // Nobody has a core to spare, neither for the items nor for the name.
            let blockers = [&pool, &names].map(|pool| {
                let (go, begun) = (Arc::clone(&go), Arc::new(Gate::new()));
                let told = Arc::clone(&begun);
                let task = pool.spawn(move || {
                    told.open();
                    go.pass();
                });
                begun.pass();
                task
            });
            thread::scope(|scope| {
                let consumers: Vec<_> = (0..2).map(|_| scope.spawn(|| pool.imap(0..1, |n| n).next())).collect();
                assert!(consumers.into_iter().all(|consumer| consumer.join().expect("no panic") == Some(0)));
            });
            go.open();
            blockers.into_iter().for_each(|task| task.join().expect("no panic"));
            for pool in [pool, names] {
                assert_eq!(pool.map(0..1_000, |n| n).len(), 1_000);
                pool.close();
                assert_eq!(pool.join_threads(None), Ok(()));
            }
        });
    }
}

/// The names of threads that are started in the middle of something have been made before: by the thread that was started last, outside
/// of the pool.
#[test]
fn names_are_made_ahead() {
    std::thread_local! {
        static BUSY: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    for cores in [1, 2] {
        note(format!("with {cores} cores"));
        let made = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&made);
        let name = move |index| {
            assert!(!BUSY.get(), "in the middle of a task");
            let maker = thread::current().name().unwrap_or_default().to_owned();
            noted.lock().expect("no panic").push((index, maker));
            format!("ahead-{index}")
        };
        let most = cores + 5;
        let pool = Pool::builder().cores(cores).max_threads(most).thread_name(name).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            // As many block as there may be threads.
            let meet = Arc::new(purloin::sync::Barrier::new(most));
            let tasks: Vec<_> = (0..most)
                .map(|_| {
                    let meet = Arc::clone(&meet);
                    pool.spawn(move || {
                        BUSY.set(true);
                        meet.wait();
                        BUSY.set(false);
                    })
                })
                .collect();
            tasks.into_iter().for_each(|task| task.join().expect("no panic"));
            let made = made.lock().expect("no panic");
            assert_eq!(made.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..most).collect::<Vec<_>>());
            for (index, maker) in &made[cores..] {
                assert_eq!(*maker, format!("ahead-{}", index - 1));
            }
        });
        within(LONG, || drop(pool));
    }
}

/// A thread that makes a name does not count as one that will come for work.
#[test]
fn a_slow_name_holds_up_nobody() {
    let go = Arc::new(Gate::new());
    let (wait, naming) = (Arc::clone(&go), Arc::new(Gate::new()));
    let told = Arc::clone(&naming);
    let name = move |index| {
        if index >= 3 {
            told.open();
            wait.pass();
        }
        format!("slow-{index}")
    };
    let pool = Pool::builder().cores(2).thread_name(name).build().expect("a pool");
    watched(LONG, Some(&pool), || {
        let gates: [Arc<Gate>; 2] = Default::default();
        let begun: [Arc<Gate>; 2] = Default::default();
        let [first, second] = [0, 1].map(|n| {
            let (gate, begun, go) = (Arc::clone(&gates[n]), Arc::clone(&begun[n]), Arc::clone(&go));
            pool.spawn(move || {
                begun.open();
                gate.pass();
                if n == 0 {
                    purloin::blocking(|| go.pass());
                }
            })
        });
        begun.iter().for_each(|begun| begun.pass());
        let queued = pool.spawn(|| ());
        // The first gives its core up, and starts a thread for what is queued.
        gates[0].open();
        naming.pass();
        let parks = pool.stats().parks;
        gates[1].open();
        // The other thread runs that, and goes to sleep.
        spin_until(|| second.is_finished() && queued.is_finished() && pool.stats().parks > parks);
        let late = pool.spawn(|| ());
        spin_until(|| late.is_finished());
        go.open();
        first.join().expect("no panic");
    });
    within(LONG, || drop(pool));
}
