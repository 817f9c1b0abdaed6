//! The error of those whose time was up.

use std::fmt;

/// The time was up before what was waited for happened. It may still happen: waiting again is no mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up before the event or latch was set")
    }
}

impl std::error::Error for TimedOut {}
