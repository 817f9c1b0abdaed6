//! Permits of a semaphore that somebody has.

use super::semaphore::Semaphore;
use crate::primitive::Arc;
use std::fmt;
use std::mem;

/// Permits of a [`Semaphore`], given back when this is dropped.
///
/// ```
/// use purloin::sync::Semaphore;
///
/// let slots = Semaphore::new(5);
/// let permit = slots.acquire(3)?;
/// assert_eq!((permit.count(), slots.available()), (3, 2));
/// drop(permit);
/// assert_eq!(slots.available(), 5);
/// # Ok::<(), purloin::sync::Closed>(())
/// ```
#[must_use = "the permits are given back at once if the guard is not kept"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    permits: usize,
}

/// Permits of a shared [`Semaphore`], given back when this is dropped, wherever that is: it can be moved into a task that
/// outlives the one that took them.
///
/// ```
/// use purloin::sync::{OwnedPermit, Semaphore};
/// use std::sync::Arc;
///
/// struct Connection {
///     slot: OwnedPermit, // for as long as there is a connection
/// }
/// let slots = Arc::new(Semaphore::new(2));
/// let connection = Connection { slot: slots.acquire_owned(1)? };
/// assert_eq!((connection.slot.count(), slots.available()), (1, 1));
/// drop(connection);
/// assert_eq!(slots.available(), 2);
/// # Ok::<(), purloin::sync::Closed>(())
/// ```
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
    ///
    /// ```
    /// use purloin::sync::Semaphore;
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// semaphore.acquire_owned(2)?.forget();
    /// assert_eq!(semaphore.available(), 0);
    /// semaphore.add_permits(2).expect("as many as before");
    /// assert_eq!(semaphore.available(), 2);
    /// # Ok::<(), purloin::sync::Closed>(())
    /// ```
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
