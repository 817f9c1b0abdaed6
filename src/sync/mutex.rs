//! A mutex that hands the core over while a thread waits for it.

use super::holder::{Holder, Step, Wish, acquire};
use super::line::What;
use crate::primitive::{self, Flaw, const_in_library, now, seeded};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

/// A value that one thread at a time may use.
///
/// A thread that finds it locked looks again for about a microsecond, then gives its core to others and blocks; it has a
/// core again when it goes on. So a task that waits for a lock never keeps its pool from working, and a lock may be held
/// across [`join`](crate::join) and the like: what a thread runs while it waits there is part of what it waits for.
///
/// A panic while the lock is held unlocks it; there is no poisoning. Who comes first is not always served first: a thread
/// that runs may overtake those that have to be woken. `parking_lot`, whose mutex this is, sees to it that about every half
/// millisecond the one that waits longest is.
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
pub struct Mutex<T> {
    value: primitive::TimedMutex<T>,
    holder: Holder,
}

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
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Unlocks when it is dropped, after `drop` below has run.
    value: primitive::TimedMutexGuard<'a, T>,
    /// Not `Send`, whichever features of parking_lot are on: the holder is a thread.
    bound: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

impl<T> Mutex<T> {
    const_in_library! {
        /// An unlocked mutex.
        pub fn new(value: T) -> Self {
            Mutex { value: primitive::TimedMutex::new(value), holder: Holder::new() }
        }
    }

    /// Locks, waiting as long as it takes.
    ///
    /// # Panics
    ///
    /// If this thread has the lock already, or if threads that hold mutexes or [write locks](super::RwLock) and wait for
    /// each other's form a cycle which this call would close: all of them would wait for ever. The message names each thread,
    /// what it waits for, who has that, and the source lines. Waits with a time-out do not count. In a thread that panics
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
        let at = Location::caller();
        match self.value.try_lock() {
            Some(value) => self.guard(value, at),
            None => self.lock_slow(kind, at, None).expect("there is no deadline"),
        }
    }

    /// Locks if that can be done without waiting.
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
        let at = Location::caller();
        self.value.try_lock().map(|value| self.guard(value, at))
    }

    /// Locks, waiting for `timeout` at most. A thread that already has the lock waits in vain.
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
        let at = Location::caller();
        match self.value.try_lock() {
            Some(value) => Some(self.guard(value, at)),
            // A deadline beyond the end of time is none.
            None => self.lock_slow("Mutex", at, now().checked_add(timeout)),
        }
    }

    #[cold]
    fn lock_slow(
        &self,
        kind: &'static str,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
    ) -> Option<MutexGuard<'_, T>> {
        let what = What { kind, address: ptr::from_ref(self).addr(), at };
        let wish = Wish { holder: &self.holder, what, alone: true, deadline };
        let mut value = None;
        acquire(&wish, &mut |step| {
            value = match step {
                Step::Try => self.value.try_lock(),
                Step::Block(None) => Some(self.value.lock()),
                Step::Block(Some(deadline)) => self.value.try_lock_until(deadline),
                Step::GiveBack => None,
            };
            value.is_some()
        });
        value.map(|value| self.guard(value, at))
    }

    #[inline]
    fn guard<'a>(
        &'a self,
        value: primitive::TimedMutexGuard<'a, T>,
        at: &'static Location<'static>,
    ) -> MutexGuard<'a, T> {
        self.holder.note(at);
        MutexGuard { mutex: self, value, bound: PhantomData }
    }

    /// The value, which nobody else can use meanwhile.
    ///
    /// ```
    /// let mut mutex = purloin::sync::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(*mutex.lock(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(purloin::sync::Mutex::new("inside").into_inner(), "inside");
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// The mutex that this has locked.
    pub(super) fn mutex(this: &Self) -> &'a Mutex<T> {
        this.mutex
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !seeded(Flaw::HolderNotCleared) {
            self.mutex.holder.clear();
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(value) => output.field("value", &*value),
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
