//! Pools that are found by their numbers, by those who must not keep them alive.

use super::Registry;
use crate::error::discard;
use crate::primitive::{Arc, Roster};
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) static ROSTER: Roster<Registry> = Roster::new();

/// The registry of that number, if it is still alive.
pub fn find(number: u64) -> Option<Kept> {
    ROSTER.find(number).map(|registry| Kept(ManuallyDrop::new(registry)))
}

/// A count on a registry that may turn out to be the last: what the pool's hooks own is then dropped with it. If that panics,
/// the panic hook tells of it, and it is no business of whoever has found the registry.
pub struct Kept(ManuallyDrop<Arc<Registry>>);

impl Deref for Kept {
    type Target = Registry;

    fn deref(&self) -> &Registry {
        &self.0
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: taken once, here.
        let registry = unsafe { ManuallyDrop::take(&mut self.0) };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(registry))) {
            discard(payload);
        }
    }
}
