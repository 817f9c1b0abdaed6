//! The life of a fork: private, shared on request, taken back or stolen, ended before its owner's frame is; and the
//! requests, none of which is lost.
//!
//! Checked under loom's model to the bounds that are said with each, in both role orders.

use crate::common::{Bound, Witness, check, fails_with};
use crate::cores::{Note, here, panic_with, payload_of, play, role, signal, thieve};
use crate::stage::{Case, Seen, before, deadlock};
use loom::sync::atomic::{Ordering::SeqCst, fence};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Flaw, PRIVATE_CAPACITY, Policy, with_flaw, with_policy, yield_now};
use purloin_loom::internals::seat::Place;
use purloin_loom::internals::worker::Worker;
use std::panic::{AssertUnwindSafe, catch_unwind};
use test_fork::test;

const OWNER: usize = 0;
const THIEF: usize = 1;
const BOTH: [usize; 2] = [OWNER, THIEF];

/// A part of a closure or of a result: counts its drops, of which there is to be one.
struct Part(Note<usize>);

impl Drop for Part {
    fn drop(&mut self) {
        self.0.add();
    }
}

/// How the two halves of a join end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fine,
    FirstPanics,
    SecondPanics,
    BothPanic,
}

/// Who ran the second half, and how its owner came to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    TakenBack,
    /// Stolen, and over when the owner looked.
    Stolen,
    /// Stolen, and the owner parked, its core given up.
    Parked,
    /// Taken back after the first half's panic, and dropped unrun.
    Dropped,
}

/// One join. A thief looks once; what it takes it may be long about. Fails with [`Flaw::PublishedUnshared`],
/// [`Flaw::LatchSetRelaxed`], [`Flaw::LatchTouchedAfterSet`] and [`Flaw::PanicLeavesLatch`].
fn one_fork(main: usize, long: bool, end: End) -> Outcome {
    let ran_on = Note::new(None);
    let ended = Note::new(None);
    let (closures, results) = (Note::new(0), Note::new(0));
    let (ran, over) = (ran_on.clone(), ended.clone());
    let (in_closure, in_result) = (Part(closures.clone()), results.clone());
    let owner = role(move |worker| {
        let first = || if matches!(end, End::FirstPanics | End::BothPanic) { panic_with(1) } else { 1 };
        let second = move || {
            let _in_closure = in_closure;
            ran.set(Some(here()));
            if long && here() == THIEF {
                // Long enough for the owner to have come to wait.
                yield_now();
                yield_now();
            }
            if matches!(end, End::SecondPanics | End::BothPanic) { panic_with(2) } else { (2, Part(in_result)) }
        };
        let outcome = catch_unwind(AssertUnwindSafe(|| join_on(worker, first, second)));
        over.set(Some(match outcome {
            Ok((first, (second, _part))) => Ok((first, second)),
            Err(payload) => Err(payload_of(payload)),
        }));
    });
    let registry = play(main, vec![owner, role(|worker| thieve(worker, 1))]);
    let wanted = match end {
        End::Fine => Ok((1, 2)),
        End::FirstPanics | End::BothPanic => Err(1),
        End::SecondPanics => Err(2),
    };
    assert_eq!(ended.get(), Some(wanted), "what became of the join");
    assert_eq!(closures.get(), 1, "drops of the closure");
    let made = ran_on.get().is_some() && matches!(end, End::Fine | End::FirstPanics);
    assert_eq!(results.get(), usize::from(made), "drops of the result");
    let parks = registry.cores[OWNER].counters.parks.get();
    match ran_on.get() {
        None => Outcome::Dropped,
        Some(OWNER) => Outcome::TakenBack,
        Some(_) if parks == 0 => Outcome::Stolen,
        Some(_) => Outcome::Parked,
    }
}

/// The second half of a join runs once, here or there, and its result, its panic and its closure end up where they
/// belong, once; the owner's frame stays as long as the thief uses it. Checked to bound 2 under loom's model, and to bound 1
/// with panics and with a long second half.
#[test]
fn one_fork_ends_once() {
    for end in [End::Fine, End::FirstPanics, End::SecondPanics, End::BothPanic] {
        for (main, long) in BOTH.into_iter().flat_map(|main| [(main, false), (main, true)]) {
            let back = if matches!(end, End::Fine | End::SecondPanics) { Outcome::TakenBack } else { Outcome::Dropped };
            let wait = if long { Outcome::Parked } else { Outcome::Stolen };
            let wanted =
                [back, wait].map(|outcome| (outcome, Witness::leaked("the second half was taken back; stolen")));
            // The panics change what is done with the outcome, not how it comes about; and a long job makes room for the
            // others by itself.
            let bound = Bound::AtMost(if end == End::Fine && !long { 2 } else { 1 });
            check("fork: one join", bound, move || {
                let outcome = one_fork(main, long, end);
                wanted.iter().for_each(|(wanted, seen)| seen.hit_if(*wanted == outcome));
            })
            .at_least(20);
            wanted.iter().for_each(|(_, seen)| seen.assert_seen());
        }
    }
}

/// Seeded: the thief may see the fork before its shared part is written.
#[test]
fn an_unshared_fork_is_found() {
    finds(Flaw::PublishedUnshared, "Causality violation", Bound::Default, |main| {
        one_fork(main, false, End::Fine);
    });
}

/// Seeded: the owner goes on before the thief's result is there for it to see.
#[test]
fn a_relaxed_latch_is_found() {
    finds(Flaw::LatchSetRelaxed, "Causality violation", Bound::Default, |main| {
        one_fork(main, false, End::Fine);
    });
}

/// Seeded, found in the wild as rayon#739 and rayon#929: the thief uses the latch on the owner's frame after setting it.
#[test]
fn a_latch_used_after_its_frame_is_found() {
    finds(Flaw::LatchTouchedAfterSet, "Causality violation", Bound::Default, |main| {
        one_fork(main, true, End::Fine);
    });
}

fn finds(flaw: Flaw, message: &str, bound: Bound, play: impl Fn(usize) + Copy + Send + Sync + 'static) {
    for main in BOTH {
        println!("{flaw:?}, main thread: {main}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("fork: seeded flaw", bound, move || play(main));
            });
        });
    }
}

/// Two joins, one in the other, and a thief that looks twice. The first halves may be long. Who ran the inner and the outer
/// second half. Fails with [`Flaw::LatchSetRelaxed`].
fn two_forks(main: usize, long: bool) -> (usize, usize) {
    let (inner, outer) = (Note::new(OWNER), Note::new(OWNER));
    let result = Note::new(((0, 0), 0));
    let (in_inner, in_outer, over) = (inner.clone(), outer.clone(), result.clone());
    let owner = role(move |worker| {
        let leaf = || {
            if long {
                yield_now();
            }
            1
        };
        let inner_second = || {
            in_inner.set(here());
            2
        };
        let outer_first = || {
            leaf();
            join_on(worker, leaf, inner_second)
        };
        let outer_second = || {
            in_outer.set(here());
            3
        };
        over.set(join_on(worker, outer_first, outer_second));
    });
    play(main, vec![owner, role(|worker| thieve(worker, 2))]);
    assert_eq!(result.get(), ((1, 2), 3));
    (inner.get(), outer.get())
}

/// Two forks of one owner: each is run once, whoever runs it, and the older one is stolen first. Checked to bound 2 under
/// loom's model where the first halves are long, else to bound 1.
#[test]
fn nested_forks_end_once() {
    for (main, long) in BOTH.into_iter().flat_map(|main| [(main, false), (main, true)]) {
        let none = Witness::leaked("both forks were taken back");
        let outer = Witness::leaked("the outer fork was stolen, the inner one taken back");
        let both = Witness::leaked("both forks were stolen");
        check("fork: nested joins", Bound::AtMost(if long { 2 } else { 1 }), move || {
            let ran = two_forks(main, long);
            assert_ne!(ran, (THIEF, OWNER), "the older fork is stolen first");
            none.hit_if(ran == (OWNER, OWNER));
            outer.hit_if(ran == (OWNER, THIEF));
            both.hit_if(ran == (THIEF, THIEF));
        })
        .at_least(100);
        outer.assert_seen();
        if long { both.assert_seen() } else { none.assert_seen() }
    }
}

/// As many joins inside each other as overfill the private end, `leaves` run by somebody else. Fails with
/// [`Flaw::FullEndKeepsAll`].
fn overfull(main: usize, cores: usize) -> usize {
    fn nest(worker: &Worker, depth: usize, stolen: &Note<usize>) -> usize {
        if depth == 0 {
            return 1;
        }
        let second = || {
            if here() == THIEF {
                stolen.add();
            }
            1
        };
        let (deeper, leaf) = join_on(worker, || nest(worker, depth - 1, stolen), second);
        deeper + leaf
    }
    let (sum, stolen) = (Note::new(0), Note::new(0));
    let (over, by_thief) = (sum.clone(), stolen.clone());
    let mut roles = vec![role(move |worker| over.set(nest(worker, PRIVATE_CAPACITY + 1, &by_thief)))];
    if cores > 1 {
        roles.push(role(|worker| thieve(worker, 1)));
    }
    let registry = play(main, roles);
    assert_eq!(sum.get(), PRIVATE_CAPACITY + 2);
    let published = registry.cores[OWNER].counters.published.get();
    assert!(published >= PRIVATE_CAPACITY as u64 / 2, "room is made by sharing: {published}");
    stolen.get()
}

/// A private end that is full makes room by sharing, and every fork ends all the same. Checked to bound 1 under loom's
/// model.
#[test]
fn an_overfull_private_end_shares() {
    assert_eq!(check("fork: overfull, alone", Bound::Default, || assert_eq!(overfull(OWNER, 1), 0)).iterations, 1);
    for main in BOTH {
        let (none, one) = (Witness::leaked("nothing was stolen"), Witness::leaked("a fork was stolen"));
        check("fork: overfull", Bound::AtMost(1), move || {
            let stolen = overfull(main, 2);
            none.hit_if(stolen == 0);
            one.hit_if(stolen == 1);
        })
        .at_least(100);
        none.assert_seen();
        one.assert_seen();
    }
}

/// Seeded: an owner whose private end is full shares no more than the reserve.
#[test]
fn a_full_end_that_keeps_all_is_found() {
    finds(Flaw::FullEndKeepsAll, "room is made by sharing", Bound::AtMost(1), |main| {
        overfull(main, 2);
    });
}

// ---- requests

/// How far requests are explored: see below.
const REQUESTS: Bound = Bound::AtMost(1);

/// What the owner does beside the one fork that it shares as it was asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Nothing.
    Answers,
    /// It is asked again while the first fork is still there, and forks a second time.
    AnswersTwice,
    /// It forks a second time, keeps that, and shares it before a wait.
    SharesAll,
    /// It takes the fork back, as it has done so often that it shares nothing ahead of need.
    TakesBack,
}

/// What it takes for that: shared forks are taken back in no time.
const IN_NO_TIME: Policy = Policy { still: true, ..Policy::COMMON };

/// An owner at work, which is done as `way` says when `settle` is called.
fn owner_at_work(worker: &Worker, way: Way, settle: impl FnOnce()) {
    let nothing = || ();
    match way {
        Way::Answers => join_on(worker, settle, nothing),
        Way::AnswersTwice => {
            let first = || {
                worker.core().shared.demand();
                join_on(worker, settle, nothing)
            };
            join_on(worker, first, nothing).0
        }
        Way::SharesAll => {
            let first = || {
                worker.share_all();
                settle();
            };
            join_on(worker, || join_on(worker, first, nothing), nothing).0
        }
        Way::TakesBack => {
            let both = join_on(worker, nothing, nothing);
            // loom takes a request that came after an exchange for one that may have come before it (L4), unless a fence
            // is between.
            fence(SeqCst);
            settle();
            both
        }
    };
}

/// A thief looks as often as there are forks. Then, if the owner shares nothing, it knows that it is asked to. Tells how
/// many forks the thief found, and whether one was left. Fails with [`Flaw::DemandClearedLate`],
/// [`Flaw::SharedCountedEarly`] and [`Flaw::DemandClearedByAll`].
fn request(main: usize, way: Way) -> (usize, bool) {
    let (found, left, kept) = (Note::new(0), Note::new(false), Note::new(false));
    let (looked, tell) = signal();
    let (is_left, is_kept, count) = (left.clone(), kept.clone(), found.clone());
    let owner = role(move |worker| {
        let shared = &worker.core().shared;
        owner_at_work(worker, way, || {
            looked.wait();
            is_left.set(!shared.is_empty());
            is_kept.set(shared.looks_up_at(0));
        });
    });
    let thief = role(move |worker| {
        let looks = if way == Way::Answers { 1 } else { 2 };
        let jobs = std::array::from_fn::<_, 2, _>(|look| if look < looks { worker.find_work() } else { None });
        tell.unpark();
        for job in jobs.into_iter().flatten() {
            count.add();
            worker.run(job);
        }
    });
    play(main, vec![owner, thief]);
    assert!(left.get() || kept.get(), "a request was lost: nothing is shared, and the owner is not asked to");
    (found.get(), left.get())
}

fn explore_requests(way: Way) {
    for main in BOTH {
        let found = Witness::leaked("the thief found all there was, and asked for more");
        let asked = Witness::leaked("the thief found nothing, asked, and was answered");
        check("fork: request", REQUESTS, move || {
            let (count, left) = request(main, way);
            found.hit_if(count > 0 && !left);
            asked.hit_if(count == 0 && left);
        })
        .at_least(50);
        found.assert_seen();
        asked.assert_seen();
    }
}

// To bound 1 and no more. With two preemptions loom finds an execution that C++ forbids: the owner exchanges the limit (in
// `make_room`) between a thief's load and store of it, and the exchange's value is read though the store came after. loom
// lets a store come between what an exchange read and what it wrote.

/// A request is answered, or stands. Checked to bound 1 under loom's model.
#[test]
fn a_request_is_answered_or_stands() {
    explore_requests(Way::Answers);
}

/// The same, where the owner is asked while a shared fork is left. Checked to bound 1 under loom's model.
#[test]
fn a_request_beside_a_shared_fork_is_answered_or_stands() {
    explore_requests(Way::AnswersTwice);
}

/// The same, where the owner shares what it kept. Checked to bound 1 under loom's model.
#[test]
fn a_request_before_a_wait_is_answered_or_stands() {
    explore_requests(Way::SharesAll);
}

/// Seeded: an owner that clears the request after it has shared what was asked for loses one made meanwhile.
#[test]
fn a_late_clear_is_found() {
    finds(Flaw::DemandClearedLate, "a request was lost", REQUESTS, |main| {
        request(main, Way::Answers);
    });
}

/// This library's own, before it had these models: a request that is made between the look how much is shared and the
/// clear is lost.
#[test]
fn an_early_look_is_found() {
    finds(Flaw::SharedCountedEarly, "a request was lost", REQUESTS, |main| {
        request(main, Way::AnswersTwice);
    });
}

/// This library's own, before it had these models, as well: a request that is made while all is shared is lost.
#[test]
fn a_clear_after_sharing_all_is_found() {
    finds(Flaw::DemandClearedByAll, "a request was lost", REQUESTS, |main| {
        request(main, Way::SharesAll);
    });
}

/// How a core comes free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freed {
    /// A thread found nothing and goes to sleep.
    BySleeper,
    /// A thread gives the core up, to go on with something else, and another one sleeps.
    ByLeaver,
}

/// A core comes free while the owner works. Then, if it is idle and the owner shares nothing, the owner knows that it is
/// asked to. Tells whether it is idle, and whether a fork is shared. Fails with [`Flaw::ReleaserAsksNobody`].
fn request_for_a_core(main: usize, way: Way, freed: Freed) -> (bool, bool) {
    let (sleeps, left, kept) = (Note::new(false), Note::new(false), Note::new(false));
    let (asleep, tell) = signal();
    let (is_asleep, is_left, is_kept) = (sleeps.clone(), left.clone(), kept.clone());
    let owner = role(move |worker| {
        let shared = &worker.core().shared;
        if way == Way::TakesBack {
            before(|| {
                for _ in 0..2 {
                    shared.demand();
                    join_on(worker, || (), || ());
                }
            });
        }
        owner_at_work(worker, way, || {
            asleep.wait();
            // Nobody, if a wake is under way.
            is_asleep.set(worker.registry().sleep.someone_sleeps());
            is_left.set(!shared.is_empty());
            is_kept.set(shared.looks_up_at(0));
        });
    });
    let other = role(move |worker| {
        let place = Place::new();
        let registry = worker.registry();
        match freed {
            Freed::BySleeper => _ = worker.work(None).rest(registry, &place),
            Freed::ByLeaver => {
                before(|| registry.sleep.stand_by(None, place.seat(), false));
                worker.unload();
                registry.give_back(worker.let_go().expect("it came with one"));
            }
        }
        tell.unpark();
    });
    play(main, vec![owner, other]);
    assert!(
        !sleeps.get() || left.get() || kept.get(),
        "a request was lost: nothing is shared beside an idle core, and the owner is not asked to",
    );
    (sleeps.get(), left.get())
}

fn explore_freed(way: Way, freed: Freed, bound: Bound) {
    for main in BOTH {
        let sleeps = Witness::leaked("a core is idle, and others were asked");
        let woken = Witness::leaked("a thread is woken for what is shared");
        check("fork: an idle core's request", bound, move || {
            let policy = if way == Way::TakesBack { IN_NO_TIME } else { Policy::COMMON };
            let (asleep, left) = with_policy(policy, || request_for_a_core(main, way, freed));
            sleeps.hit_if(asleep);
            // What comes back is not left.
            woken.hit_if(!asleep && (left || way == Way::TakesBack));
        })
        .at_least(if freed == Freed::ByLeaver { 20 } else { 100 });
        sleeps.assert_seen();
        // loom lets no thread go on after its yields in a search in vain, so on the main thread this one goes to sleep last.
        if way != Way::TakesBack || freed == Freed::ByLeaver || main == OWNER {
            woken.assert_seen();
        }
    }
}

/// While a thread sleeps for lack of work, the owner is asked to share. Checked to bound 2 under loom's model.
#[test]
fn a_sleeper_has_asked() {
    explore_freed(Way::Answers, Freed::BySleeper, Bound::AtMost(2));
}

/// The same, where the owner is asked while a shared fork is left. Checked to bound 1 under loom's model.
#[test]
fn a_sleeper_has_asked_beside_a_shared_fork() {
    explore_freed(Way::AnswersTwice, Freed::BySleeper, REQUESTS);
}

/// The same, where the owner shares what it kept. Checked to bound 1 under loom's model.
#[test]
fn a_sleeper_has_asked_before_a_wait() {
    explore_freed(Way::SharesAll, Freed::BySleeper, REQUESTS);
}

/// The same, where the owner takes back what it has shared and shares nothing ahead of need. Checked to bound 1 under
/// loom's model.
#[test]
fn a_sleeper_has_asked_before_a_fork_comes_back() {
    explore_freed(Way::TakesBack, Freed::BySleeper, REQUESTS);
}

/// The same, where the core was given up by a thread that goes on with something else. Checked to bound 1 under loom's model.
#[test]
fn a_leaver_has_asked_before_a_fork_comes_back() {
    explore_freed(Way::TakesBack, Freed::ByLeaver, REQUESTS);
}

/// Seeded: forks stay private beside a core that nobody holds.
#[test]
fn a_releaser_that_asks_nobody_is_found() {
    finds(Flaw::ReleaserAsksNobody, "a request was lost", REQUESTS, |main| {
        with_policy(IN_NO_TIME, || request_for_a_core(main, Way::TakesBack, Freed::ByLeaver));
    });
}

// ---- seeded, each in a process of its own: here the owner unwinds in the middle of its forks

fn second_half_panics(main: usize, _: Seen) {
    one_fork(main, false, End::SecondPanics);
}

fn nested(main: usize, _: Seen) {
    two_forks(main, true);
}

const CASES: &[Case] = &[
    // A thief whose closure panicked leaves the owner waiting.
    Case { bound: Bound::AtMost(1), ..deadlock(Flaw::PanicLeavesLatch, &BOTH, second_half_panics) },
    // An owner goes on before the thief's result is there for it to see.
    Case {
        flaw: Flaw::LatchSetRelaxed,
        message: "Causality violation",
        bound: Bound::AtMost(1),
        mains: &BOTH,
        model: nested,
    },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("fork::seeded_bugs_are_found", CASES);
}
