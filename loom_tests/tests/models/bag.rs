//! A scope's bag: its own thread pushes without a lock while a thread with an offer takes. Each task is had once, and what
//! is left is offered.
//!
//! Checked under loom's model, in both role orders.

use crate::common::{Bound, Witness, check, fails_with, two_roles};
use loom::sync::atomic::AtomicBool;
use loom::thread;
use purloin_loom::internals::bag::{Bag, End};
use purloin_loom::internals::job::{Helped, Job, JobRef, Kind};
use purloin_loom::internals::primitive::{Flaw, UnsafeCell, with_flaw};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use test_fork::test;

const OWNER: usize = 0;
const THIEF: usize = 1;
const BOTH: [usize; 2] = [OWNER, THIEF];

/// Of these the first is there, and offered, before the thief comes.
const TASKS: usize = 4;

static KIND: Kind = Kind { run: |_| true, help: |_, _| Helped::Refused, unmoor: |job| job, cancel: |_| None };

/// A task that nobody runs: it is had, and read.
#[repr(C)]
struct Numbered {
    job: Job,
    number: UnsafeCell<usize>,
    had: AtomicUsize,
}

/// What both sides know. All but the bag is unseen by loom.
struct Stage {
    bag: Bag,
    tasks: [Numbered; TASKS],
    /// Offers made and not accepted.
    offers: AtomicUsize,
}

// SAFETY: shared as in the library; loom checks the cells.
unsafe impl Send for Stage {}
// SAFETY: as above.
unsafe impl Sync for Stage {}

impl Stage {
    fn new() -> Arc<Self> {
        let task = |_| Numbered { job: Job { kind: &KIND }, number: UnsafeCell::new(0), had: AtomicUsize::new(0) };
        Arc::new(Stage { bag: Bag::new(), tasks: std::array::from_fn(task), offers: AtomicUsize::new(0) })
    }

    /// Pushes a task; tells whether an offer was due. Only for the owner.
    fn push(&self, index: usize) -> bool {
        let task = &self.tasks[index];
        // SAFETY: nobody else has it yet.
        task.number.with_mut(|number| unsafe { *number = index + 1 });
        // SAFETY: it outlives the model's threads.
        let entry = unsafe { JobRef::new((&raw const *task).cast()) };
        // SAFETY: the owner.
        let due = unsafe { self.bag.add_own(entry) };
        let offer = due.is_some_and(|due| due.offer);
        self.offers.fetch_add(usize::from(offer), Relaxed);
        offer
    }

    fn have(&self, entry: JobRef) {
        // SAFETY: alive, and of this type.
        let task = unsafe { &*entry.cast::<Numbered>() };
        // SAFETY: loom checks that it was written before.
        let number = task.number.with(|number| unsafe { *number });
        let index = self.tasks.iter().position(|other| std::ptr::eq(other, task)).expect("a task of this model");
        assert_eq!(number, index + 1);
        assert_eq!(task.had.fetch_add(1, Relaxed), 0, "taken twice");
    }

    /// Accepts offers as long as it makes the next; tells how many tasks it had.
    fn accept_all(&self) -> usize {
        let mut had = 0;
        loop {
            self.offers.fetch_sub(1, Relaxed);
            let (task, more) = self.bag.accept();
            if let Some(task) = task {
                self.have(task);
                had += 1;
            }
            if !more {
                return had;
            }
            self.offers.fetch_add(1, Relaxed);
        }
    }

    fn had(&self) -> usize {
        self.tasks.iter().map(|task| task.had.load(Relaxed)).sum()
    }

    /// After both roles.
    fn check(&self) {
        let offers = self.offers.load(Relaxed);
        assert_eq!(self.bag.is_offered(), offers == 1, "noted otherwise than offered");
        assert!(self.had() == TASKS || offers == 1, "a task lacks an offer");
        // SAFETY: the old end is for all.
        while let Some(task) = unsafe { self.bag.next(End::Old, 0) }.task {
            self.have(task);
        }
        assert_eq!(self.had(), TASKS, "a task was lost");
        assert!(!self.bag.count_ended(TASKS), "over before the scope itself");
        assert!(self.bag.count_ended(1), "a task was not counted");
    }
}

struct Witnesses {
    all: Witness,
    offered_again: Witness,
    left: Witness,
}

static SEEN: Witnesses = Witnesses {
    all: Witness::new("the thief took all tasks"),
    offered_again: Witness::new("an offer was due for a later task"),
    left: Witness::new("the thief left tasks, which an offer is for"),
};

/// The owner pushes three more tasks; takes the youngest in between, if it is to. Fails with [`Flaw::OfferClearedBlind`],
/// [`Flaw::PushRelaxed`] and [`Flaw::SlotReusedEarly`].
fn race(main: usize, takes: bool) {
    let stage = Stage::new();
    assert!(stage.push(0));
    let owner = {
        let stage = Arc::clone(&stage);
        move || {
            let mut again = stage.push(1);
            again |= stage.push(2);
            if takes {
                // SAFETY: the owner.
                if let Some(task) = unsafe { stage.bag.next(End::Young, 0) }.task {
                    stage.have(task);
                }
            }
            again |= stage.push(3);
            SEEN.offered_again.hit_if(again);
        }
    };
    let thief = {
        let stage = Arc::clone(&stage);
        move || {
            let had = stage.accept_all();
            SEEN.all.hit_if(had == TASKS);
        }
    };
    two_roles(main, owner, thief);
    SEEN.left.hit_if(stage.had() < TASKS);
    stage.check();
}

#[test]
fn what_is_left_is_offered() {
    for main in BOTH {
        for takes in [false, true] {
            check("pushed without a lock", Bound::Default, move || race(main, takes)).at_least(20);
        }
    }
    SEEN.all.assert_seen();
    SEEN.offered_again.assert_seen();
    SEEN.left.assert_seen();
}

/// The bag is empty and still offered, the owner having taken the task itself. It pushes three more while a thread drops
/// the offer. Fails with [`Flaw::OfferDroppedBlind`].
fn race_with_drop(main: usize) {
    let stage = Stage::new();
    assert!(stage.push(0));
    // SAFETY: the owner.
    stage.have(unsafe { stage.bag.next(End::Young, 0) }.task.expect("pushed"));
    let (owners, thiefs) = (Arc::clone(&stage), Arc::clone(&stage));
    let owner = move || (1..TASKS).for_each(|index| _ = owners.push(index));
    let thief = move || {
        let dropped = thiefs.bag.drop_offer();
        thiefs.offers.fetch_sub(usize::from(dropped), Relaxed);
        if dropped { &DROPPED } else { &KEPT }.hit();
    };
    two_roles(main, owner, thief);
    stage.check();
}

static KEPT: Witness = Witness::new("the offer was kept, since a task had come");
static DROPPED: Witness = Witness::new("the offer was dropped");

#[test]
fn an_offer_is_dropped_only_if_nothing_came() {
    for main in BOTH {
        check("an offer is dropped", Bound::Default, move || race_with_drop(main)).at_least(5);
    }
    KEPT.assert_seen();
    DROPPED.assert_seen();
}

/// A thief runs the first task, and the owner helps it, as with a fork of that task, and pushes meanwhile. The end of the
/// task is told by the thief: the push, which happened before, keeps the scope. Fails with [`Flaw::EndCountedUnlooked`].
fn told_by_another(main: usize) {
    let stage = Stage::new();
    assert!(stage.push(0));
    assert!(!stage.push(1));
    let (first, more) = stage.bag.accept();
    stage.have(first.expect("pushed"));
    assert!(more);
    // SAFETY: the owner.
    stage.have(unsafe { stage.bag.next(End::Young, 0) }.task.expect("pushed"));
    assert!(!stage.bag.count_ended(1), "the first task is run");
    assert!(!stage.bag.count_ended(1), "the body is over, the first task is not");
    let helped = Arc::new(AtomicBool::new(false));
    let owner = {
        let (stage, helped) = (Arc::clone(&stage), Arc::clone(&helped));
        move || {
            assert!(!stage.push(2), "it is offered");
            helped.store(true, Release);
        }
    };
    let thief = {
        let stage = Arc::clone(&stage);
        move || {
            while !helped.load(Acquire) {
                thread::yield_now();
            }
            assert!(!stage.bag.count_ended(1), "over with a task in the bag");
        }
    };
    two_roles(main, owner, thief);
    // SAFETY: the old end is for all.
    stage.have(unsafe { stage.bag.next(End::Old, 0) }.task.expect("pushed"));
    assert!(stage.bag.count_ended(1), "a task was not counted");
}

#[test]
fn a_push_keeps_the_scope() {
    for main in BOTH {
        check("told by another", Bound::Default, move || told_by_another(main)).at_least(2);
    }
}

/// A message for each of both role orders.
fn finds_in(model: fn(usize), flaw: Flaw, messages: [&str; 2]) {
    for (main, message) in BOTH.into_iter().zip(messages) {
        println!("{flaw:?}, main thread: {main}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("a scope's bag: seeded flaw", Bound::Default, move || model(main));
            });
        });
    }
}

fn finds(flaw: Flaw, messages: [&str; 2]) {
    finds_in(|main| race(main, false), flaw, messages);
}

/// The contract broken: both push without a lock.
fn two_owners(main: usize) {
    let stage = Stage::new();
    assert!(stage.push(0));
    let (one, other) = (Arc::clone(&stage), Arc::clone(&stage));
    two_roles(main, move || _ = one.push(1), move || _ = other.push(2));
}

/// Seeded: a thread that is not the owner pushes without a lock.
#[test]
fn a_second_owner_is_found() {
    for main in BOTH {
        fails_with("Causality violation", || {
            check("two owners", Bound::Default, move || two_owners(main));
        });
    }
}

/// Seeded: who drops an offer does not heed that a task has come.
#[test]
fn a_blind_drop_is_found() {
    finds_in(race_with_drop, Flaw::OfferDroppedBlind, ["noted otherwise than offered"; 2]);
}

/// Seeded: the end of a task is counted without a look at what was pushed within it.
#[test]
fn an_unlooked_count_is_found() {
    finds_in(told_by_another, Flaw::EndCountedUnlooked, ["over with a task in the bag"; 2]);
}

/// Seeded: who has used the offer up withdraws it though a task has come since.
#[test]
fn a_blind_withdrawal_is_found() {
    finds(Flaw::OfferClearedBlind, ["a task lacks an offer"; 2]);
}

/// Seeded: a push that publishes nothing.
#[test]
fn a_relaxed_push_is_found() {
    finds(Flaw::PushRelaxed, ["Causality violation"; 2]);
}

/// Seeded: a slot is written again while its task is still to be had.
#[test]
fn a_slot_reused_early_is_found() {
    // The write meets the read, or the task that was there is not the one that was pushed there.
    finds(Flaw::SlotReusedEarly, ["Causality violation", "taken twice"]);
}
