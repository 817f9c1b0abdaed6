//! A task and its handle: whoever claims it runs it, once; the result and the panic go to one place each; the memory goes
//! with the last who uses it.
//!
//! Checked under loom's model to the bounds that are said with each, in both role orders. That the memory is freed, and
//! once, is checked with all: a mark in the task is reported as leaked, or as used after its end.

use crate::common::{Bound, Witness, check, fails_with};
use crate::cores::{here, panic_with, payload_of, play, play_with_outsider, role};
use purloin_loom::JoinError;
use purloin_loom::internals::job::{JobRef, Lineage};
use purloin_loom::internals::primitive::{Flaw, with_flaw, yield_now};
use purloin_loom::internals::registry::Registry;
use purloin_loom::internals::task::{self, Handle, Home};
use purloin_loom::internals::worker::Worker;
use std::any::Any;
use std::cell::Cell;
use std::ptr;
use test_fork::test;

const EXECUTOR: usize = 0;
const HOLDER: usize = 1;
const BOTH: [usize; 2] = [EXECUTOR, HOLDER];

/// What the thread does that found the task in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    Runs,
    Cancels,
}

/// What the thread does that has the handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// It joins, and is no thread of the pool.
    Joins,
    /// It joins, and is a worker of the task's pool.
    JoinsAsWorker,
    Drops,
}

/// How the task's closure ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fine,
    Panics,
}

/// What happened, in plain cells: all of loom's threads are one to std.
#[derive(Debug)]
struct Ledger {
    registry: Cell<*const Registry>,
    ran_on: Cell<Option<usize>>,
    runs: Cell<usize>,
    closures_dropped: Cell<usize>,
    results_dropped: Cell<usize>,
    joined: Cell<Option<Joined>>,
    /// Panics that nobody joined: of a task without a handle, and of a handle dropped.
    panicked: Cell<usize>,
    ignored: Cell<usize>,
    ended: Cell<usize>,
    /// How far the task was when its holder came.
    found: Cell<Found>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joined {
    Result,
    Panic,
    Cancelled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Queued,
    Begun,
    Ended,
}

/// The task's home: the ledger.
#[derive(Clone, Copy)]
struct AtHome(*const Ledger);
// SAFETY: all of loom's threads are one to std.
unsafe impl Send for AtHome {}

impl AtHome {
    fn ledger(&self) -> &Ledger {
        // SAFETY: the model's main thread keeps it until all else is over.
        unsafe { &*self.0 }
    }
}

fn add(count: &Cell<usize>) {
    count.set(count.get() + 1);
}

impl Home for AtHome {
    fn registry(&self) -> *const Registry {
        self.ledger().registry.get()
    }

    fn pool(&self) -> u64 {
        0 // The first pool's is 1.
    }

    fn is_terminated(&self) -> bool {
        false
    }

    fn lineage(&self) -> *const Lineage {
        ptr::null()
    }

    fn panicked(&self, payload: Box<dyn Any + Send>) {
        assert_eq!(payload_of(payload), 7);
        add(&self.ledger().panicked);
    }

    fn panic_ignored(&self, payload: Box<dyn Any + Send>, _: u64) {
        assert_eq!(payload_of(payload), 7);
        add(&self.ledger().ignored);
    }

    fn ended(&self) {
        add(&self.ledger().ended);
    }
}

/// Captured by the closure.
struct Captured(AtHome);

impl Drop for Captured {
    fn drop(&mut self) {
        add(&self.0.ledger().closures_dropped);
    }
}

/// What the closure gives.
struct Given(AtHome);

impl Drop for Given {
    fn drop(&mut self) {
        add(&self.0.ledger().results_dropped);
    }
}

fn queue(home: AtHome, end: End, long: bool) -> (JobRef, Handle<Given, AtHome>) {
    let captured = Captured(home);
    let closure = move || {
        let home = captured.0;
        let ledger = home.ledger();
        add(&ledger.runs);
        ledger.ran_on.set(Some(here()));
        if long {
            // Long enough for the holder to have come to wait.
            yield_now();
            yield_now();
        }
        match end {
            End::Fine => Given(home),
            End::Panics => panic_with(7),
        }
    };
    task::new(closure, home)
}

/// What the holder of the handle does.
fn hold(home: AtHome, holder: Holder, handle: Handle<Given, AtHome>) {
    let ledger = home.ledger();
    ledger.found.set(match (ledger.ended.get(), ledger.runs.get()) {
        (0, 0) => Found::Queued,
        (0, _) => Found::Begun,
        _ => Found::Ended,
    });
    if holder == Holder::Drops {
        return drop(handle);
    }
    ledger.joined.set(Some(match handle.join() {
        Ok(_given) => Joined::Result,
        Err(JoinError::Panicked(payload)) => {
            assert_eq!(payload_of(payload.into_inner()), 7);
            Joined::Panic
        }
        Err(JoinError::Cancelled) => Joined::Cancelled,
        Err(other) => unreachable!("{other:?}"),
    }));
}

/// One task, found in a queue by one thread while another has its handle. Fails with [`Flaw::ResultLeftToHandle`],
/// [`Flaw::EntryFreesEarly`], [`Flaw::TaskClaimedByStore`] and [`Flaw::LatchSetRelaxed`].
fn race(main: usize, entry: Entry, holder: Holder, end: End, long: bool) -> Ledger {
    let ledger = Box::into_raw(Box::new(Ledger {
        registry: Cell::new(ptr::null()),
        ran_on: Cell::new(None),
        runs: Cell::new(0),
        closures_dropped: Cell::new(0),
        results_dropped: Cell::new(0),
        joined: Cell::new(None),
        panicked: Cell::new(0),
        ignored: Cell::new(0),
        ended: Cell::new(0),
        found: Cell::new(Found::Queued),
    }));
    let home = AtHome(ledger);
    let (job, handle) = queue(home, end, long);
    let executor = role(move |_: &Worker| {
        match entry {
            Entry::Runs => {
                // SAFETY: the entry's right is this thread's.
                if unsafe { (job.kind().run)(job) } {
                    add(&home.ledger().ended);
                }
            }
            Entry::Cancels => {
                // SAFETY: the entry's right is this thread's. A task is never given back.
                assert_eq!(unsafe { (job.kind().cancel)(job) }, None);
                if home.ledger().runs.get() == 0 {
                    add(&home.ledger().ended);
                }
            }
        }
    });
    if holder == Holder::JoinsAsWorker {
        let joiner = role(move |worker| {
            home.ledger().registry.set(worker.registry());
            hold(home, holder, handle);
        });
        play(main, vec![executor, joiner]);
    } else {
        play_with_outsider(main, executor, move || hold(home, holder, handle));
    }
    // SAFETY: made by `Box::into_raw`, and nobody else is left.
    let ledger = *unsafe { Box::from_raw(ledger) };
    settle(&ledger, entry, holder, end);
    ledger
}

/// What must be true when all is over.
fn settle(ledger: &Ledger, entry: Entry, holder: Holder, end: End) {
    let runs = ledger.runs.get();
    assert!(runs <= 1, "a task is run once: {ledger:?}");
    let ended = ledger.ended.get();
    // Nobody counts the end of a task that was cancelled too late: what is in a scope is not cancelled.
    let uncounted = entry == Entry::Cancels && runs == 1;
    assert!(ended == 1 || uncounted && ended == 0, "a task ends once: {ledger:?}");
    assert_eq!(ledger.closures_dropped.get(), 1, "a closure is dropped once: {ledger:?}");
    let given = usize::from(runs == 1 && end == End::Fine);
    assert_eq!(ledger.results_dropped.get(), given, "a result is dropped once: {ledger:?}");
    let joined = usize::from(ledger.joined.get() == Some(Joined::Panic));
    let panicked = usize::from(runs == 1 && end == End::Panics);
    assert_eq!(
        ledger.panicked.get() + ledger.ignored.get() + joined,
        panicked,
        "a panic goes to one place: {ledger:?}"
    );
    let wanted = match (holder, runs, end) {
        (Holder::Drops, ..) => None,
        (_, 0, _) => Some(Joined::Cancelled),
        (_, _, End::Fine) => Some(Joined::Result),
        (_, _, End::Panics) => Some(Joined::Panic),
    };
    assert_eq!(ledger.joined.get(), wanted, "what a join gives: {ledger:?}");
    if entry == Entry::Runs {
        assert_eq!(runs, 1, "a task that nobody cancels is run: {ledger:?}");
    }
}

/// What a race must come to at least once.
type Expected = (&'static str, fn(&Ledger) -> bool);

fn explore(bound: Bound, entry: Entry, holder: Holder, end: End, long: bool, expected: &[Expected]) {
    for main in BOTH {
        let expected: Vec<_> = expected.iter().map(|&(name, test)| (Witness::leaked(name), test)).collect();
        let witnesses = expected.clone();
        println!("{entry:?} {holder:?} {end:?}{}, main thread: {main}", if long { " long" } else { "" });
        check("task", bound, move || {
            let ledger = race(main, entry, holder, end, long);
            witnesses.iter().for_each(|(witness, test)| witness.hit_if(test(&ledger)));
        })
        .at_least(10);
        expected.iter().for_each(|(witness, _)| witness.assert_seen());
    }
}

const QUEUED: Expected = ("the holder came before the task was begun", |ledger| ledger.found.get() == Found::Queued);
const BEGUN: Expected = ("the holder came while the task ran", |ledger| ledger.found.get() == Found::Begun);
const ENDED: Expected = ("the holder came when the task had ended", |ledger| ledger.found.get() == Found::Ended);
const BY_ENTRY: Expected = ("the executor ran it", |ledger| ledger.ran_on.get() == Some(EXECUTOR));
const BY_HOLDER: Expected = ("the joiner ran it", |ledger| ledger.ran_on.get() == Some(HOLDER));
const CANCELLED: Expected = ("it was cancelled", |ledger| ledger.ran_on.get().is_none());
const TO_HOME: Expected = ("the panic went to the task's home", |ledger| ledger.panicked.get() == 1);
const IGNORED: Expected = ("the panic went with the handle", |ledger| ledger.ignored.get() == 1);

/// A join from outside gets the result or the panic, whenever it comes. Checked without a bound under loom's model.
#[test]
fn joined_from_outside() {
    explore(Bound::Unbounded, Entry::Runs, Holder::Joins, End::Fine, false, &[QUEUED, BEGUN, ENDED]);
    explore(Bound::Unbounded, Entry::Runs, Holder::Joins, End::Panics, true, &[QUEUED, BEGUN]);
    explore(Bound::Unbounded, Entry::Cancels, Holder::Joins, End::Fine, false, &[QUEUED, ENDED, CANCELLED]);
}

/// A join on a worker of the pool runs the task or waits for who does. Checked to bound 2 under loom's model, and to bound
/// 1 where the task is long.
#[test]
fn joined_by_a_worker() {
    let both = [BY_ENTRY, BY_HOLDER];
    explore(Bound::AtMost(2), Entry::Runs, Holder::JoinsAsWorker, End::Fine, false, &both);
    explore(Bound::AtMost(1), Entry::Runs, Holder::JoinsAsWorker, End::Panics, true, &both);
    explore(Bound::AtMost(2), Entry::Cancels, Holder::JoinsAsWorker, End::Fine, false, &[CANCELLED, BY_HOLDER]);
}

/// A dropped handle leaves the task to its pool, and the result to who comes last. Checked without a bound under loom's model.
#[test]
fn dropped() {
    explore(Bound::Unbounded, Entry::Runs, Holder::Drops, End::Fine, false, &[QUEUED, BEGUN, ENDED]);
    explore(
        Bound::Unbounded,
        Entry::Runs,
        Holder::Drops,
        End::Panics,
        false,
        &[QUEUED, BEGUN, ENDED, TO_HOME, IGNORED],
    );
    explore(Bound::Unbounded, Entry::Cancels, Holder::Drops, End::Fine, false, &[QUEUED, ENDED, CANCELLED]);
}

fn finds(flaw: Flaw, entry: Entry, holder: Holder, end: End, message: &str) {
    for main in BOTH {
        println!("{flaw:?}, main thread: {main}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("task: seeded flaw", Bound::Default, move || {
                    race(main, entry, holder, end, false);
                });
            });
        });
    }
}

/// Seeded: the entry takes a result for the handle's that the handle has taken for the entry's.
#[test]
fn a_result_left_to_each_other_is_found() {
    finds(Flaw::ResultLeftToHandle, Entry::Runs, Holder::Drops, End::Panics, "a panic goes to one place");
}

/// Seeded: the entry frees the task though its handle is left.
#[test]
fn an_early_free_is_found() {
    finds(Flaw::EntryFreesEarly, Entry::Runs, Holder::Joins, End::Fine, "Causality violation");
}

/// Seeded: the entry's claim writes over the joiner's, and both take the closure.
#[test]
fn a_claim_by_store_is_found() {
    finds(Flaw::TaskClaimedByStore, Entry::Runs, Holder::JoinsAsWorker, End::Fine, "Causality violation");
}

/// Seeded: the joiner goes on before the result is there for it to see.
#[test]
fn a_relaxed_latch_is_found() {
    finds(Flaw::LatchSetRelaxed, Entry::Runs, Holder::Joins, End::Fine, "Causality violation");
}
