//! What hangs: small programs of the shapes that users have reported, each of which either ends or does not, for a reason
//! that lies in how the runtime is built and not in who is faster. Each runs on purloin and on rayon, in a process of its
//! own with a limit of time. `cargo hangs` prints the table.

pub mod child;
pub mod programs;
pub mod side;

use std::fmt;

use serde::Serialize;

/// One program.
pub struct Program {
    /// What the command line calls it.
    pub name: &'static str,
    /// What it does, for the table.
    pub what: &'static str,
    /// Where it has been reported, if it has.
    pub reports: &'static str,
    /// On how many cores it runs on purloin.
    pub cores: &'static [usize],
    /// On how many threads it runs on rayon.
    pub threads: usize,
    /// What rayon is known to make of it.
    pub rayon: Known,
    /// The reason for that.
    pub why: &'static str,
    /// Its body, on either.
    pub on: On,
}

/// A program's body, compiled for both sides. It gives a figure for the table, if there is something to say, and panics if
/// something went wrong.
#[derive(Clone, Copy)]
pub struct On {
    /// On purloin.
    pub purloin: fn(side::Purloin, usize) -> Option<String>,
    /// On rayon.
    pub rayon: fn(side::Rayon, usize) -> Option<String>,
}

/// What is to be expected where there is a reason to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It ends well.
    Works,
    /// It never ends.
    Hangs,
    /// The process is aborted, or the program panics.
    Fails,
}

/// What became of a program.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ended well, perhaps with a figure.
    Works(Option<String>),
    /// It had not ended when its time was up, and was killed.
    Hangs,
    /// It failed, and what it said.
    Fails(String),
}

impl Outcome {
    /// Which of the three it is.
    #[must_use]
    pub fn kind(&self) -> Known {
        match self {
            Outcome::Works(_) => Known::Works,
            Outcome::Hangs => Known::Hangs,
            Outcome::Fails(_) => Known::Fails,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Works(None) => f.write_str("works"),
            Outcome::Works(Some(figure)) => write!(f, "works: {figure}"),
            Outcome::Hangs => f.write_str("**hangs**"),
            Outcome::Fails(message) => write!(f, "**fails**: {message}"),
        }
    }
}
