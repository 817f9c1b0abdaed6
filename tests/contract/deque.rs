//! The deque's part of the contract.

use super::super::{AtomicUsize, Deque, Ordering, RING, Steal};
use super::{Ledger, Look, Main, Outcome, assert_ascending, race, role, sleeper_looks};
use std::sync::{Arc, Mutex};

/// What needs no second thread, by name.
pub const SEQUENTIAL: [(&str, fn()); 6] = [
    ("the owner's end is a stack", owner_is_lifo),
    ("the thieves' end is a queue", thieves_are_fifo),
    ("an empty deque stays usable", empty_gives_nothing),
    ("the last item is there once", last_item_sequential),
    ("a full ring holds every item", full_ring),
    ("the ring wraps", ring_wraps),
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
pub fn flag_after_push(deque: Deque<usize>, main: Main, raise: Ordering) -> Outcome {
    let ledger = Ledger::default();
    let (stealer, rest) = (deque.stealer(), deque.stealer());
    let thief = ledger.clone();
    let flag = Arc::new(AtomicUsize::new(0));
    let raised = Arc::clone(&flag);
    race(
        main,
        move || {
            deque.push(0);
            flag.store(1, raise);
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

/// The [handshake of sleeping](sleeper_looks). The thief has no fence of its own: `steal` and `is_empty` have theirs
/// before they look.
pub fn sleeper_looks_at(deque: Deque<usize>, main: Main, look: Look) -> (bool, bool) {
    let stealer = deque.stealer();
    let empty = move || match look {
        Look::IsEmpty => stealer.is_empty(),
        Look::Steal => stealer.steal() == Steal::Empty,
    };
    sleeper_looks(main, move || deque.push(0), empty)
}
