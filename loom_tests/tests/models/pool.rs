//! Whole pools, small, through the front door: what is asked for is done, here or there, and the pool's end comes in every
//! interleaving.
//!
//! The main thread is the one outside: a pool's threads are its own. Checked to the bounds below under loom's model.

use crate::common::Bound;
use crate::stage::{BOUND, BOUND_OF_SLOW, Case, Model, Seen, before, deadlock, explore, settled};
use loom::thread::{ThreadId, current, yield_now};
use purloin_loom::internals::primitive::Flaw;
use purloin_loom::{JoinError, Pool};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use test_fork::test;

/// A pool that starts no more threads than it has cores.
fn new_pool(cores: usize) -> Pool {
    Pool::builder().cores(cores).max_threads(cores).build().expect("a modelled pool")
}

/// A pool whose threads have started and gone to sleep.
fn pool(cores: usize) -> Pool {
    before(|| {
        let pool = new_pool(cores);
        (0..cores).for_each(|_| yield_now());
        pool
    })
}

fn owns(owner: ThreadId) -> bool {
    current().id() == owner
}

/// A panic that calls no hook. It is caught before it leaves the pool: all of loom's threads are one to the standard
/// library, so while one of them unwinds, any that lets go of a lock poisons it.
fn panic_with(payload: usize) -> ! {
    resume_unwind(Box::new(payload))
}

fn payload_of(payload: Box<dyn Any + Send>) -> usize {
    *payload.downcast().expect("the payload of `panic_with`")
}

// ---- the end

/// A pool of two that nobody asks for anything. Fails with [`Flaw::WatcherForgotten`].
fn unused(_: usize, seen: Seen) {
    drop(new_pool(2));
    seen[0].hit();
}

/// A pool of one that is dropped while its thread is at work, or asleep, or about to be. Fails with
/// [`Flaw::WatcherForgotten`].
fn task_then_drop(_: usize, seen: Seen) {
    let pool = pool(1);
    let task = pool.spawn(|| 7);
    seen[0].hit_if(task.is_finished());
    seen[1].hit_if(!task.is_finished());
    drop(pool);
    assert!(task.is_finished(), "the pool ended before its task");
    assert_eq!(task.join().expect("it was spawned before the end"), 7);
}

/// A pool of two that is dropped while a thread of its that was woken for a fork may still be looking for it. Fails with
/// [`Flaw::GuestKeepsCore`].
fn join_then_drop(_: usize, seen: Seen) {
    let pool = pool(2);
    let owner = current().id();
    let (_, stolen) = pool.join(|| (), || !owns(owner));
    drop(pool);
    seen[0].hit_if(stolen);
    seen[1].hit_if(!stolen);
}

#[test]
fn pools_end() {
    explore("unused", BOUND, 100, &[0], &["the pool ended"], unused);
    let outcomes = &["the task was over before the pool was dropped", "the task was not over yet"];
    explore("task, then drop", BOUND, 100, &[0], outcomes, task_then_drop);
    explore("join, then drop", BOUND, 100, &[0], FORK, join_then_drop);
}

// ---- forks and scopes

/// The outcomes of a fork.
const FORK: &[&str] = &["the fork was stolen", "the caller ran its fork itself"];

/// A caller from outside, in a pool of two. Fails with [`Flaw::LatchSetRelaxed`].
fn join(_: usize, seen: Seen) {
    let pool = pool(2);
    let owner = current().id();
    let (own, stolen) = pool.join(|| owns(owner), || !owns(owner));
    settled();
    assert!(own, "the first half runs where it was called");
    seen[0].hit_if(stolen);
    seen[1].hit_if(!stolen);
}

/// The second half panics, wherever it runs. Fails with [`Flaw::PanicLeavesLatch`].
fn join_whose_second_half_panics(_: usize, seen: Seen) {
    let pool = pool(2);
    let owner = current().id();
    let second = || {
        seen[0].hit_if(!owns(owner));
        seen[1].hit_if(owns(owner));
        panic_with(2)
    };
    let joined = pool.install(|| catch_unwind(AssertUnwindSafe(|| pool.join(|| (), second))));
    settled();
    assert_eq!(payload_of(joined.expect_err("the panic was lost")), 2);
}

/// The first half panics; the second is dropped unrun, or run and waited for. Fails with [`Flaw::LatchTouchedAfterSet`].
fn join_whose_first_half_panics(_: usize, seen: Seen) {
    let pool = pool(2);
    let first = || -> () { panic_with(1) };
    let joined = pool.install(|| catch_unwind(AssertUnwindSafe(|| pool.join(first, || seen[0].hit()))));
    settled();
    assert_eq!(payload_of(joined.expect_err("the panic was lost")), 1);
    seen[1].hit();
}

/// A scope with two tasks, in a pool of two. Fails with [`Flaw::EndsUntold`].
fn scope(_: usize, seen: Seen) {
    let pool = pool(2);
    let owner = current().id();
    let mut stolen = [None; 2];
    let [first, second] = &mut stolen;
    pool.scope(|s| {
        s.spawn(|| *first = Some(!owns(owner)));
        s.spawn(|| *second = Some(!owns(owner)));
    });
    settled();
    let stolen = stolen.map(|stolen| stolen.expect("the scope ended before its tasks"));
    seen[0].hit_if(stolen == [false, false]);
    seen[1].hit_if(stolen == [true, true]);
    seen[2].hit_if(stolen[0] != stolen[1]);
}

#[test]
fn forks_are_joined() {
    explore("join", BOUND, 100, &[0], FORK, join);
    explore("join, second half panics", BOUND, 100, &[0], FORK, join_whose_second_half_panics);
    let outcomes = &["the second half was run", "the panic came through"];
    explore("join, first half panics", BOUND, 100, &[0], outcomes, join_whose_first_half_panics);
}

#[test]
fn scopes_end() {
    let outcomes = &["the owner ran both tasks", "a thief ran both tasks", "each ran one"];
    explore("scope", BOUND, 100, &[0], outcomes, scope);
}

// ---- tasks

/// A task that forks, in a pool of one. Fails with [`Flaw::LatchSetRelaxed`].
fn task_that_forks(_: usize, seen: Seen) {
    let pool = pool(1);
    let inner = pool.clone();
    let task = pool.spawn(move || inner.join(|| 1, || 2));
    seen[0].hit_if(task.is_finished());
    seen[1].hit_if(!task.is_finished());
    assert_eq!(task.join().expect("it does not panic"), (1, 2));
}

/// A task that panics, joined from outside. Fails with [`Flaw::LatchSetRelaxed`].
fn task_that_panics(_: usize, seen: Seen) {
    let pool = pool(1);
    let joined = pool.spawn(|| -> () { panic_with(3) }).join();
    let JoinError::Panicked(payload) = joined.expect_err("the panic was lost") else {
        unreachable!("the pool is open");
    };
    assert_eq!(payload_of(payload.into_inner()), 3);
    seen[0].hit();
}

/// A guest joins a task that it has spawned: it runs it itself, or waits for the thread that does. Fails with
/// [`Flaw::TaskClaimedByStore`].
fn task_joined_inside(_: usize, seen: Seen) {
    let pool = pool(2);
    let own = pool.install(|| {
        let owner = current().id();
        pool.spawn(move || owns(owner)).join().expect("it does not panic")
    });
    settled();
    seen[0].hit_if(own);
    seen[1].hit_if(!own);
}

#[test]
fn tasks_are_joined() {
    let outcomes = &["the task was over before it was joined", "the task was not over yet"];
    explore("task that forks", BOUND_OF_SLOW, 100, &[0], outcomes, task_that_forks);
    explore("task that panics", BOUND_OF_SLOW, 100, &[0], &["the panic came through"], task_that_panics);
    let outcomes = &["who joined the task ran it", "another thread ran it"];
    explore("task joined inside", BOUND, 100, &[0], outcomes, task_joined_inside);
}

/// A mistake that lets two threads use one thing at a time.
const fn race(flaw: Flaw, model: Model) -> Case {
    Case { flaw, message: "Causality violation", bound: BOUND, mains: &[0], model }
}

const CASES: &[Case] = &[
    deadlock(Flaw::WatcherForgotten, &[0], unused),
    deadlock(Flaw::WatcherForgotten, &[0], task_then_drop),
    deadlock(Flaw::GuestKeepsCore, &[0], join_then_drop),
    race(Flaw::LatchSetRelaxed, join),
    deadlock(Flaw::PanicLeavesLatch, &[0], join_whose_second_half_panics),
    race(Flaw::LatchTouchedAfterSet, join_whose_first_half_panics),
    deadlock(Flaw::EndsUntold, &[0], scope),
    Case { bound: Bound::AtMost(1), ..race(Flaw::LatchSetRelaxed, task_that_forks) },
    Case { bound: Bound::AtMost(1), ..race(Flaw::LatchSetRelaxed, task_that_panics) },
    race(Flaw::TaskClaimedByStore, task_joined_inside),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("pool::seeded_bugs_are_found", CASES);
}
