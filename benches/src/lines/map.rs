//! Loops over a range with results in order: very many tiny items, items of some microseconds, few items after idleness,
//! and items of very different lengths.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::region::p50;
use super::{Bar, Line};
use crate::busy::{Seeded, busy};
use crate::contenders::{Bare, Loops, Purloin, Rayon, Serial};
use crate::contest::{Contest, Options, Outcome};
use crate::report::Figures;

const IDEAL: &str = "the ideal over purloin's time";
const RAYONS: &str = "the ideal over rayon's time";

pub const LINES: &[Line] = &[
    Line {
        name: "map-squares",
        work: "the squares of 10 M integers, 2 threads",
        bars: &[Bar::at_most(1.0, "purloin's time over rayon's")],
        run: squares,
    },
    Line {
        name: "map-1us",
        work: "1,000 items of 1 us, back to back, 2 threads",
        bars: &[Bar::at_least(0.93, IDEAL), Bar::beside(RAYONS)],
        run: |options| even(options, 1.0),
    },
    Line {
        name: "map-10us",
        work: "1,000 items of 10 us, back to back, 2 threads",
        bars: &[Bar::at_least(0.97, IDEAL), Bar::beside(RAYONS)],
        run: |options| even(options, 10.0),
    },
    Line {
        name: "map-100us",
        work: "1,000 items of 100 us, back to back, 2 threads",
        bars: &[Bar::at_least(0.97, IDEAL), Bar::beside(RAYONS)],
        run: |options| even(options, 100.0),
    },
    Line {
        name: "map-idle-8x10us",
        work: "8 items of 10 us after 3 ms of idleness, p50, 2 threads",
        bars: AFTER_IDLENESS,
        run: |options| after_idleness(options, 8, 10.0),
    },
    Line {
        name: "map-idle-100x1us",
        work: "100 items of 1 us after 3 ms of idleness, p50, 2 threads",
        bars: AFTER_IDLENESS,
        run: |options| after_idleness(options, 100, 1.0),
    },
    Line {
        name: "map-idle-100x5us",
        work: "100 items of 5 us after 3 ms of idleness, p50, 2 threads",
        bars: AFTER_IDLENESS,
        run: |options| after_idleness(options, 100, 5.0),
    },
    Line {
        name: "map-pareto-falling",
        work: "20,000 items, 1 us and more, Pareto (1.2), the longest first, 2 threads",
        bars: UNEVEN,
        run: |options| uneven(options, |items| items.sort_unstable_by(|a, b| b.total_cmp(a))),
    },
    Line {
        name: "map-pareto-rising",
        work: "the same, the longest last, 2 threads",
        bars: UNEVEN,
        run: |options| uneven(options, |items| items.sort_unstable_by(f64::total_cmp)),
    },
    Line {
        name: "map-pareto-shuffled",
        work: "the same, as they were drawn, 2 threads",
        bars: UNEVEN,
        run: |options| uneven(options, |_| ()),
    },
];

const AFTER_IDLENESS: &[Bar] = &[
    Bar::at_most(1.1, "purloin's time over serial's"),
    Bar::at_most(0.8, "purloin's time over rayon's"),
    Bar::beside("the bare threads' time over rayon's"),
];
const UNEVEN: &[Bar] = &[Bar::at_least(0.95, IDEAL), Bar::beside(RAYONS)];

/// Enters the runtimes that have loops, each with its own samples of `sample`.
fn enter<'a, S>(contest: &mut Contest<'a>, sample: S)
where
    S: Sample + Copy + 'a,
{
    fn one<'a, R: Loops + 'a>(contest: &mut Contest<'a>, sample: impl Sample + 'a) {
        let runtime = R::start(2);
        contest.enter(R::NAME, move || sample.of(&runtime));
    }
    one::<Serial>(contest, sample);
    one::<Purloin>(contest, sample);
    one::<Rayon>(contest, sample);
}

trait Sample {
    fn of(&self, runtime: &impl Loops) -> f64;
}

/// The half of the serial time in the same round, over that runtime's.
fn of_ideal(outcome: &Outcome, label: &str) -> f64 {
    outcome.compare(["serial", label], |[serial, other]| serial / 2.0 / other)
}

#[derive(Clone, Copy)]
struct Squares(usize);

impl Sample for Squares {
    fn of(&self, runtime: &impl Loops) -> f64 {
        let start = Instant::now();
        let squares = black_box(runtime.map(self.0, |n| n as u64 * n as u64));
        let elapsed = start.elapsed();
        assert_eq!(squares.last(), Some(&((self.0 as u64 - 1).pow(2))));
        elapsed.as_secs_f64() * 1e3
    }
}

fn squares(options: Options) -> Figures {
    let mut contest = Contest::new(options);
    enter(&mut contest, Squares(options.size(10_000_000, 20_000)));
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "rayon")];
    Figures { unit: "ms", outcome, values }
}

/// Runs of items of so many microseconds, each after a pause: the p50, in microseconds.
#[derive(Clone, Copy)]
struct Items<'a> {
    micros: &'a [f64],
    runs: usize,
    pause: Duration,
}

impl Sample for Items<'_> {
    fn of(&self, runtime: &impl Loops) -> f64 {
        p50(self.runs, self.pause)(&mut || {
            let start = Instant::now();
            runtime.map(self.micros.len(), |index| busy(self.micros[index]));
            start.elapsed()
        })
    }
}

fn hold(options: Options, items: Items) -> Outcome {
    let mut contest = Contest::new(options);
    enter(&mut contest, items);
    contest.hold()
}

fn even(options: Options, micros: f64) -> Figures {
    let items = vec![micros; options.size(1000, 20)];
    let runs = options.size((20_000.0 / (micros * 1000.0)).ceil() as usize, 1);
    let outcome = hold(options, Items { micros: &items, runs, pause: Duration::ZERO });
    let values = ["purloin", "rayon"].map(|label| of_ideal(&outcome, label)).into();
    Figures { unit: "us", outcome, values }
}

fn after_idleness(options: Options, count: usize, micros: f64) -> Figures {
    let items = vec![micros; count];
    let (runs, pause) = (options.size(40, 2), Duration::from_millis(3));
    let mut contest = Contest::new(options);
    enter(&mut contest, Items { micros: &items, runs, pause });
    let bare = Bare::start(&items);
    contest.enter(Bare::NAME, move || p50(runs, pause)(&mut || bare.time()));
    let outcome = contest.hold();
    let over = |one, other| outcome.ratio(one, other);
    let values = vec![over("purloin", "serial"), over("purloin", "rayon"), over(Bare::NAME, "rayon")];
    Figures { unit: "us", outcome, values }
}

fn uneven(options: Options, arrange: fn(&mut [f64])) -> Figures {
    let mut numbers = Seeded::new(4);
    // Cut off, so that no single item is longer than half of all, which would be the ideal by itself.
    let pareto = |_| numbers.between(0.0, 1.0).powf(-1.0 / 1.2).min(2000.0);
    let mut items: Vec<f64> = (0..options.size(20_000, 200)).map(pareto).collect();
    arrange(&mut items);
    let outcome = hold(options, Items { micros: &items, runs: 1, pause: Duration::ZERO });
    let values = ["purloin", "rayon"].map(|label| of_ideal(&outcome, label)).into();
    Figures { unit: "us", outcome, values }
}
