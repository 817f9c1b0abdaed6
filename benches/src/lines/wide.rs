//! More cores configured than the machine has: what it costs when someone guesses wrong, or runs under a quota.

use std::time::Duration;

use super::fib::Fib;
use super::region::{Pair, p50};
use super::tree::{Sum, arena, build};
use super::{Bar, Line};
use crate::contenders::{Purloin, Rayon, Runtime, Serial, Workload};
use crate::contest::{Contest, Options, Run, milliseconds};
use crate::report::Figures;

const BARS: &[Bar] = &[
    Bar::at_most(1.25, "purloin at 16 over itself at 2"),
    Bar::at_most(1.25, "purloin at 64 over itself at 2"),
    Bar::beside("rayon at 64 over itself at 2"),
];

pub const LINES: &[Line] = &[
    Line { name: "wide-fib", work: "fib(34), a fork at every call, 2, 16 and 64 threads", bars: BARS, run: wide_fib },
    Line {
        name: "wide-tree",
        work: "sum of a tree of 2^24 nodes, right child first, 2, 16 and 64 threads",
        bars: BARS,
        run: wide_tree,
    },
    Line {
        name: "wide-region",
        work: "a region of 2 x 50 us from outside, back to back, p50, 2, 16 and 64 threads",
        bars: BARS,
        run: wide_region,
    },
];

/// purloin at 2 bears its plain name, so that the table's last column compares with it.
fn figures<W: Workload>(
    options: Options,
    unit: &'static str,
    work: &W,
    sampler: impl Fn(Run) -> f64 + Copy,
) -> Figures {
    let mut contest = Contest::new(options);
    contest.enter_runtime("serial", Serial, work, sampler);
    contest.enter_runtime("purloin", Purloin::start(2), work, sampler);
    contest.enter_runtime("purloin/16", Purloin::start(16), work, sampler);
    contest.enter_runtime("purloin/64", Purloin::start(64), work, sampler);
    contest.enter_runtime("rayon", Rayon::start(2), work, sampler);
    contest.enter_runtime("rayon/64", Rayon::start(64), work, sampler);
    let outcome = contest.hold();
    let values = vec![
        outcome.ratio("purloin/16", "purloin"),
        outcome.ratio("purloin/64", "purloin"),
        outcome.ratio("rayon/64", "rayon"),
    ];
    Figures { unit, outcome, values }
}

fn wide_fib(options: Options) -> Figures {
    figures(options, "ms", &Fib(options.size(34, 18)), milliseconds)
}

fn wide_tree(options: Options) -> Figures {
    let layers = options.size(24, 12);
    let mut nodes = arena(layers);
    let root = build(&mut nodes.as_mut_slice(), layers).expect("a tree with layers has a root");
    figures(options, "ms", &Sum::<true> { root, layers }, milliseconds)
}

fn wide_region(options: Options) -> Figures {
    figures(options, "us", &Pair(50.0), p50(options.size(300, 20), Duration::ZERO))
}
