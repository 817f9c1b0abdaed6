//! The models' locks. [`Mutex`] is loom's or shuttle's. [`RwLock`] stands for parking_lot's, which is tried as well as locked:
//! in loom 0.7.3 a `try_lock` that another thread comes before does not fail but blocks. It is a word with the orderings that
//! parking_lot has (Acquire to lock, Release to unlock, nothing if it fails) and a queue beside it. Whoever comes may overtake
//! those who were woken, as there, and as there a writer that waits keeps readers out. Whether a time-out can pass is the
//! explorer's: see `look_until`.

use super::raw::sync as raw;
use super::{AtomicUsize, Ordering, UnsafeCell, look_until};
use std::ops::{Deref, DerefMut};
use std::sync::PoisonError;
use std::time::Instant;

/// The explorer's mutex, without poisoning.
#[derive(Debug)]
pub struct Mutex<T>(raw::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub fn new(value: T) -> Self {
        Mutex(raw::Mutex::new(value))
    }

    /// Locks.
    pub fn lock(&self) -> raw::MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where threads wait for a word to change.
#[derive(Debug)]
struct Queue {
    threads: raw::Mutex<()>,
    changed: raw::Condvar,
}

impl Queue {
    fn new() -> Self {
        Queue { threads: raw::Mutex::new(()), changed: raw::Condvar::new() }
    }

    /// Waits until `try_take`, which says in the word that somebody waits, is true.
    fn wait_until(&self, try_take: impl Fn() -> bool) {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while !try_take() {
            threads = self.changed.wait(threads).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The word has changed, and somebody waits.
    fn wake(&self, prepare: impl FnOnce()) {
        let _threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        prepare();
        self.changed.notify_all();
    }
}

/// A lock without its value.
///
/// | `word` | meaning |
/// |---|---|
/// | 0 | free |
/// | n | n readers |
/// | `WRITER` | a writer |
/// | + `PENDING` | a writer waits: no more readers |
/// | + `WAITED` | perhaps somebody waits |
#[derive(Debug)]
pub struct RawLock {
    word: AtomicUsize,
    queue: Queue,
}

const WRITER: usize = 1 << 8;
const WAITED: usize = 1 << 9;
const PENDING: usize = 1 << 10;

/// What keeps readers out.
const WRITES: usize = WRITER | PENDING;
/// What keeps writers out.
const TAKEN: usize = !(WAITED | PENDING);

impl RawLock {
    /// Adds to the word, which was `word` at the last look, if nothing of `unless` is in it. A writer that comes in is no
    /// longer pending; if there is another, it says so again.
    fn try_add(&self, mut word: usize, more: usize, unless: usize) -> bool {
        while word & unless == 0 {
            let new = (word & !PENDING) + more;
            match self.word.compare_exchange(word, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    fn wait_to(&self, more: usize, unless: usize, mark: usize) {
        self.queue.wait_until(|| {
            let before = self.word.fetch_or(mark, Ordering::Relaxed);
            self.try_add(before | mark, more, unless)
        });
    }

    fn subtract(&self, less: usize) {
        // Release pairs with the Acquire of the exchange that takes the lock next.
        if self.word.fetch_sub(less, Ordering::Release) & WAITED != 0 {
            self.queue.wake(|| {
                self.word.fetch_and(!WAITED, Ordering::Relaxed);
            });
        }
    }
}

/// The lock within.
pub fn raw_of<T: ?Sized>(lock: &RwLock<T>) -> &RawLock {
    &lock.raw
}

/// Whether the lock lets readers in: nobody writes, nor waits to write.
pub fn lets_readers_in(lock: &RawLock) -> bool {
    lock.word.load(Ordering::Relaxed) & WRITES == 0
}

/// The models' lock for readers or a writer.
#[derive(Debug)]
pub struct RwLock<T: ?Sized> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by readers, or by a writer only, as loom checks.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

/// The right to read an [`RwLock`]'s value.
pub struct RwLockReadGuard<'a, T: ?Sized>(&'a RwLock<T>);

/// The right to change an [`RwLock`]'s value.
pub struct RwLockWriteGuard<'a, T: ?Sized>(&'a RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub fn new(value: T) -> Self {
        let raw = RawLock { word: AtomicUsize::new(0), queue: Queue::new() };
        RwLock { raw, value: UnsafeCell::new(value) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.raw.wait_to(1, WRITES, WAITED);
        RwLockReadGuard(self)
    }

    /// Locks for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.raw.wait_to(WRITER, TAKEN, WAITED | PENDING);
        RwLockWriteGuard(self)
    }

    /// Locks for reading if nobody writes or waits to. It may be free: that is tried without a look.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.raw.try_add(0, 1, WRITES).then(|| RwLockReadGuard(self))
    }

    /// Locks for writing if it is free, tried as for reading.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.raw.try_add(0, WRITER, TAKEN).then(|| RwLockWriteGuard(self))
    }

    /// Locks for reading, by that time if time passes.
    pub fn try_read_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        look_until(Some(deadline), || self.try_read(), || self.read())
    }

    /// Locks for writing, by that time if time passes.
    pub fn try_write_until(&self, deadline: Instant) -> Option<RwLockWriteGuard<'_, T>> {
        look_until(Some(deadline), || self.try_write(), || self.write())
    }

    /// The value, without locking.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: borrowed by the caller alone.
        self.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        self.0.raw.subtract(1);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.0.raw.subtract(WRITER);
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: locked for reading.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: locked for writing.
        self.0.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: locked for writing.
        self.0.value.with_mut(|value| unsafe { &mut *value })
    }
}
