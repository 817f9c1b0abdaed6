//! No notification is lost that the rules for condition variables cover; and those that they do not cover are lost: each of
//! the classic mistakes fails here.
//!
//! Checked to the bound of `common` under loom's model.

use crate::stage::{BOUND, BOUND_OF_LARGE, Case, Seen, deadlock, explore, play, role};
use purloin_loom::internals::primitive::{Arc, AtomicUsize, Flaw, Ordering};
use purloin_loom::internals::sync::{Condvar, Mutex};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use test_fork::test;

/// A value and a condition variable for it.
#[derive(Default)]
struct Shared {
    value: Mutex<usize>,
    changed: Condvar,
}

/// One waits for a change that another makes. Fails with [`Flaw::UnlocksBeforeEntering`].
fn change(main: usize, seen: Seen) {
    let shared = Arc::new(Shared::default());
    let other = Arc::clone(&shared);
    let waiter = role(move || {
        let value = shared.changed.wait_while(shared.value.lock(), |value| *value == 0);
        assert_eq!(*value, 1);
    });
    let changer = role(move || {
        *other.value.lock() = 1;
        let told = other.changed.notify_one();
        seen[0].hit_if(told);
        seen[1].hit_if(!told);
    });
    play(main, vec![waiter, changer]);
}

#[test]
fn a_change_is_noticed() {
    let outcomes = &["the waiter was notified", "the change was there before"];
    explore("change", BOUND, 20, &[0, 1], outcomes, change);
}

/// Two wait, and both are notified at once or one after the other. Fails with [`Flaw::UnlocksBeforeEntering`].
fn two_waiters(main: usize, seen: Seen) {
    let shared = Arc::new(Shared::default());
    let waiter = || {
        let shared = Arc::clone(&shared);
        role(move || drop(shared.changed.wait_while(shared.value.lock(), |value| *value == 0)))
    };
    let waiters = [waiter(), waiter()];
    let changer = role(move || {
        *shared.value.lock() = 1;
        seen[shared.changed.notify_all()].hit();
    });
    play(main, waiters.into_iter().chain([changer]).collect());
}

#[test]
fn all_are_notified() {
    let outcomes = &["nobody waited", "one waited", "both waited"];
    explore("two waiters", BOUND_OF_LARGE, 20, &[0, 2], outcomes, two_waiters);
}

/// A waiter whose time runs out, or has run out before, is notified or not: both sides agree on which. Fails with
/// [`Flaw::ServedTakenForLate`].
fn time_runs_out(main: usize, seen: Seen) {
    let shared = Arc::new(Shared::default());
    let notified = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (other, noted) = (Arc::clone(&shared), Arc::clone(&notified));
    let waiter = role(move || {
        let (_value, result) = shared.changed.wait_for(shared.value.lock(), Duration::ZERO);
        noted.fetch_add(usize::from(!result.timed_out()), Relaxed);
    });
    let counted = Arc::clone(&notified);
    let notifier = role(move || {
        let told = other.changed.notify_one();
        counted.fetch_add(2 * usize::from(told), Relaxed);
    });
    play(main, vec![waiter, notifier]);
    let both = notified.load(Relaxed);
    assert!(both == 0 || both == 3, "one side says notified, the other does not");
    seen[0].hit_if(both == 0);
    seen[1].hit_if(both == 3);
}
#[test]
fn both_sides_agree_on_a_time_out() {
    let outcomes = &["time ran out", "it was notified just in time"];
    explore("time runs out", BOUND, 5, &[0, 1], outcomes, time_runs_out);
}

// ---- the classic mistakes, made by the user

/// A consumer that was notified takes what there is; another comes along and takes what there is, too. With `again` the
/// first looks at the condition once more: `while` around the wait, in place of `if`. Fails without.
fn consumers(main: usize, seen: Seen, again: bool) {
    let shared = Arc::new(Shared::default());
    let [one, two] = [Arc::clone(&shared), Arc::clone(&shared)];
    let producer = role(move || {
        *one.value.lock() += 1;
        one.changed.notify_one();
    });
    let passer_by = role(move || {
        let mut value = two.value.lock();
        if *value > 0 {
            *value -= 1;
            drop(value);
            // Lest the first should wait for ever.
            *two.value.lock() += 1;
            two.changed.notify_one();
        }
    });
    let consumer = role(move || {
        let mut value = shared.value.lock();
        seen[0].hit_if(*value > 0);
        while *value == 0 {
            value = shared.changed.wait(value);
            seen[1].hit_if(*value > 0);
            seen[2].hit_if(*value == 0);
            if !again {
                break;
            }
        }
        let left = value.checked_sub(1);
        drop(value);
        assert!(left.is_some(), "there is nothing to take");
    });
    play(main, vec![consumer, producer, passer_by]);
}

/// The mistake: `if` around the wait.
fn with_if(main: usize, seen: Seen) {
    consumers(main, seen, false);
}

/// `while` around the wait. Fails without, as [`with_if`] does.
fn with_while(main: usize, seen: Seen) {
    consumers(main, seen, true);
}

#[test]
fn with_while_there_is_something_to_take() {
    let outcomes = &["it was there at once", "it was there after the wait", "it was gone again"];
    explore("while around the wait", BOUND_OF_LARGE, 20, &[0, 1, 2], outcomes, with_while);
}

/// One waits, with `while`, until the value is not 0; the other does `notifying`.
fn beside_a_waiter(main: usize, notifying: fn(&Shared)) {
    let shared = Arc::new(Shared::default());
    let other = Arc::clone(&shared);
    let waiter = role(move || drop(shared.changed.wait_while(shared.value.lock(), |value| *value == 0)));
    let notifier = role(move || notifying(&other));
    play(main, vec![waiter, notifier]);
}

/// The waiter looks at the value after the notification, which finds nobody, and before the change.
fn notified_before_the_change(main: usize, _: Seen) {
    beside_a_waiter(main, |shared| {
        shared.changed.notify_one();
        *shared.value.lock() = 1;
    });
}

/// A notification is no state: if nobody waits yet it is forgotten.
fn notified_without_state(main: usize, _: Seen) {
    let shared = Arc::new(Shared::default());
    let other = Arc::clone(&shared);
    let waiter = role(move || drop(shared.changed.wait(shared.value.lock())));
    let notifier = role(move || {
        other.changed.notify_one();
    });
    play(main, vec![waiter, notifier]);
}

/// The value changes between the waiter's look at it and its wait, which the lock would have prevented.
fn changed_without_the_lock(main: usize, _: Seen) {
    let shared = Arc::new((AtomicUsize::new(0), Shared::default()));
    let other = Arc::clone(&shared);
    let waiter = role(move || {
        let (value, Shared { value: lock, changed }) = &*shared;
        let mut guard = lock.lock();
        while value.load(Ordering::Acquire) == 0 {
            guard = changed.wait(guard);
        }
    });
    let changer = role(move || {
        other.0.store(1, Ordering::Release);
        other.1.changed.notify_one();
    });
    play(main, vec![waiter, changer]);
}

const CASES: &[Case] = &[
    deadlock(Flaw::UnlocksBeforeEntering, &[0, 1], change),
    deadlock(Flaw::UnlocksBeforeEntering, &[0, 2], two_waiters),
    Case {
        flaw: Flaw::ServedTakenForLate,
        message: "one side says notified, the other does not",
        bound: BOUND,
        mains: &[0, 1],
        model: time_runs_out,
    },
    Case {
        flaw: Flaw::OfTheUser,
        message: "there is nothing to take",
        bound: BOUND_OF_LARGE,
        mains: &[0, 1, 2],
        model: with_if,
    },
    deadlock(Flaw::OfTheUser, &[0, 1], notified_before_the_change),
    deadlock(Flaw::OfTheUser, &[0, 1], notified_without_state),
    deadlock(Flaw::OfTheUser, &[0, 1], changed_without_the_lock),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("condvar::seeded_bugs_are_found", CASES);
}
