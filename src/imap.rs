//! A loop over any iterator, lazy on both sides.

use crate::cancel::{CancelToken, Limit, Why};
use crate::error::{Cancelled, discard};
use crate::limited::within;
use crate::options::Options;
use crate::primitive::{Arc, Tick, fork_generation};
use crate::progress::Progress;
use crate::registry::Registry;
use crate::spawn::spawn_in;
use crate::thread::{at_once, in_pool};
use crate::window::{Begun, Stalled, Window};
use crate::worker::Worker;
use std::fmt;
use std::iter::FusedIterator;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

/// Items taken and not delivered, at most, unless told otherwise; and for each core, if that is more.
const BUFFER: usize = 64;
const BUFFER_PER_CORE: usize = 4;
/// How long a runner goes on before it queues up again, behind other tasks.
const TURN: Duration = Duration::from_micros(100);

/// The results of a closure for the items of an iterator, lazily: [`Pool::imap`](crate::Pool::imap) and
/// [`Pool::imap_unordered`](crate::Pool::imap_unordered).
///
/// Dropping it cancels what has not begun and does not wait for what has: [`is_cancelled`](crate::is_cancelled) tells
/// those items.
///
/// ```
/// let pool = purloin::Pool::new(2)?;
/// let mut squares = pool.imap(1..=4, |n| n * n);
/// assert_eq!(squares.next(), Some(1));
/// assert_eq!(squares.size_hint(), (3, Some(3)));
/// assert_eq!(squares.collect::<Vec<_>>(), [4, 9, 16]);
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[must_use = "it is lazy: nothing is read or begun before the first `next`"]
pub struct Imap<I: Iterator, R> {
    items: I,
    /// The iterator has said that it has no more.
    exhausted: bool,
    stream: Arc<Stream<I::Item, R>>,
    registry: Arc<Registry>,
    buffer: usize,
    taken: usize,
    delivered: usize,
    /// How many of those delivered were panics.
    panicked: usize,
    /// What may stop it.
    limit: Limit,
}

/// What the consumer shares with the pool's threads.
struct Stream<T, R> {
    window: Window<T, R>,
    f: Box<dyn Fn(T) -> R + Send + Sync>,
    limit: Limit,
    /// Ends it when the consumer is gone; a child of the options' token.
    over: CancelToken,
    progress: Option<Progress>,
    /// Which process it belongs to: a forked child has no part in it.
    fork_generation: usize,
}

impl<T, R> Stream<T, R> {
    fn run(&self, worker: &Worker, index: usize, item: T) {
        let run = || within(worker, &self.limit, || (self.f)(item));
        let outcome = catch_unwind(AssertUnwindSafe(run));
        // If the item has forked the process: the consumer, and who may hold the window's lock, have stayed behind.
        worker.registry().check_fork();
        if let Some(progress) = self.progress.as_ref().filter(|_| outcome.is_ok()) {
            progress.counts().add(worker.core_index(), 1);
        }
        drop(self.window.finish(index, outcome));
    }
}

/// A task that runs items as long as there are any. It is counted in the window while it exists.
struct Runner<T, R> {
    stream: Arc<Stream<T, R>>,
    counted: bool,
}

impl<T, R> Drop for Runner<T, R> {
    fn drop(&mut self) {
        // In a forked child the window's lock may be held by a thread that is not there.
        if self.counted && self.stream.fork_generation == fork_generation() {
            self.stream.window.leave();
        }
    }
}

impl<T: Send + 'static, R: Send + 'static> Runner<T, R> {
    /// Queues one that is counted already.
    fn queue(stream: &Arc<Stream<T, R>>, registry: &Registry) {
        let runner = Runner { stream: Arc::clone(stream), counted: true };
        drop(spawn_in(registry, move || runner.run()));
    }

    fn run(mut self) {
        let begun = Tick::now();
        while self.stream.limit.reached().is_none() {
            let Some(Begun { index, item, another }) = self.stream.window.begin_or_leave() else {
                self.counted = false;
                return;
            };
            let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
            if another {
                Runner::queue(&self.stream, worker.registry());
            }
            self.stream.run(worker, index, item);
            if !Tick::now().within(begun, TURN) {
                // If the pool takes no tasks any more the consumer is told, by the drop.
                drop(spawn_in(worker.registry(), move || self.run()));
                return;
            }
        }
    }
}

impl<I, R> Imap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
    pub(crate) fn new<F>(registry: &Arc<Registry>, items: I, f: F, ordered: bool, options: Options) -> Self
    where
        F: Fn(I::Item) -> R + Send + Sync + 'static,
    {
        let limit = options.limit;
        let over = limit.token.as_ref().map_or_else(CancelToken::new, CancelToken::child);
        if let Some(progress) = &options.progress {
            let (least, most) = items.size_hint();
            progress.counts().expect(most.filter(|&most| most == least));
        }
        let stream = Stream {
            window: Window::new(ordered),
            f: Box::new(f),
            limit: Limit { token: Some(over.clone()), deadline: limit.deadline },
            over,
            progress: options.progress,
            fork_generation: fork_generation(),
        };
        Imap {
            items,
            exhausted: false,
            stream: Arc::new(stream),
            registry: Arc::clone(registry),
            buffer: BUFFER.max(registry.size() * BUFFER_PER_CORE),
            taken: 0,
            delivered: 0,
            panicked: 0,
            limit,
        }
    }

    /// At most so many items, and one at least, are taken from the iterator and not yet delivered. The default is 64, or
    /// four for each core if that is more.
    ///
    /// The larger it is, the longer may single items take without holding up the others, and the more memory they and their
    /// results need. With 1, each result is delivered before the next item is read.
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// let (pool, read) = (purloin::Pool::new(2)?, Cell::new(0));
    /// let items = (1..).inspect(|&n| read.set(n));
    /// for n in pool.imap(items, |n: u32| n).buffer(1).take(5) {
    ///     assert_eq!(read.get(), n); // none was read ahead
    /// }
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn buffer(mut self, items: usize) -> Self {
        self.buffer = items.max(1);
        self
    }

    /// The next result, or why there is none.
    fn advance(&mut self) -> Option<Result<R, Why>> {
        // Neither those who run the items nor who may hold the window's lock came along.
        self.registry.check_fork();
        let mut first = true;
        loop {
            if let Some(why) = self.limit.reached() {
                return (!self.is_over()).then_some(Err(why));
            }
            // One item for the one that is delivered, and more only while nothing is ready.
            if std::mem::take(&mut first) {
                self.read();
            }
            if let Some(outcome) = self.stream.window.deliver() {
                self.delivered += 1;
                self.panicked += usize::from(outcome.is_err());
                return Some(Ok(outcome.unwrap_or_else(|payload| resume_unwind(payload))));
            }
            if !self.read() {
                if self.taken == self.delivered {
                    return None;
                }
                self.help_or_wait();
            }
        }
    }

    /// Whether all there is has been delivered, as far as that is known without another read: one might block, and nothing
    /// is to begin once it is stopped.
    fn is_over(&self) -> bool {
        self.taken == self.delivered && (self.exhausted || self.items.size_hint().1 == Some(0))
    }

    /// Takes an item from the iterator, if there is room for it, and sees to it that somebody runs it.
    fn read(&mut self) -> bool {
        if self.exhausted || self.taken - self.delivered >= self.buffer {
            return false;
        }
        let Some(item) = self.items.next() else {
            self.exhausted = true;
            return false;
        };
        self.taken += 1;
        if self.stream.window.push(item, self.registry.size()) {
            Runner::queue(&self.stream, &self.registry);
        }
        true
    }

    /// Runs the item whose result is to be delivered next, if nobody has begun it; waits if somebody has. Where the order
    /// does not matter it waits in any case, so that no long item keeps it from delivering others, unless nobody else is
    /// left to run one.
    fn help_or_wait(&self) {
        let (stream, limit, registry) = (&self.stream, &self.limit, &self.registry);
        let help = |worker: &Worker| {
            // It may have waited for a core.
            if limit.reached().is_some() {
                return;
            }
            if let Some(Begun { index, item, another }) = stream.window.begin() {
                if another {
                    Runner::queue(stream, registry);
                }
                stream.run(worker, index, item);
            }
        };
        match stream.window.stalled() {
            Some(Stalled::Abandoned | Stalled::Starved) => in_pool(&self.registry, help),
            Some(Stalled::InOrder) if at_once(&self.registry, help).is_ok() => {}
            _ => stream.window.wait(&self.limit, Some(&self.registry)),
        }
    }
}

impl<I, R> Iterator for Imap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
    type Item = R;

    /// # Panics
    ///
    /// With what the closure panicked with for this item. The next call goes on with the next item.
    fn next(&mut self) -> Option<R> {
        match self.advance()? {
            Ok(result) => Some(result),
            Err(_) => unreachable!("nothing limits it"),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let held = self.taken - self.delivered;
        let (least, most) = if self.exhausted { (0, Some(0)) } else { self.items.size_hint() };
        (least.saturating_add(held), most.and_then(|most| most.checked_add(held)))
    }
}

impl<I, R> FusedIterator for Imap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
}

impl<I: Iterator, R> Drop for Imap<I, R> {
    fn drop(&mut self) {
        self.stream.over.cancel();
        if !self.registry.is_orphaned() {
            drop(self.stream.window.close());
        }
    }
}

impl<I: Iterator, R> fmt::Debug for Imap<I, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("taken", &self.taken)
            .field("delivered", &self.delivered)
            .field("buffer", &self.buffer)
            .finish_non_exhaustive()
    }
}

/// As [`Imap`], under options: each result is `Ok`. If the options stop it the last one is `Err`, with the results that were
/// made and not delivered, in order. [`With::imap`](crate::With::imap) makes it.
///
/// There is no `Err` if all was delivered by then. After the last result that is known only once another read has found no
/// more items, unless the iterator's `size_hint` says so.
///
/// ```
/// use purloin::{CancelToken, Options, Pool};
///
/// let (pool, token) = (Pool::new(2)?, CancelToken::new());
/// let mut results = pool.with(Options::new().token(&token)).imap(0.., |n: u32| n);
/// assert_eq!(results.next().transpose()?, Some(0));
/// token.cancel();
/// let stopped = results.next().expect("the last one").unwrap_err();
/// assert_eq!(stopped.finished, 1 + stopped.done.len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "it is lazy: nothing is read or begun before the first `next`"]
pub struct LimitedImap<I: Iterator, R>(Option<Imap<I, R>>);

impl<I: Iterator, R> LimitedImap<I, R> {
    pub(crate) fn new(imap: Imap<I, R>) -> Self {
        LimitedImap(Some(imap))
    }
}

impl<I, R> LimitedImap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
    /// As [`Imap::buffer`].
    ///
    /// ```
    /// use purloin::{Options, Pool};
    ///
    /// let pool = Pool::new(2)?;
    /// let squares = pool.with(Options::new()).imap(1.., |n: u32| n * n).buffer(1);
    /// assert_eq!(squares.take(3).collect::<Result<Vec<_>, _>>()?, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn buffer(self, items: usize) -> Self {
        LimitedImap(self.0.map(|imap| imap.buffer(items)))
    }
}

impl<I, R> Iterator for LimitedImap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
    type Item = Result<R, Cancelled<Vec<R>>>;

    /// # Panics
    ///
    /// As [`Imap`]'s. If the options stop it and an item panicked whose turn had not come, with the first such panic in
    /// place of the `Err`; the next call gives `None`.
    fn next(&mut self) -> Option<Self::Item> {
        let why = match self.0.as_mut()?.advance() {
            Some(Ok(result)) => return Some(Ok(result)),
            Some(Err(why)) => why,
            None => {
                self.0 = None;
                return None;
            }
        };
        let imap = self.0.take()?;
        let total = match imap.size_hint() {
            (least, Some(most)) if least == most => imap.delivered.checked_add(most),
            _ => None,
        };
        let (unbegun, outcomes) = imap.stream.window.close();
        drop(unbegun);
        let (mut done, mut panics) = (Vec::new(), None);
        for outcome in outcomes.into_iter().flatten() {
            match outcome {
                Ok(result) => done.push(result),
                Err(payload) if panics.is_none() => panics = Some(payload),
                Err(payload) => discard(payload),
            }
        }
        if let Some(payload) = panics {
            resume_unwind(payload);
        }
        let finished = imap.delivered - imap.panicked + done.len();
        // While the results are a variable: as the value that is about to be returned they would be lost if this panics.
        drop(imap);
        Some(Err(Cancelled { done, finished, total, why }))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // It may end early, and then with one more than there is.
        let most = self.0.as_ref().map_or(Some(0), |imap| imap.size_hint().1);
        (0, most.and_then(|most| most.checked_add(1)))
    }
}

impl<I, R> FusedIterator for LimitedImap<I, R>
where
    I: Iterator<Item: Send + 'static>,
    R: Send + 'static,
{
}
