//! A thread that waits for a lock gives its core to others. Threads that would wait for each other for ever are told, and no
//! others are: the wait-for graph misses nothing and imagines nothing.
//!
//! Checked to the bound of `common` under loom's model.

use crate::common::{Bound, message_of};
use crate::stage::{BOUND, Case, Role, Seen, Tally, before, busy, deadlock, explore, play, registry, role, signal};
use purloin_loom::internals::primitive::{Arc, Flaw, Policy, pauses, with_policy};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::sync::{Mutex, RwLock};
use purloin_loom::internals::worker::{Worker, without_core};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex as Unseen, Once};
use test_fork::test;

// ---- cores

/// One core. A thread that holds a lock blocks until another, which has the core by then, is about to take that lock.
fn holder_without_core(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        let lock = Arc::new(Mutex::new(0));
        let (about, wait) = signal();
        Worker::enter(&registry, core, |worker| {
            let mut guard = lock.lock();
            let task = spawn_in(worker.registry(), {
                let (lock, registry) = (Arc::clone(&lock), Arc::clone(&registry));
                move || {
                    about.give();
                    seen[0].hit_if(registry.sleep.someone_resumes());
                    *lock.lock() += 1;
                }
            });
            without_core(|_| wait.wait());
            *guard += 1;
            drop(guard);
            seen[1].hit_if(!task.is_finished());
            assert!(task.join().is_ok());
        });
        assert_eq!(*lock.lock(), 2);
        registry.close();
    });
    play(main, vec![owner, role(|| ())]);
}

#[test]
fn a_holder_gets_its_core_back() {
    let outcomes = &["the holder waited for the core", "the other went on later"];
    explore("holder without core", Bound::AtMost(1), 50, &[0, 1], outcomes, holder_without_core);
}

/// A worker and a thread from outside take a lock. The worker looks once more before it gives up its core.
fn looks(main: usize, seen: Seen) {
    let look = Policy { lock_rounds: 1, ..Policy::default() };
    with_policy(look, || {
        let (registry, places) = registry(1, 1);
        let core = busy(&registry, &places[0]);
        let gives = |registry: &Registry| {
            before(|| {
                assert!(registry.sleep.begin_region(), "the pool has not ended");
                let gives = registry.sleep.standstill();
                registry.sleep.end_region();
                gives.expect("nobody has a core")
            })
        };
        let lock = Arc::new(Mutex::new(0));
        let (inner, pool) = (Arc::clone(&lock), Arc::clone(&registry));
        let looked = Tally::default();
        let by_worker = looked.clone();
        let worker = role(move || {
            Worker::enter(&pool, core, |_| {
                let before = pauses();
                *inner.lock() += 1;
                if pauses() > before {
                    by_worker.add();
                }
            });
        });
        let outer = Arc::clone(&lock);
        let outsider = role(move || *outer.lock() += 1);
        play(main, vec![worker, outsider]);
        assert_eq!(*lock.lock(), 2, "two had the lock at once");
        // One is the worker's last.
        let kept = gives(&registry) == 1;
        assert!(kept || looked.get() > 0, "the core was given up without a look");
        seen[0].hit_if(looked.get() == 0);
        seen[1].hit_if(looked.get() > 0 && kept);
        seen[2].hit_if(!kept);
    });
}

#[test]
fn a_short_look_spares_the_core() {
    let outcomes = &["the lock was free", "it was free at the look", "the worker gave its core up"];
    explore("looks at a lock", BOUND, 20, &[0, 1], outcomes, looks);
}

// ---- the graph

/// What a thread was told in place of a lock: nothing, if it got it.
type Told = Option<String>;

/// Locks, and gives back at once. A panic does not unwind through guards: loom has one panic count for all its threads, and
/// a switch in the middle of it would poison what others have locked.
fn told<G>(lock: impl FnOnce() -> G) -> Told {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        // Hundreds of them are expected. loom's own is spelt "deadlock; threads".
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !message_of(info.payload()).starts_with("deadlock: ") {
                loud(info);
            }
        }));
    });
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(lock())));
    outcome.err().map(|payload| message_of(&*payload).to_owned())
}

/// Plays two roles, and gives what they were told.
fn two(main: usize, bodies: [Box<dyn FnOnce() -> Told + Send>; 2]) -> [Told; 2] {
    let told: Arc<[Unseen<Told>; 2]> = Arc::default();
    let roles = bodies.into_iter().enumerate().map(|(index, body)| -> Role {
        let told = Arc::clone(&told);
        role(move || {
            let outcome = body();
            *told[index].lock().unwrap() = outcome;
        })
    });
    play(main, roles.collect());
    [0, 1].map(|index| told[index].lock().unwrap().take())
}

fn is_circle(told: &Told) -> bool {
    told.as_ref().is_some_and(|told| told.contains("each of these threads waits for a lock that the next one holds"))
}

/// Two threads take two locks in opposite orders: they get by each other, or one of them is told, which lets the other go
/// on. Never both, and never neither: that is a deadlock to loom.
fn opposite_orders(main: usize, seen: Seen) {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let other = Arc::clone(&locks);
    let one = Box::new(move || {
        let _first = locks.0.lock();
        told(|| locks.1.lock())
    });
    let another = Box::new(move || {
        let _first = other.1.lock();
        told(|| other.0.lock())
    });
    let told = two(main, [one, another]);
    let circles = told.iter().filter(|told| is_circle(told)).count();
    assert_eq!(circles, told.iter().flatten().count(), "told something else: {told:?}");
    assert!(circles < 2, "both were told");
    seen[0].hit_if(circles == 0);
    seen[1].hit_if(is_circle(&told[0]));
    seen[2].hit_if(is_circle(&told[1]));
}

#[test]
fn opposite_orders_are_told() {
    let outcomes = &["they got by each other", "the first was told", "the second was told"];
    explore("opposite orders", BOUND, 50, &[0, 1], outcomes, opposite_orders);
}

/// The same with a lock for writing and one for reading on one side.
fn opposite_orders_of_kinds(main: usize, seen: Seen) {
    let locks = Arc::new((Mutex::new(0), RwLock::new(0)));
    let other = Arc::clone(&locks);
    let reader = Box::new(move || {
        let _first = locks.0.lock();
        told(|| locks.1.read())
    });
    let writer = Box::new(move || {
        let _first = other.1.write();
        told(|| other.0.lock())
    });
    let told = two(main, [reader, writer]);
    seen[0].hit_if(told == [None, None]);
    seen[1].hit_if(is_circle(&told[0]));
    seen[2].hit_if(is_circle(&told[1]));
    assert!(told.iter().flatten().count() < 2, "both were told");
}

#[test]
fn opposite_orders_of_kinds_are_told() {
    let outcomes = &["they got by each other", "the reader was told", "the writer was told"];
    explore("opposite orders of kinds", BOUND, 50, &[0, 1], outcomes, opposite_orders_of_kinds);
}

/// Two threads that take and give back the same locks, one after the other and in one order, are told nothing, whoever was
/// the holder a moment ago.
fn same_order(main: usize, seen: Seen) {
    let locks = Arc::new((Mutex::new(0), Mutex::new(0)));
    let other = Arc::clone(&locks);
    let again = Box::new(move || {
        *locks.0.lock() += 1;
        told(|| (locks.0.lock(), locks.1.lock()))
    });
    let once = Box::new(move || {
        told(|| {
            let one = other.0.lock();
            seen[0].hit_if(*one == 0);
            seen[1].hit_if(*one == 1);
            (one, other.1.lock())
        })
    });
    let told = two(main, [again, once]);
    assert_eq!(told, [None, None], "told of nothing");
}

#[test]
fn one_order_is_told_nothing() {
    let outcomes = &["the other was first", "the other was later"];
    explore("same order", BOUND, 50, &[0, 1], outcomes, same_order);
}

const CASES: &[Case] = &[
    deadlock(Flaw::LockKeepsCore, &[0, 1], holder_without_core),
    deadlock(Flaw::CycleSoughtFirst, &[0, 1], opposite_orders),
    Case {
        flaw: Flaw::HolderNotCleared,
        message: "told of nothing",
        bound: Bound::AtLeast(3),
        mains: &[0, 1],
        model: same_order,
    },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("locks::seeded_bugs_are_found", CASES);
}
