//! `map` over all sources: the right results in the right order, panics at every index with nothing lost and nothing
//! dropped twice, and items and results of any size.

use crate::common::{Gate, LONG, assert_sound, at_cores, panic_text_of, spin_for, watched, within};
use purloin::{CancelToken, Options, Pool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How many items most of these loops have.
const ITEMS: usize = 24;

/// Counts what is made and what is dropped.
#[derive(Default)]
struct Ledger {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Ledger {
    fn make(&self, index: usize) -> Counted<'_> {
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted { index, ledger: self }
    }

    fn counts(&self) -> (usize, usize) {
        (self.made.load(Ordering::Relaxed), self.dropped.load(Ordering::Relaxed))
    }
}

/// An item or a result, which knows its place.
struct Counted<'a> {
    index: usize,
    ledger: &'a Ledger,
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.ledger.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The body of a loop: which items it has seen, and at which it panics.
struct Body<'a> {
    seen: [AtomicUsize; ITEMS],
    panics_at: &'a [usize],
    results: &'a Ledger,
}

impl<'a> Body<'a> {
    fn run(&self, index: usize) -> Counted<'a> {
        self.seen[index].fetch_add(1, Ordering::Relaxed);
        // Long enough for chunks to stay small and other cores to come.
        spin_for(Duration::from_micros(2));
        if self.panics_at.contains(&index) {
            panic!("item {index}");
        }
        self.results.make(index)
    }
}

/// One loop over some source of `ITEMS` items; what it returns is dropped here.
type Loop = for<'a> fn(&Pool, &Body<'a>, &'a Ledger) -> Vec<Counted<'a>>;

/// A loop over each kind of source. The items of the last two are on the ledger.
const LOOPS: [(&str, Loop); 7] = [
    ("range", |pool, body, _| pool.map(0..ITEMS, |n| body.run(n))),
    ("range of i8", |pool, body, _| pool.map(-12..12i8, |n| body.run((n + 12) as usize))),
    ("slice", |pool, body, _| {
        let items: Vec<usize> = (0..ITEMS).collect();
        pool.map(&items[..], |n| body.run(*n))
    }),
    ("borrowed vector", |pool, body, _| {
        let items: Vec<usize> = (0..ITEMS).collect();
        pool.map(&items, |n| body.run(*n))
    }),
    ("borrowed array", |pool, body, _| {
        let items: [usize; ITEMS] = std::array::from_fn(|n| n);
        pool.map(&items, |n| body.run(*n))
    }),
    ("mutable slice", |pool, body, items| {
        let mut items: Vec<_> = (0..ITEMS).map(|n| items.make(n)).collect();
        pool.map(&mut items[..], |item| {
            let index = item.index;
            item.index += ITEMS;
            body.run(index)
        })
    }),
    ("vector", |pool, body, items| {
        let items: Vec<_> = (0..ITEMS).map(|n| items.make(n)).collect();
        pool.map(items, |item| body.run(item.index))
    }),
];

/// Runs every loop with those panics, and checks what is left of it.
fn run_all(pool: &Pool, panics_at: &[usize]) {
    for (source, run) in LOOPS {
        let (items, results) = (Ledger::default(), Ledger::default());
        let body = Body { seen: [const { AtomicUsize::new(0) }; ITEMS], panics_at, results: &results };
        if panics_at.is_empty() {
            let order: Vec<usize> = run(pool, &body, &items).iter().map(|result| result.index).collect();
            assert_eq!(order, (0..ITEMS).collect::<Vec<_>>(), "{source}");
        } else {
            let text = panic_text_of(|| drop(run(pool, &body, &items)));
            assert!(panics_at.iter().any(|index| text == format!("item {index}")), "{source}: {text}");
        }
        let seen: Vec<usize> = body.seen.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        assert!(seen.iter().all(|&count| count <= 1), "{source}: an item twice: {seen:?}");
        let begun: usize = seen.iter().sum();
        let panicked = panics_at.iter().filter(|&&index| seen[index] == 1).count();
        assert_eq!(results.counts(), (begun - panicked, begun - panicked), "{source}: results, {panics_at:?}");
        let (made, dropped) = items.counts();
        assert_eq!(made, dropped, "{source}: items, {panics_at:?}");
        if panics_at.is_empty() {
            assert_eq!(begun, ITEMS, "{source}");
        } else if pool.cores() == 1 {
            assert_eq!(begun, panics_at[0] + 1, "{source}: a core alone goes in order, and stops");
        }
    }
}

#[test]
fn results_in_order() {
    at_cores(|pool| (0..20).for_each(|_| run_all(pool, &[])));
}

#[test]
fn panics_at_every_index() {
    at_cores(|pool| {
        for index in 0..ITEMS {
            run_all(pool, &[index]);
        }
        assert_sound(pool);
    });
}

#[test]
fn several_panics() {
    at_cores(|pool| {
        for index in 0..ITEMS - 1 {
            run_all(pool, &[index, ITEMS - 1]);
        }
        run_all(pool, &std::array::from_fn::<_, ITEMS, _>(|n| n));
        assert_sound(pool);
    });
}

/// On a core that nobody else helps, each item comes after the one before it.
#[test]
fn one_core_goes_in_order() {
    within(LONG, || {
        let pool = Pool::new(1).expect("a pool");
        let next = AtomicUsize::new(0);
        pool.map(0..10_000usize, |n| assert_eq!(next.fetch_add(1, Ordering::Relaxed), n));
    });
}

#[test]
fn empty_sources() {
    fn never<T>(_: T) -> String {
        panic!("there is no item")
    }
    at_cores(|pool| {
        let nothing = Vec::<String>::new();
        assert_eq!(pool.map(0..0, never), nothing);
        assert_eq!(pool.map(u128::MAX..u128::MAX, never), nothing);
        let (high, low) = (5, -5);
        assert_eq!(pool.map(high..low, never), nothing, "a range that ends before it starts is empty");
        assert_eq!(pool.map(&[0u8; 0], never), nothing);
        assert_eq!(pool.map(&[0u8; 4][2..2], never), nothing);
        assert_eq!(pool.map(&mut [0u8; 0][..], never), nothing);
        assert_eq!(pool.map(&Vec::<u8>::new(), never), nothing);
        assert_eq!(pool.map(Vec::<u8>::with_capacity(10), never), nothing);
        assert_eq!(pool.map(Vec::<()>::new(), never), nothing);
    });
}

#[test]
fn one_item() {
    at_cores(|pool| {
        assert_eq!(pool.map(7..8u8, |n| n), [7]);
        assert_eq!(pool.map(i64::MIN..i64::MIN + 1, |n| n), [i64::MIN]);
        assert_eq!(pool.map(&["one"], |text| text.len()), [3]);
        let mut item = [1];
        pool.map(&mut item[..], |n| *n += 1);
        assert_eq!(item, [2]);
        assert_eq!(pool.map(vec![Box::new(5)], |n| *n), [5]);
        assert_eq!(panic_text_of(|| pool.map(vec![Box::new(5)], |_| panic!("the only one"))), "the only one");
    });
}

/// Ranges of each width, up to their ends, which are further apart than a signed type's largest number.
#[test]
fn ranges_to_their_limits() {
    at_cores(|pool| {
        assert_eq!(pool.map(i8::MIN..i8::MAX, |n| n), (i8::MIN..i8::MAX).collect::<Vec<_>>());
        assert_eq!(pool.map(u8::MIN..u8::MAX, |n| n), (u8::MIN..u8::MAX).collect::<Vec<_>>());
        assert_eq!(pool.map(i16::MIN..i16::MAX, |n| n), (i16::MIN..i16::MAX).collect::<Vec<_>>());
        assert_eq!(pool.map(-100..100i32, |n| n), (-100..100).collect::<Vec<_>>());
        let top = u64::MAX - 1000;
        assert_eq!(pool.map(top..u64::MAX, |n| n), (top..u64::MAX).collect::<Vec<_>>());
        let top = i128::MAX - 1000;
        assert_eq!(pool.map(top..i128::MAX, |n| n), (top..i128::MAX).collect::<Vec<_>>());
    });
}

/// More items than there are addresses, or than there is memory for: a panic before anything is begun.
#[test]
fn ranges_beyond_all_memory() {
    at_cores(|pool| {
        let calls = AtomicUsize::new(0);
        let count = |_| calls.fetch_add(1, Ordering::Relaxed);
        let text = panic_text_of(|| pool.map(0..u128::MAX, count));
        assert!(text.contains("more items than memory has addresses"), "{text}");
        let text = panic_text_of(|| pool.map(i128::MIN..i128::MAX, |_| 0u8));
        assert!(text.contains("more items than memory has addresses"), "{text}");
        assert_eq!(panic_text_of(|| pool.map(0..u64::MAX / 2, |_| 0u64)), "capacity overflow");
        assert_eq!(panic_text_of(|| pool.try_map(0..u64::MAX / 2, |_| Ok::<_, ()>(0u64))), "capacity overflow");
        let text = panic_text_of(|| pool.map_reduce(0..u128::MAX, |_| 0, 0, usize::wrapping_add));
        assert!(text.contains("more items than memory has addresses"), "{text}");
        assert_eq!(calls.load(Ordering::Relaxed), 0);
        assert_sound(pool);
    });
}

/// As many items as memory has addresses, in a loop that is stopped: what takes memory for each says that there is not so much.
#[test]
fn stopped_loops_beyond_all_memory() {
    at_cores(|pool| {
        let token = CancelToken::new();
        token.cancel();
        let with = || pool.with(Options::new().token(&token));
        assert_eq!(panic_text_of(|| with().map(0..u64::MAX, |_| 0u64)), "capacity overflow");
        // Results without size, of which each has a place when some are missing.
        assert_eq!(panic_text_of(|| with().map(0..u64::MAX, |_| ())), "capacity overflow");
        assert_eq!(panic_text_of(|| with().try_map(0..u64::MAX, |_| Ok::<_, ()>(()))), "capacity overflow");
        let stopped = with().for_each(0..u64::MAX, |_| ()).expect_err("cancelled");
        assert_eq!((stopped.finished, stopped.total, stopped.done), (0, Some(usize::MAX), vec![]));
        let stopped = with().map_reduce(0..u64::MAX, |_| 1, 0, usize::wrapping_add).expect_err("cancelled");
        assert_eq!((stopped.finished, stopped.total, stopped.done), (0, Some(usize::MAX), 0));
        assert_sound(pool);
    });
}

#[test]
fn items_and_results_without_size() {
    static DROPPED: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    struct Item;
    struct Outcome;
    impl Drop for Item {
        fn drop(&mut self) {
            DROPPED[0].fetch_add(1, Ordering::Relaxed);
        }
    }
    impl Drop for Outcome {
        fn drop(&mut self) {
            DROPPED[1].fetch_add(1, Ordering::Relaxed);
        }
    }
    const COUNT: usize = 3_000;
    let dropped = || DROPPED.each_ref().map(|count| count.swap(0, Ordering::Relaxed));
    at_cores(|pool| {
        assert_eq!(pool.map(vec![(); COUNT], |()| ()).len(), COUNT);
        assert_eq!(pool.map(&[(); COUNT], |()| 1u8).iter().map(|&n| n as usize).sum::<usize>(), COUNT);
        let items = || (0..COUNT).map(|_| Item).collect::<Vec<_>>();
        let kept = pool.map(items(), |_item| Outcome);
        assert_eq!((kept.len(), dropped()), (COUNT, [COUNT, 0]));
        drop(kept);
        assert_eq!(dropped(), [0, COUNT]);
        let handed_on = pool.map(items(), |item| item);
        assert_eq!((handed_on.len(), dropped()), (COUNT, [0, 0]));
        drop(handed_on);
        assert_eq!(dropped(), [COUNT, 0]);
        for panics_at in [0, 1, COUNT / 2, COUNT - 1] {
            let begun = AtomicUsize::new(0);
            let text = panic_text_of(|| {
                pool.map(items(), |_item| {
                    assert!(begun.fetch_add(1, Ordering::Relaxed) != panics_at, "the one");
                    Outcome
                })
            });
            assert_eq!((text.as_str(), dropped()), ("the one", [COUNT, begun.load(Ordering::Relaxed) - 1]));
        }
    });
}

/// Loops within loops, the inner ones over what the outer ones lend.
#[test]
fn nested() {
    at_cores(|pool| {
        let rows: Vec<Vec<u64>> = (0..40).map(|row| (0..row).collect()).collect();
        let sums = pool.map(&rows, |row| pool.map(row, |n| n * n).into_iter().sum::<u64>());
        assert_eq!(sums, rows.iter().map(|row| row.iter().map(|n| n * n).sum()).collect::<Vec<u64>>());
        let mut grid = vec![[0u32; 50]; 50];
        pool.map(&mut grid[..], |row| pool.map(&mut row[..], |cell| *cell += 1).len());
        assert!(grid.iter().flatten().all(|&cell| cell == 1));
    });
}

/// The first item ends only when the second half of the items is done (rayon#1178, rayon#1217; Python's chunks of an eighth, and
/// ray#29453: items that wait behind a long one while cores are idle).
#[test]
fn a_long_item_leaves_the_others_their_half() {
    for cores in [2, 64] {
        for items in [2, 3, 8, 1000, 100_000] {
            let pool = Pool::new(cores).expect("a pool");
            watched(LONG, Some(&pool), || {
                let (half, left, done) = (items / 2, AtomicUsize::new(items - items / 2), Gate::new());
                pool.for_each(0..items, |item| {
                    if item == 0 {
                        done.pass();
                    } else if item >= half && left.fetch_sub(1, Ordering::Relaxed) == 1 {
                        done.open();
                    }
                });
            });
            within(LONG, || drop(pool));
        }
    }
}
