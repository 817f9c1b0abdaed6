//! A value made once, in parallel, while others wait for it (rayon#1251, polars#22159): on one core as on many, through panics.

use crate::common::{LONG, at_cores, note, panic_text_of, text_of, watched, within};
use purloin::Pool;
use purloin::sync::OnceLock;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;

/// The initialiser forks, maps and waits for tasks in the very pool in which everybody wants the value.
#[test]
fn a_parallel_initialiser() {
    at_cores(|pool| {
        for round in 0..20 {
            let (lock, made) = (OnceLock::new(), AtomicUsize::new(0));
            let value = || {
                *lock.get_or_init(|| {
                    made.fetch_add(1, Ordering::Relaxed);
                    let (x, y) = purloin::join(thread::yield_now, || pool.map(0..50usize, |n| n + 1).len());
                    let ((), task) = (x, pool.spawn(|| 1));
                    y + task.join().expect("no panic") + pool.scope(|s| s.spawn(|| round).join().expect("no panic"))
                })
            };
            let values = pool.map(0..40usize, |_| value());
            assert_eq!(values, [51 + round; 40]);
            assert_eq!(made.into_inner(), 1);
        }
    });
}

/// Two values, one made of the other, wanted in any order.
#[test]
fn one_value_of_another() {
    at_cores(|pool| {
        for _ in 0..20 {
            let (inner, outer) = (OnceLock::new(), OnceLock::new());
            let inner = || *inner.get_or_init(|| pool.map(0..20usize, |n| n).len());
            let outer = || *outer.get_or_init(|| purloin::join(inner, inner).0 + 1);
            let values = pool.map(0..20usize, |n| if n % 2 == 0 { inner() } else { outer() - 1 });
            assert_eq!(values, [20; 20]);
        }
    });
}

#[test]
fn after_a_panic_the_next_one_tries() {
    at_cores(|pool| {
        let (lock, tried) = (Arc::new(OnceLock::new()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (lock, tried) = (Arc::clone(&lock), Arc::clone(&tried));
                pool.spawn(move || {
                    *lock.get_or_init(|| {
                        if tried.fetch_add(1, Ordering::Relaxed) < 3 {
                            // Without the hook, which would print.
                            resume_unwind(Box::new("not yet"));
                        }
                        7
                    })
                })
            })
            .collect();
        let results: Vec<_> = tasks.into_iter().map(|task| task.join()).collect();
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 3);
        assert!(results.into_iter().filter_map(Result::ok).all(|value| value == 7));
        assert_eq!((lock.get(), tried.load(Ordering::Relaxed)), (Some(&7), 4));
    });
}

/// An initialiser that asks for its own value would wait for itself.
#[test]
fn recursion_is_reported() {
    fn recurse(lock: &OnceLock<i32>) -> i32 {
        *lock.get_or_init(|| *lock.get_or_init(|| 1) + 1)
    }
    at_cores(|pool| {
        let lock = OnceLock::new();
        let payload = catch_unwind(AssertUnwindSafe(|| pool.install(|| recurse(&lock)))).expect_err("it recurses");
        let text = text_of(&*payload);
        assert!(text.contains(&format!("asks for the value that it is to make, at {}", file!())), "{text}");
        // And is over with the panic.
        assert_eq!(lock.get_or_init(|| 2), &2);
    });
    let lock = OnceLock::new();
    assert!(panic_text_of(|| recurse(&lock)).contains("it would wait for itself"));
}

/// All threads that the pool may have want the value, which the one that makes it makes alone.
#[test]
fn at_the_cap_it_just_blocks() {
    for cores in [1, 2, 8] {
        note(format!("with {cores} cores and as many threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            for _ in 0..20 {
                let lock = OnceLock::new();
                let value = || *lock.get_or_init(|| purloin::join(|| 1, || 2));
                assert_eq!(pool.map(0..20usize, |_| value()), [(1, 2); 20]);
            }
        });
        within(LONG, || drop(pool));
    }
}

#[test]
fn set_and_taken() {
    static LOCK: OnceLock<String> = OnceLock::new();
    assert_eq!(LOCK.get(), None);
    assert_eq!(LOCK.set("first".into()), Ok(()));
    assert_eq!(LOCK.set("second".into()), Err("second".into()));
    assert_eq!(LOCK.get().map(String::as_str), Some("first"));
    assert_eq!(OnceLock::<i32>::default().into_inner(), None);
}

/// Also on a thread whose locals are being destroyed, in whichever order that is done.
#[test]
fn an_initialiser_that_asks_for_its_own_value_at_the_end_of_its_thread() {
    struct Asks(Sender<String>);
    impl Drop for Asks {
        fn drop(&mut self) {
            let lock = OnceLock::new();
            let text = panic_text_of(|| *lock.get_or_init(|| *lock.get_or_init(|| 1)));
            self.0.send(text).expect("somebody listens");
        }
    }
    thread_local! {
        static ASKS: RefCell<Option<Asks>> = const { RefCell::new(None) };
    }
    within(LONG, || {
        for asks_first in [false, true] {
            let (sender, texts) = channel();
            let ends = thread::spawn(move || {
                // The thread's seat is a local of its own, made when it is first used.
                let used = || assert_eq!(OnceLock::new().get_or_init(|| 1), &1);
                if !asks_first {
                    used();
                }
                ASKS.with(|asks| *asks.borrow_mut() = Some(Asks(sender)));
                if asks_first {
                    used();
                }
            });
            assert!(texts.recv().expect("one text").contains("wait for itself"));
            ends.join().expect("no panic");
        }
    });
}
