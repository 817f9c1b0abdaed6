//! What can go wrong with a semaphore.

use std::fmt;

/// Why [`Semaphore::try_acquire`](super::Semaphore::try_acquire) came back without permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryAcquireError {
    /// There are too few, or others wait for them.
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
