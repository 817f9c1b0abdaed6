//! A lock around next to nothing, on one thread, on several, and in the tasks of a pool.

use std::hint::black_box;

use super::{Bar, Line};
use crate::busy::mix;
use crate::contend::{Window, alone, together};
use crate::contenders::{Purloin, Rayon, Runtime, Scopes};
use crate::contest::{Contest, Options};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "mutex",
        work: "lock, change a word, unlock, 1 thread",
        bars: &[Bar::at_most(1.1, "purloin's time over parking_lot's"), Bar::beside("purloin's time over std's")],
        run: uncontended,
    },
    Line {
        name: "mutex-2",
        work: "the same lock on 2 threads, 5 ns of work between",
        bars: CONTENDED,
        run: |o| on(o, 2),
    },
    Line {
        name: "mutex-4",
        work: "the same lock on 4 threads, 5 ns of work between",
        bars: CONTENDED,
        run: |o| on(o, 4),
    },
    Line {
        name: "mutex-16",
        work: "the same lock on 16 threads, 5 ns of work between",
        bars: CONTENDED,
        run: |o| on(o, 16),
    },
    Line {
        name: "mutex-tasks",
        work: "the same lock in 16 tasks of a pool, 2 threads",
        bars: &[
            Bar::beside("purloin's time over parking_lot's, both in a pool of purloin's"),
            Bar::beside("purloin's time over parking_lot's in a pool of rayon's"),
        ],
        run: in_tasks,
    },
];

const CONTENDED: &[Bar] =
    &[Bar::at_most(1.1, "purloin's time over parking_lot's"), Bar::beside("purloin's time over std's")];

/// A word under a lock.
trait Lock: Send + Sync + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// Locks, changes the word, and unlocks.
    fn change(&self);
}

impl Lock for purloin::sync::Mutex<u64> {
    const NAME: &'static str = "purloin";

    fn new() -> Self {
        purloin::sync::Mutex::new(0)
    }

    #[inline(always)]
    fn change(&self) {
        let mut word = self.lock();
        *word = mix(*word);
    }
}

impl Lock for parking_lot::Mutex<u64> {
    const NAME: &'static str = "parking_lot";

    fn new() -> Self {
        parking_lot::Mutex::new(0)
    }

    #[inline(always)]
    fn change(&self) {
        let mut word = self.lock();
        *word = mix(*word);
    }
}

impl Lock for std::sync::Mutex<u64> {
    const NAME: &'static str = "std";

    fn new() -> Self {
        std::sync::Mutex::new(0)
    }

    #[inline(always)]
    fn change(&self) {
        let mut word = self.lock().expect("no panic");
        *word = mix(*word);
    }
}

/// The same on one thread and without a lock.
fn serial(options: Options) -> f64 {
    let mut word = 0;
    Window::open(options, |window| window.spend(|_| word = black_box(mix(word))))
}

fn uncontended(options: Options) -> Figures {
    fn enter<L: Lock>(contest: &mut Contest<'_>, times: usize) {
        let lock = L::new();
        contest.enter(L::NAME, move || alone(times, || black_box(&lock).change()));
    }
    let times = options.size(1_000_000, 1_000);
    let mut contest = Contest::new(options);
    let mut word = 0;
    contest.enter("serial", move || alone(times, || word = black_box(mix(word))));
    enter::<purloin::sync::Mutex<u64>>(&mut contest, times);
    enter::<parking_lot::Mutex<u64>>(&mut contest, times);
    enter::<std::sync::Mutex<u64>>(&mut contest, times);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "parking_lot"), outcome.ratio("purloin", "std")];
    Figures { unit: "ns", outcome, values }
}

fn on(options: Options, threads: usize) -> Figures {
    fn enter<L: Lock>(contest: &mut Contest<'_>, options: Options, threads: usize) {
        let lock = L::new();
        contest.enter(L::NAME, move || together(options, threads, |_| lock.change()));
    }
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(options));
    enter::<purloin::sync::Mutex<u64>>(&mut contest, options, threads);
    enter::<parking_lot::Mutex<u64>>(&mut contest, options, threads);
    enter::<std::sync::Mutex<u64>>(&mut contest, options, threads);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "parking_lot"), outcome.ratio("purloin", "std")];
    Figures { unit: "ns", outcome, values }
}

fn in_tasks(options: Options) -> Figures {
    const TASKS: usize = 16;
    fn enter<L: Lock, R: Scopes + 'static>(contest: &mut Contest<'_>, label: &str, options: Options) {
        let (runtime, lock) = (R::start(2), L::new());
        contest.enter(label, move || {
            Window::open(options, |window| runtime.scope(TASKS, || window.spend(|_| lock.change()), || ()))
        });
    }
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(options));
    enter::<purloin::sync::Mutex<u64>, Purloin>(&mut contest, "purloin", options);
    enter::<parking_lot::Mutex<u64>, Purloin>(&mut contest, "parking_lot", options);
    enter::<parking_lot::Mutex<u64>, Rayon>(&mut contest, Rayon::NAME, options);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "parking_lot"), outcome.ratio("purloin", Rayon::NAME)];
    Figures { unit: "ns", outcome, values }
}
