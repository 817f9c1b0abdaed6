//! What the models' primitives have in common, whether loom explores them or shuttle plays them: stand-ins for what both
//! have no counterpart of, over what both have (`raw`).

use super::{Arc, Flaw, look_until, note, now, paused, raw};
use raw::sync::{Condvar, Mutex as RawMutex};
use std::io;
use std::mem;
use std::time::Duration;

pub use raw::sync::MutexGuard;
pub use raw::thread::yield_now;
pub use raw::thread::yield_now as spin_loop;
pub use std::sync::OnceLock;

/// Slots in the first ring of a scope's pile; a power of two.
pub const FIRST_RING: usize = 2;
/// Tasks that move from the young end of a scope's bag to the old one at once.
pub const MOVED_AT_ONCE: usize = 2;
/// Bytes of a chunk of memory for tasks; the models' atomics are large.
pub const CHUNK: usize = 1 << 10;
/// So few that models get beyond them.
pub const SEGMENT: usize = 2;

std::thread_local! {
    /// All threads of a model run on one thread of the operating system, and each test on its own.
    static SEEDED: std::cell::Cell<Option<Flaw>> = const { std::cell::Cell::new(None) };
}

/// Whether that mistake is built in.
pub fn seeded(flaw: Flaw) -> bool {
    SEEDED.get() == Some(flaw)
}

/// Which mistake is built in.
#[cfg(purloin_loom)]
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
    paused();
    yield_now();
}

/// The same.
pub fn pause_for_lock(round: u32) {
    pause(round);
}

/// No padding: addresses do not matter here.
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
    token: RawMutex<bool>,
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
        Parker(Arc::new(ParkState { token: RawMutex::new(false), arrived: Condvar::new() }))
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

    /// The same, for that time at most if time passes in this model.
    pub fn park_timeout(&self, timeout: Duration) {
        let take = || mem::take(&mut *self.0.token.lock().unwrap()).then_some(());
        look_until(now().checked_add(timeout), take, || self.park());
    }
}

impl Unparker {
    /// Leaves a token, waking the thread that waits for one.
    pub fn unpark(&self) {
        *self.0.token.lock().unwrap() = true;
        self.0.arrived.notify_one();
    }
}

/// Starts a modelled thread.
pub fn spawn_thread(
    name: String,
    _stack_size: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<ThreadHandle> {
    // For those models in which a thread can't be started, as none can be that has such a name.
    if name.contains('\0') {
        return Err(io::Error::other("the name of a thread has no NUL"));
    }
    Ok(ThreadHandle(raw::thread::spawn(body)))
}

/// A started thread, to be joined.
#[derive(Debug)]
pub struct ThreadHandle(raw::thread::JoinHandle<()>);

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
        $crate::primitive::raw::lazy_static! { $(#[$doc])* static ref $name: $type = $value; }
    };
}
pub(crate) use shared_static;

macro_rules! thread_cell {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $crate::primitive::raw::thread_local! { $(#[$doc])* static $name: std::cell::Cell<$type> = std::cell::Cell::new($value); }
    };
}
pub(crate) use thread_cell;

macro_rules! thread_value {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        $crate::primitive::raw::thread_local! { $(#[$doc])* static $name: $type = $value; }
    };
}
pub(crate) use thread_value;

/// Models do not fork.
pub fn fork_generation() -> usize {
    0
}
