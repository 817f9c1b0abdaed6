//! Standing in: a thread that waits for what a pool should do gets a core if the pool has no thread for it.

use crate::registry::Registry;
use crate::seat::{Grant, Place};

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
        registry.after_release();
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
