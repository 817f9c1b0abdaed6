//! A core: the right to run the pool's work, as a slot that one thread at a time holds.

use crate::deque::SharedEnd;
use crate::job::NOBODY;
use crate::primitive::{AtomicUsize, CachePadded, Counter, Ordering};
use std::fmt;

/// One of a pool's cores. Threads come and go; cores stay where they are.
#[derive(Debug)]
pub struct Core {
    pub shared: SharedEnd,
    /// The core whose thread its holder waits for, or `NOBODY`: a hint for those who wait for the holder.
    pub waits_for: CachePadded<AtomicUsize>,
    pub counters: CachePadded<Counters>,
}

// SAFETY: the one part that is not `Sync` is the owner's side of the shared end, which is only handed out by an unsafe
// function to the thread that holds the core. Holders change under the lock in `Sleep` or through a `Seat`'s grant, either
// of which orders the old one's last use before the new one's first.
unsafe impl Sync for Core {}

/// What happened on a core; written by its holder only.
#[derive(Debug, Default)]
pub struct Counters {
    /// Forks shared, for thieves to see.
    pub published: Counter,
    /// Jobs taken from another core by a thread out of work.
    pub steals: Counter,
    /// Jobs taken from the thief by a thread that waited for it.
    pub leapfrogs: Counter,
    /// Jobs taken by a waiting thread that were not its thief's, or were settled, and given back.
    pub refused: Counter,
    /// Looks into the injector that found jobs.
    pub injected: Counter,
    /// Waits for a job in which the thread gave its core to others.
    pub hand_overs: Counter,
    /// Times a thread parked, out of work or waiting.
    pub parks: Counter,
    /// Times a woken thread found work.
    pub useful_wakes: Counter,
    /// Times a woken thread found none.
    pub useless_wakes: Counter,
}

/// What is to be seen of it from outside, in words.
impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} shared", self.shared.len())?;
        if self.shared.is_demanded() {
            f.write_str(", more asked for")?;
        }
        match self.waits_for.load(Ordering::Relaxed) {
            NOBODY => Ok(()),
            core => write!(f, ", waits for core {core}"),
        }
    }
}

impl Core {
    /// A core that nobody holds.
    pub fn new() -> Self {
        Core {
            shared: SharedEnd::new(),
            waits_for: CachePadded::new(AtomicUsize::new(NOBODY)),
            counters: CachePadded::new(Counters::default()),
        }
    }
}
