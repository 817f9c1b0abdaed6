//! Panics where values of the user's are dropped, where `drop_panics` does not look: in loops that can fail or
//! combine, under options, in streams, and in the primitives that hold values.

use crate::common::{Gate, LONG, assert_sound, at_cores, panic_text_of, within};
use purloin::sync::{Monitor, Mutex, OnceLock, Queue};
use purloin::{CancelToken, Options, Pool};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Panics when it is dropped, if it is armed, and counts its drops in any case.
struct Bomb {
    drops: Arc<AtomicUsize>,
    armed: bool,
}

impl Drop for Bomb {
    fn drop(&mut self) {
        self.drops.fetch_add(1, Ordering::Relaxed);
        if self.armed && !std::thread::panicking() {
            panic!("the bomb");
        }
    }
}

/// Makes values of which one is armed, and knows how many are gone.
#[derive(Default)]
struct Arsenal(Arc<AtomicUsize>);

impl Arsenal {
    fn value(&self, armed: bool) -> Bomb {
        Bomb { drops: Arc::clone(&self.0), armed }
    }

    #[track_caller]
    fn all_gone(&self, count: usize) {
        assert_eq!(self.0.swap(0, Ordering::Relaxed), count, "each value is dropped once");
    }
}

/// The error that comes out is one item's; those of others, and results, are dropped on the way.
#[test]
fn in_loops_that_fail() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        for armed in [0, 1, 50, 98] {
            let tried = catch_unwind(AssertUnwindSafe(|| {
                pool.try_map(0..100, |n| if n == 99 { Err(n) } else { Ok(bombs.value(n == armed)) })
            }));
            // All but the last have been made, and are given up for its error.
            let text = crate::common::text_of(&*tried.map(drop).expect_err("the bomb goes off")).to_owned();
            assert_eq!(text, "the bomb");
            bombs.all_gone(99);
        }
        // Nor is the error lost.
        let error = bombs.value(false);
        let fail = Mutex::new(Some(error));
        let text = panic_text_of(|| {
            pool.try_map(0..2, |n| if n == 1 { Err(fail.lock().take()) } else { Ok(bombs.value(true)) }).is_ok()
        });
        assert_eq!(text, "the bomb");
        bombs.all_gone(2);
        assert_sound(pool);
    });
}

/// What a closure owns is dropped when the results are there.
#[test]
fn in_closures_of_loops() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        let with = || pool.with(Options::new());
        let calls: [(&str, &dyn Fn()); 5] = [
            ("map", &|| {
                let (bomb, arsenal) = (bombs.value(true), &bombs);
                drop(pool.map(0..100, move |_| (&raw const bomb, arsenal.value(false)).1));
            }),
            ("try_map", &|| {
                let (bomb, arsenal) = (bombs.value(true), &bombs);
                drop(pool.try_map(0..100, move |_| Ok::<_, ()>((&raw const bomb, arsenal.value(false)).1)));
            }),
            ("with map", &|| {
                let (bomb, arsenal) = (bombs.value(true), &bombs);
                drop(with().map(0..100, move |_| (&raw const bomb, arsenal.value(false)).1));
            }),
            ("with try_map", &|| {
                let (bomb, arsenal) = (bombs.value(true), &bombs);
                drop(with().try_map(0..100, move |_| Ok::<_, ()>((&raw const bomb, arsenal.value(false)).1)));
            }),
            ("map_reduce", &|| {
                let (bomb, arsenal) = (bombs.value(true), &bombs);
                let map = move |_| (&raw const bomb, arsenal.value(false)).1;
                drop(pool.map_reduce(0..99, map, bombs.value(false), |a, _| a));
            }),
        ];
        for (name, call) in calls {
            assert_eq!((name, &*panic_text_of(call)), (name, "the bomb"));
            bombs.all_gone(101);
        }
        assert_sound(pool);
    });
}

#[test]
fn in_reductions() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        // The one that is dropped when two are combined.
        let text = panic_text_of(|| {
            pool.map_reduce(
                0..100,
                |n| bombs.value(n == 57),
                bombs.value(false),
                |a, b| {
                    let keep = bombs.value(a.armed && b.armed);
                    drop((a, b));
                    keep
                },
            )
        });
        assert_eq!(text, "the bomb");
        assert_sound(pool);
        // The identity is dropped if there are items, and given if there are none.
        bombs.0.store(0, Ordering::Relaxed);
        let text = panic_text_of(|| pool.map_reduce(0..1, |_| bombs.value(false), bombs.value(true), |a, _| a));
        assert_eq!(text, "the bomb");
        bombs.all_gone(2);
        let identity = pool.map_reduce(0..0, |_| bombs.value(false), bombs.value(true), |a, _| a);
        assert_eq!(panic_text_of(|| drop(identity)), "the bomb");
        bombs.all_gone(1);
        assert_sound(pool);
    });
}

#[test]
fn under_options() {
    at_cores(|pool| {
        let bombs = Arsenal::default();
        let token = CancelToken::new();
        let stopped = pool.with(Options::new().token(&token)).map(0..100, |n| {
            if n == 50 {
                token.cancel();
            }
            bombs.value(n == 50)
        });
        // Whether stopped or not, what was made is handed over whole.
        assert_eq!(panic_text_of(|| drop(stopped)), "the bomb");
        bombs.0.store(0, Ordering::Relaxed);
        // Items that are not looked at are dropped by the loop.
        let cancelled = CancelToken::new();
        cancelled.cancel();
        let items: Vec<_> = (0..100).map(|n| bombs.value(n == 50)).collect();
        let text = panic_text_of(|| pool.with(Options::new().token(&cancelled)).for_each(items, drop).is_err());
        assert_eq!(text, "the bomb");
        bombs.all_gone(100);
        // A closure that is not run.
        let bomb = bombs.value(true);
        let text = panic_text_of(|| pool.with(Options::new().token(&cancelled)).install(move || drop(bomb)).is_err());
        assert_eq!(text, "the bomb");
        let bomb = bombs.value(true);
        let task = pool.with(Options::new().token(&cancelled)).spawn(move || drop(bomb));
        assert_eq!(task.join().expect_err("it panics").to_string(), "the task panicked: the bomb");
        bombs.all_gone(2);
        assert_sound(pool);
    });
}

/// Wherever in a stream: the item, the result, the closure, the iterator, midway or in the end.
#[test]
fn in_streams() {
    at_cores(|pool| {
        for ordered in [true, false] {
            let bombs = Arsenal::default();
            let stream = |items: Vec<Bomb>| {
                let run = |bomb: Bomb| bomb;
                (if ordered { pool.imap(items, run) } else { pool.imap_unordered(items, run) }).buffer(10)
            };
            let items = || (0..100).map(|n| bombs.value(n == 5)).collect::<Vec<_>>();
            // Dropped midway, with the bomb delivered, ready, under way or not begun, or not read.
            for taken in [0, 1, 3, 20, 100] {
                let mut stream = stream(items());
                let mut told = 0;
                for _ in 0..taken {
                    if let Some(bomb) = stream.next() {
                        told += usize::from(catch_unwind(AssertUnwindSafe(|| drop(bomb))).is_err());
                    }
                }
                told += usize::from(catch_unwind(AssertUnwindSafe(|| drop(stream))).is_err());
                // One that a runner drops, since nobody wants it, is told to the pool's hook, if to anybody.
                assert!(told <= 1, "{told} explosions of one bomb");
                crate::common::spin_until(|| bombs.0.load(Ordering::Relaxed) >= 100);
                bombs.all_gone(100);
            }
            // An item that the closure drops is a panic of the closure's.
            let run = drop::<Bomb>;
            let mut stream =
                if ordered { pool.imap(items(), run) } else { pool.imap_unordered(items(), run) }.buffer(10);
            let (mut done, mut told) = (0, 0);
            loop {
                match catch_unwind(AssertUnwindSafe(|| stream.next())) {
                    Ok(Some(())) => done += 1,
                    Ok(None) => break,
                    Err(_) => told += 1,
                }
            }
            assert_eq!((done, told), (99, 1));
            bombs.all_gone(100);
            // What the closure owns goes with the last who holds the stream.
            let bomb = bombs.value(true);
            let run = move |n: i32| {
                let _owned = &bomb;
                n
            };
            let stream = if ordered { pool.imap(0..10, run) } else { pool.imap_unordered(0..10, run) };
            let _ = catch_unwind(AssertUnwindSafe(|| assert_eq!(stream.sum::<i32>(), 45)));
            crate::common::spin_until(|| bombs.0.load(Ordering::Relaxed) >= 1);
            bombs.all_gone(1);
            assert_sound(pool);
        }
    });
}

/// Primitives that hold values drop them where they are dropped, and are usable after a panic inside.
#[test]
fn in_primitives() {
    let use_them = |pool: &Pool| {
        let bombs = Arsenal::default();
        let queue = Queue::unbounded();
        (0..10).for_each(|n| queue.push(bombs.value(n == 5)).expect("open"));
        assert_eq!(panic_text_of(|| (0..6).for_each(|_| drop(queue.pop()))), "the bomb");
        assert_eq!(queue.len(), 4);
        drop(queue);
        bombs.all_gone(10);
        let queue = Queue::unbounded();
        (0..200).for_each(|n| queue.push(bombs.value(n == 100)).expect("open"));
        assert_eq!(panic_text_of(|| drop(queue)), "the bomb");
        bombs.all_gone(200);
        let queue = Queue::bounded(1);
        queue.close();
        assert_eq!(panic_text_of(|| drop(queue.push(bombs.value(true)))), "the bomb");
        bombs.all_gone(1);
        // A value that is replaced.
        let (mutex, monitor) = (Mutex::new(bombs.value(true)), Monitor::new(bombs.value(true)));
        assert_eq!(panic_text_of(|| *mutex.lock() = bombs.value(false)), "the bomb");
        assert_eq!(panic_text_of(|| monitor.with(|mut state| *state = bombs.value(false))), "the bomb");
        assert!(mutex.try_lock().is_some(), "the panic unlocks");
        monitor.with(|_| ());
        drop((mutex, monitor));
        bombs.all_gone(4);
        let once = OnceLock::new();
        let _ = once.get_or_init(|| bombs.value(false));
        assert_eq!(panic_text_of(|| drop(once.set(bombs.value(true)))), "the bomb");
        drop(once);
        bombs.all_gone(2);
        assert_sound(pool);
    };
    at_cores(|pool| {
        use_them(pool);
        pool.install(|| use_them(pool));
    });
}

/// The handler of a watchdog panics, and so does the drop of what it panicked with: it is told again of the next standstill.
#[test]
fn in_a_watchdog() {
    within(LONG, || {
        let told = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&told);
        let handler = move |_: &purloin::sync::Snapshot| {
            count.fetch_add(1, Ordering::Relaxed);
            std::panic::panic_any(Bomb { drops: Arc::default(), armed: true });
        };
        let period = std::time::Duration::from_millis(1);
        let pool = Pool::builder().cores(2).watchdog(period, handler).build().expect("a pool");
        for standstill in 1..4 {
            let gate = Gate::new();
            pool.scope(|s| {
                s.spawn(|| purloin::blocking(|| gate.pass()));
                purloin::blocking(|| crate::common::spin_until(|| told.load(Ordering::Relaxed) >= standstill));
                gate.open();
            });
            assert_sound(&pool);
        }
    });
}
