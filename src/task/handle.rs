//! A task's handle: the right to its result.

use super::{CLAIMED, DONE, ENTRY, HANDLE, Head, Home, THIEF_SHIFT, Table};
use crate::error::JoinError;
use crate::latch::Waiter;
use crate::primitive::{Arc, CALLER_STARVED_AFTER, Ordering, Tick, fork_generation};
use crate::registry::{Registry, find, forked};
use crate::seat::{Place, with_place};
use crate::stand_in::{Plea, StandIn};
use crate::wait::{Awaited, Thief, wait_until};
use crate::worker::{Worker, without_core};
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr::NonNull;
use std::time::Instant;

/// A task's handle: the right to its result.
pub struct Handle<T, H: Home> {
    task: NonNull<Head<H>>,
    table: &'static Table,
    /// The number of the task's pool.
    pool: u64,
    /// Where it was made: a process forked since then has no thread that would run the task.
    fork_generation: usize,
    result: PhantomData<T>,
}

impl<T, H: Home> Handle<T, H> {
    /// The handle of a task.
    ///
    /// # Safety
    ///
    /// The task's result is a `T`, and the table belongs to it. The handle's count is the caller's to give.
    pub(super) unsafe fn new(task: NonNull<Head<H>>, table: &'static Table, pool: u64) -> Self {
        Handle { task, table, pool, fork_generation: fork_generation(), result: PhantomData }
    }
}

// SAFETY: a handle is used by one thread at a time, and what it may send there, the result and the unrun closure, is
// `Send` by the bounds of `new`.
unsafe impl<T: Send, H: Home> Send for Handle<T, H> {}
// SAFETY: through a shared reference a handle only reads the state.
unsafe impl<T: Send, H: Home> Sync for Handle<T, H> {}

impl<T: Send, H: Home> Handle<T, H> {
    fn head(&self) -> &Head<H> {
        // SAFETY: alive by the handle's count.
        unsafe { self.task.as_ref() }
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        // Acquire pairs with the Release in `finish`.
        self.head().state.load(Ordering::Acquire) & DONE != 0
    }

    /// Waits for the result. A worker of the task's pool runs the task itself if nobody has begun it, and waits safely
    /// if somebody has.
    pub fn join(self) -> Result<T, JoinError> {
        let head = self.head();
        if !self.is_finished() {
            match Worker::current_in(head.home.registry()) {
                Some(worker) => worker.resume(|worker| self.run_or_wait(worker)),
                None => self.park(),
            }
        }
        // Not dropped: the result is taken here, and the handle's count given back.
        let handle = ManuallyDrop::new(self);
        // SAFETY: done, by now.
        let result = unsafe { handle.take() };
        // SAFETY: the handle is not used again, but to free the task.
        if unsafe { handle.release() } {
            // SAFETY: we are the last.
            unsafe { handle.free() };
        }
        result
    }

    fn run_or_wait(&self, worker: &Worker) {
        let head = self.head();
        if head.take_claim(worker.core_index()) {
            let end = if head.home.is_terminated() { self.table.cancel } else { self.table.run };
            // SAFETY: claimed just now.
            let entry_gone = unsafe { end(self.task.cast()) };
            // Else the entry's holder says so, when it comes upon it: whatever a scope's queue holds is part of the scope.
            if entry_gone {
                head.home.ended();
            }
        } else {
            let awaited = Awaited {
                latch: &head.latch,
                lineage: &head.lineage,
                thief: Thief::in_word(&head.state, THIEF_SHIFT),
                own: None,
            };
            worker.wait_for(&awaited);
        }
    }

    /// Waits until the deadline at most, and tells whether the task is done by then. It does not run the task itself, which
    /// could take longer; a core that this thread has goes to others meanwhile.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        if self.is_finished() {
            return true;
        }
        if self.fork_generation != fork_generation() {
            forked();
        }
        wait_until(&self.head().latch, deadline)
    }

    /// Waits as a thread from outside, which has no core to give; or as another pool's worker, which gives its own.
    fn park(&self) {
        if self.fork_generation != fork_generation() {
            forked();
        }
        without_core(|| {
            // A pool that is gone has run or cancelled the task.
            let registry = find(self.pool);
            let core = with_place(|place| self.park_at(place, registry.as_deref()));
            if let (Some(registry), Some(core)) = (registry.as_deref(), core) {
                // As part of what it belongs to, under whose limits it is.
                let run = |worker: &Worker| worker.under(&self.head().lineage, || self.run_or_wait(worker));
                Worker::enter(registry, core, run);
            }
        });
    }

    /// Waits until the task is done, or until this thread has a core of the pool's, with which it is to run or wait for the task.
    fn park_at(&self, place: &Place, registry: Option<&Registry>) -> Option<usize> {
        let waiter = Waiter::new(Arc::clone(place.seat()));
        if self.head().latch.announce(&waiter).is_err() {
            return None;
        }
        // Tasks of a pool with stacks of a size need its threads.
        let (registry, stacks) = match registry {
            Some(registry) if registry.options.stack_size.is_some() => (None, Some(registry)),
            other => (other, None),
        };
        let mut stand_in = registry.map(|registry| StandIn::enter(registry, place));
        let (since, mut plea) = (Tick::now(), Plea::new());
        while waiter.verdict().is_none() {
            // Relaxed: a hint. A task that somebody has begun needs no second thread.
            let is_begun = || self.head().state.load(Ordering::Relaxed) & CLAIMED != 0;
            if is_begun() {
                place.park();
            } else if stacks.is_some() {
                place.park_timeout(plea.patience());
            } else if stand_in.as_ref().is_some_and(StandIn::waits) {
                place.park_timeout(CALLER_STARVED_AFTER);
            } else {
                place.park();
            }
            if let Some(registry) = stacks.filter(|_| !is_begun()) {
                plea.make(registry);
            }
            // Whoever has the cores may be waiting for something that this thread holds.
            let starves = || !is_begun() && !Tick::now().within(since, CALLER_STARVED_AFTER);
            let Some(core) = stand_in.as_mut().and_then(|stand_in| stand_in.take_core(starves())) else { continue };
            let Some(registry) = registry else { continue };
            if !is_begun() && self.head().latch.retract(&waiter) {
                return Some(core);
            }
            registry.give_back(core);
        }
        None
    }
}

impl<T, H: Home> Handle<T, H> {
    /// The result.
    ///
    /// # Safety
    ///
    /// The task is done, and the result is taken once.
    unsafe fn take(&self) -> Result<T, JoinError> {
        let mut result = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: done, and the place is of the right type.
        unsafe { (self.table.take)(self.task.cast(), result.as_mut_ptr().cast()) };
        // SAFETY: written by `take`.
        unsafe { result.assume_init() }
    }

    /// Gives the handle's count back, and tells whether a result was left behind that is the handle's to see to.
    ///
    /// # Safety
    ///
    /// Once; unless it tells so, the handle does not touch the task afterwards. If it does, the handle frees the task.
    unsafe fn release(&self) -> bool {
        // SAFETY: alive by the handle's count.
        let head = unsafe { self.task.as_ref() };
        head.alive.touch();
        // Release pairs with the Acquires in `release_entry`; Acquire with the Releases there and in `finish`.
        head.state.fetch_and(!HANDLE, Ordering::AcqRel) & ENTRY == 0
    }

    /// Frees the task.
    ///
    /// # Safety
    ///
    /// Neither entry nor handle is left.
    unsafe fn free(&self) {
        // SAFETY: as the contract says.
        unsafe { (self.table.free)(self.task.cast()) };
    }
}

impl<T, H: Home> Drop for Handle<T, H> {
    fn drop(&mut self) {
        // SAFETY: alive by the handle's count.
        let head = unsafe { self.task.as_ref() };
        let home = head.home;
        // Acquire pairs with the Release in `finish`: a result that is there is the handle's.
        let done = head.state.load(Ordering::Acquire) & DONE != 0;
        // SAFETY: done, and taken here only.
        let mut result = done.then(|| unsafe { self.take() });
        // SAFETY: the handle's last act but for what follows.
        let last = unsafe { self.release() };
        if last {
            if !done {
                // Finished between the load and the release, and the entry gone too.
                // SAFETY: alive, since nobody else is left to free it; done, since the entry is gone only then.
                result = Some(unsafe { self.take() });
            }
            // SAFETY: we are the last.
            unsafe { self.free() };
        }
        // What follows is user code, and may panic: nothing is left to be done after it.
        if let Some(Err(JoinError::Panicked(payload))) = result {
            home.panic_ignored(payload.into_inner(), self.pool);
        }
    }
}
