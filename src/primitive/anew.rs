//! Lists of a process: what is behind a lock that a forked child begins anew, since whoever held it may have stayed behind.
//! No protocol reads them, so they are no modelled primitive.

use super::fork_generation;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

/// A value for a static. Each process has its own; that of a forked child begins empty.
#[derive(Debug)]
pub struct Anew<T>(AtomicPtr<Page<T>>);

#[derive(Debug)]
struct Page<T> {
    fork_generation: usize,
    value: Mutex<T>,
}

impl<T: Default + Send> Anew<T> {
    /// Made when it is first looked at.
    pub const fn new() -> Self {
        Anew(AtomicPtr::new(ptr::null_mut()))
    }

    /// Looks at it, or changes it.
    pub fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.page().value.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn page(&self) -> &Page<T> {
        let fork_generation = fork_generation();
        // Acquire pairs with the Release of who has put it there, here and below.
        let mut found = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: a page is never freed: what a child leaves is its parent's, and lost to it.
            if let Some(page) = unsafe { found.as_ref() }.filter(|page| page.fork_generation == fork_generation) {
                return page;
            }
            let fresh = Box::into_raw(Box::new(Page { fork_generation, value: Mutex::new(T::default()) }));
            match self.0.compare_exchange(found, fresh, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => found = fresh,
                Err(other) => {
                    // SAFETY: made above, and nobody has seen it.
                    drop(unsafe { Box::from_raw(fresh) });
                    found = other;
                }
            }
        }
    }
}
