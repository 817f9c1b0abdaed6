//! The sum of a binary tree, a fork at every node: the cost of forks where memory is the bottleneck.

use std::mem::{MaybeUninit, take};

use super::{Bar, Line};
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "tree-follows",
        work: "sum of a tree of 2^24 nodes, right child first as they lie in memory, 2 threads",
        bars: &[Bar::at_most(0.35, "purloin's time over rayon's"), Bar::at_most(1.05, "purloin's time over chili's")],
        run: |options| figures::<true>(options),
    },
    Line {
        name: "tree-defies",
        work: "sum of the same tree, left child first against the memory's order, 2 threads",
        bars: &[Bar::at_most(0.5, "purloin's time over rayon's"), Bar::at_most(1.05, "purloin's time over chili's")],
        run: |options| figures::<false>(options),
    },
];

/// Aligned to the 32 bytes that a node takes on the heap of the usual allocators, where programs have their trees.
#[repr(align(32))]
pub struct Node<'n> {
    value: u64,
    left: Option<&'n Node<'n>>,
    right: Option<&'n Node<'n>>,
}

/// Where nodes come from; in one piece, so that the layout does not depend on what ran before.
pub type Arena<'n> = Vec<MaybeUninit<Node<'n>>>;

/// Room for a tree of that many layers.
pub fn arena<'n>(layers: u32) -> Arena<'n> {
    let mut arena = Vec::new();
    arena.resize_with((1 << layers) - 1, MaybeUninit::uninit);
    arena
}

/// Builds a full tree as recursive constructors do: left, right, then the node. So the right child lies just below its
/// parent, and the left one a whole subtree away.
pub fn build<'n>(free: &mut &'n mut [MaybeUninit<Node<'n>>], layers: u32) -> Option<&'n Node<'n>> {
    if layers == 0 {
        return None;
    }
    let (left, right) = (build(free, layers - 1), build(free, layers - 1));
    let (place, rest) = take(free).split_first_mut().expect("room for the whole tree");
    *free = rest;
    Some(place.write(Node { value: 1, left, right }))
}

fn sum<R: Runtime, const RIGHT_FIRST: bool>(context: &mut R::Context<'_>, node: &Node<'_>) -> u64 {
    let (first, second) = if RIGHT_FIRST { (node.right, node.left) } else { (node.left, node.right) };
    let (a, b) = R::fork(
        context,
        |context| first.map_or(0, |child| sum::<R, RIGHT_FIRST>(context, child)),
        |context| second.map_or(0, |child| sum::<R, RIGHT_FIRST>(context, child)),
    );
    node.value + a + b
}

/// The sum as a workload.
pub struct Sum<'n, const RIGHT_FIRST: bool> {
    pub root: &'n Node<'n>,
    pub layers: u32,
}

impl<const RIGHT_FIRST: bool> Workload for Sum<'_, RIGHT_FIRST> {
    type State = u64;

    fn state(&self) -> u64 {
        0
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, result: &mut u64) {
        *result = sum::<R, RIGHT_FIRST>(context, self.root);
    }

    fn check(&self, &result: &u64) {
        assert_eq!(result, (1 << self.layers) - 1);
    }
}

fn figures<const RIGHT_FIRST: bool>(options: Options) -> Figures {
    let layers = options.size(24, 12);
    let mut nodes = arena(layers);
    let root = build(&mut nodes.as_mut_slice(), layers).expect("a tree with layers has a root");
    let work = Sum::<RIGHT_FIRST> { root, layers };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "rayon"), outcome.ratio("purloin", "chili")];
    Figures { unit: "ms", outcome, values }
}
