//! The error of those whose time was up.

use std::fmt;

/// The time was up before the [`Event`](super::Event) happened, or before all parts of the [`Latch`](super::Latch) were counted.
/// That may still come: waiting again is no mistake.
///
/// ```
/// use purloin::sync::{Event, TimedOut};
/// use std::time::Duration;
///
/// let event = Event::new();
/// assert_eq!(event.wait_timeout(Duration::ZERO), Err(TimedOut));
/// event.set();
/// assert_eq!(event.wait_timeout(Duration::ZERO), Ok(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut;

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time was up before the event or latch was set")
    }
}

impl std::error::Error for TimedOut {}
