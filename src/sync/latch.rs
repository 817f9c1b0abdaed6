//! A latch: a count that goes down to zero once.

use super::line::{Line, What, deadline, wait};
use super::timed_out::TimedOut;
use crate::primitive::{AtomicUsize, Flaw, Mutex, Ordering, const_in_library, seeded};
use crate::seat::with_place;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// A count that goes down to zero, once and for good; threads wait for that.
///
/// For a known number of parts that somebody waits for. Those who count down do not wait, unlike at a
/// [`Barrier`](super::Barrier). A task that waits gives its core to another thread, after a few microseconds of hoping, and
/// has one again when it goes on. What was done before each count is visible after the wait. Java's `CountDownLatch`, C++'s
/// `std::latch`.
///
/// ```
/// use purloin::sync::Latch;
/// use std::sync::Arc;
///
/// let pool = purloin::Pool::new(1)?;
/// let parts = Arc::new(Latch::new(3));
/// for _ in 0..3 {
///     let parts = Arc::clone(&parts);
///     pool.spawn(move || parts.count_down());
/// }
/// parts.wait();
/// assert_eq!(parts.remaining(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Latch {
    count: AtomicUsize,
    line: Mutex<Line<()>>,
}

// Nothing of the user's is in it.
impl UnwindSafe for Latch {}
impl RefUnwindSafe for Latch {}

impl Latch {
    const_in_library! {
        /// A latch of that many parts; with 0, nobody waits. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Latch;
        ///
        /// static PARTS: Latch = Latch::new(1);
        /// assert_eq!(PARTS.remaining(), 1);
        /// Latch::new(0).wait();
        /// ```
        #[must_use]
        pub fn new(parts: usize) -> Self {
            Latch { count: AtomicUsize::new(parts), line: Mutex::new(Line::new()) }
        }
    }

    /// How many parts are still to be counted.
    ///
    /// ```
    /// let latch = purloin::sync::Latch::new(2);
    /// latch.count_down();
    /// assert_eq!(latch.remaining(), 1);
    /// ```
    #[inline]
    pub fn remaining(&self) -> usize {
        // Acquire pairs with the Release in `count_down`: at zero, what was done before each is visible, since exchanges
        // continue the release sequences of those before.
        self.count.load(Ordering::Acquire)
    }

    /// Counts one part. The last one lets all go on who wait.
    ///
    /// # Panics
    ///
    /// If all have been counted: there are more parts than the latch was told of, so somebody has been let go too early.
    ///
    /// ```should_panic
    /// let latch = purloin::sync::Latch::new(1);
    /// latch.count_down();
    /// latch.count_down();
    /// ```
    #[track_caller]
    pub fn count_down(&self) {
        let left = self.count_one();
        let left =
            left.expect("a latch is counted down more often than it has parts: whoever waited went on too early");
        if left == 0 {
            self.open();
        }
    }

    /// Counts one part and tells how many are left; nothing, if none was left before.
    #[inline]
    fn count_one(&self) -> Option<usize> {
        let order = if seeded(Flaw::ChangeRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        // Relaxed: the exchange decides.
        let mut count = self.count.load(Ordering::Relaxed);
        loop {
            let left = count.checked_sub(1)?;
            // Release pairs with the Acquire in `remaining`. Acquire pairs with the Release of those before: the last one
            // passes on what they did when it answers.
            match self.count.compare_exchange_weak(count, left, order, Ordering::Relaxed) {
                Ok(_) => return Some(left),
                Err(now) => count = now,
            }
        }
    }

    /// Answers all who wait. Whoever enters the line after this has had the lock sees the zero.
    #[cold]
    fn open(&self) {
        // The guard ends with the statement: who is let go need not wait for the lock.
        let line = self.line.lock().take();
        line.answer_all();
    }

    /// Waits until all parts have been counted.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let (parts, sum) = (purloin::sync::Latch::new(4), AtomicU32::new(0));
    /// std::thread::scope(|scope| {
    ///     for part in [1, 2, 3, 4] {
    ///         let (parts, sum) = (&parts, &sum);
    ///         scope.spawn(move || {
    ///             sum.fetch_add(part, Ordering::Relaxed);
    ///             parts.count_down();
    ///         });
    ///     }
    ///     parts.wait();
    ///     assert_eq!(sum.load(Ordering::Relaxed), 10);
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if self.remaining() > 0 {
            // Without a time-out there is nothing to report.
            let _ = self.wait_slowly(None);
        }
    }

    /// Waits until all parts have been counted, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] if some are left then.
    ///
    /// ```
    /// use purloin::sync::{Latch, TimedOut};
    /// use std::time::Duration;
    ///
    /// let latch = Latch::new(1);
    /// assert_eq!(latch.wait_timeout(Duration::from_millis(1)), Err(TimedOut));
    /// latch.count_down();
    /// assert_eq!(latch.wait_timeout(Duration::ZERO), Ok(()));
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        if self.remaining() == 0 { Ok(()) } else { self.wait_slowly(Some(timeout)) }
    }

    #[cold]
    #[track_caller]
    fn wait_slowly(&self, timeout: Option<Duration>) -> Result<(), TimedOut> {
        let what = What { kind: "Latch", address: (&raw const *self).addr(), at: Location::caller() };
        let deadline = deadline(timeout);
        with_place(|place| {
            let call = {
                let mut line = self.line.lock();
                if self.remaining() == 0 && !seeded(Flaw::EntersUnlooked) {
                    return Ok(());
                }
                line.enter(place, ())
            };
            // Who is no longer in the line when the time is up has been let go.
            if wait(place, &call, deadline, what) || !self.line.lock().leave(&call) { Ok(()) } else { Err(TimedOut) }
        })
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latch").field("remaining", &self.remaining()).finish_non_exhaustive()
    }
}
