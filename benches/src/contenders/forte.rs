//! Forte: heartbeat and lazy scheduling together. Behind a feature, see Cargo.toml.

use forte::{ThreadPool, Worker};

use super::{Runtime, Scopes, Spawns};

/// Forte's pools are statics; one line at a time sets the size of this one.
static POOL: ThreadPool = ThreadPool::new();

/// Forte's pool; the calling thread is one of its threads.
pub struct Forte(());

impl Drop for Forte {
    fn drop(&mut self) {
        POOL.depopulate();
    }
}

impl Runtime for Forte {
    const NAME: &'static str = "forte";
    type Context<'c> = &'c Worker;

    fn start(threads: usize) -> Self {
        POOL.resize_to(threads - 1);
        Forte(())
    }

    fn region<F, T>(&self, work: F) -> T
    where
        F: FnOnce(&mut Self::Context<'_>) -> T + Send,
        T: Send,
    {
        POOL.with_worker(|mut worker| work(&mut worker))
    }

    /// Forte begins with its second argument and offers its first, unless it has offered enough: then it offers
    /// neither and begins with its first. So in deep recursion it mostly visits in the other order than the rest.
    #[inline(always)]
    fn fork<A, B, RA, RB>(context: &mut Self::Context<'_>, first: A, second: B) -> (RA, RB)
    where
        A: FnOnce(&mut Self::Context<'_>) -> RA + Send,
        B: FnOnce(&mut Self::Context<'_>) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let (second, first) = context.join(|mut worker| second(&mut worker), |mut worker| first(&mut worker));
        (first, second)
    }
}

impl Scopes for Forte {
    fn scope<F, G>(&self, count: usize, task: F, then: G)
    where
        F: Fn() + Copy + Send + Sync,
        G: FnOnce() + Send,
    {
        POOL.scope(|scope| {
            for _ in 0..count {
                scope.spawn(move |_: &Worker| task());
            }
            then();
        });
    }
}

impl Spawns for Forte {
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F) {
        POOL.spawn(move |_: &Worker| task());
    }
}
