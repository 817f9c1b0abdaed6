//! What ends a loop before its last item: a failure, a cancelled token, a deadline.

use crate::cancel::Why;
use crate::error::Cancelled;
use crate::options::Options;
use crate::primitive::{AtomicUsize, Flaw, Ordering, seeded};
use crate::worker::Worker;

/// Items between two looks at the clock, in a chunk that was expected to be short.
const CLOCK_EVERY: usize = 16;

/// What all parts of one loop look at.
#[derive(Debug)]
pub struct Bounds<'a> {
    options: Option<&'a Options>,
    /// Items beyond this index are not wanted: that one has failed, or a part that begins there has. It only falls.
    failed: AtomicUsize,
}

impl<'a> Bounds<'a> {
    /// Bounds for a loop of that many items.
    pub fn new(options: Option<&'a Options>, length: usize) -> Self {
        if let Some(progress) = options.and_then(|options| options.progress.as_ref()) {
            progress.counts().expect(Some(length));
        }
        Bounds { options, failed: AtomicUsize::new(usize::MAX) }
    }

    /// Whether items that begin with `at` are not to be run. Asks the clock only if there is a deadline.
    #[inline]
    pub fn stop_at(&self, at: usize) -> bool {
        self.has_failed_before(at) || self.options.is_some_and(|options| options.limit.reached().is_some())
    }

    /// Whether item `at`, in a chunk that has begun, is not to be run.
    #[inline]
    pub fn stop_item(&self, at: usize) -> bool {
        self.has_failed_before(at)
            || self.options.is_some_and(|options| {
                options.limit.is_cancelled() || (at.is_multiple_of(CLOCK_EVERY) && options.limit.reached().is_some())
            })
    }

    /// Why the loop was stopped: it has items without a result, though none failed.
    pub fn why(&self) -> Why {
        match self.options.and_then(|options| options.limit.reached()) {
            Some(why) => why,
            None => unreachable!("what is reached stays so"),
        }
    }

    /// The error of a loop that was stopped.
    pub fn cancelled<T>(&self, done: T, finished: usize, total: usize) -> Cancelled<T> {
        Cancelled { done, finished, total: Some(total), why: self.why() }
    }

    fn has_failed_before(&self, at: usize) -> bool {
        // Relaxed: it only saves work. Whose failure counts is decided where the parts meet.
        self.failed.load(Ordering::Relaxed) < at
    }

    /// Item `at` has failed, or something in a part that begins there and has nothing left running.
    #[cold]
    pub fn fail(&self, at: usize) {
        if seeded(Flaw::FailureByStore) {
            if !self.has_failed_before(at) {
                self.failed.store(at, Ordering::Relaxed);
            }
            return;
        }
        self.failed.fetch_min(at, Ordering::Relaxed);
    }

    /// Counts items that are done.
    #[inline]
    pub fn count(&self, worker: &Worker, items: usize) {
        if let Some(progress) = self.options.and_then(|options| options.progress.as_ref()) {
            progress.counts().add(worker.core_index(), items);
        }
    }
}

/// Ends the rest of the loop if a part of it unwinds.
pub struct OnPanic<'a> {
    bounds: &'a Bounds<'a>,
    at: usize,
}

impl<'a> OnPanic<'a> {
    /// For the part that begins at item `at`. To be forgotten where the part has ended well.
    pub fn of(bounds: &'a Bounds<'a>, at: usize) -> Self {
        OnPanic { bounds, at }
    }
}

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        self.bounds.fail(self.at);
    }
}
