//! What loops can run over: every kind of source, empty, of one item and of many; each item once, in order, and dropped
//! once whatever happens.

use crate::common::{assert_sound, at_cores, panic_text_of};
use purloin::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts itself while it lives.
#[derive(Debug)]
struct Live<'a>(&'a AtomicUsize, usize);

impl<'a> Live<'a> {
    fn new(count: &'a AtomicUsize, value: usize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Live(count, value)
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Which integers a range is of is inferred from what is done with them, as for the iterators of `std`.
#[test]
fn what_a_range_is_of() {
    at_cores(|pool| {
        let weights = [3, 5, 7];
        assert_eq!(pool.map(0..3, |n| weights[n]), weights);
        assert_eq!(pool.map(0..=2, |n| weights[n]), weights);
        let text = panic_text_of(|| pool.map(0..10, |n| if n == 5 { panic!("at five") } else { n }));
        assert_eq!(text, "at five");
        assert_eq!(pool.map(0..3, |n: u8| n), [0, 1, 2]);
        assert_eq!(pool.map_reduce(i64::MIN..i64::MIN + 2, |n| n, 0, i64::wrapping_add), 1);
    });
}

/// A stack that nothing could begin on is made large enough to begin on.
#[test]
fn on_tiny_stacks() {
    for cores in crate::common::CORES {
        for bytes in [0, 1, 64, 16 << 10] {
            let pool = Pool::builder().cores(cores).stack_size(bytes).build().expect("a pool");
            assert_eq!(pool.map(0..100, |n| n + 1).len(), 100);
        }
    }
}

const LENGTHS: [usize; 7] = [0, 1, 2, 3, 17, 100, 5_000];

#[test]
fn ranges() {
    at_cores(|pool| {
        for length in LENGTHS {
            assert_eq!(pool.map(7..7 + length, |n| n), (7..7 + length).collect::<Vec<_>>());
            let last = 7 + length as i64;
            assert_eq!(pool.map(-7..=last, |n| n), (-7..=last).collect::<Vec<_>>());
        }
        // As many as the type has values, which is one more than it can count.
        assert_eq!(pool.map(0..=u8::MAX, |n| n), (0..=u8::MAX).collect::<Vec<_>>());
        assert_eq!(pool.map(i8::MIN..=i8::MAX, |n| n), (i8::MIN..=i8::MAX).collect::<Vec<_>>());
        assert_eq!(pool.map(i16::MIN..=i16::MAX, |n| n), (i16::MIN..=i16::MAX).collect::<Vec<_>>());
        let end = u64::MAX - 1000..=u64::MAX;
        assert_eq!(pool.map(end.clone(), |n| n), end.collect::<Vec<_>>());
        let huge = i128::MAX - 100..i128::MAX;
        assert_eq!(pool.map(huge.clone(), |n| n), huge.collect::<Vec<_>>());
        #[allow(clippy::reversed_empty_ranges)]
        let backwards = (5..3, 5..=3);
        assert_eq!(pool.map(backwards.0, |n| n), []);
        assert_eq!(pool.map(backwards.1, |n| n), []);
    });
}

#[test]
fn ranges_that_memory_cannot_count() {
    let pool = Pool::new(1).expect("a pool");
    for text in [
        panic_text_of(|| pool.for_each(0..=u64::MAX, |_| unreachable!())),
        panic_text_of(|| pool.for_each(0..u128::MAX, |_| unreachable!())),
        panic_text_of(|| pool.for_each(i128::MIN..=i128::MAX, |_| unreachable!())),
    ] {
        assert!(text.ends_with("has more items than memory has addresses"), "{text}");
    }
    // One less can be counted.
    let stopped = pool.try_for_each(0..u64::MAX, |n| if n == 1000 { Err(n) } else { Ok(()) });
    assert_eq!(stopped, Err(1000));
}

#[test]
fn borrowed_slices() {
    at_cores(|pool| {
        for length in LENGTHS {
            let numbers: Vec<usize> = (0..length).collect();
            assert_eq!(pool.map(&numbers, |n| n + 1), (1..=length).collect::<Vec<_>>());
            assert_eq!(pool.map(&numbers[..], |n| n + 1), (1..=length).collect::<Vec<_>>());
        }
        assert_eq!(pool.map(&[1, 2, 3], |n| n + 1), [2, 3, 4]);
        assert_eq!(pool.map(&[0; 0], |n: &i32| n + 1), []);
        let texts = ["a".to_string(), "b".to_string()];
        let found: Vec<&str> = pool.map(&texts, |text| text.as_str());
        assert_eq!(found, ["a", "b"], "the results may borrow from the items");
    });
}

#[test]
fn slices_borrowed_to_be_changed() {
    at_cores(|pool| {
        for length in LENGTHS {
            let mut numbers: Vec<usize> = (0..length).collect();
            pool.for_each(&mut numbers, |n| *n += 1);
            let old = pool.map(&mut numbers[..], |n| std::mem::replace(n, 0));
            assert_eq!(old, (1..=length).collect::<Vec<_>>());
            assert!(numbers.iter().all(|&n| n == 0) && numbers.len() == length);
        }
        let mut array = [1, 2, 3];
        let places: Vec<&mut i32> = pool.map(&mut array, |n| n);
        places.into_iter().for_each(|n| *n *= 2);
        assert_eq!(array, [2, 4, 6]);
    });
}

#[test]
fn items_moved_out() {
    at_cores(|pool| {
        let live = AtomicUsize::new(0);
        for length in LENGTHS {
            let items: Vec<Live> = (0..length).map(|n| Live::new(&live, n)).collect();
            let passed_on = pool.map(items, |item| item);
            assert_eq!(live.load(Ordering::Relaxed), length);
            assert!(passed_on.iter().enumerate().all(|(index, item)| item.1 == index));
            pool.for_each(passed_on, drop);
            assert_eq!(live.load(Ordering::Relaxed), 0);
        }
        let array: [Live; 33] = std::array::from_fn(|n| Live::new(&live, n));
        assert_eq!(pool.map(array, |item| item.1), (0..33).collect::<Vec<_>>());
        assert_eq!(live.load(Ordering::Relaxed), 0);
        assert_eq!(pool.map([] as [Live; 0], |item| item.1), []);
        // Of no size, but with a drop that counts.
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        struct Nothing;
        impl Drop for Nothing {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::Relaxed);
            }
        }
        DROPS.store(0, Ordering::Relaxed);
        let passed_on = pool.map(Vec::from_iter((0..1000).map(|_| Nothing)), |item| item);
        assert_eq!((passed_on.len(), DROPS.load(Ordering::Relaxed)), (1000, 0));
        drop(passed_on);
        assert_eq!(DROPS.load(Ordering::Relaxed), 1000);
    });
}

/// A panic at each index in turn: what it says arrives, and items and results are all dropped, once.
#[test]
fn a_panic_at_each_index() {
    at_cores(|pool| {
        let (items, results) = (AtomicUsize::new(0), AtomicUsize::new(0));
        for length in [1, 2, 3, 17, 60] {
            for bad in 0..length {
                let run = |item: Live| {
                    assert!(item.1 != bad, "item {}", item.1);
                    Live::new(&results, item.1)
                };
                let source: Vec<Live> = (0..length).map(|n| Live::new(&items, n)).collect();
                assert_eq!(panic_text_of(|| pool.map(source, run)), format!("item {bad}"));
                let source: Vec<Live> = (0..length).map(|n| Live::new(&items, n)).collect();
                assert_eq!(panic_text_of(|| pool.try_map(source, |n| Ok::<_, ()>(run(n)))), format!("item {bad}"));
                let source: Vec<Live> = (0..length).map(|n| Live::new(&items, n)).collect();
                let first = |a: Live, _b: Live| Live::new(&results, a.1);
                let identity = Live::new(&results, 0);
                let reduced = || pool.map_reduce(source, run, identity, first).1;
                assert_eq!(panic_text_of(reduced), format!("item {bad}"));
                assert_eq!(items.load(Ordering::Relaxed), 0, "items of {length}, panic at {bad}");
                assert_eq!(results.load(Ordering::Relaxed), 0, "results of {length}, panic at {bad}");
            }
        }
        let array: [Live; 17] = std::array::from_fn(|n| Live::new(&items, n));
        assert_eq!(panic_text_of(|| pool.for_each(array, |item| assert!(item.1 != 8, "eight"))), "eight");
        assert_eq!(items.load(Ordering::Relaxed), 0);
        assert_sound(pool);
    });
}

/// Of several panics the first by index arrives, if all items before it were begun: as they are in a serial loop.
#[test]
fn the_first_of_many_panics() {
    at_cores(|pool| {
        for first in [0, 1, 50, 99] {
            let text = panic_text_of(|| pool.for_each(0..100, |n| assert!(n < first, "item {n}")));
            assert_eq!(text, format!("item {first}"));
        }
    });
}
