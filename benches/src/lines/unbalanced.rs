//! Unbalanced tree search, after UTS (Olivier et al. 2006): a tree that exists only as a hash, where each node's
//! number of children is drawn from a geometric distribution, so that no split can be balanced ahead of time.

use std::ops::Range;

use super::{Bar, Line};
use crate::busy::mix;
use crate::contenders::{Runtime, Serial, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "unbalanced",
    work: "unbalanced tree search, geometric, 4 children on average, 2 threads",
    bars: &[Bar::at_most(1.03, "purloin's time over the best rival's")],
    run,
}];

const CHILDREN: f64 = 4.0;

/// How many children the node has: geometric, with mean [`CHILDREN`], down to the last layer.
fn children(node: u64, layers: u32) -> u64 {
    if layers == 0 {
        return 0;
    }
    let uniform = (mix(node) >> 11) as f64 / (1u64 << 53) as f64;
    let stop: f64 = 1.0 / (1.0 + CHILDREN);
    ((1.0 - uniform).ln() / (1.0 - stop).ln()) as u64
}

fn search<R: Runtime>(context: &mut R::Context<'_>, node: u64, layers: u32) -> u64 {
    1 + siblings::<R>(context, node, 0..children(node, layers), layers)
}

/// Nodes under the children of that range, which is halved until one is left.
fn siblings<R: Runtime>(context: &mut R::Context<'_>, parent: u64, range: Range<u64>, layers: u32) -> u64 {
    match range.end - range.start {
        0 => 0,
        1 => search::<R>(context, mix(parent ^ mix(range.start)), layers - 1),
        count => {
            let middle = range.start + count / 2;
            let (a, b) = R::fork(
                context,
                |context| siblings::<R>(context, parent, range.start..middle, layers),
                |context| siblings::<R>(context, parent, middle..range.end, layers),
            );
            a + b
        }
    }
}

struct Search {
    layers: u32,
    nodes: u64,
}

impl Workload for Search {
    type State = u64;

    fn state(&self) -> u64 {
        0
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, result: &mut u64) {
        *result = search::<R>(context, ROOT, self.layers);
    }

    fn check(&self, &result: &u64) {
        assert_eq!(result, self.nodes);
    }
}

/// Of the first roots, one with about three million nodes, most of them under two of its six children.
const ROOT: u64 = 26;

fn run(options: Options) -> Figures {
    let layers = options.size(10, 6);
    let work = Search { layers, nodes: search::<Serial>(&mut (), ROOT, layers) };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio_to_best_rival()];
    Figures { unit: "ms", outcome, values }
}
