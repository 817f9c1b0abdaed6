//! Cores to lend: a thread that waits for a core is lent one if those who have them may be waiting for it (section 3.3 of
//! DESIGN.md). Whoever has the core here waits, in a way that the pool knows nothing of, for just the thread that wants it.
//!
//! Whatever is forgotten leaves a thread waiting for good, or the pool without its end, since it ends when nothing is lent and
//! all its own cores are idle: a deadlock, to loom. Checked to the bound of `common` under loom's model.

use crate::stage::{BOUND, Case, Seen, Signal, UNSEEN, busy, deadlock, explore, play, registry, retire, role, signal};
use purloin_loom::internals::primitive::{Arc, Flaw, Policy, with_policy};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::seat::{Seat, with_place};
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::thread::in_pool;
use purloin_loom::internals::worker::{Worker, without_core};
use std::cell::RefCell;
use test_fork::test;

/// One core to lend.
const LENDS: Policy = Policy { spare_cores: 1, ..Policy::COMMON };

/// That core, beyond a pool of one.
const LENT: usize = 1;

/// The core of the thread that runs this.
fn core() -> usize {
    Worker::current().expect("it is back at work").core_index()
}

/// A thread blocks, and its core goes to one that runs a task. If the thread is `awaited` the task does not end before it is back;
/// else it may be lent a core while its own is on its way to it.
fn back(main: usize, seen: Seen, awaited: bool) {
    with_policy(LENDS, || {
        let (registry, places) = registry(1, 2);
        let own = busy(&registry, &places[0]);
        let blocked = role(move || {
            let ((done, wait), (back, wait_for_it)) = (signal(), signal());
            Worker::enter(&registry, own, |_| {
                drop(spawn_in(&registry, move || {
                    done.give();
                    if awaited {
                        wait_for_it.wait();
                    }
                }));
                without_core(|| wait.wait());
                seen[0].hit_if(core() == LENT);
                seen[1].hit_if(core() == own);
                back.give();
            });
            registry.close();
        });
        play(main, vec![blocked, role(|| ())]);
    });
}

/// The task waits for the thread. Fails with [`Flaw::NothingLent`], [`Flaw::LentCoreStaysLent`] and
/// [`Flaw::BorrowerStaysListed`].
fn awaited(main: usize, seen: Seen) {
    back(main, seen, true);
}

/// It does not. Fails with [`Flaw::LentCoreStaysLent`] and [`Flaw::BorrowerStaysListed`].
fn beside_a_grant(main: usize, seen: Seen) {
    back(main, seen, false);
}

#[test]
fn a_thread_that_comes_back_is_lent_a_core() {
    explore("lent", BOUND, 10, &[0, 1], &["it was lent a core", UNSEEN], awaited);
    let outcomes = &["it was lent a core", "it got its own"];
    explore("lent or granted", BOUND, 10, &[0, 1], outcomes, beside_a_grant);
}

/// A thread from outside, for which the only thread of the pool waits. That one plays the clock as well: the other's time is
/// over once, at some moment.
fn from_outside(main: usize, outsider: impl FnOnce(&Arc<Registry>, Signal) + 'static) {
    with_policy(LENDS, || {
        let (registry, mut places) = registry(1, 1);
        let own = busy(&registry, &places[0]);
        let place = places.remove(0);
        let ((known, wait_for_seat), (done, wait)) = (signal(), signal());
        let seat: Arc<RefCell<Option<Arc<Seat>>>> = Arc::default();
        let (his, pool) = (Arc::clone(&seat), Arc::clone(&registry));
        let outsider = role(move || {
            his.replace(Some(with_place(|place| Arc::clone(place.seat()))));
            known.give();
            outsider(&pool, done);
            pool.close();
        });
        let thread = role(move || {
            Worker::enter(&registry, own, |_| {
                wait_for_seat.wait();
                seat.take().expect("put there before").unpark();
                wait.wait();
            });
            retire(registry, place, 0);
        });
        play(main, vec![outsider, thread]);
    });
}

/// It calls into the pool. Fails with [`Flaw::NothingLent`], [`Flaw::LentCoreStaysLent`] and [`Flaw::BorrowerStaysListed`].
fn called(main: usize, seen: Seen) {
    from_outside(main, move |registry, done| {
        in_pool(registry, move |_| {
            seen[0].hit_if(core() == LENT);
            done.give();
        });
    });
}

#[test]
fn a_caller_that_is_waited_for_is_lent_a_core() {
    explore("lent to a caller", BOUND, 10, &[0, 1], &["it was lent a core"], called);
}

/// It joins a task. Fails with [`Flaw::NothingLent`], [`Flaw::LentCoreStaysLent`] and [`Flaw::BorrowerStaysListed`].
fn joined(main: usize, seen: Seen) {
    from_outside(main, move |registry, done| {
        let task = spawn_in(registry, move || {
            seen[0].hit_if(core() == LENT);
            done.give();
        });
        task.join().expect("it does not panic");
    });
}

#[test]
fn a_joiner_that_is_waited_for_is_lent_a_core() {
    explore("lent to a joiner", BOUND, 10, &[0, 1], &["it was lent a core"], joined);
}

const CASES: &[Case] = &[
    deadlock(Flaw::NothingLent, &[0, 1], awaited),
    deadlock(Flaw::NothingLent, &[0, 1], called),
    deadlock(Flaw::NothingLent, &[0, 1], joined),
    deadlock(Flaw::LentCoreStaysLent, &[0, 1], awaited),
    deadlock(Flaw::LentCoreStaysLent, &[0, 1], beside_a_grant),
    deadlock(Flaw::LentCoreStaysLent, &[0, 1], called),
    deadlock(Flaw::LentCoreStaysLent, &[0, 1], joined),
    deadlock(Flaw::BorrowerStaysListed, &[0, 1], awaited),
    deadlock(Flaw::BorrowerStaysListed, &[0, 1], beside_a_grant),
    deadlock(Flaw::BorrowerStaysListed, &[0, 1], called),
    deadlock(Flaw::BorrowerStaysListed, &[0, 1], joined),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("lending::seeded_bugs_are_found", CASES);
}
