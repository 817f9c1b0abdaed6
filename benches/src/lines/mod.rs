//! The lines of the comparison: what work, on whom, and what purloin must reach.

mod allocations;
mod blocking;
mod burst;
mod chain;
mod fib;
mod hunger;
mod idle;
mod imap;
mod map;
mod matmul;
mod mutex;
mod pending;
mod queens;
mod queue;
mod quicksort;
mod region;
mod rwlock;
mod semaphore;
mod skynet;
mod spawns;
mod tree;
mod unbalanced;
mod wide;

use std::fmt;

use serde::Serialize;

pub use self::blocking::hand_back_and_forth;
pub use self::fib::{fib, forks};
use crate::contest::Options;
use crate::report::Figures;

/// One line.
pub struct Line {
    /// What `--only` looks at.
    pub name: &'static str,
    /// What is done.
    pub work: &'static str,
    /// What purloin must reach, and figures that belong beside it.
    pub bars: &'static [Bar],
    /// Does it.
    pub run: fn(Options) -> Figures,
}

/// One figure of a line.
pub struct Bar {
    /// What the value is.
    pub what: &'static str,
    /// What it must be.
    pub limit: Limit,
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// Anything: it is there to compare with.
    None,
}

impl Bar {
    const fn at_most(limit: f64, what: &'static str) -> Self {
        Bar { what, limit: Limit::AtMost(limit) }
    }

    const fn at_least(limit: f64, what: &'static str) -> Self {
        Bar { what, limit: Limit::AtLeast(limit) }
    }

    const fn beside(what: &'static str) -> Self {
        Bar { what, limit: Limit::None }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Through `pad`, so that a table's column widths apply.
        match self {
            Limit::AtMost(limit) => f.pad(&format!("at most {limit}")),
            Limit::AtLeast(limit) => f.pad(&format!("at least {limit}")),
            Limit::None => f.pad(""),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<18}{}", self.name, self.work)?;
        let mut bars = self.bars.iter().filter(|bar| !matches!(bar.limit, Limit::None));
        bars.try_for_each(|bar| writeln!(f, "{:<20}{}: {}", "", bar.what, bar.limit))
    }
}

/// All lines, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Line> {
    [
        fib::LINES,
        tree::LINES,
        chain::LINES,
        hunger::LINES,
        region::LINES,
        burst::LINES,
        idle::LINES,
        spawns::LINES,
        pending::LINES,
        unbalanced::LINES,
        skynet::LINES,
        queens::LINES,
        quicksort::LINES,
        matmul::LINES,
        map::LINES,
        imap::LINES,
        wide::LINES,
        allocations::LINES,
        mutex::LINES,
        rwlock::LINES,
        semaphore::LINES,
        queue::LINES,
        blocking::LINES,
    ]
    .into_iter()
    .flatten()
}
