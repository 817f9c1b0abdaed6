//! What most models go without, since it multiplies their executions, and a few have for a subject of their own: short looks
//! before a thread blocks, naps, and cores that are lent.

use std::cell::Cell;

/// What a model has of that.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Useless wakes in a row after which waking becomes lazy. Never, in most models: a nap ends when a thread of the model
    /// says so, which plays the clock.
    pub patience: u32,
    /// Looks at an awaited answer before the thread gives up its core and blocks.
    pub block_rounds: u32,
    /// The same for a lock that is not free.
    pub lock_rounds: u32,
    /// Cores to lend. None, in most models. With one, who waits for a core, and finds none free, may be lent it at once:
    /// the clock has always come far enough.
    pub spare_cores: usize,
    /// No time passes. In most models so much passes between two looks at the clock that it is long, whatever that is.
    pub still: bool,
}

impl Policy {
    /// That of most models.
    pub const COMMON: Policy =
        Policy { patience: u32::MAX, block_rounds: 0, lock_rounds: 0, spare_cores: 0, still: false };
}

std::thread_local! {
    /// All threads of a model run on one thread of the operating system, and each test on its own.
    static POLICY: Cell<Policy> = const { Cell::new(Policy::COMMON) };
    static PAUSES: Cell<u32> = const { Cell::new(0) };
}

/// Plays one execution under that policy.
pub fn with_policy<R>(policy: Policy, execution: impl FnOnce() -> R) -> R {
    struct Restore(Policy);
    impl Drop for Restore {
        fn drop(&mut self) {
            POLICY.set(self.0);
        }
    }
    PAUSES.set(0);
    let _restore = Restore(POLICY.replace(policy));
    execution()
}

/// See [`Policy::patience`].
pub fn patience() -> u32 {
    POLICY.get().patience
}

/// See [`Policy::block_rounds`].
pub fn block_rounds() -> u32 {
    POLICY.get().block_rounds
}

/// See [`Policy::lock_rounds`].
pub fn lock_rounds() -> u32 {
    POLICY.get().lock_rounds
}

/// See [`Policy::spare_cores`].
pub fn spare_cores() -> usize {
    POLICY.get().spare_cores
}

/// See [`Policy::still`].
pub(super) fn still() -> bool {
    POLICY.get().still
}

/// A thread waits a little before another look.
pub(super) fn paused() {
    PAUSES.set(PAUSES.get() + 1);
}

/// How often threads have paused in this execution, which has a policy of its own.
pub fn pauses() -> u32 {
    PAUSES.get()
}
