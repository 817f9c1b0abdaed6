//! What a pool has done so far, counted always and off the path of an unstolen fork.

use crate::core::Counters;
use crate::primitive::Counter;
use crate::registry::Registry;
use std::fmt;

/// What a pool has done since it was built: [`Pool::stats`](crate::Pool::stats). The counts are read one after the other
/// while the pool goes on, so they need not add up to the last one. Printed, they are three lines for people to read.
///
/// ```
/// let pool = purloin::Pool::new(2)?;
/// assert_eq!(pool.install(|| purloin::join(|| 6, || 7)), (6, 7));
/// let stats = pool.stats();
/// assert_eq!((stats.cores, stats.injected), (2, 0)); // the caller did it: nothing went through the injector
/// println!("{stats}");
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// The pool's cores.
    pub cores: usize,
    /// Its threads that are alive, outside callers not counted.
    pub threads: usize,
    /// The most there were at once.
    pub peak_threads: usize,
    /// Forks made visible to thieves. All others cost no more than a call.
    pub published: u64,
    /// Jobs that a core without work took from another.
    pub steals: u64,
    /// Jobs that a waiting thread took from whom it waited for.
    pub leapfrogs: u64,
    /// Jobs that a waiting thread took and that were no part of what it waits for, or were settled already: given back through the
    /// injector.
    pub refused: u64,
    /// Looks into the injector that found jobs, up to 16 each: spawned tasks, regions of outside callers that found no idle core,
    /// and what blocked threads left.
    pub injected: u64,
    /// Waits for a stolen job in which the thread gave its core to others: after 100 microseconds, or because one of them needed it
    /// to go on. What blocks in [`sync`](crate::sync) or [`blocking`](crate::blocking) gives its core up too, and is not counted.
    pub hand_overs: u64,
    /// Times a thread parked, out of work or waiting.
    pub parks: u64,
    /// Wakes after which the thread found work.
    pub useful_wakes: u64,
    /// Wakes after which it found none.
    pub useless_wakes: u64,
}

impl Stats {
    /// Adds up the cores' counters.
    pub(crate) fn of(registry: &Registry) -> Stats {
        let sum = |pick: fn(&Counters) -> &Counter| registry.cores.iter().map(|core| pick(&core.counters).get()).sum();
        let (threads, peak_threads) = registry.sleep.threads();
        Stats {
            cores: registry.size(),
            threads,
            peak_threads,
            published: sum(|c| &c.published),
            steals: sum(|c| &c.steals),
            leapfrogs: sum(|c| &c.leapfrogs),
            refused: sum(|c| &c.refused),
            injected: sum(|c| &c.injected),
            hand_overs: sum(|c| &c.hand_overs),
            parks: sum(|c| &c.parks),
            useful_wakes: sum(|c| &c.useful_wakes),
            useless_wakes: sum(|c| &c.useless_wakes),
        }
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cores {}, threads {} (peak {})", self.cores, self.threads, self.peak_threads)?;
        writeln!(
            f,
            "forks published {}, jobs stolen {}, leapfrogged {}, refused {}, injected {}",
            self.published, self.steals, self.leapfrogs, self.refused, self.injected
        )?;
        write!(
            f,
            "cores handed over {}, parks {}, wakes {} useful and {} useless",
            self.hand_overs, self.parks, self.useful_wakes, self.useless_wakes
        )
    }
}
