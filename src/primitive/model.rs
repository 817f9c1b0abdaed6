//! The primitives of the models: loom's, and stand-ins for what loom has no counterpart of.
//!
//! Differences that are meant: a park with a time-out is a park without one, so that no time-out can hide a lost
//! wake-up; the clock stands still; capacities and rounds are as small as they can be.

use super::{Arc, Flaw};
use std::io;
use std::thread::panicking;
use std::time::{Duration, Instant};

pub use super::atomic::{AtomicBool, AtomicPtr, AtomicUsize};
pub use super::site::{fence, note};
pub use loom::cell::UnsafeCell;
pub use loom::thread::yield_now;
pub use loom::thread::yield_now as spin_loop;
pub use std::sync::OnceLock;

pub use super::locks::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use loom::sync::{Condvar, Mutex as LoomMutex};

pub use loom::sync::MutexGuard;

/// An `Arc` whose counts loom sees: for what is freed by whoever comes last.
pub use loom::sync::Arc as TrackedArc;

/// Pending forks that a worker keeps to itself; a power of two.
pub const PRIVATE_CAPACITY: usize = 4;
/// Oldest forks that a worker keeps shared ahead of need.
pub const RESERVE: usize = 1;
/// Tasks that move from the young end of a scope's bag to the old one at once.
pub const MOVED_AT_ONCE: usize = 2;
/// Bytes of a chunk of memory for tasks; loom's atomics are large.
pub const CHUNK: usize = 1 << 10;
/// Tasks have memory of their own here, so that the models see the life of each. Chunks have a model of their own.
pub const LARGEST_IN_CHUNK: usize = 0;
/// Rounds of looking at every source before a worker without work sleeps.
pub const SEARCH_ROUNDS: u32 = 1;
/// Rounds of looking at an awaited latch before the thread parks.
pub const WAIT_ROUNDS: u32 = 1;
/// In the models a waiter gives its core up as soon as it parks.
pub const KEEP_CORE: Option<Duration> = None;
/// No cores are lent in the models: a wait there has no time-out.
pub const SPARE_CORES: usize = 0;
/// Without meaning here.
pub const STARVED_AFTER: Duration = Duration::ZERO;
/// Without meaning here.
pub const CALLER_STARVED_AFTER: Duration = Duration::ZERO;
/// Useless wakes in a row after which waking becomes lazy: never, since a nap has no end here.
pub const PATIENCE: u32 = u32::MAX;

/// So few that models get beyond them.
pub const SEGMENT: usize = 2;
/// Only waits for locks are entered in the wait-for graph.
pub const WAITS_NOTED: bool = false;
/// Looks at an answer, or a lock, before the thread blocks.
pub const BLOCK_ROUNDS: u32 = 0;
/// None either.
pub const LOCK_ROUNDS: u32 = 0;

std::thread_local! {
    /// All threads of a model run on one thread of the operating system, and each test on its own.
    static SEEDED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

/// Whether that mistake is built in.
pub fn seeded(flaw: Flaw) -> bool {
    SEEDED.get() == Some(flaw)
}

/// Which mistake is built in.
pub(super) fn seeded_flaw() -> Option<Flaw> {
    SEEDED.get()
}

/// Builds that mistake in for the time of `body`, which explores models.
pub fn with_flaw<R>(flaw: Flaw, body: impl FnOnce() -> R) -> R {
    struct Repair;
    impl Drop for Repair {
        fn drop(&mut self) {
            SEEDED.set(None);
        }
    }
    note(&format!("flaw\t{flaw:?}"));
    SEEDED.set(Some(flaw));
    let _repair = Repair;
    body()
}

/// Lets another thread run.
pub fn back_off(_round: u32) {
    yield_now();
}

/// Lets another thread run.
pub fn pause(_round: u32) {
    yield_now();
}

/// No padding: addresses do not matter to loom.
#[derive(Debug, Default)]
pub struct CachePadded<T>(T);

impl<T> CachePadded<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        CachePadded(value)
    }
}

impl<T> std::ops::Deref for CachePadded<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

#[derive(Debug)]
struct ParkState {
    token: LoomMutex<bool>,
    arrived: Condvar,
}

/// A parking place for one thread: a token under a mutex and condition variable (loom's own `park` loses an unpark that
/// comes while the thread yields). Held by std's counts: a place is a thread-local, and one that is left over when a model
/// fails is dropped outside of it, where loom's count may not be.
#[derive(Debug)]
pub struct Parker(Arc<ParkState>);

/// The waker's side of a [`Parker`].
#[derive(Debug, Clone)]
pub struct Unparker(Arc<ParkState>);

impl Parker {
    /// A place without a token.
    pub fn new() -> Self {
        Parker(Arc::new(ParkState { token: LoomMutex::new(false), arrived: Condvar::new() }))
    }

    /// The waker's side.
    pub fn unparker(&self) -> Unparker {
        Unparker(Arc::clone(&self.0))
    }

    /// Waits for the token and consumes it.
    pub fn park(&self) {
        let mut token = self.0.token.lock().unwrap();
        while !*token {
            token = self.0.arrived.wait(token).unwrap();
        }
        *token = false;
    }

    /// The same: see the module's comment.
    pub fn park_timeout(&self, _timeout: Duration) {
        self.park();
    }
}

impl Unparker {
    /// Leaves a token, waking the thread that waits for one.
    pub fn unpark(&self) {
        *self.0.token.lock().unwrap() = true;
        self.0.arrived.notify_one();
    }
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

/// A point in time that never passes.
#[derive(Clone, Copy, Debug)]
pub struct Tick;

impl Tick {
    /// Now.
    pub fn now() -> Tick {
        Tick
    }

    /// Never: sharing stays cheap, so the reserve stays full.
    pub fn within(self, _earlier: Tick, _span: Duration) -> bool {
        false
    }

    /// Never: a deadline that matters is another thread of the model.
    pub fn is_past(self, _time: Instant) -> bool {
        false
    }
}

/// Starts a modelled thread.
pub fn spawn_thread(
    _name: String,
    _stack_size: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<ThreadHandle> {
    Ok(ThreadHandle(loom::thread::spawn(body)))
}

/// A started thread, to be joined.
#[derive(Debug)]
pub struct ThreadHandle(loom::thread::JoinHandle<()>);

impl ThreadHandle {
    /// Waits until the thread has ended.
    pub fn join(self) {
        let _ = self.0.join();
    }
}

/// A model says how many cores it wants.
pub fn available_cores() -> usize {
    1
}

macro_rules! const_in_library {
    ($(#[$doc:meta])* pub fn $($function:tt)*) => { $(#[$doc])* pub fn $($function)* };
}
pub(crate) use const_in_library;

/// No name: all threads of a model are one to std.
pub fn thread_name() -> Option<String> {
    None
}

macro_rules! shared_static {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        loom::lazy_static! { $(#[$doc])* static ref $name: $type = $value; }
    };
}
pub(crate) use shared_static;

macro_rules! thread_cell {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { $(#[$doc])* static $name: std::cell::Cell<$type> = std::cell::Cell::new($value); }
    };
}
pub(crate) use thread_cell;

macro_rules! thread_value {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        loom::thread_local! { $(#[$doc])* static $name: $type = $value; }
    };
}
pub(crate) use thread_value;

/// Models do not fork.
pub fn fork_generation() -> usize {
    0
}
