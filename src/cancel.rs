//! Cancellation: a token to ask for it, and the limits under which an operation runs.

use crate::primitive::{Arc, AtomicBool, Ordering, Tick};
use std::fmt;
use std::time::Instant;

/// Asks whatever was given this token to stop: see [`Options::token`](crate::Options::token).
///
/// Clones stand for the same token. Cancelling is final, happens at once, and may be done from any thread, a signal
/// handler's included. It interrupts nothing: loops look at their token before each item, and an item that takes long may
/// ask [`is_cancelled`](crate::is_cancelled).
///
/// A flag and no more: it does not order what one thread writes before `cancel` and another reads after `is_cancelled`.
///
/// ```
/// use purloin::{CancelToken, Options, Pool};
///
/// let (pool, token) = (Pool::new(2)?, CancelToken::new());
/// let counted = pool.with(Options::new().token(&token)).for_each(0..u32::MAX, |n| {
///     if n == 1000 {
///         token.cancel();
///     }
/// });
/// assert!(counted.is_err(), "it did not go through all of them");
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[derive(Debug, Clone)]
pub struct CancelToken(Arc<Flag>);

#[derive(Debug)]
struct Flag {
    /// False, then true for good.
    cancelled: AtomicBool,
    parent: Option<CancelToken>,
}

impl Drop for Flag {
    /// A long line goes one by one, and not on the stack.
    fn drop(&mut self) {
        let mut parent = self.parent.take();
        while let Some(CancelToken(flag)) = parent {
            parent = Arc::into_inner(flag).and_then(|mut flag| flag.parent.take());
        }
    }
}

impl CancelToken {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        CancelToken::below(None)
    }

    fn below(parent: Option<CancelToken>) -> Self {
        CancelToken(Arc::new(Flag { cancelled: AtomicBool::new(false), parent }))
    }

    /// A token that is cancelled with this one, or on its own. .NET's linked sources and tokio's child tokens are the
    /// model. The way from a token to the first of its line is walked at each look, so keep lines short.
    ///
    /// ```
    /// let server = purloin::CancelToken::new();
    /// let (one, other) = (server.child(), server.child());
    /// one.cancel();
    /// assert!(one.is_cancelled() && !other.is_cancelled() && !server.is_cancelled());
    /// server.cancel();
    /// assert!(other.is_cancelled());
    /// ```
    #[must_use = "a child that nobody holds is gone"]
    pub fn child(&self) -> Self {
        CancelToken::below(Some(self.clone()))
    }

    /// Cancels this token and its children. Once is enough, and more does no harm.
    ///
    /// ```
    /// let token = purloin::CancelToken::new();
    /// let clone = token.clone();
    /// std::thread::spawn(move || clone.cancel()).join().expect("no panic");
    /// assert!(token.is_cancelled());
    /// ```
    pub fn cancel(&self) {
        // Relaxed: the flag carries no data.
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether this token, or one that it is a child of, was cancelled.
    ///
    /// ```
    /// let token = purloin::CancelToken::new();
    /// let seen = token.clone();
    /// let looks = std::thread::spawn(move || (0u64..).find(|_| seen.is_cancelled()));
    /// token.cancel();
    /// assert!(looks.join().expect("no panic").is_some());
    /// ```
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        let mut token = Some(self);
        while let Some(CancelToken(flag)) = token {
            if flag.cancelled.load(Ordering::Relaxed) {
                return true;
            }
            token = flag.parent.as_ref();
        }
        false
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        CancelToken::new()
    }
}

/// Why an operation was stopped before its end.
///
/// ```
/// use purloin::{Options, Pool, Why};
/// use std::time::Instant;
///
/// let late = Pool::new(1)?.with(Options::new().deadline(Instant::now())).map(0..3, |n| n).unwrap_err();
/// assert_eq!(late.why, Why::Deadline);
/// assert_eq!(late.why.to_string(), "stopped at its deadline");
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// Its [`CancelToken`] was cancelled.
    Token,
    /// Its deadline passed.
    Deadline,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Token => "cancelled by its token",
            Why::Deadline => "stopped at its deadline",
        })
    }
}

/// What ends an operation early.
#[derive(Debug, Clone, Default)]
pub struct Limit {
    pub token: Option<CancelToken>,
    pub deadline: Option<Instant>,
}

impl Limit {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.token.is_none() && self.deadline.is_none()
    }

    /// Whether the token was cancelled: a look without a clock.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.token.as_ref().is_some_and(CancelToken::is_cancelled)
    }

    /// Why it is reached, if it is. Asks the clock only where there is a deadline.
    pub fn reached(&self) -> Option<Why> {
        if self.is_cancelled() {
            return Some(Why::Token);
        }
        self.deadline.is_some_and(|deadline| Tick::now().is_past(deadline)).then_some(Why::Deadline)
    }
}
