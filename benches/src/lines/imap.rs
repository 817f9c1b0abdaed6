//! Streams: what an item costs that is taken from an iterator, run, and delivered.

use std::ops::Range;
use std::time::Instant;

use purloin::{Imap, Pool};

use super::{Bar, Line};
use crate::contest::{Contest, Options};
use crate::heap::Watch;
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "imap-empty",
        work: "10,000 empty items through `imap`: for each of them, 2 threads",
        bars: &[
            Bar::at_most(1000.0, "in order, from outside, ns"),
            Bar::beside("in any order, from outside, ns"),
            Bar::at_most(1000.0, "in order, from inside, ns"),
            Bar::beside("in any order, from inside, ns"),
        ],
        run: empty,
    },
    Line {
        name: "imap-memory",
        work: "10 M items through `imap`, 2 threads: the most heap at once",
        bars: &[Bar::at_most(2.0, "over that of 100,000 items"), Bar::at_most(2.0, "the same in any order")],
        run: memory,
    },
];

/// The most bytes of heap that are in use at once, of a stream as it is read.
fn memory(options: Options) -> Figures {
    let (few, many) = (options.size(100_000, 1_000), options.size(10_000_000, 10_000u64));
    let mut contest = Contest::new(options.at_most(1));
    contest.enter("serial", || 0.0);
    let mut enter = |label: &str, count: u64, stream: fn(&Pool, u64) -> Imap<Range<u64>, u64>| {
        contest.enter(label, move || {
            let pool = Pool::new(2).expect("a pool of that size can be built");
            let watch = Watch::start();
            stream(&pool, count).map(|_| watch.bytes()).max().unwrap_or_default() as f64
        });
    };
    let ordered: fn(&Pool, u64) -> Imap<Range<u64>, u64> = |pool, count| pool.imap(0..count, |n| n);
    let unordered: fn(&Pool, u64) -> Imap<Range<u64>, u64> = |pool, count| pool.imap_unordered(0..count, |n| n);
    enter("few", few, ordered);
    enter("purloin", many, ordered);
    enter("few-unordered", few, unordered);
    enter("unordered", many, unordered);
    let outcome = contest.hold_cold();
    let values = vec![outcome.ratio("purloin", "few"), outcome.ratio("unordered", "few-unordered")];
    Figures { unit: "bytes", outcome, values }
}

fn empty(options: Options) -> Figures {
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
