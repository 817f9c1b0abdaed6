//! The runtimes that compete, each behind the same few traits, so that a workload is written once and compiled for
//! each.

mod bare;
mod chili;
#[cfg(feature = "forte")]
mod forte;
mod purloin;
mod rayon;
mod serial;
mod tokio;

use std::time::{Duration, Instant};

pub use self::bare::Bare;
pub use self::chili::Chili;
#[cfg(feature = "forte")]
pub use self::forte::Forte;
pub use self::purloin::Purloin;
pub use self::rayon::Rayon;
pub use self::serial::Serial;
pub use self::tokio::Tokio;

/// A fork-join runtime.
pub trait Runtime: Sync {
    /// What the tables call it.
    const NAME: &'static str;

    /// What running code carries along to fork with: nothing where the runtime finds its worker by itself.
    type Context<'c>;

    /// A runtime of `threads` threads in all. Where a caller from outside takes part in the work, it is one of them.
    fn start(threads: usize) -> Self;

    /// Runs `work` on the runtime, called from a thread outside it, and returns when it is done.
    fn region<F, T>(&self, work: F) -> T
    where
        F: FnOnce(&mut Self::Context<'_>) -> T + Send,
        T: Send;

    /// Runs both, perhaps at the same time: this thread begins with `first` and offers `second` to the others,
    /// whichever of its arguments the runtime itself begins with.
    fn fork<A, B, RA, RB>(context: &mut Self::Context<'_>, first: A, second: B) -> (RA, RB)
    where
        A: FnOnce(&mut Self::Context<'_>) -> RA + Send,
        B: FnOnce(&mut Self::Context<'_>) -> RB + Send,
        RA: Send,
        RB: Send;
}

/// A runtime with scopes in which borrowed tasks are spawned.
pub trait Scopes: Runtime {
    /// From a thread outside: opens a scope, spawns `count` times `task` in it, runs `then` in the scope, and waits
    /// for all.
    fn scope<F, G>(&self, count: usize, task: F, then: G)
    where
        F: Fn() + Copy + Send + Sync,
        G: FnOnce() + Send;
}

/// A runtime that takes tasks from outside and lets them run on their own.
pub trait Spawns {
    /// Hands `task` over, and does not wait for it.
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F);
}

/// A runtime with a loop whose results come in order.
pub trait Loops: Runtime {
    /// From a thread outside: `f` of each index below `count`.
    fn map<F, T>(&self, count: usize, f: F) -> Vec<T>
    where
        F: Fn(usize) -> T + Send + Sync,
        T: Send;
}

/// Fork-join work, written once for all runtimes.
pub trait Workload: Sync {
    /// What one run changes: its input where that is used up, and its result.
    type State: Send;

    /// A fresh state, made outside the timed part.
    fn state(&self) -> Self::State;

    /// The timed part.
    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, state: &mut Self::State);

    /// Panics if the result is wrong; outside the timed part.
    fn check(&self, state: &Self::State);
}

/// One run of `work` from a thread outside the runtime.
pub fn time<R: Runtime, W: Workload>(runtime: &R, work: &W) -> Duration {
    let mut state = work.state();
    let start = Instant::now();
    runtime.region(|context| work.run::<R>(context, &mut state));
    let elapsed = start.elapsed();
    work.check(&state);
    elapsed
}

/// Something to do once for each fork-join runtime, the serial one first.
pub trait ForEach {
    /// Does it for `R`.
    fn runtime<R: Runtime + 'static>(&mut self);
}

/// Every fork-join runtime there is.
pub fn for_each(visitor: &mut impl ForEach) {
    visitor.runtime::<Serial>();
    visitor.runtime::<Purloin>();
    visitor.runtime::<Rayon>();
    visitor.runtime::<Chili>();
    #[cfg(feature = "forte")]
    visitor.runtime::<Forte>();
}
