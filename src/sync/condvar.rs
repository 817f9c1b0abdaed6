//! A condition variable: threads that gave up a mutex until another says that something has changed.

use super::line::{Line, What, is_past, wait};
use super::mutex::MutexGuard;
use crate::primitive::{self, Flaw, const_in_library, now, seeded};
use crate::seat::with_place;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::ptr;
use std::time::{Duration, Instant};

/// Lets threads that have locked a [`Mutex`](super::Mutex) wait until another thread has changed what it guards.
///
/// A thread that waits gives its core to others, and has one again before it goes on and locks. Those who wait are notified
/// in the order in which they came.
///
/// The semantics are Mesa's (Lampson and Redell 1980): a notified thread locks the mutex like any other, and by then a third
/// may have been there and made the condition false again. So a condition is looked at in a loop, which is what
/// [`wait_while`](Condvar::wait_while) does. There are no spurious wake-ups besides. A notification that finds nobody waiting
/// is forgotten: what is to be remembered must be in the mutex, and be changed under its lock *before* the notification.
///
/// [`Monitor`](super::Monitor) is a mutex and its conditions in one, for which none of this needs to be remembered.
///
/// ```
/// use purloin::sync::{Condvar, Mutex};
///
/// let pool = purloin::Pool::new(1)?;
/// let (ready, changed) = (Mutex::new(false), Condvar::new());
/// pool.scope(|s| {
///     s.spawn(|| drop(changed.wait_while(ready.lock(), |ready| !*ready)));
///     s.spawn(|| {
///         *ready.lock() = true;
///         changed.notify_one();
///     });
/// }); // on one core: the first task gave it to the second
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub struct Condvar {
    waiters: primitive::Mutex<Waiters>,
}

struct Waiters {
    line: Line<()>,
    /// The address of the mutex that those in the line have given up.
    mutex: usize,
}

/// How a wait with a time-out ended.
///
/// ```
/// use purloin::sync::{Condvar, Mutex};
/// use std::time::Duration;
///
/// let (ready, changed) = (Mutex::new(true), Condvar::new());
/// let (guard, result) = changed.wait_while_for(ready.lock(), |ready| !*ready, Duration::from_secs(60));
/// assert!(*guard && !result.timed_out()); // it had no need to wait
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a wait that was not notified has to be told from one that was"]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Whether the time ran out before the thread was notified.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

impl Condvar {
    const_in_library! {
        /// A condition variable for which nobody waits. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::{Condvar, Mutex};
        ///
        /// static READY: Mutex<bool> = Mutex::new(false);
        /// static CHANGED: Condvar = Condvar::new();
        /// let waits = std::thread::spawn(|| *CHANGED.wait_while(READY.lock(), |ready| !*ready));
        /// *READY.lock() = true;
        /// CHANGED.notify_all();
        /// assert!(waits.join().expect("no panic"));
        /// ```
        pub fn new() -> Self {
            Condvar { waiters: primitive::Mutex::new(Waiters { line: Line::new(), mutex: 0 }) }
        }
    }

    /// Unlocks, waits until notified, and locks again. Look at the condition in a loop around this.
    ///
    /// # Panics
    ///
    /// If other threads wait here that gave up another mutex: what one mutex guards can't be waited for under another. If
    /// locking again would close a [cycle](super::Mutex::lock).
    ///
    /// ```
    /// use purloin::sync::{Condvar, Mutex};
    ///
    /// let (count, changed) = (Mutex::new(0), Condvar::new());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         *count.lock() += 1;
    ///         changed.notify_all();
    ///     });
    ///     let mut guard = count.lock();
    ///     while *guard == 0 {
    ///         guard = changed.wait(guard);
    ///     }
    ///     assert_eq!(*guard, 1);
    /// });
    /// ```
    #[track_caller]
    #[must_use = "the mutex is unlocked when the guard is dropped"]
    pub fn wait<'a, T: ?Sized>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        let mutex = MutexGuard::mutex(&guard);
        self.wait_until(guard, None, Location::caller());
        mutex.lock_as("Mutex")
    }

    /// Waits, as [`wait`](Condvar::wait) does, as long as `condition` holds of the value.
    ///
    /// # Panics
    ///
    /// As [`wait`](Condvar::wait). A panic of `condition` unlocks.
    ///
    /// ```
    /// use purloin::sync::{Condvar, Mutex};
    /// use std::collections::VecDeque;
    ///
    /// let (queue, filled) = (Mutex::new(VecDeque::new()), Condvar::new());
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         queue.lock().push_back("a thing");
    ///         filled.notify_one();
    ///     });
    ///     let mut queue = filled.wait_while(queue.lock(), |queue| queue.is_empty());
    ///     assert_eq!(queue.pop_front(), Some("a thing"));
    /// });
    /// ```
    #[track_caller]
    #[must_use = "the mutex is unlocked when the guard is dropped"]
    pub fn wait_while<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        while condition(&mut guard) {
            guard = self.wait(guard);
        }
        guard
    }

    /// Waits, as [`wait`](Condvar::wait) does, for `timeout` at most. To lock again may take longer.
    ///
    /// # Panics
    ///
    /// As [`wait`](Condvar::wait).
    ///
    /// ```
    /// use purloin::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let (mutex, never) = (Mutex::new(()), Condvar::new());
    /// let (_guard, result) = never.wait_for(mutex.lock(), Duration::from_millis(1));
    /// assert!(result.timed_out());
    /// ```
    #[track_caller]
    pub fn wait_for<'a, T: ?Sized>(
        &self,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mutex = MutexGuard::mutex(&guard);
        let notified = self.wait_until(guard, now().checked_add(timeout), Location::caller());
        (mutex.lock_as("Mutex"), WaitTimeoutResult(!notified))
    }

    /// Waits, as [`wait_while`](Condvar::wait_while) does, for `timeout` at most. To lock again may take longer. It has timed
    /// out if the condition holds once the time is up.
    ///
    /// # Panics
    ///
    /// As [`wait_while`](Condvar::wait_while).
    ///
    /// ```
    /// use purloin::sync::{Condvar, Mutex};
    /// use std::time::Duration;
    ///
    /// let (ready, never) = (Mutex::new(false), Condvar::new());
    /// let (guard, result) = never.wait_while_for(ready.lock(), |ready| !*ready, Duration::from_millis(1));
    /// assert!(result.timed_out() && !*guard);
    /// ```
    #[track_caller]
    pub fn wait_while_for<'a, T: ?Sized>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
        let mutex = MutexGuard::mutex(&guard);
        let deadline = now().checked_add(timeout);
        while condition(&mut guard) {
            if is_past(deadline) {
                return (guard, WaitTimeoutResult(true));
            }
            self.wait_until(guard, deadline, Location::caller());
            guard = mutex.lock_as("Mutex");
        }
        (guard, WaitTimeoutResult(false))
    }

    /// Unlocks, and waits until notified or the deadline has passed; tells whether it was notified.
    fn wait_until<T: ?Sized>(
        &self,
        guard: MutexGuard<'_, T>,
        deadline: Option<Instant>,
        at: &'static Location<'static>,
    ) -> bool {
        let mutex = ptr::from_ref(MutexGuard::mutex(&guard)).addr();
        let what = What { kind: "Condvar", address: ptr::from_ref(self).addr(), at };
        let mut guard = Some(guard);
        if seeded(Flaw::UnlocksBeforeEntering) {
            guard = None;
        }
        with_place(|place| {
            let mut waiters = self.waiters.lock();
            if waiters.line.is_empty() {
                waiters.mutex = mutex;
            } else if waiters.mutex != mutex {
                drop(waiters);
                panic!("a condition variable belongs to one mutex: {at} gives up another than those who wait already");
            }
            // In the line before the mutex is unlocked: whoever changes the value after this sees that somebody waits.
            let call = waiters.line.enter(place, ());
            drop(waiters);
            drop(guard);
            if wait(place, &call, deadline, what) {
                return true;
            }
            let left = self.waiters.lock().line.leave(&call);
            !left && !seeded(Flaw::ServedTakenForLate)
        })
    }

    /// Notifies the thread that has waited longest, and tells whether there was any.
    ///
    /// ```
    /// assert!(!purloin::sync::Condvar::new().notify_one());
    /// ```
    pub fn notify_one(&self) -> bool {
        let call = self.waiters.lock().line.next();
        call.as_ref().inspect(|call| call.answer()).is_some()
    }

    /// Notifies all threads that wait now, and tells how many there were.
    ///
    /// ```
    /// assert_eq!(purloin::sync::Condvar::new().notify_all(), 0);
    /// ```
    pub fn notify_all(&self) -> usize {
        let calls: Vec<_> = {
            let mut waiters = self.waiters.lock();
            std::iter::from_fn(|| waiters.line.next()).collect()
        };
        calls.iter().for_each(|call| call.answer());
        calls.len()
    }
}

// Nothing of the user's is in it.
impl UnwindSafe for Condvar {}
impl RefUnwindSafe for Condvar {}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").field("waiting", &self.waiters.lock().line.len()).finish()
    }
}
