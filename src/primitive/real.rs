//! The primitives of the library proper: std, parking_lot and crossbeam.

use super::{Flaw, Steal};
use crossbeam_deque as cb;
use parking_lot::lock_api::RawRwLock as _;
use std::io;
use std::time::{Duration, Instant};

pub use crossbeam_utils::CachePadded;
pub use crossbeam_utils::sync::{Parker, Unparker};
/// The lock within an `RwLock`.
pub use parking_lot::RawRwLock as RawLock;
pub use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use std::hint::spin_loop;
/// An `Arc` whose counts the models see: for what is freed by whoever comes last.
pub use std::sync::Arc as TrackedArc;
pub use std::sync::OnceLock;
pub use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, fence};
pub use std::thread::yield_now;

/// Pending forks that a worker keeps to itself; a power of two. Beyond it the oldest are shared.
pub const PRIVATE_CAPACITY: usize = 256;
/// Oldest forks that a worker keeps shared ahead of need.
pub const RESERVE: usize = 4;
/// Slots in the first ring of a scope's pile; a power of two.
pub const FIRST_RING: usize = 8;
/// Tasks that move from the young end of a scope's bag to the old one at once.
pub const MOVED_AT_ONCE: usize = 64;
/// Bytes of a chunk of memory for tasks.
pub const CHUNK: usize = 8 << 10;
/// Bytes of the largest value that shares a chunk with others.
pub const LARGEST_IN_CHUNK: usize = 256;
/// Elements that one look into the injector takes at most.
const INJECTED_AT_ONCE: usize = 16;
/// Rounds of looking at every source before a worker without work sleeps.
pub const SEARCH_ROUNDS: u32 = 24;
/// The same for one whose nap is over.
pub const ROUNDS_AFTER_NAP: u32 = 4;
/// Rounds of looking at an awaited latch before the thread parks.
pub const WAIT_ROUNDS: u32 = 48;
/// How long a thread waits, parked, for a stolen job before it gives its core to others.
pub const KEEP_CORE: Option<Duration> = Some(Duration::from_micros(100));
/// How long no core has been to be had when a thread in the middle of something is lent one.
pub const STARVED_AFTER: Duration = Duration::from_micros(100);
/// How long an outside caller waits before it is lent one, which is less urgent: mostly the cores are just busy.
pub const CALLER_STARVED_AFTER: Duration = Duration::from_millis(10);
/// Values of a queue that share an allocation; a power of two.
pub const SEGMENT: usize = 64;

/// Whether every wait is entered in the wait-for graph, or only those for locks.
pub const WAITS_NOTED: bool = true;

/// Cores beyond its own that a pool may lend to threads that would else wait for ever.
pub const fn spare_cores() -> usize {
    64
}

/// Useless wakes in a row after which waking becomes lazy.
pub const fn patience() -> u32 {
    3
}

/// Rounds of looking at an awaited answer before the thread gives up its core and blocks.
pub const fn block_rounds() -> u32 {
    10
}

/// The same for a lock that is not free.
pub const fn lock_rounds() -> u32 {
    8
}

/// The lock within.
pub fn raw_of<T: ?Sized>(lock: &RwLock<T>) -> &RawLock {
    // SAFETY: used by `lets_readers_in` alone, which leaves the lock as it was.
    unsafe { lock.raw() }
}

/// Whether the lock lets readers in: nobody writes, nor waits to write.
pub fn lets_readers_in(lock: &RawLock) -> bool {
    let taken = lock.try_lock_shared();
    taken
        .map(|taken| {
            // SAFETY: locked for reading a moment ago, by this thread.
            unsafe { lock.unlock_shared(taken) }
        })
        .is_some()
}

/// Whether that mistake is built in: never.
#[inline(always)]
pub const fn seeded(_flaw: Flaw) -> bool {
    false
}

/// Spins for about 2^`round` pauses, and yields to the operating system once that is no longer short.
#[inline]
pub fn back_off(round: u32) {
    if round < 6 {
        for _ in 0..1 << round {
            spin_loop();
        }
    } else if round % 4 == 3 {
        yield_now();
    } else {
        for _ in 0..64 {
            spin_loop();
        }
    }
}

/// Waits a little before another look at something that blocks: 1, 2 and 4 pauses, and from then on
/// until the operating system has let others run.
#[inline]
pub fn pause(round: u32) {
    if round < 3 {
        (0..1 << round).for_each(|_| spin_loop());
    } else {
        yield_now();
    }
}

/// The same before another look at a lock, where a look takes the cache line from whoever has the lock, who needs it again
/// at once: 16, 32 and 64 pauses, and from then on until others have had four chances to run.
#[inline]
pub fn pause_for_lock(round: u32) {
    if round < 3 {
        (0..16 << round).for_each(|_| spin_loop());
    } else {
        (0..4).for_each(|_| yield_now());
    }
}

/// The processor on which this thread runs, where that can be known.
pub fn processor() -> Option<usize> {
    #[cfg(target_os = "linux")]
    {
        // SAFETY: it has no preconditions.
        let processor = unsafe { libc::sched_getcpu() };
        usize::try_from(processor).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        None
    }
}

/// The time.
#[inline]
pub fn now() -> Instant {
    Instant::now()
}

/// Starts a thread.
pub fn spawn_thread(
    name: String,
    stack_size: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<ThreadHandle> {
    let mut builder = std::thread::Builder::new().name(name);
    if let Some(bytes) = stack_size {
        builder = builder.stack_size(bytes);
    }
    builder.spawn(body).map(ThreadHandle)
}

/// A started thread, to be joined.
#[derive(Debug)]
pub struct ThreadHandle(std::thread::JoinHandle<()>);

impl ThreadHandle {
    /// Waits until the thread has ended. Its body catches every panic, so there is no result.
    pub fn join(self) {
        let _ = self.0.join();
    }
}

/// The cores this process may use: affinity and cgroup quotas included where the platform tells them.
pub fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, |n| n.get())
}

/// Declares a function that is `const` outside the models.
macro_rules! const_in_library {
    ($(#[$doc:meta])* pub fn $($function:tt)*) => { $(#[$doc])* pub const fn $($function)* };
}
pub(crate) use const_in_library;

/// What this thread is called, if it has a name.
pub fn thread_name() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

/// Declares a static whose first value is a constant.
macro_rules! shared_static {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => { $(#[$doc])* static $name: $type = $value; };
}
pub(crate) use shared_static;

/// Declares a thread-local `Cell` whose first value is a constant, so that reading it is one load.
macro_rules! thread_cell {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        std::thread_local! { $(#[$doc])* static $name: std::cell::Cell<$type> = const { std::cell::Cell::new($value) }; }
    };
}
pub(crate) use thread_cell;

/// Declares a thread-local value that is made on first use and dropped with its thread.
macro_rules! thread_value {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        std::thread_local! { $(#[$doc])* static $name: $type = $value; }
    };
}
pub(crate) use thread_value;

impl<T> From<cb::Steal<T>> for Steal<T> {
    fn from(found: cb::Steal<T>) -> Self {
        match found {
            cb::Steal::Empty => Steal::Empty,
            cb::Steal::Success(item) => Steal::Success(item),
            cb::Steal::Retry => Steal::Retry,
        }
    }
}

/// The owner's end of a Chase-Lev deque: crossbeam's.
#[derive(Debug)]
pub struct Deque<T>(cb::Worker<T>);

impl<T> Deque<T> {
    /// An empty deque.
    pub fn new() -> Self {
        Deque(cb::Worker::new_lifo())
    }

    /// Adds the youngest element.
    pub fn push(&self, item: T) {
        self.0.push(item);
    }

    /// Takes the youngest element.
    pub fn pop(&self) -> Option<T> {
        self.0.pop()
    }

    /// How many elements there are, as far as the owner can tell.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, as far as the owner can tell.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The thieves' end.
    pub fn stealer(&self) -> Stealer<T> {
        Stealer(self.0.stealer())
    }
}

/// The thieves' end of a [`Deque`].
#[derive(Debug, Clone)]
pub struct Stealer<T>(cb::Stealer<T>);

impl<T> Stealer<T> {
    /// Takes the oldest element.
    pub fn steal(&self) -> Steal<T> {
        self.0.steal().into()
    }

    /// Whether there seems to be none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there seem to be.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A queue that any thread may put into and take from, first in first out: crossbeam's.
#[derive(Debug)]
pub struct Injector<T>(cb::Injector<T>);

impl<T> Injector<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Injector(cb::Injector::new())
    }

    /// Adds an element at the back.
    pub fn push(&self, item: T) {
        self.0.push(item);
    }

    /// Takes the oldest element.
    pub fn steal(&self) -> Steal<T> {
        self.0.steal().into()
    }

    /// How many there seem to be.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the oldest element, and moves a few that follow it to `deque`, from which they come in the same order.
    pub fn steal_some(&self, deque: &Deque<T>) -> Steal<T> {
        self.0.steal_batch_with_limit_and_pop(&deque.0, INJECTED_AT_ONCE).into()
    }

    /// Whether there seems to be none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(unix)]
mod forks {
    use std::sync::Once;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static GENERATION: AtomicUsize = AtomicUsize::new(0);
    static WATCH: Once = Once::new();

    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    /// How many forks lie between this process and the first that asked.
    #[inline]
    pub fn fork_generation() -> usize {
        WATCH.call_once(|| {
            // SAFETY: the handler is a function of this library, which is never unloaded, and does nothing but an atomic
            // addition, which is safe in a forked child. A failure (no memory) leaves forks unnoticed, no worse.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        GENERATION.load(Ordering::Relaxed)
    }
}
#[cfg(unix)]
pub use forks::fork_generation;

/// There is no `fork()` here.
#[cfg(not(unix))]
#[inline]
pub fn fork_generation() -> usize {
    0
}
