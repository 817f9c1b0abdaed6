//! Small regions at a steady pace: what the search for work, and the way to sleep and back, cost in CPU time.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::region::Pair;
use super::{Bar, Line};
use crate::contest::{Contest, Options};
use crate::report::Figures;
use crate::usage::process_cpu;

pub const LINES: &[Line] = &[Line {
    name: "burst",
    work: "a region of 2 x 5 us every 300 us for a second: CPU time of the process, 2 threads",
    bars: &[Bar::at_most(1.3, "purloin's CPU time over serial's"), Bar::beside("rayon's CPU time over serial's")],
    run,
}];

const PERIOD: Duration = Duration::from_micros(300);

fn run(options: Options) -> Figures {
    let length = Duration::from_millis(options.size(1000, 10));
    let mut contest = Contest::new(options.at_most(5));
    contest.enter_all_alone(2, &Pair(5.0), |run| {
        for _ in 0..20 {
            run();
        }
        let (cpu, start) = (process_cpu(), Instant::now());
        let mut next = PERIOD;
        while next < length {
            run();
            sleep(next.saturating_sub(start.elapsed()));
            next += PERIOD;
        }
        (process_cpu() - cpu).as_secs_f64() * 1e3
    });
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "serial"), outcome.ratio("rayon", "serial")];
    Figures { unit: "ms of CPU", outcome, values }
}
