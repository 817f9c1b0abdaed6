//! Fork and join: two closures, the second of which others may run.

use crate::error::discard;
use crate::fork::Reclaimed;
use crate::job::{Fork, Job, JobRef, Kind, Shared, help_fork, keep, unmoor_fork};
use crate::primitive::{Flaw, Ordering, UnsafeCell, seeded};
use crate::worker::Worker;
use std::any::Any;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

type Payload = Box<dyn Any + Send>;

/// A fork on its owner's stack: the head, the closure, and room for the result that a thief leaves.
#[repr(C)]
pub struct StackJob<F, R> {
    fork: Fork,
    closure: UnsafeCell<ManuallyDrop<F>>,
    result: UnsafeCell<MaybeUninit<Result<R, Payload>>>,
}

impl<F, R> StackJob<F, R>
where
    F: FnOnce() -> R,
{
    const KIND: Kind = Kind { run: Self::run, help: help_fork, unmoor: unmoor_fork, cancel: keep };

    /// A fork that is private to its owner.
    #[inline]
    pub fn new(closure: F) -> Self {
        StackJob {
            fork: Fork::new(&Self::KIND),
            closure: UnsafeCell::new(ManuallyDrop::new(closure)),
            result: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// The word that stands for it in a queue.
    ///
    /// # Safety
    ///
    /// As for [`JobRef::new`].
    #[inline]
    pub unsafe fn job_ref(&self) -> JobRef {
        let head: *const Job = (&raw const *self).cast();
        // SAFETY: passed on to the caller.
        unsafe { JobRef::new(head) }
    }

    /// The part that does not depend on the closure.
    pub fn fork(&self) -> &Fork {
        &self.fork
    }

    /// The closure, for the owner to run or to drop.
    ///
    /// # Safety
    ///
    /// The fork is the caller's, and nobody has taken the closure.
    #[inline]
    pub unsafe fn take_closure(&self) -> F {
        self.closure.with_mut(|slot| {
            // SAFETY: nobody else uses the cell, by the contract.
            let slot = unsafe { &mut *slot };
            // SAFETY: taken once, by the contract.
            unsafe { ManuallyDrop::take(slot) }
        })
    }

    /// What a thief left.
    ///
    /// # Safety
    ///
    /// The latch says that the fork is done, and the result is taken once.
    pub unsafe fn take_result(&self) -> Result<R, Payload> {
        self.result.with(|slot| {
            // SAFETY: the thief wrote before it set the latch, which the caller has seen.
            let slot = unsafe { &*slot };
            // SAFETY: initialised by the thief, read once by the contract.
            unsafe { slot.assume_init_read() }
        })
    }

    /// Runs it as a thief.
    unsafe fn run(job: JobRef) -> bool {
        let this = job.cast::<Self>();
        // SAFETY: the owner keeps its frame until the latch below is set.
        let this = unsafe { &*this };
        // SAFETY: shared before it was queued.
        let shared = unsafe { this.fork.shared() };
        let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
        // Relaxed: a hint.
        shared.thief.store(worker.core_index() + 1, Ordering::Relaxed);
        // SAFETY: the right to run the fork is ours.
        let closure = unsafe { this.take_closure() };
        let result = worker.under(&shared.lineage, || catch_unwind(AssertUnwindSafe(closure)));
        let forgotten = seeded(Flaw::PanicLeavesLatch) && result.is_err();
        this.result.with_mut(|slot| {
            // SAFETY: the owner reads only once the latch is set.
            unsafe { &mut *slot }.write(result);
        });
        if !forgotten {
            // SAFETY: the right to run it was ours, and it has been run.
            unsafe { Shared::set_done(shared) };
        }
        true
    }
}

/// Runs both, in parallel if another core is free: [`Pool::join`](crate::Pool::join) on a worker.
///
/// It is part of its caller, which builds both closures where they stay, and calls for the rest: see DESIGN.md, section
/// `join`.
#[inline(always)]
pub fn join_on<A, B, RA, RB>(worker: &Worker, a: A, b: B) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    let (a, job) = (ManuallyDrop::new(a), StackJob::new(b));
    // SAFETY: made for this call, and not used after it.
    unsafe { join_in_place(worker, &a, &job) }
}

/// [`join_on`] for closures that have their place.
///
/// # Safety
///
/// Both are for this call alone, which takes them out.
#[inline]
unsafe fn join_in_place<A, B, RA, RB>(worker: &Worker, a: &ManuallyDrop<A>, job: &StackJob<B, RB>) -> (RA, RB)
where
    A: FnOnce() -> RA,
    B: FnOnce() -> RB,
{
    // SAFETY: the caller does not use it again.
    let a = unsafe { ptr::read(&raw const **a) };
    // SAFETY: this frame stays until the fork has ended: by `unfork` or `reclaim`, on the path of a panic too.
    let index = worker.fork(unsafe { job.job_ref() });
    let ra = match catch_unwind(AssertUnwindSafe(a)) {
        Ok(ra) => ra,
        Err(payload) => abandon(worker, index, job, payload),
    };
    if worker.unfork(index) {
        // SAFETY: the fork was private, so nobody has taken the closure.
        let b = unsafe { job.take_closure() };
        return (ra, b());
    }
    // SAFETY: this thread's youngest fork, and shared, since it is not private.
    match unsafe { worker.reclaim(index, job.fork()) } {
        Reclaimed::Mine => {
            // SAFETY: taken back or given back unrun.
            let b = unsafe { job.take_closure() };
            (ra, b())
        }
        // SAFETY: the latch is set, and the result is taken here only.
        Reclaimed::Done => match unsafe { job.take_result() } {
            Ok(rb) => (ra, rb),
            Err(payload) => resume_unwind(payload),
        },
    }
}

/// The first closure panicked: drops the second unrun, or waits for its thief, then goes on with the panic.
#[cold]
fn abandon<F, R>(worker: &Worker, index: usize, job: &StackJob<F, R>, payload: Payload) -> !
where
    F: FnOnce() -> R,
{
    // SAFETY: as in `join_on`.
    let mine = worker.unfork(index) || unsafe { worker.reclaim(index, job.fork()) } == Reclaimed::Mine;
    let dropped = catch_unwind(AssertUnwindSafe(|| {
        if mine {
            // SAFETY: nobody else has taken the closure.
            drop(unsafe { job.take_closure() });
        } else {
            // SAFETY: the latch is set, and the result is taken here only.
            drop(unsafe { job.take_result() });
        }
    }));
    if let Err(second) = dropped {
        // The first panic wins.
        discard(second);
    }
    resume_unwind(payload)
}
