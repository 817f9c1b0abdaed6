//! Streams: what an item costs that is taken from an iterator, run, and delivered.

use std::time::Instant;

use purloin::Pool;

use super::{Bar, Line};
use crate::contest::{Contest, Options};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "imap-empty",
    work: "10,000 empty items through `imap`: for each of them, 2 threads",
    bars: &[
        Bar::at_most(1000.0, "in order, from outside, ns"),
        Bar::beside("in any order, from outside, ns"),
        Bar::at_most(1000.0, "in order, from inside, ns"),
        Bar::beside("in any order, from inside, ns"),
    ],
    run,
}];

fn run(options: Options) -> Figures {
    let count = options.size(10_000, 200u64);
    let mut contest = Contest::new(options);
    let mut enter = |label: &str, sum: fn(&Pool, u64) -> u64| {
        let pool = Pool::new(2).expect("a pool of that size can be built");
        contest.enter(label, move || {
            let start = Instant::now();
            assert_eq!(sum(&pool, count), count * (count - 1) / 2);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        });
    };
    enter("serial", |_, count| std::hint::black_box(0..count).map(std::hint::black_box).sum());
    enter("purloin", |pool, count| pool.imap(0..count, |n| n).sum());
    enter("unordered", |pool, count| pool.imap_unordered(0..count, |n| n).sum());
    enter("inside", |pool, count| pool.install(|| pool.imap(0..count, |n| n).sum()));
    enter("unordered-inside", |pool, count| pool.install(|| pool.imap_unordered(0..count, |n| n).sum()));
    let outcome = contest.hold();
    let values = ["purloin", "unordered", "inside", "unordered-inside"].map(|label| outcome.median(label)).into();
    Figures { unit: "ns", outcome, values }
}
