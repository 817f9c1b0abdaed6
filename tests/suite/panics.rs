//! Panics in the closures of regions, wherever and whenever they run: each reaches the caller, and the pool goes on
//! (cpython#83371: failures on the unusual path that hang).

use crate::bomb::{BOMB, Bomb};
use crate::common::{Gate, assert_sound, at_cores, panic_of, panic_text_of, text_of};
use purloin::Pool;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Calls `join` with an `a` that returns only when `b` runs on another thread, as it can if there are two cores.
fn join_stolen<A: Send, B: Send>(
    pool: &Pool,
    a: impl FnOnce() -> A + Send,
    b: impl FnOnce() -> B + Send,
) -> Option<(A, B)> {
    let stolen = Gate::new();
    (pool.cores() > 1).then(|| {
        pool.join(
            || {
                stolen.pass();
                a()
            },
            || {
                stolen.open();
                b()
            },
        )
    })
}

#[test]
fn join_when_the_first_panics() {
    at_cores(|pool| {
        assert_eq!(panic_text_of(|| pool.join(|| panic!("a"), || 1)), "a");
        let ended = AtomicUsize::new(0);
        if pool.cores() > 1 {
            let go = Gate::new();
            let first = || {
                go.open();
                panic!("a")
            };
            let second = || {
                go.pass();
                crate::common::spin_for(std::time::Duration::from_millis(1));
                ended.fetch_add(1, Ordering::Relaxed);
            };
            assert_eq!(panic_text_of(|| join_stolen(pool, first, second)), "a");
            assert_eq!(ended.load(Ordering::Relaxed), 1, "the second had begun, and what it borrows is still there");
        } else {
            let owned = Arc::new(());
            let second = Arc::clone(&owned);
            assert_eq!(panic_text_of(|| pool.join(|| panic!("a"), move || drop(second))), "a");
            assert_eq!(Arc::strong_count(&owned), 1, "dropped, unrun");
        }
        assert_sound(pool);
    });
}

#[test]
fn join_when_the_second_panics() {
    at_cores(|pool| {
        let results = AtomicUsize::new(0);
        struct Counted<'a>(&'a AtomicUsize);
        impl Drop for Counted<'_> {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        assert_eq!(panic_text_of(|| pool.join(|| Counted(&results), || panic!("b"))), "b");
        assert_eq!(results.load(Ordering::Relaxed), 1, "the first's result is dropped");
        if pool.cores() > 1 {
            assert_eq!(panic_text_of(|| join_stolen(pool, || Counted(&results), || panic!("b"))), "b");
            assert_eq!(results.load(Ordering::Relaxed), 2);
        }
        assert_sound(pool);
    });
}

#[test]
fn join_when_both_panic() {
    at_cores(|pool| {
        assert_eq!(panic_text_of(|| pool.join(|| panic!("a"), || panic!("b"))), "a");
        if pool.cores() > 1 {
            assert_eq!(panic_text_of(|| join_stolen(pool, || panic!("a"), || panic!("b"))), "a");
            assert_eq!(panic_text_of(|| join_stolen(pool, || panic!("a"), || panic_any(BOMB))), "a");
        }
        assert_sound(pool);
    });
}

/// What `a`'s panic leaves behind of `b`, closure or result, panics in its turn when it is dropped: the first one wins.
#[test]
fn join_when_what_is_left_panics() {
    at_cores(|pool| {
        let drops = AtomicUsize::new(0);
        if pool.cores() == 1 {
            let bomb = Bomb(&drops);
            assert_eq!(panic_text_of(|| pool.join(|| panic!("a"), move || std::mem::forget(bomb))), "a");
        } else {
            assert_eq!(panic_text_of(|| join_stolen(pool, || panic!("a"), || Bomb(&drops))), "a");
        }
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        assert_sound(pool);
    });
}

/// Deep below many pending forks, on every level of which somebody waits.
#[test]
fn join_deep_down() {
    fn dive(depth: usize, left: bool) -> usize {
        if depth == 0 {
            panic!("the bottom");
        }
        let (a, b) = if left {
            purloin::join(|| dive(depth - 1, left), || 1)
        } else {
            purloin::join(|| 1, || dive(depth - 1, left))
        };
        a + b
    }
    at_cores(|pool| {
        for depth in [1, 2, 300, 600] {
            for left in [false, true] {
                assert_eq!(panic_text_of(|| pool.install(|| dive(depth, left))), "the bottom");
            }
        }
        assert_sound(pool);
    });
}

/// The payload arrives as it was, of whatever type.
#[test]
fn payloads_arrive_whole() {
    #[derive(Debug, PartialEq)]
    struct Reason(Vec<u32>);
    at_cores(|pool| {
        let payload = panic_of(|| pool.install(|| panic_any(Reason(vec![1, 2]))));
        assert_eq!(payload.downcast_ref(), Some(&Reason(vec![1, 2])));
        let again = panic_of(|| {
            pool.map(0..4u32, |n| {
                if n == 3 {
                    panic_any(Reason(vec![n]))
                }
            })
        });
        assert_eq!(again.downcast_ref(), Some(&Reason(vec![3])));
        let passed_on = panic_of(|| pool.join(|| (), || pool.scope(|_| resume_unwind(Box::new(Reason(vec![7]))))));
        assert_eq!(passed_on.downcast_ref(), Some(&Reason(vec![7])));
        assert_sound(pool);
    });
}

/// On the caller's thread, on one of the pool's since all cores are busy, and on one of the pool's by its stack's size.
#[test]
fn install() {
    at_cores(|pool| {
        assert_eq!(panic_text_of(|| pool.install(|| panic!("inside"))), "inside");
        let (gate, busy) = (Arc::new(Gate::new()), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..pool.cores())
            .map(|_| {
                let (gate, busy) = (Arc::clone(&gate), Arc::clone(&busy));
                pool.spawn(move || {
                    busy.fetch_add(1, Ordering::Relaxed);
                    gate.pass();
                })
            })
            .collect();
        crate::common::spin_until(|| busy.load(Ordering::Relaxed) == pool.cores());
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| panic_text_of(|| pool.install(|| panic!("injected"))));
            gate.open();
            assert_eq!(waits.join().expect("caught"), "injected");
        });
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_sound(pool);
        let roomy = Pool::builder().cores(pool.cores()).stack_size(4 << 20).build().expect("a pool");
        assert_eq!(panic_text_of(|| roomy.install(|| panic!("over there"))), "over there");
        assert_sound(&roomy);
    });
}

/// A destructor that uses the pool while its thread unwinds from a panic of the pool's.
#[test]
fn the_pool_while_unwinding() {
    struct Busy<'a>(&'a Pool, &'a AtomicUsize);
    impl Drop for Busy<'_> {
        fn drop(&mut self) {
            assert!(std::thread::panicking());
            assert_sound(self.0);
            let caught = catch_unwind(AssertUnwindSafe(|| self.0.map(0..100, |n| assert!(n != 77, "inner"))));
            assert_eq!(caught.map_err(|payload| text_of(&*payload).to_string()), Err("inner".to_string()));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    at_cores(|pool| {
        let drops = AtomicUsize::new(0);
        let outside = || {
            let _busy = Busy(pool, &drops);
            panic!("outside");
        };
        assert_eq!(panic_text_of(outside), "outside");
        let inside = || {
            let _busy = Busy(pool, &drops);
            panic!("inside");
        };
        assert_eq!(panic_text_of(|| pool.join(|| 1, inside)), "inside");
        assert_eq!(panic_text_of(|| pool.join(inside, || 1)), "inside");
        assert_eq!(drops.load(Ordering::Relaxed), 3);
        assert_sound(pool);
    });
}
