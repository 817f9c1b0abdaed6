//! A fork on its owner's stack, and what it needs once others can see it.

use super::{Helped, Job, JobRef, Kind, Lineage, Ticket};
use crate::latch::{Latch, Verdict};
use crate::primitive::{AtomicPtr, AtomicUsize, Flaw, Ordering, UnsafeCell, seeded};
use std::mem::MaybeUninit;
use std::ptr;

/// What a fork needs once others can see it. Nothing of this is written while the fork is private.
#[derive(Debug)]
pub struct Shared {
    /// Whose it is.
    pub lineage: Lineage,
    /// Set when a thief has run it, or was not to.
    pub latch: Latch,
    /// The index of the thief's core plus one, 0 for nobody: a hint where to look for work to help with.
    pub thief: AtomicUsize,
    /// The ticket that stands for it, and who made it: see [`Standing`].
    pub(super) ticket: AtomicPtr<Ticket>,
}

/// Where a shared fork stands, as far as its owner and whoever runs it care. In [`Shared::ticket`]:
///
/// | word | meaning |
/// |---|---|
/// | null | it has no ticket |
/// | a ticket's address | the owner has put that into the injector, when it gave up a core |
/// | the same plus 1 | a waiting thread has, that took the fork and was not to run it: the verdict *returned* follows |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// In a deque, or with whoever took it out.
    Queued,
    /// In the injector, by its owner's doing.
    Unmoored(*const Ticket),
    /// In the injector, by another's doing.
    Returned(*const Ticket),
}

impl Shared {
    /// Where it stands now. The ticket of a returned fork is to be used after the verdict only.
    pub fn ticket(&self) -> Standing {
        // Relaxed: an owner has made the ticket itself, or waits for the verdict first; and whoever runs the fork has this
        // with the right to.
        let word = self.ticket.load(Ordering::Relaxed);
        let ticket = word.map_addr(|address| address & !1).cast_const();
        match (ticket.is_null(), word.addr() & 1) {
            (true, _) => Standing::Queued,
            (false, 0) => Standing::Unmoored(ticket),
            (false, _) => Standing::Returned(ticket),
        }
    }

    /// Tells the owner that it has been run.
    ///
    /// # Safety
    ///
    /// The caller had the right to run it, and has. `this` may be gone afterwards.
    pub unsafe fn set_done(this: *const Shared) {
        // SAFETY: alive until the latch is set.
        let shared = unsafe { &*this };
        let latch = match shared.ticket() {
            // SAFETY: who runs a fork that was given back drew its ticket, and has a count on it.
            Standing::Returned(ticket) => unsafe { &raw const (*ticket).latch },
            Standing::Queued | Standing::Unmoored(_) => &raw const shared.latch,
        };
        // SAFETY: alive by the caller's right, and set once: who gave a fork back has set the other one.
        unsafe { Latch::set(latch, Verdict::Done) };
    }
}

/// The head of a fork on its owner's stack: a job whose [`Shared`] part is written when it is first shared.
#[repr(C)]
#[derive(Debug)]
pub struct Fork {
    head: Job,
    shared: UnsafeCell<MaybeUninit<Shared>>,
}

impl Fork {
    /// A private fork.
    #[inline]
    pub fn new(kind: &'static Kind) -> Self {
        Fork { head: Job { kind }, shared: UnsafeCell::new(MaybeUninit::uninit()) }
    }

    /// Makes the fork ready to be seen by others.
    ///
    /// # Safety
    ///
    /// Only the owner, once, before it puts the fork into a shared queue.
    pub unsafe fn share(this: *const Fork, parent: *const Lineage) {
        let shared = Shared {
            lineage: Lineage::below(parent),
            latch: Latch::new(),
            thief: AtomicUsize::new(0),
            ticket: AtomicPtr::new(ptr::null_mut()),
        };
        // SAFETY: the fork is alive, its owner being the caller.
        let fork = unsafe { &*this };
        // SAFETY: nobody else sees the fork yet.
        fork.shared.with_mut(|slot| unsafe { (*slot).write(shared) });
    }

    /// The shared part.
    ///
    /// # Safety
    ///
    /// [`share`](Fork::share) was called, and happened before.
    pub unsafe fn shared(&self) -> &Shared {
        self.shared.with(|slot| {
            // SAFETY: the cell's content is only written by `share`, before.
            let slot = unsafe { &*slot };
            // SAFETY: initialised by `share`.
            unsafe { slot.assume_init_ref() }
        })
    }

    /// Ends the shared part's life.
    ///
    /// # Safety
    ///
    /// [`share`](Fork::share) was called, nobody else will look at the fork again, and neither will the caller.
    pub unsafe fn retire(&self) {
        self.shared.with_mut(|slot| {
            // SAFETY: nobody else looks at it, by the contract.
            let slot = unsafe { &mut *slot };
            // SAFETY: initialised by `share`, dropped once.
            unsafe { slot.assume_init_drop() };
        });
    }
}

/// [`Kind::help`] of forks: one that does not descend from what is awaited gets a ticket, with which its owner, or whoever
/// draws it, runs it.
pub unsafe fn help_fork(job: JobRef, awaited: *const Lineage) -> Helped {
    let fork = job.cast::<Fork>();
    // SAFETY: alive while its queue entry's right is unused.
    let fork = unsafe { &*fork };
    // SAFETY: shared before it was queued.
    let shared = unsafe { fork.shared() };
    // SAFETY: the fork is unfinished, so its ancestors are alive.
    if seeded(Flaw::HelpsUnrelated) || unsafe { shared.lineage.descends_from(awaited) } {
        // SAFETY: the entry's right to run it is ours.
        let _ended = unsafe { (job.kind().run)(job) };
        return Helped::Ran;
    }
    if seeded(Flaw::ReturnedToOwnerAlone) {
        // SAFETY: only the holder of the right to a fork sets its latch, which we are.
        let _ = unsafe { Ticket::stand_for_returned(job.cast()) };
        return Helped::Refused;
    }
    // SAFETY: the right is ours, and forks in deques have no tickets.
    Helped::Requeue(unsafe { Ticket::stand_for_returned(job.cast()) })
}

/// [`Kind::unmoor`] of forks: a ticket, so that the owner can claim the fork wherever the entry is.
pub unsafe fn unmoor_fork(job: JobRef) -> JobRef {
    // SAFETY: called by the fork's owner with an entry it has just taken out of its shared end.
    unsafe { Ticket::stand_for(job.cast()) }
}
