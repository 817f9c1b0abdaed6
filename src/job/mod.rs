//! The one-word job that deques carry, what a shared job needs beyond it, and the lineage that tells whose it is.

mod fork;
mod lineage;
mod ticket;

pub use fork::{Fork, Shared, Standing, help_fork, unmoor_fork};
pub use lineage::{Frame, Lineage};
pub use ticket::Ticket;

use std::ptr::NonNull;

/// The head of every job: the table of what can be done with it. A job's head is its first field, so that its address is
/// the job's.
#[derive(Debug)]
pub struct Job {
    pub kind: &'static Kind,
}

/// What can be done with a job of one kind. Each function consumes the right to the job that its queue entry stood for.
#[derive(Debug)]
pub struct Kind {
    /// Runs it to its end, panics caught, unless somebody else has begun it. Tells whether it has ended: a scope counts.
    pub run: unsafe fn(JobRef) -> bool,
    /// For a thread that waits: runs it if it descends from the awaited lineage.
    pub help: unsafe fn(JobRef, *const Lineage) -> Helped,
    /// For a thread that gives up its core: turns an entry of its shared end into one for the injector.
    pub unmoor: unsafe fn(JobRef) -> JobRef,
    /// Drops it unrun, or gives it back if somebody's stack frame waits for it.
    pub cancel: unsafe fn(JobRef) -> Option<JobRef>,
}

/// What became of a job that a waiting thread took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helped {
    /// It was run.
    Ran,
    /// It was not part of what is awaited, and has been given back to whom it belongs, or was stale.
    Refused,
    /// It was not part of what is awaited: the caller puts it into the injector, where no waiting thread looks.
    Requeue(JobRef),
}

/// One word: a job in a queue. Whoever takes it out has the only right to run it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRef(NonNull<Job>);

// SAFETY: a job is made to be run by another thread; what it carries is `Send` by the bounds where it is made.
unsafe impl Send for JobRef {}

impl JobRef {
    /// A reference to the job whose head this is.
    ///
    /// # Safety
    ///
    /// The job stays alive until it was run, helped, cancelled, or taken out of its queue again by its owner.
    pub unsafe fn new(head: *const Job) -> Self {
        // SAFETY: a pointer to a live head is not null, by the contract.
        JobRef(unsafe { NonNull::new_unchecked(head.cast_mut()) })
    }

    /// The job, as the type that its head is the first field of.
    pub fn cast<T>(self) -> *const T {
        self.0.as_ptr().cast_const().cast()
    }

    /// The table of its kind.
    pub fn kind(self) -> &'static Kind {
        // SAFETY: the job is alive by the contract of `new`, and its head is never written after it was made.
        unsafe { self.0.as_ref() }.kind
    }
}

/// No thief yet.
pub const NOBODY: usize = usize::MAX;

/// For kinds whose entries do not depend on the core that holds them.
pub unsafe fn same(job: JobRef) -> JobRef {
    job
}

/// For kinds that belong to no fork: not what a waiting thread is after.
pub unsafe fn requeue(job: JobRef, _awaited: *const Lineage) -> Helped {
    Helped::Requeue(job)
}

/// For kinds that must be run, since somebody's stack frame waits for them.
pub unsafe fn keep(job: JobRef) -> Option<JobRef> {
    Some(job)
}
