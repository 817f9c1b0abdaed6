//! What a task pays that blocks, to hand its core over and to take one again, and what the other tasks have of it.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::{Bar, Line};
use crate::busy::busy;
use crate::contend::{alone, race};
use crate::contenders::{Purloin, Runtime, Scopes, Serial, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;
use crate::usage::process_switches;

pub const LINES: &[Line] = &[
    Line {
        name: "hand-over",
        work: "a task blocks for no time and goes on, nobody wants its core, 1 core",
        bars: &[Bar::beside("purloin's time, ns"), Bar::beside("the same on a thread of no pool, ns")],
        run: unwanted,
    },
    Line {
        name: "hand-over-taken",
        work: "two tasks block for no time, each hands the core to the other, 1 core",
        bars: &[Bar::beside("purloin's time over that of two threads that unpark each other")],
        run: |options| taken(options, "ns", |times, turns| clocked(times, turns)),
    },
    Line {
        name: "hand-over-switches",
        work: "the same: context switches of the process",
        bars: &[Bar::beside("purloin's switches over those of two threads that unpark each other")],
        run: |options| taken(options, "switches", |times, turns| switched(times, turns)),
    },
    Line {
        name: "blocking-graph",
        work: "200 leaves of a tree of forks, 1 in 5 sleeps for 1 ms, the others compute for 1 ms, 2 threads",
        bars: &[
            Bar::at_least(0.95, "purloin's throughput over the ideal"),
            Bar::beside("rayon's throughput over the ideal"),
            Bar::beside("chili's throughput over the ideal"),
            Bar::beside("the ideal over twice what one processor computes while the other idles"),
        ],
        run: graph,
    },
];

fn unwanted(options: Options) -> Figures {
    let times = options.size(200_000, 500);
    let block = move || alone(times, || purloin::blocking(|| ()));
    let mut contest = Contest::new(options);
    contest.enter(Serial::NAME, move || alone(times, || black_box(())));
    let pool = Purloin::start(1);
    contest.enter(Purloin::NAME, move || pool.region(|()| block()));
    contest.enter("no pool", block);
    let outcome = contest.hold();
    let values = vec![outcome.median(Purloin::NAME), outcome.median("no pool")];
    Figures { unit: "ns", outcome, values }
}

/// Nanoseconds of one of the `times` turns that `turns` consists of.
fn clocked(times: usize, turns: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    turns();
    start.elapsed().as_secs_f64() * 1e9 / times as f64
}

/// Context switches for one of them.
fn switched(times: usize, turns: &mut dyn FnMut()) -> f64 {
    let before = process_switches();
    turns();
    (process_switches() - before) as f64 / times as f64
}

/// Two of whom one at a time may run; `sample` measures so many turns.
fn taken(options: Options, unit: &'static str, sample: fn(usize, &mut dyn FnMut()) -> f64) -> Figures {
    let each = options.size(5_000, 50);
    let mut contest = Contest::new(options);
    contest.enter(Serial::NAME, move || sample(2 * each, &mut || (0..2 * each).for_each(|turn| _ = black_box(turn))));
    let pool = Purloin::start(1);
    contest.enter(Purloin::NAME, move || sample(2 * each, &mut || hand_back_and_forth(&pool, each)));
    contest.enter("threads", move || sample(2 * each, &mut || pass_back_and_forth(each)));
    let outcome = contest.hold();
    let values = vec![outcome.ratio(Purloin::NAME, "threads")];
    Figures { unit, outcome, values }
}

/// Two tasks on one core, each of which blocks for no time and so lets the other go on, so many times.
pub fn hand_back_and_forth(pool: &Purloin, times: usize) {
    let both = purloin::sync::Barrier::new(2);
    let task = || {
        // Else one could be done before the other begins.
        both.wait();
        (0..times).for_each(|_| purloin::blocking(|| ()));
    };
    pool.scope(2, task, || ());
}

/// The least that this can cost: two threads, of which each lets the other go on and then parks, so many times.
fn pass_back_and_forth(times: usize) {
    let (first, second) = (AtomicBool::new(true), AtomicBool::new(false));
    let take = |own: &AtomicBool| {
        while !own.swap(false, SeqCst) {
            thread::park();
        }
    };
    let here = thread::current();
    thread::scope(|scope| {
        let there = scope.spawn(|| {
            for _ in 0..times {
                take(&second);
                first.store(true, SeqCst);
                here.unpark();
            }
        });
        for _ in 0..times {
            take(&first);
            second.store(true, SeqCst);
            there.thread().unpark();
        }
    });
}

/// A tree of forks over `leaves` leaves of that many microseconds, of which some block if `blocks` says so, and else are
/// left out.
struct Graph {
    leaves: usize,
    micros: f64,
    blocks: bool,
}

/// One leaf in so many blocks.
const BLOCKING: usize = 5;

fn grow<R: Runtime>(context: &mut R::Context<'_>, graph: &Graph, from: usize, to: usize) {
    if to - from > 1 {
        let middle = from.midpoint(to);
        R::fork(
            context,
            |context| grow::<R>(context, graph, from, middle),
            |context| grow::<R>(context, graph, middle, to),
        );
    } else if from % BLOCKING != BLOCKING / 2 {
        busy(graph.micros);
    } else if graph.blocks {
        // On threads that are not of a pool of purloin's it is the bare sleep.
        purloin::blocking(|| thread::sleep(Duration::from_secs_f64(graph.micros / 1e6)));
    }
}

impl Workload for Graph {
    type State = ();

    fn state(&self) {}

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, (): &mut ()) {
        grow::<R>(context, self, 0, self.leaves);
    }

    fn check(&self, (): &()) {}
}

fn graph(options: Options) -> Figures {
    const COMPUTING: &str = "computing";
    const BOTH: &str = "computing on two threads";
    let (leaves, micros) = (options.size(200, 20), options.size(1000.0, 50.0));
    let work = Graph { leaves, micros, blocks: true };
    let computing = Graph { leaves, micros, blocks: false };
    let mut contest = Contest::new(options.at_most(7));
    contest.enter_all(2, &work, milliseconds);
    contest.enter_runtime(COMPUTING, Serial::start(1), &computing, milliseconds);
    // Two processors of a virtual machine may do less together than twice what one of them does alone.
    let half = (0..leaves).filter(|leaf| leaf % BLOCKING != BLOCKING / 2).count() / 2;
    contest.enter(BOTH, move || race(2, |_| (0..half).for_each(|_| busy(micros))).as_secs_f64() * 1e3);
    let outcome = contest.hold();
    // Ideally all that blocks does so while both cores compute.
    let over_ideal = |label| outcome.ratio(BOTH, label);
    let mut values = Vec::from(["purloin", "rayon", "chili"].map(over_ideal));
    values.push(outcome.ratio(COMPUTING, BOTH) / 2.0);
    Figures { unit: "ms", outcome, values }
}
