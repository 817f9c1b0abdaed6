//! A ticket stands for a fork in the injector: whoever claims it, the owner or a thief, runs the fork, and the other keeps
//! away from the fork's frame; the ticket itself goes with the last who holds it.
//!
//! Checked under loom's model, in both role orders: the ticket alone without a bound on preemptions, with the workers
//! around it to bound 1.

use crate::common::{Bound, Witness, check, fails_with};
use crate::cores::{Note, here, play, role, thieve};
use crate::stage::{Case, Seen};
use loom::thread;
use purloin_loom::internals::job::{Fork, JobRef, Kind, Standing, Ticket, keep, requeue, same};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::latch::{Latch, Verdict, Waiter};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell, with_flaw, yield_now};
use purloin_loom::internals::seat::with_place;
use purloin_loom::internals::worker::without_core;
use std::ptr;
use test_fork::test;

const OWNER: usize = 0;
const THIEF: usize = 1;
const BOTH: [usize; 2] = [OWNER, THIEF];

// ---- the ticket alone

/// A fork on its owner's frame, without a worker: it counts its runs.
#[repr(C)]
struct Counted {
    fork: Fork,
    runs: UnsafeCell<usize>,
}

static COUNTED: Kind = Kind { run: run_counted, help: requeue, unmoor: same, cancel: keep };

unsafe fn run_counted(job: JobRef) -> bool {
    let this = job.cast::<Counted>();
    // SAFETY: claimed, so the frame stays until the latch is set.
    let this = unsafe { &*this };
    this.count();
    // SAFETY: shared before it had a ticket.
    let shared = unsafe { this.fork.shared() };
    // SAFETY: set once, by the claimant.
    unsafe { Latch::set(&shared.latch, Verdict::Done) };
    true
}

impl Counted {
    fn count(&self) {
        // SAFETY: loom checks that nobody else reads or writes.
        self.runs.with_mut(|runs| unsafe { *runs += 1 });
    }
}

/// Who claimed a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claimed {
    Owner,
    /// The thief, which was done when the owner looked.
    Thief,
    /// The thief, and the owner slept meanwhile.
    ThiefOfSleeper,
}

/// A fork whose owner gave its core up, and claims it back while a thief finds the ticket. With `cancel`, the thief first
/// takes it for a thread that drops what is queued, which is to leave what an owner waits for. Tells whether that left it,
/// too. Fails with [`Flaw::ClaimByLoadAndStore`] and [`Flaw::ReleaseRelaxed`].
fn claim(main: usize, cancel: bool) -> (Claimed, bool) {
    let counted = Counted { fork: Fork::new(&COUNTED), runs: UnsafeCell::new(0) };
    // The memory outlives the frame, so that a use after its end is reported as what it is.
    let memory = Box::into_raw(Box::new(counted));
    // SAFETY: alive, and shared once.
    unsafe { Fork::share(memory.cast_const().cast(), ptr::null()) };
    // SAFETY: in no queue.
    let entry = unsafe { Ticket::stand_for(memory.cast_const().cast()) };
    let (ran, claimed, kept) = (Note::new(0), Note::new(Claimed::Owner), Note::new(false));
    let (runs, by, left) = (ran.clone(), claimed.clone(), kept.clone());
    let owner = move || {
        // SAFETY: the owner's frame.
        let counted = unsafe { &*memory };
        // SAFETY: shared above.
        let shared = unsafe { counted.fork.shared() };
        let Standing::Unmoored(ticket) = shared.ticket() else { panic!("the fork has a ticket") };
        // SAFETY: alive by the owner's count.
        let mine = unsafe { &*ticket }.claim().is_some();
        // SAFETY: the owner's count, not used again.
        unsafe { Ticket::release(ticket) };
        if mine {
            counted.count();
        } else {
            by.set(if wait(&shared.latch) { Claimed::ThiefOfSleeper } else { Claimed::Thief });
        }
        // SAFETY: claimed or done.
        unsafe { counted.fork.retire() };
        // SAFETY: loom checks that nobody else writes.
        runs.set(counted.runs.with(|runs| unsafe { *runs }));
        // The end of the frame: nobody else may look at it from now on.
        counted.runs.with_mut(|_| ());
    };
    let thief = move || {
        // SAFETY: the entry's right is the thief's.
        let entry = if cancel { unsafe { (entry.kind().cancel)(entry) } } else { Some(entry) };
        if let Some(entry) = entry {
            left.set(true);
            // SAFETY: as above.
            unsafe { (entry.kind().run)(entry) };
        }
    };
    race(main, owner, thief);
    assert_eq!(ran.get(), 1, "a fork is run once");
    // SAFETY: made by `Box::into_raw`.
    drop(unsafe { Box::from_raw(memory) });
    (claimed.get(), kept.get())
}

/// Waits for a latch, and tells whether the thread parked.
fn wait(latch: &Latch) -> bool {
    if latch.verdict().is_some() {
        return false;
    }
    with_place(|place| {
        let waiter = Waiter::new(Arc::clone(place.seat()));
        if latch.announce(&waiter).is_err() {
            return false;
        }
        let mut parked = false;
        while waiter.verdict().is_none() {
            place.park();
            parked = true;
        }
        parked
    })
}

/// Two roles without a pool.
fn race(main: usize, owner: impl FnOnce() + 'static, thief: impl FnOnce() + 'static) {
    let roles: [Box<dyn FnOnce()>; 2] = [Box::new(owner), Box::new(thief)];
    let [owner, thief] = roles;
    let (mine, other) = if main == OWNER { (owner, thief) } else { (thief, owner) };
    let other = thread::spawn(other);
    mine();
    other.join().unwrap();
}

/// Owner and thief claim one fork: one of them runs it, its frame ends after that, and the ticket goes once. Checked
/// without a bound under loom's model.
#[test]
fn one_of_two_claims() {
    for (main, cancel) in BOTH.into_iter().flat_map(|main| [(main, false), (main, true)]) {
        let wanted = [Claimed::Owner, Claimed::Thief, Claimed::ThiefOfSleeper]
            .map(|by| (by, Witness::leaked("the fork was claimed by its owner; by the thief; while the owner slept")));
        let dropped = Witness::leaked("the ticket was dropped, its fork being the owner's");
        check("ticket: claim", Bound::Unbounded, move || {
            let (by, left) = claim(main, cancel);
            wanted.iter().for_each(|(wanted, seen)| seen.hit_if(*wanted == by));
            dropped.hit_if(!left);
            assert!(left || by == Claimed::Owner, "a job that somebody waits for was dropped");
        })
        .at_least(20);
        wanted.iter().for_each(|(_, seen)| seen.assert_seen());
        assert_eq!(dropped.count() > 0, cancel);
    }
}

fn finds(main: usize, flaw: Flaw, message: &str) {
    println!("{flaw:?}, main thread: {main}");
    fails_with(message, || {
        with_flaw(flaw, || {
            check("ticket: seeded flaw", Bound::Unbounded, move || {
                claim(main, false);
            });
        });
    });
}

/// Seeded: both claim, having looked before either wrote.
#[test]
fn a_claim_by_load_and_store_is_found() {
    finds(OWNER, Flaw::ClaimByLoadAndStore, "Causality violation");
    finds(THIEF, Flaw::ClaimByLoadAndStore, "a fork is run once");
}

/// Seeded: a count is dropped without ordering its holder's last use before the other's free.
#[test]
fn a_relaxed_release_is_found() {
    for main in BOTH {
        finds(main, Flaw::ReleaseRelaxed, "Causality violation");
    }
}

// ---- with workers

/// An owner blocks inside the first half of a join, without a core. Who ran the second half. Fails with
/// [`Flaw::ReleaseRelaxed`].
fn blocked(main: usize, long: bool) -> (usize, u64) {
    let (ran, result) = (Note::new(OWNER), Note::new((0, 0)));
    let (on, over) = (ran.clone(), result.clone());
    let owner = role(move |worker| {
        let first = || {
            without_core(|| ());
            if long {
                // Others run now.
                yield_now();
            }
            1
        };
        let second = || {
            on.set(here());
            2
        };
        over.set(join_on(worker, first, second));
    });
    let registry = play(main, vec![owner, role(|worker| thieve(worker, 1))]);
    assert_eq!(result.get(), (1, 2));
    (ran.get(), registry.cores[THIEF].counters.injected.get())
}

/// What an owner without a core has left behind is run once, by a thief or by the owner. Checked to bound 1 under loom's
/// model.
#[test]
fn a_blocked_owners_fork_ends_once() {
    for (main, long) in BOTH.into_iter().flat_map(|main| [(main, false), (main, true)]) {
        let back = Witness::leaked("the owner claimed its fork");
        let stolen = Witness::leaked("the thief claimed it from the injector");
        let before = Witness::leaked("the thief took it before the owner blocked");
        let late = Witness::leaked("the thief took the ticket, and was too late");
        check("ticket: blocked owner", Bound::AtMost(1), move || {
            let (ran, injected) = blocked(main, long);
            let by_thief = ran == THIEF;
            back.hit_if(!by_thief && injected == 0);
            stolen.hit_if(by_thief && injected == 1);
            before.hit_if(by_thief && injected == 0);
            late.hit_if(!by_thief && injected == 1);
        })
        .at_least(100);
        for seen in [back, stolen, before, late] {
            seen.assert_seen();
        }
    }
}

fn left_behind(main: usize, _: Seen) {
    blocked(main, false);
}

const CASES: &[Case] = &[
    // The last use of one is not ordered before the other's free. In a process of its own: the owner unwinds in the middle of
    // its fork.
    Case {
        flaw: Flaw::ReleaseRelaxed,
        message: "Causality violation",
        bound: Bound::AtMost(1),
        mains: &BOTH,
        model: left_behind,
    },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("ticket::seeded_bugs_are_found", CASES);
}
