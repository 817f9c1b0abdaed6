//! What can go wrong, each with its cause and the way out.

use crate::cancel::Why;
use std::any::Any;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Why a [`Pool`](crate::Pool) could not be built. Nothing is left running.
///
/// ```
/// use purloin::{BuildError, Pool};
///
/// match Pool::builder().cores(8).max_threads(4).build() {
///     Err(BuildError::CapBelowCores { max_threads, cores }) => assert_eq!((max_threads, cores), (4, 8)),
///     other => panic!("eight cores can't do with four threads: {other:?}"),
/// }
/// ```
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
                write!(f, "{asked} {what} were asked for, a pool has at most {most}: ask for fewer")
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

/// Why a task has no result: what [`JoinHandle::join`](crate::JoinHandle::join) and its scoped sister give in its place.
///
/// It may be shared between threads, so that `?` turns it into a `Box<dyn Error + Send + Sync>` or what an error crate has
/// in its place.
///
/// ```
/// fn answer() -> Result<i32, Box<dyn std::error::Error + Send + Sync>> {
///     Ok(purloin::spawn(|| 6 * 7).join()?)
/// }
/// assert_eq!(answer()?, 42);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked; this is what it panicked with.
    Panicked(PanicPayload),
    /// The task was never run: the pool was closed before it was spawned, or terminated before it began.
    Cancelled,
}

impl JoinError {
    /// A task's panic.
    pub(crate) fn panicked(payload: Box<dyn Any + Send + 'static>) -> JoinError {
        JoinError::Panicked(PanicPayload(payload))
    }

    /// Whether the task panicked.
    ///
    /// ```
    /// let error = purloin::spawn(|| panic!("on purpose")).join().unwrap_err();
    /// assert!(error.is_panic() && !error.is_cancelled());
    /// assert_eq!(error.to_string(), "the task panicked: on purpose");
    /// ```
    #[must_use]
    pub fn is_panic(&self) -> bool {
        matches!(self, JoinError::Panicked(_))
    }

    /// Whether the task was never run.
    ///
    /// ```
    /// let pool = purloin::Pool::new(1)?;
    /// pool.close();
    /// assert!(pool.spawn(|| ()).join().unwrap_err().is_cancelled());
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, JoinError::Cancelled)
    }

    /// What the task panicked with.
    ///
    /// # Errors
    ///
    /// The error itself if the task did not panic.
    ///
    /// ```
    /// let error = purloin::spawn(|| std::panic::panic_any(7)).join().unwrap_err();
    /// assert_eq!(error.into_panic()?.downcast_ref(), Some(&7));
    /// # Ok::<(), purloin::JoinError>(())
    /// ```
    pub fn into_panic(self) -> Result<Box<dyn Any + Send + 'static>, JoinError> {
        match self {
            JoinError::Panicked(payload) => Ok(payload.into_inner()),
            other => Err(other),
        }
    }

    /// Goes on with the task's panic in this thread.
    ///
    /// # Panics
    ///
    /// Always: with the task's payload, or saying that the task was cancelled.
    ///
    /// ```
    /// let error = purloin::spawn(|| std::panic::panic_any(7)).join().unwrap_err();
    /// let resume = std::panic::AssertUnwindSafe(|| error.resume());
    /// assert_eq!(std::panic::catch_unwind(resume).unwrap_err().downcast_ref(), Some(&7));
    /// ```
    pub fn resume(self) -> ! {
        match self {
            JoinError::Panicked(payload) => std::panic::resume_unwind(payload.into_inner()),
            JoinError::Cancelled => panic!("{}", JoinError::Cancelled),
        }
    }
}

/// What a task panicked with: it may be of any type, and is had by value alone.
///
/// A payload need not be [`Sync`], but the error that holds it has to be, to be of use to `?`. So there is no shared
/// reference to it. tokio's `JoinError` does the same.
///
/// ```
/// use purloin::JoinError;
///
/// match purloin::spawn(|| std::panic::panic_any(7)).join() {
///     Err(JoinError::Panicked(payload)) => assert_eq!(payload.into_inner().downcast_ref(), Some(&7)),
///     other => panic!("it was to panic, not to give {other:?}"),
/// }
/// ```
pub struct PanicPayload(Box<dyn Any + Send + 'static>);

// SAFETY: a shared reference lets others do nothing but read the payload's text: it is looked at as a `&str` or a
// `String`, which are `Sync`, and not touched if it is neither. Its type's number is a constant.
unsafe impl Sync for PanicPayload {}

impl PanicPayload {
    /// The payload, as [`std::panic::catch_unwind`] gives it.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Any + Send + 'static> {
        self.0
    }

    fn text(&self) -> &str {
        panic_text(&*self.0)
    }
}

/// Its text, if it has one.
impl fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.text(), f)
    }
}

/// The text of a panic's payload, where it has one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("(no text)", String::as_str),
    }
}

/// Drops a panic's payload that nobody is told of. If its drop panics, what that one leaves is lost: it could go on for ever.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JoinError::Panicked(payload) => write!(f, "the task panicked: {}", payload.text()),
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
/// let finished = stopped.finished; // 11, if nobody was quicker with those after the tenth
/// assert_eq!(stopped.to_string(), format!("cancelled by its token with {finished} of 100 items done"));
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
        let why = self.why;
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
///
/// ```
/// use purloin::{JoinThreadsError, Pool};
///
/// let pool = Pool::new(1)?;
/// assert_eq!(pool.join_threads(None), Err(JoinThreadsError::StillOpen));
/// pool.close();
/// assert_eq!(pool.join_threads(None), Ok(()));
/// # Ok::<(), purloin::BuildError>(())
/// ```
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
            JoinThreadsError::Deadline { alive } => write!(f, "the deadline passed before {alive} threads had ended"),
        }
    }
}

impl std::error::Error for JoinThreadsError {}
