//! What a round does: a tree of work of all kinds, which follows from a seed.

use crate::pools::{Locks, Pools};
use crate::seed::Seed;
use crate::watch::STEPS;
use crate::{bombs, limited, locks, loops, signals, streams, tasks};
use purloin::Pool;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// The most levels of a tree.
pub const DEPTH: u64 = 4;

/// A tree of work: what it is follows from its seed. `serial` and `parallel` give the same number.
#[derive(Clone, Copy)]
pub struct Tree {
    pub seed: Seed,
    pub depth: u64,
}

impl Tree {
    pub fn child(self, index: u64) -> Tree {
        Tree { seed: self.seed.part(index), depth: self.depth - 1 }
    }

    fn leaf(self) -> bool {
        self.depth == 0 || self.seed.once_in(16)
    }

    pub fn children(self) -> u64 {
        2 + self.seed.part(7 << 32).below(if self.depth > 2 { 3 } else { 9 })
    }

    fn combine(self, sum: u64) -> u64 {
        sum.wrapping_mul(31).wrapping_add(self.seed.0)
    }

    pub fn serial(self) -> u64 {
        if self.leaf() {
            return self.seed.0;
        }
        let children = (0..self.children()).map(|n| self.child(n).serial());
        self.combine(children.fold(0, u64::wrapping_add))
    }

    pub fn parallel(self, pools: &Pools) -> u64 {
        self.seed.dawdle();
        let result = if self.leaf() {
            self.aside(pools);
            self.seed.0
        } else {
            let sum = self.children_sum(pools);
            self.combine(sum)
        };
        STEPS.fetch_add(1, Ordering::Relaxed);
        result
    }

    fn children_sum(self, pools: &Pools) -> u64 {
        let (pool, children) = (&pools.main, self.children());
        let run = |n: u64| self.child(n).parallel(pools);
        let way = self.seed.part(8 << 32);
        match way.below(24) {
            0..5 => halves(pool, 0, children, &run),
            5..7 => tasks::scoped(self, pools),
            7..9 => tasks::spawned(self, pools),
            9..13 => loops::sum(pool, way, children, &run),
            13..16 => limited::sum(pool, way, children, &run),
            16..18 => streams::sum(self, pools),
            18 => (0..children).map(run).fold(0, u64::wrapping_add),
            19 if pools.across => pools.other.install(|| halves(&pools.other, 0, children, &run)),
            19 if pools.global => halves_here(0, children, &run),
            19 => pool.install(|| halves_here(0, children, &run)),
            20 => pool.install(|| loops::sum(pool, way, children, &run)),
            21 => self.locked(pools, || halves(pool, 0, children, &run)),
            22 => {
                bombs::set_off(pool, self.seed);
                halves(pool, 0, children, &run)
            }
            _ if self.depth > 1 && way.part(1).once_in(3) => {
                let serial = |n: u64| self.child(n).serial();
                within_another(pool, way, |inner| halves(inner, 0, children, &serial))
            }
            _ => halves(pool, 0, children, &run),
        }
    }

    /// Does its work with a lock held, while others work for the holder and others want the lock. Nobody takes it who holds
    /// a lower one.
    fn locked<R>(self, pools: &Pools, work: impl FnOnce() -> R) -> R {
        let level = &pools.levels[self.depth as usize];
        match (pools.locks, self.seed.part(11 << 32).below(3)) {
            (Locks::None, _) => work(),
            (Locks::Std, _) => {
                let _guard = level.std.lock().unwrap_or_else(PoisonError::into_inner);
                work()
            }
            (Locks::Own, 0) => {
                let _guard = level.own.lock();
                work()
            }
            (Locks::Own, 1) => {
                let _guard = level.shared.read();
                work()
            }
            (Locks::Own, _) => {
                let _guard = level.shared.write();
                work()
            }
        }
    }

    /// What some leaves do beside: a program whose tasks work on something shared.
    fn aside(self, pools: &Pools) {
        let seed = self.seed.part(12 << 32);
        match seed.below(24) {
            0 => locks::run(&pools.main, seed.part(1)),
            1 => pools.with_patience(seed.part(2), |patience| signals::run(&pools.main, seed.part(3), patience)),
            2 => {
                let stats = pools.main.stats();
                assert_eq!(stats.cores, pools.main.cores());
                assert!(format!("{:#?}", pools.main).starts_with("Pool"));
                assert!(stats.threads <= stats.peak_threads && stats.peak_threads > 0, "{stats}");
            }
            3 => purloin::sync::waiting().threads().iter().for_each(|waiting| {
                assert!(!waiting.kind().is_empty() && waiting.location().file().ends_with(".rs"));
            }),
            _ => {}
        }
    }
}

/// A tree of forks, one leaf for each number.
pub fn halves(pool: &Pool, from: u64, to: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> u64 {
    if to - from == 1 {
        return run(from);
    }
    let middle = from + (to - from) / 2;
    let (x, y) = pool.join(|| halves(pool, from, middle, run), || halves(pool, middle, to, run));
    x.wrapping_add(y)
}

/// The same by the functions that find the pool themselves.
fn halves_here(from: u64, to: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> u64 {
    if to - from == 1 {
        return run(from);
    }
    let middle = from + (to - from) / 2;
    let (x, y) = if to - from == 3 {
        purloin::scope(|s| {
            let left = s.spawn(|| halves_here(from, middle, run));
            let right = halves_here(middle, to, run);
            (tasks::done(left.join()), right)
        })
    } else {
        purloin::join(|| halves_here(from, middle, run), || halves_here(middle, to, run))
    };
    x.wrapping_add(y)
}

/// Work in a pool that is made for it, and ends in one of several ways: perhaps where a task of its own drops it last.
fn within_another<R: Send>(outer: &Pool, seed: Seed, work: impl FnOnce(&Pool) -> R + Send) -> R {
    let inner = Pool::builder().cores(1 + seed.part(2).below(2) as usize).max_threads(3).build();
    let inner = inner.unwrap_or_else(|error| panic!("no pool: {error}"));
    let result = inner.install(|| work(&inner));
    match seed.part(3).below(4) {
        0 => inner.close(),
        1 => inner.terminate(),
        2 => {
            let last = inner.clone();
            drop(inner.spawn(move || drop(last)));
        }
        _ => {
            let last = inner.clone();
            drop(outer.spawn(move || drop(last)));
        }
    }
    result
}

pub fn total(numbers: impl IntoIterator<Item = u64>) -> u64 {
    numbers.into_iter().fold(0, u64::wrapping_add)
}
