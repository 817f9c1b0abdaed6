//! What may be said of an operation: when it is to stop, and who watches it.

use crate::cancel::{CancelToken, Limit};
use crate::progress::Progress;
use std::time::Instant;

/// What may be said of an operation: [`Pool::with`](crate::Pool::with).
///
/// ```
/// use purloin::{CancelToken, Options, Pool};
/// use std::time::{Duration, Instant};
///
/// let (pool, token) = (Pool::new(2)?, CancelToken::new());
/// let options = Options::new().token(&token).deadline(Instant::now() + Duration::from_secs(60));
/// assert_eq!(pool.with(options.clone()).map(0..3, |n| n * n)?, [0, 1, 4]);
/// token.cancel();
/// let cancelled = pool.with(options).map(0..3, |n| n * n).unwrap_err();
/// assert_eq!((cancelled.finished, cancelled.total), (0, Some(3)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are given to `Pool::with`"]
pub struct Options {
    pub(crate) limit: Limit,
    pub(crate) progress: Option<Progress>,
}

impl Options {
    /// Nothing special.
    pub fn new() -> Self {
        Options::default()
    }

    /// Stop when the token is cancelled. It is looked at before each item, before `install`'s closure and `spawn`'s task; and
    /// every 20 ms by who waits for the next result of a stream.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let stopped = pool.with(Options::new().token(&token)).for_each(0..10_000, |_| token.cancel()).unwrap_err();
    /// assert!((1..10_000).contains(&stopped.finished));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn token(mut self, token: &CancelToken) -> Self {
        self.limit.token = Some(token.clone());
        self
    }

    /// Stop at that time. The clock is looked at every few microseconds, or after each item that takes longer; where very
    /// short items turn into long ones, after sixteen of them at the latest. `map_reduce` looks before each block of items and
    /// before every sixteenth item of one.
    ///
    /// ```
    /// use purloin::{Options, Pool, Why};
    /// use std::time::{Duration, Instant};
    ///
    /// let (pool, soon) = (Pool::new(2)?, Instant::now() + Duration::from_millis(1));
    /// let endless = pool.with(Options::new().deadline(soon)).imap(0u64.., |n| n);
    /// assert!(endless.last().is_some_and(|end| end.is_err_and(|stopped| stopped.why == Why::Deadline)));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.limit.deadline = Some(deadline);
        self
    }

    /// Count the items of loops and streams that are done; `install` and `spawn` count nothing.
    ///
    /// ```
    /// use purloin::{Options, Pool, Progress};
    ///
    /// let (pool, progress) = (Pool::new(2)?, Progress::new());
    /// let watched = pool.with(Options::new().progress(&progress));
    /// let squares = watched.map(0..10, |n| n * n)?;
    /// assert_eq!(watched.map_reduce(&squares, |n| *n, 0, |a, b| a + b)?, 285);
    /// assert_eq!(progress.done(), 20); // of both loops
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn progress(mut self, progress: &Progress) -> Self {
        self.progress = Some(progress.clone());
        self
    }
}
