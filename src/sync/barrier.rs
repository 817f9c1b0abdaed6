//! A barrier: threads wait for each other.

use super::line::{Line, What, deadline, wait};
use crate::primitive::{Flaw, Mutex, const_in_library, seeded};
use crate::seat::with_place;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// A meeting point of a given number of threads: each waits until all have arrived, then all go on. It can be used again
/// at once, for the next generation.
///
/// A task that waits gives its core to another thread, after a few microseconds of hoping, and has one again when it goes
/// on. What each did before it arrived is visible to all afterwards.
///
/// Each task that waits keeps a thread, so a barrier of `n` tasks needs `n` of the pool's threads: see
/// [`PoolBuilder::max_threads`](crate::PoolBuilder::max_threads). With as many more as there are cores the pool is at work on
/// other tasks meanwhile; with fewer than `n`, those who could complete the generation never begin. Then
/// [`wait_timeout`](Self::wait_timeout) tells how many were missing, and threads from outside the pool can still arrive.
///
/// ```
/// use purloin::sync::Barrier;
///
/// let pool = purloin::Pool::new(1)?;
/// let barrier = Barrier::new(3);
/// let leaders: usize = pool.scope(|s| {
///     let tasks: Vec<_> = (0..3).map(|_| s.spawn(|| usize::from(barrier.wait().is_leader()))).collect();
///     tasks.into_iter().map(|task| task.join().expect("no panic")).sum()
/// });
/// assert_eq!(leaders, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Barrier {
    parties: usize,
    /// Those of this generation who have arrived.
    line: Mutex<Line<()>>,
}

// Nothing of the user's is in it.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl Barrier {
    const_in_library! {
        /// A barrier for that many threads; 0 is taken for 1, with which nobody waits. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Barrier;
        ///
        /// static HALVES: Barrier = Barrier::new(2);
        /// assert_eq!(HALVES.parties(), 2);
        /// assert!(Barrier::new(0).wait().is_leader());
        /// ```
        #[must_use]
        pub fn new(parties: usize) -> Self {
            Barrier { parties: if parties == 0 { 1 } else { parties }, line: Mutex::new(Line::new()) }
        }
    }

    /// Arrives, and waits until all have. One of them is told that it is the leader.
    ///
    /// ```
    /// let barrier = purloin::sync::Barrier::new(2);
    /// std::thread::scope(|scope| {
    ///     let other = scope.spawn(|| barrier.wait().is_leader());
    ///     let leads = barrier.wait().is_leader();
    ///     assert_ne!(other.join().expect("no panic"), leads); // one of the two
    /// });
    /// ```
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        match self.arrive(None) {
            Ok(result) => result,
            Err(_) => unreachable!("there is no time-out"),
        }
    }

    /// Arrives, and waits until all have, but no longer than `timeout`. After that this thread has not arrived: the others
    /// wait on, for another in its place.
    ///
    /// # Errors
    ///
    /// [`BarrierTimeout`] tells how many had arrived.
    ///
    /// ```
    /// use purloin::sync::{Barrier, BarrierTimeout};
    /// use std::time::Duration;
    ///
    /// let barrier = Barrier::new(2);
    /// let alone = barrier.wait_timeout(Duration::from_millis(1));
    /// assert_eq!(alone.err(), Some(BarrierTimeout { arrived: 1, parties: 2 }));
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BarrierTimeout> {
        self.arrive(Some(timeout))
    }

    /// How many threads meet here.
    ///
    /// ```
    /// use purloin::sync::Barrier;
    ///
    /// assert_eq!(Barrier::new(3).parties(), 3);
    /// assert_eq!(Barrier::new(0).parties(), 1);
    /// ```
    pub fn parties(&self) -> usize {
        self.parties
    }

    #[track_caller]
    fn arrive(&self, timeout: Option<Duration>) -> Result<BarrierWaitResult, BarrierTimeout> {
        let deadline = deadline(timeout);
        let what = What { kind: "Barrier", address: (&raw const *self).addr(), at: Location::caller() };
        with_place(|place| {
            let call = {
                let mut line = self.line.lock();
                if line.len() + 1 == self.parties {
                    // All are here: whoever comes from now on belongs to the next generation.
                    let all = line.take();
                    drop(line);
                    all.answer_all();
                    return Ok(BarrierWaitResult { leader: true });
                }
                if seeded(Flaw::EntersUnlooked) {
                    drop(line);
                    line = self.line.lock();
                }
                line.enter(place, ())
            };
            if wait(place, &call, deadline, what) {
                return Ok(BarrierWaitResult { leader: false });
            }
            let mut line = self.line.lock();
            let arrived = line.len();
            // Who is no longer in the line has been let go.
            if seeded(Flaw::LeaverStaysInLine) || line.leave(&call) {
                Err(BarrierTimeout { arrived, parties: self.parties })
            } else {
                Ok(BarrierWaitResult { leader: false })
            }
        })
    }
}

/// What [`Barrier::wait`] tells.
///
/// ```
/// let alone = purloin::sync::Barrier::new(1).wait();
/// assert!(alone.is_leader());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierWaitResult {
    leader: bool,
}

impl BarrierWaitResult {
    /// Whether this thread was the last to arrive: one of each generation is.
    pub fn is_leader(&self) -> bool {
        self.leader
    }
}

/// The time of [`Barrier::wait_timeout`] was up before all had arrived. If it happens in a pool with fewer threads than
/// parties, those who are missing had no thread to run on: raise
/// [`max_threads`](crate::PoolBuilder::max_threads).
///
/// ```
/// use purloin::sync::Barrier;
/// use std::time::Duration;
///
/// let missing = Barrier::new(4).wait_timeout(Duration::ZERO).unwrap_err();
/// assert_eq!((missing.arrived, missing.parties), (1, 4));
/// assert!(missing.to_string().starts_with("1 of 4 had arrived"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierTimeout {
    /// How many had arrived, this thread included.
    pub arrived: usize,
    /// How many were to.
    pub parties: usize,
}

impl fmt::Display for BarrierTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BarrierTimeout { arrived, parties } = self;
        write!(
            f,
            "{arrived} of {parties} had arrived at the barrier when the time was up: tasks keep a thread each while they wait, so the pool needs max_threads of {parties} at least"
        )
    }
}

impl std::error::Error for BarrierTimeout {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arrived = self.line.lock().len();
        f.debug_struct("Barrier").field("parties", &self.parties).field("arrived", &arrived).finish_non_exhaustive()
    }
}
