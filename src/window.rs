//! The items of a stream between being taken and being delivered: at most so many at once.

use crate::cancel::Limit;
use crate::primitive::{Arc, Flaw, Mutex, Tick, WAIT_ROUNDS, back_off, now, seeded};
use crate::registry::Registry;
use crate::seat::{Place, Seat, with_place};
use crate::stand_in::{LAST_RESORT, Plea, StandIn};
use crate::worker::without_core;
use std::any::Any;
use std::collections::VecDeque;
use std::time::Duration;

/// What has become of an item: its result, or what its closure panicked with.
pub type Outcome<R> = Result<R, Box<dyn Any + Send>>;

/// How often a waiting consumer looks at its token.
const TOKEN_LOOK: Duration = Duration::from_millis(20);

/// An item that whoever asked for it is to run now.
#[derive(Debug)]
pub struct Begun<T> {
    /// How many were taken before it.
    pub index: usize,
    /// The item.
    pub item: T,
    /// Another runner is due, and has been counted.
    pub another: bool,
}

/// Nobody has begun what the consumer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stalled {
    /// It is the oldest item, and a runner will come to it.
    InOrder,
    /// There is no runner: the pool takes no tasks any more.
    Abandoned,
    /// No runner has begun it for long, or the pool has no thread for one.
    Starved,
}

/// Items on their way through a pool. One thread, the consumer, puts them in and takes results out; *runners*, which are
/// tasks of the pool, and the consumer itself run them.
#[derive(Debug)]
pub struct Window<T, R> {
    state: Mutex<State<T, R>>,
    ordered: bool,
}

#[derive(Debug)]
struct State<T, R> {
    /// Items that nobody has begun, oldest first. They are the last of those taken.
    waiting: VecDeque<T>,
    /// If ordered: a place for each item that was taken and not delivered. Else outcomes as they came.
    outcomes: VecDeque<Option<Outcome<R>>>,
    taken: usize,
    delivered: usize,
    /// Items that somebody runs.
    running: usize,
    /// Tasks that will look for items: queued or running.
    runners: usize,
    /// The consumer, parked or about to.
    consumer: Option<Arc<Seat>>,
    /// The consumer has waited in vain for somebody to begin an item, and nobody has since.
    starves: bool,
    /// The consumer is gone: nothing more is begun, and outcomes are not wanted.
    closed: bool,
}

impl<T, R> State<T, R> {
    /// Whether the next outcome to be delivered is there.
    fn is_ready(&self) -> bool {
        matches!(self.outcomes.front(), Some(Some(_)))
    }

    /// Whether nobody has begun what the consumer waits for, though it is there.
    fn is_unbegun(&self, ordered: bool) -> bool {
        let next = self.taken - self.waiting.len();
        let begun = if ordered { next > self.delivered } else { self.running > 0 };
        !begun && !self.waiting.is_empty()
    }

    /// The same, and what that means for the consumer.
    fn stalled(&self, ordered: bool) -> Option<Stalled> {
        match self.runners {
            _ if !self.is_unbegun(ordered) => None,
            0 => Some(Stalled::Abandoned),
            _ if self.starves => Some(Stalled::Starved),
            _ if ordered => Some(Stalled::InOrder),
            _ => None,
        }
    }

    fn begin(&mut self) -> Option<Begun<T>> {
        let index = self.taken - self.waiting.len();
        let item = self.waiting.pop_front()?;
        self.running += 1;
        Some(Begun { index, item, another: self.enlist() })
    }

    /// Counts one more runner if those that there are all run items, which may block, and items are left. Tells whether it did.
    /// (Of the items that are run one may be the consumer's: then there is one runner more than need be.)
    fn enlist(&mut self) -> bool {
        let due = self.runners <= self.running && !self.waiting.is_empty();
        self.runners += usize::from(due);
        due
    }
}

impl<T, R> Window<T, R> {
    /// An empty one.
    pub fn new(ordered: bool) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            outcomes: VecDeque::new(),
            taken: 0,
            delivered: 0,
            running: 0,
            runners: 0,
            consumer: None,
            starves: false,
            closed: false,
        };
        Window { state: Mutex::new(state), ordered }
    }

    /// Takes an item in. Tells whether a runner more is due: as long as there are fewer than `cores`, or if those there are may all be
    /// blocked. If so, it is counted from now on.
    pub fn push(&self, item: T, cores: usize) -> bool {
        let mut state = self.state.lock();
        state.waiting.push_back(item);
        state.taken += 1;
        if self.ordered {
            state.outcomes.push_back(None);
        }
        if state.runners < cores.min(state.running + state.waiting.len()) {
            state.runners += 1;
            return true;
        }
        state.enlist()
    }

    /// The oldest item that nobody has begun: for the consumer, if that is still what it waits for. A later one is not its to run: it
    /// may take long, or want something of the consumer first.
    pub fn begin(&self) -> Option<Begun<T>> {
        let mut state = self.state.lock();
        let wanted = seeded(Flaw::HelpsAhead) || state.is_unbegun(self.ordered);
        if wanted { state.begin() } else { None }
    }

    /// The same for a runner, which is counted out if there is none.
    pub fn begin_or_leave(&self) -> Option<Begun<T>> {
        let mut state = self.state.lock();
        let found = state.begin();
        // There is a thread with a core after all.
        state.starves = false;
        if found.is_none() {
            if seeded(Flaw::RunnerLeavesLate) {
                drop(state);
                state = self.state.lock();
            }
            state.runners -= 1;
        }
        found
    }

    /// Counts out a runner that is dropped, or that stops with items left.
    pub fn leave(&self) {
        let mut state = self.state.lock();
        state.runners -= 1;
        let consumer = state.consumer.take();
        drop(state);
        if !seeded(Flaw::DroppedUntold) {
            wake(consumer);
        }
    }

    /// Puts an outcome in its place; gives it back if nobody wants it.
    #[must_use = "what is not wanted is dropped by the caller, outside of the lock"]
    pub fn finish(&self, index: usize, outcome: Outcome<R>) -> Option<Outcome<R>> {
        let mut state = self.state.lock();
        state.running -= 1;
        if state.closed {
            return Some(outcome);
        }
        if self.ordered {
            let place = index - state.delivered;
            state.outcomes[place] = Some(outcome);
        } else {
            state.outcomes.push_back(Some(outcome));
        }
        let consumer = if state.is_ready() { state.consumer.take() } else { None };
        drop(state);
        if !seeded(Flaw::ConsumerForgotten) {
            wake(consumer);
        }
        None
    }

    /// The next outcome, if it is there.
    pub fn deliver(&self) -> Option<Outcome<R>> {
        let mut state = self.state.lock();
        if !state.is_ready() {
            return None;
        }
        state.delivered += 1;
        state.outcomes.pop_front().flatten()
    }

    fn is_due(&self, state: &State<T, R>) -> bool {
        state.is_ready() || matches!(state.stalled(self.ordered), Some(Stalled::Abandoned | Stalled::Starved))
    }

    /// Whether the consumer had better run the oldest item itself.
    pub fn stalled(&self) -> Option<Stalled> {
        self.state.lock().stalled(self.ordered)
    }

    /// Waits until the next outcome is there, or the limit is reached, or the consumer had better run an item itself. A
    /// deadline wakes it at its time; a token wakes nobody, so it is looked at now and then. The core, if this thread has one,
    /// goes to others meanwhile.
    ///
    /// If `pool` has no thread for what is queued there, the consumer is told so by the grant of a core, which it gives back:
    /// it gets one again where it runs the item.
    pub fn wait(&self, limit: &Limit, pool: Option<&Registry>) {
        for round in 0..WAIT_ROUNDS {
            {
                let state = self.state.lock();
                if self.is_due(&state) {
                    return;
                }
                // Nobody runs anything, perhaps for want of this thread's core.
                if state.running == 0 {
                    break;
                }
            }
            back_off(round);
        }
        without_core(|| with_place(|place| self.park(limit, pool, place)));
    }

    fn park(&self, limit: &Limit, pool: Option<&Registry>, place: &Place) {
        // Tasks of a pool with stacks of a size are its threads' to run.
        let open = pool.filter(|registry| registry.options.stack_size.is_none());
        let mut stand_in = open.map(|registry| StandIn::enter(registry, place));
        let (since, mut plea) = (Tick::now(), Plea::new());
        loop {
            let unbegun = {
                let mut state = self.state.lock();
                if self.is_due(&state) || limit.reached().is_some() {
                    state.consumer = None;
                    return;
                }
                state.consumer = Some(Arc::clone(place.seat()));
                state.is_unbegun(self.ordered)
            };
            match next_look(limit, unbegun.then_some(plea.patience())) {
                None => place.park(),
                Some(time) => place.park_timeout(time),
            }
            let core = stand_in.as_mut().and_then(|stand_in| stand_in.take_core(false));
            if let (Some(registry), Some(core)) = (pool, core) {
                registry.give_back(core);
            }
            if core.is_some() || !Tick::now().within(since, LAST_RESORT) {
                self.starve();
            } else if let Some(registry) = pool.filter(|_| unbegun) {
                plea.make(registry);
            }
        }
    }

    /// The consumer has waited in vain for an item to be begun, if that is what it waits for.
    fn starve(&self) {
        let mut state = self.state.lock();
        state.starves = state.is_unbegun(self.ordered) && !seeded(Flaw::ConsumerStarves);
    }

    /// Ends it: gives the items that nobody has begun, and the outcomes that were not delivered, to be dropped or looked at.
    pub fn close(&self) -> (VecDeque<T>, VecDeque<Option<Outcome<R>>>) {
        let mut state = self.state.lock();
        state.closed = true;
        (std::mem::take(&mut state.waiting), std::mem::take(&mut state.outcomes))
    }
}

/// For how long to wait before another look, if something may come that wakes nobody. If the consumer waits for somebody to
/// begin, it has that much `patience`.
fn next_look(limit: &Limit, patience: Option<Duration>) -> Option<Duration> {
    let deadline = limit.deadline.map(|deadline| deadline.saturating_duration_since(now()));
    let token = limit.token.as_ref().map(|_| TOKEN_LOOK);
    [deadline, token, patience].into_iter().flatten().min()
}

fn wake(consumer: Option<Arc<Seat>>) {
    if let Some(seat) = consumer {
        seat.unpark();
    }
}
