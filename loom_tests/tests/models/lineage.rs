//! A waiting thread helps with what it waits for, and with nothing else: what it takes by mistake goes back to its owner.
//!
//! Checked under loom's model to the bounds that are said with each, in both role orders.

use crate::common::{Bound, Witness, check, fails_with};
use crate::cores::{Note, here, play, play_on, role, sum, thieve};
use purloin_loom::internals::job::{Fork, Lineage};
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::latch::{Latch, Verdict};
use purloin_loom::internals::primitive::{AtomicUsize, Flaw, Ordering, Steal, with_flaw, yield_now};
use purloin_loom::internals::wait::{Awaited, Thief};
use purloin_loom::internals::worker::Worker;
use std::ptr;
use test_fork::test;

/// The thread that waits.
const WAITER: usize = 0;
/// The one that it waits for.
const THIEF: usize = 1;
/// Or the one that that one waits for.
const THIRD: usize = 2;

fn me<'a>() -> &'a Worker {
    Worker::current().expect("only workers ask")
}

/// A piece of work long enough for others to come.
fn long() {
    yield_now();
}

/// Takes the oldest job of that core and runs it, if one comes.
fn steal_from(worker: &Worker, victim: usize) {
    for _ in 0..2 {
        if let Steal::Success((job, _)) = worker.registry().cores[victim].shared.steal() {
            return worker.run(job);
        }
        yield_now();
    }
}

/// A fork is made under the lineage that its owner is in, however late it is shared. One thread.
#[test]
fn a_fork_has_the_lineage_it_was_made_under() {
    let explored = check("lineage: frames", Bound::Unbounded, || {
        let checked = Note::new(0);
        let count = checked.clone();
        let owner = role(move |worker| {
            let outer = Lineage::below(ptr::null());
            let inner = Lineage::below(&outer);
            let look = || {
                for made_under in [[false, false], [true, false], [true, true]] {
                    let job = worker.share_oldest().expect("three forks are private");
                    // SAFETY: the job is a fork on this stack.
                    let fork = unsafe { &*job.cast::<Fork>() };
                    // SAFETY: shared just now.
                    let lineage = unsafe { &fork.shared().lineage };
                    // SAFETY: both are on this stack.
                    let descends = [&outer, &inner].map(|ancestor| unsafe { lineage.descends_from(ancestor) });
                    assert_eq!(descends, made_under);
                    // SAFETY: this thread holds the core.
                    unsafe { worker.core().shared.owner() }.push(job);
                    count.add();
                }
            };
            let in_inner = || worker.under(&inner, || join_on(worker, look, || ()));
            let in_outer = || worker.under(&outer, || join_on(worker, in_inner, || ()));
            join_on(worker, in_outer, || ());
        });
        play(WAITER, vec![owner]);
        assert_eq!(checked.get(), 3);
    });
    assert_eq!(explored.iterations, 1);
}

// ---- helping

/// The waiter's fork is stolen, and forks in its turn. Where the fork and the fork's fork were run, how many leapfrogs and
/// parks there were. Fails with [`Flaw::LatchTouchedAfterSet`].
fn leapfrog(main: usize) -> (usize, usize, u64, u64) {
    let (fork, below, result) = (Note::new(9), Note::new(9), Note::new((0, (0, 0))));
    let (fork_on, below_on, over) = (fork.clone(), below.clone(), result.clone());
    let waiter = role(move |worker| {
        let second = || {
            fork_on.set(here());
            let first_below = || {
                if here() == THIEF {
                    long();
                }
                2
            };
            let second_below = || {
                below_on.set(here());
                3
            };
            join_on(me(), first_below, second_below)
        };
        let first = || {
            long();
            1
        };
        over.set(join_on(worker, first, second));
    });
    let registry = play(main, vec![waiter, role(|worker| thieve(worker, 1))]);
    assert_eq!(result.get(), (1, (2, 3)));
    assert_eq!(sum(&registry, |counters| &counters.refused), 0, "there is nothing else");
    let leapfrogs = sum(&registry, |counters| &counters.leapfrogs);
    (fork.get(), below.get(), leapfrogs, sum(&registry, |counters| &counters.parks))
}

/// A thread that waits for its thief runs what the thief has forked. Checked to bound 1 under loom's model.
#[test]
fn a_waiter_helps_its_thief() {
    for main in [WAITER, THIEF] {
        let helped = Witness::leaked("the waiter ran what its thief had forked");
        let parked = Witness::leaked("the waiter ran what its thief had forked, and one of them parked");
        let alone = Witness::leaked("the thief ran both");
        let kept = Witness::leaked("nothing was stolen");
        check("lineage: leapfrog", Bound::AtMost(1), move || {
            let (fork, below, leapfrogs, parks) = leapfrog(main);
            assert_eq!(leapfrogs == 1, (fork, below) == (THIEF, WAITER));
            helped.hit_if(leapfrogs == 1);
            parked.hit_if(leapfrogs == 1 && parks > 0);
            alone.hit_if((fork, below) == (THIEF, THIEF));
            kept.hit_if((fork, below) == (WAITER, WAITER));
        })
        .at_least(100);
        for seen in [helped, parked, alone, kept] {
            seen.assert_seen();
        }
    }
}

/// A latch is waited for whose thief waits for a third, which has a job shared that the awaited one needs. Where that was
/// run, and whether by way of helping. Fails with [`Flaw::LatchSetRelaxed`].
fn chain(main: usize) -> (usize, u64) {
    let latch: *const Latch = Box::into_raw(Box::new(Latch::new()));
    let lineage: *const Lineage = Box::into_raw(Box::new(Lineage::below(ptr::null())));
    let below = Note::new(9);
    let below_on = below.clone();
    let waiter = role(move |worker| {
        // What the thief would have noted: nobody plays it.
        worker.registry().cores[THIEF].waits_for.store(THIRD, Ordering::Relaxed);
        let thief = AtomicUsize::new(THIEF + 1);
        // SAFETY: freed when all is over.
        let latch = unsafe { &*latch };
        assert_eq!(
            worker.wait_for(&Awaited { latch, lineage, thief: Thief::in_own(&thief), own: None }),
            Verdict::Done
        );
    });
    let third = role(move |worker| {
        worker.under(lineage, || join_on(worker, long, || below_on.set(here())));
        // SAFETY: set once, here.
        unsafe { Latch::set(latch, Verdict::Done) };
    });
    let registry = play_on(main, &[WAITER, THIRD], vec![waiter, third]);
    // SAFETY: made by `Box::into_raw`.
    drop(unsafe { Box::from_raw(latch.cast_mut()) });
    // SAFETY: as above.
    drop(unsafe { Box::from_raw(lineage.cast_mut()) });
    (below.get(), sum(&registry, |counters| &counters.leapfrogs))
}

/// A thread that waits for a thief that waits in its turn helps the one that the thief waits for. Checked to bound 2 under
/// loom's model.
#[test]
fn a_waiter_helps_its_thiefs_thief() {
    for main in [WAITER, THIEF] {
        let helped = Witness::leaked("the waiter ran the fork");
        let kept = Witness::leaked("its owner ran the fork");
        check("lineage: chain", Bound::AtMost(2), move || {
            let (ran, leapfrogs) = chain(main);
            assert_eq!(leapfrogs == 1, ran == WAITER);
            helped.hit_if(ran == WAITER);
            kept.hit_if(ran == THIRD);
        })
        .at_least(100);
        helped.assert_seen();
        kept.assert_seen();
    }
}

// ---- giving back

/// The waiter's fork is stolen by a thread that has one of its own shared, which is no part of it. How often the waiter
/// took that one. Fails with [`Flaw::HelpsUnrelated`].
fn refusal(main: usize) -> u64 {
    let (other, result) = (Note::new(9), Note::new((0, 0)));
    let (other_on, over) = (other.clone(), result.clone());
    let waiter = role(move |worker| {
        let second = || {
            if here() == THIEF {
                long();
            }
            2
        };
        over.set(join_on(worker, || 1, second));
    });
    let thief = role(move |worker| {
        join_on(worker, || steal_from(worker, WAITER), || other_on.set(here()));
    });
    let registry = play(main, vec![waiter, thief]);
    assert_eq!(result.get(), (1, 2));
    assert_eq!(other.get(), THIEF, "an unrelated job was run on top of a waiting thread");
    assert_eq!(sum(&registry, |counters| &counters.leapfrogs), 0);
    sum(&registry, |counters| &counters.refused)
}

/// A thread that waits gives back what is no part of what it waits for, and its owner runs it. Checked to bound 1 under
/// loom's model.
#[test]
fn an_unrelated_job_is_given_back() {
    for main in [WAITER, THIEF] {
        let refused = Witness::leaked("the waiter gave the job back");
        let kept = Witness::leaked("the waiter took nothing");
        check("lineage: refusal", Bound::AtMost(1), move || {
            let count = refusal(main);
            refused.hit_if(count > 0);
            kept.hit_if(count == 0);
        })
        .at_least(50);
        refused.assert_seen();
        kept.assert_seen();
    }
}

/// A latch is waited for with a hint that may point anywhere. How often the waiter took what it found there, and how often
/// the owner of that parked. Fails with [`Flaw::HelpsUnrelated`] and [`Flaw::ReturnedWithoutWake`].
fn stale(main: usize, hint: usize) -> (u64, u64) {
    let latch: *const Latch = Box::into_raw(Box::new(Latch::new()));
    let other = Note::new(9);
    let other_on = other.clone();
    let waiter = role(move |worker| {
        let lineage = Lineage::below(ptr::null());
        let thief = AtomicUsize::new(hint.wrapping_add(1));
        // SAFETY: freed when all is over.
        let latch = unsafe { &*latch };
        let verdict = worker.wait_for(&Awaited { latch, lineage: &lineage, thief: Thief::in_own(&thief), own: None });
        assert_eq!(verdict, Verdict::Done);
    });
    let busy = role(move |worker| {
        let first = || {
            long();
            // SAFETY: set once, here.
            unsafe { Latch::set(latch, Verdict::Done) };
        };
        join_on(worker, first, || other_on.set(here()));
    });
    let registry = play(main, vec![waiter, busy]);
    // SAFETY: made by `Box::into_raw`.
    drop(unsafe { Box::from_raw(latch.cast_mut()) });
    assert_eq!(other.get(), THIEF, "an unrelated job was run on top of a waiting thread");
    (sum(&registry, |counters| &counters.refused), registry.cores[THIEF].counters.parks.get())
}

/// A hint that points to somebody else's work, to the waiter itself or to nobody does no harm; and the owner of what was
/// given back is woken. Checked to bound 2 under loom's model, and to bound 1 where there is nothing to take.
#[test]
fn a_stale_hint_does_no_harm() {
    for (main, hint) in [WAITER, THIEF].into_iter().flat_map(|main| [WAITER, THIEF, 7].map(|hint| (main, hint))) {
        let found = Witness::leaked("a job was given back before its owner looked");
        let woken = Witness::leaked("a job was given back to an owner that had parked");
        let kept = Witness::leaked("nothing was taken");
        let bound = if hint == THIEF { Bound::AtMost(2) } else { Bound::AtMost(1) };
        check("lineage: stale hint", bound, move || {
            let (refused, parks) = stale(main, hint);
            found.hit_if(refused > 0 && parks == 0);
            woken.hit_if(refused > 0 && parks > 0);
            kept.hit_if(refused == 0);
        })
        .at_least(20);
        kept.assert_seen();
        assert_eq!((found.count() > 0, woken.count() > 0), (hint == THIEF, hint == THIEF));
    }
}

fn finds(flaw: Flaw, message: &str, play: impl Fn(usize) + Copy + Send + Sync + 'static) {
    for main in [WAITER, THIEF] {
        println!("{flaw:?}, main thread: {main}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("lineage: seeded flaw", Bound::AtMost(2), move || play(main));
            });
        });
    }
}

/// Found in the wild: rayon#592 and rayon#1251, where a thread that waits runs whatever it steals, on top of what it holds.
#[test]
fn help_with_anything_is_found() {
    let message = "an unrelated job was run on top of a waiting thread";
    finds(Flaw::HelpsUnrelated, message, |main| {
        refusal(main);
    });
    finds(Flaw::HelpsUnrelated, message, |main| {
        stale(main, THIEF);
    });
}

/// Seeded: a job is given back to an owner that is left asleep.
#[test]
fn a_forgotten_wake_is_found() {
    finds(Flaw::ReturnedWithoutWake, "deadlock", |main| {
        stale(main, THIEF);
    });
}

/// Seeded: who helped uses the latch after its frame's end.
#[test]
fn a_latch_used_after_its_frame_is_found() {
    finds(Flaw::LatchTouchedAfterSet, "Causality violation", |main| {
        leapfrog(main);
    });
}

/// Seeded: who made the job goes on before it sees what the helper did.
#[test]
fn a_relaxed_latch_is_found() {
    finds(Flaw::LatchSetRelaxed, "Causality violation", |main| {
        chain(main);
    });
}
