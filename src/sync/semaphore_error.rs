//! What can go wrong with a semaphore.

use std::fmt;

/// Why [`Semaphore::try_acquire`](super::Semaphore::try_acquire) came back without permits.
///
/// ```
/// use purloin::sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(1);
/// assert_eq!(semaphore.try_acquire(2).err(), Some(TryAcquireError::NoPermits));
/// assert!(semaphore.try_acquire(1).is_ok());
/// semaphore.close();
/// assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::Closed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// There are too few, or others wait for them. To wait would help, unless the semaphore may never have so many: then
    /// [`acquire`](super::Semaphore::acquire) panics.
    NoPermits,
    /// The semaphore has been closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryAcquireError::NoPermits => {
                f.write_str("the semaphore has too few permits now, or others wait for them: acquire waits")
            }
            TryAcquireError::Closed => f.write_str("the semaphore has been closed"),
        }
    }
}

impl std::error::Error for TryAcquireError {}

/// Why [`Semaphore::acquire_timeout`](super::Semaphore::acquire_timeout) came back without permits.
///
/// ```
/// use purloin::sync::{AcquireTimeoutError, Semaphore};
/// use std::time::Duration;
///
/// let semaphore = Semaphore::new(0);
/// let late = semaphore.acquire_timeout(1, Duration::ZERO);
/// assert_eq!(late.err(), Some(AcquireTimeoutError::TimedOut));
/// semaphore.close();
/// let never = semaphore.acquire_timeout(1, Duration::from_secs(60)); // comes back at once
/// assert_eq!(never.err(), Some(AcquireTimeoutError::Closed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcquireTimeoutError {
    /// The time was up before it was this thread's turn and the permits were there.
    TimedOut,
    /// The semaphore has been closed.
    Closed,
}

impl fmt::Display for AcquireTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireTimeoutError::TimedOut => f.write_str("the time was up before the semaphore had permits to give"),
            AcquireTimeoutError::Closed => f.write_str("the semaphore has been closed"),
        }
    }
}

impl std::error::Error for AcquireTimeoutError {}

/// [`Semaphore::add_permits`](super::Semaphore::add_permits) would have made more permits than the semaphore may have; none were added. Somebody gives
/// back what nobody took, or gives back twice.
///
/// ```
/// use purloin::sync::{Semaphore, TooManyPermits};
///
/// let semaphore = Semaphore::bounded(2);
/// assert_eq!(semaphore.add_permits(1), Err(TooManyPermits { added: 1, bound: 2 }));
/// assert_eq!(semaphore.available(), 2);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyPermits {
    /// How many were to be added.
    pub added: usize,
    /// The most that the semaphore may have.
    pub bound: usize,
}

impl fmt::Display for TooManyPermits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TooManyPermits { added, bound } = self;
        write!(
            f,
            "{added} permits more would be too many for a semaphore of at most {bound}: are some given back twice?"
        )
    }
}

impl std::error::Error for TooManyPermits {}
