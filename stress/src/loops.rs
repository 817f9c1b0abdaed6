//! Children in a loop, over every kind of source.

use crate::seed::Seed;
use crate::tree::total;
use purloin::Pool;
use std::sync::atomic::{AtomicU64, Ordering};

/// The sum of `run` for the numbers below `count`.
pub fn sum(pool: &Pool, seed: Seed, count: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> u64 {
    let numbers = || (0..count).collect::<Vec<u64>>();
    let stretch = |(from, to): (u64, u64)| total((from..to).map(run));
    let halves = [(0, count / 2), (count / 2, count)];
    match seed.part(2).below(14) {
        0 => total(pool.map(0..count, run)),
        1 => total(pool.map(1..=count, |n| run(n - 1))),
        2 => total(pool.map(numbers(), run)),
        3 => total(pool.map(&numbers(), |n| run(*n))),
        4 => {
            let mut numbers = numbers();
            pool.for_each(&mut numbers[..], |n| *n = run(*n));
            total(numbers)
        }
        5 => {
            let sum = AtomicU64::new(0);
            pool.for_each(numbers(), |n| _ = sum.fetch_add(run(n), Ordering::Relaxed));
            sum.into_inner()
        }
        6 => total(pool.map(halves, stretch)),
        7 => total(pool.map(&halves, |&half| stretch(half))),
        8 => {
            let mut sums = halves;
            pool.for_each(&mut sums, |half| half.0 = stretch(*half));
            total(sums.map(|(sum, _)| sum))
        }
        9 => total(pool.try_map(0..count, |n| Ok::<_, ()>(run(n))).expect("none fails")),
        10 => {
            let first = seed.part(3).below(count);
            let tried = pool.try_map(0..count, |n| {
                seed.part(n).dawdle();
                if n >= first { Err(n) } else { Ok(n.to_string()) }
            });
            assert_eq!(tried, Err(first), "the error of the first item that fails");
            total(pool.map(0..count, run))
        }
        11 => {
            let sum = AtomicU64::new(0);
            let tried = pool.try_for_each(0..count, |n| {
                sum.fetch_add(run(n), Ordering::Relaxed);
                if n + 1 == count { Err(n) } else { Ok(()) }
            });
            assert_eq!(tried, Err(count - 1), "all before the one that fails are done");
            sum.into_inner()
        }
        12 => pool.map_reduce(numbers(), run, 0, u64::wrapping_add),
        _ => {
            // In order, whoever combines what.
            let reduce = |a: (u64, u64, u64), b: (u64, u64, u64)| {
                assert_eq!(a.1, b.0, "neighbours are combined");
                (a.0, b.1, a.2.wrapping_add(b.2))
            };
            let (from, to, sum) = pool.map_reduce(0..count, |n| (n, n + 1, run(n)), (0, 0, 0), reduce);
            assert_eq!((from, to), (0, count));
            sum
        }
    }
}
