//! A thread that blocks gives its core, and all that only it could have run, to others; whoever waits for a core gets one.
//!
//! Blocking is a signal that pool and model know nothing of, so whoever is forgotten waits for good, which loom reports as
//! a deadlock. Checked to the bound of `common` under loom's model.

use crate::common::{Bound, Witness};
use crate::stage::{
    Awaited, BOUND, BOUND_OF_HUGE, BOUND_OF_LARGE, Case, Role, Seen, UNSEEN, before, busy, deadlock, deserted, explore,
    play, registry, retire, role, settled, signal, thread,
};
use loom::thread::current;
use purloin_loom::internals::cancel::Limit;
use purloin_loom::internals::job::{Helped, Lineage};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Flaw, Steal};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::thread::in_pool;
use purloin_loom::internals::window::{Begun, Window};
use purloin_loom::internals::worker::{Worker, without_core};
use test_fork::test;

/// Waits without a core.
fn block(until: &Awaited) {
    without_core(|| until.wait());
}

/// No role.
fn nobody() -> Role {
    role(|| ())
}

// ---- what a blocked thread leaves behind

/// A thread blocks below two forks. The older one unblocks it, so another thread must come and run it; then the two meet at
/// the younger. Fails with [`Flaw::HandOverForgetsPrivate`] and [`Flaw::GiveIgnoresResuming`].
fn forks_left_behind(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        let owner = current().id();
        let (done, wait) = signal();
        let older = || done.give();
        let younger = || {
            let resumes = registry.sleep.someone_resumes();
            settled();
            seen[0].hit_if(current().id() == owner);
            seen[1].hit_if(current().id() != owner);
            seen[2].hit_if(current().id() != owner && resumes);
        };
        Worker::enter(&registry, core, |worker| {
            join_on(worker, || join_on(worker, || block(&wait), younger), older);
        });
        registry.close();
    });
    play(main, vec![owner, nobody()]);
}

#[test]
fn forks_left_behind_are_run() {
    let outcomes = &[
        "the owner came back to its fork first",
        "the fork was run by the thread that had the core",
        "the fork was run while its owner waited for the core",
    ];
    explore("forks left behind", BOUND, 50, &[0, 1], outcomes, forks_left_behind);
}

/// A thread blocks below a fork that others see already: the other thread takes it from the core's shared end, or, once
/// that core is given up, from the injector. Fails with [`Flaw::InjectorForgotten`].
fn shared_fork_left_behind(main: usize, seen: Seen) {
    let (registry, mut places) = registry(2, 2);
    let core = busy(&registry, &places[0]);
    let thief = thread(&registry, places.remove(1), 1);
    let owner = role(move || {
        let (done, wait) = signal();
        let fork = || {
            let counters = &Worker::current().expect("forks are run by workers").core().counters;
            let (stolen, injected) = (counters.steals.get(), counters.injected.get());
            settled();
            seen[0].hit_if(stolen > 0);
            seen[1].hit_if(injected > 0);
            done.give();
        };
        Worker::enter(&registry, core, |worker| join_on(worker, || block(&wait), fork));
        registry.close();
    });
    play(main, vec![owner, thief]);
}

#[test]
fn shared_forks_left_behind_are_run() {
    let outcomes = &["the fork was stolen", "the fork was found in the injector"];
    explore("shared fork left behind", BOUND_OF_HUGE, 50, &[0, 1], outcomes, shared_fork_left_behind);
}

/// A thread blocks below a fork that another thread has taken, or is about to, and may not run, since it waits for
/// something else. What it takes, it passes on; it is then an ordinary thread of the pool. Fails with
/// [`Flaw::ReturnedToOwnerAlone`].
fn refused_fork_left_behind(main: usize, seen: Seen) {
    let (registry, mut places) = registry(2, 2);
    let cores: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    let refuser = {
        let (registry, place, core) = (Arc::clone(&registry), places.remove(1), cores[1]);
        role(move || {
            Worker::enter(&registry, core, |_| {
                let own = Lineage::below(std::ptr::null());
                if let Steal::Success((job, _)) = registry.cores[0].shared.steal() {
                    // SAFETY: taken out of the queue, so the right to it is this thread's.
                    if let Helped::Requeue(job) = unsafe { (job.kind().help)(job, &own) } {
                        registry.inject(job);
                    }
                    seen[0].hit();
                }
            });
            retire(registry, place, 1);
        })
    };
    let owner = role(move || {
        let owner = current().id();
        let (done, wait) = signal();
        let fork = || {
            settled();
            seen[1].hit_if(current().id() != owner);
            done.give();
        };
        Worker::enter(&registry, cores[0], |worker| join_on(worker, || block(&wait), fork));
        registry.close();
    });
    play(main, vec![owner, refuser]);
}

#[test]
fn refused_forks_left_behind_are_run() {
    let outcomes = &["the fork was refused", "another thread ran it"];
    explore("refused fork left behind", BOUND_OF_HUGE, 50, &[0], outcomes, refused_fork_left_behind);
    // Takes minutes with two.
    explore("refused fork left behind", Bound::AtMost(1), 50, &[1], &[UNSEEN, UNSEEN], refused_fork_left_behind);
}

/// A task of a pool whose only thread is blocked on it, and which may have no other. A thread from outside waits for the
/// task: nobody else is left to run it. Fails with [`Flaw::StandInForgotten`].
fn stand_in(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 1);
    let core = busy(&registry, &places[0]);
    let (done, wait) = signal();
    let task = spawn_in(&registry, move || {
        settled();
        done.give();
    });
    let blocked = {
        let registry = Arc::clone(&registry);
        role(move || {
            Worker::enter(&registry, core, |_| block(&wait));
            registry.close();
        })
    };
    let joiner = role(move || {
        assert!(task.join().is_ok());
        seen[0].hit();
    });
    play(main, vec![blocked, joiner]);
}

#[test]
fn who_waits_for_a_task_stands_in() {
    explore("stand-in", BOUND_OF_LARGE, 20, &[0, 1], &["the task was run"], stand_in);
}

/// A stream's item, of which nobody but the consumer can run: the pool has one thread, and that is blocked until the
/// consumer has the result. Fails with [`Flaw::StandInForgotten`] and [`Flaw::ConsumerStarves`].
fn starved_consumer(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 1);
    let core = busy(&registry, &places[0]);
    let (done, wait) = signal();
    let consumer = {
        let registry = Arc::clone(&registry);
        role(move || {
            consume(&registry, &seen[0]);
            done.give();
        })
    };
    let blocked = role(move || {
        Worker::enter(&registry, core, |_| block(&wait));
        registry.close();
    });
    play(main, vec![blocked, consumer]);
}

/// The same where the one thread is the consumer. Fails with [`Flaw::ConsumerStarves`].
fn consumer_within(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 1);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        Worker::enter(&registry, core, |_| consume(&registry, &seen[0]));
        registry.close();
    });
    play(main, vec![owner, nobody()]);
}

/// Puts one item into a stream, and takes its result out.
fn consume(registry: &Arc<Registry>, helped: &'static Witness) {
    fn run(stream: &Window<usize, usize>, begun: Option<Begun<usize>>) -> bool {
        begun.is_some_and(|Begun { index, item, .. }| stream.finish(index, Ok(item * 10)).is_none())
    }
    let stream = Arc::new(Window::new(false));
    assert!(stream.push(1, 1), "a runner is due");
    let there = Arc::clone(&stream);
    drop(spawn_in(registry, move || while run(&there, there.begin_or_leave()) {}));
    let outcome = loop {
        if let Some(outcome) = stream.deliver() {
            break outcome;
        }
        if stream.stalled().is_some() {
            helped.hit_if(in_pool(registry, |_| run(&stream, stream.begin())));
        } else {
            stream.wait(&Limit::default(), Some(registry));
        }
    };
    assert_eq!(outcome.ok(), Some(10));
}

#[test]
fn a_streams_consumer_stands_in() {
    explore("starved consumer", BOUND_OF_LARGE, 20, &[0, 1], &["the consumer ran the item"], starved_consumer);
    explore("consumer within", BOUND_OF_LARGE, 1, &[0, 1], &["the consumer ran the item"], consumer_within);
}

/// A thread that blocks does something within that gives up a core in its turn, and comes back from it. A task that is to
/// end the wait needs the core all the same. Fails with [`Flaw::CoreTakenBackWithin`].
fn blocked_within(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        let (done, wait) = signal();
        let pool = Arc::clone(&registry);
        Worker::enter(&registry, core, |worker| {
            drop(spawn_in(worker.registry(), move || {
                done.give();
                let resumes = pool.sleep.someone_resumes();
                settled();
                seen[usize::from(resumes)].hit();
            }));
            without_core(|| {
                without_core(|| ());
                wait.wait();
            });
        });
        registry.close();
    });
    play(main, vec![owner, nobody()]);
}

#[test]
fn who_blocks_has_no_core_until_the_end() {
    let outcomes = &["the task was over before the thread wanted its core", "the thread waited for the core"];
    explore("blocked within", BOUND_OF_LARGE, 4, &[0, 1], outcomes, blocked_within);
}

/// Two threads take turns with one core, each blocked until the other has got on. Fails with [`Flaw::GiveIgnoresResuming`].
fn turns(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let first = role(move || {
        let ((mine, theirs), (yours, ours)) = (signal(), signal());
        let resuming = |registry: &Registry| seen[0].hit_if(registry.sleep.someone_resumes());
        Worker::enter(&registry, core, |worker| {
            let task = spawn_in(worker.registry(), {
                let registry = Arc::clone(&registry);
                move || {
                    yours.give();
                    resuming(&registry);
                    block(&theirs);
                }
            });
            block(&ours);
            resuming(&registry);
            mine.give();
            assert!(task.join().is_ok());
        });
        registry.close();
    });
    play(main, vec![first, nobody()]);
}

#[test]
fn turns_are_taken() {
    explore("turns", BOUND_OF_HUGE, 50, &[0, 1], &["a thread waited for the core"], turns);
}

// ---- no thread to spare: outside callers take what is idle

/// All the pool's threads are at work or blocked, and no more may start. A caller from outside brings what its only thread
/// is blocked on: it comes before, while, or after that thread gives its core up, and leaves before or after that thread
/// wants it back. Fails with [`Flaw::CallerForgotten`] and [`Flaw::GuestKeepsCore`].
fn caller_at_the_cap(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 1);
    let core = busy(&registry, &places[0]);
    let (done, wait) = signal();
    let blocked = {
        let registry = Arc::clone(&registry);
        role(move || Worker::enter(&registry, core, |_| block(&wait)))
    };
    let caller = role(move || {
        in_pool(&registry, |worker| {
            // A region that was injected leaves a stale ticket.
            let injected = !worker.registry().injector.is_empty();
            seen[0].hit_if(!injected);
            seen[1].hit_if(injected);
            done.give();
            seen[2].hit_if(registry.sleep.someone_resumes());
        });
    });
    play(main, vec![blocked, caller]);
}

#[test]
fn callers_at_the_cap_are_served() {
    let outcomes =
        &["the caller found the core idle", "the caller had to wait", "the blocked thread waited for the core"];
    explore("caller at the cap", BOUND, 50, &[0, 1], outcomes, caller_at_the_cap);
}

/// A caller from outside, and the pool's only thread, which is about to be done with a task: either may run the region.
/// Fails with [`Flaw::CallerForgotten`] and [`Flaw::GuestKeepsCore`].
fn caller_and_thread(main: usize, seen: Seen) {
    let (registry, mut places) = registry(1, 1);
    let sleeper = places.remove(0);
    // Wakes it.
    drop(before(|| spawn_in(&registry, || ())));
    let caller = {
        let registry = Arc::clone(&registry);
        role(move || {
            let caller = current().id();
            in_pool(&registry, |worker| {
                settled();
                let injected = !worker.registry().injector.is_empty();
                let own = current().id() == caller;
                seen[0].hit_if(own && !injected);
                seen[1].hit_if(own && injected);
                seen[2].hit_if(!own);
            });
            registry.close();
        })
    };
    play(main, vec![thread(&registry, sleeper, 0), caller]);
}

#[test]
fn caller_or_thread_runs_the_region() {
    let outcomes = &[
        "the caller found the core idle",
        "the caller was granted the core and took its region back",
        "the pool's thread ran the region",
    ];
    explore("caller and thread", BOUND, 50, &[0], outcomes, caller_and_thread);
    explore("caller and thread", BOUND, 50, &[1], &[UNSEEN, outcomes[1], outcomes[2]], caller_and_thread);
}

/// Two threads at work, so that a caller has to wait. One is done and gives its core to the caller, while the other takes
/// the caller's region: it may be over before the caller knows of its core. Fails with [`Flaw::GrantLeftBehind`].
fn caller_granted_too_late(main: usize, seen: Seen) {
    let (registry, places) = registry(2, 2);
    let cores: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    let mut roles: Vec<_> = cores
        .into_iter()
        .map(|core| {
            let registry = Arc::clone(&registry);
            let takes = core == 0;
            role(move || {
                Worker::enter(&registry, core, |worker| {
                    if let Some(job) = if takes { worker.find_work() } else { None } {
                        worker.run(job);
                    }
                });
            })
        })
        .collect();
    let pool = Arc::clone(&registry);
    roles.push(role(move || {
        let caller = current().id();
        in_pool(&pool, |_| {
            seen[0].hit_if(current().id() == caller);
            seen[1].hit_if(current().id() != caller);
        });
    }));
    play(main, roles);
    assert!(registry.sleep.try_take().is_some() && registry.sleep.try_take().is_some(), "a core was lost");
}

#[test]
fn late_grants_are_passed_on() {
    let outcomes = &["the caller ran its region", "a thread of the pool ran it"];
    explore("caller granted too late", BOUND_OF_LARGE, 50, &[0, 1], outcomes, caller_granted_too_late);
    explore("caller granted too late", Bound::AtMost(1), 50, &[2], outcomes, caller_granted_too_late);
}

// ---- between pools

/// Two threads in two pools of one core each, entered in opposite order. Each blocks, goes on in the inner pool, and wants
/// to be back in the outer one: each may have what the other waits for. Fails with [`Flaw::WaitsHoldingCores`].
fn crossing(main: usize, seen: Seen) {
    let pools = [deserted(1), deserted(1)];
    let roles = [[0, 1], [1, 0]].map(|order| {
        let [outer, inner] = order.map(|pool| Arc::clone(&pools[pool]));
        role(move || {
            in_pool(&outer, |_| {
                in_pool(&inner, |_| {
                    without_core(|| ());
                    // The other's outer one.
                    seen[order[0]].hit_if(inner.sleep.someone_resumes());
                    in_pool(&outer, |_| ());
                });
            });
        })
    });
    play(main, roles.into());
}

#[test]
fn crossing_threads_get_by() {
    let outcomes = &["the second waited for a core that the first had", "the first for one that the second had"];
    explore("crossing", BOUND, 50, &[0, 1], outcomes, crossing);
}

/// A thread that is back in the outer one of two pools blocks until a caller has been in the inner one. Fails with
/// [`Flaw::OuterCoresKept`].
fn back_in_the_outer(main: usize, seen: Seen) {
    let pools = [deserted(1), deserted(1)];
    let (done, wait) = signal();
    let [outer, inner] = pools.clone();
    let blocked = role(move || {
        let inmost = |_: &Worker| block(&wait);
        in_pool(&outer, |_| in_pool(&inner, |_| in_pool(&outer, inmost)));
    });
    let [_, inner] = pools;
    let caller = role(move || {
        in_pool(&inner, |worker| {
            seen[0].hit_if(worker.registry().injector.is_empty());
            seen[1].hit_if(!worker.registry().injector.is_empty());
            done.give();
        });
    });
    play(main, vec![blocked, caller]);
}

#[test]
fn all_cores_are_given_up() {
    let outcomes = &["the caller found the core idle", "the caller had to wait"];
    explore("back in the outer", BOUND, 50, &[0, 1], outcomes, back_in_the_outer);
}

const CASES: &[Case] = &[
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::ReturnedToOwnerAlone, &[0], refused_fork_left_behind) },
    deadlock(Flaw::StandInForgotten, &[0, 1], stand_in),
    deadlock(Flaw::StandInForgotten, &[0, 1], starved_consumer),
    deadlock(Flaw::ConsumerStarves, &[0, 1], starved_consumer),
    deadlock(Flaw::ConsumerStarves, &[0, 1], consumer_within),
    deadlock(Flaw::CoreTakenBackWithin, &[0, 1], blocked_within),
    deadlock(Flaw::HandOverForgetsPrivate, &[0, 1], forks_left_behind),
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::InjectorForgotten, &[0, 1], shared_fork_left_behind) },
    deadlock(Flaw::GiveIgnoresResuming, &[0, 1], forks_left_behind),
    deadlock(Flaw::GiveIgnoresResuming, &[0, 1], turns),
    deadlock(Flaw::CallerForgotten, &[0, 1], caller_at_the_cap),
    deadlock(Flaw::GuestKeepsCore, &[0, 1], caller_at_the_cap),
    deadlock(Flaw::CallerForgotten, &[0, 1], caller_and_thread),
    deadlock(Flaw::GuestKeepsCore, &[0, 1], caller_and_thread),
    Case {
        flaw: Flaw::GrantLeftBehind,
        message: "a core was lost",
        bound: BOUND,
        mains: &[0, 1, 2],
        model: caller_granted_too_late,
    },
    // Hold and wait, between pools: this library's own, before it had these models, as is the next.
    deadlock(Flaw::WaitsHoldingCores, &[0, 1], crossing),
    deadlock(Flaw::OuterCoresKept, &[0, 1], back_in_the_outer),
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("handover::seeded_bugs_are_found", CASES);
}
