//! An event and a latch let all go on who wait for them, and who goes on sees what was done before.
//!
//! A wait whose time is up at once stands for any that ends early. Checked to the bound of `common` under loom's model.

use crate::common::Bound;
use crate::stage::{BOUND, Case, Role, Seen, Tally, explore, play, role};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell};
use purloin_loom::sync::{Event, Latch};
use std::time::Duration;
use test_fork::test;

/// A time that is up at once.
const NOW: Duration = Duration::ZERO;

/// Something to wait for, and what is to be seen after it.
struct Behind<S, const N: usize> {
    signal: S,
    data: [UnsafeCell<usize>; N],
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl<S: Sync, const N: usize> Sync for Behind<S, N> {}

impl<S, const N: usize> Behind<S, N> {
    fn new(signal: S) -> Arc<Self> {
        Arc::new(Behind { signal, data: std::array::from_fn(|_| UnsafeCell::new(0)) })
    }

    fn write(&self, number: usize) {
        // SAFETY: loom checks that nobody else reads or writes.
        self.data[number].with_mut(|data| unsafe { *data = 1 });
    }

    fn sum(&self) -> usize {
        // SAFETY: loom checks that nobody writes.
        self.data.iter().map(|data| data.with(|data| unsafe { *data })).sum()
    }
}

// ---- event

/// Two threads wait for what a third does. Fails with [`Flaw::AnswersOne`], [`Flaw::WakesBeforeChange`] and
/// [`Flaw::ChangeRelaxed`].
fn event(main: usize, seen: Seen) {
    let behind = Behind::<_, 1>::new(Event::new());
    let waiter = |number: usize| {
        let behind = Arc::clone(&behind);
        role(move || {
            seen[number].hit_if(!behind.signal.is_set());
            behind.signal.wait();
            assert_eq!(behind.sum(), 1);
        })
    };
    let setter = {
        let behind = Arc::clone(&behind);
        role(move || {
            behind.write(0);
            behind.signal.set();
        })
    };
    play(main, vec![waiter(0), waiter(1), setter]);
    assert!(behind.signal.is_set());
}

#[test]
fn an_event_lets_all_go() {
    let outcomes = &["the first came before", "the second came before"];
    explore("event: two waiters", BOUND, 50, &[0, 2], outcomes, event);
}

/// An event is set and cleared at once: who waits by then goes on, who comes after waits for the next time. Fails with
/// [`Flaw::WakesBeforeChange`].
fn pulse(main: usize, seen: Seen) {
    let event = Arc::new(Event::new());
    let waiter = {
        let event = Arc::clone(&event);
        role(move || {
            seen[0].hit_if(event.is_set());
            seen[1].hit_if(!event.is_set());
            event.wait();
        })
    };
    let setter = {
        let event = Arc::clone(&event);
        role(move || {
            event.set();
            event.clear();
            event.set();
        })
    };
    play(main, vec![waiter, setter]);
}

#[test]
fn a_pulse_is_not_lost() {
    let outcomes = &["it was set when the thread came", "it was not"];
    explore("event: pulse", BOUND, 20, &[0, 1], outcomes, pulse);
}

/// A thread gives up just as it happens. Fails with [`Flaw::ChangeRelaxed`].
fn event_late(main: usize, seen: Seen) {
    let behind = Behind::<_, 1>::new(Event::new());
    let waiter = {
        let behind = Arc::clone(&behind);
        role(move || {
            let came_early = !behind.signal.is_set();
            let in_time = behind.signal.wait_timeout(NOW).is_ok();
            if in_time {
                assert_eq!(behind.sum(), 1);
            }
            seen[0].hit_if(in_time && came_early);
            seen[1].hit_if(!in_time);
        })
    };
    let setter = {
        let behind = Arc::clone(&behind);
        role(move || {
            behind.write(0);
            behind.signal.set();
        })
    };
    play(main, vec![waiter, setter]);
    assert!(behind.signal.is_set());
}

#[test]
fn an_event_comes_in_time_or_not() {
    let outcomes = &["it happened while the thread was there", "the time was up"];
    explore("event: late", Bound::Unbounded, 20, &[0, 1], outcomes, event_late);
}

// ---- latch

/// One thread waits for two parts. Fails with [`Flaw::EntersUnlooked`] and [`Flaw::ChangeRelaxed`].
fn two_parts(main: usize, seen: Seen) {
    let behind = Behind::<_, 2>::new(Latch::new(2));
    let waiter = {
        let behind = Arc::clone(&behind);
        role(move || {
            seen[behind.signal.remaining()].hit();
            behind.signal.wait();
            assert_eq!(behind.sum(), 2);
        })
    };
    let part = |number: usize| {
        let behind = Arc::clone(&behind);
        role(move || {
            behind.write(number);
            behind.signal.count_down();
        })
    };
    play(main, vec![waiter, part(0), part(1)]);
    assert_eq!(behind.signal.remaining(), 0);
}

#[test]
fn a_latch_opens_after_all_parts() {
    let outcomes = &["all parts were there", "one was missing", "both were"];
    explore("latch: two parts", BOUND, 50, &[0, 1], outcomes, two_parts);
}

/// Two threads wait for one part. Fails with [`Flaw::AnswersOne`].
fn two_waiters(main: usize, seen: Seen) {
    let latch = Arc::new(Latch::new(1));
    let gone = Tally::default();
    let waiter = || {
        let (latch, gone) = (Arc::clone(&latch), gone.clone());
        role(move || {
            seen[latch.remaining()].hit();
            latch.wait();
            gone.add();
        })
    };
    let part = {
        let latch = Arc::clone(&latch);
        role(move || latch.count_down())
    };
    let roles: [Role; 3] = [waiter(), waiter(), part];
    play(main, roles.into());
    assert_eq!(gone.get(), 2);
}

#[test]
fn a_latch_lets_all_go() {
    let outcomes = &["a thread came after", "a thread came before"];
    explore("latch: two waiters", BOUND, 50, &[0, 2], outcomes, two_waiters);
}

const fn case(flaw: Flaw, message: &'static str, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message, bound: BOUND, mains, model }
}

const CASES: &[Case] = &[
    case(Flaw::AnswersOne, "deadlock", &[0, 2], event),
    case(Flaw::WakesBeforeChange, "deadlock", &[0, 2], event),
    case(Flaw::ChangeRelaxed, "Causality violation", &[0, 2], event),
    case(Flaw::WakesBeforeChange, "deadlock", &[0, 1], pulse),
    case(Flaw::ChangeRelaxed, "Causality violation", &[0, 1], event_late),
    case(Flaw::AnswersOne, "deadlock", &[0, 2], two_waiters),
    case(Flaw::EntersUnlooked, "deadlock", &[0, 1], two_parts),
    case(Flaw::ChangeRelaxed, "Causality violation", &[0, 1], two_parts),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sync_event::seeded_bugs_are_found", CASES);
}
