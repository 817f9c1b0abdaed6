//! Skynet: a tree of tasks ten ways wide whose ten million leaves hand up their own numbers.

use std::ops::Range;

use super::{Bar, Line};
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "skynet",
    work: "skynet of 10^7 leaves, ten ways at each level by nested forks, 2 threads",
    bars: &[Bar::at_most(1.03, "purloin's time over the best rival's")],
    run,
}];

/// The sum of `size` leaves from `number` on.
fn skynet<R: Runtime>(context: &mut R::Context<'_>, number: u64, size: u64) -> u64 {
    if size == 1 { number } else { ten::<R>(context, number, size / 10, 0..10) }
}

fn ten<R: Runtime>(context: &mut R::Context<'_>, number: u64, size: u64, ways: Range<u64>) -> u64 {
    let count = ways.end - ways.start;
    if count == 1 {
        return skynet::<R>(context, number + ways.start * size, size);
    }
    let middle = ways.start + count / 2;
    let (a, b) = R::fork(
        context,
        |context| ten::<R>(context, number, size, ways.start..middle),
        |context| ten::<R>(context, number, size, middle..ways.end),
    );
    a + b
}

struct Skynet {
    leaves: u64,
}

impl Workload for Skynet {
    type State = u64;

    fn state(&self) -> u64 {
        0
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, result: &mut u64) {
        *result = skynet::<R>(context, 0, self.leaves);
    }

    fn check(&self, &result: &u64) {
        assert_eq!(result, self.leaves * (self.leaves - 1) / 2);
    }
}

fn run(options: Options) -> Figures {
    let work = Skynet { leaves: options.size(10_000_000, 1_000) };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio_to_best_rival()];
    Figures { unit: "ms", outcome, values }
}
