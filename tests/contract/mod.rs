//! What the scheduler relies on in its deque and its injector. One text, two subjects: `tests/deque_contract.rs` runs it
//! against crossbeam on real threads, `loom_tests/tests/models/deque_contract.rs` against the stand-ins in every interleaving.
//!
//! The module that includes it has: `Deque`, `Injector` and `Steal`; `AtomicUsize`, `Ordering` and `fence`; `thread`; and
//! `RING`, the slots that a fresh deque has.
//!
//! A race plays on fresh queues, takes out what its threads have left, checks that every item came out exactly once, and
//! returns what happened, for the models' witnesses. Each has a role that runs on the main thread: loom's exploration
//! depends on which (loom#392).

pub mod deque;
pub mod injector;

use super::{AtomicUsize, Deque, Ordering, Steal, fence, thread};
use std::sync::{Arc, Mutex};

/// Whose role the main thread has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Main {
    /// The deque's owner, or the injector's (first) producer.
    Giver,
    /// The (first) thief.
    Thief,
}

/// Both role orders.
pub const BOTH: [Main; 2] = [Main::Giver, Main::Thief];

/// What one play of a race came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Items that went in.
    pub pushed: usize,
    /// Items that the owner popped.
    pub popped: usize,
    /// Pops that found nothing.
    pub missed: usize,
    /// Items that each thief stole.
    pub stolen: [usize; 2],
    /// Steals that lost to another taker.
    pub retries: usize,
    /// Steals that found nothing.
    pub empties: usize,
    /// Items that nobody took while the threads ran.
    pub left: usize,
}

/// The record of a race. Its lock belongs to `std` in the models too, so that it adds neither order nor interleavings.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<(Outcome, Vec<usize>)>>);

impl Ledger {
    fn note(&self, taken: Option<usize>, count: impl FnOnce(&mut Outcome)) {
        let mut record = self.0.lock().unwrap();
        count(&mut record.0);
        record.1.extend(taken);
    }

    /// Pops once, as the owner.
    pub fn pop(&self, deque: &Deque<usize>) {
        match deque.pop() {
            Some(item) => self.note(Some(item), |outcome| outcome.popped += 1),
            None => self.note(None, |outcome| outcome.missed += 1),
        }
    }

    /// Steals `attempts` times, whatever comes of it, as thief number `thief`. Returns the items.
    pub fn steal(&self, thief: usize, attempts: usize, steal: impl Fn() -> Steal<usize>) -> Vec<usize> {
        let mut items = Vec::new();
        for _ in 0..attempts {
            match steal() {
                Steal::Success(item) => {
                    self.note(Some(item), |outcome| outcome.stolen[thief] += 1);
                    items.push(item);
                }
                Steal::Retry => self.note(None, |outcome| outcome.retries += 1),
                Steal::Empty => self.note(None, |outcome| outcome.empties += 1),
            }
        }
        items
    }

    /// After the race: takes the rest and checks that each of the items `0..pushed` came out once.
    pub fn settle(&self, pushed: usize, steal: impl Fn() -> Steal<usize>) -> Outcome {
        loop {
            match steal() {
                Steal::Success(item) => self.note(Some(item), |outcome| outcome.left += 1),
                Steal::Retry => panic!("a retry with nobody else there"),
                Steal::Empty => break,
            }
        }
        let (mut outcome, taken) = std::mem::take(&mut *self.0.lock().unwrap());
        outcome.pushed = pushed;
        for item in 0..pushed {
            match taken.iter().filter(|&&other| other == item).count() {
                0 => panic!("item {item} was lost"),
                1 => {}
                times => panic!("item {item} was taken {times} times"),
            }
        }
        assert_eq!(taken.len(), pushed, "items came out that nobody put in: {taken:?}");
        outcome
    }
}

/// What one thread of a race does.
pub type Role = Box<dyn FnOnce() + Send>;

/// Runs the roles at once, `giver` or the first of the `thieves` on the main thread.
pub fn race(main: Main, giver: impl FnOnce() + Send + 'static, thieves: Vec<Role>) {
    let mut roles = thieves;
    roles.insert(0, Box::new(giver));
    let on_main = roles.remove(main as usize);
    let others: Vec<_> = roles.into_iter().map(thread::spawn).collect();
    on_main();
    for other in others {
        other.join().unwrap();
    }
}

/// A role, for the list that [`race`] takes.
pub fn role(body: impl FnOnce() + Send + 'static) -> Role {
    Box::new(body)
}

/// A thief's items are ever younger: what it takes next was behind what it took.
pub fn assert_ascending(items: &[usize]) {
    assert!(items.is_sorted(), "a thief got younger items first: {items:?}");
}

/// How a thief that is about to sleep looks at the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It asks `is_empty`.
    IsEmpty,
    /// It steals.
    Steal,
}

/// The handshake of sleeping: the giver pushes, then looks for a sleeper; the thief says that it sleeps, then looks for
/// items. One of them sees the other. Returns whether the thief saw the item and whether the giver saw the thief.
fn sleeper_looks(
    main: Main,
    push: impl FnOnce() + Send + 'static,
    empty: impl FnOnce() -> bool + Send + 'static,
) -> (bool, bool) {
    let asleep = Arc::new(AtomicUsize::new(0));
    let sleeper = Arc::clone(&asleep);
    let seen = Arc::new(Mutex::new((false, false)));
    let (by_giver, by_thief) = (Arc::clone(&seen), Arc::clone(&seen));
    race(
        main,
        move || {
            push();
            fence(Ordering::SeqCst);
            let saw_thief = asleep.load(Ordering::Relaxed) == 1;
            by_giver.lock().unwrap().1 = saw_thief;
        },
        vec![role(move || {
            sleeper.store(1, Ordering::Relaxed);
            let saw_item = !empty();
            by_thief.lock().unwrap().0 = saw_item;
        })],
    );
    let seen = *seen.lock().unwrap();
    assert_ne!(seen, (false, false), "the item was missed and so was the sleeper");
    seen
}
