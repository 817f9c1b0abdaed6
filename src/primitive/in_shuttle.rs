//! What the models that shuttle plays at random have of their own.
//!
//! Time is the scheduler's to choose. A thread that waits with a time-out gets its turn some number of times, which is drawn;
//! if what it waits for has not come by then its time is over, and the clock is where it says. So a time-out may come at any
//! moment, and comes in the end: nothing hides that hangs without one, and nothing hangs that would not. Between, each look
//! at the clock moves it a little, and sometimes far.

use super::yield_now;
use shuttle::rand::{RngCore, thread_rng};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use shuttle::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, fence};
/// std's: who comes last is seen by the threads' other steps.
pub use std::sync::Arc as TrackedArc;

/// Pending forks that a worker keeps to itself; a power of two.
pub const PRIVATE_CAPACITY: usize = 4;
/// Oldest forks that a worker keeps shared ahead of need.
pub const RESERVE: usize = 1;
/// How many items a stand-in for a deque holds at most. A power of two.
pub const DEQUE_CAPACITY: usize = 32;
/// How many items a stand-in for an injector takes in its life.
pub const INJECTOR_CAPACITY: usize = 256;
/// Bytes of the largest value that shares a chunk with others: as in the library.
pub const LARGEST_IN_CHUNK: usize = 256;
/// Rounds of looking at every source before a worker without work sleeps.
pub const SEARCH_ROUNDS: u32 = 1;
/// The same for one whose nap is over.
pub const ROUNDS_AFTER_NAP: u32 = 1;
/// Rounds of looking at an awaited latch before the thread parks.
pub const WAIT_ROUNDS: u32 = 2;
/// How long a thread waits, parked, for a stolen job before it gives its core to others: as in the library.
pub const KEEP_CORE: Option<Duration> = Some(Duration::from_micros(100));
/// How long no core has been to be had when a thread in the middle of something is lent one.
pub const STARVED_AFTER: Duration = Duration::from_millis(1);
/// The same for an outside caller.
pub const CALLER_STARVED_AFTER: Duration = Duration::from_millis(10);

/// Every wait is entered in the wait-for graph.
pub const WAITS_NOTED: bool = true;
/// Cores beyond its own that a pool may lend to threads that would else wait for ever: enough for those of a program.
pub fn spare_cores() -> usize {
    8
}

/// Useless wakes in a row after which waking becomes lazy.
pub fn patience() -> u32 {
    1
}

/// Looks at an awaited answer before the thread gives up its core and blocks.
pub fn block_rounds() -> u32 {
    1
}

/// The same for a lock that is not free.
pub fn lock_rounds() -> u32 {
    1
}

/// `cargo weaken` looks at loom's models only.
pub fn note(_what: &str) {}

/// Only loom's models count pauses.
pub(super) fn paused() {}

/// A number of the schedule's.
pub fn random() -> u64 {
    thread_rng().next_u64()
}

/// At most so many turns has a thread before its time is over.
const MOST_TURNS_LOG2: u64 = 5;

/// Looks until something is found, or until the time is over. Without a deadline, blocks.
pub(super) fn look_until<R>(
    deadline: Option<Instant>,
    mut look: impl FnMut() -> Option<R>,
    block: impl FnOnce() -> R,
) -> Option<R> {
    let Some(deadline) = deadline else { return Some(block()) };
    let draw = random();
    // Small and large numbers are as likely.
    let turns = (draw >> 8) % (1 << (draw % (MOST_TURNS_LOG2 + 1)));
    for _ in 0..turns {
        let found = look();
        if found.is_some() {
            return found;
        }
        yield_now();
    }
    CLOCK.fetch_max(deadline.saturating_duration_since(beginning()).as_nanos() as u64, Ordering::Relaxed);
    look()
}

shuttle::lazy_static! {
    /// Nanoseconds since the schedule's beginning. Not seen by shuttle: it orders nothing.
    static ref CLOCK: AtomicU64 = AtomicU64::new(0);
}

/// Where clocks begin. Any time would do.
fn beginning() -> Instant {
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    *BEGINNING.get_or_init(Instant::now)
}

/// What a look at the clock takes.
const LOOK: u64 = 50;

/// The processor on which this thread runs: either of two, and another each time.
pub fn processor() -> Option<usize> {
    Some((random() % 2) as usize)
}

/// The time. One look in eight comes late, by up to 8 ms.
pub fn now() -> Instant {
    let draw = random();
    let passed = if draw.is_multiple_of(8) { 1 << ((draw >> 8) % 24) } else { LOOK };
    beginning() + Duration::from_nanos(CLOCK.fetch_add(passed, Ordering::Relaxed) + passed)
}
