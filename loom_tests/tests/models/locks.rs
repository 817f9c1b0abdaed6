//! A thread that waits for a lock gives its core to others. Threads that would wait for each other for ever are told, and no
//! others are: the wait-for graph misses nothing and imagines nothing.
//!
//! Checked to the bound of `common` under loom's model.

use crate::common::{Bound, message_of};
use crate::stage::{
    BOUND, BOUND_OF_HUGE, BOUND_OF_LARGE, Case, Role, Seen, Tally, before, busy, deadlock, explore, play, registry,
    role, signal,
};
use purloin_loom::internals::primitive::{Arc, Flaw, Policy, pauses, with_policy, yield_now};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::sync::{Mutex, OnceLock, RwLock};
use purloin_loom::internals::worker::{Worker, without_core};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex as Unseen, Once};
use test_fork::test;

// ---- cores

/// One core. A thread that holds a lock blocks until another, which has the core by then, is about to take that lock. Fails
/// with [`Flaw::LockKeepsCore`].
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
            without_core(|| wait.wait());
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

/// A worker and a thread from outside take a lock. The worker looks once more before it gives up its core. Fails with
/// [`Flaw::BlocksUnlooked`].
fn looks(main: usize, seen: Seen) {
    let look = Policy { lock_rounds: 1, ..Policy::COMMON };
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
/// What a thread does, to be told something or not.
type Body = Box<dyn FnOnce() -> Told + Send>;

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

/// Plays roles, and gives what they were told.
fn all<const N: usize>(main: usize, bodies: [Body; N]) -> [Told; N] {
    let told: Arc<[Unseen<Told>; N]> = Arc::new(std::array::from_fn(|_| Unseen::default()));
    let roles = bodies.into_iter().enumerate().map(|(index, body)| -> Role {
        let told = Arc::clone(&told);
        role(move || {
            let outcome = body();
            *told[index].lock().unwrap() = outcome;
        })
    });
    play(main, roles.collect());
    std::array::from_fn(|index| told[index].lock().unwrap().take())
}

fn is_circle(told: &Told) -> bool {
    told.as_ref().is_some_and(|told| told.contains("each of these threads waits for a lock that the next one holds"))
}

/// Two threads that may come to want what the other has: they get by each other, or one of them is told of the circle.
fn two_at_odds(main: usize, seen: Seen, bodies: [Body; 2]) {
    let told = all(main, bodies);
    let circles = told.iter().filter(|told| is_circle(told)).count();
    assert_eq!(circles, told.iter().flatten().count(), "told something else: {told:?}");
    assert!(circles < 2, "both were told");
    seen[0].hit_if(circles == 0);
    seen[1].hit_if(is_circle(&told[0]));
    seen[2].hit_if(is_circle(&told[1]));
}

/// Two threads take two locks in opposite orders: they get by each other, or one of them is told, which lets the other go
/// on. Never both, and never neither: that is a deadlock to loom. Fails with [`Flaw::CycleSoughtFirst`].
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
    two_at_odds(main, seen, [one, another]);
}

#[test]
fn opposite_orders_are_told() {
    let outcomes = &["they got by each other", "the first was told", "the second was told"];
    explore("opposite orders", BOUND, 50, &[0, 1], outcomes, opposite_orders);
}

/// The same with a lock for writing and one for reading on one side. Fails with [`Flaw::CycleSoughtFirst`].
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
    two_at_odds(main, seen, [reader, writer]);
}

#[test]
fn opposite_orders_of_kinds_are_told() {
    let outcomes = &["they got by each other", "the reader was told", "the writer was told"];
    explore("opposite orders of kinds", BOUND, 50, &[0, 1], outcomes, opposite_orders_of_kinds);
}

/// Two threads, one of which reads a lock and wants a mutex, the other has the mutex and wants to write. Fails with
/// [`Flaw::ReadsUnshown`].
fn reader_in_a_circle(main: usize, seen: Seen) {
    let locks = Arc::new((Mutex::new(0), RwLock::new(0)));
    let other = Arc::clone(&locks);
    let reader = Box::new(move || {
        let _reads = locks.1.read();
        told(|| locks.0.lock())
    });
    let writer = Box::new(move || {
        let _first = other.0.lock();
        told(|| other.1.write())
    });
    two_at_odds(main, seen, [reader, writer]);
}

#[test]
fn a_reader_in_a_circle_is_told() {
    let outcomes = &["they got by each other", "the reader was told", "the writer was told"];
    explore("reader in a circle", BOUND, 50, &[0, 1], outcomes, reader_in_a_circle);
}

/// A thread that reads what it reads already, and a writer: it comes first with both, or is told. Fails with
/// [`Flaw::ReadsUnshown`].
fn reads_again(main: usize, seen: Seen) {
    let lock = Arc::new(RwLock::new(0));
    let other = Arc::clone(&lock);
    let reader = Box::new(move || {
        let first = lock.read();
        seen[0].hit_if(*first == 1);
        told(|| lock.read())
    });
    let writer = Box::new(move || {
        *other.write() += 1;
        None
    });
    let told = all(main, [reader, writer]);
    seen[1].hit_if(told[0].is_none());
    seen[2].hit_if(told[0].as_ref().is_some_and(|told| told.contains("reads again what it reads, behind a writer")));
}

#[test]
fn who_reads_again_behind_a_writer_is_told() {
    let outcomes = &["the writer was first", "the reader was told nothing", "the reader was told"];
    explore("reads again", BOUND, 50, &[0, 1], outcomes, reads_again);
}

/// One reads and wants a mutex; its owner wants to read as well, which a writer keeps it from. It began to when the first
/// was writing, and so may have the lock by the time that the writer comes, and not have said so. Fails with
/// [`Flaw::UnsettledIsNone`].
fn kept_out_by_a_writer(main: usize, seen: Seen) {
    let locks = Arc::new((Mutex::new(0), RwLock::new(0)));
    let (other, third) = (Arc::clone(&locks), Arc::clone(&locks));
    let (owns, owned) = signal();
    let reader = Box::new(move || {
        let writes = locks.1.write();
        owned.wait();
        drop(writes);
        let _reads = locks.1.read();
        told(|| locks.0.lock())
    });
    let owner = Box::new(move || {
        let _first = other.0.lock();
        owns.give();
        told(|| other.1.read())
    });
    let writer = Box::new(move || {
        *third.1.write() += 1;
        None
    });
    let told = all(main, [reader, owner, writer]);
    seen[0].hit_if(told == [None, None, None]);
    seen[1].hit_if(told[0].is_some());
    assert!(told.iter().flatten().all(|told| told.contains("or is to have first")), "told something else: {told:?}");
    assert!(told.iter().flatten().count() < 2, "both were told");
}

#[test]
fn who_is_kept_out_by_a_writer_is_in_the_circle() {
    let outcomes = &["they got by each other", "the reader was told"];
    explore("kept out by a writer", BOUND_OF_HUGE, 50, &[0], outcomes, kept_out_by_a_writer);
    // The reader is told with two preemptions, not with one.
    explore("kept out by a writer", BOUND_OF_LARGE, 50, &[1], outcomes, kept_out_by_a_writer);
}

/// Two who make values and want each other's. Fails with [`Flaw::CycleSoughtFirst`].
fn makers(main: usize, seen: Seen) {
    let values = Arc::new((OnceLock::new(), OnceLock::new()));
    let other = Arc::clone(&values);
    // What is told is caught inside: see `told`.
    let maker = |own: &OnceLock<i32>, wanted: &OnceLock<i32>| {
        let mut heard = None;
        own.get_or_init(|| {
            yield_now();
            heard = told(|| wanted.get_or_init(|| 10));
            1
        });
        heard
    };
    let one = Box::new(move || maker(&values.0, &values.1));
    let another = Box::new(move || maker(&other.1, &other.0));
    two_at_odds(main, seen, [one, another]);
}

#[test]
fn makers_in_a_circle_are_told() {
    let outcomes = &["they got by each other", "the first was told", "the second was told"];
    explore("makers", BOUND, 50, &[0, 1], outcomes, makers);
}

/// Two threads that take and give back the same locks, one after the other and in one order, are told nothing, whoever was
/// the holder a moment ago. Fails with [`Flaw::HolderNotCleared`].
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
    let told = all(main, [again, once]);
    assert_eq!(told, [None, None], "told of nothing");
}

#[test]
fn one_order_is_told_nothing() {
    let outcomes = &["the other was first", "the other was later"];
    explore("same order", BOUND, 50, &[0, 1], outcomes, same_order);
}

const CASES: &[Case] = &[
    deadlock(Flaw::LockKeepsCore, &[0, 1], holder_without_core),
    Case {
        flaw: Flaw::BlocksUnlooked,
        message: "the core was given up without a look",
        bound: BOUND,
        mains: &[0, 1],
        model: looks,
    },
    deadlock(Flaw::CycleSoughtFirst, &[0, 1], opposite_orders),
    deadlock(Flaw::CycleSoughtFirst, &[0, 1], opposite_orders_of_kinds),
    deadlock(Flaw::CycleSoughtFirst, &[0, 1], makers),
    deadlock(Flaw::ReadsUnshown, &[0, 1], reader_in_a_circle),
    deadlock(Flaw::ReadsUnshown, &[0, 1], reads_again),
    Case {
        flaw: Flaw::UnsettledIsNone,
        message: "deadlock",
        bound: BOUND_OF_LARGE,
        mains: &[0, 1],
        model: kept_out_by_a_writer,
    },
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
