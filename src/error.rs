//! What can go wrong, each with its cause and the way out.

use crate::cancel::Why;
use std::any::Any;
use std::fmt;
use std::io;

/// Why a [`Pool`](crate::Pool) could not be built. Nothing is left running.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// More cores or threads were asked for than a pool can hold.
    TooMany {
        /// What was counted: `"cores"` or `"threads"`.
        what: &'static str,
        /// How many were asked for.
        asked: usize,
        /// The most there can be.
        most: usize,
    },
    /// The cap on threads is below the number of cores, so that some core could never be used.
    CapBelowCores {
        /// The cap asked for with [`PoolBuilder::max_threads`](crate::PoolBuilder::max_threads).
        max_threads: usize,
        /// The number of cores.
        cores: usize,
    },
    /// The operating system would not start a thread.
    Thread {
        /// How many had been started; all of them have been stopped again.
        started: usize,
        /// What the operating system said.
        source: io::Error,
    },
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BuildError::TooMany { what, asked, most } => {
                write!(f, "{asked} {what} were asked for, a pool has at most {most}; 0 means the default")
            }
            BuildError::CapBelowCores { max_threads, cores } => {
                write!(f, "max_threads is {max_threads}, below the {cores} cores: raise it or ask for fewer cores")
            }
            BuildError::Thread { started, source } => {
                write!(
                    f,
                    "thread {started} of the pool could not be started ({source}): ask for fewer cores, a smaller stack_size, or raise the process's limit"
                )
            }
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BuildError::Thread { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// Why a task has no result.
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked; this is what it panicked with.
    Panicked(Box<dyn Any + Send + 'static>),
    /// The task was never run: the pool was closed before it was spawned, or terminated before it began.
    Cancelled,
}

impl JoinError {
    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// What the task panicked with, or the error itself if it did not panic.
    pub fn into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self {
            JoinError::Panicked(payload) => Ok(payload),
            other => Err(other),
        }
    }

    /// Goes on with the task's panic in this thread.
    ///
    /// # Panics
    ///
    /// Always: with the task's payload, or saying that the task was cancelled.
    pub fn resume(self) -> ! {
        match self {
            JoinError::Panicked(payload) => std::panic::resume_unwind(payload),
            JoinError::Cancelled => panic!("{}", JoinError::Cancelled),
        }
    }
}

/// The text of a panic's payload, where it has one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("(no text)", String::as_str),
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(payload) => f.debug_tuple("Panicked").field(&panic_text(&**payload)).finish(),
            JoinError::Cancelled => f.write_str("Cancelled"),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(payload) => write!(f, "the task panicked: {}", panic_text(&**payload)),
            JoinError::Cancelled => {
                f.write_str("the task was cancelled before it began: its pool was closed or terminated")
            }
        }
    }
}

impl std::error::Error for JoinError {}

/// An operation was stopped before its end, by its token or its deadline: see [`Pool::with`](crate::Pool::with). What had
/// been done by then is in `done`.
///
/// ```
/// use purloin::{CancelToken, Options, Pool};
///
/// let (pool, token) = (Pool::new(1)?, CancelToken::new());
/// let stopped = pool.with(Options::new().token(&token)).map(0..100, |n| {
///     if n == 10 {
///         token.cancel();
///     }
///     n
/// });
/// let stopped = stopped.unwrap_err();
/// assert_eq!(stopped.finished, stopped.done.iter().flatten().count());
/// assert_eq!(stopped.done.len(), 100);
/// assert_eq!(stopped.to_string(), "cancelled by its token with 11 of 100 items done");
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub struct Cancelled<T> {
    /// What was done, as the operation's documentation says: results, each at its item's index, or indices.
    pub done: T,
    /// How many items were done.
    pub finished: usize,
    /// How many there were, if that was known.
    pub total: Option<usize>,
    /// What stopped it.
    pub why: Why,
}

impl<T> Cancelled<T> {
    /// The same with another `done`.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Cancelled<U> {
        Cancelled { done: f(self.done), finished: self.finished, total: self.total, why: self.why }
    }
}

impl<T> fmt::Debug for Cancelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("finished", &self.finished)
            .field("total", &self.total)
            .field("why", &self.why)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Cancelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Token => "cancelled by its token",
            Why::Deadline => "stopped at its deadline",
        };
        match self.total {
            Some(0) => write!(f, "{why} before it began"),
            Some(total) => {
                write!(f, "{why} with {} of {total} items done", self.finished)
            }
            None => write!(f, "{why} with {} items done", self.finished),
        }
    }
}

impl<T> std::error::Error for Cancelled<T> {}

/// Why [`Pool::join_threads`](crate::Pool::join_threads) came back with threads still alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinThreadsError {
    /// The pool still takes tasks, so its threads would never end: call `close` or `terminate` first.
    StillOpen,
    /// The caller is one of the pool's own threads, or works for it as a guest, and cannot wait for itself.
    FromInside,
    /// The deadline passed.
    Deadline {
        /// The threads still alive.
        alive: usize,
    },
}

impl fmt::Display for JoinThreadsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinThreadsError::StillOpen => {
                f.write_str("the pool is still open: close or terminate it before joining its threads")
            }
            JoinThreadsError::FromInside => f.write_str("a task cannot wait for the end of the pool that runs it"),
            JoinThreadsError::Deadline { alive } => write!(f, "the deadline passed with {alive} threads still at work"),
        }
    }
}

impl std::error::Error for JoinThreadsError {}
