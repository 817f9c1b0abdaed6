//! Threads that wait in line for a primitive of this module, first come first served.

use super::graph;
use super::holder::Wish;
use super::report::{Core, Deadlock};
use crate::primitive::{Arc, AtomicBool, Flaw, Ordering, WAITS_NOTED, block_rounds, now, pause, seeded, yield_now};
use crate::seat::{Place, Seat};
use crate::worker::without_core_at;
use std::collections::VecDeque;
use std::mem;
use std::panic::Location;
use std::time::{Duration, Instant};

/// The waiting threads of one primitive, under its lock. `W` is what each of them waits for.
#[derive(Debug)]
pub struct Line<W> {
    calls: VecDeque<(W, Arc<Call>)>,
}

/// One thread's wait. It is answered once, by whoever takes it out of the line.
#[derive(Debug)]
pub struct Call {
    seat: Arc<Seat>,
    answered: AtomicBool,
    refused: AtomicBool,
}

/// What a thread waits for, for those who ask why it is stuck.
#[derive(Debug, Clone, Copy)]
pub struct What {
    /// The kind of primitive, as its type is called.
    pub kind: &'static str,
    /// Where the primitive is.
    pub address: usize,
    /// The line of the user's source that waits.
    pub at: &'static Location<'static>,
}

impl<W> Line<W> {
    /// An empty line.
    pub const fn new() -> Self {
        Line { calls: VecDeque::new() }
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// What the first in line waits for.
    pub fn first(&self) -> Option<&W> {
        self.calls.front().map(|(wanted, _)| wanted)
    }

    /// Enters the thread of `place` at the end. It then waits, without the primitive's lock: see [`wait`].
    pub fn enter(&mut self, place: &Place, wanted: W) -> Arc<Call> {
        let call = Call::new(place);
        self.calls.push_back((wanted, Arc::clone(&call)));
        call
    }

    /// Takes the first out of the line. The caller answers it, best after it has released the primitive's lock.
    #[must_use = "a call taken out of the line must be answered, or its thread waits for ever"]
    #[inline]
    pub fn next(&mut self) -> Option<Arc<Call>> {
        self.calls.pop_front().map(|(_, call)| call)
    }

    /// Takes everybody out of the line, to be answered by [`answer_all`](Self::answer_all).
    #[must_use = "calls taken out of the line must be answered, or their threads wait for ever"]
    pub fn take(&mut self) -> Self {
        mem::replace(self, Line::new())
    }

    /// Answers all who wait in a line that was taken, best after the primitive's lock has been released.
    pub fn answer_all(self) {
        let all = if seeded(Flaw::AnswersOne) { 1 } else { usize::MAX };
        self.calls.into_iter().take(all).for_each(|(_, call)| call.answer());
    }

    /// Enters the thread of `place` before the first who is to come `after` it.
    pub fn enter_before(&mut self, place: &Place, wanted: W, after: impl Fn(&W) -> bool) -> Arc<Call> {
        let call = Call::new(place);
        let position = self.calls.iter().position(|(other, _)| after(other)).unwrap_or(self.calls.len());
        self.calls.insert(position, (wanted, Arc::clone(&call)));
        call
    }

    /// Takes the first of whom `matches` holds out of the line, as [`next`](Line::next) does. It passes over those who wait
    /// no more, and panicked before they could leave.
    #[must_use = "a call taken out of the line must be answered, or its thread waits for ever"]
    pub fn next_where(&mut self, matches: impl Fn(&W) -> bool) -> Option<Arc<Call>> {
        self.calls.retain(|(_, call)| Arc::strong_count(call) > 1);
        let position = self.calls.iter().position(|(wanted, _)| matches(wanted))?;
        self.calls.remove(position).map(|(_, call)| call)
    }

    /// Takes the call out of the line, for a thread that gives up. `false` if somebody took it out before, who answers it
    /// or has.
    pub fn leave(&mut self, call: &Arc<Call>) -> bool {
        let place = self.calls.iter().position(|(_, other)| Arc::ptr_eq(other, call));
        place.is_some_and(|place| self.calls.remove(place).is_some())
    }
}

impl Call {
    fn new(place: &Place) -> Arc<Call> {
        let seat = Arc::clone(place.seat());
        Arc::new(Call { seat, answered: AtomicBool::new(false), refused: AtomicBool::new(false) })
    }

    /// Tells the thread that its wait is over.
    pub fn answer(&self) {
        // Release pairs with the Acquire in `is_answered`: what the answerer did before is visible to the thread that waited.
        self.answered.store(true, Ordering::Release);
        self.seat.unpark();
    }

    /// Tells the thread that it waited in vain.
    pub fn refuse(&self) {
        // Relaxed: published by the answer.
        self.refused.store(true, Ordering::Relaxed);
        self.answer();
    }

    /// Whether the answer was a refusal.
    pub fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    /// Whether the thread has been answered.
    pub fn is_answered(&self) -> bool {
        // Acquire pairs with the Release in `answer`.
        self.answered.load(Ordering::Acquire)
    }
}

/// When a wait that may last so long ends. One too long to be told ends never.
pub fn deadline(timeout: Option<Duration>) -> Option<Instant> {
    timeout.and_then(|timeout| now().checked_add(timeout))
}

/// Whether that is over.
pub fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= now())
}

/// Waits for the condition for a moment, with the core kept: for a thread that would rather not enter a line at all.
pub fn hope_for(condition: impl Fn() -> bool) {
    (0..block_rounds()).take_while(|_| !condition()).for_each(pause);
}

/// Waits until the call is answered, or the deadline has passed; tells whether it was answered. After a short look the core
/// goes to others meanwhile. After a `false` the caller leaves the line, under the primitive's lock, and may find that it has
/// been answered after all.
pub fn wait(place: &Place, call: &Call, deadline: Option<Instant>, what: What) -> bool {
    let enter = |core| Ok(Some(WAITS_NOTED.then(|| graph::note(what, core, deadline.is_some()))));
    wait_noted(place, call, deadline, enter).expect("this wait is for no thread in particular")
}

/// Waits in the same way for what a thread is to end, unless it would wait for ever. The caller then leaves the line.
pub fn wait_for_holder(place: &Place, call: &Call, wish: &Wish<'_>) -> Result<bool, Deadlock> {
    wait_noted(place, call, wish.deadline, |core| Ok(graph::note_lock(wish, core)?.map(Some)))
}

/// Lets others have the core, for a thread that has waited as long as it would, without having given it up. If it comes again and again,
/// each time for no longer than it looks around, nobody else might ever do what it waits for.
pub fn yield_core(place: &Place) {
    without_core_at(place, || ());
}

fn wait_noted<'a>(
    place: &Place,
    call: &Call,
    deadline: Option<Instant>,
    enter: impl Fn(Option<Core>) -> Result<Option<Option<graph::Noted<'a>>>, Deadlock>,
) -> Result<bool, Deadlock> {
    for round in 0..block_rounds() {
        if call.is_answered() {
            return Ok(true);
        }
        pause(round);
    }
    if is_past(deadline) {
        yield_core(place);
        return Ok(call.is_answered());
    }
    let core = graph::core();
    without_core_at(place, || {
        // From when the core is gone until before one is asked for again: that is no part of the wait.
        let _noted = loop {
            match enter(core)? {
                Some(noted) => break noted,
                None if call.is_answered() => return Ok(true),
                None => yield_now(),
            }
        };
        loop {
            if call.is_answered() {
                return Ok(true);
            }
            match deadline {
                None => place.park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(now());
                    if left.is_zero() {
                        return Ok(call.is_answered());
                    }
                    place.park_timeout(left);
                }
            }
        }
    })
}
