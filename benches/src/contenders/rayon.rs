//! rayon: the runtime that most programs use today.

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::{Loops, Runtime, Scopes, Spawns};

/// A thread pool of rayon's own, never its global one.
pub struct Rayon(rayon::ThreadPool);

impl Runtime for Rayon {
    const NAME: &'static str = "rayon";
    type Context<'c> = ();

    fn start(threads: usize) -> Self {
        Rayon(rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool of that size can be built"))
    }

    fn region<F, T>(&self, work: F) -> T
    where
        F: FnOnce(&mut ()) -> T + Send,
        T: Send,
    {
        self.0.install(|| work(&mut ()))
    }

    #[inline(always)]
    fn fork<A, B, RA, RB>((): &mut (), first: A, second: B) -> (RA, RB)
    where
        A: FnOnce(&mut ()) -> RA + Send,
        B: FnOnce(&mut ()) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        rayon::join(|| first(&mut ()), || second(&mut ()))
    }
}

impl Scopes for Rayon {
    fn scope<F, G>(&self, count: usize, task: F, then: G)
    where
        F: Fn() + Copy + Send + Sync,
        G: FnOnce() + Send,
    {
        self.0.scope(|scope| {
            for _ in 0..count {
                scope.spawn(move |_| task());
            }
            then();
        });
    }
}

impl Spawns for Rayon {
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F) {
        self.0.spawn(task);
    }
}

impl Loops for Rayon {
    fn map<F, T>(&self, count: usize, f: F) -> Vec<T>
    where
        F: Fn(usize) -> T + Send + Sync,
        T: Send,
    {
        self.0.install(|| (0..count).into_par_iter().map(f).collect())
    }
}
