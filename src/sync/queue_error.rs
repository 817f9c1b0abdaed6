//! What can go wrong with a queue. Whoever could not push has the value back.

use std::error::Error;
use std::fmt;

/// [`Queue::push`](super::Queue::push) found the queue closed. The value comes back.
///
/// ```
/// let queue = purloin::sync::Queue::unbounded();
/// queue.close();
/// let error = queue.push(String::from("precious")).unwrap_err();
/// assert_eq!(error.to_string(), "the queue has been closed: nothing can be pushed any more");
/// assert_eq!(error.into_inner(), "precious");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PushError<T>(pub T);

/// Why [`Queue::try_push`](super::Queue::try_push) did not push. The value comes back.
///
/// ```
/// use purloin::sync::{Queue, TryPushError};
///
/// let queue = Queue::bounded(1);
/// queue.push("first").expect("there is room");
/// let error = queue.try_push("second").unwrap_err();
/// assert!(matches!(error, TryPushError::Full(_)));
/// assert_eq!(error.into_inner(), "second");
/// queue.close();
/// assert_eq!(queue.try_push("third"), Err(TryPushError::Closed("third")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryPushError<T> {
    /// There is no room now: `push` waits for some. On processors with weakly ordered memory this may be so, for a moment, beside a
    /// thread that has just popped a value and pushed another.
    Full(T),
    /// The queue has been closed.
    Closed(T),
}

/// Why [`Queue::push_timeout`](super::Queue::push_timeout) did not push. The value comes back.
///
/// ```
/// use purloin::sync::{PushTimeoutError, Queue};
/// use std::time::Duration;
///
/// let queue = Queue::bounded(1);
/// queue.push("first").expect("there is room");
/// let error = queue.push_timeout("second", Duration::ZERO).unwrap_err();
/// assert!(matches!(error, PushTimeoutError::TimedOut(_)));
/// assert_eq!(error.into_inner(), "second");
/// queue.close();
/// assert_eq!(queue.push_timeout("third", Duration::ZERO), Err(PushTimeoutError::Closed("third")));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushTimeoutError<T> {
    /// The time was up before there was room.
    TimedOut(T),
    /// The queue has been closed.
    Closed(T),
}

/// Why [`Queue::try_pop`](super::Queue::try_pop) did not pop.
///
/// ```
/// use purloin::sync::{Queue, TryPopError};
///
/// let queue = Queue::unbounded();
/// queue.push(7).expect("it is open");
/// assert_eq!(queue.try_pop(), Ok(7));
/// assert_eq!(queue.try_pop(), Err(TryPopError::Empty)); // others may come
/// queue.close();
/// assert_eq!(queue.try_pop(), Err(TryPopError::Closed)); // none will
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryPopError {
    /// There is no value now: `pop` waits for one.
    Empty,
    /// The queue has been closed, and nothing is left in it.
    Closed,
}

/// Why [`Queue::pop_timeout`](super::Queue::pop_timeout) did not pop.
///
/// ```
/// use purloin::sync::{PopTimeoutError, Queue};
/// use std::time::Duration;
///
/// let queue = Queue::<u32>::unbounded();
/// assert_eq!(queue.pop_timeout(Duration::ZERO), Err(PopTimeoutError::TimedOut));
/// queue.close();
/// assert_eq!(queue.pop_timeout(Duration::from_secs(60)), Err(PopTimeoutError::Closed)); // at once
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PopTimeoutError {
    /// The time was up before there was a value.
    TimedOut,
    /// The queue has been closed, and nothing is left in it.
    Closed,
}

/// [`Queue::task_done`](super::Queue::task_done) was called more often than values were pushed: some consumer reports a
/// value twice, or one that it did not pop.
///
/// ```
/// use purloin::sync::{Queue, TooManyDone};
///
/// let queue = Queue::unbounded();
/// queue.push("work").expect("it is open");
/// assert_eq!(queue.task_done(), Ok(()));
/// assert_eq!(queue.task_done(), Err(TooManyDone));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyDone;

const CLOSED: &str = "the queue has been closed: nothing can be pushed any more";
const DRAINED: &str = "the queue has been closed, and nothing is left in it";

impl<T> PushError<T> {
    /// The value that was not pushed.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TryPushError<T> {
    /// The value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            TryPushError::Full(value) | TryPushError::Closed(value) => value,
        }
    }
}

impl<T> PushTimeoutError<T> {
    /// The value that was not pushed.
    pub fn into_inner(self) -> T {
        match self {
            PushTimeoutError::TimedOut(value) | PushTimeoutError::Closed(value) => value,
        }
    }
}

// Values need not be printable for an error to be one.

impl<T> fmt::Debug for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PushError(..)")
    }
}

impl<T> fmt::Debug for TryPushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPushError::Full(_) => "Full(..)",
            TryPushError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for PushTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushTimeoutError::TimedOut(_) => "TimedOut(..)",
            PushTimeoutError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> fmt::Display for TryPushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPushError::Full(_) => "the queue is full: push waits for room",
            TryPushError::Closed(_) => CLOSED,
        })
    }
}

impl<T> fmt::Display for PushTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushTimeoutError::TimedOut(_) => "the time was up before the queue had room: do the consumers keep up?",
            PushTimeoutError::Closed(_) => CLOSED,
        })
    }
}

impl fmt::Display for TryPopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPopError::Empty => "the queue is empty: pop waits for a value",
            TryPopError::Closed => DRAINED,
        })
    }
}

impl fmt::Display for PopTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PopTimeoutError::TimedOut => "the time was up before the queue had a value",
            PopTimeoutError::Closed => DRAINED,
        })
    }
}

impl fmt::Display for TooManyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than values were pushed: each value is reported once")
    }
}

impl<T> Error for PushError<T> {}
impl<T> Error for TryPushError<T> {}
impl<T> Error for PushTimeoutError<T> {}
impl Error for TryPopError {}
impl Error for PopTimeoutError {}
impl Error for TooManyDone {}
