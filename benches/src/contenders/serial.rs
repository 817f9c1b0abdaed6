//! The baseline: no runtime at all.

use std::hint::black_box;

use super::{Loops, Runtime, Scopes, Spawns};

/// Runs everything where it is called, in order.
pub struct Serial;

impl Runtime for Serial {
    const NAME: &'static str = "serial";
    type Context<'c> = ();

    fn start(_threads: usize) -> Self {
        Serial
    }

    fn region<F, T>(&self, work: F) -> T
    where
        F: FnOnce(&mut ()) -> T + Send,
        T: Send,
    {
        work(&mut ())
    }

    #[inline(always)]
    fn fork<A, B, RA, RB>((): &mut (), first: A, second: B) -> (RA, RB)
    where
        A: FnOnce(&mut ()) -> RA + Send,
        B: FnOnce(&mut ()) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        (first(&mut ()), second(&mut ()))
    }
}

impl Scopes for Serial {
    fn scope<F, G>(&self, count: usize, task: F, then: G)
    where
        F: Fn() + Copy + Send + Sync,
        G: FnOnce() + Send,
    {
        for _ in 0..count {
            // A call that may not be seen through, as in a runtime: else the loop would vanish.
            black_box(&task)();
        }
        then();
    }
}

impl Spawns for Serial {
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F) {
        black_box(task)();
    }
}

impl Loops for Serial {
    fn map<F, T>(&self, count: usize, f: F) -> Vec<T>
    where
        F: Fn(usize) -> T + Send + Sync,
        T: Send,
    {
        (0..count).map(f).collect()
    }
}
