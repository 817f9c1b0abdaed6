//! Children in a loop that may be stopped midway: what had been done by then is given back, and the rest is done after it.

use crate::seed::Seed;
use crate::tree::total;
use purloin::{CancelToken, Cancelled, Options, Pool, Progress, is_cancelled};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// The sum of `run` for the numbers below `count`.
pub fn sum(pool: &Pool, seed: Seed, count: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> u64 {
    let (token, progress) = (CancelToken::new(), Progress::new());
    let mut options = Options::new().progress(&progress);
    let limit = seed.part(4).below(4);
    if limit & 1 != 0 {
        options = options.token(&token.child());
    }
    if limit & 2 != 0 {
        options = options.deadline(Instant::now() + seed.part(5).moment(3_000));
    }
    let last = seed.part(6).below(count);
    let work = |n: u64| {
        let result = run(n);
        if n == last {
            token.cancel();
        }
        // Whether it says so yet is a matter of luck; and an outer loop may have been stopped.
        let _ = is_cancelled();
        result
    };
    let pool = pool.with(options);
    let completed = |result: u64| {
        assert_eq!((progress.done() as u64, progress.total()), (count, Some(count as usize)));
        result
    };
    match seed.part(7).below(6) {
        0 => match pool.map(0..count, work) {
            Ok(results) => completed(total(results)),
            Err(stopped) => rest(stopped, count, run),
        },
        1 => match pool.try_map(0..count, |n| if n < count { Ok(work(n)) } else { Err(n) }) {
            Ok(results) => completed(total(results.expect("none fails"))),
            Err(stopped) => rest(stopped, count, run),
        },
        2 => {
            let slots = Slots::new(count);
            match pool.for_each(0..count, |n| slots.put(n, work(n))) {
                Ok(()) => completed(slots.sum()),
                Err(stopped) => slots.rest(stopped, run),
            }
        }
        3 => {
            let slots = Slots::new(count);
            let tried = pool.try_for_each(0..count, |n| {
                slots.put(n, work(n));
                if n < count { Ok(()) } else { Err(n) }
            });
            match tried {
                Ok(all) => {
                    all.expect("none fails");
                    completed(slots.sum())
                }
                Err(stopped) => slots.rest(stopped, run),
            }
        }
        4 => {
            let join = |a: (u64, u64), b: (u64, u64)| {
                assert_eq!(a.0 & b.0, 0, "each item once");
                (a.0 | b.0, a.1.wrapping_add(b.1))
            };
            let (done, sum) = match pool.map_reduce(0..count, |n| (1 << n, work(n)), (0, 0), join) {
                Ok(all) => all,
                Err(stopped) => {
                    assert_eq!(u64::from(stopped.done.0.count_ones()), stopped.finished as u64);
                    stopped.done
                }
            };
            sum.wrapping_add(total((0..count).filter(|n| done & (1 << n) == 0).map(run)))
        }
        _ => match pool.install(|| total((0..count).map(work))) {
            Ok(sum) => sum,
            Err(stopped) => {
                assert_eq!(stopped.finished, 0);
                total((0..count).map(run))
            }
        },
    }
}

/// The sum, when some results are there.
fn rest(stopped: Cancelled<Vec<Option<u64>>>, count: u64, run: &impl Fn(u64) -> u64) -> u64 {
    assert_eq!(stopped.finished, stopped.done.iter().flatten().count());
    let done = |n: u64| stopped.done.get(n as usize).copied().flatten();
    total((0..count).map(|n| done(n).unwrap_or_else(|| run(n))))
}

/// Results of a loop that gives none.
struct Slots(Vec<(AtomicBool, AtomicU64)>);

impl Slots {
    fn new(count: u64) -> Slots {
        Slots((0..count).map(|_| Default::default()).collect())
    }

    fn put(&self, n: u64, result: u64) {
        let (done, slot) = &self.0[n as usize];
        slot.store(result, Ordering::Relaxed);
        assert!(!done.swap(true, Ordering::Relaxed), "each item once");
    }

    fn sum(self) -> u64 {
        total(self.0.into_iter().map(|(done, slot)| {
            assert!(done.into_inner(), "an item was left out");
            slot.into_inner()
        }))
    }

    fn rest(self, stopped: Cancelled<Vec<Range<usize>>>, run: &impl Fn(u64) -> u64) -> u64 {
        assert_eq!(stopped.finished, stopped.done.iter().map(Range::len).sum());
        total((0..).zip(self.0).map(|(n, (done, slot))| {
            let told = stopped.done.iter().any(|range| range.contains(&(n as usize)));
            assert_eq!(told, done.into_inner(), "item {n} is told of exactly if it is done");
            if told { slot.into_inner() } else { run(n) }
        }))
    }
}
