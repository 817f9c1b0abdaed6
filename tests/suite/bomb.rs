//! What goes off when it is dropped.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A payload, a result or a part of a closure that panics when it is dropped, and counts its drops.
pub struct Bomb<'a>(pub &'a AtomicUsize);

impl Drop for Bomb<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("the bomb");
    }
}

/// For payloads, which must be `'static`.
static UNCOUNTED: AtomicUsize = AtomicUsize::new(0);
pub const BOMB: Bomb<'static> = Bomb(&UNCOUNTED);
