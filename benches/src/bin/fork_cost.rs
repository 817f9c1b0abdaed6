//! The instructions of one fork, counted by callgrind:
//!
//! ```sh
//! cargo build --release --package purloin-benches --bin fork_cost
//! for runtime in serial purloin rayon chili; do
//!     valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect='*fork_cost::measured*' \
//!         target/release/fork_cost $runtime
//! done
//! ```
//!
//! Each prints its forks, and valgrind the instructions ("Collected") inside `measured`. A fork's instructions are
//!
//! ```text
//! (Collected of the runtime - Collected of serial) / forks
//! ```
//!
//! One core, so nothing is stolen. Start-up and the way in and out of the pool are not counted.

use std::hint::black_box;

use clap::{Parser, ValueEnum};
use purloin_benches::contenders::{Chili, Purloin, Rayon, Runtime, Serial};
use purloin_benches::lines::{fib, forks};

#[derive(Parser)]
struct Arguments {
    /// On what
    runtime: Choice,
    /// Of which number
    #[arg(default_value_t = 25)]
    n: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Choice {
    Serial,
    Purloin,
    Rayon,
    Chili,
}

/// Not inlined: callgrind finds it by its name.
#[inline(never)]
fn measured<R: Runtime>(context: &mut R::Context<'_>, n: u64) -> u64 {
    fib::<R>(context, n)
}

fn count<R: Runtime>(n: u64) {
    let result = R::start(1).region(|context| measured::<R>(context, black_box(n)));
    println!("{}: fib({n}) = {result}, {} forks", R::NAME, forks(n));
}

fn main() {
    let Arguments { runtime, n } = Arguments::parse();
    match runtime {
        Choice::Serial => count::<Serial>(n),
        Choice::Purloin => count::<Purloin>(n),
        Choice::Rayon => count::<Rayon>(n),
        Choice::Chili => count::<Chili>(n),
    }
}
