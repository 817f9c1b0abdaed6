//! A barrier lets all of a generation go on together, with one leader, and what each did before is visible to all after; who
//! gives up has not arrived.
//!
//! Checked to the bound of `common` under loom's model.

use crate::common::Bound;
use crate::stage::{BOUND, Case, Seen, Tally, explore, play, role};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell};
use purloin_loom::sync::{Barrier, BarrierTimeout};
use std::sync::Mutex;
use std::time::Duration;
use test_fork::test;

/// Where each thread leaves something for the other.
struct Meeting {
    barrier: Barrier,
    left: [UnsafeCell<usize>; 2],
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Meeting {}

impl Meeting {
    fn new(parties: usize) -> Arc<Meeting> {
        Arc::new(Meeting { barrier: Barrier::new(parties), left: [UnsafeCell::new(0), UnsafeCell::new(0)] })
    }

    fn leave(&self, number: usize, what: usize) {
        // SAFETY: loom checks that nobody else reads or writes.
        self.left[number].with_mut(|left| unsafe { *left = what });
    }

    fn find(&self, number: usize) -> usize {
        // SAFETY: loom checks that nobody writes.
        self.left[number].with(|left| unsafe { *left })
    }
}

/// Two threads meet in two generations. After the first each reads what the other left; after the second each writes again.
/// Fails with [`Flaw::EntersUnlooked`].
fn two_generations(main: usize, seen: Seen) {
    let meeting = Meeting::new(2);
    let leaders = [Tally::default(), Tally::default()];
    let roles = [0, 1].map(|number| {
        let (meeting, leaders) = (Arc::clone(&meeting), leaders.clone());
        role(move || {
            meeting.leave(number, 1);
            let first = meeting.barrier.wait().is_leader();
            assert_eq!(meeting.find(1 - number), 1);
            let second = meeting.barrier.wait().is_leader();
            meeting.leave(number, 2);
            for (leader, count) in [first, second].into_iter().zip(&leaders) {
                (0..usize::from(leader)).for_each(|_| count.add());
            }
            seen[2 * number].hit_if(first && second);
            seen[2 * number + 1].hit_if(first && !second);
        })
    });
    play(main, roles.into());
    assert_eq!(leaders.map(|count| count.get()), [1, 1], "leaders");
    assert_eq!([0, 1].map(|number| meeting.find(number)), [2, 2]);
}

#[test]
fn generations_do_not_mix() {
    let outcomes = &["0 led both", "0 led the first", "1 led both", "1 led the first"];
    explore("barrier: two generations", BOUND, 50, &[0, 1], outcomes, two_generations);
}

/// Three threads meet once. Fails with [`Flaw::AnswersOne`].
fn three(main: usize, seen: Seen) {
    let barrier = Arc::new(Barrier::new(3));
    let leaders = Tally::default();
    let roles = [0, 1, 2].map(|number| {
        let (barrier, leaders) = (Arc::clone(&barrier), leaders.clone());
        role(move || {
            if barrier.wait().is_leader() {
                seen[number].hit();
                leaders.add();
            }
        })
    });
    play(main, roles.into());
    assert_eq!(leaders.get(), 1);
}

#[test]
fn all_are_let_go() {
    let outcomes = &["0 led", "1 led", "2 led"];
    explore("barrier: three", BOUND, 50, &[0, 1, 2], outcomes, three);
}

/// Two threads meet, or give up at once: both or neither. Fails with [`Flaw::LeaverStaysInLine`].
fn late(main: usize, seen: Seen) {
    let meeting = Meeting::new(2);
    let results = Arc::new(Mutex::new(Vec::new()));
    let roles = [0, 1].map(|number| {
        let (meeting, results) = (Arc::clone(&meeting), Arc::clone(&results));
        role(move || {
            meeting.leave(number, 1);
            let result = meeting.barrier.wait_timeout(Duration::ZERO);
            if result.is_ok() {
                assert_eq!(meeting.find(1 - number), 1);
            }
            results.lock().unwrap().push(result);
        })
    });
    play(main, roles.into());
    let results = results.lock().unwrap().clone();
    let led = results.iter().filter(|result| result.is_ok_and(|result| result.is_leader())).count();
    let met = results.iter().filter(|result| result.is_ok()).count();
    seen[0].hit_if(met == 2);
    seen[1].hit_if(met == 0);
    assert!(met == 2 * led, "one met the other, who had left");
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!(error, BarrierTimeout { arrived: 1, parties: 2 });
    }
}

#[test]
fn who_gives_up_has_not_arrived() {
    let outcomes = &["they met", "both gave up"];
    explore("barrier: late", Bound::Unbounded, 20, &[0, 1], outcomes, late);
}

const fn case(flaw: Flaw, message: &'static str, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message, bound: BOUND, mains, model }
}

const CASES: &[Case] = &[
    case(Flaw::EntersUnlooked, "deadlock", &[0, 1], two_generations),
    case(Flaw::AnswersOne, "deadlock", &[0, 1, 2], three),
    case(Flaw::LeaverStaysInLine, "one met the other, who had left", &[0, 1], late),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sync_barrier::seeded_bugs_are_found", CASES);
}
