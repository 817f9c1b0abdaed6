//! Standing in: a thread that waits for what a pool should do gets a core if the pool has no thread for it.

use crate::primitive::{CALLER_STARVED_AFTER, Tick};
use crate::registry::Registry;
use crate::seat::{Grant, Place};
use std::time::Duration;

/// How long a thread waits at most before it asks again; and a consumer before it runs an item itself, whatever that takes.
pub const LAST_RESORT: Duration = Duration::from_secs(1);

/// A thread waits for what only a pool's own threads may begin, and asks for a core to be lent to one of them when that has
/// lasted long: whoever has the others may be waiting for something that this thread holds. The thread that is woken begins what
/// has been queued longest, so it may take several; but mostly the cores are just busy, and each further one has to wait twice as
/// long.
#[derive(Debug)]
pub struct Plea {
    since: Tick,
    patience: Duration,
}

impl Plea {
    /// The wait begins.
    pub fn new() -> Self {
        Plea { since: Tick::now(), patience: CALLER_STARVED_AFTER }
    }

    /// When to look again.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks, if it is time to.
    pub fn make(&mut self, registry: &Registry) {
        let now = Tick::now();
        if !now.within(self.since, self.patience) {
            registry.wake_with_spare();
            self.since = now;
            self.patience = (2 * self.patience).min(LAST_RESORT);
        }
    }
}

/// A thread that waits for work of a pool in which it has no core. If the pool has no thread left to run what is queued,
/// this one is granted a core, once.
#[derive(Debug)]
pub struct StandIn<'a> {
    registry: &'a Registry,
    place: &'a Place,
    waits: bool,
}

impl<'a> StandIn<'a> {
    /// Enters the thread that parks at `place`.
    pub fn enter(registry: &'a Registry, place: &'a Place) -> Self {
        registry.sleep.stand_in(place.seat());
        // What it waits for may have been queued, and looked for a thread in vain, before.
        registry.after_release(false);
        StandIn { registry, place, waits: true }
    }

    /// Whether it may still be granted a core.
    pub fn waits(&self) -> bool {
        self.waits
    }

    /// The core that it was granted, or is lent now, if it `starves`.
    pub fn take_core(&mut self, starves: bool) -> Option<usize> {
        if !self.waits {
            return None;
        }
        let core = match self.place.take_grant() {
            Some(Grant::Core(core)) => Some(core),
            Some(Grant::Exit) => unreachable!("a stand-in is not told to end"),
            None if starves => self.registry.sleep.borrow_for_stand_in(self.place.seat()),
            None => None,
        };
        self.waits = core.is_none();
        core
    }
}

impl Drop for StandIn<'_> {
    fn drop(&mut self) {
        if self.waits && !self.registry.sleep.stand_down(self.place.seat()) {
            match self.place.wait_for_grant() {
                Grant::Core(core) => self.registry.give_back(core),
                Grant::Exit => unreachable!("a stand-in is not told to end"),
            }
        }
    }
}
