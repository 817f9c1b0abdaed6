//! A pool that is closed or terminated ends, whatever else goes on: every task is run or cancelled, every region is run,
//! every thread ends, and whoever waits for any of these gets to know.
//!
//! All threads of an execution must end, so one that is forgotten is a deadlock to loom. Checked to the bound of `common`
//! under loom's model.

use crate::common::{Bound, check};
use crate::stage::{
    BOUND, BOUND_OF_HUGE, BOUND_OF_LARGE, BOUND_OF_SLOW, Case, Role, Seen, UNSEEN, before, busy, deadlock, explore,
    options, play, registry, registry_with, role, settled, signal, thread,
};
use loom::thread::{ThreadId, current};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::scope::scope_on;
use purloin_loom::internals::seat::{Place, with_place};
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::thread::{in_pool, run_thread};
use purloin_loom::internals::worker::{Worker, without_core};
use purloin_loom::{JoinError, Pool};
use std::sync::Mutex;
use test_fork::test;

/// Waits as `Pool::join_threads` does.
fn wait_for_threads(registry: &Registry) {
    assert_eq!(with_place(|place| registry.wait_for_threads(place, None)), 0, "threads were left");
}

// ---- tasks

/// A task is spawned while the pool is shut. When all threads have ended, it must have too.
fn spawn_and(main: usize, seen: Seen, shut: fn(&Registry)) {
    let (registry, mut places) = registry(1, 1);
    let handle = Arc::new(Mutex::new(None));
    let spawner = {
        let (registry, handle) = (Arc::clone(&registry), Arc::clone(&handle));
        role(move || {
            let spawned = spawn_in(&registry, settled);
            *handle.lock().expect("nobody panics here") = Some(spawned);
        })
    };
    let pool = Arc::clone(&registry);
    let closer = role(move || shut(&pool));
    play(main, vec![thread(&registry, places.remove(0), 0), spawner, closer]);
    let handle = handle.lock().expect("nobody panics here").take().expect("it was spawned");
    // Who joined it first might run it.
    assert!(handle.is_finished(), "a task was left behind");
    match handle.join() {
        Ok(()) => seen[0].hit(),
        Err(JoinError::Cancelled) => seen[1].hit(),
        Err(other) => unreachable!("{other}"),
    }
}

/// By [`Registry::close`]. Fails with [`Flaw::SubmittedTooLate`].
fn spawn_and_close(main: usize, seen: Seen) {
    spawn_and(main, seen, Registry::close);
}

/// By [`Registry::terminate`]. Fails with [`Flaw::SubmittedTooLate`].
fn spawn_and_terminate(main: usize, seen: Seen) {
    spawn_and(main, seen, Registry::terminate);
}

#[test]
fn a_task_is_run_or_cancelled() {
    let outcomes = &["the task was run", "the task was cancelled"];
    explore("spawn and close", BOUND, 100, &[0, 1, 2], outcomes, spawn_and_close);
    explore("spawn and terminate", BOUND_OF_HUGE, 100, &[0, 1], outcomes, spawn_and_terminate);
    // The task is run before it is cancelled with two preemptions, not with one.
    explore("spawn and terminate", BOUND_OF_HUGE, 100, &[2], &[UNSEEN, outcomes[1]], spawn_and_terminate);
}

/// A pool whose last handle may be dropped in one of its own tasks, on its own thread. Fails with [`Flaw::WaitsForItself`].
fn last_handle(_: usize, seen: Seen) {
    let pool = Pool::new(1).expect("a modelled pool");
    let handle = Arc::new(());
    let (inner, held) = (pool.clone(), Arc::clone(&handle));
    let task = pool.spawn(move || {
        drop(inner);
        Arc::strong_count(&held) == 1
    });
    drop(pool);
    drop(handle);
    let last = task.join().expect("the task was queued before the pool was closed");
    seen[0].hit_if(last);
    seen[1].hit_if(!last);
}

#[test]
fn the_last_handle_may_be_dropped_inside() {
    let outcomes = &["the task dropped its handle last", "the task dropped its handle first"];
    explore("last handle", BOUND_OF_SLOW, 100, &[0], outcomes, last_handle);
}

/// Runs a region of the pool when it is dropped.
struct RunsRegion {
    registry: Arc<Registry>,
    spawner: ThreadId,
    seen: Seen,
}

impl Drop for RunsRegion {
    fn drop(&mut self) {
        in_pool(&self.registry, |_| settled());
        self.seen[0].hit_if(current().id() == self.spawner);
        self.seen[1].hit_if(current().id() != self.spawner);
    }
}

/// The pool's last thread finds nothing to do, and goes to sleep.
type Rests = fn(&Registry, usize, &Place);

/// A task comes when the pool's last thread has found nothing to do, and is cancelled by it or by its spawner: what the task
/// holds uses the pool when it is dropped, with a core that is given back.
fn region_of(main: usize, seen: Seen, rests: Rests) {
    let (registry, mut places) = registry(1, 1);
    let place = places.remove(0);
    let core = busy(&registry, &place);
    let last = {
        let pool = Arc::clone(&registry);
        role(move || {
            pool.close();
            rests(&pool, core, &place);
            run_thread(pool, place, None, 0);
        })
    };
    let pool = Arc::clone(&registry);
    let spawner = role(move || {
        let spawner = current().id();
        let runs = RunsRegion { registry: Arc::clone(&pool), spawner, seen };
        drop(spawn_in(&pool, move || drop(runs)));
    });
    play(main, vec![last, spawner]);
    assert_eq!(registry.sleep.standstill(), None, "somebody is away who is not there");
    assert_eq!(registry.sleep.try_take(), Some(0), "the core was not given back");
}

/// The thread sleeps when it is a worker no more. Fails if it is one still.
fn region_of_a_sleeper(main: usize, seen: Seen) {
    region_of(main, seen, |pool, core, place| {
        Worker::enter(pool, core, |worker| worker.work(None)).rest(pool, place);
    });
}

/// The mistake: the thread sleeps while it is a worker still, which has no core and is not counted as away.
fn region_of_a_worker(main: usize, seen: Seen) {
    region_of(main, seen, |pool, core, place| {
        Worker::enter(pool, core, |worker| worker.work(None).rest(pool, place));
    });
}

#[test]
fn a_sleepers_drops_may_use_the_pool() {
    let outcomes = &["the spawner dropped it", "the pool's thread dropped it"];
    explore("region of a sleeper", BOUND_OF_LARGE, 100, &[0, 1], outcomes, region_of_a_sleeper);
}

// ---- threads

/// Two wait for the pool's only thread to end, one of whom has closed the pool. Fails with [`Flaw::WatcherForgotten`].
fn watchers(main: usize, seen: Seen) {
    let (registry, mut places) = registry(1, 1);
    let mut roles: Vec<Role> = vec![thread(&registry, places.remove(0), 0)];
    for closes in [true, false] {
        let registry = Arc::clone(&registry);
        roles.push(role(move || {
            if closes {
                registry.close();
            }
            seen[usize::from(closes)].hit_if(registry.sleep.threads().0 > 0);
            wait_for_threads(&registry);
        }));
    }
    play(main, roles);
}

#[test]
fn the_end_is_told() {
    let outcomes = &["who closed the pool had to wait for its thread", "another had to wait for it"];
    explore("watchers", BOUND, 100, &[0, 1, 2], outcomes, watchers);
}

/// Who waits for the end of a pool, be it there already, leaves nothing behind. Fails with [`Flaw::WatcherStays`].
fn watchers_leave(_: usize, _: Seen) {
    let registry = crate::stage::deserted(1);
    registry.thread_ended();
    with_place(|place| {
        let seats = Arc::strong_count(place.seat());
        assert_eq!(registry.wait_for_threads(place, None), 0, "threads were left");
        assert_eq!(Arc::strong_count(place.seat()), seats, "a watcher was left");
    });
}

#[test]
fn who_watched_is_gone() {
    let _ = check("watchers leave", BOUND, || watchers_leave(0, &[]));
}

/// A closed pool, a thread of which is blocked, and will need a second one when it comes back. Fails with
/// [`Flaw::EndsWhileAway`].
fn away(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let (closed, wait) = signal();
    let blocked = {
        let registry = Arc::clone(&registry);
        role(move || {
            Worker::enter(&registry, core, |worker| {
                without_core(|| wait.wait());
                let (done, wait) = signal();
                join_on(worker, || without_core(|| wait.wait()), || done.give());
            });
            seen[0].hit();
        })
    };
    let closer = role(move || {
        registry.close();
        closed.give();
    });
    play(main, vec![blocked, closer]);
}

#[test]
fn blocked_threads_keep_the_pool() {
    explore("away", BOUND, 50, &[0, 1], &["the thread came back"], away);
}

// ---- regions

/// A region that only the pool's thread may run, since the pool was built with a stack size, and a pool that is closed.
/// Fails with [`Flaw::EndsWhileAway`].
fn region_and_close(main: usize, seen: Seen) {
    let (registry, mut places) = registry_with(crate::stage::Options { stack_size: Some(1 << 20), ..options(1, 1) });
    let pool = Arc::clone(&registry);
    let caller = role(move || {
        let caller = current().id();
        in_pool(&pool, |_| {
            settled();
            seen[0].hit_if(current().id() != caller);
            seen[1].hit_if(current().id() == caller);
        });
    });
    let pool = Arc::clone(&registry);
    let closer = role(move || pool.close());
    play(main, vec![thread(&registry, places.remove(0), 0), caller, closer]);
}

#[test]
fn regions_are_run_at_the_end() {
    let outcomes = &["a thread of the pool ran the region", "the pool had ended, and the caller ran it"];
    explore("region and close", BOUND_OF_HUGE, 100, &[0, 1, 2], outcomes, region_and_close);
}

/// A pool that has ended, and two callers that have to run their regions themselves, one after the other. Fails with
/// [`Flaw::CallerForgotten`].
fn callers_after_the_end(main: usize, seen: Seen) {
    let (registry, mut places) = registry_with(crate::stage::Options { stack_size: Some(1 << 20), ..options(1, 1) });
    before(|| registry.close());
    places.pop();
    let roles = [0, 1].map(|index| {
        let registry = Arc::clone(&registry);
        role(move || in_pool(&registry, |_| seen[index].hit()))
    });
    play(main, roles.into());
}

#[test]
fn callers_run_their_regions_after_the_end() {
    let outcomes = &["one ran its region", "the other ran its region"];
    explore("callers after the end", BOUND, 10, &[0, 1], outcomes, callers_after_the_end);
}

/// A caller that waits for its region, which a thread of a closed pool runs: the pool ends though the caller is among those
/// who would like a core. As it may start a second thread, it has none for the caller. Fails with
/// [`Flaw::HangsUpSilently`].
fn caller_and_close(main: usize, seen: Seen) {
    let (registry, mut places) = registry(1, 2);
    let place = places.remove(0);
    let core = busy(&registry, &place);
    let pool = Arc::clone(&registry);
    let last = role(move || {
        Worker::enter(&pool, core, |worker| worker.work(None)).rest(&pool, &place);
        run_thread(pool, place, None, 0);
    });
    before(|| registry.close());
    let caller = role(move || {
        let caller = current().id();
        in_pool(&registry, |_| {
            seen[0].hit_if(current().id() == caller);
            seen[1].hit_if(current().id() != caller);
        });
    });
    play(main, vec![last, caller]);
}

#[test]
fn callers_do_not_keep_the_pool() {
    let outcomes = &["the caller ran its region", "a thread of the pool ran it"];
    explore("caller and close", Bound::AtMost(1), 50, &[0], outcomes, caller_and_close);
    explore("caller and close", Bound::AtMost(1), 50, &[1], &[UNSEEN, outcomes[1]], caller_and_close);
}

/// A scope's owner blocks until a task of the scope was run, and the pool is terminated: what belongs to the scope is not
/// dropped, nor is the offer by which others find it. Fails with [`Flaw::OfferCancelled`].
fn scope_and_terminate(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = {
        let registry = Arc::clone(&registry);
        role(move || {
            let owner = current().id();
            let (done, wait) = signal();
            Worker::enter(&registry, core, |worker| {
                scope_on(worker, |s| {
                    s.spawn(move || {
                        seen[0].hit_if(current().id() != owner);
                        settled();
                        done.give();
                    });
                    without_core(|| wait.wait());
                });
            });
        })
    };
    let closer = role(move || registry.terminate());
    play(main, vec![owner, closer]);
}

#[test]
fn scopes_outlast_termination() {
    let outcomes = &["another thread ran the task"];
    explore("scope and terminate", BOUND, 50, &[0, 1], outcomes, scope_and_terminate);
}

const CASES: &[Case] = &[
    Case {
        flaw: Flaw::SubmittedTooLate,
        message: "a task was left behind",
        bound: BOUND,
        mains: &[0, 1, 2],
        model: spawn_and_close,
    },
    Case {
        flaw: Flaw::SubmittedTooLate,
        message: "a task was left behind",
        bound: BOUND,
        mains: &[0, 1, 2],
        model: spawn_and_terminate,
    },
    deadlock(Flaw::WaitsForItself, &[0], last_handle),
    Case {
        flaw: Flaw::OfTheUser,
        message: "attempt to subtract with overflow",
        bound: Bound::AtLeast(3),
        mains: &[0, 1],
        model: region_of_a_worker,
    },
    deadlock(Flaw::WatcherForgotten, &[0, 1, 2], watchers),
    Case { flaw: Flaw::WatcherStays, message: "a watcher was left", bound: BOUND, mains: &[0], model: watchers_leave },
    deadlock(Flaw::EndsWhileAway, &[0, 1], away),
    deadlock(Flaw::EndsWhileAway, &[0, 1, 2], region_and_close),
    deadlock(Flaw::CallerForgotten, &[0, 1], callers_after_the_end),
    // These two are this library's own, before it had these models.
    deadlock(Flaw::HangsUpSilently, &[0, 1], caller_and_close),
    deadlock(Flaw::OfferCancelled, &[0, 1], scope_and_terminate),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("shutdown::seeded_bugs_are_found", CASES);
}
