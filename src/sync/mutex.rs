//! A mutex that hands the core over while a thread waits for it.

use super::rwlock::{RwLock, RwLockWriteGuard};
use crate::primitive::{const_in_library, now};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::time::Duration;

/// A value that one thread at a time may use.
///
/// A thread that finds it locked looks again for about ten microseconds, then gives its core to others and blocks; it has a
/// core again when it goes on. So a task that waits for a lock never keeps its pool from working, and a lock may be held
/// across [`join`](crate::join) and the like: what a thread runs while it waits there is part of what it waits for.
///
/// A panic while the lock is held unlocks it; there is no poisoning. Who comes first is not always served first: a thread
/// that runs may overtake those that have to be woken, and nothing limits how often: a thread that locks again as soon as
/// it has unlocked may keep others waiting for as long as it goes on. A [`Semaphore`](super::Semaphore) of one permit serves
/// first come, first served. The lock itself is parking_lot's.
///
/// ```
/// use purloin::sync::Mutex;
///
/// let pool = purloin::Pool::new(2)?;
/// let sum = Mutex::new(0);
/// pool.map(0..100, |n| *sum.lock() += n);
/// assert_eq!(sum.into_inner(), 4950);
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub struct Mutex<T: ?Sized> {
    /// A lock that has only writers.
    lock: RwLock<T>,
}

// SAFETY: readers, for whom `RwLock` needs `T: Sync`, there are none here: one thread at a time reaches the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// The right to a [`Mutex`]'s value; the mutex is unlocked when this is dropped, by the thread that locked it.
///
/// It can be shared among threads, and stays with its own:
///
/// ```
/// let words = purloin::sync::Mutex::new(vec!["one", "two"]);
/// let guard = words.lock();
/// assert_eq!(purloin::join(|| guard[0], || guard[1]), ("one", "two"));
/// ```
///
/// ```compile_fail,E0277
/// static LOCK: purloin::sync::Mutex<()> = purloin::sync::Mutex::new(());
/// let guard = LOCK.lock();
/// std::thread::spawn(move || drop(guard));
/// ```
#[must_use = "the mutex is unlocked when this is dropped"]
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    value: RwLockWriteGuard<'a, T>,
}

impl<T> Mutex<T> {
    const_in_library! {
        /// An unlocked mutex. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Mutex;
        ///
        /// static LOG: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        /// LOG.lock().push("begun");
        /// assert_eq!(*LOG.lock(), ["begun"]);
        /// ```
        pub fn new(value: T) -> Self {
            Mutex { lock: RwLock::new(value) }
        }
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(purloin::sync::Mutex::new("inside").into_inner(), "inside");
    /// ```
    pub fn into_inner(self) -> T {
        self.lock.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks, waiting as long as it takes.
    ///
    /// # Panics
    ///
    /// If this thread has the lock already, or if threads that hold mutexes or [locks for reading and writing](super::RwLock), or
    /// make values of a [`OnceLock`](super::OnceLock), and wait for each other's, form a cycle which this call would close: all
    /// of them would wait for ever. The message names each thread, what it waits for, who has that, and the source lines. Waits with a time-out do not count. In a thread that panics
    /// already this ends the process, after the report.
    ///
    /// ```
    /// let name = purloin::sync::Mutex::new(String::from("Ada"));
    /// name.lock().push_str(" Lovelace");
    /// assert_eq!(*name.lock(), "Ada Lovelace");
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.lock_as("Mutex")
    }

    /// Locks on behalf of a primitive of that kind, of which this is a part.
    #[inline]
    #[track_caller]
    pub(super) fn lock_as(&self, kind: &'static str) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, value: self.lock.write_as(kind, Location::caller()) }
    }

    /// Locks if that can be done without waiting. It may be refused for a moment though nobody has the lock: while one of several
    /// threads that waited is about to wake up for it.
    ///
    /// ```
    /// let mutex = purloin::sync::Mutex::new(1);
    /// let first = mutex.try_lock();
    /// assert!(first.is_some());
    /// assert!(mutex.try_lock().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.lock.try_write().map(|value| MutexGuard { mutex: self, value })
    }

    /// Locks, waiting for `timeout` at most. A thread that already has the lock waits in vain. A `timeout` beyond the end of the
    /// clock is none, and this is [`lock`](Mutex::lock), with its panics.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mutex = purloin::sync::Mutex::new(1);
    /// let first = mutex.lock();
    /// assert!(mutex.try_lock_for(Duration::from_millis(1)).is_none());
    /// drop(first);
    /// assert!(mutex.try_lock_for(Duration::from_millis(1)).is_some());
    /// ```
    #[track_caller]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        // A deadline beyond the end of time is none.
        let deadline = now().checked_add(timeout);
        let value = self.lock.write_until("Mutex", Location::caller(), deadline)?;
        Some(MutexGuard { mutex: self, value })
    }

    /// The value, which nobody else can use meanwhile.
    ///
    /// ```
    /// let mut mutex = purloin::sync::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(*mutex.lock(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.lock.get_mut()
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex that this has locked.
    pub(super) fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(value) => output.field("value", &&*value),
            None => output.field("value", &format_args!("<locked>")),
        };
        output.finish()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Mutex::new(value)
    }
}
