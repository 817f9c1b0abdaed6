//! A semaphore: permits are neither lost nor doubled, whoever waits is served or refused, and what was done before a permit
//! was given back is visible to whoever takes it.
//!
//! A wait whose time is up at once stands for any that ends early: it enters the line and leaves it, and everything else may
//! happen before, between and after. Two threads are checked without a bound under loom's model, three to that of `common`.

use crate::common::Bound;
use crate::stage::{BOUND, Case, Role, Seen, Tally, busy, explore, play, registry, role, settled};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw, Policy, UnsafeCell, pauses, with_policy};
use purloin_loom::internals::worker::Worker;
use purloin_loom::sync::{AcquireTimeoutError, Closed, Permit, Semaphore};
use std::time::Duration;
use test_fork::test;

/// A time that is up at once.
const NOW: Duration = Duration::ZERO;

/// What a permit protects.
struct Protected {
    semaphore: Semaphore,
    data: UnsafeCell<Vec<usize>>,
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Protected {}

/// Two threads take turns with one permit. The data says who came first. Fails with [`Flaw::PermitReleasedRelaxed`] and
/// [`Flaw::WaitsUnmarked`].
fn turns(main: usize, seen: Seen) {
    let protected = Arc::new(Protected { semaphore: Semaphore::new(1), data: UnsafeCell::new(Vec::with_capacity(2)) });
    let roles = [0, 1].map(|number| {
        let protected = Arc::clone(&protected);
        role(move || {
            seen[2].hit_if(protected.semaphore.available() == 0);
            let permit = protected.semaphore.acquire(1);
            // SAFETY: loom checks that nobody else reads or writes.
            protected.data.with_mut(|data| unsafe { &mut *data }.push(number));
            drop(permit);
        })
    });
    play(main, roles.into());
    // SAFETY: as above.
    let order = protected.data.with(|data| unsafe { &*data }.clone());
    seen[0].hit_if(order == [0, 1]);
    seen[1].hit_if(order == [1, 0]);
    assert_eq!(order.len(), 2);
    assert_eq!(protected.semaphore.available(), 1);
    assert!(protected.semaphore.try_acquire(1).is_ok(), "the line is empty and still marked");
}

#[test]
fn turns_are_taken() {
    let outcomes = &["the first came first", "the second came first", "somebody found no permit"];
    explore("semaphore: turns", Bound::Unbounded, 20, &[0, 1], outcomes, turns);
}

/// The same with a look at the permits before a thread enters the line. loom lets a thread go on after a yield only when no
/// other can, so a look in vain does not come to a second one here. Fails with [`Flaw::PermitReleasedRelaxed`].
fn turns_after_a_look(main: usize, seen: Seen) {
    let look = Policy { block_rounds: 1, ..Policy::COMMON };
    with_policy(look, || {
        turns(main, seen);
        seen[3].hit_if(pauses() > 0);
    });
}

#[test]
fn turns_are_taken_after_a_look() {
    let outcomes = &[
        "the first came first",
        "the second came first",
        "somebody found no permit",
        "a permit came while somebody looked",
    ];
    explore("semaphore: looks", Bound::Unbounded, 20, &[0, 1], outcomes, turns_after_a_look);
}

/// One thread wants more than there is, another one of what there is, and a third adds one. Whoever comes first, all end.
/// Fails with [`Flaw::WaitsUnmarked`].
fn large_and_small(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(1));
    let order = Tally::default();
    let takes = |permits: usize, number: usize| {
        let (semaphore, order) = (Arc::clone(&semaphore), order.clone());
        role(move || {
            let permit = semaphore.acquire(permits);
            seen[number].hit_if(order.get() == 0);
            order.add();
            drop(permit);
        })
    };
    let adder = {
        let semaphore = Arc::clone(&semaphore);
        role(move || assert_eq!(semaphore.add_permits(1), Ok(())))
    };
    play(main, vec![takes(2, 0), takes(1, 1), adder]);
    assert_eq!(semaphore.available(), 2);
    assert!(semaphore.try_acquire(2).is_ok(), "the line is empty and still marked");
}

#[test]
fn large_and_small_requests_are_served() {
    let outcomes = &["the large one was served first", "the small one was served first"];
    explore("semaphore: large and small", BOUND, 50, &[0, 1, 2], outcomes, large_and_small);
}

/// What two threads do before they add a permit each.
struct Parts {
    semaphore: Semaphore,
    done: [UnsafeCell<usize>; 2],
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Parts {}

/// One thread wants two permits, and two others add one each: whoever of these serves it, it sees what both did before.
/// Fails with [`Flaw::PermitReleasedRelaxed`].
fn two_givers(main: usize, seen: Seen) {
    let parts = Arc::new(Parts { semaphore: Semaphore::new(0), done: [UnsafeCell::new(0), UnsafeCell::new(0)] });
    let giver = |index: usize| {
        let parts = Arc::clone(&parts);
        role(move || {
            // SAFETY: loom checks that nobody else reads or writes.
            parts.done[index].with_mut(|done| unsafe { *done = 1 });
            assert_eq!(parts.semaphore.add_permits(1), Ok(()));
        })
    };
    let taker = {
        let parts = Arc::clone(&parts);
        role(move || {
            let early = parts.semaphore.available() == 2;
            assert!(parts.semaphore.acquire(2).map(Permit::forget).is_ok());
            // SAFETY: loom checks that nobody writes.
            let done = parts.done.each_ref().map(|done| done.with(|done| unsafe { *done }));
            assert_eq!(done, [1, 1]);
            seen[0].hit_if(early);
            seen[1].hit_if(!early);
        })
    };
    play(main, vec![giver(0), giver(1), taker]);
}

#[test]
fn all_givers_come_before() {
    let outcomes = &["both permits were there", "the thread came before"];
    explore("semaphore: two givers", BOUND, 50, &[0, 2], outcomes, two_givers);
}

/// Two threads wait for what never comes, until the semaphore is closed. Fails with [`Flaw::AnswersOne`].
fn closed(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(0));
    let refused = Tally::default();
    let waiter = || {
        let (semaphore, refused) = (Arc::clone(&semaphore), refused.clone());
        role(move || {
            let early = semaphore.is_closed();
            if semaphore.acquire(1).err() == Some(Closed) {
                refused.add();
            }
            seen[0].hit_if(early);
            seen[1].hit_if(!early);
        })
    };
    let closer = {
        let semaphore = Arc::clone(&semaphore);
        role(move || semaphore.close())
    };
    play(main, vec![waiter(), waiter(), closer]);
    assert_eq!(refused.get(), 2);
}

#[test]
fn closing_refuses_all() {
    let outcomes = &["a thread came after", "a thread came before"];
    explore("semaphore: close", BOUND, 50, &[0, 2], outcomes, closed);
}

/// A thread waits, another adds a permit and a third closes: the waiter has the permit, or it is still there. Fails with
/// [`Flaw::WakesBeforeChange`].
fn added_and_closed(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(0));
    let got = Tally::default();
    let roles: [Role; 3] = [
        {
            let (semaphore, got) = (Arc::clone(&semaphore), got.clone());
            role(move || {
                if let Ok(permit) = semaphore.acquire(1) {
                    permit.forget();
                    got.add();
                }
            })
        },
        {
            let semaphore = Arc::clone(&semaphore);
            role(move || assert_eq!(semaphore.add_permits(1), Ok(())))
        },
        {
            let semaphore = Arc::clone(&semaphore);
            role(move || semaphore.close())
        },
    ];
    play(main, roles.into());
    seen[0].hit_if(got.get() == 1);
    seen[1].hit_if(got.get() == 0);
    assert_eq!(got.get() + semaphore.available(), 1, "a permit was lost or doubled");
}

#[test]
fn closing_loses_no_permit() {
    let outcomes = &["the waiter was served", "the waiter was refused"];
    explore("semaphore: added and closed", BOUND, 50, &[0, 1, 2], outcomes, added_and_closed);
}

/// A thread gives up just as the permit that it waits for is given back. Fails with [`Flaw::LeaverGivesBack`],
/// [`Flaw::LeaverStaysInLine`] and [`Flaw::ServedTakenForLate`].
fn late(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(0));
    let got = Tally::default();
    let waiter = {
        let (semaphore, got) = (Arc::clone(&semaphore), got.clone());
        role(move || {
            let found = semaphore.available();
            match semaphore.acquire_timeout(1, NOW) {
                Ok(permit) => {
                    permit.forget();
                    got.add();
                    seen[0].hit_if(found == 0);
                }
                Err(error) => seen[1].hit_if(error == AcquireTimeoutError::TimedOut),
            }
        })
    };
    let adder = {
        let semaphore = Arc::clone(&semaphore);
        role(move || assert_eq!(semaphore.add_permits(1), Ok(())))
    };
    play(main, vec![waiter, adder]);
    assert_eq!(got.get() + semaphore.available(), 1, "a permit was lost or doubled");
    if got.get() == 0 {
        assert!(semaphore.try_acquire(1).is_ok(), "the line is empty and still marked");
    }
}

#[test]
fn giving_up_loses_no_permit() {
    let outcomes = &["the permit came while the thread was there", "the time was up"];
    explore("semaphore: late", Bound::Unbounded, 20, &[0, 1], outcomes, late);
}

/// The first in line gives up; what was too little for it is enough for the one behind it. Fails with
/// [`Flaw::LeaverStaysInLine`] and [`Flaw::LeaverServesNobody`].
fn front_gives_up(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(1));
    let front = {
        let semaphore = Arc::clone(&semaphore);
        role(move || {
            let in_time = semaphore.acquire_timeout(2, NOW);
            assert_eq!(in_time.err(), Some(AcquireTimeoutError::TimedOut));
        })
    };
    let behind = {
        let semaphore = Arc::clone(&semaphore);
        role(move || {
            let at_once = semaphore.try_acquire(1);
            seen[0].hit_if(at_once.is_ok());
            seen[1].hit_if(at_once.is_err());
            drop(at_once);
            assert!(semaphore.acquire(1).is_ok());
        })
    };
    play(main, vec![front, behind]);
    assert!(semaphore.try_acquire(1).is_ok(), "the line is empty and still marked");
}

#[test]
fn those_behind_move_up() {
    let outcomes = &["nobody waited before it", "the large request waited before it"];
    explore("semaphore: the front gives up", BOUND, 20, &[0, 1], outcomes, front_gives_up);
}

/// The first in line gives up just as it is served, and somebody waits behind it. Fails with [`Flaw::WaitsUnmarked`] and
/// [`Flaw::ServedTakenForLate`].
fn served_too_late(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::new(0));
    let front = {
        let semaphore = Arc::clone(&semaphore);
        role(move || {
            let in_time = semaphore.acquire_timeout(1, NOW);
            seen[0].hit_if(in_time.is_ok());
            seen[1].hit_if(in_time.is_err());
        })
    };
    let behind = {
        let semaphore = Arc::clone(&semaphore);
        role(move || drop(semaphore.acquire(1)))
    };
    let adder = {
        let semaphore = Arc::clone(&semaphore);
        role(move || assert_eq!(semaphore.add_permits(1), Ok(())))
    };
    play(main, vec![front, behind, adder]);
    assert_eq!(semaphore.available(), 1, "a permit was lost");
    assert!(semaphore.try_acquire(1).is_ok(), "the line is empty and still marked");
}

#[test]
fn turns_are_passed_on() {
    let outcomes = &["the front was served", "the front gave up"];
    explore("semaphore: served too late", BOUND, 50, &[0, 2], outcomes, served_too_late);
}

/// Two threads give back one permit of a bounded semaphore. Fails with [`Flaw::TotalByStore`].
fn given_back_twice(main: usize, seen: Seen) {
    let semaphore = Arc::new(Semaphore::bounded(1));
    let added = Tally::default();
    semaphore.acquire(1).expect("open").forget();
    let roles = [0, 1].map(|number| {
        let (semaphore, added) = (Arc::clone(&semaphore), added.clone());
        role(move || {
            if semaphore.add_permits(1).is_ok() {
                seen[number].hit();
                added.add();
            }
        })
    });
    play(main, roles.into());
    assert_eq!((added.get(), semaphore.available()), (1, 1), "a permit was added twice");
}

#[test]
fn a_bound_is_kept() {
    let outcomes = &["the first was in time", "the second was in time"];
    explore("semaphore: bound", Bound::Unbounded, 2, &[0, 1], outcomes, given_back_twice);
}

/// In a pool of one core, the first half of a fork waits for a permit that the second half adds. Fails with
/// [`Flaw::HandOverForgetsPrivate`].
fn in_a_pool(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        let semaphore = Semaphore::new(0);
        let owner = loom::thread::current().id();
        let add = || {
            assert_eq!(semaphore.add_permits(1), Ok(()));
            let resumes = registry.sleep.someone_resumes();
            settled();
            seen[0].hit_if(loom::thread::current().id() != owner);
            seen[1].hit_if(resumes);
        };
        Worker::enter(&registry, core, |worker| join_on(worker, || drop(semaphore.acquire(1)), add));
        registry.close();
    });
    play(main, vec![owner, role(|| ())]);
}

#[test]
fn cores_are_handed_over() {
    let outcomes = &["another thread ran the second half", "the owner waited for the core"];
    explore("semaphore: in a pool", BOUND, 30, &[0, 1], outcomes, in_a_pool);
}

/// The classic deadlock: two semaphores, taken in opposite orders. The program is wrong, not the library.
fn opposite_orders(main: usize, _: Seen) {
    let semaphores = Arc::new([Semaphore::new(1), Semaphore::new(1)]);
    let roles = [[0, 1], [1, 0]].map(|[first, second]| {
        let semaphores = Arc::clone(&semaphores);
        role(move || {
            let _first = semaphores[first].acquire(1);
            let _second = semaphores[second].acquire(1);
        })
    });
    play(main, roles.into());
}

const fn case(flaw: Flaw, message: &'static str, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message, bound: BOUND, mains, model }
}

const CASES: &[Case] = &[
    case(Flaw::PermitReleasedRelaxed, "Causality violation", &[0, 1], turns),
    case(Flaw::PermitReleasedRelaxed, "Causality violation", &[0, 1], turns_after_a_look),
    case(Flaw::PermitReleasedRelaxed, "Causality violation", &[0, 2], two_givers),
    case(Flaw::WaitsUnmarked, "deadlock", &[0, 1], turns),
    case(Flaw::WaitsUnmarked, "deadlock", &[0, 1, 2], large_and_small),
    case(Flaw::WaitsUnmarked, "deadlock", &[0, 2], served_too_late),
    case(Flaw::AnswersOne, "deadlock", &[0, 2], closed),
    Case { bound: Bound::AtLeast(3), ..case(Flaw::WakesBeforeChange, "deadlock", &[0, 1, 2], added_and_closed) },
    case(Flaw::LeaverGivesBack, "a permit was lost or doubled", &[0, 1], late),
    case(Flaw::LeaverStaysInLine, "a permit was lost or doubled", &[0, 1], late),
    case(Flaw::LeaverStaysInLine, "deadlock", &[0], front_gives_up),
    case(Flaw::LeaverServesNobody, "deadlock", &[0], front_gives_up),
    // Found sooner here: nobody is behind, and the mark stays.
    case(Flaw::LeaverStaysInLine, "still marked", &[1], front_gives_up),
    case(Flaw::LeaverServesNobody, "still marked", &[1], front_gives_up),
    case(Flaw::ServedTakenForLate, "a permit was lost or doubled", &[0, 1], late),
    case(Flaw::ServedTakenForLate, "deadlock", &[0], served_too_late),
    case(Flaw::ServedTakenForLate, "a permit was lost", &[1, 2], served_too_late),
    case(Flaw::TotalByStore, "added twice", &[0, 1], given_back_twice),
    case(Flaw::OfTheUser, "deadlock", &[0, 1], opposite_orders),
    case(Flaw::HandOverForgetsPrivate, "deadlock", &[0, 1], in_a_pool),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sync_semaphore::seeded_bugs_are_found", CASES);
}
