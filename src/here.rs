//! `join`, `scope` and `spawn` on the pool of the current thread: for recursive code, which need not hand a pool on.

use crate::join::join_on;
use crate::pool::{Pool, join_in};
use crate::scope::{Scope, scope_on};
use crate::spawn::{JoinHandle, spawn_in};
use crate::thread::in_pool;
use crate::worker::Worker;

/// [`Pool::join`] on the pool of this thread, else on [`Pool::global`].
///
/// # Panics
///
/// As [`Pool::join`], and outside of all pools as [`Pool::global`].
///
/// ```
/// assert_eq!(purloin::join(|| 2 + 2, || "two"), (4, "two"));
/// ```
// Always: see `join_on`.
#[inline(always)]
pub fn join<A, B, RA, RB>(a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match Worker::current() {
        Some(worker) => join_on(worker, a, b),
        None => join_without_core((a, b)),
    }
}

/// The closures come as one argument: so it is the call of this that puts them into memory, and not what every fork does.
#[cold]
#[inline(never)]
fn join_without_core<A, B, RA, RB>(both: (A, B)) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    match Worker::all_current().next() {
        // In `blocking`.
        Some(worker) => join_in(worker.registry(), both),
        None => join_in(Pool::global().registry(), both),
    }
}

/// [`Pool::scope`] on the pool of this thread, else on [`Pool::global`].
///
/// # Panics
///
/// As [`Pool::scope`], and outside of all pools as [`Pool::global`].
///
/// ```
/// let mut numbers = [1, 2, 3];
/// purloin::scope(|s| {
///     for number in &mut numbers {
///         s.spawn(move || *number *= 10);
///     }
/// });
/// assert_eq!(numbers, [10, 20, 30]);
/// ```
pub fn scope<'env, F, T>(f: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T + Send,
    T: Send,
{
    match Worker::all_current().next() {
        Some(worker) => in_pool(worker.registry(), |worker| scope_on(worker, f)),
        None => Pool::global().scope(f),
    }
}

/// [`Pool::spawn`] on the pool of this thread, else on [`Pool::global`]. Nobody waits for tasks of the global pool at the end of
/// `main`: join their handles.
///
/// # Panics
///
/// Outside of all pools as [`Pool::global`].
///
/// ```
/// assert_eq!(purloin::spawn(|| 6 * 7).join()?, 42);
/// # Ok::<(), purloin::JoinError>(())
/// ```
pub fn spawn<F, T>(f: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    match Worker::all_current().next() {
        Some(worker) => spawn_in(worker.registry(), f),
        None => Pool::global().spawn(f),
    }
}
