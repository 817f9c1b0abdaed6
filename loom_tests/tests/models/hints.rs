//! Words that order nothing, or little, and what they say all the same: a token's flag, a loop's first failure, its progress,
//! and what is printed of a pool.
//!
//! Two threads, without a bound on preemptions, or three to that of `common`, under loom's model.

use crate::common::{Bound, check, fails_with};
use crate::stage::{BOUND, Case, Seen, busy, explore, play, registry, role, signal};
use purloin_loom::CancelToken;
use purloin_loom::internals::bounds::Bounds;
use purloin_loom::internals::join::join_on;
use purloin_loom::internals::primitive::{Arc, Bug, Deque, Flaw, Steal, seeded};
use purloin_loom::internals::progress::Counts;
use purloin_loom::internals::worker::Worker;
use test_fork::test;

// ---- tokens

/// Who is told of it in another way knows that the token is cancelled, and so are its children. Fails if it is told first.
fn told_of_cancelling(main: usize, seen: Seen) {
    let token = CancelToken::new();
    let child = token.child();
    let (told, wait) = signal();
    let canceller = role(move || {
        if seeded(Flaw::OfTheUser) {
            told.give();
            token.cancel();
        } else {
            token.cancel();
            told.give();
        }
    });
    let looker = role(move || {
        let before = child.is_cancelled();
        seen[0].hit_if(before);
        seen[1].hit_if(!before);
        let between = child.is_cancelled();
        assert!(between || !before, "cancelled, and then not");
        wait.wait();
        assert!(child.is_cancelled(), "told, and not cancelled");
    });
    play(main, vec![canceller, looker]);
}

#[test]
fn cancelling_is_seen_by_who_is_told() {
    let outcomes = &["it was seen before it was told", "it was not"];
    explore("hints: token", Bound::Unbounded, 5, &[0, 1], outcomes, told_of_cancelling);
}

// ---- the first failure

/// Two items fail at once. No item before the first of them is ever stopped, and in the end all behind it are. Fails with
/// [`Flaw::FailureByStore`].
fn two_failures(main: usize, seen: Seen) {
    let bounds = Arc::new(Bounds::new(None, 10));
    let failing = |at: usize, other: usize| {
        let bounds = Arc::clone(&bounds);
        role(move || {
            seen[at / 4].hit_if(bounds.stop_item(other + 1));
            bounds.fail(at);
            assert!(bounds.stop_item(at + 1), "an item behind its own failure is run");
            assert!(!bounds.stop_item(3), "an item is stopped that no failure comes before");
        })
    };
    play(main, vec![failing(3, 5), failing(5, 3)]);
    assert!(bounds.stop_item(4) && !bounds.stop_item(3), "the first failure was lost");
}

#[test]
fn the_first_of_two_failures_counts() {
    let outcomes = &["the first saw the second", "the second saw the first"];
    explore("hints: failures", Bound::Unbounded, 5, &[0, 1], outcomes, two_failures);
}

// ---- progress

/// Two loops, one after the other, on cores whose counter is the same, and somebody who watches. Fails with
/// [`Flaw::CountedByStore`].
fn progress(main: usize, seen: Seen) {
    let counts = Arc::new(Counts::default());
    let (first, second, watched) = (Arc::clone(&counts), Arc::clone(&counts), Arc::clone(&counts));
    first.expect(Some(1));
    let one = role(move || first.add(0, 1));
    let other = role(move || {
        second.expect(Some(2));
        second.add(16, 2);
    });
    let watcher = role(move || {
        let (done, total) = (watched.done(), watched.total());
        assert!(total.is_some_and(|total| done <= total), "{done} of {total:?} are done");
        seen[0].hit_if(done == 0);
        seen[1].hit_if(done == 1);
        seen[2].hit_if(done == 2);
        seen[3].hit_if(done == 3);
        assert!(watched.done() >= done, "what was done is not");
    });
    play(main, vec![one, other, watcher]);
    assert_eq!((counts.done(), counts.total()), (3, Some(3)), "items were lost");
}

#[test]
fn nothing_is_lost_or_counted_too_early() {
    let outcomes = &["nothing was done", "the first was", "the second was", "all was"];
    explore("hints: progress", BOUND, 20, &[0, 1, 2], outcomes, progress);
}

/// A loop that does not know its total: who sees one of its items sees that there is none. Fails with
/// [`Flaw::CountedByStore`].
fn progress_unknown(main: usize, seen: Seen) {
    let counts = Arc::new(Counts::default());
    let watched = Arc::clone(&counts);
    let runner = role(move || {
        counts.expect(None);
        counts.add(1, 1);
    });
    let watcher = role(move || {
        let (done, total) = (watched.done(), watched.total());
        assert!(done == 0 || total.is_none(), "{done} of {total:?} are done");
        seen[done].hit();
    });
    play(main, vec![runner, watcher]);
}

#[test]
fn an_unknown_total_is_announced_before() {
    explore(
        "hints: unknown total",
        Bound::Unbounded,
        3,
        &[0, 1],
        &["nothing was done", "an item was"],
        progress_unknown,
    );
}

// ---- what is printed

/// How many there seem to be is never more than were pushed, though the owner's claim on the last makes it less than none for
/// a moment. Fails with [`Bug::LengthBelowNone`].
fn length(bug: Option<Bug>) {
    let deque = bug.map_or_else(Deque::new, Deque::seeded);
    let stealer = deque.stealer();
    deque.push(7);
    let owner = role(move || assert!(deque.pop().is_none_or(|item| item == 7)));
    let thief = role(move || {
        let stolen = matches!(stealer.steal(), Steal::Success(_));
        let length = stealer.len();
        assert!(length <= 1, "{length} seem to be there");
        assert!(!stolen || length == 0, "it was taken and seems to be there");
    });
    play(0, vec![owner, thief]);
}

#[test]
fn lengths_are_numbers() {
    check("hints: length", BOUND, || length(None)).at_least(50);
    fails_with("seem to be there", || {
        check("hints: length, seeded bug", BOUND, || length(Some(Bug::LengthBelowNone)));
    });
}

/// A pool is printed while one of its threads forks, wakes another and leaves. What is printed of the threads and of the
/// cores is of one moment. (The one that is woken has a core from then on, and does not come to use it.) Fails if these are
/// looked at one after the other.
fn printed(main: usize, seen: Seen) {
    let (registry, mut places) = registry(2, 2);
    let core = busy(&registry, &places.remove(0));
    let pool = Arc::clone(&registry);
    let worker = role(move || {
        Worker::enter(&pool, core, |worker| join_on(worker, || (), || ()));
    });
    let reader = role(move || {
        let shared = registry.cores[core].to_string();
        let (mut threads, cores) = registry.sleep.state();
        if seeded(Flaw::OfTheUser) {
            threads = registry.sleep.state().0;
        }
        let count = |text: &str| (0..2).find(|n| shared.starts_with(&format!("{n} {text}")));
        let shared = count("shared").unwrap_or_else(|| panic!("printed: {shared}"));
        let asleep = cores[1 - core] == "idle";
        let expected = if asleep { "1 without work" } else { "0 without work" };
        assert!(threads.contains(expected), "of two moments: {threads}; {cores:?}");
        let searching = if asleep { "0 searching" } else { "1 searching" };
        assert!(threads.contains(searching), "of two moments: {threads}; {cores:?}");
        seen[0].hit_if(shared == 1);
        seen[1].hit_if(cores[core] == "held" && asleep);
        seen[2].hit_if(cores[core] == "held" && !asleep);
        seen[3].hit_if(cores[core] == "idle" && !asleep);
    });
    play(main, vec![worker, reader]);
}

#[test]
fn what_is_printed_is_of_one_moment() {
    let outcomes = &["a fork was shared", "nobody was woken yet", "somebody had been woken", "the thread had left"];
    explore("hints: printed", Bound::AtMost(2), 10, &[0, 1], outcomes, printed);
}

const CASES: &[Case] = &[
    Case {
        flaw: Flaw::OfTheUser,
        message: "told, and not cancelled",
        bound: Bound::Unbounded,
        mains: &[0, 1],
        model: told_of_cancelling,
    },
    Case {
        flaw: Flaw::FailureByStore,
        message: "the first failure was lost",
        bound: Bound::Unbounded,
        mains: &[0],
        model: two_failures,
    },
    // The other's write comes between.
    Case {
        flaw: Flaw::FailureByStore,
        message: "an item behind its own failure is run",
        bound: Bound::Unbounded,
        mains: &[1],
        model: two_failures,
    },
    Case { flaw: Flaw::CountedByStore, message: "items were lost", bound: BOUND, mains: &[0, 1], model: progress },
    Case {
        flaw: Flaw::CountedByStore,
        message: "are done",
        bound: Bound::Unbounded,
        mains: &[0, 1],
        model: progress_unknown,
    },
    Case { flaw: Flaw::OfTheUser, message: "of two moments", bound: BOUND, mains: &[0, 1], model: printed },
];

#[test]
fn seeded_bugs_are_found() {
    crate::stage::find_all("hints::seeded_bugs_are_found", CASES);
}
