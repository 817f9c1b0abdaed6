//! A value is made by one thread at a time, and once if nobody panics; whoever waits gets it, or its turn.
//!
//! The value itself lies in std's `OnceLock`, which loom does not see: who may write, and who is woken, is checked here, to
//! the bound of `common`.

use crate::common::Bound;
use crate::stage::{BOUND, Case, Seen, Tally, explore, play, role};
use loom::thread::yield_now;
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell};
use purloin_loom::sync::OnceLock;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use test_fork::test;

/// A value, and what only the one who makes it may touch meanwhile.
struct Made {
    lock: OnceLock<usize>,
    making: UnsafeCell<()>,
    made: Tally,
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Made {}

impl Made {
    fn new() -> Arc<Made> {
        Arc::new(Made { lock: OnceLock::new(), making: UnsafeCell::new(()), made: Tally::default() })
    }

    /// Makes the value, if it is this thread's turn.
    fn get(&self, number: usize) -> usize {
        *self.lock.get_or_init(|| {
            self.making.with_mut(|_| yield_now());
            self.made.add();
            number
        })
    }
}

/// Some threads want the value.
fn wanted(main: usize, seen: Seen, threads: usize) {
    let made = Made::new();
    let roles = (0..threads).map(|number| {
        let made = Arc::clone(&made);
        role(move || {
            let early = made.lock.get().is_none();
            let found = made.get(number);
            seen[number].hit_if(found == number);
            seen[threads].hit_if(early && found != number);
        })
    });
    play(main, roles.collect());
    assert_eq!(made.made.get(), 1);
}

/// Two want it. Fails with [`Flaw::EntersUnlooked`].
fn wanted_by_two(main: usize, seen: Seen) {
    wanted(main, seen, 2);
}

/// Three do. Fails with [`Flaw::AnswersOne`].
fn wanted_by_three(main: usize, seen: Seen) {
    wanted(main, seen, 3);
}

#[test]
fn a_value_is_made_once() {
    let outcomes = &["0 made it", "1 made it", "somebody found it, who had come before"];
    explore("once: two", Bound::Unbounded, 20, &[0, 1], outcomes, wanted_by_two);
    let outcomes = &["0 made it", "1 made it", "2 made it", "somebody found it, who had come before"];
    explore("once: three", BOUND, 50, &[0, 1, 2], outcomes, wanted_by_three);
}

/// The first to try panics; then the other, or the same one again, makes it. Fails with [`Flaw::PanicForgetsWaiters`].
fn panics(main: usize, seen: Seen) {
    let made = Made::new();
    let tried = Tally::default();
    let roles = [0, 1].map(|number| {
        let (made, tried) = (Arc::clone(&made), tried.clone());
        role(move || {
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                made.lock.get_or_init(|| {
                    tried.add();
                    if tried.get() == 1 {
                        // Without the hook, which would print.
                        resume_unwind(Box::new("the first attempt"));
                    }
                    number
                });
            }));
            seen[number].hit_if(attempt.is_err());
            seen[2].hit_if(attempt.is_err() && made.lock.get().is_some());
        })
    });
    play(main, roles.into());
    assert_eq!(tried.get(), 2);
    assert!(made.lock.get().is_some());
}

#[test]
fn after_a_panic_the_next_one_tries() {
    let outcomes = &["0 panicked", "1 panicked", "the other was done with it at once"];
    explore("once: panic", Bound::Unbounded, 20, &[0, 1], outcomes, panics);
}

const fn deadlock(flaw: Flaw, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message: "deadlock", bound: BOUND, mains, model }
}

const CASES: &[Case] = &[
    deadlock(Flaw::AnswersOne, &[0, 1, 2], wanted_by_three),
    deadlock(Flaw::PanicForgetsWaiters, &[0, 1], panics),
    Case {
        flaw: Flaw::EntersUnlooked,
        message: "one thread at a time makes the value",
        bound: BOUND,
        mains: &[0, 1],
        model: wanted_by_two,
    },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sync_once::seeded_bugs_are_found", CASES);
}
