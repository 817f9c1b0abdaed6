//! A queue of values between threads: many push, many pop, first in, first out.

use super::closed::Closed;
use super::line::{Call, Line, What, deadline, hope_for, wait};
use super::queue_error::{PopTimeoutError, PushError, PushTimeoutError, TooManyDone, TryPopError, TryPushError};
use crate::primitive::{Arc, AtomicUsize, Flaw, Mutex, Ordering, const_in_library, seeded};
use crate::seat::with_place;
use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::panic::Location;
use std::time::Duration;

/// A queue of values: many threads push, many pop, first in, first out.
///
/// It may be [bounded](Self::bounded): then a push waits while the queue is full, which keeps fast producers from running
/// away from slow consumers. A pop waits while it is empty. A task that waits gives its core to another thread, after a few
/// microseconds of hoping, and has one again when it goes on; so producer and consumer may be tasks of a pool with one
/// core. Of several threads that wait, one that comes at the right moment may be served before.
///
/// A queue ends when it is [closed](Self::close): nothing can be pushed any more, and consumers get what is left. What
/// was pushed is popped once, or dropped with the queue. Python's `Queue`, with its [`task_done`](Self::task_done) and
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
#[derive(Debug)]
pub struct Queue<T> {
    state: Mutex<State<T>>,
    /// How many values there are, for those who only want to know whether to take the lock.
    len: AtomicUsize,
    /// `usize::MAX` if there is no bound.
    capacity: usize,
}

#[derive(Debug)]
struct State<T> {
    values: VecDeque<T>,
    closed: bool,
    /// Values pushed and not reported as done.
    unfinished: usize,
    pushers: Line<()>,
    poppers: Line<()>,
    /// Those who wait until all is done.
    finishers: Line<()>,
}

/// Why a value could not be pushed, or none popped, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    Closed,
    /// Full, or empty.
    NotNow,
}

impl<T> Queue<T> {
    const_in_library! {
        /// A queue without bound: pushing never waits. It may be a `static`.
        #[must_use]
        pub fn unbounded() -> Self {
            let state = State {
                values: VecDeque::new(),
                closed: false,
                unfinished: 0,
                pushers: Line::new(),
                poppers: Line::new(),
                finishers: Line::new(),
            };
            Queue { state: Mutex::new(state), len: AtomicUsize::new(0), capacity: usize::MAX }
        }
    }

    const_in_library! {
        /// A queue of at most `capacity` values. It may be a `static`.
        ///
        /// # Panics
        ///
        /// If `capacity` is 0: nothing could ever be pushed.
        #[must_use]
        pub fn bounded(capacity: usize) -> Self {
            assert!(capacity > 0, "a queue of capacity 0 could never hold a value: let it have room for 1");
            let mut queue = Self::unbounded();
            queue.capacity = capacity;
            queue
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
    pub fn close(&self) {
        let (pushers, poppers) = {
            let mut state = self.state.lock();
            state.closed = !seeded(Flaw::WakesBeforeChange);
            (state.pushers.take(), state.poppers.take())
        };
        pushers.answer_all();
        poppers.answer_all();
        if seeded(Flaw::WakesBeforeChange) {
            self.state.lock().closed = true;
        }
    }

    /// Whether the queue has been closed. There may be values left in it.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// How many values there are now; other threads may be pushing and popping.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
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
            let mut state = self.state.lock();
            state.unfinished = state.unfinished.checked_sub(1).ok_or(TooManyDone)?;
            if state.unfinished > 0 {
                return Ok(());
            }
            state.finishers.take()
        };
        finishers.answer_all();
        Ok(())
    }

    /// Waits until every value that was pushed has been [reported](Self::task_done) as done, also after the queue was
    /// closed. Values that nobody pops count as not done.
    #[track_caller]
    pub fn wait_all_done(&self) {
        let what = self.what(Location::caller());
        with_place(|place| {
            let call = {
                let mut state = self.state.lock();
                if state.unfinished == 0 {
                    return;
                }
                state.finishers.enter(place, ())
            };
            wait(place, &call, None, what);
        });
    }

    #[inline]
    fn push_now(&self, value: T) -> Result<(), (T, Refusal)> {
        let popper = self.change(|state| state.push(value, self.capacity))?;
        popper.inspect(|call| call.answer());
        Ok(())
    }

    #[inline]
    fn pop_now(&self) -> Result<T, Refusal> {
        let (value, pusher) = self.change(State::pop)?;
        pusher.inspect(|call| call.answer());
        Ok(value)
    }

    #[inline]
    fn change<R>(&self, change: impl FnOnce(&mut State<T>) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        // Relaxed: whoever acts on it takes the lock.
        self.len.store(state.values.len(), Ordering::Relaxed);
        result
    }

    #[cold]
    #[track_caller]
    fn push_slowly(&self, value: T, timeout: Option<Duration>) -> Result<(), (T, Refusal)> {
        let mut value = Some(value);
        let mut push = |state: &mut State<T>| {
            let pushed = value.take().map_or(Ok(None), |value| state.push(value, self.capacity));
            pushed.map_err(|(returned, refusal)| {
                value = Some(returned);
                refusal
            })
        };
        let room = || self.len() < self.capacity;
        let pushed = self.retry(timeout, Location::caller(), room, |state| &mut state.pushers, &mut push);
        match (pushed, value) {
            (Err(refusal), Some(value)) => Err((value, refusal)),
            (popper, _) => {
                popper.ok().flatten().inspect(|call| call.answer());
                Ok(())
            }
        }
    }

    #[cold]
    #[track_caller]
    fn pop_slowly(&self, timeout: Option<Duration>) -> Result<T, Refusal> {
        let some = || !self.is_empty();
        let (value, pusher) = self.retry(timeout, Location::caller(), some, |state| &mut state.poppers, State::pop)?;
        pusher.inspect(|call| call.answer());
        Ok(value)
    }

    /// Does `attempt` as soon as it is not refused, and waits in `line` until then.
    fn retry<R>(
        &self,
        timeout: Option<Duration>,
        at: &'static Location<'static>,
        promising: impl Fn() -> bool,
        line: impl Fn(&mut State<T>) -> &mut Line<()>,
        mut attempt: impl FnMut(&mut State<T>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let deadline = deadline(timeout);
        let mut late = false;
        with_place(|place| {
            loop {
                // What is there for the taking soon is worth a short spin.
                hope_for(&promising);
                let before = seeded(Flaw::EntersUnlooked).then(|| self.change(&mut attempt));
                let attempted = self.change(|state| match before.unwrap_or_else(|| attempt(state)) {
                    Err(Refusal::NotNow) if !late => Err(line(state).enter(place, ())),
                    result => Ok(result),
                });
                let call = match attempted {
                    Ok(result) => return result,
                    Err(call) => call,
                };
                if !wait(place, &call, deadline, self.what(at)) {
                    // If it is answered at this very moment, there may be something for it, which nobody else was told
                    // of: so it makes one more attempt in any case.
                    late = true;
                    if !seeded(Flaw::LeaverStaysInLine) {
                        line(&mut self.state.lock()).leave(&call);
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
}

impl<T> State<T> {
    /// Appends a value if it may, and tells who is to be answered.
    #[inline]
    fn push(&mut self, value: T, capacity: usize) -> Result<Option<Arc<Call>>, (T, Refusal)> {
        if self.closed {
            return Err((value, Refusal::Closed));
        }
        if self.values.len() == capacity {
            return Err((value, Refusal::NotNow));
        }
        self.values.push_back(value);
        self.unfinished += 1;
        Ok(self.poppers.next())
    }

    /// Takes the oldest value, and tells who is to be answered.
    #[inline]
    fn pop(&mut self) -> Result<(T, Option<Arc<Call>>), Refusal> {
        match self.values.pop_front() {
            Some(value) => Ok((value, self.pushers.next())),
            None if self.closed => Err(Refusal::Closed),
            None => Err(Refusal::NotNow),
        }
    }
}

/// The values of a [`Queue`], until it is closed and drained: [`Queue::iter`].
#[derive(Debug)]
pub struct Values<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Iterator for Values<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.pop().ok()
    }
}

/// A closed queue is never opened again.
impl<T> FusedIterator for Values<'_, T> {}

impl<'a, T> IntoIterator for &'a Queue<T> {
    type Item = T;
    type IntoIter = Values<'a, T>;

    fn into_iter(self) -> Values<'a, T> {
        self.iter()
    }
}
