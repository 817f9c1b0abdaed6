//! Code that runs under a limit, and how it can tell.

use crate::cancel::Limit;
use crate::job::Lineage;
use crate::worker::Worker;

/// Runs `body` under that limit: [`is_cancelled`] finds it there, and in all forks and scopes that are made there.
pub fn within<R>(worker: &Worker, limit: &Limit, body: impl FnOnce() -> R) -> R {
    if limit.is_none() {
        return body();
    }
    let node = Lineage::limited(worker.lineage(), limit);
    worker.under(&node, body)
}

/// Whether the operation that runs this code has been stopped: see [`Pool::with`](crate::Pool::with). It was if the token
/// of that operation was cancelled or its deadline has passed, or those of an operation around it, as far as it is of the
/// same pool or on the same thread. False outside of all operations with options, but for the items of a stream whose
/// results have been dropped.
///
/// What [`spawn`](crate::spawn) makes belongs to no operation, so a detached task sees no limit; but one that a thread runs
/// while it waits for it in [`join`](crate::JoinHandle::join), since nobody had begun it, is a part of what that thread does,
/// and sees that one's limit. The items of a stream ([`Pool::imap`](crate::Pool::imap)) that is made inside an item of an
/// operation with options run in such tasks: hand the token, or what is left of the time, on to the stream's own options.
///
/// For items and tasks that take long: nobody interrupts them. A look costs some nanoseconds, and one at the clock where
/// there is a deadline.
///
/// ```
/// use purloin::{CancelToken, Options, Pool};
///
/// let (pool, token) = (Pool::new(2)?, CancelToken::new());
/// let seen = pool.with(Options::new().token(&token)).map(0..1, |_| {
///     let before = purloin::is_cancelled();
///     token.cancel();
///     (before, purloin::is_cancelled())
/// });
/// assert_eq!(seen.expect("all was done"), [(false, true)]);
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub fn is_cancelled() -> bool {
    Worker::all_current().any(|worker| {
        // SAFETY: this thread runs a job at that node, so the node and all above it are alive.
        unsafe { worker.lineage().as_ref() }
            // SAFETY: as above.
            .is_some_and(|node| unsafe { node.is_cancelled() })
    })
}
