//! purloin beside its rivals: the same work, written once, on every contender, in alternating rounds of one process.
//!
//! ```sh
//! cargo rivals                                        # everything, some minutes on an otherwise idle machine
//! cargo rivals --list                                 # the lines and their bars
//! cargo rivals --only fib --rounds 21 --json fib.json
//! cargo rivals --quick                                # a smoke run of seconds
//! cargo hangs                                         # what hangs elsewhere: a table in Markdown
//! cargo hangs --quick                                 # that nothing of it hangs here
//! # With Forte as one more rival, which asks for a newer Rust but builds with this one:
//! cargo run --release --package purloin-benches --features forte --ignore-rust-version
//! ```
//!
//! Read in this order: [`contenders`] (what a runtime is here), [`contest`] (how samples are taken), [`lines`] (the
//! work, and the bar that each piece of work sets), [`report`] (table and JSON). [`busy`], [`contend`], [`usage`] and
//! [`heap`] are the instruments. [`hangs`] stands apart: what ends, and not how fast.

pub mod busy;
pub mod contend;
pub mod contenders;
pub mod contest;
pub mod hangs;
pub mod heap;
pub mod lines;
pub mod report;
pub mod usage;

/// Counts only while a [`heap::Watch`] is alive; otherwise the price is one relaxed load, the same for every contender.
#[global_allocator]
static HEAP: heap::Counting = heap::Counting;
