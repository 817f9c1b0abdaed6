//! Fibonacci numbers with a fork at every call: nothing but the cost of forks.

use std::hint::black_box;

use super::{Bar, Line};
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "fib-1",
        work: "fib(34), a fork at every call, 1 thread",
        bars: &[
            Bar::at_most(2.5, "cost of a fork, ns"),
            Bar::at_most(0.3, "cost of a fork over rayon's"),
            Bar::beside("rayon's cost of a fork, ns"),
            Bar::beside("chili's cost of a fork, ns"),
        ],
        run: one_thread,
    },
    Line {
        name: "fib-2",
        work: "fib(34), a fork at every call, 2 threads",
        bars: &[Bar::at_most(0.42, "purloin's time over rayon's"), Bar::beside("purloin's time over chili's")],
        run: two_threads,
    },
];

/// The number, by the slow road.
pub fn fib<R: Runtime>(context: &mut R::Context<'_>, n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (a, b) = R::fork(context, |context| fib::<R>(context, n - 1), |context| fib::<R>(context, n - 2));
    a + b
}

fn fast(n: u64) -> u64 {
    (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0
}

/// The forks on the way to `fib(n)`: all calls but the leaves.
#[must_use]
pub fn forks(n: u64) -> u64 {
    fast(n + 1) - 1
}

/// `fib` as a workload.
pub struct Fib(pub u64);

impl Workload for Fib {
    type State = u64;

    fn state(&self) -> u64 {
        0
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, result: &mut u64) {
        *result = fib::<R>(context, black_box(self.0));
    }

    fn check(&self, &result: &u64) {
        assert_eq!(result, fast(self.0));
    }
}

/// The cost of a fork is what it adds to serial code, in which the compiler also turns the second call into a loop: that
/// no runtime can allow, so the figure is on the strict side.
fn one_thread(options: Options) -> Figures {
    let fib = Fib(options.size(34, 18));
    let mut contest = Contest::new(options);
    contest.enter_all(1, &fib, milliseconds);
    let outcome = contest.hold();
    let cost =
        |label| outcome.compare([label, "serial"], |[with, without]| (with - without) * 1e6 / forks(fib.0) as f64);
    let of_rayon =
        outcome.compare(["purloin", "rayon", "serial"], |[own, rayon, serial]| (own - serial) / (rayon - serial));
    let values = vec![cost("purloin"), of_rayon, cost("rayon"), cost("chili")];
    Figures { unit: "ms", outcome, values }
}

fn two_threads(options: Options) -> Figures {
    let fib = Fib(options.size(34, 18));
    let mut contest = Contest::new(options);
    contest.enter_all(2, &fib, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "rayon"), outcome.ratio("purloin", "chili")];
    Figures { unit: "ms", outcome, values }
}
