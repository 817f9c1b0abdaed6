//! A queue of values between threads: many push, many pop, first in, first out.

use super::closed::Closed;
use super::line::{Line, What, deadline, hope_for, is_past, wait, yield_core};
use super::queue_error::{PopTimeoutError, PushError, PushTimeoutError, TooManyDone, TryPopError, TryPushError};
use super::segments::{Refusal, Segments};
use super::values::Values;
use crate::primitive::{Flaw, Mutex, block_rounds, const_in_library, seeded};
use crate::seat::with_place;
use std::fmt;
use std::mem;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::Duration;

/// A queue of values: many threads push, many pop, first in, first out.
///
/// It may be [bounded](Self::bounded): then a push waits while the queue is full, which keeps fast producers from running
/// away from slow consumers. A pop waits while it is empty. A task that waits gives its core to another thread, after a few
/// microseconds of hoping, and has one again when it goes on; so producer and consumer may be tasks of a pool with one
/// core. Of several threads that wait, one that comes at the right moment may be served before.
///
/// A queue ends when it is [closed](Self::close): nothing can be pushed any more, and consumers get what is left. What
/// was pushed is popped once, or dropped with the queue. A producer that panics does not close it, since others may go on:
/// where consumers would wait for ever, let a guard close it that is dropped when the producer ends. A queue that was long keeps
/// its memory until it is dropped. Python's `Queue`, with its [`task_done`](Self::task_done) and
/// `join` ([`wait_all_done`](Self::wait_all_done)), and an end.
///
/// ```
/// use purloin::sync::Queue;
///
/// let pool = purloin::Pool::new(1)?;
/// let queue = Queue::bounded(2);
/// let sum = pool.scope(|s| {
///     s.spawn(|| {
///         (1..=10).for_each(|n| queue.push(n).expect("it is closed only after"));
///         queue.close();
///     });
///     queue.iter().sum::<i32>()
/// });
/// assert_eq!(sum, 55);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Queue<T> {
    values: Segments<T>,
    waits: Mutex<Waits>,
    /// `usize::MAX` if there is no bound.
    capacity: usize,
}

/// Those who wait, and what they look at under the lock.
struct Waits {
    /// For room. If somebody is in it, `values` says so at its head.
    pushers: Line<()>,
    /// For a value. If somebody is in it, `values` says so at its tail.
    poppers: Line<()>,
    /// Until all is done.
    finishers: Line<()>,
    /// Values reported as done.
    done: usize,
}

// Values go in and out whole; none can be looked at inside.
impl<T> UnwindSafe for Queue<T> {}
impl<T> RefUnwindSafe for Queue<T> {}

/// An [unbounded](Queue::unbounded) one.
impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue::unbounded()
    }
}

impl<T> Queue<T> {
    const_in_library! {
        /// A queue without bound: pushing never waits. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Queue;
        ///
        /// static WORDS: Queue<&str> = Queue::unbounded();
        /// WORDS.push("first").expect("it is open");
        /// WORDS.push("second").expect("it is open");
        /// assert_eq!(WORDS.pop(), Ok("first"));
        /// assert_eq!(WORDS.capacity(), None);
        /// ```
        #[must_use]
        pub fn unbounded() -> Self {
            Queue { values: Segments::new(usize::MAX), waits: Mutex::new(Waits::new()), capacity: usize::MAX }
        }
    }

    const_in_library! {
        /// A queue of at most `capacity` values. It may be a `static`.
        ///
        /// # Panics
        ///
        /// If `capacity` is 0: nothing could ever be pushed.
        ///
        /// ```
        /// use purloin::sync::Queue;
        ///
        /// let queue = Queue::bounded(2);
        /// assert_eq!((1..=5).filter(|&n| queue.try_push(n).is_ok()).count(), 2);
        /// assert_eq!(queue.capacity(), Some(2));
        /// ```
        #[must_use]
        pub fn bounded(capacity: usize) -> Self {
            assert!(capacity > 0, "a queue of capacity 0 could never hold a value: let it have room for 1");
            Queue { values: Segments::new(capacity), waits: Mutex::new(Waits::new()), capacity }
        }
    }

    /// Appends a value; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// [`PushError`], with the value, if the queue is closed, also while this waits.
    ///
    /// ```
    /// use purloin::sync::{PushError, Queue};
    ///
    /// let queue = Queue::bounded(1);
    /// assert_eq!(queue.push("first"), Ok(()));
    /// queue.close();
    /// assert_eq!(queue.push("late"), Err(PushError("late")));
    /// assert_eq!(queue.pop(), Ok("first"));
    /// ```
    #[inline]
    #[track_caller]
    pub fn push(&self, value: T) -> Result<(), PushError<T>> {
        match self.push_now(value) {
            Ok(()) => Ok(()),
            Err((value, Refusal::Closed)) => Err(PushError(value)),
            Err((value, Refusal::NotNow)) => self.push_slowly(value, None).map_err(|(value, _)| PushError(value)),
        }
    }

    /// Appends a value if there is room.
    ///
    /// # Errors
    ///
    /// [`TryPushError`], with the value, if the queue is full or closed.
    ///
    /// ```
    /// use purloin::sync::{Queue, TryPushError};
    ///
    /// let queue = Queue::bounded(1);
    /// assert_eq!(queue.try_push(1), Ok(()));
    /// assert_eq!(queue.try_push(2), Err(TryPushError::Full(2)));
    /// ```
    #[inline]
    pub fn try_push(&self, value: T) -> Result<(), TryPushError<T>> {
        self.push_now(value).map_err(|(value, refusal)| match refusal {
            Refusal::Closed => TryPushError::Closed(value),
            Refusal::NotNow => TryPushError::Full(value),
        })
    }

    /// Appends a value; waits while the queue is full, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PushTimeoutError`], with the value, if the time is up or the queue closed.
    ///
    /// ```
    /// use purloin::sync::{PushTimeoutError, Queue};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::bounded(1);
    /// let soon = Duration::from_millis(1);
    /// assert_eq!(queue.push_timeout(1, soon), Ok(()));
    /// assert_eq!(queue.push_timeout(2, soon), Err(PushTimeoutError::TimedOut(2)));
    /// ```
    #[inline]
    #[track_caller]
    pub fn push_timeout(&self, value: T, timeout: Duration) -> Result<(), PushTimeoutError<T>> {
        let refused = match self.push_now(value) {
            Err((value, Refusal::NotNow)) => self.push_slowly(value, Some(timeout)),
            result => result,
        };
        refused.map_err(|(value, refusal)| match refusal {
            Refusal::Closed => PushTimeoutError::Closed(value),
            Refusal::NotNow => PushTimeoutError::TimedOut(value),
        })
    }

    /// Takes the oldest value; waits while the queue is empty.
    ///
    /// # Errors
    ///
    /// [`Closed`] if the queue is closed and nothing is left in it.
    ///
    /// ```
    /// use purloin::sync::{Closed, Queue};
    ///
    /// let queue = Queue::unbounded();
    /// queue.push(1)?;
    /// queue.close();
    /// assert_eq!(queue.pop(), Ok(1));
    /// assert_eq!(queue.pop(), Err(Closed));
    /// # Ok::<(), purloin::sync::PushError<i32>>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn pop(&self) -> Result<T, Closed> {
        match self.pop_now() {
            Ok(value) => Ok(value),
            Err(Refusal::Closed) => Err(Closed),
            Err(Refusal::NotNow) => self.pop_slowly(None).map_err(|_| Closed),
        }
    }

    /// Takes the oldest value if there is one.
    ///
    /// # Errors
    ///
    /// [`TryPopError`] tells whether there may ever be another.
    ///
    /// ```
    /// use purloin::sync::{Queue, TryPopError};
    ///
    /// let queue = Queue::<i32>::unbounded();
    /// assert_eq!(queue.try_pop(), Err(TryPopError::Empty));
    /// queue.close();
    /// assert_eq!(queue.try_pop(), Err(TryPopError::Closed));
    /// ```
    #[inline]
    pub fn try_pop(&self) -> Result<T, TryPopError> {
        self.pop_now().map_err(|refusal| match refusal {
            Refusal::Closed => TryPopError::Closed,
            Refusal::NotNow => TryPopError::Empty,
        })
    }

    /// Takes the oldest value; waits while the queue is empty, but no longer than `timeout`.
    ///
    /// # Errors
    ///
    /// [`PopTimeoutError`] if the time is up, or the queue closed and nothing left in it.
    ///
    /// ```
    /// use purloin::sync::{PopTimeoutError, Queue};
    /// use std::time::Duration;
    ///
    /// let queue = Queue::<i32>::unbounded();
    /// assert_eq!(queue.pop_timeout(Duration::from_millis(1)), Err(PopTimeoutError::TimedOut));
    /// ```
    #[inline]
    #[track_caller]
    pub fn pop_timeout(&self, timeout: Duration) -> Result<T, PopTimeoutError> {
        let popped = match self.pop_now() {
            Err(Refusal::NotNow) => self.pop_slowly(Some(timeout)),
            result => result,
        };
        popped.map_err(|refusal| match refusal {
            Refusal::Closed => PopTimeoutError::Closed,
            Refusal::NotNow => PopTimeoutError::TimedOut,
        })
    }

    /// Pops until the queue is closed and nothing is left in it; waits while it is empty.
    ///
    /// ```
    /// use purloin::sync::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// (0..3).try_for_each(|n| queue.push(n))?;
    /// queue.close();
    /// assert_eq!(queue.iter().collect::<Vec<_>>(), [0, 1, 2]);
    /// # Ok::<(), purloin::sync::PushError<i32>>(())
    /// ```
    pub fn iter(&self) -> Values<'_, T> {
        Values { queue: self }
    }

    /// Ends the queue: from now on every push fails and gives its value back, those included that wait. What is in the
    /// queue can still be popped; after that, and for those who wait in vain, a pop is [`Closed`].
    ///
    /// ```
    /// use purloin::sync::{Closed, Queue};
    ///
    /// let queue = Queue::bounded(1);
    /// queue.push("in it").expect("there is room");
    /// std::thread::scope(|scope| {
    ///     let waits = scope.spawn(|| queue.push("too late"));
    ///     queue.close();
    ///     let refused = waits.join().expect("no panic").expect_err("no room, and then the end");
    ///     assert_eq!(refused.into_inner(), "too late");
    /// });
    /// assert_eq!((queue.pop(), queue.pop()), (Ok("in it"), Err(Closed)));
    /// ```
    pub fn close(&self) {
        let (pushers, poppers) = {
            let mut waits = self.waits.lock();
            if !seeded(Flaw::WakesBeforeChange) {
                self.values.close();
            }
            self.values.no_room_awaited();
            self.values.no_value_awaited();
            (waits.pushers.take(), waits.poppers.take())
        };
        pushers.answer_all();
        poppers.answer_all();
        if seeded(Flaw::WakesBeforeChange) {
            self.values.close();
        }
    }

    /// Whether the queue has been closed. There may be values left in it.
    ///
    /// ```
    /// let queue = purloin::sync::Queue::unbounded();
    /// queue.push("left")?;
    /// queue.close();
    /// assert!(queue.is_closed() && !queue.is_empty());
    /// # Ok::<(), purloin::sync::PushError<&str>>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.values.is_closed()
    }

    /// How many values there are now; other threads may be pushing and popping.
    ///
    /// ```
    /// let queue = purloin::sync::Queue::unbounded();
    /// assert!(queue.is_empty());
    /// (0..3).try_for_each(|n| queue.push(n))?;
    /// assert_eq!(queue.len(), 3);
    /// # Ok::<(), purloin::sync::PushError<i32>>(())
    /// ```
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no value now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The most values that there can be at a time, if the queue is bounded.
    pub fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    /// Reports that one of the values is done with, for [`wait_all_done`](Self::wait_all_done): to be called once for
    /// each, after what it asked for has been done.
    ///
    /// # Errors
    ///
    /// [`TooManyDone`] if more are reported than were pushed.
    ///
    /// ```
    /// use purloin::sync::Queue;
    ///
    /// let queue = Queue::unbounded();
    /// queue.push("work")?;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let work = queue.pop().expect("not closed");
    ///         assert_eq!(work, "work");
    ///         queue.task_done().expect("the first report");
    ///     });
    ///     queue.wait_all_done();
    /// });
    /// assert!(queue.task_done().is_err());
    /// # Ok::<(), purloin::sync::PushError<&str>>(())
    /// ```
    pub fn task_done(&self) -> Result<(), TooManyDone> {
        let finishers = {
            let mut waits = self.waits.lock();
            let left = self.unfinished(&waits);
            if left == 0 {
                return Err(TooManyDone);
            }
            waits.done = waits.done.wrapping_add(1);
            if left > 1 {
                return Ok(());
            }
            waits.finishers.take()
        };
        finishers.answer_all();
        Ok(())
    }

    /// Waits until every value that was pushed has been [reported](Self::task_done) as done, also after the queue was
    /// closed. Values that nobody pops count as not done.
    ///
    /// ```
    /// use purloin::sync::Queue;
    ///
    /// let (pool, queue) = (purloin::Pool::new(1)?, Queue::unbounded());
    /// pool.scope(|s| {
    ///     s.spawn(|| queue.iter().for_each(|_job: u32| queue.task_done().expect("one for each")));
    ///     (0..10).for_each(|job| queue.push(job).expect("it is open"));
    ///     queue.wait_all_done(); // all are taken, and what they asked for is done
    ///     assert!(queue.is_empty());
    ///     queue.close();
    /// });
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    #[track_caller]
    pub fn wait_all_done(&self) {
        let what = self.what(Location::caller());
        with_place(|place| {
            let call = {
                let mut waits = self.waits.lock();
                if self.unfinished(&waits) == 0 {
                    return;
                }
                waits.finishers.enter(place, ())
            };
            wait(place, &call, None, what);
        });
    }

    /// How many values have been pushed and not reported as done.
    fn unfinished(&self, waits: &Waits) -> usize {
        self.values.arrived_since(waits.done)
    }

    #[inline]
    fn push_now(&self, value: T) -> Result<(), (T, Refusal)> {
        if self.values.put(value)? {
            self.call(Side::Poppers);
        }
        Ok(())
    }

    #[inline]
    fn pop_now(&self) -> Result<T, Refusal> {
        let (value, awaited) = self.values.take()?;
        if awaited {
            self.call(Side::Pushers);
        }
        Ok(value)
    }

    #[cold]
    #[track_caller]
    fn push_slowly(&self, value: T, timeout: Option<Duration>) -> Result<(), (T, Refusal)> {
        let mut value = Some(value);
        let mut push = || {
            let pushed = value.take().map_or(Ok(()), |value| self.push_now(value));
            pushed.map_err(|(returned, refusal)| {
                value = Some(returned);
                refusal
            })
        };
        let pushed = self.retry(timeout, Location::caller(), Side::Pushers, &mut push);
        match (pushed, value) {
            (Err(refusal), Some(value)) => Err((value, refusal)),
            _ => Ok(()),
        }
    }

    #[cold]
    #[track_caller]
    fn pop_slowly(&self, timeout: Option<Duration>) -> Result<T, Refusal> {
        self.retry(timeout, Location::caller(), Side::Poppers, || self.pop_now())
    }

    /// Does `attempt`, which has just been refused, as soon as it is not, and waits on that side until then.
    fn retry<R>(
        &self,
        timeout: Option<Duration>,
        at: &'static Location<'static>,
        side: Side,
        mut attempt: impl FnMut() -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let (what, deadline) = (self.what(at), deadline(timeout));
        let mut late = false;
        // The caller's own attempt: where nobody hopes, as in the models, no time has passed since.
        let mut refused_now = block_rounds() == 0;
        with_place(|place| {
            loop {
                // What is there for the taking soon is worth a short spin.
                hope_for(|| self.is_promising(side));
                if !mem::take(&mut refused_now) {
                    // Others may take what this thread was called for, again and again.
                    if !late && is_past(deadline) {
                        late = true;
                        yield_core(place);
                    }
                    match attempt() {
                        Err(Refusal::NotNow) if !late => {}
                        result => return result,
                    }
                }
                let call = {
                    let mut waits = self.waits.lock();
                    if !self.mark(side) {
                        // Something has changed since the attempt.
                        continue;
                    }
                    waits.line(side).enter(place, ())
                };
                if !wait(place, &call, deadline, what) {
                    // If it is answered at this very moment, there may be something for it, which nobody else was told
                    // of: so it makes one more attempt in any case.
                    late = true;
                    if !seeded(Flaw::LeaverStaysInLine) {
                        let mut waits = self.waits.lock();
                        waits.line(side).leave(&call);
                        self.unmark_if_empty(&mut waits, side);
                    }
                    if seeded(Flaw::ServedTakenForLate) {
                        return Err(Refusal::NotNow);
                    }
                }
            }
        })
    }

    fn what(&self, at: &'static Location<'static>) -> What {
        What { kind: "Queue", address: (&raw const *self).addr(), at }
    }

    fn is_promising(&self, side: Side) -> bool {
        match side {
            Side::Pushers => self.len() < self.capacity,
            Side::Poppers => !self.is_empty(),
        }
    }

    /// Says in `values` that somebody is about to wait on that side, if there is reason to.
    fn mark(&self, side: Side) -> bool {
        match side {
            Side::Pushers => self.values.await_room(),
            Side::Poppers => self.values.await_value(),
        }
    }

    fn unmark_if_empty(&self, waits: &mut Waits, side: Side) {
        match side {
            _ if !waits.line(side).is_empty() => {}
            Side::Pushers => self.values.no_room_awaited(),
            Side::Poppers => self.values.no_value_awaited(),
        }
    }

    /// Lets the first who waits on that side look again: there is something for it.
    #[cold]
    fn call(&self, side: Side) {
        let call = {
            let mut waits = self.waits.lock();
            let call = waits.line(side).next();
            self.unmark_if_empty(&mut waits, side);
            call
        };
        call.inspect(|call| call.answer());
    }
}

/// Who waits: for room, or for a value.
#[derive(Debug, Clone, Copy)]
enum Side {
    Pushers,
    Poppers,
}

impl Waits {
    const_in_library! {
        pub fn new() -> Self {
            Waits { pushers: Line::new(), poppers: Line::new(), finishers: Line::new(), done: 0 }
        }
    }

    fn line(&mut self, side: Side) -> &mut Line<()> {
        match side {
            Side::Pushers => &mut self.pushers,
            Side::Poppers => &mut self.poppers,
        }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Queue");
        output.field("len", &self.len()).field("capacity", &self.capacity()).field("closed", &self.is_closed());
        output.finish_non_exhaustive()
    }
}
