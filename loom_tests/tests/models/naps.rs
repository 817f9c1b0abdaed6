//! Waking lazily: a thread that was woken in vain naps, and wakes for forks are left out for its sake. Whatever is left out is
//! seen to when the nap ends, be it by the clock or by a wake (P4 in section `sleep` of DESIGN.md).
//!
//! The clock is a thread of the model: it ends the nap, once, at any moment that loom chooses. As in `sleep`, who waits for the
//! work waits as blocking code does, so a wake that is lost leaves all threads waiting. Checked to the bound of `common` under
//! loom's model.

use crate::common::Bound;
use crate::stage::{
    BOUND, BOUND_OF_HUGE, Case, Seen, Tally, before, busy, deadlock, explore, play, registry, role, settled, signal,
};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw, Policy, with_policy};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::seat::{Grant, Place, Seat};
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::thread::{in_pool, run_thread};
use purloin_loom::internals::worker::Worker;
use std::time::Duration;
use test_fork::test;

/// The first useless wake is followed by a nap.
const LAZY: Policy = Policy { patience: 1, ..Policy::COMMON };

/// The time of that thread's nap is over: a park with a time-out returns, whatever it waits for. If it does not park that way
/// now, it does so once for no reason, as any park may.
fn strike(seat: &Seat) {
    seat.unpark();
}

/// A thread that naps, the only one that the pool can wake: it has given up core 0 after a wake in vain. The others' cores are
/// held. Nothing of this is explored.
fn napping(cores: usize) -> (Arc<Registry>, Vec<Place>, Duration) {
    let (registry, places) = registry(cores, cores);
    let core = busy(&registry, &places[0]);
    places[1..].iter().for_each(|place| assert_ne!(busy(&registry, place), core));
    let nap = before(|| {
        // What the wake has left.
        places[0].park();
        registry.sleep.stand_by(Some(core), places[0].seat(), true)
    });
    (registry, places, nap.expect("one wake in vain is enough"))
}

/// The core that the thread has after a nap, and whether it took it by itself. Without one it waits for ever.
fn after_nap(registry: &Registry, place: &Place) -> bool {
    let taken = registry.sleep.end_nap(place.seat());
    let core = taken.unwrap_or_else(|| match place.wait_for_grant() {
        Grant::Core(core) => core,
        Grant::Exit => unreachable!("the pool is not closed"),
    });
    assert_eq!(core, 0);
    assert!(registry.sleep.state().0.contains(" 0 without work"), "it is at work, and listed as asleep");
    taken.is_some()
}

/// The clock ends a nap beside a wake that may be left to the napper. Fails with [`Flaw::NapperTakenForAsleep`],
/// [`Flaw::NapEndsBlindly`] and [`Flaw::NapperLeftAsleep`].
fn ends(main: usize, seen: Seen) {
    with_policy(LAZY, || {
        let (registry, mut places, _) = napping(1);
        let place = places.remove(0);
        let pool = Arc::clone(&registry);
        let left = Tally::default();
        let was_left = left.clone();
        let napper = role(move || {
            let by_itself = after_nap(&pool, &place);
            seen[0].hit_if(by_itself);
            seen[1].hit_if(!by_itself);
        });
        let publisher = role(move || {
            registry.work_appeared(true);
            if registry.sleep.someone_sleeps() {
                was_left.add();
            }
        });
        play(main, vec![napper, publisher]);
        seen[2].hit_if(left.get() > 0);
    });
}

#[test]
fn a_nap_ends_beside_a_wake() {
    let outcomes =
        &["a wake was left out, and the thread looks", "the thread was woken", "the publisher left it asleep"];
    explore("nap ends", BOUND, 10, &[0, 1], outcomes, ends);
}

/// No clock: a nap is cut short by a wake that is not left to it, and the wake that was is seen to as well. Fails with
/// [`Flaw::TaskLeftToNapper`].
fn cut_short(main: usize, seen: Seen) {
    with_policy(LAZY, || {
        let (registry, mut places, nap) = napping(1);
        let place = places.remove(0);
        let pool = Arc::clone(&registry);
        let napper = role(move || {
            place.park_timeout(nap);
            assert!(!after_nap(&pool, &place), "it was woken, and has taken another core");
        });
        let publisher = role(move || {
            registry.work_appeared(true);
            seen[0].hit_if(registry.sleep.someone_sleeps());
            registry.work_appeared(false);
        });
        play(main, vec![napper, publisher]);
    });
}

#[test]
fn a_nap_is_cut_short() {
    explore("nap cut short", BOUND, 3, &[0, 1], &["a wake was left out before"], cut_short);
}

/// A thread that naps, and one that forks on the other core and does not go on before somebody has taken the fork, and the
/// clock. From then on the order is one only: whoever has taken the fork waits for a region from outside, which comes after
/// a task that nobody needs. Fails with [`Flaw::NapperLeftAsleep`].
fn fork(main: usize, seen: Seen) {
    with_policy(LAZY, || {
        let (registry, mut places, nap) = napping(2);
        // `napping` has it held, by nobody yet.
        let core = 1;
        let place = places.remove(0);
        let seat = Arc::clone(place.seat());
        let ((begun, wait), (told, wait_too), (done, wait_for_region)) = (signal(), signal(), signal());
        let pool = Arc::clone(&registry);
        let producer = role(move || {
            let left = Tally::default();
            let was_left = left.clone();
            let fork = move || {
                settled();
                let left = was_left.get() > 0;
                seen[0].hit_if(left);
                seen[1].hit_if(!left);
                begun.give();
                told.give();
                wait_for_region.wait();
            };
            Worker::enter(&pool, core, |worker| {
                let first = || {
                    if pool.sleep.someone_sleeps() {
                        left.add();
                    }
                    wait.wait();
                };
                join_on(worker, first, fork);
            });
        });
        let clock = {
            let registry = Arc::clone(&registry);
            role(move || {
                strike(&seat);
                wait_too.wait();
                drop(spawn_in(&registry, || ()));
                in_pool(&registry, |_| ());
                done.give();
                registry.close();
            })
        };
        // As `run_thread` does.
        let sleeper = role(move || {
            place.park_timeout(nap);
            let core = registry.sleep.end_nap(place.seat());
            run_thread(registry, place, core, 0);
        });
        play(main, vec![sleeper, producer, clock]);
    });
}

#[test]
fn what_is_left_to_a_nap_is_done() {
    let outcomes = &["the wake was left to the nap, which the clock ended", "the thread was woken"];
    explore("nap and fork", BOUND_OF_HUGE, 10, &[0, 2], outcomes, fork);
}

const CASES: &[Case] = &[
    deadlock(Flaw::NapperTakenForAsleep, &[0, 1], ends),
    deadlock(Flaw::NapEndsBlindly, &[0, 1], ends),
    Case {
        flaw: Flaw::NapperLeftAsleep,
        message: "it is at work, and listed as asleep",
        bound: BOUND,
        mains: &[0, 1],
        model: ends,
    },
    deadlock(Flaw::TaskLeftToNapper, &[0, 1], cut_short),
    // Who wants the core that it is granted in its sleep, as it were, waits for ever.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::NapperLeftAsleep, &[0, 1, 2], fork) },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("naps::seeded_bugs_are_found", CASES);
}
