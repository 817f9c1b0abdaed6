//! The stand-ins for crossbeam's deque and injector keep the contract in every interleaving (within the bounds), and the
//! models notice when they do not.

#[path = "../../../tests/contract/mod.rs"]
mod contract;

use crate::common::{Bound, Witness, check, fails_with};
use contract::{BOTH, Look, Main, Outcome};
use loom::thread;
use purloin_loom::internals::primitive::{AtomicUsize, Bug, Deque, Injector, Ordering, Steal, fence};
use test_fork::test;

const RING: usize = Deque::<usize>::CAPACITY;

/// A race with a deque.
type DequeRace = fn(Deque<usize>, Main) -> Outcome;
/// A race with an injector.
type InjectorRace = fn(Injector<usize>, Main) -> Outcome;
/// What a race must come to at least once: the name and the test.
type Expected = (&'static str, fn(&Outcome) -> bool);

/// Explores a race in both role orders and checks that each order reaches everything expected.
fn explore(
    name: &'static str,
    bound: Bound,
    floor: usize,
    expected: &[Expected],
    play: impl Fn(Main) -> Outcome + Copy + Send + Sync + 'static,
) {
    for main in BOTH {
        let expected: Vec<_> = expected.iter().map(|&(name, test)| (Witness::leaked(name), test)).collect();
        let witnesses = expected.clone();
        check(name, bound, move || {
            let outcome = play(main);
            for (witness, test) in &witnesses {
                witness.hit_if(test(&outcome));
            }
        })
        .at_least(floor);
        for (witness, _) in expected {
            witness.assert_seen();
        }
    }
}

fn explore_deque(name: &'static str, bound: Bound, floor: usize, expected: &[Expected], race: DequeRace) {
    explore(name, bound, floor, expected, move |main| race(Deque::new(), main));
}

fn explore_injector(name: &'static str, bound: Bound, floor: usize, expected: &[Expected], race: InjectorRace) {
    explore(name, bound, floor, expected, move |main| race(Injector::new(), main));
}

/// Checks that `race` finds `bug` with each of the roles on the main thread.
fn finds(bug: Bug, message: &str, bound: Bound, play: impl Fn(Main) + Copy + Send + Sync + 'static) {
    for main in BOTH {
        println!("{bug:?}, main thread: {main:?}");
        fails_with(message, || {
            check("seeded bug", bound, move || play(main));
        });
    }
}

fn deque_finds(bug: Bug, message: &str, bound: Bound, race: DequeRace) {
    finds(bug, message, bound, move |main| {
        race(Deque::seeded(bug), main);
    });
}

fn injector_finds(bug: Bug, message: &str, bound: Bound, race: InjectorRace) {
    finds(bug, message, bound, move |main| {
        race(Injector::seeded(bug), main);
    });
}

const NOT_VISIBLE: &str = "took an item whose write is not visible to the taker";

// ---- one thread

#[test]
fn sequential() {
    for (name, part) in contract::deque::SEQUENTIAL {
        assert_eq!(check(name, Bound::Unbounded, part).iterations, 1);
    }
    check("the injector is a queue", Bound::Unbounded, contract::injector::is_fifo);
}

#[test]
fn full_deque_panics() {
    fails_with("the modelled deque is full", || {
        check("full deque", Bound::Unbounded, || {
            let deque = Deque::new();
            for item in 0..=RING {
                deque.push(item);
            }
        });
    });
}

#[test]
fn used_up_injector_panics() {
    fails_with("the modelled injector is used up", || {
        check("used up injector", Bound::Unbounded, || {
            let injector = Injector::new();
            for item in 0..=RING {
                injector.push(item);
                assert_eq!(injector.steal(), Steal::Success(item));
            }
        });
    });
}

// ---- the deque

const OWNER_WON: Expected = ("the owner took an item", |outcome| outcome.popped > 0);
const OWNER_LOST: Expected = ("the owner found its item stolen", |outcome| outcome.missed > 0);
const THIEF_WON: Expected = ("the thief took an item", |outcome| outcome.stolen[0] > 0);
const RETRY: Expected = ("a thief lost to another taker", |outcome| outcome.retries > 0);
const EMPTY: Expected = ("a thief found nothing", |outcome| outcome.empties > 0);
const LEFT: Expected = ("an item was left by all", |outcome| outcome.left > 0);

/// Fails with [`Bug::PopWithoutExchange`], [`Bug::PopWithoutRestore`] and [`Bug::StealWithoutExchange`].
#[test]
fn last_item() {
    let expected = [OWNER_WON, OWNER_LOST, THIEF_WON, RETRY, EMPTY];
    explore_deque("last item", Bound::Unbounded, 1_000, &expected, contract::deque::last_item);
}

/// Fails with [`Bug::PushWithoutFence`], [`Bug::PushByReleaseStore`], [`Bug::PopWithoutFence`] and [`Bug::StealWithoutFence`].
#[test]
fn two_items() {
    let expected = [
        OWNER_WON,
        OWNER_LOST,
        RETRY,
        EMPTY,
        LEFT,
        ("each got one", |outcome| (outcome.popped, outcome.stolen[0]) == (1, 1)),
        ("the thief got both", |outcome| outcome.stolen[0] == 2),
    ];
    explore_deque("two items", Bound::Unbounded, 1_000, &expected, contract::deque::two_items);
}

/// Fails with [`Bug::StealWithoutExchange`].
#[test]
fn two_thieves() {
    let expected = [
        RETRY,
        ("the thieves got both", |outcome| outcome.stolen == [1, 1] && outcome.missed == 1),
        ("the owner and the first thief", |outcome| outcome.popped == 1 && outcome.stolen == [1, 0]),
        ("the owner and the second thief", |outcome| outcome.popped == 1 && outcome.stolen == [0, 1]),
    ];
    explore_deque("two thieves", Bound::Default, 400, &expected, contract::deque::two_thieves);
}

/// Fails with [`Bug::StealWithoutExchange`].
#[test]
fn wrap() {
    let expected = [
        RETRY,
        ("the slot was used again", |outcome| outcome.pushed > RING),
        ("the slot was used again beside a thief that lost", |outcome| outcome.pushed > RING && outcome.retries > 0),
        ("the slot was not used again", |outcome| outcome.pushed == RING),
    ];
    explore_deque("wrap", Bound::Default, 100, &expected, contract::deque::wrap);
}

/// Fails with a flag that is raised by a relaxed store.
#[test]
fn flag_after_push() {
    let expected = [THIEF_WON, LEFT];
    explore_deque("flag after push", Bound::Unbounded, 4, &expected, |deque, main| {
        contract::deque::flag_after_push(deque, main, Ordering::Release)
    });
}

/// Fails with [`Bug::EmptyWithoutFence`] and [`Bug::StealWithoutFence`].
#[test]
fn sleeper_looks_at_deque() {
    for look in [Look::IsEmpty, Look::Steal] {
        explore_sleeper("sleeper looks at deque", move |main| {
            contract::deque::sleeper_looks_at(Deque::new(), main, look)
        });
    }
}

fn explore_sleeper(name: &'static str, play: impl Fn(Main) -> (bool, bool) + Copy + Send + Sync + 'static) {
    for main in BOTH {
        let by_thief = Witness::leaked("the thief saw the item");
        let by_giver = Witness::leaked("the owner saw the sleeper");
        let by_one = Witness::leaked("only one saw the other");
        check(name, Bound::Unbounded, move || {
            let (thief_saw, giver_saw) = play(main);
            by_thief.hit_if(thief_saw);
            by_giver.hit_if(giver_saw);
            by_one.hit_if(thief_saw != giver_saw);
        })
        .at_least(10);
        for witness in [by_thief, by_giver, by_one] {
            witness.assert_seen();
        }
    }
}

#[test]
fn deque_bugs_are_found() {
    use Bound::{Default, Unbounded};
    deque_finds(Bug::PushWithoutFence, NOT_VISIBLE, Unbounded, contract::deque::two_items);
    deque_finds(Bug::PushByReleaseStore, NOT_VISIBLE, Unbounded, contract::deque::two_items);
    deque_finds(Bug::PopWithoutFence, "item 1 was taken 2 times", Unbounded, contract::deque::two_items);
    deque_finds(Bug::PopWithoutExchange, "item 0 was taken 2 times", Unbounded, contract::deque::last_item);
    deque_finds(Bug::PopWithoutRestore, "item 1 was lost", Unbounded, contract::deque::last_item);
    deque_finds(Bug::StealWithoutFence, "item 1 was taken 2 times", Unbounded, contract::deque::two_items);
    deque_finds(Bug::StealWithoutExchange, "item 0 was taken 2 times", Unbounded, contract::deque::last_item);
    deque_finds(Bug::StealWithoutExchange, "item 0 was taken 2 times", Default, contract::deque::two_thieves);
    deque_finds(Bug::StealWithoutExchange, "item 0 was taken 2 times", Default, contract::deque::wrap);
}

#[test]
fn deque_sleep_bugs_are_found() {
    let message = "the item was missed and so was the sleeper";
    for (bug, look) in [(Bug::EmptyWithoutFence, Look::IsEmpty), (Bug::StealWithoutFence, Look::Steal)] {
        finds(bug, message, Bound::Unbounded, move |main| {
            contract::deque::sleeper_looks_at(Deque::seeded(bug), main, look);
        });
    }
}

// ---- the injector

/// Fails with [`Bug::InjectWithoutExchange`] and [`Bug::InjectWithoutRelease`].
#[test]
fn two_producers() {
    let expected = [EMPTY, LEFT, ("the thief got two items", |outcome| outcome.stolen[0] == 2)];
    explore_injector("two producers", Bound::Default, 1_000, &expected, contract::injector::two_producers);
}

/// Fails with [`Bug::DrawWithoutExchange`] and [`Bug::DrawWithoutWait`].
#[test]
fn two_consumers() {
    let expected = [
        RETRY,
        EMPTY,
        ("the first thief took an item", |outcome| outcome.stolen == [1, 0]),
        ("the second thief took an item", |outcome| outcome.stolen == [0, 1]),
        ("each thief took an item", |outcome| outcome.stolen == [1, 1]),
    ];
    explore_injector("two consumers", Bound::Default, 400, &expected, contract::injector::two_consumers);
}

/// Fails with a flag that is raised by a relaxed store.
#[test]
fn flag_after_inject() {
    let expected = [THIEF_WON, LEFT];
    explore_injector("flag after inject", Bound::Unbounded, 4, &expected, |injector, main| {
        contract::injector::flag_after_push(injector, main, Ordering::Release)
    });
}

/// Fails with [`Bug::DrawWithoutFence`].
#[test]
fn sleeper_looks_at_injector() {
    for look in [Look::IsEmpty, Look::Steal] {
        explore_sleeper("sleeper looks at injector", move |main| {
            contract::injector::sleeper_looks_at(Injector::new(), main, look)
        });
    }
}

#[test]
fn injector_bugs_are_found() {
    use Bound::Default;
    injector_finds(Bug::InjectWithoutExchange, "was lost", Default, contract::injector::two_producers);
    injector_finds(Bug::InjectWithoutRelease, NOT_VISIBLE, Default, contract::injector::two_producers);
    injector_finds(Bug::DrawWithoutExchange, "item 0 was taken 2 times", Default, contract::injector::two_consumers);
    injector_finds(Bug::DrawWithoutWait, NOT_VISIBLE, Default, contract::injector::two_consumers);
    let bug = Bug::DrawWithoutFence;
    let message = "the item was missed and so was the sleeper";
    finds(bug, message, Bound::Unbounded, move |main| {
        contract::injector::sleeper_looks_at(Injector::seeded(bug), main, Look::Steal);
    });
}

/// The user's own: a flag that publishes nothing, of which the queues know nothing.
#[test]
fn a_relaxed_flag_is_found() {
    let message = "the flag was seen, but not the item";
    for main in BOTH {
        fails_with(message, || {
            check("flag after push, seeded bug", Bound::Unbounded, move || {
                contract::deque::flag_after_push(Deque::new(), main, Ordering::Relaxed);
            });
        });
        fails_with(message, || {
            check("flag after inject, seeded bug", Bound::Unbounded, move || {
                contract::injector::flag_after_push(Injector::new(), main, Ordering::Relaxed);
            });
        });
    }
}
