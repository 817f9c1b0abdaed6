//! A queue: each value that was pushed is popped once or still there, in order; nobody waits beside a value or beside room;
//! after its end nothing comes in, and what is in comes out.
//!
//! A wait whose time is up at once stands for any that ends early. Checked to the bound of `common` under loom's model.

use crate::common::Bound;
use crate::stage::{BOUND, Case, Role, Seen, Tally, before, explore, play, role};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell};
use purloin_loom::sync::{Closed, PopTimeoutError, PushTimeoutError, Queue};
use std::sync::Mutex;
use std::time::Duration;
use test_fork::test;

/// A time that is up at once.
const NOW: Duration = Duration::ZERO;

/// A value that counts its end.
struct Value(usize, Tally);

impl Drop for Value {
    fn drop(&mut self) {
        self.1.add();
    }
}

/// Of models with three values or three threads that all go through the words of the queue: they take minutes at 2 preemptions.
const BOUND_OF_LONG: Bound = Bound::AtMost(1);

/// What came out, in order. Not modelled.
type Popped = Arc<Mutex<Vec<usize>>>;

fn note(popped: &Popped, value: usize) {
    popped.lock().unwrap().push(value);
}

/// A queue through which a value has passed, so that what the first one finds is there: nothing of this is explored.
fn used<T>(queue: Queue<T>, value: T) -> Arc<Queue<T>> {
    before(|| {
        assert!(queue.push(value).is_ok());
        assert!(queue.pop().is_ok());
    });
    Arc::new(queue)
}

/// One thread pushes three values through a queue of one, another pops two: the third is dropped with the queue. Fails with
/// [`Flaw::StampRelaxed`] and [`Flaw::EntersUnlooked`].
fn through_one(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::bounded(1));
    let (popped, dropped) = (Popped::default(), Tally::default());
    let pusher = {
        let (queue, dropped) = (Arc::clone(&queue), dropped.clone());
        role(move || {
            for n in 0..3 {
                seen[0].hit_if(queue.len() == 1);
                assert!(queue.push(Value(n, dropped.clone())).is_ok());
            }
        })
    };
    let popper = {
        let (queue, popped) = (Arc::clone(&queue), Arc::clone(&popped));
        role(move || {
            for _ in 0..2 {
                seen[1].hit_if(queue.is_empty());
                note(&popped, queue.pop().expect("not closed").0);
            }
        })
    };
    play(main, vec![pusher, popper]);
    assert_eq!(*popped.lock().unwrap(), [0, 1]);
    assert_eq!((queue.len(), dropped.get()), (1, 2));
    drop(queue);
    assert_eq!(dropped.get(), 3);
}

#[test]
fn values_pass_in_order() {
    let outcomes = &["the queue was full", "the queue was empty"];
    explore("queue: through one", BOUND_OF_LONG, 50, &[0, 1], outcomes, through_one);
}

/// One thread takes the last value of a segment while another goes on to the next, for which the same memory may do. Fails
/// with [`Flaw::SegmentReusedEarly`].
fn on_to_the_next(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::unbounded());
    before(|| {
        assert!(queue.push(0).is_ok() && queue.push(1).is_ok());
        assert_eq!(queue.pop(), Ok(0));
    });
    let popper = {
        let queue = Arc::clone(&queue);
        role(move || {
            seen[0].hit_if(queue.len() == 1);
            seen[1].hit_if(queue.len() > 1);
            assert_eq!(queue.pop(), Ok(1));
        })
    };
    let pusher = {
        let queue = Arc::clone(&queue);
        role(move || (2..4).for_each(|n| assert!(queue.push(n).is_ok())))
    };
    play(main, vec![popper, pusher]);
    assert_eq!((queue.pop(), queue.pop(), queue.len()), (Ok(2), Ok(3), 0));
}

#[test]
fn a_segment_is_used_again() {
    let outcomes = &["the value went before others came", "it went after"];
    explore("queue: on to the next", Bound::AtLeast(3), 40, &[0, 1], outcomes, on_to_the_next);
}

/// One thread goes on to the next segment, for which the same memory may do, and another puts its value there, too, while a
/// third takes the last value of the segment before. Fails with [`Flaw::SegmentReusedEarly`].
fn two_on_the_next(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::unbounded());
    before(|| {
        assert!(queue.push(0).is_ok() && queue.push(1).is_ok());
        assert_eq!(queue.pop(), Ok(0));
    });
    let mut roles: Vec<Role> = [2, 3]
        .map(|n| {
            let queue = Arc::clone(&queue);
            role(move || assert!(queue.push(n).is_ok()))
        })
        .into();
    let popper = Arc::clone(&queue);
    roles.push(role(move || assert_eq!(popper.pop(), Ok(1))));
    play(main, roles);
    let left = [queue.pop(), queue.pop()];
    assert!(left == [Ok(2), Ok(3)] || left == [Ok(3), Ok(2)], "{left:?} was left");
    seen[usize::from(left[0] == Ok(3))].hit();
    assert!(queue.is_empty());
}

#[test]
fn a_segment_is_everybodys() {
    let outcomes = &["the first pushed before the second", "the second before the first"];
    explore("queue: two on the next", BOUND_OF_LONG, 50, &[0, 2], outcomes, two_on_the_next);
}

/// One thread pushes the last value of a segment, another pops it, and a third goes on to the next and fills that, too. It
/// has seen nothing of the value but where the ends are. Fails with [`Flaw::SegmentReusedEarly`].
fn beyond_others(main: usize, seen: Seen) {
    let queue = used(Queue::unbounded(), 9);
    let pusher = {
        let queue = Arc::clone(&queue);
        role(move || assert!(queue.push(0).is_ok()))
    };
    let popper = {
        let queue = Arc::clone(&queue);
        role(move || match queue.try_pop() {
            Ok(value) => seen[0].hit_if(value == 0),
            Err(_) => seen[1].hit(),
        })
    };
    let other = {
        let queue = Arc::clone(&queue);
        role(move || (1..3).for_each(|n| assert!(queue.push(n).is_ok())))
    };
    play(main, vec![pusher, popper, other]);
}

#[test]
fn a_value_is_read_before_its_memory_is_used() {
    let outcomes = &["the value was popped", "nothing was there"];
    explore("queue: beyond others", BOUND_OF_LONG, 50, &[0, 1, 2], outcomes, beyond_others);
}

/// A thread finds the queue full, while another pops, pushes and pops: there is room in the end, whatever it has seen of
/// that. Fails with [`Flaw::EntersUnlooked`].
fn room_at_last(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::bounded(1));
    before(|| assert!(queue.push(0).is_ok()));
    let pusher = {
        let queue = Arc::clone(&queue);
        role(move || assert!(queue.push(1).is_ok()))
    };
    let other = {
        let queue = Arc::clone(&queue);
        role(move || {
            assert_eq!(queue.pop(), Ok(0));
            let pushed = queue.try_push(2).is_ok();
            seen[usize::from(pushed)].hit();
            assert!(queue.try_pop().is_ok());
        })
    };
    play(main, vec![pusher, other]);
}

#[test]
fn room_is_seen() {
    let outcomes = &["the first was before", "the other was faster"];
    explore("queue: room at last", BOUND_OF_LONG, 20, &[0, 1], outcomes, room_at_last);
}

/// One thread looks how many values there are while another pushes one and pops it. Fails with [`Flaw::TailSeenFirst`].
fn looked_at(main: usize, seen: Seen) {
    let queue = used(Queue::unbounded(), 9);
    let looker = {
        let queue = Arc::clone(&queue);
        role(move || {
            let length = queue.len();
            assert!(length <= 1, "{length} values were seen where there was one at most");
            seen[length].hit();
        })
    };
    let other = {
        let queue = Arc::clone(&queue);
        role(move || {
            assert!(queue.push(0).is_ok());
            assert_eq!(queue.pop(), Ok(0));
        })
    };
    play(main, vec![looker, other]);
}

#[test]
fn a_length_is_never_negative() {
    let outcomes = &["no value was there", "one was there"];
    explore("queue: looked at", Bound::Unbounded, 5, &[0, 1], outcomes, looked_at);
}

/// Two threads pop one value each, and a third pushes both. Fails with [`Flaw::EntersUnlooked`].
fn two_poppers(main: usize, seen: Seen) {
    let queue = used(Queue::unbounded(), 9);
    let popped = Popped::default();
    let popper = |number: usize| {
        let (queue, popped) = (Arc::clone(&queue), Arc::clone(&popped));
        role(move || {
            let value = queue.pop().expect("not closed");
            seen[number].hit_if(value == 0);
            note(&popped, value);
        })
    };
    let pusher = {
        let queue = Arc::clone(&queue);
        role(move || (0..2).for_each(|n| assert!(queue.push(n).is_ok())))
    };
    play(main, vec![popper(0), popper(1), pusher]);
    let mut popped = popped.lock().unwrap().clone();
    popped.sort_unstable();
    assert_eq!(popped, [0, 1]);
}

#[test]
fn each_value_goes_to_one() {
    let outcomes = &["the first had the older value", "the second had it"];
    explore("queue: two poppers", BOUND_OF_LONG, 50, &[0, 2], outcomes, two_poppers);
}

/// One thread waits for a value, another for room, in two queues, until both are closed. Fails with
/// [`Flaw::WakesBeforeChange`].
fn closed(main: usize, seen: Seen) {
    let queues = Arc::new((Queue::<usize>::unbounded(), Queue::bounded(1)));
    before(|| assert!(queues.1.push(0).is_ok()));
    let refused = Tally::default();
    let roles: [Role; 3] = [
        {
            let (queues, refused) = (Arc::clone(&queues), refused.clone());
            role(move || {
                seen[0].hit_if(!queues.0.is_closed());
                assert_eq!(queues.0.pop(), Err(Closed));
                refused.add();
            })
        },
        {
            let (queues, refused) = (Arc::clone(&queues), refused.clone());
            role(move || {
                seen[1].hit_if(!queues.1.is_closed());
                assert_eq!(queues.1.push(1).map_err(|error| error.into_inner()), Err(1));
                refused.add();
            })
        },
        {
            let queues = Arc::clone(&queues);
            role(move || {
                queues.0.close();
                queues.1.close();
            })
        },
    ];
    play(main, roles.into());
    assert_eq!(refused.get(), 2);
    assert_eq!((queues.1.pop(), queues.1.pop()), (Ok(0), Err(Closed)));
}

#[test]
fn closing_refuses_all() {
    let outcomes = &["a popper came before the end", "a pusher came before the end"];
    explore("queue: close", BOUND, 50, &[0, 1, 2], outcomes, closed);
}

/// Two threads wait for values of one queue until it is closed. Fails with [`Flaw::AnswersOne`].
fn closed_for_two(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::<usize>::unbounded());
    let refused = Tally::default();
    let popper = || {
        let (queue, refused) = (Arc::clone(&queue), refused.clone());
        role(move || {
            seen[0].hit_if(!queue.is_closed());
            assert_eq!(queue.pop(), Err(Closed));
            refused.add();
        })
    };
    let closer = {
        let queue = Arc::clone(&queue);
        role(move || queue.close())
    };
    play(main, vec![popper(), popper(), closer]);
    assert_eq!(refused.get(), 2);
}

#[test]
fn closing_refuses_both() {
    let outcomes = &["a popper came before the end"];
    explore("queue: close for two", BOUND, 50, &[0, 2], outcomes, closed_for_two);
}

/// One thread pushes, one closes, one pops to the end: a value is popped if its push said so, and only then. Fails with
/// [`Flaw::WakesBeforeChange`].
fn pushed_and_closed(main: usize, seen: Seen) {
    let queue = used(Queue::unbounded(), 9);
    let (pushed, popped) = (Tally::default(), Popped::default());
    let roles: [Role; 3] = [
        {
            let (queue, pushed) = (Arc::clone(&queue), pushed.clone());
            role(move || {
                if queue.push(7).is_ok() {
                    pushed.add();
                }
            })
        },
        {
            let queue = Arc::clone(&queue);
            role(move || queue.close())
        },
        {
            let (queue, popped) = (Arc::clone(&queue), Arc::clone(&popped));
            role(move || queue.iter().for_each(|value| note(&popped, value)))
        },
    ];
    play(main, roles.into());
    seen[pushed.get()].hit();
    assert_eq!(popped.lock().unwrap().len(), pushed.get());
    assert_eq!(queue.len(), 0);
}

#[test]
fn closing_loses_no_value() {
    let outcomes = &["the push came too late", "the value was pushed and popped"];
    explore("queue: pushed and closed", BOUND, 50, &[0, 1, 2], outcomes, pushed_and_closed);
}

/// A thread gives up just as a value comes, and another waits behind it. Who pops the value before the other puts it back.
/// Fails with [`Flaw::LeaverStaysInLine`] and [`Flaw::ServedTakenForLate`].
fn late_popper(main: usize, seen: Seen) {
    let queue = used(Queue::unbounded(), 9);
    let roles: [Role; 3] = [
        {
            let queue = Arc::clone(&queue);
            role(move || match queue.pop_timeout(NOW) {
                Ok(value) => {
                    seen[0].hit();
                    assert!(queue.push(value).is_ok());
                }
                Err(error) => seen[1].hit_if(error == PopTimeoutError::TimedOut),
            })
        },
        {
            let queue = Arc::clone(&queue);
            role(move || assert_eq!(queue.pop(), Ok(7)))
        },
        {
            let queue = Arc::clone(&queue);
            role(move || assert!(queue.push(7).is_ok()))
        },
    ];
    play(main, roles.into());
    assert!(queue.is_empty());
}

#[test]
fn nobody_waits_beside_a_value() {
    let outcomes = &["the value came in time", "the time was up"];
    explore("queue: late popper", BOUND_OF_LONG, 50, &[0, 1, 2], outcomes, late_popper);
}

/// A thread gives up just as room is made, and another waits for it behind: that one gets it. Fails with
/// [`Flaw::LeaverStaysInLine`] and [`Flaw::ServedTakenForLate`].
fn late_pusher(main: usize, seen: Seen) {
    let queue = Arc::new(Queue::bounded(1));
    before(|| assert!(queue.push(0).is_ok()));
    let roles: [Role; 3] = [
        {
            let queue = Arc::clone(&queue);
            role(move || match queue.push_timeout(1, NOW) {
                Ok(()) => {
                    seen[0].hit();
                    assert!(queue.pop().is_ok());
                }
                Err(error) => seen[1].hit_if(error == PushTimeoutError::TimedOut(1)),
            })
        },
        {
            let queue = Arc::clone(&queue);
            role(move || assert!(queue.push(2).is_ok()))
        },
        {
            let queue = Arc::clone(&queue);
            role(move || assert!(queue.pop().is_ok()))
        },
    ];
    play(main, roles.into());
    assert_eq!(queue.len(), 1);
}

#[test]
fn nobody_waits_beside_room() {
    let outcomes = &["room was made in time", "the time was up"];
    // Roles 0 and 1 both push; it takes as long again with role 1 on the main thread.
    explore("queue: late pusher", BOUND_OF_LONG, 50, &[0, 2], outcomes, late_pusher);
}

/// Work that is done with when it is reported, for two threads that wait for that.
struct Work {
    queue: Queue<()>,
    done: UnsafeCell<bool>,
}

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Work {}

/// Two threads wait until the work is done, which a third does. Fails with [`Flaw::AnswersOne`].
fn all_done(main: usize, seen: Seen) {
    let work = Arc::new(Work { queue: Queue::unbounded(), done: UnsafeCell::new(false) });
    before(|| assert!(work.queue.push(()).is_ok()));
    let finisher = || {
        let work = Arc::clone(&work);
        role(move || {
            seen[0].hit_if(!work.queue.is_empty());
            seen[1].hit_if(work.queue.is_empty());
            work.queue.wait_all_done();
            // SAFETY: loom checks that nobody writes.
            assert!(work.done.with(|done| unsafe { *done }));
        })
    };
    let worker = {
        let work = Arc::clone(&work);
        role(move || {
            assert!(work.queue.pop().is_ok());
            // SAFETY: loom checks that nobody else reads or writes.
            work.done.with_mut(|done| unsafe { *done = true });
            assert!(work.queue.task_done().is_ok());
        })
    };
    play(main, vec![finisher(), finisher(), worker]);
    assert!(work.queue.task_done().is_err());
}

#[test]
fn all_done_is_told() {
    let outcomes = &["a thread came before the work was taken", "a thread came after"];
    explore("queue: all done", BOUND, 50, &[0, 2], outcomes, all_done);
}

const fn deadlock(flaw: Flaw, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message: "deadlock", bound: BOUND, mains, model }
}

/// A mistake that lets two threads have one value's memory at a time.
const fn race(flaw: Flaw, mains: &'static [usize], model: crate::stage::Model) -> Case {
    Case { flaw, message: "Causality violation", bound: BOUND, mains, model }
}

const CASES: &[Case] = &[
    race(Flaw::SegmentReusedEarly, &[0, 1], on_to_the_next),
    race(Flaw::SegmentReusedEarly, &[0, 2], two_on_the_next),
    race(Flaw::SegmentReusedEarly, &[0, 1, 2], beyond_others),
    race(Flaw::StampRelaxed, &[0, 1], through_one),
    deadlock(Flaw::EntersUnlooked, &[0, 1], through_one),
    deadlock(Flaw::EntersUnlooked, &[0, 2], two_poppers),
    deadlock(Flaw::EntersUnlooked, &[0, 1], room_at_last),
    Case {
        flaw: Flaw::TailSeenFirst,
        message: "values were seen where there was one at most",
        bound: BOUND,
        mains: &[0, 1],
        model: looked_at,
    },
    deadlock(Flaw::AnswersOne, &[0, 2], closed_for_two),
    deadlock(Flaw::AnswersOne, &[0, 2], all_done),
    deadlock(Flaw::WakesBeforeChange, &[0, 1, 2], closed),
    deadlock(Flaw::WakesBeforeChange, &[0, 1, 2], pushed_and_closed),
    // With the other roles it takes more preemptions, or minutes.
    deadlock(Flaw::LeaverStaysInLine, &[0, 1], late_popper),
    deadlock(Flaw::ServedTakenForLate, &[0], late_popper),
    deadlock(Flaw::LeaverStaysInLine, &[0, 1], late_pusher),
    deadlock(Flaw::ServedTakenForLate, &[0], late_pusher),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sync_queue::seeded_bugs_are_found", CASES);
}
