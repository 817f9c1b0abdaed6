//! Whoever waits in a monitor for a condition that comes to hold, and still holds when its turn comes, goes on: nobody needs
//! to be notified, and who is called in vain calls the next.
//!
//! Checked to the bound of `common` under loom's model.

use crate::common::Bound;
use crate::stage::{BOUND, BOUND_OF_LARGE, Case, Seen, busy, deadlock, explore, play, registry, role};
use purloin_loom::internals::primitive::{Arc, Flaw};
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::sync::Monitor;
use purloin_loom::internals::worker::Worker;
use std::time::Duration;
use test_fork::test;

/// One waits for what another does. Fails with [`Flaw::EntersUnlooked`].
fn change(main: usize, seen: Seen) {
    let state = Arc::new(Monitor::new(0));
    let other = Arc::clone(&state);
    let waiter = role(move || {
        let mut looks = 0;
        state.wait_until(|state| {
            looks += 1;
            (*state == 1).then_some(())
        });
        seen[0].hit_if(looks == 1);
        seen[1].hit_if(looks == 2);
        assert!(looks <= 2, "it was called without a change");
    });
    let changer = role(move || {
        assert_eq!(other.with(|state| *state), 0);
        other.with(|mut state| *state = 1);
    });
    play(main, vec![waiter, changer]);
}

#[test]
fn a_change_is_noticed() {
    let outcomes = &["the change was there before", "the waiter was called"];
    explore("monitor: change", BOUND, 20, &[0, 1], outcomes, change);
}

/// The one waits for what the other does as soon as a third has begun, so whichever is called first, both must be. Fails
/// with [`Flaw::MonitorKeepsCall`].
fn called_in_vain(main: usize, seen: Seen) {
    let state = Arc::new(Monitor::new(0));
    let [one, two] = [Arc::clone(&state), Arc::clone(&state)];
    let last = role(move || {
        let mut looks = 0;
        one.wait_until(|state| {
            looks += 1;
            (*state == 2).then_some(())
        });
        seen[0].hit_if(looks == 3);
    });
    let middle = role(move || two.wait_until(|mut state| (*state == 1).then(|| *state = 2)));
    let first = role(move || state.with(|mut state| *state = 1));
    play(main, vec![last, middle, first]);
}

#[test]
fn who_is_called_in_vain_calls_the_next() {
    let outcomes = &["one was called in vain"];
    explore("monitor: called in vain", BOUND_OF_LARGE, 20, &[0, 2], outcomes, called_in_vain);
}

/// The time of the one runs out, perhaps just as it is called in the other's place. Fails with [`Flaw::MonitorKeepsCall`].
fn called_too_late(main: usize, seen: Seen) {
    let state = Arc::new(Monitor::new(0));
    let [one, two] = [Arc::clone(&state), Arc::clone(&state)];
    let hasty = role(move || {
        let found = one.wait_until_for(|state| (*state == 1).then_some(()), Duration::ZERO);
        seen[0].hit_if(found.is_some());
        seen[1].hit_if(found.is_none());
    });
    let patient = role(move || two.wait_until(|state| (*state == 1).then_some(())));
    let changer = role(move || state.with(|mut state| *state = 1));
    play(main, vec![hasty, patient, changer]);
}

#[test]
fn who_is_called_too_late_calls_the_next() {
    let outcomes = &["the condition held in time", "time ran out"];
    explore("monitor: called too late", BOUND_OF_LARGE, 20, &[0, 2], outcomes, called_too_late);
}

/// One core: the thread that waits gives it to the task that it waits for. Fails with [`Flaw::GiveIgnoresResuming`].
fn one_core(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let waiter = role(move || {
        let state = Arc::new(Monitor::new(0));
        Worker::enter(&registry, core, |worker| {
            let task = spawn_in(worker.registry(), {
                let (state, registry) = (Arc::clone(&state), Arc::clone(&registry));
                move || {
                    state.with(|mut state| *state = 1);
                    seen[0].hit_if(registry.sleep.someone_resumes());
                }
            });
            state.wait_until(|state| (*state == 1).then_some(()));
            assert!(task.join().is_ok());
        });
        registry.close();
    });
    play(main, vec![waiter, role(|| ())]);
}

#[test]
fn a_waiter_gives_its_core_away() {
    explore("monitor: one core", Bound::AtMost(1), 20, &[0, 1], &["the waiter waited for the core"], one_core);
}

const CASES: &[Case] = &[
    deadlock(Flaw::EntersUnlooked, &[0, 1], change),
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::GiveIgnoresResuming, &[0, 1], one_core) },
    deadlock(Flaw::MonitorKeepsCall, &[0, 2], called_in_vain),
    deadlock(Flaw::MonitorKeepsCall, &[0, 2], called_too_late),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("monitor::seeded_bugs_are_found", CASES);
}
