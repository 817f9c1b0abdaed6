//! A scope ends when all its tasks have, not earlier and not never: whoever spawns them, wherever they run, and whatever
//! becomes of the offers through which thieves find them.
//!
//! Checked to the bound of `common` under loom's model.

use crate::stage::{
    BOUND, BOUND_OF_HUGE, BOUND_OF_LARGE, BOUND_OF_SLOW, Case, Seen, Tally, before, busy, deadlock, explore, play,
    registry, role, settled, signal, thread,
};
use loom::thread::{ThreadId, current, yield_now};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::scope::{Scope, scope_on};
use purloin_loom::internals::thread::{in_pool, run_thread};
use purloin_loom::internals::worker::Worker;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use test_fork::test;

/// A scope's owner, at work on one of two cores, and a thread of the pool that sleeps. The owner is role 0.
fn owner_and_thief(main: usize, owner: impl FnOnce(&Worker) + 'static) {
    let (registry, mut places) = registry(2, 2);
    let core = busy(&registry, &places[0]);
    let thief = thread(&registry, places.remove(1), 1);
    let owner = role(move || {
        Worker::enter(&registry, core, owner);
        registry.close();
    });
    play(main, vec![owner, thief]);
}

/// What tasks borrow from outside the scope, for ever: to tell who uses it when the scope is over.
#[derive(Default)]
struct Borrowed {
    over: Tally,
    late: Tally,
}

impl Borrowed {
    fn new() -> &'static Self {
        Box::leak(Box::default())
    }

    fn touch(&self) {
        if self.over.get() > 0 {
            self.late.add();
        }
    }

    /// The scope is over.
    fn end(&self) {
        self.over.add();
        settled();
    }

    fn check(&self) {
        assert_eq!(self.late.get(), 0, "used after the scope's end");
    }
}

fn owns(owner: ThreadId) -> bool {
    current().id() == owner
}

// ---- the count

/// A task spawns another: each runs here or there, and the scope outlasts both. Fails with [`Flaw::EndsUntold`].
fn nested(main: usize, seen: Seen) {
    let (env, ran) = (Borrowed::new(), Tally::default());
    let runs = ran.clone();
    owner_and_thief(main, move |worker| {
        let owner = current().id();
        scope_on(worker, |s| {
            let runs = &runs;
            s.spawn(move || {
                env.touch();
                runs.add();
                let outer = owns(owner);
                s.spawn(move || {
                    env.touch();
                    runs.add();
                    let inner = owns(owner);
                    for (ways, seen) in
                        [(true, true), (true, false), (false, true), (false, false)].into_iter().zip(seen)
                    {
                        seen.hit_if((outer, inner) == ways);
                    }
                });
            });
        });
        env.end();
    });
    env.check();
    assert_eq!(ran.get(), 2, "a task was not run");
}

#[test]
fn nested_tasks_end_first() {
    let outcomes = &[
        "the owner ran both tasks",
        "a thief ran the inner task",
        "a thief spawned the inner task, which the owner ran",
        "a thief ran both tasks",
    ];
    explore("nested tasks", BOUND_OF_LARGE, 100, &[0, 1], outcomes, nested);
}

/// A result that borrows from outside the scope, and uses that as it is dropped.
struct Borrower<'env>(&'env Borrowed);

impl Drop for Borrower<'_> {
    fn drop(&mut self) {
        self.0.touch();
    }
}

/// A task's handle is dropped while the task ends: whoever drops the result, does so within the scope. Fails with
/// [`Flaw::EndedEarly`].
fn unwanted_result(main: usize, seen: Seen) {
    let env = Borrowed::new();
    owner_and_thief(main, move |worker| {
        let owner = current().id();
        scope_on(worker, |s| {
            let handle = s.spawn(move || {
                seen[0].hit_if(!owns(owner));
                Borrower(env)
            });
            seen[1].hit_if(handle.is_finished());
            drop(handle);
        });
        env.end();
    });
    env.check();
}

#[test]
fn unwanted_results_are_dropped_within() {
    let outcomes = &["a thief ran the task", "the task had ended when its handle was dropped"];
    explore("unwanted result", BOUND_OF_SLOW, 100, &[0, 1], outcomes, unwanted_result);
}

/// A task panics, and nobody joins it: the scope does, with the task's payload. Fails with [`Flaw::PanicUncounted`].
fn panicking_task(main: usize, seen: Seen) {
    owner_and_thief(main, move |worker| {
        let owner = current().id();
        let ended = catch_unwind(AssertUnwindSafe(|| {
            scope_on(worker, |s| {
                s.spawn(|| {
                    seen[0].hit_if(owns(owner));
                    seen[1].hit_if(!owns(owner));
                    // No hook is called.
                    resume_unwind(Box::new(7))
                });
            });
        }));
        let payload = ended.expect_err("the scope ended well though its task panicked");
        assert_eq!(payload.downcast_ref(), Some(&7), "the scope panicked with something else");
        settled();
    });
}

#[test]
fn panics_reach_the_scope() {
    let outcomes = &["the owner ran the task", "a thief ran the task"];
    explore("panicking task", BOUND, 100, &[0, 1], outcomes, panicking_task);
}

// ---- offers

/// Tasks are added while a thief is about to find the queue empty. The owner waits for the last of them as blocking code
/// does, so a task without an offer is never run. Fails with [`Flaw::OfferClearedLate`].
fn offer_consumed(main: usize, seen: Seen) {
    owner_and_thief(main, move |worker| {
        let ((second_added, wait_for_second), (done, wait)) = (signal(), signal());
        scope_on(worker, |s| {
            s.spawn(move || wait_for_second.wait());
            // Offered, but taken by the thief that runs the first.
            s.spawn(|| ());
            second_added.give();
            // Comes before or after that thief finds nothing behind the second offer.
            s.spawn(move || {
                settled();
                let taken = Worker::current().expect("tasks are run by workers").core().counters.steals.get();
                seen[usize::from(taken > 1)].hit();
                done.give();
            });
            wait.wait();
        });
    });
}

#[test]
fn no_task_lacks_an_offer() {
    let outcomes = &["the thief found the last task behind the first offer", "it came for it by another offer"];
    explore("offer consumed", BOUND_OF_HUGE, 100, &[0, 1], outcomes, offer_consumed);
}

/// A thread that waits for a stolen job helps with a scope within that job, and what it runs spawns again. All other
/// threads of the pool wait too, so nobody else sees to what it leaves. Fails with [`Flaw::EndsUntold`].
fn helper(main: usize, seen: Seen) {
    let (registry, places) = registry(2, 2);
    let cores: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    let joiner = {
        let (registry, core) = (Arc::clone(&registry), cores[0]);
        role(move || {
            let joiner = current().id();
            let (offered, wait) = signal();
            let scope = move || {
                scope_on(Worker::current().expect("forks are run by workers"), |s: &Scope| {
                    s.spawn(move || {
                        let helped = owns(joiner);
                        s.spawn(move || {
                            seen[0].hit_if(helped);
                            seen[1].hit_if(!helped);
                        });
                    });
                    offered.give();
                })
            };
            Worker::enter(&registry, core, |worker| join_on(worker, || wait.wait(), scope));
        })
    };
    let thief = role(move || {
        Worker::enter(&registry, cores[1], |worker| {
            let fork = loop {
                match worker.find_work() {
                    Some(fork) => break fork,
                    None => yield_now(),
                }
            };
            worker.run(fork);
        });
    });
    play(main, vec![joiner, thief]);
}

#[test]
fn helpers_leave_nothing_behind() {
    let outcomes =
        &["the helper ran the first task, and so spawned the second", "the scope's owner ran the first task itself"];
    explore("helper", BOUND, 100, &[0, 1], outcomes, helper);
}

/// Two tasks that wait for each other, a scope's owner that waits for both, one offer and two thieves: whoever takes the
/// offer passes it on. The threads are the pool's own, and asleep, so the owner has the main thread. Fails with
/// [`Flaw::OfferNotRepeated`].
fn two_thieves(_: usize, seen: Seen) {
    let registry = before(|| {
        let registry = Registry::start(crate::stage::options(3, 3), run_thread).expect("modelled threads start");
        (0..3).for_each(|_| yield_now());
        registry
    });
    let begun = Tally::default();
    in_pool(&registry, |worker| {
        let ((first, for_second), (second, for_first)) = (signal(), signal());
        let ((one_done, one), (other_done, other)) = (signal(), signal());
        scope_on(worker, |s| {
            let begun = &begun;
            let begin = move || {
                begun.add();
                if begun.get() == 2 {
                    settled();
                }
            };
            s.spawn(move || {
                begin();
                seen[0].hit_if(begun.get() == 1);
                first.give();
                for_first.wait();
                one_done.give();
            });
            s.spawn(move || {
                begin();
                seen[1].hit_if(begun.get() == 1);
                second.give();
                for_second.wait();
                other_done.give();
            });
            one.wait();
            other.wait();
        });
    });
    registry.close();
}

#[test]
fn two_thieves_share_an_offer() {
    let outcomes = &["the first task began before the second", "the second began before the first"];
    explore("two thieves", BOUND_OF_HUGE, 100, &[0], outcomes, two_thieves);
}

const CASES: &[Case] = &[
    // The count of a scope falls before all of a task is gone.
    Case {
        flaw: Flaw::EndedEarly,
        message: "used after the scope's end",
        bound: BOUND,
        mains: &[0, 1],
        model: unwanted_result,
    },
    // The ends of tasks are counted in passing, and here forgotten.
    deadlock(Flaw::EndsUntold, &[0, 1], nested),
    deadlock(Flaw::EndsUntold, &[0, 1], helper),
    deadlock(Flaw::PanicUncounted, &[0, 1], panicking_task),
    // A flag cleared on the wrong side of the look at what it stands for.
    deadlock(Flaw::OfferClearedLate, &[0, 1], offer_consumed),
    // One wake for two tasks, and nobody to pass it on.
    deadlock(Flaw::OfferNotRepeated, &[0], two_thieves),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("scope::seeded_bugs_are_found", CASES);
}
