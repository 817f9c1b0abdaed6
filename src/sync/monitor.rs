//! A monitor: a state and the conditions on it as one thing.

use super::line::{Call, Line, What, is_past, wait};
use super::mutex::{Mutex, MutexGuard};
use crate::primitive::{Arc, Flaw, const_in_library, now, seeded};
use crate::seat::{Place, with_place};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

/// A state that one thread at a time may use, and in which a thread can wait for whatever it likes.
///
/// There is nothing to notify and nothing to forget: when a thread leaves after a change, those whose condition may hold now
/// look at it again, one after the other, in the order in which they came. A thread that waits gives its core to others and
/// has one again when it goes on. A panic inside unlocks; there is no poisoning.
///
/// Monitors are Brinch Hansen's (1973) and Hoare's (1974). Conditions that need neither a name nor a signal are those of
/// Hoare's conditional critical regions (1972).
///
/// ```
/// use purloin::sync::Monitor;
/// use std::collections::VecDeque;
///
/// let pool = purloin::Pool::new(1)?;
/// let buffer = Monitor::new(VecDeque::new());
/// let sum: u32 = pool.scope(|s| {
///     s.spawn(|| {
///         for n in 1..=100 {
///             // room for four
///             buffer.wait_until(|mut buffer| (buffer.len() < 4).then(|| buffer.push_back(n)));
///         }
///     });
///     let sum = s.spawn(|| (0..100).map(|_| buffer.wait_until(|mut buffer| buffer.pop_front())).sum());
///     sum.join()
/// })?;
/// assert_eq!(sum, 5050);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Monitor<T> {
    inside: Mutex<Inside<T>>,
}

struct Inside<T> {
    state: T,
    /// Counts the changes of the state.
    version: u64,
    /// Numbers those who wait, in the order in which they came.
    next: u64,
    line: Line<Waiter>,
}

/// A thread in the line: it has its place in the order for good, wherever it is put back.
#[derive(Debug, Clone, Copy)]
struct Waiter {
    number: u64,
    /// The version of the state for which its condition did not hold.
    seen: u64,
}

/// The state of a [`Monitor`], for a closure inside. To use it mutably counts as a change. Changes by interior mutability (of
/// a `Cell`, or an atomic) are not seen, and wake nobody: take it as `mut` for those as well.
///
/// ```
/// use purloin::sync::{Monitor, MonitorState};
///
/// /// As a condition: all or nothing.
/// fn take_two(mut stock: MonitorState<'_, u32>) -> Option<u32> {
///     *stock = stock.checked_sub(2)?;
///     Some(*stock)
/// }
/// let stock = Monitor::new(5);
/// assert_eq!(stock.wait_until(take_two), 3);
/// assert_eq!(stock.with(take_two), Some(1));
/// assert_eq!(stock.with(take_two), None);
/// ```
#[derive(Debug)]
pub struct MonitorState<'a, T> {
    state: &'a mut T,
    changed: &'a mut bool,
}

impl<T> Deref for MonitorState<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.state
    }
}

impl<T> DerefMut for MonitorState<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        *self.changed = true;
        self.state
    }
}

/// A thread inside the monitor. When it leaves, also by a panic, it calls one of those who have not looked at the state as
/// it is now, who in turn does the same.
struct Visit<'a, T> {
    guard: Option<MutexGuard<'a, Inside<T>>>,
    changed: bool,
}

impl<T> Visit<'_, T> {
    fn inside(&mut self) -> &mut Inside<T> {
        self.guard.as_mut().expect("the guard is taken as the visit ends")
    }

    fn run<R>(&mut self, f: impl FnOnce(MonitorState<'_, T>) -> R) -> R {
        let guard = self.guard.as_mut().expect("the guard is taken as the visit ends");
        f(MonitorState { state: &mut guard.state, changed: &mut self.changed })
    }

    /// Enters this thread in the line, with its number if it has one from before. It has seen the state as it is now.
    fn line_up(&mut self, place: &Place, number: &mut Option<u64>) -> Arc<Call> {
        let inside = self.inside();
        let number = *number.get_or_insert_with(|| {
            inside.next += 1;
            inside.next
        });
        let waiter = Waiter { number, seen: inside.version };
        inside.line.enter_before(place, waiter, |other| other.number > number)
    }
}

impl<T> Drop for Visit<'_, T> {
    fn drop(&mut self) {
        let Some(mut guard) = self.guard.take() else { return };
        let calls = self.changed || !seeded(Flaw::MonitorKeepsCall);
        guard.version += u64::from(self.changed);
        let version = guard.version;
        let call = guard.line.next_where(|waiter| calls && waiter.seen < version);
        drop(guard);
        // After the unlocking, as the one who is called locks at once.
        call.inspect(|call| call.answer());
    }
}

impl<T> Monitor<T> {
    const_in_library! {
        /// A monitor with that state. It may be a `static`.
        ///
        /// ```
        /// use purloin::sync::Monitor;
        ///
        /// static SEATS: Monitor<u32> = Monitor::new(10);
        /// SEATS.with(|mut free| *free -= 2);
        /// assert_eq!(SEATS.with(|free| *free), 8);
        /// ```
        pub fn new(state: T) -> Self {
            Monitor { inside: Mutex::new(Inside { state, version: 0, next: 0, line: Line::new() }) }
        }
    }

    /// Runs `f` inside, and gives its result. If it used the state mutably, those who wait look at it.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with: the state is as `f` left it. As [`Mutex::lock`], if this thread is inside already, or a
    /// cycle would be closed.
    ///
    /// ```
    /// let tank = purloin::sync::Monitor::new(3);
    /// tank.with(|mut level| *level += 4);
    /// assert_eq!(tank.with(|level| *level), 7); // changes nothing, and so wakes nobody
    /// ```
    #[track_caller]
    pub fn with<R>(&self, f: impl FnOnce(MonitorState<'_, T>) -> R) -> R {
        self.visit().run(f)
    }

    /// Waits until `condition` gives `Some`, and gives what is in it. The condition may change the state as it does so.
    ///
    /// It runs inside, on this thread, first at once and then after changes by others. As long as it gives `None` it must
    /// leave the state as it is: such a change may go unnoticed by others who wait.
    ///
    /// # Panics
    ///
    /// As [`with`](Monitor::with).
    ///
    /// ```
    /// let tank = purloin::sync::Monitor::new(3);
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| tank.with(|mut level| *level += 4));
    ///     let left = tank.wait_until(|mut level| {
    ///         (*level >= 5).then(|| {
    ///             *level -= 5;
    ///             *level
    ///         })
    ///     });
    ///     assert_eq!(left, 2);
    /// });
    /// ```
    #[track_caller]
    pub fn wait_until<R>(&self, condition: impl FnMut(MonitorState<'_, T>) -> Option<R>) -> R {
        self.wait(condition, None).expect("without a deadline the wait ends when the condition holds")
    }

    /// Waits as [`wait_until`](Monitor::wait_until) does, for `timeout` at most; `None` if the condition did not hold by then.
    /// To enter the monitor, at first and again, may take longer.
    ///
    /// # Panics
    ///
    /// As [`with`](Monitor::with).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let empty = purloin::sync::Monitor::new(Vec::<u8>::new());
    /// assert_eq!(empty.wait_until_for(|mut all| all.pop(), Duration::from_millis(1)), None);
    /// ```
    #[track_caller]
    pub fn wait_until_for<R>(
        &self,
        condition: impl FnMut(MonitorState<'_, T>) -> Option<R>,
        timeout: Duration,
    ) -> Option<R> {
        self.wait(condition, now().checked_add(timeout))
    }

    #[track_caller]
    fn visit(&self) -> Visit<'_, T> {
        Visit { guard: Some(self.inside.lock_as("Monitor")), changed: false }
    }

    #[track_caller]
    fn wait<R>(
        &self,
        mut condition: impl FnMut(MonitorState<'_, T>) -> Option<R>,
        deadline: Option<Instant>,
    ) -> Option<R> {
        let what = What { kind: "Monitor", address: ptr::from_ref(self).addr(), at: Location::caller() };
        let (mut number, mut expired) = (None, None);
        loop {
            let mut visit = self.visit();
            if let Some(call) = &expired {
                visit.inside().line.leave(call);
            }
            let found = visit.run(&mut condition);
            if found.is_some() {
                return found;
            }
            visit.changed = false;
            if expired.is_some() {
                return None;
            }
            if seeded(Flaw::EntersUnlooked) {
                drop(visit);
                visit = self.visit();
            }
            with_place(|place| {
                let call = visit.line_up(place, &mut number);
                drop(visit);
                // An answer may come before each look at the clock, so it is looked at here as well.
                if !wait(place, &call, deadline, what) || is_past(deadline) {
                    expired = Some(call);
                }
            });
        }
    }

    /// The state, which nobody else can use meanwhile.
    ///
    /// ```
    /// let mut monitor = purloin::sync::Monitor::new(1);
    /// *monitor.get_mut() += 1;
    /// assert_eq!(monitor.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inside.get_mut().state
    }

    /// The state.
    ///
    /// ```
    /// let log = purloin::sync::Monitor::new(Vec::new());
    /// log.with(|mut log| log.push("done"));
    /// assert_eq!(log.into_inner(), ["done"]);
    /// ```
    pub fn into_inner(self) -> T {
        self.inside.into_inner().state
    }
}

impl<T: fmt::Debug> fmt::Debug for Monitor<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Monitor");
        match self.inside.try_lock() {
            Some(inside) => {
                // A thread that comes meanwhile, and gives up, has left it to this one to call the next.
                let mut visit = Visit { guard: Some(inside), changed: false };
                let inside = visit.inside();
                output.field("state", &inside.state).field("waiting", &inside.line.len())
            }
            None => output.field("state", &format_args!("<locked>")),
        };
        output.finish()
    }
}

impl<T: Default> Default for Monitor<T> {
    fn default() -> Self {
        Monitor::new(T::default())
    }
}

impl<T> From<T> for Monitor<T> {
    fn from(state: T) -> Self {
        Monitor::new(state)
    }
}
