//! A pool's operations under options: what may be stopped before its end, and watched.

use crate::cancel::Limit;
use crate::error::Cancelled;
use crate::imap::{Imap, LimitedImap};
use crate::limited::within;
use crate::map::{Partial, Stopped, map_on};
use crate::options::Options;
use crate::primitive::Arc;
use crate::reduce::{or_identity, reduce_on};
use crate::registry::Registry;
use crate::source::private::Held;
use crate::source::{Source, private};
use crate::spawn::{JoinHandle, spawn_in};
use crate::thread::in_pool;
use crate::worker::Worker;
use std::convert::Infallible;
use std::ops::Range;

/// A pool's operations under [`Options`]: [`Pool::with`](crate::Pool::with).
///
/// Each does what the pool's method of the same name does until its token is cancelled or its deadline has come. From then
/// on nothing of it begins; what is running goes on to its end, and may ask [`is_cancelled`](crate::is_cancelled) to make that soon. The error
/// tells how far it got and holds what was done. If all was done by then, there is no error.
///
/// What an item, or the closure of `install` or `spawn`, starts itself is part of that: joins, scopes and loops without options of
/// their own are not stopped in the middle.
///
/// ```
/// use purloin::{Options, Pool};
/// use std::time::{Duration, Instant};
///
/// let pool = Pool::new(2)?;
/// let in_time = pool.with(Options::new().deadline(Instant::now() + Duration::from_secs(60)));
/// let squares = in_time.map(0..10, |n| n * n)?;
/// in_time.for_each(&squares, |square| assert!(*square < 100))?; // within the same minute
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct With<'a> {
    registry: &'a Arc<Registry>,
    options: Options,
}

impl<'a> With<'a> {
    pub(crate) fn new(registry: &'a Arc<Registry>, options: Options) -> Self {
        With { registry, options }
    }

    fn in_pool<R: Send>(&self, body: impl FnOnce(&Worker) -> R + Send) -> R {
        in_pool(self.registry, |worker| within(worker, &self.options.limit, || body(worker)))
    }

    fn map_careful<S, F, R, E>(&self, source: S, f: F) -> Result<Vec<R>, Stopped<R, E>>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> Result<R, E> + Sync,
        R: Send,
        E: Send,
    {
        let mut held = source.hold();
        let whole = held.whole();
        let mapped = self.in_pool(|worker| map_on::<true, _, _, _, _>(worker, whole, Some(&self.options), &f));
        // As in `or_identity`: what it owns may panic.
        drop(f);
        mapped
    }

    /// As [`Pool::map`](crate::Pool::map).
    ///
    /// # Errors
    ///
    /// [`Cancelled`] with the results that there are, each at its item's index. That is a vector with a place for each item,
    /// also where a result takes no memory, so without results use [`for_each`](With::for_each).
    ///
    /// # Panics
    ///
    /// As [`Pool::map`](crate::Pool::map), also if the places of a loop that was stopped would take more than `isize::MAX` bytes.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let stop = |n| {
    ///     token.cancel();
    ///     n * n
    /// };
    /// let stopped = pool.with(Options::new().token(&token)).map(0..1000, stop).unwrap_err();
    /// assert_eq!(stopped.done.len(), 1000);
    /// assert!((0..1000).zip(stopped.done).all(|(n, square)| square.is_none_or(|square| square == n * n)));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn map<S, F, R>(&self, source: S, f: F) -> Result<Vec<R>, Cancelled<Vec<Option<R>>>>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> R + Sync,
        R: Send,
    {
        let mapped = self.map_careful(source, |item| Ok::<R, Infallible>(f(item)));
        drop(f);
        match mapped {
            Ok(results) => Ok(results),
            Err(Stopped::Failed(never)) => match never {},
            Err(Stopped::Cancelled(cancelled)) => Err(with_gaps(cancelled)),
        }
    }

    /// As [`Pool::try_map`](crate::Pool::try_map).
    ///
    /// # Errors
    ///
    /// [`Cancelled`] with the results that there are, unless an item had failed by then: then `Ok` holds its error, of several the
    /// first by index. Items before it may not have been run.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with, also if an item before that one had failed.
    ///
    /// ```
    /// use purloin::{Options, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let parsed = pool.with(Options::new()).try_map(&["1", "2", "x", "y"], |text| text.parse::<i32>());
    /// assert!(parsed?.is_err(), "not cancelled, and failed at x");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[expect(clippy::type_complexity, reason = "one level for each thing that can happen")]
    pub fn try_map<S, F, R, E>(&self, source: S, f: F) -> Result<Result<Vec<R>, E>, Cancelled<Vec<Option<R>>>>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> Result<R, E> + Sync,
        R: Send,
        E: Send,
    {
        match self.map_careful(source, f) {
            Ok(results) => Ok(Ok(results)),
            Err(Stopped::Failed(error)) => Ok(Err(error)),
            Err(Stopped::Cancelled(cancelled)) => Err(with_gaps(cancelled)),
        }
    }

    /// As [`Pool::for_each`](crate::Pool::for_each).
    ///
    /// # Errors
    ///
    /// [`Cancelled`], in which `done` has the indices of the items that were done, in order.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let stopped = pool.with(Options::new().token(&token)).for_each(0..1000, |_| token.cancel()).unwrap_err();
    /// assert_eq!(stopped.done.into_iter().flatten().count(), stopped.finished);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn for_each<S, F>(&self, source: S, f: F) -> Result<(), Cancelled<Vec<Range<usize>>>>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) + Sync,
    {
        let f = |item| {
            f(item);
            Ok::<(), Infallible>(())
        };
        match self.map_careful(source, f) {
            Ok(_) => Ok(()),
            Err(Stopped::Failed(never)) => match never {},
            Err(Stopped::Cancelled(cancelled)) => Err(only_indices(cancelled)),
        }
    }

    /// As [`Pool::try_for_each`](crate::Pool::try_for_each).
    ///
    /// # Errors
    ///
    /// As for [`try_map`](With::try_map), with indices in place of results.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with.
    ///
    /// ```
    /// use purloin::{Options, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let checked = pool.with(Options::new()).try_for_each(1..=100, |n| if n % 40 == 0 { Err(n) } else { Ok(()) });
    /// assert_eq!(checked?, Err(40)); // not cancelled, and failed
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_for_each<S, F, E>(&self, source: S, f: F) -> Result<Result<(), E>, Cancelled<Vec<Range<usize>>>>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> Result<(), E> + Sync,
        E: Send,
    {
        match self.map_careful(source, f) {
            Ok(_) => Ok(Ok(())),
            Err(Stopped::Failed(error)) => Ok(Err(error)),
            Err(Stopped::Cancelled(cancelled)) => Err(only_indices(cancelled)),
        }
    }

    /// As [`Pool::map_reduce`](crate::Pool::map_reduce).
    ///
    /// # Errors
    ///
    /// [`Cancelled`] with the reduction of those items that were done, in their order, or `identity` if none was.
    ///
    /// # Panics
    ///
    /// With what `map` or `reduce` panicked with.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let one = |_| {
    ///     token.cancel();
    ///     1
    /// };
    /// let stopped = pool.with(Options::new().token(&token)).map_reduce(0..10_000, one, 0, |a, b| a + b).unwrap_err();
    /// assert_eq!(stopped.done, stopped.finished);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn map_reduce<S, M, O, R>(&self, source: S, map: M, identity: R, reduce: O) -> Result<R, Cancelled<R>>
    where
        S: Source,
        M: Fn(<S as private::Source>::Item) -> R + Sync,
        O: Fn(R, R) -> R + Sync,
        R: Send,
    {
        let mut held = source.hold();
        let whole = held.whole();
        let reduced =
            self.in_pool(|worker| reduce_on::<true, _, _, _, _>(worker, whole, Some(&self.options), &map, &reduce));
        drop((map, reduce));
        match reduced {
            Ok(result) => Ok(or_identity(result, identity)),
            Err(cancelled) => Err(cancelled.map(|result| or_identity(result, identity))),
        }
    }

    /// As [`Pool::imap`](crate::Pool::imap), with results that are `Ok`, and an `Err` at the end if the options stop it.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let mut squares = pool.with(Options::new().token(&token)).imap(0u64.., |n| n * n);
    /// assert_eq!(squares.by_ref().take(3).collect::<Result<Vec<_>, _>>()?, [0, 1, 4]);
    /// token.cancel();
    /// assert!(squares.next().is_some_and(|last| last.is_err()));
    /// assert!(squares.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn imap<I, F, R>(&self, items: I, f: F) -> LimitedImap<I::IntoIter, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        LimitedImap::new(Imap::new(self.registry, items.into_iter(), f, true, self.options.clone()))
    }

    /// As [`Pool::imap_unordered`](crate::Pool::imap_unordered), with results as those of [`imap`](With::imap).
    ///
    /// ```
    /// use purloin::{Options, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let lengths = pool.with(Options::new()).imap_unordered(["three", "two"], |word| word.len());
    /// let mut lengths = lengths.collect::<Result<Vec<_>, _>>()?;
    /// lengths.sort_unstable();
    /// assert_eq!(lengths, [3, 5]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn imap_unordered<I, F, R>(&self, items: I, f: F) -> LimitedImap<I::IntoIter, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        LimitedImap::new(Imap::new(self.registry, items.into_iter(), f, false, self.options.clone()))
    }

    /// As [`Pool::install`](crate::Pool::install): a region in which [`is_cancelled`](crate::is_cancelled) tells whether these options stop it.
    /// Open a [`scope`](crate::scope()) or [`join`](crate::join()) in it to have the same there.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if it was stopped before it began.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(2)?, CancelToken::new());
    /// let options = Options::new().token(&token);
    /// let (_, seen) = pool.with(options).install(|| {
    ///     purloin::join(|| token.cancel(), || (0..).find(|_| purloin::is_cancelled()))
    /// })?;
    /// assert!(seen.is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn install<F, R>(&self, f: F) -> Result<R, Cancelled<()>>
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        before_it_began(&self.options.limit)?;
        self.in_pool(|_| {
            // It may have waited for its turn.
            before_it_began(&self.options.limit)?;
            Ok(f())
        })
    }

    /// As [`Pool::spawn`](crate::Pool::spawn), with a result that tells if the task was stopped before it began.
    ///
    /// ```
    /// use purloin::{CancelToken, Options, Pool};
    ///
    /// let (pool, token) = (Pool::new(1)?, CancelToken::new());
    /// token.cancel();
    /// let task = pool.with(Options::new().token(&token)).spawn(|| 6 * 7);
    /// assert!(task.join()?.is_err(), "never begun");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<Result<T, Cancelled<()>>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let limit = self.options.limit.clone();
        spawn_in(self.registry, move || {
            before_it_began(&limit)?;
            let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
            Ok(within(worker, &limit, f))
        })
    }
}

fn with_gaps<R>(cancelled: Cancelled<Partial<R>>) -> Cancelled<Vec<Option<R>>> {
    let length = cancelled.total.unwrap_or_default();
    cancelled.map(|partial| partial.with_gaps(length))
}

fn only_indices(cancelled: Cancelled<Partial<()>>) -> Cancelled<Vec<Range<usize>>> {
    cancelled.map(|partial| partial.items)
}

fn before_it_began(limit: &Limit) -> Result<(), Cancelled<()>> {
    match limit.reached() {
        Some(why) => Err(Cancelled { done: (), finished: 0, total: Some(0), why }),
        None => Ok(()),
    }
}
