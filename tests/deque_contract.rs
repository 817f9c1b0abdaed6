//! crossbeam's deque and injector, behind the facade's wrappers, keep the contract that the models' stand-ins are checked
//! against. On real threads a race shows little; each is played some thousand times for what it may show.

#[path = "contract/mod.rs"]
mod contract;
// The facade is private to the library; this compiles the very file a second time.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../src/primitive/mod.rs"]
mod primitive;

use contract::{BOTH, Look};
use primitive::{AtomicUsize, Deque, Injector, Ordering, Steal, fence};
use std::thread;

/// A fresh crossbeam deque has 64 slots. Beyond that it grows.
const RING: usize = 64;
/// How often each race is played in each role order.
const PLAYS: usize = 1_000;

#[test]
fn sequential() {
    for (name, part) in contract::deque::SEQUENTIAL {
        println!("{name}");
        part();
    }
    contract::injector::is_fifo();
}

/// Beyond what the stand-ins model: the ring grows and shrinks.
#[test]
fn deque_grows() {
    let deque = Deque::new();
    let stealer = deque.stealer();
    for item in 0..10 * RING {
        deque.push(item);
    }
    for item in 0..5 * RING {
        assert_eq!(stealer.steal(), Steal::Success(item));
    }
    for item in (5 * RING..10 * RING).rev() {
        assert_eq!(deque.pop(), Some(item));
    }
    assert!(deque.is_empty());
}

/// Beyond what the stand-ins model: one block of the injector follows another.
#[test]
fn injector_grows() {
    let injector = Injector::new();
    for item in 0..1_000 {
        injector.push(item);
    }
    for item in 0..1_000 {
        assert_eq!(injector.steal(), Steal::Success(item));
    }
    assert_eq!(injector.steal(), Steal::Empty);
}

#[test]
fn races() {
    for main in BOTH {
        for _ in 0..PLAYS {
            contract::deque::last_item(Deque::new(), main);
            contract::deque::two_items(Deque::new(), main);
            contract::deque::two_thieves(Deque::new(), main);
            contract::deque::wrap(Deque::new(), main);
            contract::deque::flag_after_push(Deque::new(), main, Ordering::Release);
            contract::injector::two_producers(Injector::new(), main);
            contract::injector::two_consumers(Injector::new(), main);
            contract::injector::flag_after_push(Injector::new(), main, Ordering::Release);
            for look in [Look::IsEmpty, Look::Steal] {
                contract::deque::sleeper_looks_at(Deque::new(), main, look);
                contract::injector::sleeper_looks_at(Injector::new(), main, look);
            }
        }
    }
}
