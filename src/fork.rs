//! The life of a fork on its owner's side: kept private, shared when wanted, ended in the reverse order of its beginning.

use crate::job::{Fork, Frame, JobRef, Lineage, Shared, Standing, Ticket};
use crate::latch::Verdict;
use crate::primitive::{Flaw, Ordering, PRIVATE_CAPACITY, RESERVE, Tick, fence, publish_and_tell, seeded};
use crate::registry::forked;
use crate::wait::{Awaited, Thief};
use crate::worker::Worker;
use std::ptr;
use std::time::Duration;

/// Taking back a shared fork more often than this makes sharing ahead of need too dear.
const RARE: Duration = Duration::from_micros(1);

/// Who is to run a fork that was found shared when its owner came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reclaimed {
    /// The owner, now.
    Mine,
    /// A thief, and it has.
    Done,
}

impl Worker {
    /// Begins a fork: keeps it private, and shares if somebody asks. Tells its index.
    #[inline]
    pub fn fork(&self, fork: JobRef) -> usize {
        let index = self.private.push(fork);
        if self.core().shared.looks_up_at(index) {
            self.replenish();
        }
        index
    }

    /// Ends the fork of this index, the youngest, if it is private still: the caller runs it.
    #[inline]
    pub fn unfork(&self, index: usize) -> bool {
        if !self.private.pop(index) {
            // Nor is any older one.
            return false;
        }
        // On the way back too, older forks may be wanted by others.
        if self.core().shared.looks_up_at(index) {
            self.share_on_return();
        }
        true
    }

    /// Answers demand where a fork ended, if there are older private ones.
    #[cold]
    #[inline(never)]
    fn share_on_return(&self) {
        if self.private.len() > 0 {
            self.replenish();
        }
    }

    /// Shares the oldest forks, up to the reserve: on demand, or to make room.
    #[cold]
    #[inline(never)]
    fn replenish(&self) {
        let shared = &self.core().shared;
        // SAFETY: this thread holds the core.
        let owner = unsafe { shared.owner() };
        let full = self.private.len() == PRIVATE_CAPACITY && !seeded(Flaw::FullEndKeepsAll);
        let counted = if seeded(Flaw::SharedCountedEarly) { Some(owner.len()) } else { None };
        // Before sharing, and before looking how much is shared, so that a request made meanwhile stands.
        if !seeded(Flaw::DemandClearedLate) {
            shared.clear_demand(self.private.full_at());
        }
        // Pairs with the fence of a thief's look whether it left anything behind (in `Stealer::is_empty`): either we see
        // what it took, or it sees the request cleared, and asks again.
        fence(Ordering::SeqCst);
        let mut wanted = self.reserve.get().max(1).saturating_sub(counted.unwrap_or_else(|| owner.len()));
        if full {
            wanted = wanted.max(self.private.len() / 2);
        }
        for _ in 0..wanted {
            let Some(job) = self.share_oldest() else {
                // Short of the reserve: the next fork is shared too.
                if self.reserve.get() > 0 && self.has_company() {
                    shared.demand();
                }
                break;
            };
            owner.push(job);
        }
        if seeded(Flaw::DemandClearedLate) {
            shared.clear_demand(self.private.full_at());
        }
        // The sharing has made more room than the limit says; it is found at the limit.
        // Even if nothing was moved: a thread that sleeps may not have seen what is there.
        self.registry().work_appeared(true);
    }

    /// Takes the oldest private fork out, ready to be seen by others.
    pub fn share_oldest(&self) -> Option<JobRef> {
        let (index, job) = self.private.take_oldest()?;
        let early = seeded(Flaw::PublishedUnshared);
        if early {
            // SAFETY: this thread holds the core.
            unsafe { self.core().shared.owner() }.push(job);
        }
        // SAFETY: the fork is this thread's and was private until now.
        unsafe { Fork::share(job.cast(), self.lineage_at(index)) };
        if early {
            return None;
        }
        self.core().counters.published.bump();
        Some(job)
    }

    /// The lineage of the private fork of this index.
    fn lineage_at(&self, index: usize) -> *const Lineage {
        let mut frame = self.frame.get();
        // SAFETY: frames are on this thread's stack, entered by `under` and left before they go.
        while let Some(inner) = unsafe { frame.as_ref() } {
            if inner.base <= index {
                return inner.lineage;
            }
            frame = inner.outer;
        }
        ptr::null()
    }

    /// The lineage of what this thread does now.
    pub fn lineage(&self) -> *const Lineage {
        self.lineage_at(self.private.top())
    }

    /// Runs `body` as part of that lineage.
    pub fn under<R>(&self, lineage: *const Lineage, body: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a Worker);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                // SAFETY: the innermost frame is the one that `under` entered, alive until this guard is gone.
                let outer = unsafe { &*self.0.frame.get() }.outer;
                self.0.frame.set(outer);
            }
        }
        let frame = Frame { base: self.private.top(), lineage, outer: self.frame.get() };
        self.frame.set(&frame);
        let _leave = Leave(self);
        body()
    }

    /// Ends a fork that was shared: takes it back, or waits until a thief has run it.
    ///
    /// # Safety
    ///
    /// `fork` is this thread's youngest, of this index, and was shared. Its shared part is not used afterwards.
    #[cold]
    #[inline(never)]
    pub unsafe fn reclaim(&self, index: usize, fork: &Fork) -> Reclaimed {
        // SAFETY: shared, by the contract.
        let shared = unsafe { fork.shared() };
        let mine = match shared.ticket() {
            Standing::Queued => self.take_back(fork),
            // Whoever gave it back may not be through with this frame: the verdict comes first.
            Standing::Returned(_) => false,
            Standing::Unmoored(ticket) => {
                // SAFETY: alive by the owner's count, which is ours.
                let claimed = unsafe { &*ticket }.claim().is_some();
                // SAFETY: our count, and the ticket is not used again.
                unsafe { Ticket::release(ticket) };
                claimed
            }
        };
        if !mine && self.registry().is_orphaned() {
            // Whoever took it has not come along. This unwinds: the fork has to be ended here.
            self.private.forget(index);
            self.core().shared.make_room(self.private.full_at());
            forked();
        }
        let reclaimed = if mine {
            self.took_back();
            Reclaimed::Mine
        } else {
            self.wait_for_thief(shared)
        };
        // SAFETY: shared once; taken back, returned or done, so that nobody else looks at it.
        unsafe { fork.retire() };
        self.private.forget(index);
        self.core().shared.make_room(self.private.full_at());
        reclaimed
    }

    /// Waits for a fork that was stolen.
    fn wait_for_thief(&self, shared: &Shared) -> Reclaimed {
        let thief = Thief::in_own(&shared.thief);
        let wait = |latch| self.wait_for(&Awaited { latch, lineage: &shared.lineage, thief, own: None });
        if wait(&shared.latch) == Verdict::Done {
            self.was_stolen();
            return Reclaimed::Done;
        }
        // Given back, with a ticket.
        let Standing::Returned(ticket) = shared.ticket() else { unreachable!("the verdict tells of a ticket") };
        // SAFETY: alive by the owner's count, which is ours.
        let held = unsafe { &*ticket };
        let reclaimed = if held.claim().is_some() {
            Reclaimed::Mine
        } else {
            wait(held.latch());
            Reclaimed::Done
        };
        // SAFETY: our count, and the ticket is not used again.
        unsafe { Ticket::release(ticket) };
        reclaimed
    }

    /// Takes a fork out of the shared end, if no thief has. What lies above it there is not a fork (those have ended),
    /// but may be a scope's offer, which moves to the injector.
    fn take_back(&self, fork: &Fork) -> bool {
        loop {
            // SAFETY: this thread holds the core.
            match unsafe { self.core().shared.owner() }.pop() {
                None => return false,
                Some(job) if ptr::eq(job.cast(), fork) => return true,
                Some(other) => self.registry().inject(other),
            }
        }
    }

    /// A shared fork was taken back unstolen. As long as that is rare, the reserve is kept full; when it is not, sharing
    /// ahead of need costs more than the work it shares, and waits for demand.
    fn took_back(&self) {
        if !self.has_company() {
            return;
        }
        let now = Tick::now();
        let often = self.took_back_at.replace(Some(now)).is_some_and(|earlier| now.within(earlier, RARE));
        self.reserve.set(if often { self.reserve.get() / 2 } else { RESERVE });
        if self.reserve.get() > 0 || self.registry().sleep.someone_sleeps() {
            self.core().shared.demand();
        }
    }

    /// A shared fork was stolen: sharing pays.
    fn was_stolen(&self) {
        self.reserve.set(RESERVE);
        self.core().shared.demand();
    }

    /// Whether another core wants work that this thread could split off.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.core().shared.looks_up_at(self.private.top())
    }

    /// Whether nothing of this thread's is where others could take it.
    pub fn shares_nothing(&self) -> bool {
        // SAFETY: this thread holds the core.
        unsafe { self.core().shared.owner() }.is_empty()
    }

    /// Shares everything private, raw: before a wait, in which this thread makes no fork that would look up.
    pub fn share_all(&self) {
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        let mut any = false;
        while let Some(job) = self.share_oldest() {
            owner.push(job);
            any = true;
        }
        if any {
            // A request stands: it is answered at the next fork.
            self.core().shared.make_room(self.private.full_at());
            if seeded(Flaw::DemandClearedByAll) {
                self.core().shared.clear_demand(self.private.full_at());
            }
            self.registry().work_appeared(true);
        }
    }

    /// Takes the youngest job of the shared end back, if it is the one.
    pub fn withdraw(&self, is_it: impl FnOnce(JobRef) -> bool) -> Option<JobRef> {
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        let job = owner.pop()?;
        if is_it(job) {
            return Some(job);
        }
        owner.push(job);
        // It was out of sight for a moment.
        self.registry().work_appeared(true);
        None
    }

    /// Offers a job that is not a fork at the shared end of this thread's core.
    pub fn offer(&self, job: JobRef) {
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        publish_and_tell(|| owner.push(job), || self.registry().work_appeared(true));
    }
}
