//! What a round does: a tree of work of all kinds, which follows from a seed.

use purloin::{JoinError, JoinHandle, Pool, Scope};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// The most levels of a tree.
pub const DEPTH: u64 = 4;

/// What a closure panics with on purpose.
pub struct OnPurpose(u64);

/// What a round uses.
#[derive(Clone)]
pub struct Pools {
    pub main: Pool,
    pub other: Pool,
    /// One for each level.
    pub locks: Arc<[Mutex<()>; DEPTH as usize + 1]>,
    /// The round uses both pools, and no locks: who waits, from outside a pool, for a task that is queued there must hold
    /// nothing that those want who have the cores. Without, a caller may hold a lock while it waits for a core.
    pub across: bool,
}

/// A seed from which any number of others follow (Steele, Lea, Flood 2014: SplitMix).
#[derive(Clone, Copy)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of a part: the same number in whichever order the parts are done.
    pub fn part(self, index: u64) -> Seed {
        let mut z = self.0.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Seed(z ^ (z >> 31))
    }

    /// A number below `limit`.
    pub fn below(self, limit: u64) -> u64 {
        self.part(!0).0 % limit
    }

    /// Takes some time, or none, in one of the ways in which user code does.
    pub fn dawdle(self) {
        let n = self.part(1 << 32).0;
        match n % 64 {
            0..32 => {}
            32..52 => (0..n / 64 % 2_000).for_each(|_| std::hint::spin_loop()),
            52..60 => (0..n / 64 % 4).for_each(|_| thread::yield_now()),
            60..63 => thread::sleep(Duration::from_micros(n / 64 % 60)),
            _ => thread::sleep(Duration::from_micros(n / 64 % 400)),
        }
    }
}

/// A tree of work: what it is follows from its seed. `serial` and `parallel` give the same number.
#[derive(Clone, Copy)]
pub struct Tree {
    pub seed: Seed,
    pub depth: u64,
}

impl Tree {
    fn child(self, index: u64) -> Tree {
        Tree { seed: self.seed.part(index), depth: self.depth - 1 }
    }

    fn leaf(self) -> bool {
        self.depth == 0 || self.seed.below(16) == 0
    }

    fn children(self) -> u64 {
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
        if self.leaf() {
            return self.seed.0;
        }
        let (pool, children) = (&pools.main, self.children());
        let run = |n: u64| self.child(n).parallel(pools);
        let sum = match self.seed.part(8 << 32).below(16) {
            0..4 => halves(pool, 0, children, &run),
            4 => self.in_scope(pools, false),
            5 => self.in_scope(pools, true),
            6 => {
                let tasks: Vec<_> = (0..children)
                    .map(|n| {
                        let (pools, child) = (pools.clone(), self.child(n));
                        pool.spawn(move || child.parallel(&pools))
                    })
                    .collect();
                // Joined in either order: the last is likely to be unbegun, the first to be running. The pool may have
                // been closed meanwhile.
                let join = |(n, task): (u64, JoinHandle<u64>)| match task.join() {
                    Err(JoinError::Cancelled) => run(n),
                    result => done(result),
                };
                let tasks = (0..children).zip(tasks);
                let results: Vec<_> = if children.is_multiple_of(2) {
                    tasks.map(join).collect()
                } else {
                    tasks.collect::<Vec<_>>().into_iter().rev().map(join).collect()
                };
                total(&results)
            }
            7 => total(&pool.map(0..children, run)),
            8 => total(&pool.map((0..children).collect::<Vec<_>>(), run)),
            9 => total(&pool.map(&(0..children).collect::<Vec<_>>(), |n| run(*n))),
            10 => {
                let mut numbers: Vec<_> = (0..children).collect();
                pool.map(&mut numbers[..], |n| *n = run(*n));
                total(&numbers)
            }
            11 => (0..children).map(run).fold(0, u64::wrapping_add),
            12 if pools.across => pools.other.install(|| halves(&pools.other, 0, children, &run)),
            13 => pool.install(|| total(&pool.map(0..children, run))),
            14 if !pools.across => {
                // Held while others work for its holder and others want it; never taken by those that hold a lower one.
                let _guard = pools.locks[self.depth as usize].lock();
                halves(pool, 0, children, &run)
            }
            15 => {
                let bomb = self.seed.0;
                match catch_unwind(AssertUnwindSafe(|| explode(pool, self.seed, bomb))) {
                    Ok(()) => panic!("a panic got lost"),
                    Err(payload) => {
                        let payload = payload.downcast::<OnPurpose>();
                        assert!(payload.is_ok_and(|payload| payload.0 == bomb), "another panic came out");
                    }
                }
                halves(pool, 0, children, &run)
            }
            _ => halves(pool, 0, children, &run),
        };
        self.combine(sum)
    }

    /// The children as tasks of a scope, joined, or left to its end.
    fn in_scope(self, pools: &Pools, joined: bool) -> u64 {
        let sum = AtomicU64::new(0);
        pools.main.scope(|s| {
            let mut handles = Vec::new();
            for n in 0..self.children() {
                let (child, sum) = (self.child(n), &sum);
                let handle = s.spawn(move || nested(s, child, pools, sum));
                if joined {
                    handles.push(handle);
                }
            }
            handles.into_iter().for_each(|handle| done(handle.join()));
        });
        sum.into_inner()
    }
}

/// A task that does its work itself, or leaves it to another task of the same scope.
fn nested<'scope>(s: &'scope Scope<'scope, '_>, tree: Tree, pools: &'scope Pools, sum: &'scope AtomicU64) {
    let work = move || _ = sum.fetch_add(tree.parallel(pools), Ordering::Relaxed);
    match tree.seed.part(9 << 32).below(3) {
        0 => drop(s.spawn(work)),
        1 => done(s.spawn(work).join()),
        _ => work(),
    }
}

fn total(numbers: &[u64]) -> u64 {
    numbers.iter().copied().fold(0, u64::wrapping_add)
}

fn done<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| error.resume())
}

/// A tree of forks, one leaf for each number.
fn halves(pool: &Pool, from: u64, to: u64, run: &(impl Fn(u64) -> u64 + Sync)) -> u64 {
    if to - from == 1 {
        return run(from);
    }
    let middle = from + (to - from) / 2;
    let (x, y) = pool.join(|| halves(pool, from, middle, run), || halves(pool, middle, to, run));
    x.wrapping_add(y)
}

/// Panics in a region, after a while.
fn explode(pool: &Pool, seed: Seed, bomb: u64) {
    let go_off = || {
        seed.dawdle();
        panic_any(OnPurpose(bomb))
    };
    match seed.part(10 << 32).below(6) {
        0 => drop(pool.join(|| seed.part(1).dawdle(), go_off)),
        1 => drop(pool.join(go_off, || seed.part(1).dawdle())),
        2 => drop(pool.map(0..50u64, |n| if n == bomb % 50 { go_off() } else { seed.part(n).dawdle() })),
        3 => pool.scope(|s| {
            (0..4).for_each(|n| drop(s.spawn(move || seed.part(n).dawdle())));
            drop(s.spawn(go_off));
        }),
        4 => match pool.spawn(move || panic_any(OnPurpose(bomb))).join() {
            Err(JoinError::Cancelled) => go_off(),
            result => done(result),
        },
        _ => pool.install(go_off),
    }
}
