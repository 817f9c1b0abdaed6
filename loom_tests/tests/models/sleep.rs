//! Nobody sleeps for good while there is work: a thread that goes to sleep and a thread that makes work visible meet in
//! the eventcount, whatever the work's source.
//!
//! Who waits for the work in these models waits as blocking code does, and closes the pool only when the work is done. So
//! a lost wake-up leaves all threads waiting, which loom reports as a deadlock. Checked to the bound of `common` under
//! loom's model.

use crate::common::{Bound, check};
use crate::stage::{
    Awaited, BOUND, BOUND_OF_HUGE, BOUND_OF_SLOW, Case, Options, Seen, Signal, Tally, before, busy, deadlock, explore,
    options, play, registry, registry_with, role, settled, signal, thread,
};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw};
use purloin_loom::internals::registry::{Names, Registry};
use purloin_loom::internals::scope::scope_on;
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::thread::run_thread;
use purloin_loom::internals::worker::Worker;
use std::sync::Mutex;
use test_fork::test;

/// How often the running thread's core has been let go for want of work.
fn parks() -> u64 {
    Worker::current().expect("jobs are run by workers").core().counters.parks.get()
}

/// This thread's worker.
fn worker() -> &'static Worker {
    Worker::current().expect("asked on a worker")
}

/// What there is to do, in whatever form it comes.
type Work = Box<dyn FnOnce() + Send>;

/// The outcomes of the models in which a thread goes to sleep.
const SLEEPER: &[&str] =
    &["the thread found the job before it went to sleep", "the thread went to sleep and was woken for the job"];

/// A thread that has been woken for nothing, and `produce`, which makes work visible in the meantime: on the other core, if
/// there is one, else outside.
fn sleeper_and(cores: usize, main: usize, seen: Seen, produce: impl FnOnce(&Registry, Work) + 'static) {
    let (registry, mut places) = registry(cores, cores);
    let sleeper = places.remove(0);
    registry.wake(None);
    let own = places.pop().map(|place| busy(&registry, &place));
    let work = Box::new(|| {
        seen[0].hit_if(parks() == 0);
        seen[1].hit_if(parks() > 0);
        settled();
    });
    let producer = {
        let registry = Arc::clone(&registry);
        role(move || {
            match own {
                None => produce(&registry, work),
                Some(core) => Worker::enter(&registry, core, |worker| produce(worker.registry(), work)),
            }
            registry.close();
        })
    };
    play(main, vec![thread(&registry, sleeper, 0), producer]);
}

/// Waits for a task in a way that the pool knows nothing of: who joins it might run it.
fn run(registry: &Registry, task: impl FnOnce() + Send + 'static) {
    let (done, wait) = signal();
    drop(spawn_in(registry, move || {
        task();
        done.give();
    }));
    wait.wait();
}

/// A task from outside, in the injector. Fails with [`Flaw::InjectorForgotten`], [`Flaw::WakerWithoutFence`] and
/// [`Flaw::WakesBeforePublishing`].
fn task(main: usize, seen: Seen) {
    sleeper_and(1, main, seen, |registry, work| {
        run(registry, work);
    });
}

/// A fork at another core's shared end. Its owner does not come back before somebody else has run it. Fails with
/// [`Flaw::SharedEndsForgotten`] and [`Flaw::WakerWithoutFence`].
fn fork(main: usize, seen: Seen) {
    sleeper_and(2, main, seen, |_, work| {
        let (done, wait) = signal();
        let fork = move || {
            work();
            done.give();
        };
        join_on(worker(), || wait.wait(), fork);
    });
}

/// A scope's task, offered at another core's shared end. Fails with [`Flaw::SharedEndsForgotten`],
/// [`Flaw::WakerWithoutFence`] and [`Flaw::WakesBeforePublishing`].
fn offer(main: usize, seen: Seen) {
    sleeper_and(2, main, seen, |_, work| {
        let (done, wait) = signal();
        scope_on(worker(), |s| {
            s.spawn(move || {
                work();
                done.give();
            });
            wait.wait();
        });
    });
}

#[test]
fn sleeper_and_task() {
    explore("sleeper and task", BOUND, 50, &[0, 1], SLEEPER, task);
}

#[test]
fn sleeper_and_fork() {
    explore("sleeper and fork", BOUND, 50, &[0, 1], SLEEPER, fork);
}

#[test]
fn sleeper_and_offer() {
    explore("sleeper and offer", BOUND, 50, &[0, 1], SLEEPER, offer);
}

/// Two tasks that wait for each other, each with what tells that it is done.
fn tasks_that_meet() -> ((Work, Awaited), (Work, Awaited)) {
    let begun = Tally::default();
    let ((first, for_second), (second, for_first)) = (signal(), signal());
    let task = |mine: Signal, other: Awaited| -> (Work, Awaited) {
        let begun = begun.clone();
        let (done, wait) = signal();
        let task = Box::new(move || {
            begun.add();
            if begun.get() == 2 {
                settled();
            }
            mine.give();
            other.wait();
            done.give();
        });
        (task, wait)
    };
    (task(first, for_first), task(second, for_second))
}

/// Two tasks that wait for each other, so that they need two threads. One thread has been woken for the first and is
/// looking for it; the other sleeps when the second task comes. Role 2 brings it. Fails with [`Flaw::FinderLooksAway`] and
/// [`Flaw::FinderWithoutFence`].
fn chain(main: usize, seen: Seen) {
    let (registry, places) = registry(2, 2);
    let mut roles: Vec<_> = places.into_iter().map(|place| thread(&registry, place, 0)).collect();
    let ((first, one), (second, another)) = tasks_that_meet();
    before(|| drop(spawn_in(&registry, first)));
    roles.push(role(move || {
        drop(spawn_in(&registry, second));
        let left_out = registry.sleep.someone_sleeps();
        seen[0].hit_if(left_out);
        seen[1].hit_if(!left_out);
        one.wait();
        another.wait();
        registry.close();
    }));
    play(main, roles);
}

#[test]
fn chain_of_wakes() {
    let outcomes = &["the wake was left to the thread that searched", "the second thread was woken at once"];
    // Two preemptions, with which the mistakes below are found, take half a minute.
    explore("chain of wakes", BOUND_OF_HUGE, 100, &[0, 2], outcomes, chain);
}

/// A thread is to be started and can't be, while another goes to sleep and a task comes, whose wake is left to the one that
/// never starts. The pool's second thread is blocked all the time. Role 0 goes to sleep, role 1 starts, role 2 brings the
/// task. Fails with [`Flaw::SleeperWithoutFence`] and [`Flaw::StartFailureForgotten`].
fn start_fails(main: usize, seen: Seen) {
    let names = Names::Made(Box::new(|index| if index < 2 { String::new() } else { "\0".to_string() }));
    let (registry, mut places) = registry_with(Options { max_threads: 3, names, ..options(2, 2) });
    before(|| {
        registry.name_next(1);
        registry.sleep.stand_by_at_first(places[0].seat());
    });
    let cores: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    before(|| registry.sleep.give(cores[1], false));
    let (place, pool) = (places.remove(0), Arc::clone(&registry));
    let sleeper = role(move || {
        Worker::enter(&pool, cores[0], |worker| worker.work(None)).rest(&pool, &place);
        run_thread(pool, place, None, 0);
    });
    let pool = Arc::clone(&registry);
    let starter = role(move || pool.wake(None));
    let producer = role(move || {
        let parked = Arc::new(Mutex::new(0));
        let after = Arc::clone(&parked);
        let task = move || {
            *after.lock().expect("nobody panics here") = parks();
            settled();
        };
        run(&registry, task);
        let parks = *parked.lock().expect("nobody panics here");
        seen[0].hit_if(parks == 0);
        seen[1].hit_if(parks > 0);
        registry.close();
    });
    play(main, vec![sleeper, starter, producer]);
}

#[test]
fn start_that_fails() {
    explore("start fails", Bound::AtMost(1), 100, &[0, 2], SLEEPER, start_fails);
}

/// Two tasks that wait for each other, and threads that are blocked for good, so that two more are needed. The first of these, which
/// is started for the first task, has to name the other before there can be one. Fails with [`Flaw::NameUntold`].
fn named_ahead(_main: usize, seen: Seen) {
    let named = Tally::default();
    let tell = named.clone();
    let name = move |_| {
        tell.add();
        String::new()
    };
    let (registry, places) =
        registry_with(Options { max_threads: 4, names: Names::Made(Box::new(name)), ..options(2, 2) });
    before(|| {
        registry.name_next(1);
        registry.sleep.stand_by_at_first(places[0].seat());
    });
    let cores: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    before(|| cores.into_iter().for_each(|core| registry.sleep.give(core, false)));
    let before_it = named.get();
    let ((first, one), (second, another)) = tasks_that_meet();
    drop(spawn_in(&registry, first));
    drop(spawn_in(&registry, second));
    seen[0].hit_if(named.get() == before_it);
    seen[1].hit_if(named.get() > before_it);
    one.wait();
    another.wait();
    registry.close();
}

#[test]
fn names_ahead() {
    let outcomes = &["both tasks were there before the name", "the name was there before both tasks"];
    // The other threads are the pool's, which are started in the middle of it.
    explore("names ahead", BOUND_OF_HUGE, 20, &[0], outcomes, named_ahead);
}

/// A thread from outside has two tasks, one after the other. The pool's first thread has been through its hook, and is
/// blocked for good; another is started for the first task, and goes to sleep and is woken for the second if that is late.
/// Fails with [`Flaw::HookCountedOut`].
fn started_with_hook(_main: usize, seen: Seen) {
    let hook: Box<dyn Fn(usize) + Send + Sync> = Box::new(|_| ());
    let (registry, places) = registry_with(Options { max_threads: 2, on_thread_start: Some(hook), ..options(1, 1) });
    before(|| registry.sleep.stand_by_at_first(places[0].seat()));
    let core = busy(&registry, &places[0]);
    before(|| registry.sleep.give(core, false));
    run(&registry, || ());
    run(&registry, move || {
        seen[0].hit_if(parks() == 0);
        seen[1].hit_if(parks() > 0);
        settled();
    });
    registry.close();
}

#[test]
fn a_start_with_a_hook() {
    let outcomes = &["the thread was still looking", "the thread slept between"];
    // The other thread is the pool's, which is started in the middle of it.
    explore("start with a hook", BOUND_OF_HUGE, 20, &[0], outcomes, started_with_hook);
}

/// A thread is in its hook, since it has just started, while a task comes from outside. No other is started for it. Fails
/// with [`Flaw::WakerWithoutFence`], [`Flaw::SleeperWithoutFence`] and [`Flaw::InjectorForgotten`].
fn task_and_hook(main: usize, seen: Seen) {
    let hook: Box<dyn Fn(usize) + Send + Sync> = Box::new(|_| ());
    let (registry, mut places) =
        registry_with(Options { max_threads: 2, on_thread_start: Some(hook), ..options(1, 1) });
    let place = places.remove(0);
    let ran = Tally::default();
    let (tell, of_pool) = (ran.clone(), Arc::clone(&registry));
    let caller = role(move || {
        seen[0].hit_if(registry.sleep.someone_sleeps());
        seen[1].hit_if(!registry.sleep.someone_sleeps());
        run(&registry, move || tell.add());
        assert_eq!(registry.sleep.threads(), (1, 1));
        registry.close();
    });
    play(main, vec![thread(&of_pool, place, 0), caller]);
    assert_eq!(ran.get(), 1);
}

#[test]
fn a_task_beside_a_hook() {
    let outcomes = &["the thread was through its hook", "the thread was in its hook"];
    explore("task and hook", BOUND_OF_SLOW, 20, &[0, 1], outcomes, task_and_hook);
}

/// A thread of the pool is woken, finds nothing and sleeps again, while somebody is away: between two looks of a watchdog
/// the pool has worked. Fails with [`Flaw::GivesUncounted`].
fn woken_between_looks(_: usize, _: Seen) {
    let (registry, places) = registry(1, 1);
    assert!(registry.sleep.begin_region(), "the pool has not ended");
    let look = registry.sleep.standstill();
    assert!(look.is_some(), "nobody has a core");
    let core = busy(&registry, &places[0]);
    assert_eq!(registry.sleep.standstill(), None, "somebody has a core");
    let _nap = Worker::enter(&registry, core, |worker| worker.work(None)).rest(&registry, &places[0]);
    let again = registry.sleep.standstill();
    assert!(
        again.is_some() && again != look,
        "{look:?}, {again:?}: the second look does not tell of the work in between"
    );
}

#[test]
fn work_ends_a_standstill() {
    let _ = check("woken between looks", BOUND, || woken_between_looks(0, &[]));
}

const CASES: &[Case] = &[
    // A sleep that does not look at one of its sources again, found in the wild as rayon#992.
    deadlock(Flaw::InjectorForgotten, &[0, 1], task),
    deadlock(Flaw::SharedEndsForgotten, &[0, 1], fork),
    deadlock(Flaw::SharedEndsForgotten, &[0, 1], offer),
    // The handshake without the producer's fence.
    deadlock(Flaw::WakerWithoutFence, &[0], task),
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::WakerWithoutFence, &[0, 1], task_and_hook) },
    deadlock(Flaw::WakerWithoutFence, &[0, 1], fork),
    deadlock(Flaw::WakerWithoutFence, &[0, 1], offer),
    // The producer's two steps in the wrong order.
    deadlock(Flaw::WakesBeforePublishing, &[0, 1], task),
    deadlock(Flaw::WakesBeforePublishing, &[0, 1], offer),
    // The handshake without the sleeper's.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::SleeperWithoutFence, &[0], start_fails) },
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::SleeperWithoutFence, &[0, 1], task_and_hook) },
    // A wake left to a searcher that does not know, or is gone.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::FinderLooksAway, &[0, 2], chain) },
    // With the producer on the main thread it takes two preemptions, and half a minute.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::FinderWithoutFence, &[0], chain) },
    // A thread that is counted out while it is in its hook, and once more when it has found work.
    Case {
        flaw: Flaw::HookCountedOut,
        // The number of those that search, which has fallen below none.
        message: "attempt to multiply with overflow",
        bound: BOUND,
        mains: &[0],
        model: started_with_hook,
    },
    // A thread comes out of its hook, and does not see what came meanwhile.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::InjectorForgotten, &[0, 1], task_and_hook) },
    // A wake left to a thread that is being started, and then can't be. With the producer on the main thread one
    // preemption is too few to find it, and two take seconds.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::StartFailureForgotten, &[0], start_fails) },
    // A name that is there, and nobody is told that a thread can be had.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::NameUntold, &[0], named_ahead) },
    // A watchdog that takes a pool which works now and then for one that stands still.
    Case {
        flaw: Flaw::GivesUncounted,
        message: "the second look does not tell of the work in between",
        bound: BOUND,
        mains: &[0],
        model: woken_between_looks,
    },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("sleep::seeded_bugs_are_found", CASES);
}
