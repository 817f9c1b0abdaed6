//! A thread that waits for a latch until it has had enough: it retracts its announcement, and either nobody has seen its
//! record, or it gets its verdict.
//!
//! Checked without a bound on preemptions under loom's model, in both role orders.

use crate::common::{Bound, Witness, check, fails_with};
use loom::thread;
use purloin_loom::internals::latch::{Latch, Verdict, Waiter};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell, with_flaw};
use purloin_loom::internals::seat::with_place;
use test_fork::test;

/// Which role the model's main thread plays.
#[derive(Clone, Copy, Debug)]
enum Main {
    Waiter,
    Setter,
}

const BOTH: [Main; 2] = [Main::Waiter, Main::Setter];

/// A task, as far as it matters: its latch, and its result.
struct Task {
    latch: Latch,
    result: UnsafeCell<usize>,
}

// SAFETY: that the result is written before it is read is what the model checks.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

#[derive(Clone, Copy)]
struct Seen {
    retracted: &'static Witness,
    too_late: &'static Witness,
    second_wait: &'static Witness,
}

/// Waits twice, as `Handle::wait_until` does: the first time for no time at all, the second for ever.
fn wait(task: &Task, seen: Option<Seen>) {
    let done = with_place(|place| {
        let waiter = Waiter::new(Arc::clone(place.seat()));
        if task.latch.announce(&waiter).is_err() {
            return true;
        }
        if task.latch.retract(&waiter) {
            seen.inspect(|seen| seen.retracted.hit());
            return false;
        }
        seen.inspect(|seen| seen.too_late.hit());
        while waiter.verdict().is_none() {
            place.park();
        }
        true
    });
    if !done {
        with_place(|place| {
            let waiter = Waiter::new(Arc::clone(place.seat()));
            if task.latch.announce(&waiter).is_ok() {
                seen.inspect(|seen| seen.second_wait.hit());
                while waiter.verdict().is_none() {
                    place.park();
                }
            }
        });
    }
    // SAFETY: loom checks that nobody writes.
    assert_eq!(task.result.with(|result| unsafe { *result }), 1);
}

fn set(task: &Task) {
    // SAFETY: loom checks that nobody reads.
    task.result.with_mut(|result| unsafe { *result = 1 });
    // SAFETY: set once; the task outlives both roles.
    unsafe { Latch::set(&task.latch, Verdict::Done) };
}

/// One waiter, one setter. Fails with [`Flaw::RetractedByStore`].
fn retract(main: Main, seen: Option<Seen>) {
    let task = Arc::new(Task { latch: Latch::new(), result: UnsafeCell::new(0) });
    let there = Arc::clone(&task);
    let other = match main {
        Main::Waiter => thread::spawn(move || set(&there)),
        Main::Setter => thread::spawn(move || wait(&there, seen)),
    };
    match main {
        Main::Waiter => wait(&task, seen),
        Main::Setter => set(&task),
    }
    other.join().unwrap();
}

#[test]
fn retracted_or_told() {
    for main in BOTH {
        let seen = Seen {
            retracted: Witness::leaked("nobody had seen the record"),
            too_late: Witness::leaked("the latch was set before the retraction"),
            second_wait: Witness::leaked("the same thread waited again"),
        };
        println!("main thread: {main:?}");
        check("latch: retract", Bound::Unbounded, move || retract(main, Some(seen))).at_least(10);
        seen.retracted.assert_seen();
        seen.too_late.assert_seen();
        seen.second_wait.assert_seen();
    }
}

/// Seeded: a store takes the announcement back though a setter has seen it, and goes on to use the record.
#[test]
fn a_retraction_by_store_is_found() {
    for main in BOTH {
        fails_with("Causality violation", || {
            with_flaw(Flaw::RetractedByStore, || {
                check("latch: retract, seeded flaw", Bound::Unbounded, move || retract(main, None));
            });
        });
    }
}
