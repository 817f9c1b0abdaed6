//! What a parallel region costs that is called from a thread outside the pool.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Bar, Line};
use crate::busy::busy;
use crate::contenders::{Bare, Runtime, Tokio, Workload};
use crate::contest::{Contest, Options, Outcome, Run, median};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "region",
        work: "a region of 2 x 50 us from outside, back to back, p50, 2 threads",
        bars: &[Bar::at_most(62.0, "purloin's p50, us"), Bar::at_most(0.9, "purloin's p50 over rayon's")],
        run: back_to_back,
    },
    Line {
        name: "region-idle",
        work: "a region of 2 x 50 us from outside after 5 ms of idleness, p50, 2 threads",
        bars: &[
            Bar::at_most(110.0, "purloin's p50, us"),
            Bar::at_most(0.6, "purloin's p50 over rayon's"),
            Bar::beside("the bare threads' p50 over rayon's"),
        ],
        run: after_idleness,
    },
    Line {
        name: "install",
        work: "an empty region from outside, p50 of batches, 2 threads",
        bars: &[Bar::at_most(1.0, "purloin's p50, us"), Bar::beside("rayon's p50, us")],
        run: empty,
    },
];

/// Two halves of that many microseconds.
pub struct Pair(pub f64);

impl Workload for Pair {
    type State = ();

    fn state(&self) {}

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, (): &mut ()) {
        R::fork(context, |_| busy(self.0), |_| busy(self.0));
    }

    fn check(&self, (): &()) {}
}

/// Nothing at all.
struct Nothing;

impl Workload for Nothing {
    type State = ();

    fn state(&self) {}

    fn run<R: Runtime>(&self, _: &mut R::Context<'_>, (): &mut ()) {}

    fn check(&self, (): &()) {}
}

/// The p50 of so many runs, in microseconds, each after a pause.
pub fn p50(runs: usize, pause: Duration) -> impl Fn(Run) -> f64 + Copy {
    move |run| {
        let one = |_| {
            if !pause.is_zero() {
                sleep(pause);
            }
            run().as_secs_f64() * 1e6
        };
        median((0..runs).map(one).collect())
    }
}

const MICROS: f64 = 50.0;

fn pairs(options: Options, runs: usize, pause: Duration, besides: impl FnOnce(&mut Contest)) -> Outcome {
    let sampler = p50(runs, pause);
    let mut contest = Contest::new(options);
    contest.enter_all(2, &Pair(MICROS), sampler);
    let tokio = Tokio::start(2);
    contest.enter(Tokio::NAME, move || {
        sampler(&mut || {
            let start = Instant::now();
            tokio.pair(|| busy(MICROS), async { busy(MICROS) });
            start.elapsed()
        })
    });
    besides(&mut contest);
    contest.hold()
}

fn back_to_back(options: Options) -> Figures {
    let outcome = pairs(options, options.size(300, 20), Duration::ZERO, |_| ());
    let values = vec![outcome.median("purloin"), outcome.ratio("purloin", "rayon")];
    Figures { unit: "us", outcome, values }
}

fn after_idleness(options: Options) -> Figures {
    let (runs, pause) = (options.size(40, 3), Duration::from_millis(5));
    let outcome = pairs(options, runs, pause, |contest| {
        let (bare, sampler) = (Bare::start(&[MICROS; 2]), p50(runs, pause));
        contest.enter(Bare::NAME, move || sampler(&mut || bare.time()));
    });
    let ratios = ["purloin", Bare::NAME].map(|label| outcome.ratio(label, "rayon"));
    let values = [&[outcome.median("purloin")], &ratios[..]].concat();
    Figures { unit: "us", outcome, values }
}

fn empty(options: Options) -> Figures {
    const BATCH: u32 = 500;
    let batches = options.size(40, 2);
    let mut contest = Contest::new(options);
    contest.enter_all(2, &Nothing, |run| {
        let batch = |_| {
            let start = Instant::now();
            for _ in 0..BATCH {
                run();
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(BATCH)
        };
        median((0..batches).map(batch).collect())
    });
    let outcome = contest.hold();
    let values = vec![outcome.median("purloin"), outcome.median("rayon")];
    Figures { unit: "us", outcome, values }
}
