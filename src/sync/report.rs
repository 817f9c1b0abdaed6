//! What is said of threads that wait: in the report of a deadlock, and to those who ask.

use super::line::What;
use crate::primitive::name_of_thread;
use std::fmt;
use std::panic::Location;

/// What a thread does that another waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It has the lock alone.
    Took,
    /// It has the lock for reading.
    Reads,
    /// It makes the value.
    Makes,
    /// It waits to write, and no more readers are let in before it.
    Wants,
}

/// A thread that another waits for, by its number.
#[derive(Debug, Clone, Copy)]
pub struct Keeper {
    pub thread: usize,
    pub how: How,
    pub at: &'static Location<'static>,
}

/// Why a thread must not wait: it would do so for ever.
#[derive(Debug)]
pub struct Deadlock {
    cycle: Vec<Waiting>,
}

impl Deadlock {
    /// Of a thread that waits for the next one, and so on, the last one for the first.
    pub fn new(cycle: Vec<Waiting>) -> Self {
        Deadlock { cycle }
    }

    /// Panics, at the line of the caller's caller as far as they pass it on.
    #[track_caller]
    pub fn report(&self) -> ! {
        panic!("{self}")
    }

    fn has(&self, how: How) -> bool {
        self.cycle.iter().flat_map(|waiting| &waiting.keepers).any(|(_, keeper)| keeper.how == how)
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadlock: ")?;
        match &self.cycle[..] {
            [own] if self.has(How::Makes) => write!(
                f,
                "the initialiser of a {} asks for the value that it is to make, at {}: it would wait for itself",
                own.what.kind, own.what.at
            )?,
            [_] => f.write_str("a thread locks again what it holds: drop the first guard before")?,
            [_, _] if self.has(How::Wants) && self.has(How::Reads) => f.write_str(
                "a thread reads again what it reads, behind a writer that came in between: drop the first guard before",
            )?,
            _ => {
                f.write_str("each of these threads waits for a lock that the next one holds")?;
                if self.has(How::Wants) {
                    f.write_str(", or is to have first")?;
                }
                f.write_str(": take them in one order, or wait with a time-out")?;
            }
        }
        self.cycle.iter().try_for_each(|waiting| write!(f, "\n  {waiting}"))
    }
}

/// A thread that waits for something of this module, as [`waiting`](super::waiting) found it.
///
/// ```
/// use purloin::sync::{Event, waiting};
///
/// let event = Event::new();
/// std::thread::scope(|scope| {
///     scope.spawn(|| event.wait());
///     let first = loop {
///         if let Some(first) = waiting().threads().first() {
///             break first.clone();
///         }
///         std::thread::yield_now();
///     };
///     event.set();
///     assert_eq!((first.kind(), first.location().file()), ("Event", file!()));
/// });
/// ```
#[derive(Debug, Clone)]
pub struct Waiting {
    thread: String,
    core: Option<Core>,
    what: What,
    timed: bool,
    /// For whom it waits, with their names.
    keepers: Vec<(String, Keeper)>,
}

/// The pool of a thread that waits, by its address, and the core that it had.
pub type Core = (usize, usize);

impl Waiting {
    /// Of the thread of that number. The names are as of now.
    pub(super) fn new(thread: usize, core: Option<Core>, what: What, timed: bool, keepers: &[Keeper]) -> Self {
        let keepers = keepers.iter().map(|keeper| (name_of_thread(keeper.thread), *keeper)).collect();
        Waiting { thread: name_of_thread(thread), core, what, timed, keepers }
    }

    /// The kind of primitive that it waits for, as its type is called.
    pub fn kind(&self) -> &'static str {
        self.what.kind
    }

    /// The source line that waits.
    pub fn location(&self) -> &'static Location<'static> {
        self.what.at
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.thread)?;
        if let Some((pool, core)) = self.core {
            write!(f, " (core {core} of pool {pool:#x})")?;
        }
        let What { kind, address, at } = self.what;
        write!(f, " waits at {at} for {kind} {address:#x}")?;
        for (index, (name, Keeper { how, at, .. })) in self.keepers.iter().enumerate() {
            let and = if index == 0 { ", which" } else { " and" };
            match how {
                How::Took => write!(f, "{and} {name} took at {at}")?,
                How::Reads => write!(f, "{and} {name} locked for reading at {at}")?,
                How::Makes => write!(f, "{and} {name} makes since {at}")?,
                How::Wants => write!(f, "{and} {name} is to write first, who waits at {at}")?,
            }
        }
        if self.timed {
            f.write_str(", with a time-out")?;
        }
        Ok(())
    }
}

/// Who waits for what, at one moment: [`waiting`](super::waiting). It displays as one line a thread.
///
/// ```
/// let snapshot = purloin::sync::waiting();
/// let lines = snapshot.to_string().lines().count();
/// assert_eq!(lines, snapshot.threads().len().max(1)); // "no thread waits" is a line as well
/// ```
#[derive(Debug, Clone)]
pub struct Snapshot {
    waits: Vec<Waiting>,
}

impl Snapshot {
    /// Of those threads.
    pub(super) fn new(waits: Vec<Waiting>) -> Self {
        Snapshot { waits }
    }

    /// The threads that wait.
    pub fn threads(&self) -> &[Waiting] {
        &self.waits
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waits.is_empty() {
            return f.write_str("no thread waits");
        }
        let mut waits = self.waits.iter();
        waits.next().map_or(Ok(()), |first| write!(f, "{first}"))?;
        waits.try_for_each(|waiting| write!(f, "\n{waiting}"))
    }
}
