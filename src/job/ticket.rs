//! A ticket: what stands for a fork in the injector.

use super::{Fork, Job, JobRef, Kind, requeue, same};
use crate::latch::{Latch, Verdict};
use crate::primitive::{Alive, AtomicPtr, AtomicUsize, Flaw, Ordering, seeded};
use std::ptr::{self, NonNull};

/// A stand-in on the heap for a fork whose owner has no core: the injector holds it, and may do so longer than the fork
/// lives. Whoever swaps the fork out of it, thief or owner, has the right to run it.
///
/// States of `fork`: the fork's address, unclaimed; null, claimed. Two counts: the queue's entry and the owner.
#[repr(C)]
#[derive(Debug)]
pub struct Ticket {
    head: Job,
    fork: AtomicPtr<Fork>,
    counts: AtomicUsize,
    /// Of a returned fork, set when it has been run.
    pub(super) latch: Latch,
    alive: Alive,
}

static TICKET: Kind = Kind { run: run_ticket, help: requeue, unmoor: same, cancel: cancel_ticket };

impl Ticket {
    /// A ticket for a fork, held by the fork's owner (through [`Shared::ticket`]) and by the entry returned.
    ///
    /// # Safety
    ///
    /// The caller is the fork's owner and has just taken it out of every queue; it was shared and has no ticket.
    pub unsafe fn stand_for(fork: *const Fork) -> JobRef {
        let ticket = Ticket::new(fork);
        // SAFETY: alive, by the contract.
        let owned = unsafe { &*fork };
        // SAFETY: shared, by the contract.
        let shared = unsafe { owned.shared() };
        // Relaxed: the owner reads it itself, and whoever draws the entry has it through the queue.
        shared.ticket.store(ticket, Ordering::Relaxed);
        // SAFETY: the entry's count keeps the ticket alive until the entry was run or dropped.
        unsafe { JobRef::new(ticket.cast()) }
    }

    /// Puts a ticket in the place of a fork that the caller took and is not to run, tells the owner so, and gives the word
    /// for a queue. The owner may claim the fork, as may whoever draws the entry; whoever runs it sets the ticket's latch.
    ///
    /// # Safety
    ///
    /// The right to run the fork is the caller's, and it has no ticket.
    pub(super) unsafe fn stand_for_returned(fork: *const Fork) -> JobRef {
        let ticket = Ticket::new(fork);
        // SAFETY: alive as long as the right to run it is unused.
        let owned = unsafe { &*fork };
        // SAFETY: shared before it was queued.
        let shared = unsafe { owned.shared() };
        // Relaxed: the verdict publishes it.
        shared.ticket.store(ticket.map_addr(|address| address | 1), Ordering::Relaxed);
        // SAFETY: the entry's count keeps the ticket alive until the entry was run or dropped.
        let entry = unsafe { JobRef::new(ticket.cast()) };
        // SAFETY: set once, since from now on whoever runs the fork sets another. The fork may be gone afterwards.
        unsafe { Latch::set(&shared.latch, Verdict::Returned) };
        entry
    }

    fn new(fork: *const Fork) -> *mut Ticket {
        Box::into_raw(Box::new(Ticket {
            head: Job { kind: &TICKET },
            fork: AtomicPtr::new(fork.cast_mut()),
            counts: AtomicUsize::new(2),
            latch: Latch::new(),
            alive: Alive::new(),
        }))
    }

    /// Claims the right to run the fork.
    pub fn claim(&self) -> Option<NonNull<Fork>> {
        // Relaxed: the swap decides who, and nothing else. A thief has the fork's content through the queue, the owner in
        // its own frame; and the loser of the two touches nothing of it before the latch is set.
        if seeded(Flaw::ClaimByLoadAndStore) {
            let fork = self.fork.load(Ordering::Acquire);
            self.fork.store(ptr::null_mut(), Ordering::Release);
            return NonNull::new(fork);
        }
        NonNull::new(self.fork.swap(ptr::null_mut(), Ordering::Relaxed))
    }

    /// For the owner of a returned fork who could not claim it: what tells that it has been run.
    pub fn latch(&self) -> &Latch {
        &self.latch
    }

    /// Whether somebody has claimed that right.
    pub fn is_claimed(&self) -> bool {
        // Relaxed: nothing is read through the pointer, and a claimed ticket stays claimed.
        self.fork.load(Ordering::Relaxed).is_null()
    }

    /// Drops one count.
    ///
    /// # Safety
    ///
    /// The caller owns a count and does not use the ticket again.
    pub unsafe fn release(this: *const Ticket) {
        // SAFETY: alive by the caller's count.
        let ticket = unsafe { &*this };
        // AcqRel: the Release half orders this holder's last use before the other's drop, which the Acquire half sees.
        ticket.alive.touch();
        let order = if seeded(Flaw::ReleaseRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        if ticket.counts.fetch_sub(1, order) == 1 {
            // SAFETY: made by `Box::into_raw` in `stand_for`, and this was the last count.
            drop(unsafe { Box::from_raw(this.cast_mut()) });
        }
    }
}

unsafe fn run_ticket(job: JobRef) -> bool {
    let this = job.cast::<Ticket>();
    // SAFETY: alive by the entry's count.
    let claimed = unsafe { &*this }.claim();
    let ended = claimed.is_some_and(|fork| {
        // SAFETY: claimed, so the fork's owner waits for it and it is alive.
        let fork = unsafe { JobRef::new(fork.as_ptr().cast_const().cast()) };
        // SAFETY: the claim is the right to run it.
        unsafe { (fork.kind().run)(fork) }
    });
    // SAFETY: the entry's count, used up here.
    unsafe { Ticket::release(this) };
    ended
}

unsafe fn cancel_ticket(job: JobRef) -> Option<JobRef> {
    let this = job.cast::<Ticket>();
    // SAFETY: alive by the entry's count.
    let ticket = unsafe { &*this };
    if !ticket.is_claimed() {
        return Some(job);
    }
    // SAFETY: the entry's count, used up here.
    unsafe { Ticket::release(this) };
    None
}
