//! The home side.

use super::{Loops, Runtime, Scopes, Spawns};

/// A pool of purloin's.
pub struct Purloin(purloin::Pool);

impl Runtime for Purloin {
    const NAME: &'static str = "purloin";
    type Context<'c> = ();

    fn start(threads: usize) -> Self {
        Purloin(purloin::Pool::new(threads).expect("a pool of that size can be built"))
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
        purloin::join(|| first(&mut ()), || second(&mut ()))
    }
}

impl Scopes for Purloin {
    fn scope<F, G>(&self, count: usize, task: F, then: G)
    where
        F: Fn() + Copy + Send + Sync,
        G: FnOnce() + Send,
    {
        self.0.scope(|scope| {
            for _ in 0..count {
                drop(scope.spawn(task));
            }
            then();
        });
    }
}

impl Spawns for Purloin {
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F) {
        drop(self.0.spawn(task));
    }
}

impl Loops for Purloin {
    fn map<F, T>(&self, count: usize, f: F) -> Vec<T>
    where
        F: Fn(usize) -> T + Send + Sync,
        T: Send,
    {
        self.0.map(0..count, f)
    }
}
