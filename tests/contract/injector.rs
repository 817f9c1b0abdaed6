//! The injector's part of the contract.

use super::super::{AtomicUsize, Injector, Ordering, Steal, fence};
use super::{Ledger, Look, Main, Outcome, assert_ascending, race, role, sleeper_looks};
use std::sync::Arc;

/// What needs no second thread: it is a queue.
pub fn is_fifo() {
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
pub fn flag_after_push(injector: Injector<usize>, main: Main, raise: Ordering) -> Outcome {
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
            flag.store(1, raise);
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

/// The [handshake of sleeping](sleeper_looks). `is_empty` has no fence, so there the thief has; `steal` has its own.
pub fn sleeper_looks_at(injector: Injector<usize>, main: Main, look: Look) -> (bool, bool) {
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
