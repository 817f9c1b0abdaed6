//! chili: heartbeat scheduling, and the least cost of a fork among the rivals. It has neither scopes with tasks nor
//! spawns.

use std::num::NonZero;

use super::Runtime;

/// A thread pool of chili's; the calling thread is one of its threads.
pub struct Chili(chili::ThreadPool);

impl Runtime for Chili {
    const NAME: &'static str = "chili";
    type Context<'c> = chili::Scope<'c>;

    fn start(threads: usize) -> Self {
        Chili(chili::ThreadPool::with_config(chili::Config {
            thread_count: NonZero::new(threads),
            ..Default::default()
        }))
    }

    fn region<F, T>(&self, work: F) -> T
    where
        F: FnOnce(&mut Self::Context<'_>) -> T + Send,
        T: Send,
    {
        work(&mut self.0.scope())
    }

    /// chili begins with its second argument and offers its first.
    #[inline(always)]
    fn fork<A, B, RA, RB>(context: &mut Self::Context<'_>, first: A, second: B) -> (RA, RB)
    where
        A: FnOnce(&mut Self::Context<'_>) -> RA + Send,
        B: FnOnce(&mut Self::Context<'_>) -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let (second, first) = context.join(second, first);
        (first, second)
    }
}
