//! Permits of a semaphore that somebody has.

use super::semaphore::Semaphore;
use crate::primitive::Arc;
use std::fmt;
use std::mem;

/// Permits of a [`Semaphore`], given back when this is dropped.
#[must_use = "the permits are given back at once if the guard is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// Permits of a shared [`Semaphore`], given back when this is dropped, wherever that is: it can be moved into a task that
/// outlives the one that took them.
#[must_use = "the permits are given back at once if the guard is not kept"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    permits: usize,
}

impl<'a> Permit<'a> {
    /// A guard for permits that have been taken.
    #[inline]
    pub(super) fn of(semaphore: &'a Semaphore, permits: usize) -> Self {
        Permit { semaphore, permits }
    }

    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.permits
    }

    /// Takes the permits out of the semaphore for good, or until [`add_permits`](Semaphore::add_permits) is called for
    /// them: for permits that are taken in one place and given back in another.
    ///
    /// ```
    /// use purloin::sync::Semaphore;
    ///
    /// let semaphore = Semaphore::new(2);
    /// semaphore.acquire(1)?.forget();
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok::<(), purloin::sync::Closed>(())
    /// ```
    pub fn forget(self) {
        self.semaphore.forget(self.permits);
        mem::forget(self);
    }

    /// The same permits, of a semaphore that is known to be shared.
    pub(super) fn owned(self, semaphore: &Arc<Semaphore>) -> OwnedPermit {
        let owned = OwnedPermit { semaphore: Arc::clone(semaphore), permits: self.permits };
        mem::forget(self);
        owned
    }
}

impl OwnedPermit {
    /// How many permits these are.
    pub fn count(&self) -> usize {
        self.permits
    }

    /// Takes the permits out of the semaphore, as [`Permit::forget`] does.
    pub fn forget(mut self) {
        // None are left to give back.
        self.semaphore.forget(mem::take(&mut self.permits));
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.give(self.permits);
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.give(self.permits);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.permits).finish_non_exhaustive()
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("count", &self.permits).finish_non_exhaustive()
    }
}
