//! What the models that loom explores have of their own.
//!
//! Differences from the library that are meant: a park with a time-out is a park without one, so that no time-out can hide
//! a lost wake-up, unless the model has a thread that plays the clock; the clock stands still; capacities and rounds are as small
//! as they can be.

use std::thread::panicking;
use std::time::{Duration, Instant};

pub use super::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
pub(super) use super::policy::paused;
use super::policy::still;
pub use super::policy::{Policy, block_rounds, lock_rounds, patience, pauses, spare_cores, with_policy};
pub use super::site::{fence, note};
pub use loom::cell::UnsafeCell;

/// An `Arc` whose counts loom sees: for what is freed by whoever comes last.
pub use loom::sync::Arc as TrackedArc;

/// Pending forks that a worker keeps to itself; a power of two.
pub const PRIVATE_CAPACITY: usize = 4;
/// Oldest forks that a worker keeps shared ahead of need.
pub const RESERVE: usize = 1;
/// How many items a stand-in for a deque holds at most. A power of two.
pub const DEQUE_CAPACITY: usize = 8;
/// How many items a stand-in for an injector takes in its life.
pub const INJECTOR_CAPACITY: usize = 8;
/// Tasks have memory of their own here, so that the models see the life of each. Chunks have a model of their own.
pub const LARGEST_IN_CHUNK: usize = 0;
/// Rounds of looking at every source before a worker without work sleeps.
pub const SEARCH_ROUNDS: u32 = 1;
/// The same for one whose nap is over.
pub const ROUNDS_AFTER_NAP: u32 = 1;
/// Rounds of looking at an awaited latch before the thread parks.
pub const WAIT_ROUNDS: u32 = 1;
/// In the models a waiter gives its core up as soon as it parks.
pub const KEEP_CORE: Option<Duration> = None;
/// Without meaning here.
pub const STARVED_AFTER: Duration = Duration::ZERO;
/// Without meaning here.
pub const CALLER_STARVED_AFTER: Duration = Duration::ZERO;

/// Only waits for locks are entered in the wait-for graph.
pub const WAITS_NOTED: bool = false;

/// Blocks: no time passes, so no deadline does.
pub(super) fn look_until<R>(
    _deadline: Option<Instant>,
    _look: impl FnMut() -> Option<R>,
    block: impl FnOnce() -> R,
) -> Option<R> {
    Some(block())
}

/// The time, for deadlines that have passed already or never will.
pub fn now() -> Instant {
    Instant::now()
}

/// The processor on which this thread runs: not known.
pub fn processor() -> Option<usize> {
    None
}

/// Marks memory whose end of life is part of a protocol: a use after the end, or beside it, is a data race to loom, and
/// an end that never comes is a leak. A panic on its way through frames counts for nothing.
#[derive(Debug)]
pub struct Alive {
    uses: UnsafeCell<()>,
    /// 0: alive; 1: ended; 2: dropped. Not modelled.
    state: std::sync::atomic::AtomicUsize,
    _leak: loom::alloc::Track<()>,
}

impl Alive {
    /// A mark on live memory.
    pub fn new() -> Self {
        Alive {
            uses: UnsafeCell::new(()),
            state: std::sync::atomic::AtomicUsize::new(0),
            _leak: loom::alloc::Track::new(()),
        }
    }

    /// Says that the memory is used now.
    pub fn touch(&self) {
        if !panicking() {
            self.uses.with(|_| ());
            assert_eq!(self.state.load(super::Ordering::Relaxed), 0, "used after its end");
        }
    }

    /// Says that the memory goes away now.
    pub fn end(&self) {
        if !panicking() {
            self.uses.with_mut(|_| ());
            assert_eq!(self.state.swap(1, super::Ordering::Relaxed), 0, "ended after its end");
        }
    }
}

impl Drop for Alive {
    /// The end at the latest.
    fn drop(&mut self) {
        if !panicking() {
            if self.state.load(super::Ordering::Relaxed) == 0 {
                self.uses.with_mut(|_| ());
            }
            assert_ne!(self.state.swap(2, super::Ordering::Relaxed), 2, "dropped twice");
        }
    }
}

/// A point in time, which no model tells from another.
#[derive(Clone, Copy, Debug)]
pub struct Tick;

impl Tick {
    /// Now.
    pub fn now() -> Tick {
        Tick
    }

    /// Never, unless time stands still: sharing is cheap, so the reserve stays full.
    pub fn within(self, _earlier: Tick, _span: Duration) -> bool {
        still()
    }

    /// Never: a deadline that matters is another thread of the model.
    pub fn is_past(self, _time: Instant) -> bool {
        false
    }
}
