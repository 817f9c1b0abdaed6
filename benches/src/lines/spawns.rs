//! A million empty tasks: what a task costs that is no fork.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::sleep;
use std::time::{Duration, Instant};

#[cfg(feature = "forte")]
use crate::contenders::Forte;
use crate::contenders::{Purloin, Rayon, Runtime, Scopes, Serial, Spawns, Tokio};
use crate::contest::{Contest, Options};
use crate::report::Figures;

use super::{Bar, Line};

pub const LINES: &[Line] = &[
    Line {
        name: "scope-spawns",
        work: "a scope with 1 M empty tasks, 2 threads",
        bars: &[Bar::at_most(0.5, "purloin's time over rayon's")],
        run: in_scope,
    },
    Line {
        name: "outside-spawns",
        work: "1 M tasks from outside until all have run, 2 threads",
        bars: &[Bar::at_most(0.5, "purloin's time over rayon's"), Bar::beside("purloin's time over tokio's")],
        run: from_outside,
    },
];

/// Counts finished tasks without making the threads that run them share a cache line.
#[derive(Default)]
pub struct Tally {
    slots: [Slot; Tally::SLOTS],
}

#[derive(Default)]
#[repr(align(128))]
struct Slot(AtomicUsize);

impl Tally {
    const SLOTS: usize = 16;

    /// One more task has run, on this thread.
    pub fn add(&self) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local!(static OWN: Cell<usize> = const { Cell::new(usize::MAX) });
        let slot = OWN.with(|own| {
            if own.get() == usize::MAX {
                own.set(THREADS.fetch_add(1, Relaxed));
            }
            own.get()
        });
        self.slots[slot % Tally::SLOTS].0.fetch_add(1, Relaxed);
    }

    /// How many have run; nothing that they wrote is read on the strength of it, so all is relaxed.
    pub fn total(&self) -> usize {
        self.slots.iter().map(|slot| slot.0.load(Relaxed)).sum()
    }

    /// Looks now and then: the waiting thread has no core of its own here and should leave both to the pool.
    pub fn wait_for(&self, total: usize) {
        while self.total() < total {
            sleep(Duration::from_micros(20));
        }
    }
}

fn enter_scope<R: Scopes + 'static>(contest: &mut Contest<'_>, tasks: usize) {
    let runtime = R::start(2);
    contest.enter(R::NAME, move || {
        let start = Instant::now();
        runtime.scope(tasks, || (), || ());
        start.elapsed().as_secs_f64() * 1e3
    });
}

fn enter_outside<S: Spawns + 'static>(contest: &mut Contest<'_>, label: &str, runtime: S, tasks: usize) {
    contest.enter(label, move || {
        let tally = Arc::new(Tally::default());
        let start = Instant::now();
        for _ in 0..tasks {
            let tally = Arc::clone(&tally);
            runtime.spawn(move || black_box(&tally).add());
        }
        tally.wait_for(tasks);
        start.elapsed().as_secs_f64() * 1e3
    });
}

fn in_scope(options: Options) -> Figures {
    let tasks = options.size(1_000_000, 2_000);
    let mut contest = Contest::new(options);
    enter_scope::<Serial>(&mut contest, tasks);
    enter_scope::<Purloin>(&mut contest, tasks);
    enter_scope::<Rayon>(&mut contest, tasks);
    #[cfg(feature = "forte")]
    enter_scope::<Forte>(&mut contest, tasks);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "rayon")];
    Figures { unit: "ms", outcome, values }
}

fn from_outside(options: Options) -> Figures {
    let tasks = options.size(1_000_000, 2_000);
    let mut contest = Contest::new(options);
    enter_outside(&mut contest, Serial::NAME, Serial, tasks);
    enter_outside(&mut contest, Purloin::NAME, Purloin::start(2), tasks);
    enter_outside(&mut contest, Rayon::NAME, Rayon::start(2), tasks);
    enter_outside(&mut contest, Tokio::NAME, Tokio::start(2), tasks);
    // Its pools count the calling thread, which here does none of the work: so one more.
    #[cfg(feature = "forte")]
    enter_outside(&mut contest, Forte::NAME, Forte::start(3), tasks);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "rayon"), outcome.ratio("purloin", "tokio")];
    Figures { unit: "ms", outcome, values }
}
