//! An event: a flag that threads wait for.

use super::line::{Line, What, deadline, wait};
use super::timed_out::TimedOut;
use crate::primitive::{AtomicBool, Flaw, Mutex, Ordering, const_in_library, seeded};
use crate::seat::with_place;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// A flag that threads wait for. [`set`](Self::set) lets all of them go on who wait at that moment, and all who come later,
/// until it is [cleared](Self::clear).
///
/// A task that waits gives its core to another thread, after a few microseconds of hoping, and has one again when it goes
/// on. What was done before `set` is visible after the wait. Python's `Event`.
///
/// ```
/// use purloin::sync::Event;
/// use std::sync::OnceLock;
///
/// let (ready, word) = (Event::new(), OnceLock::new());
/// let pool = purloin::Pool::new(1)?;
/// let (length, ()) = pool.join(
///     || {
///         ready.wait();
///         word.get().map_or(0, |word: &&str| word.len())
///     },
///     || {
///         word.set("seven").expect("set once");
///         ready.set();
///     },
/// );
/// assert_eq!(length, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Event {
    /// Changed under the lock, read without.
    set: AtomicBool,
    line: Mutex<Line<()>>,
}

// Nothing of the user's is in it.
impl UnwindSafe for Event {}
impl RefUnwindSafe for Event {}

impl Event {
    const_in_library! {
        /// An event that has not happened. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Event;
        ///
        /// static SHUTDOWN: Event = Event::new();
        /// let server = std::thread::spawn(|| SHUTDOWN.wait());
        /// assert!(!SHUTDOWN.is_set());
        /// SHUTDOWN.set();
        /// server.join().expect("no panic");
        /// ```
        #[must_use]
        pub fn new() -> Self {
            Event { set: AtomicBool::new(false), line: Mutex::new(Line::new()) }
        }
    }

    /// Whether it has happened, and has not been cleared.
    ///
    /// ```
    /// let event = purloin::sync::Event::new();
    /// assert!(!event.is_set());
    /// event.set();
    /// assert!(event.is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire pairs with the Release in `set`: what was done before is visible.
        self.set.load(Ordering::Acquire)
    }

    /// It happens: all who wait go on, also if it is cleared before they do.
    ///
    /// ```
    /// let event = purloin::sync::Event::new();
    /// std::thread::scope(|scope| {
    ///     let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| event.wait())).collect();
    ///     event.set(); // one call for all of them, also for who comes only now
    ///     assert!(waiters.into_iter().all(|waiter| waiter.join().is_ok()));
    /// });
    /// ```
    pub fn set(&self) {
        let line = {
            let mut line = self.line.lock();
            let all = line.take();
            if seeded(Flaw::WakesBeforeChange) {
                drop(line);
            }
            // Release pairs with the Acquire in `is_set`.
            let order = if seeded(Flaw::ChangeRelaxed) { Ordering::Relaxed } else { Ordering::Release };
            self.set.store(true, order);
            all
        };
        line.answer_all();
    }

    /// From now on threads wait again, until the next [`set`](Self::set).
    ///
    /// ```
    /// let event = purloin::sync::Event::new();
    /// event.set();
    /// event.wait();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    pub fn clear(&self) {
        let _line = self.line.lock();
        // Relaxed: whoever sees it goes on to the lock.
        self.set.store(false, Ordering::Relaxed);
    }

    /// Waits until it has happened.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let (ready, answer) = (purloin::sync::Event::new(), AtomicU32::new(0));
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         answer.store(42, Ordering::Relaxed);
    ///         ready.set();
    ///     });
    ///     ready.wait();
    ///     assert_eq!(answer.load(Ordering::Relaxed), 42); // what was done before `set` is visible
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait(&self) {
        if !self.is_set() {
            // Without a time-out there is nothing to report.
            let _ = self.wait_slowly(None);
        }
    }

    /// Waits until it has happened, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] if it has not happened meanwhile.
    ///
    /// ```
    /// use purloin::sync::{Event, TimedOut};
    /// use std::time::Duration;
    ///
    /// let event = Event::new();
    /// assert_eq!(event.wait_timeout(Duration::from_millis(1)), Err(TimedOut));
    /// ```
    #[inline]
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), TimedOut> {
        if self.is_set() { Ok(()) } else { self.wait_slowly(Some(timeout)) }
    }

    #[cold]
    #[track_caller]
    fn wait_slowly(&self, timeout: Option<Duration>) -> Result<(), TimedOut> {
        let what = What { kind: "Event", address: (&raw const *self).addr(), at: Location::caller() };
        let deadline = deadline(timeout);
        with_place(|place| {
            let call = {
                let mut line = self.line.lock();
                if self.is_set() {
                    return Ok(());
                }
                line.enter(place, ())
            };
            // Who is no longer in the line when the time is up has been let go.
            if wait(place, &call, deadline, what) || !self.line.lock().leave(&call) { Ok(()) } else { Err(TimedOut) }
        })
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}
