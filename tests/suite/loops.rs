//! Loops that fail, that are stopped, that are watched, and that combine.

use crate::common::{Gate, LONG, assert_sound, at_cores, panic_text_of, spin_until, watched, within};
use purloin::{CancelToken, Options, Pool, Progress, Why, is_cancelled};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn the_first_error_wins() {
    at_cores(|pool| {
        for length in [0usize, 1, 2, 3, 17, 1000] {
            assert_eq!(pool.try_map(0..length, Ok::<_, ()>), Ok((0..length).collect()));
            for bad in (0..length).step_by(length / 17 + 1) {
                let fails = |n| if n >= bad { Err(n) } else { Ok(n) };
                assert_eq!(pool.try_map(0..length, fails), Err(bad), "of {length}, all from {bad} on fail");
                assert_eq!(pool.try_for_each(0..length, |n| fails(n).map(drop)), Err(bad));
            }
        }
    });
}

/// What combines two parts panics: of the parts after them, which are endless unless it is known, the rest is not run.
#[test]
fn a_panic_between_two_parts_ends_the_rest() {
    const ITEMS: usize = 1 << 24;
    at_cores(|pool| {
        let (panics, stolen) = (AtomicBool::new(false), AtomicUsize::new(0));
        let map = |n: usize| {
            if n >= ITEMS / 2 {
                stolen.fetch_add(1, Ordering::Relaxed);
                // The rest takes many seconds, but for the end.
                if panics.load(Ordering::Relaxed) {
                    thread::yield_now();
                }
            } else if n == 0 && pool.cores() > 1 {
                spin_until(|| stolen.load(Ordering::Relaxed) > 0);
            }
            n..n + 1
        };
        let combine = |a: Range<usize>, b: Range<usize>| {
            // The first two blocks.
            if a.start == 0 && b.len() > 1 {
                panics.store(true, Ordering::Relaxed);
                panic!("between two parts");
            }
            a.start..b.end
        };
        let text = panic_text_of(|| assert_eq!(pool.map_reduce(0..ITEMS, map, 0..0, combine), 0..ITEMS));
        assert_eq!(text, "between two parts");
        assert!(stolen.into_inner() < ITEMS / 2, "all was run of what nobody can have the result of");
        assert_sound(pool);
    });
}

/// Items before a known error are run, however late they come; of those after it, none begins once it is known.
#[test]
fn items_before_an_error_are_run_and_those_after_are_not() {
    at_cores(|pool| {
        let ran = Mutex::new(BTreeSet::new());
        let (known, length, bad) = (Gate::new(), 10_000usize, 5_000);
        let late = pool.cores() > 1;
        let result = pool.try_for_each(0..length, |n| {
            ran.lock().expect("no panic").insert(n);
            match n {
                // In the first half, which another core may not help with before the error is known.
                0 if late => known.pass(),
                _ if n == bad => {
                    known.open();
                    return Err(n);
                }
                _ => {}
            }
            Ok(())
        });
        assert_eq!(result, Err(bad));
        let ran = ran.into_inner().expect("no panic");
        assert!((0..=bad).all(|n| ran.contains(&n)));
        if pool.cores() == 1 {
            assert_eq!(ran.len(), bad + 1, "a serial loop stops at the error");
        }
    });
}

#[test]
fn results_of_a_failed_loop_are_dropped() {
    struct Counted<'a>(&'a AtomicUsize);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    at_cores(|pool| {
        let live = AtomicUsize::new(0);
        for bad in 0..100 {
            let result = pool.try_map(0..100, |n| {
                live.fetch_add(1, Ordering::Relaxed);
                let result = Counted(&live);
                if n == bad { Err(result) } else { Ok(result) }
            });
            assert!(result.is_err());
            drop(result);
            assert_eq!(live.load(Ordering::Relaxed), 0);
        }
        assert_eq!(
            panic_text_of(|| pool.try_map(0..10, |n| if n < 9 { Ok(n) } else { panic!("nine") as Result<_, ()> })),
            "nine"
        );
        assert_sound(pool);
    });
}

/// Sums of numbers of very different sizes, where every other order would round differently, and the shape as documented.
#[test]
fn reductions_are_the_same_to_the_last_bit() {
    fn shape(length: usize, at: usize, block: usize) -> String {
        let blocks = length.div_ceil(block);
        if blocks <= 1 {
            let items = (at..at + length).map(|n| n.to_string());
            return items.reduce(|a, b| format!("({a}+{b})")).unwrap_or_default();
        }
        let half = blocks / 2 * block;
        format!("({}+{})", shape(half, at, block), shape(length - half, at + half, block))
    }
    let block_of = |length: usize| 1 << (length / 4096).clamp(1, 1024).ilog2();
    let lengths = [0, 1, 2, 3, 7, 100, 4095, 8191, 8192, 50_001];
    let sums = Mutex::new(BTreeSet::new());
    at_cores(|pool| {
        for length in lengths {
            let text = pool.map_reduce(0..length, |n: usize| n.to_string(), String::new(), |a, b| format!("({a}+{b})"));
            assert!(text == shape(length, 0, block_of(length)), "the shape of {length}");
        }
        for _ in 0..10 {
            let number = |n: u32| f64::from(n).sqrt() * 10f64.powi((n % 37) as i32 - 18);
            let sum = pool.map_reduce(0..300_000u32, number, 0.0, |a, b| a + b);
            sums.lock().expect("no panic").insert(sum.to_bits());
        }
    });
    assert_eq!(sums.into_inner().expect("no panic").len(), 1);
}

#[test]
fn options_that_stop_nothing() {
    at_cores(|pool| {
        let (token, progress) = (CancelToken::new(), Progress::new());
        let later = Instant::now() + Duration::from_secs(3600);
        let options = Options::new().token(&token).deadline(later).progress(&progress);
        for length in [0usize, 1, 2, 1000] {
            let with = || pool.with(options.clone());
            assert_eq!(with().map(0..length, |n| n).expect("all done"), (0..length).collect::<Vec<_>>());
            assert_eq!(with().try_map(0..length, Ok::<_, ()>).expect("all done"), Ok((0..length).collect()));
            with().for_each(0..length, |_| ()).expect("all done");
            assert_eq!(with().try_for_each(0..length, |_| Err::<(), _>("bad")).is_ok_and(|r| r.is_err()), length > 0);
            let sum = with().map_reduce(0..length, |n| n, 0, |a, b| a + b).expect("all done");
            assert_eq!(sum, (0..length).sum());
            assert_eq!(with().install(|| 5).expect("begun"), 5);
            assert_eq!(with().spawn(|| 6).join().expect("no panic").expect("begun"), 6);
        }
        assert_eq!(progress.total(), Some(5 * 1003));
        assert_eq!(progress.done(), 4 * 1003, "no item of the failing loops was done");
        assert_eq!(panic_text_of(|| pool.with(options).map(0..100, |n| assert!(n != 77, "77"))), "77");
        assert_sound(pool);
    });
}

/// A token that is cancelled by an item at each index in turn: what was done comes back in its place.
#[test]
fn cancelled_from_inside() {
    at_cores(|pool| {
        for at in (0..200).step_by(7) {
            let token = CancelToken::new();
            let begun = AtomicUsize::new(0);
            let with = pool.with(Options::new().token(&token));
            let run = |n: usize| {
                begun.fetch_add(1, Ordering::Relaxed);
                if n == at {
                    token.cancel();
                }
                vec![n; 3]
            };
            match with.map(0..200usize, run) {
                // Other cores may have done the rest by then.
                Ok(all) => assert_eq!(all.len(), 200),
                Err(cancelled) => {
                    assert_eq!((cancelled.total, cancelled.why), (Some(200), Why::Token));
                    assert_eq!(cancelled.finished, begun.load(Ordering::Relaxed), "what was begun is done");
                    assert_eq!(cancelled.done.len(), 200);
                    assert_eq!(cancelled.done.iter().flatten().count(), cancelled.finished);
                    assert_eq!(cancelled.done[at], Some(vec![at; 3]));
                    assert!(
                        cancelled.done.iter().enumerate().all(|(n, r)| r.as_ref().is_none_or(|r| *r == vec![n; 3]))
                    );
                    if pool.cores() == 1 {
                        assert_eq!(cancelled.finished, at + 1);
                    }
                }
            }
        }
    });
}

/// The reduction of what was done, and no more.
#[test]
fn a_cancelled_reduction() {
    at_cores(|pool| {
        let token = CancelToken::new();
        let with = pool.with(Options::new().token(&token));
        let run = |n: usize| {
            if n == 5_000 {
                token.cancel();
            }
            vec![n]
        };
        let reduced = with.map_reduce(0..10_000usize, run, vec![], |a: Vec<usize>, b| [a, b].concat());
        if let Err(cancelled) = reduced {
            assert_eq!(cancelled.done.len(), cancelled.finished);
            assert!(cancelled.done.is_sorted() && cancelled.done.contains(&5_000));
        } else {
            assert!(pool.cores() > 1, "a serial loop stops there");
        }
        let nothing = with.map_reduce(0..10usize, |n| n, 99, |a, b| a + b).expect_err("cancelled before");
        assert_eq!((nothing.done, nothing.finished, nothing.total), (99, 0, Some(10)));
    });
}

/// Before anything begins: no closure is called.
#[test]
fn cancelled_before() {
    at_cores(|pool| {
        let parent = CancelToken::new();
        let token = parent.child().child();
        parent.cancel();
        let with = || pool.with(Options::new().token(&token));
        assert_eq!(with().map(0..9, |_| -> u8 { panic!("begun") }).expect_err("cancelled").done, vec![None; 9]);
        assert_eq!(with().for_each(0..9, |_| panic!("begun")).expect_err("cancelled").finished, 0);
        assert!(with().try_map(vec![1], |_| -> Result<(), ()> { panic!("begun") }).is_err());
        assert!(with().install(|| panic!("begun")).is_err_and(|cancelled| cancelled.why == Why::Token));
        let task = with().spawn(|| panic!("begun")).join().expect("no panic");
        assert!(task.is_err_and(|cancelled| cancelled.to_string() == "cancelled by its token before it began"));
        assert_eq!(with().map(0..0, |n| n).expect("nothing to cancel"), []);
        let late = pool.with(Options::new().deadline(Instant::now())).map(0..9, |_| -> u8 { panic!("begun") });
        assert_eq!(late.expect_err("late").why, Why::Deadline);
        assert_sound(pool);
    });
}

/// From another thread, in the middle of items that never end unless they ask.
#[test]
fn endless_items_that_ask() {
    at_cores(|pool| {
        let (token, begun) = (CancelToken::new(), Gate::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begun.pass();
                token.cancel();
            });
            let stopped = pool.with(Options::new().token(&token)).for_each(0..1000, |_| {
                begun.open();
                // In forks and scopes inside, too, on whichever thread they run.
                let wait = || while !is_cancelled() {};
                purloin::join(wait, || purloin::scope(|s| drop((s.spawn(wait), s.spawn(wait)))));
                purloin::blocking(wait);
            });
            let stopped = stopped.expect_err("there are more items than cores");
            assert!((1..=pool.cores()).contains(&stopped.finished));
            assert_eq!(stopped.done.iter().map(ExactSizeIterator::len).sum::<usize>(), stopped.finished);
        });
        assert!(!is_cancelled() && !pool.install(is_cancelled));
        // The deadline does the same.
        let soon = Options::new().deadline(Instant::now() + Duration::from_millis(5));
        let stopped = pool.with(soon).for_each(0..1000, |_| while !is_cancelled() {});
        assert_eq!(stopped.expect_err("there are more items than cores").why, Why::Deadline);
        assert_sound(pool);
    });
}

/// Short items that become long when it is too late: the deadline is seen in the middle of a chunk.
#[test]
fn a_deadline_in_a_long_chunk() {
    let pool = Pool::new(1).expect("a pool");
    crate::common::watched(crate::common::LONG, Some(&pool), || {
        let deadline = Instant::now() + Duration::from_millis(20);
        let late = AtomicUsize::new(0);
        let stopped = pool.with(Options::new().deadline(deadline)).for_each(0..u64::MAX, |_| {
            if Instant::now() > deadline {
                late.fetch_add(1, Ordering::Relaxed);
                crate::common::spin_for(Duration::from_millis(1));
            }
        });
        assert_eq!(stopped.expect_err("too many items").why, Why::Deadline);
        assert!(late.into_inner() <= 16);
    });
}

#[test]
fn limits_around_limits() {
    let pool = Pool::new(2).expect("a pool");
    let (outer, inner) = (CancelToken::new(), CancelToken::new());
    let seen = pool.with(Options::new().token(&outer)).install(|| {
        let inside = pool.with(Options::new().token(&inner)).install(|| {
            let before = is_cancelled();
            outer.cancel();
            (before, is_cancelled())
        });
        (inside.expect("begun"), pool.install(is_cancelled))
    });
    assert_eq!(seen.expect("begun"), ((false, true), true));
    assert!(!inner.is_cancelled());
}

/// Another thread sees the count grow while the loop goes on.
#[test]
fn progress_is_seen_from_outside() {
    at_cores(|pool| {
        let progress = Progress::new();
        let half = Gate::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                crate::common::spin_until(|| progress.done() >= 100 && progress.total() == Some(200));
                half.open();
            });
            let counted = pool.with(Options::new().progress(&progress)).map(0..200, |n| {
                // The last item waits for half of the others to be counted.
                if n == 199 {
                    half.pass();
                }
            });
            assert!(counted.is_ok());
        });
        assert_eq!(progress.done(), 200);
    });
}

/// A region is stopped while it waits for its turn: it is not begun.
#[test]
fn stopped_in_the_queue() {
    let pool = Pool::builder().cores(1).stack_size(1 << 20).build().expect("a pool");
    watched(LONG, Some(&pool), || {
        let (begun, over) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
        let (told, awaited) = (Arc::clone(&begun), Arc::clone(&over));
        let task = pool.spawn(move || {
            told.open();
            awaited.pass();
        });
        begun.pass();
        let token = CancelToken::new();
        std::thread::scope(|scope| {
            let region = scope.spawn(|| pool.with(Options::new().token(&token)).install(|| panic!("it was stopped")));
            // It counts as away while it waits for one of the pool's threads.
            spin_until(|| format!("{pool:#?}").contains("1 away"));
            token.cancel();
            over.open();
            let outcome: Result<(), _> = region.join().expect("no panic");
            assert!(outcome.is_err());
        });
        task.join().expect("no panic");
    });
    within(LONG, || drop(pool));
}

/// Who joins a scoped task from a thread that is none of the pool's, and is lent a core to run it, runs it under the limits that are
/// its own.
#[test]
fn a_scoped_task_joined_from_outside() {
    at_cores(|pool| {
        let (token, begun) = (CancelToken::new(), crate::common::Gate::new());
        let options = Options::new().token(&token);
        let ended = pool.with(options).install(|| {
            pool.scope(|s| {
                let task = s.spawn(|| {
                    begun.open();
                    crate::common::spin_until(is_cancelled);
                });
                std::thread::scope(|outside| {
                    outside.spawn(|| {
                        begun.pass();
                        token.cancel();
                    });
                    outside.spawn(|| task.join()).join()
                })
            })
        });
        assert!(matches!(ended, Ok(Ok(Ok(())))), "{ended:?}");
    });
}
