//! Tasks of a pool that wait for each other in every way that `sync` has, with and without time-outs.

use crate::common::{DEADLOCK, ENDLESS, Witness, assertion, builder, cores, deadlock, find_all, play, random};
use purloin_shuttle::internals::primitive::Flaw;
use purloin_shuttle::sync::{Barrier, Condvar, Event, Latch, Monitor, Mutex, OnceLock, Queue, Semaphore};
use purloin_shuttle::{Pool, blocking, join};
use shuttle::thread::yield_now;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// A pool that may have as many threads as it likes: a program whose tasks wait for each other may need them.
fn pool() -> Pool {
    builder(cores()).build().unwrap()
}

/// Long or short is the same to the schedule, which says when it is over.
const A_WHILE: Duration = Duration::from_millis(2);

static HANDED_OVER: Witness = Witness::new("another thread had the core of one that waited");
static CONDVAR_EXPIRED: Witness = Witness::new("the time for a condition variable was over");
static CONDVAR_NOTIFIED: Witness = Witness::new("a condition variable notified in time");

/// A bounded buffer of a mutex and two condition variables: two produce, two consume.
fn buffer() {
    let pool = pool();
    let (values, filled, emptied) = (Mutex::new(VecDeque::new()), Condvar::new(), Condvar::new());
    let room = 1 + (random() % 2) as usize;
    let consumed = AtomicUsize::new(0);
    pool.scope(|s| {
        for producer in 0..2 {
            let (values, filled, emptied) = (&values, &filled, &emptied);
            s.spawn(move || {
                for value in 0..2 {
                    let mut held = emptied.wait_while(values.lock(), |values| values.len() == room);
                    held.push_back(1 << (4 * producer + value));
                    drop(held);
                    filled.notify_one();
                }
            });
        }
        for _ in 0..2 {
            s.spawn(|| {
                for _ in 0..2 {
                    let mut held = values.lock();
                    while held.is_empty() {
                        if random().is_multiple_of(2) {
                            held = filled.wait(held);
                        } else {
                            let (again, waited) = filled.wait_for(held, A_WHILE);
                            held = again;
                            CONDVAR_EXPIRED.hit_if(waited.timed_out());
                            CONDVAR_NOTIFIED.hit_if(!waited.timed_out());
                        }
                    }
                    consumed.fetch_add(held.pop_front().unwrap_or(0), Relaxed);
                    drop(held);
                    emptied.notify_one();
                }
            });
        }
    });
    assert_eq!(consumed.load(Relaxed), 0b11_0011, "each value was consumed once");
    HANDED_OVER.hit_if(pool.stats().peak_threads > pool.cores());
}

#[test]
fn buffer_of_condition_variables() {
    play("buffer", 4000, buffer).with(&[&HANDED_OVER, &CONDVAR_EXPIRED, &CONDVAR_NOTIFIED]);
}

static PUSHED_TOO_LATE: Witness = Witness::new("the time for a push was over");
static POPPED_TOO_LATE: Witness = Witness::new("the time for a pop was over");
static POPPED_IN_TIME: Witness = Witness::new("a pop with a time-out had a value");

/// A queue that is closed once all is pushed, or in the middle of it.
fn queue() {
    let pool = pool();
    let queue = Queue::bounded(1 + (random() % 2) as usize);
    let early = random().is_multiple_of(3);
    let (pushed, popped) = (AtomicUsize::new(0), AtomicUsize::new(0));
    pool.scope(|s| {
        let producers: Vec<_> = (0..2)
            .map(|_| {
                s.spawn(|| {
                    for value in 1..=3 {
                        let taken = if random().is_multiple_of(2) {
                            queue.push(value).is_ok()
                        } else {
                            queue.push_timeout(value, A_WHILE).is_ok()
                        };
                        PUSHED_TOO_LATE.hit_if(!taken && !early);
                        pushed.fetch_add(if taken { value } else { 0 }, Relaxed);
                    }
                })
            })
            .collect();
        for _ in 0..3 {
            s.spawn(|| {
                loop {
                    let value = if random().is_multiple_of(2) {
                        queue.pop()
                    } else {
                        match queue.pop_timeout(A_WHILE) {
                            Ok(value) => {
                                POPPED_IN_TIME.hit_if(true);
                                Ok(value)
                            }
                            Err(_) => {
                                POPPED_TOO_LATE.hit_if(!queue.is_closed());
                                queue.pop()
                            }
                        }
                    };
                    let Ok(value) = value else { break };
                    popped.fetch_add(value, Relaxed);
                    queue.task_done().unwrap();
                }
            });
        }
        if early {
            queue.close();
        }
        for producer in producers {
            producer.join().unwrap();
        }
        queue.wait_all_done();
        queue.close();
    });
    assert_eq!(pushed.load(Relaxed), popped.load(Relaxed), "what was pushed was popped");
}

#[test]
fn queue_and_its_end() {
    play("queue", 3000, queue).with(&[&PUSHED_TOO_LATE, &POPPED_TOO_LATE, &POPPED_IN_TIME]);
}

static PERMIT_TOO_LATE: Witness = Witness::new("the time for a permit was over");
static PERMIT_FOR_TWO: Witness = Witness::new("two had a permit at once");

/// Permits, more or fewer of which each of four wants, and a fork whose second half gives what the first waits for.
fn semaphore() {
    let pool = pool();
    let semaphore = Semaphore::new(3);
    let inside = AtomicUsize::new(0);
    let given = Semaphore::new(0);
    pool.scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                let wanted = 1 + (random() % 3) as usize;
                let permit = if random().is_multiple_of(2) {
                    semaphore.acquire(wanted).ok()
                } else {
                    semaphore.acquire_timeout(wanted, A_WHILE).ok()
                };
                PERMIT_TOO_LATE.hit_if(permit.is_none());
                let Some(_permit) = permit else { return };
                let others = inside.fetch_add(wanted, Relaxed);
                PERMIT_FOR_TWO.hit_if(others > 0);
                assert!(others + wanted <= 3, "more permits are out than there are");
                // Steps in which the others may come.
                (0..random() % 16).for_each(|_| yield_now());
                inside.fetch_sub(wanted, Relaxed);
            });
        }
        s.spawn(|| {
            let (first, second) = join(|| given.acquire(1).is_ok(), || given.add_permits(1).is_ok());
            assert!(first && second);
        });
    });
    assert_eq!(semaphore.available(), 3, "all permits came back");
}

#[test]
fn semaphore_for_many() {
    play("semaphore", 4000, semaphore).with(&[&PERMIT_TOO_LATE, &PERMIT_FOR_TWO]);
}

static BARRIER_LATE: Witness = Witness::new("a thread left a barrier as its time was over");
static EVENT_LATE: Witness = Witness::new("the time for an event was over");

/// Barrier, event, latch and a value made once.
fn gates() {
    let pool = pool();
    let (barrier, started, left, made) = (Barrier::new(3), Event::new(), Latch::new(3), OnceLock::new());
    let leaders = AtomicUsize::new(0);
    let makers = AtomicUsize::new(0);
    pool.scope(|s| {
        for number in 0..3 {
            let (barrier, started, left, made) = (&barrier, &started, &left, &made);
            let (leaders, makers) = (&leaders, &makers);
            s.spawn(move || {
                if random().is_multiple_of(2) {
                    started.wait();
                } else {
                    EVENT_LATE.hit_if(started.wait_timeout(A_WHILE).is_err());
                }
                for _ in 0..2 {
                    // Who leaves as its time is over comes again.
                    let mut result = if random().is_multiple_of(2) { Some(barrier.wait()) } else { None };
                    while result.is_none() {
                        result = barrier.wait_timeout(A_WHILE).ok();
                        BARRIER_LATE.hit_if(result.is_none());
                    }
                    leaders.fetch_add(usize::from(result.is_some_and(|result| result.is_leader())), Relaxed);
                }
                made.get_or_init(|| {
                    makers.fetch_add(1, Relaxed);
                    blocking(|| number)
                });
                left.count_down();
                left.wait();
            });
        }
        started.set();
        left.wait();
        assert_eq!(makers.load(Relaxed), 1, "the value was made once");
    });
    assert_eq!(leaders.load(Relaxed), 2, "each generation has one leader");
    assert!(made.get().is_some_and(|&made| made < 3));
}

#[test]
fn barrier_event_latch_once() {
    play("gates", 3000, gates).with(&[&BARRIER_LATE, &EVENT_LATE]);
}

static CONDITION_TOO_LATE: Witness = Witness::new("the time for a condition was over");

/// A monitor over three numbers: each of three tasks waits for the one before.
fn monitor() {
    let pool = pool();
    let turn = Monitor::new(0);
    pool.scope(|s| {
        for mine in [2, 0, 1] {
            let turn = &turn;
            s.spawn(move || {
                let condition =
                    |mut turn: purloin_shuttle::sync::MonitorState<'_, i32>| (*turn == mine).then(|| *turn += 1);
                if random().is_multiple_of(2) {
                    return turn.wait_until(condition);
                }
                while turn.wait_until_for(condition, A_WHILE).is_none() {
                    CONDITION_TOO_LATE.hit_if(true);
                }
            });
        }
    });
    assert_eq!(turn.into_inner(), 3);
}

#[test]
fn monitor_takes_turns() {
    play("monitor", 3000, monitor).with(&[&CONDITION_TOO_LATE]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "blocking::mistakes_are_found",
        &[
            deadlock(Flaw::HandOverForgetsPrivate, 4000, semaphore),
            deadlock(Flaw::WaitsUnmarked, 4000, semaphore),
            // A permit too many lets in one too many, or is there at the end.
            assertion(Flaw::LeaverGivesBack, &["more permits are out", "all permits came back"], 4000, semaphore),
            deadlock(Flaw::LeaverStaysInLine, 3000, queue),
            // A permit that is lost is missed by whoever waits for it, or at the end, whichever comes first.
            assertion(Flaw::ServedTakenForLate, &[DEADLOCK, "all permits came back"], 4000, semaphore),
            deadlock(Flaw::AnswersOne, 3000, queue),
            deadlock(Flaw::WakesBeforeChange, 3000, queue),
            deadlock(Flaw::EntersUnlooked, 3000, queue),
            deadlock(Flaw::UnlocksBeforeEntering, 4000, buffer),
            assertion(Flaw::HolderNotCleared, &["deadlock: a thread locks again what it holds"], 4000, buffer),
            deadlock(Flaw::OfferNotRepeated, 4000, buffer),
            // Who is not called waits for ever, or, with a time limit, again and again.
            assertion(Flaw::MonitorKeepsCall, &[DEADLOCK, ENDLESS], 3000, monitor),
        ],
    );
}
