//! What the scheduler relies on in its deque and its injector. One text, two subjects: `tests/deque_contract.rs` runs it
//! against crossbeam on real threads, `loom_tests/tests/deque_contract.rs` against the stand-ins in every interleaving.
//!
//! The including file has in scope: `Deque`, `Injector` and `Steal`; `AtomicUsize`, `Ordering` and `fence`;
//! `thread`; and `RING`, the slots that a fresh deque has.
//!
//! A race plays on fresh queues, takes out what its threads have left, checks that every item came out exactly once, and
//! returns what happened, for the models' witnesses. Each has a role that runs on the main thread: loom's exploration
//! depends on which (loom#392).

use super::{AtomicUsize, Deque, Injector, Ordering, RING, Steal, fence, thread};
use std::sync::{Arc, Mutex};

// ---------------------------------------------------------------------------------------------------------------------
// One thread
// ---------------------------------------------------------------------------------------------------------------------

/// What needs no second thread, by name.
pub const SEQUENTIAL: [(&str, fn()); 7] = [
    ("the owner's end is a stack", owner_is_lifo),
    ("the thieves' end is a queue", thieves_are_fifo),
    ("an empty deque stays usable", empty_gives_nothing),
    ("the last item is there once", last_item_sequential),
    ("a full ring holds every item", full_ring),
    ("the ring wraps", ring_wraps),
    ("the injector is a queue", injector_is_fifo),
];

fn owner_is_lifo() {
    let deque = Deque::new();
    for item in 0..3 {
        deque.push(item);
        assert_eq!(deque.len(), item + 1);
    }
    assert_eq!(deque.pop(), Some(2));
    deque.push(3);
    assert_eq!([deque.pop(), deque.pop(), deque.pop(), deque.pop()], [Some(3), Some(1), Some(0), None]);
}

fn thieves_are_fifo() {
    let deque = Deque::new();
    let (one, other) = (deque.stealer(), deque.stealer().clone());
    for item in 0..3 {
        deque.push(item);
    }
    assert_eq!(one.steal(), Steal::Success(0));
    assert_eq!(deque.pop(), Some(2));
    assert_eq!(other.steal(), Steal::Success(1));
    assert_eq!(one.steal(), Steal::Empty);
}

fn empty_gives_nothing() {
    let deque = Deque::new();
    let stealer = deque.stealer();
    for item in 0..3 {
        assert!(deque.is_empty() && stealer.is_empty());
        assert_eq!((deque.len(), deque.pop(), stealer.steal()), (0, None, Steal::Empty));
        deque.push(item);
        assert!(!deque.is_empty() && !stealer.is_empty());
        assert_eq!(deque.pop(), Some(item));
    }
}

fn last_item_sequential() {
    let deque = Deque::new();
    let stealer = deque.stealer();
    deque.push(0);
    assert_eq!((deque.pop(), stealer.steal()), (Some(0), Steal::Empty));
    deque.push(1);
    assert_eq!((stealer.steal(), deque.pop()), (Steal::Success(1), None));
    deque.push(2);
    assert_eq!((deque.len(), deque.pop()), (1, Some(2)));
}

fn full_ring() {
    let deque = Deque::new();
    let stealer = deque.stealer();
    for item in 0..RING {
        deque.push(item);
    }
    assert_eq!(deque.len(), RING);
    for item in 0..RING / 2 {
        assert_eq!(stealer.steal(), Steal::Success(item));
    }
    for item in (RING / 2..RING).rev() {
        assert_eq!(deque.pop(), Some(item));
    }
    assert!(deque.is_empty());
}

fn ring_wraps() {
    let deque = Deque::new();
    let stealer = deque.stealer();
    deque.push(0);
    for item in 1..3 * RING {
        deque.push(item);
        assert_eq!(deque.len(), 2);
        assert_eq!(stealer.steal(), Steal::Success(item - 1));
    }
    assert_eq!((deque.pop(), deque.pop()), (Some(3 * RING - 1), None));
}

fn injector_is_fifo() {
    let injector = Injector::new();
    assert!(injector.is_empty());
    assert_eq!(injector.steal(), Steal::Empty);
    for item in 0..3 {
        injector.push(item);
    }
    assert!(!injector.is_empty());
    assert_eq!([injector.steal(), injector.steal()], [Steal::Success(0), Steal::Success(1)]);
    injector.push(3);
    assert_eq!([injector.steal(), injector.steal()], [Steal::Success(2), Steal::Success(3)]);
    assert_eq!((injector.steal(), injector.is_empty()), (Steal::Empty, true));
}

// ---------------------------------------------------------------------------------------------------------------------
// Races: the frame
// ---------------------------------------------------------------------------------------------------------------------

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
struct Ledger(Arc<Mutex<(Outcome, Vec<usize>)>>);

impl Ledger {
    fn note(&self, taken: Option<usize>, count: impl FnOnce(&mut Outcome)) {
        let mut record = self.0.lock().unwrap();
        count(&mut record.0);
        record.1.extend(taken);
    }

    fn pop(&self, deque: &Deque<usize>) {
        match deque.pop() {
            Some(item) => self.note(Some(item), |outcome| outcome.popped += 1),
            None => self.note(None, |outcome| outcome.missed += 1),
        }
    }

    /// Steals `attempts` times, whatever comes of it, as thief number `thief`. Returns the items.
    fn steal(&self, thief: usize, attempts: usize, steal: impl Fn() -> Steal<usize>) -> Vec<usize> {
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
    fn settle(&self, pushed: usize, steal: impl Fn() -> Steal<usize>) -> Outcome {
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
type Role = Box<dyn FnOnce() + Send>;

/// Runs the roles at once, `giver` or the first of the `thieves` on the main thread.
fn race(main: Main, giver: impl FnOnce() + Send + 'static, thieves: Vec<Role>) {
    let mut roles = thieves;
    roles.insert(0, Box::new(giver));
    let on_main = roles.remove(main as usize);
    let others: Vec<_> = roles.into_iter().map(thread::spawn).collect();
    on_main();
    for other in others {
        other.join().unwrap();
    }
}

fn role(body: impl FnOnce() + Send + 'static) -> Role {
    Box::new(body)
}

/// A thief's items are ever younger: what it takes next was behind what it took.
fn assert_ascending(items: &[usize]) {
    assert!(items.is_sorted(), "a thief got younger items first: {items:?}");
}

// ---------------------------------------------------------------------------------------------------------------------
// Races: the deque
// ---------------------------------------------------------------------------------------------------------------------

/// The owner pushes one item and takes it back, while a thief looks. Then the same again, in the other slot.
pub fn last_item(deque: Deque<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let (stealer, rest) = (deque.stealer(), deque.stealer());
    let (owner, thief) = (ledger.clone(), ledger.clone());
    race(
        main,
        move || {
            for item in 0..2 {
                deque.push(item);
                owner.pop(&deque);
            }
        },
        vec![role(move || {
            thief.steal(0, 1, || stealer.steal());
        })],
    );
    ledger.settle(2, || rest.steal())
}

/// The owner pushes two items and takes one back, while a thief steals twice: the thief may come as far as the item that
/// the owner takes without an exchange.
pub fn two_items(deque: Deque<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let (stealer, rest) = (deque.stealer(), deque.stealer());
    let (owner, thief) = (ledger.clone(), ledger.clone());
    race(
        main,
        move || {
            deque.push(0);
            deque.push(1);
            owner.pop(&deque);
        },
        vec![role(move || assert_ascending(&thief.steal(0, 2, || stealer.steal())))],
    );
    ledger.settle(2, || rest.steal())
}

/// Two items are there. The owner takes one, two thieves take one each.
pub fn two_thieves(deque: Deque<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    deque.push(0);
    deque.push(1);
    let rest = deque.stealer();
    let thieves = (0..2).map(|number| {
        let (stealer, thief) = (deque.stealer(), ledger.clone());
        role(move || {
            thief.steal(number, 1, || stealer.steal());
        })
    });
    let (thieves, owner) = (thieves.collect(), ledger.clone());
    race(main, move || owner.pop(&deque), thieves);
    ledger.settle(2, || rest.steal())
}

/// The ring is full. As soon as the owner sees that a thief took an item it pushes another, which goes into the slot of
/// the one stolen, while a second thief may still be reading there.
pub fn wrap(deque: Deque<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    for item in 0..RING {
        deque.push(item);
    }
    let rest = deque.stealer();
    let thieves = (0..2).map(|number| {
        let (stealer, thief) = (deque.stealer(), ledger.clone());
        role(move || assert_ascending(&thief.steal(number, 1, || stealer.steal())))
    });
    let thieves = thieves.collect();
    let more = Arc::new(Mutex::new(0));
    let pushed = Arc::clone(&more);
    race(
        main,
        move || {
            if deque.len() < RING {
                deque.push(RING);
                *pushed.lock().unwrap() = 1;
            }
        },
        thieves,
    );
    let more = *more.lock().unwrap();
    ledger.settle(RING + more, || rest.steal())
}

/// One item, no race for it: the owner pushes and raises a flag; who sees the flag sees the item.
pub fn flag_after_push(deque: Deque<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let (stealer, rest) = (deque.stealer(), deque.stealer());
    let thief = ledger.clone();
    let flag = Arc::new(AtomicUsize::new(0));
    let raised = Arc::clone(&flag);
    race(
        main,
        move || {
            deque.push(0);
            flag.store(1, Ordering::Release);
        },
        vec![role(move || {
            if raised.load(Ordering::Acquire) == 1 {
                assert!(!stealer.is_empty(), "the flag was seen, but not the item");
                let items = thief.steal(0, 1, || stealer.steal());
                assert_eq!(items, [0], "the flag was seen, but the item could not be stolen");
            }
        })],
    );
    ledger.settle(1, || rest.steal())
}

/// How a thief that is about to sleep looks at the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// It asks `is_empty`.
    IsEmpty,
    /// It steals.
    Steal,
}

/// The handshake of sleeping: the owner pushes, then looks for a sleeper; the thief says that it sleeps, then looks for
/// items. One of them sees the other. The thief has no fence of its own: `steal` and `is_empty` have theirs in between.
/// Returns whether the thief saw the item and whether the owner saw the thief.
pub fn sleeper_looks_at_deque(deque: Deque<usize>, main: Main, look: Look) -> (bool, bool) {
    let stealer = deque.stealer();
    let empty = move || match look {
        Look::IsEmpty => stealer.is_empty(),
        Look::Steal => stealer.steal() == Steal::Empty,
    };
    sleeper_looks(main, move || deque.push(0), empty)
}

/// The same with an injector. Its `is_empty` has no fence, so with [`Look::IsEmpty`] the thief has.
pub fn sleeper_looks_at_injector(injector: Injector<usize>, main: Main, look: Look) -> (bool, bool) {
    let injector = Arc::new(injector);
    let shared = Arc::clone(&injector);
    let empty = move || match look {
        Look::IsEmpty => {
            fence(Ordering::SeqCst);
            shared.is_empty()
        }
        Look::Steal => shared.steal() == Steal::Empty,
    };
    sleeper_looks(main, move || injector.push(0), empty)
}

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

// ---------------------------------------------------------------------------------------------------------------------
// Races: the injector
// ---------------------------------------------------------------------------------------------------------------------

/// One producer pushes items 0 and 1, another item 2, while a thief steals twice.
pub fn two_producers(injector: Injector<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let injector = Arc::new(injector);
    let [giver, second, target] = [(); 3].map(|()| Arc::clone(&injector));
    let thief = ledger.clone();
    race(
        main,
        move || {
            giver.push(0);
            giver.push(1);
        },
        vec![
            role(move || {
                let items = thief.steal(0, 2, || target.steal());
                let of_giver: Vec<_> = items.into_iter().filter(|&item| item != 2).collect();
                assert_ascending(&of_giver);
            }),
            role(move || second.push(2)),
        ],
    );
    ledger.settle(3, || injector.steal())
}

/// A producer pushes two items, while two thieves steal once each.
pub fn two_consumers(injector: Injector<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let injector = Arc::new(injector);
    let thieves = (0..2).map(|number| {
        let (target, thief) = (Arc::clone(&injector), ledger.clone());
        role(move || {
            thief.steal(number, 1, || target.steal());
        })
    });
    let (thieves, giver) = (thieves.collect(), Arc::clone(&injector));
    race(
        main,
        move || {
            giver.push(0);
            giver.push(1);
        },
        thieves,
    );
    ledger.settle(2, || injector.steal())
}

/// One item: the producer pushes and raises a flag; who sees the flag sees the item.
pub fn flag_after_inject(injector: Injector<usize>, main: Main) -> Outcome {
    let ledger = Ledger::default();
    let injector = Arc::new(injector);
    let (giver, target) = (Arc::clone(&injector), Arc::clone(&injector));
    let thief = ledger.clone();
    let flag = Arc::new(AtomicUsize::new(0));
    let raised = Arc::clone(&flag);
    race(
        main,
        move || {
            giver.push(0);
            flag.store(1, Ordering::Release);
        },
        vec![role(move || {
            if raised.load(Ordering::Acquire) == 1 {
                assert!(!target.is_empty(), "the flag was seen, but not the item");
                let items = thief.steal(0, 1, || target.steal());
                assert_eq!(items, [0], "the flag was seen, but the item could not be stolen");
            }
        })],
    );
    ledger.settle(1, || injector.steal())
}
