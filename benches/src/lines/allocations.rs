//! Forks that nobody steals must not touch the heap.

use std::hint::black_box;

use super::fib::{fib, forks};
use super::{Bar, Line};
use crate::contenders::{ForEach, Runtime, for_each};
use crate::contest::{Contest, Options};
use crate::heap::Watch;
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "allocations",
    work: "heap allocations of an unstolen fork, fib(20), 1 thread",
    bars: &[Bar::at_most(0.0, "purloin's allocations a fork")],
    run,
}];

const N: u64 = 20;

struct Entry<'c>(&'c mut Contest<'static>);

impl ForEach for Entry<'_> {
    fn runtime<R: Runtime + 'static>(&mut self) {
        let runtime = R::start(1);
        // What other threads allocate meanwhile is no fork's doing, nor is a queue's growth at first: so the least of
        // some.
        let counted = move || {
            runtime.region(|context| {
                let mut count = || {
                    let watch = Watch::start();
                    black_box(fib::<R>(context, black_box(N)));
                    watch.allocations()
                };
                let least = (0..5).map(|_| count()).min().unwrap_or(0);
                least as f64 / forks(N) as f64
            })
        };
        self.0.enter(R::NAME, counted);
    }
}

fn run(options: Options) -> Figures {
    let mut contest = Contest::new(options.at_most(3));
    for_each(&mut Entry(&mut contest));
    let outcome = contest.hold();
    let values = vec![outcome.median("purloin")];
    Figures { unit: "allocations", outcome, values }
}
