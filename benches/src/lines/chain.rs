//! A left-leaning chain: each fork offers a heavy half and goes deeper. A runtime that commits some forks to run in
//! sequence, or keeps them to itself, loses the second core here.

use super::{Bar, Line};
use crate::busy::busy;
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "chain",
    work: "400 nested forks, the offered half of each 1 ms of work, 2 threads",
    bars: &[
        Bar::at_least(1.9, "times as fast as serial"),
        Bar::beside("rayon, times as fast as serial"),
        Bar::beside("chili, times as fast as serial"),
    ],
    run,
}];

struct Chain {
    links: u32,
    micros: f64,
}

fn chain<R: Runtime>(context: &mut R::Context<'_>, links: u32, micros: f64) {
    if links > 0 {
        R::fork(context, |context| chain::<R>(context, links - 1, micros), |_| busy(micros));
    }
}

impl Workload for Chain {
    type State = ();

    fn state(&self) {}

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, (): &mut ()) {
        chain::<R>(context, self.links, self.micros);
    }

    fn check(&self, (): &()) {}
}

fn run(options: Options) -> Figures {
    let work = Chain { links: options.size(400, 40), micros: options.size(1000.0, 50.0) };
    let mut contest = Contest::new(options.at_most(7));
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = ["purloin", "rayon", "chili"].map(|label| outcome.ratio("serial", label)).into();
    Figures { unit: "ms", outcome, values }
}
