//! The system calls of one hand-over of a core and its return, counted by strace:
//!
//! ```sh
//! cargo build --release --package purloin-benches --bin hand_over
//! for times in 0 10000; do strace -f -c target/release/hand_over taken $times 2>&1 | tail -1; done
//! ```
//!
//! The difference of the two totals over 10,000 is what one costs. A process cannot count its own calls without being
//! traced, so the line `hand-over-switches` counts context switches instead.

use clap::{Parser, ValueEnum};
use purloin_benches::contenders::{Purloin, Runtime};
use purloin_benches::lines::hand_back_and_forth;

#[derive(Parser)]
struct Arguments {
    /// Who wants the core
    who: Choice,
    /// How often it is handed over
    times: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    /// Nobody: it stays idle until it is taken back
    Unwanted,
    /// Another task, which hands it back in the same way
    Taken,
}

fn main() {
    let Arguments { who, times } = Arguments::parse();
    let pool = Purloin::start(1);
    match who {
        Choice::Unwanted => pool.region(|()| (0..times).for_each(|_| purloin::blocking(|| ()))),
        Choice::Taken => hand_back_and_forth(&pool, times / 2),
    }
}
