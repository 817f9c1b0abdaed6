//! The error of those who come to a primitive that has been closed, or wait for it meanwhile.

use std::fmt;

/// The [`Semaphore`](super::Semaphore) has been closed, or the [`Queue`](super::Queue) has been closed and is drained:
/// nothing comes from it any more. Whoever closed it knows why; there is no way to open it again.
///
/// ```
/// use purloin::sync::{Closed, Queue, Semaphore};
///
/// let (semaphore, queue) = (Semaphore::new(1), Queue::<i32>::unbounded());
/// semaphore.close();
/// queue.close();
/// assert_eq!(semaphore.acquire(1).err(), Some(Closed)); // though a permit is there
/// assert_eq!(queue.pop(), Err(Closed));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore or queue has been closed, and gives nothing any more")
    }
}

impl std::error::Error for Closed {}
