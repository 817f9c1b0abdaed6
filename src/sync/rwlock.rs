//! A lock for many readers or one writer, which hands the core over while a thread waits for it.

use super::holder::{Before, Holder, Mode, Step, Wish, acquire};
use super::line::What;
use super::reads::{self, Slot};
use crate::primitive::{self, Flaw, const_in_library, now, raw_of, seeded};
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

/// A value that many threads may read at a time, or one may change.
///
/// Waiting is as with [`Mutex`](super::Mutex): the core goes to others meanwhile. As soon as a writer waits, no more readers are let in,
/// so readers cannot keep writers away for ever. For the same reason a thread must not lock for reading what it has locked
/// for reading already: if a writer has come in between, both would wait for ever. Nor can it lock for writing what it has
/// locked for reading: drop the guard first. Both are reported by a panic, as are [cycles](super::Mutex::lock) through readers;
/// not so what a thread reads beyond its first 16 locks at a time, or while another writer of the lock waits with a time-out.
///
/// The parts of a `join`, a `map` or a scope count as well: if they lock for reading what is locked for reading around them, a
/// writer that comes in between waits for the outer guard, the parts for the writer, and the outer guard for the parts. Read
/// what they need before, or hand them a reference to what the guard guards. That is not reported, as it is no matter of locks
/// alone.
///
/// A panic while the lock is held unlocks it; there is no poisoning. That a `try_` call fails does not tell that another's call
/// has returned: a thread that comes by the lock without a core may give it back and wait again. The lock itself is parking_lot's.
///
/// ```
/// use purloin::sync::RwLock;
///
/// let pool = purloin::Pool::new(2)?;
/// let table = RwLock::new(vec![1, 2, 3]);
/// let (sum, ()) = pool.join(|| table.read().iter().sum::<i32>(), || table.write().push(4));
/// assert!(sum == 6 || sum == 10);
/// # Ok::<(), purloin::BuildError>(())
/// ```
// What locking and unlocking write is in one cache line.
#[repr(C, align(32))]
pub struct RwLock<T: ?Sized> {
    holder: Holder,
    value: primitive::RwLock<T>,
}

/// The right to read an [`RwLock`]'s value, until it is dropped by the thread that locked.
///
/// ```
/// let table = purloin::sync::RwLock::new(vec![1, 2, 3]);
/// let guard = table.read();
/// assert_eq!(guard.len(), 3); // it is used as the value
/// assert!(table.try_write().is_none());
/// drop(guard);
/// assert!(table.try_write().is_some());
/// ```
#[must_use = "the lock is given back when this is dropped"]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    /// Where this thread has noted it.
    slot: Slot,
    /// Unlocks when it is dropped, after `drop` below has run.
    value: primitive::RwLockReadGuard<'a, T>,
    /// Not `Send`, whichever features of parking_lot are on.
    bound: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

/// The right to change an [`RwLock`]'s value, until it is dropped by the thread that locked.
///
/// ```
/// let table = purloin::sync::RwLock::new(vec![1, 2, 3]);
/// let mut guard = table.write();
/// guard.push(4);
/// assert!(table.try_read().is_none());
/// drop(guard);
/// assert_eq!(*table.read(), [1, 2, 3, 4]);
/// ```
#[must_use = "the lock is given back when this is dropped"]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    holder: &'a Holder,
    before: Before,
    /// Unlocks when it is dropped, after `drop` below has run.
    value: primitive::RwLockWriteGuard<'a, T>,
    /// Not `Send`, whichever features of parking_lot are on: the holder is a thread.
    bound: PhantomData<std::sync::MutexGuard<'static, ()>>,
}

impl<T> RwLock<T> {
    const_in_library! {
        /// An unlocked lock. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::RwLock;
        ///
        /// static LIMIT: RwLock<u32> = RwLock::new(10);
        /// *LIMIT.write() += 5;
        /// assert_eq!(*LIMIT.read(), 15);
        /// ```
        pub fn new(value: T) -> Self {
            RwLock { holder: Holder::new(), value: primitive::RwLock::new(value) }
        }
    }

    /// The value.
    ///
    /// ```
    /// assert_eq!(purloin::sync::RwLock::new("inside").into_inner(), "inside");
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading, waiting as long as it takes.
    ///
    /// # Panics
    ///
    /// If this thread has the lock for writing, or has it for reading and a writer waits, or if a cycle would be closed, as told
    /// at [`Mutex::lock`](super::Mutex::lock).
    ///
    /// ```
    /// let lock = purloin::sync::RwLock::new(1);
    /// let (one, two) = (lock.read(), lock.try_read());
    /// assert_eq!(*one, *two.expect("readers do not exclude each other"));
    /// ```
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        match self.value.try_read() {
            Some(value) => self.reader(value, Location::caller()),
            None => self.read_slow(Location::caller(), None).expect("there is no deadline"),
        }
    }

    /// Locks for reading if that can be done without waiting.
    ///
    /// ```
    /// let lock = purloin::sync::RwLock::new(1);
    /// let _writer = lock.write();
    /// assert!(lock.try_read().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let at = Location::caller();
        self.value.try_read().map(|value| self.reader(value, at))
    }

    /// Locks for reading, waiting for `timeout` at most. A `timeout` beyond the end of the clock is none, and this is
    /// [`read`](RwLock::read), with its panics.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = purloin::sync::RwLock::new(1);
    /// let _writer = lock.write();
    /// assert!(lock.try_read_for(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        match self.try_read() {
            Some(guard) => Some(guard),
            None => self.read_slow(Location::caller(), now().checked_add(timeout)),
        }
    }

    #[cold]
    #[track_caller]
    fn read_slow(&self, at: &'static Location<'static>, deadline: Option<Instant>) -> Option<RwLockReadGuard<'_, T>> {
        let mut value = None;
        acquire(&self.wish(Mode::Shared, "RwLock", at, deadline), &mut |step| {
            value = match step {
                Step::Try => self.value.try_read(),
                Step::Block(None) => Some(self.value.read()),
                Step::Block(Some(deadline)) => self.value.try_read_until(deadline),
                Step::GiveBack => None,
            };
            value.is_some()
        });
        value.map(|value| self.reader(value, at))
    }

    #[inline]
    fn reader<'a>(
        &'a self,
        value: primitive::RwLockReadGuard<'a, T>,
        at: &'static Location<'static>,
    ) -> RwLockReadGuard<'a, T> {
        let slot = reads::note(self.holder.name(), at);
        RwLockReadGuard { slot, value, bound: PhantomData }
    }

    /// Locks for writing, waiting as long as it takes.
    ///
    /// # Panics
    ///
    /// If this thread has the lock already, for writing or for reading, or if a cycle would be closed, as told at
    /// [`Mutex::lock`](super::Mutex::lock).
    ///
    /// ```
    /// let lock = purloin::sync::RwLock::new(1);
    /// *lock.write() += 1;
    /// assert_eq!(*lock.read(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.write_as("RwLock", Location::caller())
    }

    /// Locks for writing on behalf of a primitive of that kind, of which this is a part.
    #[inline]
    #[track_caller]
    pub(super) fn write_as(&self, kind: &'static str, at: &'static Location<'static>) -> RwLockWriteGuard<'_, T> {
        match self.value.try_write() {
            Some(value) => self.writer(value, at),
            None => self.write_slow(kind, at, None).expect("there is no deadline"),
        }
    }

    /// Locks for writing if that can be done without waiting.
    ///
    /// ```
    /// let lock = purloin::sync::RwLock::new(1);
    /// let _reader = lock.read();
    /// assert!(lock.try_write().is_none());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let at = Location::caller();
        self.value.try_write().map(|value| self.writer(value, at))
    }

    /// Locks for writing, waiting for `timeout` at most. A `timeout` beyond the end of the clock is none, and this is
    /// [`write`](RwLock::write), with its panics.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let lock = purloin::sync::RwLock::new(1);
    /// let _reader = lock.read();
    /// assert!(lock.try_write_for(Duration::from_millis(1)).is_none());
    /// ```
    #[track_caller]
    pub fn try_write_for(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        self.write_until("RwLock", Location::caller(), now().checked_add(timeout))
    }

    /// The same, on behalf of a primitive of that kind.
    #[track_caller]
    pub(super) fn write_until(
        &self,
        kind: &'static str,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
    ) -> Option<RwLockWriteGuard<'_, T>> {
        match self.value.try_write() {
            Some(value) => Some(self.writer(value, at)),
            None => self.write_slow(kind, at, deadline),
        }
    }

    #[cold]
    #[track_caller]
    fn write_slow(
        &self,
        kind: &'static str,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
    ) -> Option<RwLockWriteGuard<'_, T>> {
        let mut value = None;
        acquire(&self.wish(Mode::Alone, kind, at, deadline), &mut |step| {
            value = match step {
                // To try the exchange while another thread writes would take the cache line from it.
                Step::Try if self.holder.is_noted() => None,
                Step::Try => self.value.try_write(),
                Step::Block(None) => Some(self.value.write()),
                Step::Block(Some(deadline)) => self.value.try_write_until(deadline),
                Step::GiveBack => None,
            };
            value.is_some()
        });
        value.map(|value| self.writer(value, at))
    }

    #[inline]
    fn writer<'a>(
        &'a self,
        value: primitive::RwLockWriteGuard<'a, T>,
        at: &'static Location<'static>,
    ) -> RwLockWriteGuard<'a, T> {
        let before = self.holder.note(at);
        RwLockWriteGuard { holder: &self.holder, before, value, bound: PhantomData }
    }

    fn wish(
        &self,
        mode: Mode,
        kind: &'static str,
        at: &'static Location<'static>,
        deadline: Option<Instant>,
    ) -> Wish<'_> {
        let what = What { kind, address: ptr::from_ref(self).cast::<()>().addr(), at };
        Wish { holder: &self.holder, lock: Some(raw_of(&self.value)), what, mode, deadline }
    }

    /// The value, which nobody else can use meanwhile.
    ///
    /// ```
    /// let mut lock = purloin::sync::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// assert_eq!(*lock.read(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        reads::clear(&self.slot);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !seeded(Flaw::HolderNotCleared) {
            self.holder.clear(self.before);
        }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        T::fmt(self, f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("RwLock");
        match self.try_read() {
            Some(value) => output.field("value", &&*value),
            None => output.field("value", &format_args!("<locked>")),
        };
        output.finish()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        RwLock::new(value)
    }
}
