//! A pool with nothing to do, after it had something to do.

use std::thread::sleep;
use std::time::Duration;

use super::region::Pair;
use super::{Bar, Line};
use crate::contenders::Tokio;
use crate::contest::{Contest, Options};
use crate::report::Figures;
use crate::usage::{Activity, other_threads};

pub const LINES: &[Line] = &[
    Line {
        name: "idle-cpu",
        work: "a pool idle for 5 s: CPU time of its threads, 2 threads",
        bars: &[Bar::at_most(0.0, "CPU time of purloin's threads, us")],
        run: |options| run(options, "us of CPU", |activity| activity.cpu as f64 / 1e3),
    },
    Line {
        name: "idle-switches",
        work: "a pool idle for 5 s: context switches of its threads, 2 threads",
        bars: &[Bar::at_most(0.0, "switches of purloin's threads")],
        run: |options| run(options, "switches", |activity| activity.switches as f64),
    },
];

/// What the pool's threads do while nobody asks for anything, once they have had time to fall asleep.
fn idle(options: Options) -> Activity {
    sleep(Duration::from_millis(options.size(200, 50)));
    let before = other_threads();
    sleep(Duration::from_millis(options.size(5000, 50)));
    other_threads().since(before)
}

fn run(options: Options, unit: &'static str, figure: fn(Activity) -> f64) -> Figures {
    let mut contest = Contest::new(options.at_most(1));
    contest.enter_all_alone(2, &Pair(50.0), move |run| {
        for _ in 0..50 {
            run();
        }
        figure(idle(options))
    });
    contest.enter(Tokio::NAME, move || {
        let tokio = Tokio::start(2);
        (0..50).for_each(|_| tokio.pair(|| (), async {}));
        figure(idle(options))
    });
    let outcome = contest.hold_cold();
    let values = vec![outcome.median("purloin")];
    Figures { unit, outcome, values }
}
