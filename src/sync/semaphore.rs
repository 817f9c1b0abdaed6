//! A semaphore: a number of permits on one atomic word, and a line of those who wait for some.

use super::closed::Closed;
use super::line::{Call, Line, What, deadline, hope_for, wait};
use super::permit::{OwnedPermit, Permit};
use super::semaphore_error::{AcquireTimeoutError, TooManyPermits, TryAcquireError};
use crate::primitive::{Arc, AtomicUsize, Flaw, Mutex, Ordering, const_in_library, seeded};
use crate::seat::{Place, with_place};
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// A number of permits that threads take and give back; who finds too few waits.
///
/// Waiting is first come, first served: nobody overtakes a thread that waits, so a large request cannot starve behind
/// small ones. A task that waits gives its core to another thread, after a few microseconds of hoping, and has one again
/// when it goes on. What was done before a permit was given back is visible to whoever takes it.
///
/// Dijkstra's semaphore (1965), with several permits at a time and an end ([`close`](Self::close)) as in tokio. Taking
/// permits that are there is one compare-exchange, giving back to nobody is one addition.
///
/// ```
/// use purloin::sync::Semaphore;
///
/// // At most two of these tasks have a connection at a time, however many cores there are.
/// static CONNECTIONS: Semaphore = Semaphore::new(2);
/// let pool = purloin::Pool::new(4)?;
/// let lengths = pool.map(0..10, |n| {
///     let _connection = CONNECTIONS.acquire(1).expect("nobody closes it");
///     n * n
/// });
/// assert_eq!(lengths[9], 81);
/// assert_eq!(CONNECTIONS.available(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Semaphore {
    /// The permits that nobody has, and above them two flags:
    ///
    /// | bits | meaning | changed |
    /// |---|---|---|
    /// | 0 to 61 | permits to be had | by anybody |
    /// | 62, `WAITING` | the line is not empty: permits are its, and who gives some back serves it | under the lock |
    /// | 63, `CLOSED` | the end, for good; the line is empty and stays so | under the lock |
    ///
    /// A word above `MAX_PERMITS` therefore has a flag, and nobody takes permits from it in passing.
    word: AtomicUsize,
    /// The permits that there are: those in the word, and those that guards hold.
    total: AtomicUsize,
    /// `total` is never more.
    bound: usize,
    /// Who waits, for how many.
    line: Mutex<Line<usize>>,
}

const WAITING: usize = 1 << (usize::BITS - 2);
const CLOSED: usize = 1 << (usize::BITS - 1);

// Nothing of the user's is in it.
impl UnwindSafe for Semaphore {}
impl RefUnwindSafe for Semaphore {}

impl Semaphore {
    /// The most permits that a semaphore can have: a quarter of what a `usize` can count.
    pub const MAX_PERMITS: usize = WAITING - 1;

    const_in_library! {
        /// A semaphore with that many permits, to which [more](Self::add_permits) may be added. It may be a `static`.
        ///
        /// # Panics
        ///
        /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// ```
        /// use purloin::sync::Semaphore;
        ///
        /// static TICKETS: Semaphore = Semaphore::new(3);
        /// assert_eq!(TICKETS.available(), 3);
        /// TICKETS.add_permits(2).expect("five are not too many");
        /// assert_eq!(TICKETS.available(), 5);
        /// ```
        #[must_use]
        pub fn new(permits: usize) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "a semaphore has at most Semaphore::MAX_PERMITS permits");
            Semaphore {
                word: AtomicUsize::new(permits),
                total: AtomicUsize::new(permits),
                bound: Self::MAX_PERMITS,
                line: Mutex::new(Line::new()),
            }
        }
    }

    const_in_library! {
        /// A semaphore with that many permits, which never has more: [`add_permits`](Self::add_permits) only makes up
        /// for those [forgotten](Permit::forget), and reports when it is called once too often. Python's
        /// `BoundedSemaphore`, but it also notices a surplus while permits are taken.
        ///
        /// # Panics
        ///
        /// If there are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// ```
        /// use purloin::sync::{Semaphore, TooManyPermits};
        ///
        /// let semaphore = Semaphore::bounded(2);
        /// let permit = semaphore.acquire(1)?;
        /// assert_eq!(semaphore.add_permits(1), Err(TooManyPermits { added: 1, bound: 2 }));
        /// permit.forget();
        /// assert_eq!(semaphore.add_permits(1), Ok(()));
        /// assert_eq!(semaphore.available(), 2);
        /// # Ok::<(), purloin::sync::Closed>(())
        /// ```
        #[must_use]
        pub fn bounded(permits: usize) -> Self {
            let mut semaphore = Self::new(permits);
            semaphore.bound = permits;
            semaphore
        }
    }

    /// Takes that many permits, and waits until it is this thread's turn and they are there. They are given back when
    /// the guard is dropped, also by a panic.
    ///
    /// A thread that holds permits and asks for more can wait for itself, or for one that waits for it: take all that is
    /// needed at once.
    ///
    /// # Errors
    ///
    /// [`Closed`], at once or while it waits.
    ///
    /// # Panics
    ///
    /// If so many permits can never be there: more than a [bounded](Self::bounded) semaphore has, or than
    /// [`MAX_PERMITS`](Self::MAX_PERMITS).
    ///
    /// ```
    /// use purloin::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(3);
    /// let two = semaphore.acquire(2)?;
    /// assert_eq!(semaphore.available(), 1);
    /// drop(two);
    /// assert_eq!(semaphore.available(), 3);
    /// # Ok::<(), purloin::sync::Closed>(())
    /// ```
    #[inline]
    #[track_caller]
    #[must_use = "the permits are given back when the guard is dropped: let _permit = .., and not let _ = .."]
    pub fn acquire(&self, permits: usize) -> Result<Permit<'_>, Closed> {
        if !self.take(permits) && self.acquire_slowly(permits, None) != Outcome::Served {
            return Err(Closed);
        }
        Ok(Permit::of(self, permits))
    }

    /// Takes that many permits if they are there and nobody waits for permits.
    ///
    /// # Errors
    ///
    /// [`TryAcquireError`] tells whether waiting would help.
    ///
    /// ```
    /// use purloin::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let permit = semaphore.try_acquire(1)?;
    /// assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::NoPermits));
    /// semaphore.close();
    /// assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::Closed));
    /// # drop(permit);
    /// # Ok::<(), TryAcquireError>(())
    /// ```
    #[inline]
    #[must_use = "the permits are given back when the guard is dropped: let _permit = .., and not let _ = .."]
    pub fn try_acquire(&self, permits: usize) -> Result<Permit<'_>, TryAcquireError> {
        if self.take(permits) {
            return Ok(Permit::of(self, permits));
        }
        Err(if self.is_closed() { TryAcquireError::Closed } else { TryAcquireError::NoPermits })
    }

    /// As [`acquire`](Self::acquire), but waits no longer than `timeout`; after that, those behind it in the line move up.
    /// A task that gives up still waits for a core to go on with; if its turn comes meanwhile, it has its permits.
    ///
    /// # Errors
    ///
    /// [`AcquireTimeoutError`] tells whether the time was up or the semaphore closed.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// use purloin::sync::{AcquireTimeoutError, Semaphore};
    /// use std::time::Duration;
    ///
    /// let semaphore = Semaphore::new(0);
    /// let late = semaphore.acquire_timeout(1, Duration::from_millis(1));
    /// assert_eq!(late.err(), Some(AcquireTimeoutError::TimedOut));
    /// ```
    #[inline]
    #[track_caller]
    #[must_use = "the permits are given back when the guard is dropped: let _permit = .., and not let _ = .."]
    pub fn acquire_timeout(&self, permits: usize, timeout: Duration) -> Result<Permit<'_>, AcquireTimeoutError> {
        if self.take(permits) {
            return Ok(Permit::of(self, permits));
        }
        match self.acquire_slowly(permits, Some(timeout)) {
            Outcome::Served => Ok(Permit::of(self, permits)),
            Outcome::Closed => Err(AcquireTimeoutError::Closed),
            Outcome::TimedOut => Err(AcquireTimeoutError::TimedOut),
        }
    }

    /// As [`acquire`](Self::acquire), for a guard that keeps the semaphore alive and may go to another task.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// ```
    /// use purloin::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let pool = purloin::Pool::new(2)?;
    /// let slots = Arc::new(Semaphore::new(1));
    /// let slot = slots.acquire_owned(1)?;
    /// let task = pool.spawn(move || slot.count()); // and gives it back
    /// assert_eq!(task.join()?, 1);
    /// assert_eq!(slots.available(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    #[must_use = "the permits are given back when the guard is dropped: let _permit = .., and not let _ = .."]
    pub fn acquire_owned(self: &Arc<Self>, permits: usize) -> Result<OwnedPermit, Closed> {
        self.acquire(permits).map(|permit| permit.owned(self))
    }

    /// As [`try_acquire`](Self::try_acquire), for a guard that keeps the semaphore alive and may go to another task.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use purloin::sync::{Semaphore, TryAcquireError};
    /// use std::sync::Arc;
    ///
    /// let slots = Arc::new(Semaphore::new(1));
    /// let slot = slots.try_acquire_owned(1)?;
    /// assert_eq!(slots.try_acquire_owned(1).err(), Some(TryAcquireError::NoPermits));
    /// std::thread::spawn(move || drop(slot)).join().expect("no panic");
    /// assert!(slots.try_acquire_owned(1).is_ok());
    /// # Ok::<(), TryAcquireError>(())
    /// ```
    #[must_use = "the permits are given back when the guard is dropped: let _permit = .., and not let _ = .."]
    pub fn try_acquire_owned(self: &Arc<Self>, permits: usize) -> Result<OwnedPermit, TryAcquireError> {
        self.try_acquire(permits).map(|permit| permit.owned(self))
    }

    /// Adds permits, and serves those who wait for them. From anywhere: this is how one thread lets another go on, and
    /// how permits that were [forgotten](Permit::forget) come back.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] if there would be more than the semaphore may have; then none are added.
    ///
    /// ```
    /// use purloin::sync::Semaphore;
    ///
    /// let arrived = Semaphore::new(0);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| arrived.add_permits(2).expect("two are not too many"));
    ///     arrived.acquire(2).expect("nobody closes it").forget();
    /// });
    /// assert_eq!(arrived.available(), 0);
    /// ```
    pub fn add_permits(&self, permits: usize) -> Result<(), TooManyPermits> {
        // Acquire pairs with the Release in `forget`: the forgotten permits have left the word.
        let mut total = self.total.load(Ordering::Acquire);
        loop {
            if permits > self.bound - total {
                return Err(TooManyPermits { added: permits, bound: self.bound });
            }
            if seeded(Flaw::TotalByStore) {
                self.total.store(total + permits, Ordering::Relaxed);
                break;
            }
            // Acquire pairs with the Release in `forget`, as in the load above, for whichever value is read at last.
            match self.total.compare_exchange_weak(total, total + permits, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(now) => total = now,
            }
        }
        self.give(permits);
        Ok(())
    }

    /// Ends the semaphore: those who wait, and all who come later, get [`Closed`]. Permits that were taken stay valid, and
    /// may be given back.
    ///
    /// ```
    /// use purloin::sync::{Closed, Semaphore};
    ///
    /// let semaphore = Semaphore::new(0);
    /// std::thread::scope(|scope| {
    ///     let waiter = scope.spawn(|| semaphore.acquire(1).err());
    ///     semaphore.close();
    ///     assert_eq!(waiter.join().unwrap(), Some(Closed));
    /// });
    /// ```
    pub fn close(&self) {
        let mut line = if seeded(Flaw::WakesBeforeChange) {
            let line = self.line.lock().take();
            self.mark_closed();
            line
        } else {
            let mut line = self.line.lock();
            self.mark_closed();
            line.take()
        };
        while let Some(call) = line.next() {
            call.refuse();
            if seeded(Flaw::AnswersOne) {
                break;
            }
        }
    }

    /// Says in the word that the semaphore is closed, and that nobody waits.
    #[inline]
    fn mark_closed(&self) {
        // Relaxed: a hint to those who come in passing; those who want to wait look under the lock.
        self.word.fetch_or(CLOSED, Ordering::Relaxed);
        self.word.fetch_and(!WAITING, Ordering::Relaxed);
    }

    /// Whether the semaphore has been closed.
    ///
    /// ```
    /// let semaphore = purloin::sync::Semaphore::new(1);
    /// assert!(!semaphore.is_closed());
    /// semaphore.close();
    /// assert!(semaphore.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// The permits that nobody has. Other threads may be taking and giving; if somebody waits, these are too few for the
    /// first in line.
    ///
    /// ```
    /// let semaphore = purloin::sync::Semaphore::new(3);
    /// let _two = semaphore.acquire(2)?;
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok::<(), purloin::sync::Closed>(())
    /// ```
    pub fn available(&self) -> usize {
        self.word.load(Ordering::Relaxed) & Self::MAX_PERMITS
    }

    /// Takes permits if they are there, nobody waits and the semaphore is open.
    #[inline]
    fn take(&self, permits: usize) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word <= Self::MAX_PERMITS && permits <= word {
            // Acquire pairs with the Release in `give`: what was done before the permits were given back is visible.
            match self.word.compare_exchange_weak(word, word - permits, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Gives permits to those who wait, or to nobody.
    #[inline]
    pub(super) fn give(&self, permits: usize) {
        // Release pairs with the Acquire in `take` and in `take_for_first`. The sum stays below the flags, since it is at
        // most `total`.
        let order = if seeded(Flaw::PermitReleasedRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if self.word.fetch_add(permits, order) & WAITING != 0 {
            self.serve();
        }
    }

    /// Permits that were taken are never given back.
    pub(super) fn forget(&self, permits: usize) {
        // Release pairs with the Acquire in `add_permits`: the permits left the word before.
        self.total.fetch_sub(permits, Ordering::Release);
    }

    /// Waits for its turn in the line.
    #[cold]
    #[track_caller]
    fn acquire_slowly(&self, permits: usize, timeout: Option<Duration>) -> Outcome {
        if self.is_closed() {
            return Outcome::Closed;
        }
        assert!(
            permits <= self.bound,
            "{permits} permits are asked for: the semaphore never has more than {}",
            self.bound
        );
        let deadline = deadline(timeout);
        let what = What { kind: "Semaphore", address: (&raw const *self).addr(), at: Location::caller() };
        // What is held for a moment only is worth a short spin.
        // (A flag ends it too.)
        hope_for(|| permits <= self.word.load(Ordering::Relaxed));
        if self.take(permits) {
            return Outcome::Served;
        }
        with_place(|place| {
            let call = match self.take_or_enter(place, permits) {
                Ok(call) => call,
                Err(outcome) => return outcome,
            };
            if !wait(place, &call, deadline, what) {
                if self.leave(&call, permits) {
                    return Outcome::TimedOut;
                }
                // Somebody took the call out of the line before, and is about to answer it.
                wait(place, &call, None, what);
            }
            if call.is_refused() { Outcome::Closed } else { Outcome::Served }
        })
    }

    /// Enters the line, unless there is no reason to wait.
    fn take_or_enter(&self, place: &Place, permits: usize) -> Result<Arc<Call>, Outcome> {
        let mut line = self.line.lock();
        // The flags cannot change while we have the lock.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & WAITING == 0 {
            if word & CLOSED != 0 {
                return Err(Outcome::Closed);
            }
            let takes = permits <= word;
            let next = if takes { word - permits } else { word | WAITING };
            if !takes && seeded(Flaw::WaitsUnmarked) {
                break;
            }
            // Acquire pairs with the Release in `give`. Who gives permits after the mark was set sees it, and comes for
            // the lock to serve us.
            match self.word.compare_exchange_weak(word, next, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) if takes => return Err(Outcome::Served),
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        Ok(line.enter(place, permits))
    }

    /// Gives up waiting. `false` if it is too late for that: the call has been taken out of the line.
    #[cold]
    fn leave(&self, call: &Arc<Call>, permits: usize) -> bool {
        let left = seeded(Flaw::LeaverStaysInLine) || self.line.lock().leave(call);
        if seeded(Flaw::LeaverGivesBack) {
            self.give(permits);
        }
        if left && !seeded(Flaw::LeaverServesNobody) {
            // What was too little for us may be enough for those behind; and if there are none, the mark must go.
            self.serve();
        }
        left || seeded(Flaw::ServedTakenForLate)
    }

    /// Serves those at the front of the line, as far as the permits go.
    #[cold]
    fn serve(&self) {
        while let Some(call) = self.take_for_first() {
            call.answer();
        }
    }

    /// Takes the first out of the line, with its permits, if they are there.
    fn take_for_first(&self) -> Option<Arc<Call>> {
        let mut line = self.line.lock();
        let mut word = self.word.load(Ordering::Relaxed);
        let mut served = None;
        while let Some(&permits) = line.first() {
            if permits > word & Self::MAX_PERMITS {
                // Who gives some after this look sees the mark.
                break;
            }
            // Acquire pairs with the Release in `give`; the answer passes it on.
            match self.word.compare_exchange_weak(word, word - permits, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => {
                    served = line.next();
                    break;
                }
                Err(now) => word = now,
            }
        }
        if line.is_empty() {
            // Relaxed: under the lock, and whoever takes permits from the word now pairs with those who gave them.
            self.word.fetch_and(!WAITING, Ordering::Relaxed);
        }
        served
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Semaphore");
        output.field("available", &self.available()).field("closed", &self.is_closed()).finish_non_exhaustive()
    }
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Served,
    Closed,
    TimedOut,
}
