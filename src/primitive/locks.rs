//! The models' locks: loom's, without poisoning. A time-out never passes: see `model`.

use loom::sync as loomed;
use std::sync::{PoisonError, TryLockError, TryLockResult};
use std::time::Instant;

pub use loomed::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

fn if_free<G>(result: TryLockResult<G>) -> Option<G> {
    match result {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// loom's mutex.
#[derive(Debug)]
pub struct Mutex<T>(loomed::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub fn new(value: T) -> Self {
        Mutex(loomed::Mutex::new(value))
    }

    /// Locks.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        if_free(self.0.try_lock())
    }

    /// Locks, however long it takes.
    pub fn try_lock_until(&self, _deadline: Instant) -> Option<MutexGuard<'_, T>> {
        Some(self.lock())
    }

    /// The value, without locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// loom's lock for readers and writers. It prefers nobody, so a model sees every order.
#[derive(Debug)]
pub struct RwLock<T>(loomed::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub fn new(value: T) -> Self {
        RwLock(loomed::RwLock::new(value))
    }

    /// Locks for reading.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks for writing.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks for reading if nobody writes.
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        if_free(self.0.try_read())
    }

    /// Locks for writing if it is free.
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        if_free(self.0.try_write())
    }

    /// Locks for reading, however long it takes.
    pub fn try_read_until(&self, _deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        Some(self.read())
    }

    /// Locks for writing, however long it takes.
    pub fn try_write_until(&self, _deadline: Instant) -> Option<RwLockWriteGuard<'_, T>> {
        Some(self.write())
    }

    /// The value, without locking.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
