//! The one-word job that deques carry, what a shared job needs beyond it, and the lineage that tells whose it is.

use crate::cancel::Limit;
use crate::latch::{Latch, Verdict};
use crate::primitive::{Alive, AtomicPtr, AtomicUsize, Flaw, Ordering, UnsafeCell, seeded};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

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

/// A node in the tree of who waits for whom: every job points to the one under which it was made. What descends from an
/// awaited job may be run by the thread that waits for it (leapfrogging, Wagner and Calder 1993).
///
/// A node is alive as long as any job below it is, since a job ends after all it made; so the holder of an unfinished
/// job may walk up from it.
#[derive(Debug)]
pub struct Lineage {
    parent: *const Lineage,
    /// What may end this part of the tree early; null for nothing.
    limit: *const Limit,
}

impl Lineage {
    /// A node below `parent`; null for a root.
    pub const fn below(parent: *const Lineage) -> Self {
        Lineage { parent, limit: ptr::null() }
    }

    /// The same with a limit, which must last as long as the node.
    pub const fn limited(parent: *const Lineage, limit: *const Limit) -> Self {
        Lineage { parent, limit }
    }

    /// Whether a limit of this node, or of one above it, is reached.
    ///
    /// # Safety
    ///
    /// This node and every one above it are alive: the caller runs, or holds, an unfinished job at this node.
    pub unsafe fn is_cancelled(&self) -> bool {
        let mut node: *const Lineage = self;
        // SAFETY: alive by the contract.
        while let Some(Lineage { parent, limit }) = unsafe { node.as_ref() } {
            // SAFETY: a limit lasts as long as its node.
            if unsafe { limit.as_ref() }.is_some_and(|limit| limit.reached_now().is_some()) {
                return true;
            }
            node = *parent;
        }
        false
    }

    /// Whether `ancestor` is a proper ancestor of this node.
    ///
    /// # Safety
    ///
    /// Every node above `self` is alive: the caller holds an unfinished job at this node.
    pub unsafe fn descends_from(&self, ancestor: *const Lineage) -> bool {
        let mut node = self.parent;
        while !node.is_null() {
            if node == ancestor {
                return true;
            }
            // SAFETY: alive by the contract.
            node = unsafe { &*node }.parent;
        }
        false
    }
}

/// A lineage as seen from a thread's stack: jobs at or above index `base` of its private end belong to it.
#[derive(Debug)]
pub struct Frame {
    pub base: usize,
    pub lineage: *const Lineage,
    pub outer: *const Frame,
}

/// No thief yet.
pub const NOBODY: usize = usize::MAX;

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
    ticket: AtomicPtr<Ticket>,
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
    latch: Latch,
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
    unsafe fn stand_for_returned(fork: *const Fork) -> JobRef {
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
