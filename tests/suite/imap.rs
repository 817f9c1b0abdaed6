//! Loops over iterators, lazy on both sides (rayon#210, rayon#1250, rayon#1071, cpython#101586, cpython#64192: none that is
//! ordered, bounded and lazy; Python's reads thousands of items ahead).

use crate::common::{Gate, LONG, assert_sound, at_cores, panic_text_of, watched, within};
use purloin::{CancelToken, Options, Pool, Progress, Why, is_cancelled};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

const LENGTHS: [usize; 6] = [0, 1, 2, 63, 65, 2_000];

/// Counts itself while it lives.
struct Live(Arc<AtomicUsize>, usize);

impl Live {
    fn new(count: &Arc<AtomicUsize>, value: usize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Live(Arc::clone(count), value)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[test]
fn in_order() {
    at_cores(|pool| {
        for length in LENGTHS {
            for buffer in [1, 2, 7, 1_000_000] {
                let doubled = pool.imap(0..length, |n| 2 * n).buffer(buffer);
                assert!(doubled.eq((0..length).map(|n| 2 * n)), "{length} items, buffer {buffer}");
            }
        }
        let texts: Vec<String> = pool.imap(["a", "b"].map(str::to_owned), |text| text + "!").collect();
        assert_eq!(texts, ["a!", "b!"]);
        assert_eq!(
            pool.imap(0u64.., |n| n * n).skip(1000).step_by(1000).take(2).collect::<Vec<_>>(),
            [1_000_000, 4_000_000]
        );
    });
}

#[test]
fn in_any_order() {
    at_cores(|pool| {
        for length in LENGTHS {
            for buffer in [1, 2, 7, 1_000_000] {
                let found: BTreeSet<usize> = pool.imap_unordered(0..length, |n| n).buffer(buffer).collect();
                assert!(found.len() == length && found.into_iter().eq(0..length), "{length} items, buffer {buffer}");
            }
        }
    });
}

/// From a task, a region, and an item of another: also where there is one core, and the thread that has it asks.
#[test]
fn from_inside() {
    fn sum(pool: &Pool, ordered: bool) -> u64 {
        let items = 1..=200u64;
        if ordered { pool.imap(items, |n| n).sum() } else { pool.imap_unordered(items, |n| n).sum() }
    }
    at_cores(|pool| {
        for ordered in [true, false] {
            assert_eq!(pool.install(|| sum(pool, ordered)), 20_100);
            let handle = pool.clone();
            assert_eq!(pool.spawn(move || sum(&handle, ordered)).join().expect("no panic"), 20_100);
            let handle = pool.clone();
            let nested = pool.imap(0..20, move |_| sum(&handle, ordered));
            assert!(nested.eq(std::iter::repeat_n(20_100, 20)));
            assert_eq!(pool.map(0..20, |_| sum(pool, ordered)), [20_100; 20]);
        }
    });
}

/// Nothing is read before the first result is asked for, and never more than the buffer ahead.
#[test]
fn the_window_is_strict() {
    at_cores(|pool| {
        for buffer in [1, 2, 3, 16] {
            for ordered in [true, false] {
                let taken = AtomicUsize::new(0);
                let items = (0..500).inspect(|_| _ = taken.fetch_add(1, Ordering::Relaxed));
                let mut results =
                    if ordered { pool.imap(items, |n| n) } else { pool.imap_unordered(items, |n| n) }.buffer(buffer);
                assert_eq!(taken.load(Ordering::Relaxed), 0, "lazy");
                assert_eq!(results.size_hint(), (500, Some(500)));
                for delivered in 0..500 {
                    assert!(results.next().is_some());
                    let ahead = taken.load(Ordering::Relaxed) - delivered;
                    assert!((1..=buffer).contains(&ahead), "{ahead} taken and not delivered, buffer {buffer}");
                }
                assert_eq!((results.next(), results.next(), results.size_hint()), (None, None, (0, Some(0))));
            }
        }
    });
}

/// A window that nothing fills, and iterators that have, or claim to have, more items than memory would hold.
#[test]
fn windows_and_lengths_beyond_all_memory() {
    at_cores(|pool| {
        let all: Vec<usize> = pool.imap(0..500, |n| n).buffer(usize::MAX).collect();
        assert!(all.into_iter().eq(0..500));
        let mut endless = pool.imap_unordered(0..=usize::MAX, |n| n);
        let mut repeated = pool.imap(std::iter::repeat_n(7, usize::MAX), |n| n);
        for taken in 1..100 {
            assert!(endless.next().is_some_and(|n| n < 2_000));
            assert_eq!(endless.size_hint(), (usize::MAX - taken + 1, Some(usize::MAX - taken + 1)));
            assert_eq!(repeated.next(), Some(7));
            assert_eq!(repeated.size_hint(), (usize::MAX - taken, Some(usize::MAX - taken)));
        }
        // One item more than can be counted: nobody can tell how many there were.
        let token = CancelToken::new();
        let mut stopped = pool.with(Options::new().token(&token)).imap(0..=usize::MAX, |n| n);
        assert_eq!(stopped.next().expect("an item").expect("not cancelled"), 0);
        token.cancel();
        assert_eq!(stopped.next().expect("the error").expect_err("cancelled").total, None);
    });
}

/// With a window of one, the next item may depend on the last result.
#[test]
fn results_that_lead_to_items() {
    at_cores(|pool| {
        let (sender, items) = std::sync::mpsc::channel();
        sender.send(1u64).expect("it is received");
        let mut last = 0;
        for result in pool.imap(items, |n| 3 * n).buffer(1).take(10) {
            last = result;
            sender.send(result).expect("it is received");
        }
        assert_eq!(last, 3u64.pow(10));
    });
}

/// Items are begun as they are read, not when the window is full: the second item is not read before the first runs.
#[test]
fn items_begin_as_they_are_read() {
    at_cores(|pool| {
        if pool.cores() == 1 {
            return;
        }
        let begun = Arc::new(Gate::new());
        let seen = Arc::clone(&begun);
        let items = (0..2).inspect(|&n| {
            if n == 1 {
                seen.pass();
            }
        });
        let first = Arc::clone(&begun);
        assert!(pool.imap(items, move |_| first.open()).eq([(), ()]));
    });
}

/// One item that takes as long as all the others together holds up no other, where the order does not matter.
#[test]
fn a_long_item_holds_up_no_other() {
    at_cores(|pool| {
        let others = Arc::new(Gate::new());
        let gate = Arc::clone(&others);
        let mut results = pool.imap_unordered(0..200, move |n| {
            if n == 0 {
                // On the only core there may be.
                purloin::blocking(|| gate.pass());
            }
            n
        });
        let mut rest: Vec<i32> = results.by_ref().take(199).collect();
        others.open();
        assert_eq!(results.next(), Some(0));
        rest.sort_unstable();
        assert!(rest.into_iter().eq(1..200));
    });
}

/// Each panic reaches the `next` of its item, and the items after it are not lost.
#[test]
fn a_panic_at_each_index() {
    at_cores(|pool| {
        let live = Arc::new(AtomicUsize::new(0));
        for bad in 0..40 {
            let count = Arc::clone(&live);
            let items = (0..40).map(move |n| Live::new(&count, n));
            let mut results = pool.imap(items, move |item: Live| {
                assert!(item.1 != bad, "item {}", item.1);
                item
            });
            for n in 0..40 {
                if n == bad {
                    assert_eq!(panic_text_of(|| results.next()), format!("item {n}"));
                } else {
                    assert_eq!(results.next().map(|item| item.1), Some(n));
                }
            }
            assert!(results.next().is_none());
            drop(results);
            crate::common::spin_until(|| live.load(Ordering::Relaxed) == 0);
        }
        assert_sound(pool);
    });
}

/// A panic of the iterator's own `next`, which loses nothing of what was taken before.
#[test]
fn the_iterator_panics() {
    at_cores(|pool| {
        let items = (0..10).inspect(|&n| assert!(n != 5, "five"));
        let mut results = pool.imap(items, |n| n);
        let mut found = Vec::new();
        let mut panics = 0;
        loop {
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| results.next())) {
                Ok(Some(n)) => found.push(n),
                Ok(None) => break,
                Err(_) => panics += 1,
            }
        }
        assert_eq!((found, panics), (vec![0, 1, 2, 3, 4, 6, 7, 8, 9], 1));
    });
}

/// Dropped after each number of results: what has not begun is dropped unrun, what is running is told and not waited for.
#[test]
fn dropped_midway() {
    at_cores(|pool| {
        let live = Arc::new(AtomicUsize::new(0));
        for asked in 0..20 {
            let count = Arc::clone(&live);
            let results = pool.imap((0..).map(move |n| Live::new(&count, n)), |item| item);
            assert_eq!(results.take(asked).count(), asked);
        }
        let stuck = Arc::new(Gate::new());
        let begun = Arc::clone(&stuck);
        let mut results = pool.imap_unordered(0.., move |n: u64| {
            if n == 1 {
                begun.open();
                while !is_cancelled() {}
            }
            n
        });
        assert_eq!(results.next(), Some(0));
        if pool.cores() > 1 {
            // Reads on as long as nothing is ready, and delivers some of what follows.
            while !stuck.is_open() {
                assert!(results.next().is_some());
            }
        }
        drop(results);
        crate::common::spin_until(|| live.load(Ordering::Relaxed) == 0);
        assert_sound(pool);
    });
}

#[test]
fn on_a_pool_that_has_ended() {
    at_cores(|pool| {
        let ended = Pool::new(pool.cores()).expect("a pool");
        let mut before = ended.imap(0..100, |n| n);
        assert_eq!(before.next(), Some(0));
        ended.terminate();
        ended.join_threads(None).expect("it ends");
        assert!(before.eq(1..100));
        assert!(ended.imap(0..100, |n| n).eq(0..100));
        assert_eq!(ended.imap_unordered(0..100, |n| n).sum::<i32>(), 4950);
        let dropped = Pool::new(pool.cores()).expect("a pool");
        let mut outlives = dropped.imap(0..100, |n| n);
        assert_eq!(outlives.next(), Some(0));
        drop(dropped);
        assert!(outlives.eq(1..100));
        let roomy = Pool::builder().cores(pool.cores()).stack_size(4 << 20).build().expect("a pool");
        assert!(roomy.imap(0..100, |n| n).eq(0..100));
        roomy.terminate();
        assert!(roomy.imap(0..100, |n| n).eq(0..100));
    });
}

/// A pool terminated beside a stream: what was taken is delivered all the same.
#[test]
fn terminated_midway() {
    at_cores(|pool| {
        for asked in 0..30 {
            let other = Pool::new(pool.cores()).expect("a pool");
            let mut results =
                if asked % 2 == 0 { other.imap(0..200, |n| n) } else { other.imap_unordered(0..200, |n| n) };
            let some: Vec<i32> = results.by_ref().take(asked).collect();
            std::thread::scope(|scope| {
                scope.spawn(|| other.terminate());
                assert_eq!(results.count() + some.len(), 200);
            });
        }
    });
}

#[test]
fn stopped_by_options() {
    at_cores(|pool| {
        let (token, progress) = (CancelToken::new(), Progress::new());
        let with = || pool.with(Options::new().token(&token).progress(&progress));
        assert_eq!(
            with().imap(0..100, |n| n).collect::<Result<Vec<_>, _>>().expect("all"),
            (0..100).collect::<Vec<_>>()
        );
        assert_eq!((progress.done(), progress.total()), (100, Some(100)));
        let mut results = with().imap(0..1000, |n| n).buffer(10);
        for n in 0..10 {
            assert_eq!(results.next().map(|result| result.expect("not cancelled")), Some(n));
        }
        token.cancel();
        let cancelled = results.next().expect("the error").expect_err("cancelled");
        assert_eq!((cancelled.why, cancelled.total), (Why::Token, Some(1000)));
        assert!(cancelled.done.iter().all(|n| (10..20).contains(n)) && cancelled.done.is_sorted());
        assert_eq!(cancelled.finished, 10 + cancelled.done.len());
        assert!(results.next().is_none());
        assert_eq!(with().imap_unordered(0.., |n| n).next().expect("the error").expect_err("cancelled").finished, 0);
        assert_eq!(progress.total(), None, "nobody knows how many there are in an endless one");
        let late = pool.with(Options::new().deadline(Instant::now())).imap(0..9, |n| n).next();
        assert_eq!(late.expect("the error").expect_err("late").why, Why::Deadline);
    });
}

/// An item that ends when the gate is opened. If the pool's threads are late, and the consumer, who is to open it, comes to run
/// the item itself, it ends when the stream is stopped.
fn until_told(gate: Arc<Gate>) -> impl Fn(usize) + Send + Sync + 'static {
    let consumer = std::thread::current().id();
    move |_| {
        if std::thread::current().id() == consumer {
            crate::common::spin_until(is_cancelled);
        } else {
            gate.pass();
        }
    }
}

/// A consumer that waits when the deadline passes goes on, whatever the item does that it waits for.
#[test]
fn a_deadline_while_waiting() {
    let pool = Pool::new(2).expect("a pool");
    watched(LONG, Some(&pool), || {
        let gate = Arc::new(Gate::new());
        let opened = Arc::clone(&gate);
        let soon = Options::new().deadline(Instant::now() + std::time::Duration::from_millis(5));
        let mut results = pool.with(soon).imap_unordered(0..1, until_told(gate));
        assert_eq!(results.next().expect("the error").expect_err("late").why, Why::Deadline);
        opened.open();
    });
}

/// The item ends only after the consumer has noticed the token. (In order the consumer may run the item itself.)
#[test]
fn a_token_while_waiting() {
    for cores in [1, 2, 64] {
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let (begun, gate, token) = (Arc::new(Gate::new()), Arc::new(Gate::new()), CancelToken::new());
            let (told, passed, cancelled) = (Arc::clone(&begun), Arc::clone(&gate), token.clone());
            let canceller = std::thread::spawn(move || {
                begun.pass();
                cancelled.cancel();
            });
            let item = until_told(passed);
            let mut results = pool.with(Options::new().token(&token)).imap_unordered(0..1, move |index| {
                told.open();
                item(index);
            });
            assert_eq!(results.next().expect("the error").expect_err("cancelled").why, Why::Token);
            gate.open();
            canceller.join().expect("no panic");
        });
        within(LONG, || drop(pool));
    }
}

/// All was delivered, so there is nothing left to be stopped: before the end is known, and after it.
#[test]
fn stopped_after_its_end() {
    at_cores(|pool| {
        for (buffer, told) in [(1, false), (1, true), (64, false), (64, true)] {
            let token = CancelToken::new();
            let mut results = pool.with(Options::new().token(&token)).imap(0..3, |n| n).buffer(buffer);
            assert_eq!(results.by_ref().take(3).filter(Result::is_ok).count(), 3);
            if told {
                assert!(results.next().is_none());
            }
            token.cancel();
            assert!(results.next().is_none(), "buffer {buffer}, told {told}");
            assert!(results.next().is_none(), "it is fused");
            assert_eq!(results.size_hint().0, 0);
        }
        let token = CancelToken::new();
        let mut left = 3;
        let items = std::iter::from_fn(move || {
            left -= 1;
            (left > 0).then_some(left)
        });
        let mut results = pool.with(Options::new().token(&token)).imap_unordered(items, |n| n);
        assert_eq!(results.by_ref().filter(Result::is_ok).count(), 2);
        token.cancel();
        assert!(results.next().is_none(), "of no known length");
    });
}

#[test]
fn a_panic_that_was_not_delivered() {
    let pool = Pool::new(1).expect("a pool");
    // The consumer has the only core, so it runs the items itself.
    pool.install(|| {
        let token = CancelToken::new();
        let stops = token.clone();
        let mut results = pool.with(Options::new().token(&token)).imap(0..2, move |_| -> usize {
            stops.cancel();
            panic!("on purpose")
        });
        assert_eq!(panic_text_of(|| results.next()), "on purpose");
        assert!(results.next().is_none());
    });
}

/// Items that wait for each other, more of them than the pool has cores: each is begun, as long as there are threads.
#[test]
fn items_that_meet() {
    at_cores(|pool| {
        for (ordered, inside) in [(true, false), (false, false), (true, true), (false, true)] {
            let meet = || {
                let all = pool.cores() + 5;
                let barrier = Arc::new(purloin::sync::Barrier::new(all));
                let item = move |n| {
                    barrier.wait();
                    n
                };
                let stream = if ordered { pool.imap(0..all, item) } else { pool.imap_unordered(0..all, item) };
                assert_eq!(stream.buffer(all).sum::<usize>(), all * (all - 1) / 2);
            };
            if inside { pool.install(meet) } else { meet() }
        }
        assert_sound(pool);
    });
}

/// An item that panics is not done.
#[test]
fn panicked_items_are_not_counted() {
    at_cores(|pool| {
        for ordered in [true, false] {
            let (token, progress) = (CancelToken::new(), Progress::new());
            let options = Options::new().token(&token).progress(&progress);
            let item = |n| if n == 0 { panic!("item {n}") } else { n };
            let with = pool.with(options);
            let mut stream = if ordered { with.imap(0..3, item) } else { with.imap_unordered(0..3, item) }.buffer(1);
            assert_eq!(panic_text_of(|| stream.next()), "item 0");
            assert_eq!(stream.next().map(|result| result.expect("not stopped")), Some(1));
            assert_eq!(progress.done(), 1);
            token.cancel();
            let stopped = stream.next().expect("it was stopped").expect_err("it was stopped");
            assert_eq!((stopped.finished, stopped.done), (1, Vec::new()));
        }
    });
}
