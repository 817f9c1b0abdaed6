//! A worker: a thread's side of a pool, from the moment it first holds a core to the moment it leaves.

use crate::core::Core;
use crate::deque::PrivateEnd;
use crate::job::{Fork, Frame, JobRef, Lineage, Ticket};
use crate::latch::Verdict;
use crate::primitive::{Ordering, RESERVE, SEARCH_ROUNDS, Steal, Tick, back_off, spin_loop, thread_cell};
use crate::registry::Registry;
use crate::seat::{Grant, Place, with_place};
use crate::wait::Awaited;
use std::cell::Cell;
use std::ptr;
use std::time::Duration;

thread_cell! {
    /// The worker that this thread is at the moment, if it is one.
    static CURRENT: *const Worker = ptr::null();
}

/// A thread's context in a pool. It lives on that thread's stack and never moves; only that thread touches it.
#[derive(Debug)]
pub struct Worker {
    private: PrivateEnd,
    core: Cell<*const Core>,
    core_index: Cell<usize>,
    frame: Cell<*const Frame>,
    registry: *const Registry,
    /// What this thread was before it became this worker: a worker of another pool, or nothing.
    outer: *const Worker,
    /// Forks to keep shared ahead of need, and when one was last taken back unstolen: see `took_back`.
    reserve: Cell<usize>,
    took_back_at: Cell<Option<Tick>>,
    /// Counts looks for work, to see to the injector every 61st time.
    turn: Cell<u32>,
    random: Cell<u32>,
}

/// Go's and tokio's number: prime, so that it falls in step with nothing.
const INJECTOR_TURN: u32 = 61;

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
    /// This thread's worker, whichever pool it belongs to.
    #[inline]
    pub fn current<'a>() -> Option<&'a Worker> {
        // SAFETY: non-null only while the worker is alive on this thread's stack, below every frame that can ask.
        unsafe { CURRENT.with(Cell::get).as_ref() }
    }

    /// This thread's worker in that pool, however many other pools it has entered since.
    pub fn current_in<'a>(registry: &Registry) -> Option<&'a Worker> {
        let mut worker = Worker::current();
        while let Some(found) = worker {
            if ptr::eq(found.registry, registry) {
                return Some(found);
            }
            // SAFETY: an outer worker outlives the inner one on the same stack.
            worker = unsafe { found.outer.as_ref() };
        }
        None
    }

    /// Makes this thread a worker that holds `core`, for the time of `body`. It may hold another core afterwards, which
    /// is given up.
    pub fn enter<R>(registry: &Registry, core: usize, body: impl FnOnce(&Worker) -> R) -> R {
        let worker = Worker::new(registry);
        worker.hold(core);
        let _leave = Leave { worker: &worker, previous: CURRENT.with(|current| current.replace(&worker)) };
        body(&worker)
    }

    /// Makes this thread `self` again, a worker it has been all along below another pool's, for the time of `body`.
    pub fn resume<R>(&self, body: impl FnOnce(&Worker) -> R) -> R {
        struct Restore(*const Worker);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.with(|current| current.set(self.0));
            }
        }
        let _restore = Restore(CURRENT.with(|current| current.replace(self)));
        body(self)
    }

    fn new(registry: &Registry) -> Self {
        Worker {
            private: PrivateEnd::new(),
            core: Cell::new(ptr::null()),
            core_index: Cell::new(usize::MAX),
            frame: Cell::new(ptr::null()),
            registry,
            outer: CURRENT.with(Cell::get),
            reserve: Cell::new(RESERVE),
            took_back_at: Cell::new(None),
            turn: Cell::new(0),
            random: Cell::new(0),
        }
    }

    /// The pool.
    #[inline]
    pub fn registry(&self) -> &Registry {
        // SAFETY: whoever runs the worker holds the registry alive: a pool's thread by its count, a guest by the handle
        // that it called through.
        unsafe { &*self.registry }
    }

    /// The core that this thread holds.
    #[inline]
    pub fn core(&self) -> &Core {
        // SAFETY: set by `hold`, and cores live as long as the registry. Null only while the thread has no core, when it
        // runs nothing of the pool's.
        unsafe { &*self.core.get() }
    }

    /// The index of the core that this thread holds.
    pub fn core_index(&self) -> usize {
        self.core_index.get()
    }

    fn hold(&self, index: usize) {
        let core = &self.registry().cores[index];
        self.core_index.set(index);
        self.core.set(core);
        self.random.set(self.random.get() ^ (index as u32 + 1).wrapping_mul(0x9E37_79B9));
        core.shared.clear_demand(self.private.full_at());
        if self.has_company() {
            core.shared.demand();
        }
    }

    /// Whether there is any core but this one.
    fn has_company(&self) -> bool {
        self.registry().cores.len() > 1
    }

    // ---- The life of a fork ----

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
        self.private.pop(index)
    }

    /// Shares the oldest forks, up to the reserve: on demand, or to make room.
    #[cold]
    #[inline(never)]
    fn replenish(&self) {
        let shared = &self.core().shared;
        // SAFETY: this thread holds the core.
        let owner = unsafe { shared.owner() };
        let full = self.private.len() == crate::primitive::PRIVATE_CAPACITY;
        let mut wanted = self.reserve.get().max(1).saturating_sub(owner.len());
        if full {
            wanted = wanted.max(self.private.len() / 2);
        }
        // Before sharing, so that a request made meanwhile stands.
        shared.clear_demand(self.private.full_at() + wanted.min(self.private.len()));
        for _ in 0..wanted {
            let Some(job) = self.share_oldest() else { break };
            owner.push(job);
        }
        // Even if nothing was moved: a thread that sleeps may not have seen what is there.
        self.registry().work_appeared(true);
    }

    /// Takes the oldest private fork out, ready to be seen by others.
    fn share_oldest(&self) -> Option<JobRef> {
        let (index, job) = self.private.take_oldest()?;
        // SAFETY: the fork is this thread's and was private until now.
        unsafe { Fork::share(job.cast(), self.lineage_at(index)) };
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
        let ticket = shared.ticket.get();
        let mine = if ticket.is_null() {
            self.take_back(fork)
        } else {
            // SAFETY: alive by the owner's count, which is ours.
            let claimed = unsafe { &*ticket }.claim().is_some();
            // SAFETY: our count, and the ticket is not used again.
            unsafe { Ticket::release(ticket) };
            claimed
        };
        let reclaimed = if mine {
            self.took_back();
            Reclaimed::Mine
        } else {
            let awaited = Awaited { latch: &shared.latch, lineage: &shared.lineage, thief: &shared.thief, own: None };
            match self.wait_for(&awaited) {
                Verdict::Done => {
                    self.was_stolen();
                    Reclaimed::Done
                }
                Verdict::Returned => Reclaimed::Mine,
            }
        };
        // SAFETY: shared once; taken back, returned or done, so that nobody else looks at it.
        unsafe { fork.retire() };
        self.private.forget(index);
        self.core().shared.lower(self.private.full_at());
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

    // ---- Looking for work ----

    /// The next job for a thread with nothing on its stack, if there is one.
    fn find_work(&self) -> Option<JobRef> {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        if turn.is_multiple_of(INJECTOR_TURN)
            && let Some(job) = self.take_injected()
        {
            return Some(job);
        }
        // SAFETY: this thread holds the core.
        let own = unsafe { self.core().shared.owner() }.pop();
        own.or_else(|| self.steal()).or_else(|| self.take_injected())
    }

    fn take_injected(&self) -> Option<JobRef> {
        if self.registry().injector.is_empty() {
            return None;
        }
        let job = self.registry().steal_injected()?;
        self.core().counters.injected.bump();
        Some(job)
    }

    /// Takes the oldest job of some other core, beginning with a random one; asks those that have none to share.
    fn steal(&self) -> Option<JobRef> {
        let cores = &self.registry().cores;
        let start = self.next_random() as usize % cores.len();
        for offset in 0..cores.len() {
            let victim = (start + offset) % cores.len();
            if victim != self.core_index()
                && let Some(job) = self.steal_from(&cores[victim])
            {
                self.core().counters.steals.bump();
                return Some(job);
            }
        }
        None
    }

    fn steal_from(&self, victim: &Core) -> Option<JobRef> {
        loop {
            match victim.shared.steal() {
                Steal::Success(job) => {
                    if !victim.shared.is_empty() {
                        // The chain of wakes: one was woken for perhaps several jobs.
                        self.registry().work_appeared(true);
                    }
                    return Some(job);
                }
                Steal::Empty => return None,
                Steal::Retry => spin_loop(),
            }
        }
    }

    /// Marsaglia's xorshift.
    fn next_random(&self) -> u32 {
        let mut x = self.random.get() | 1;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    /// Runs a job of a deque or of the injector.
    fn run(&self, job: JobRef) {
        // SAFETY: taken out of a queue by this thread, so the right to it is ours.
        unsafe { (job.kind().run)(job) };
    }

    /// Looks everywhere for a while.
    fn search(&self) -> Option<JobRef> {
        (0..SEARCH_ROUNDS).find_map(|round| {
            let found = self.find_work();
            if found.is_none() {
                back_off(round);
            }
            found
        })
    }

    /// The life of a pool's thread while it holds a core: until there is nothing to do, or somebody needs the core more.
    /// `woken` says that it was woken to search. Returns for how long it may nap.
    pub fn work(&self, place: &Place, mut woken: bool) -> Option<Duration> {
        let sleep = &self.registry().sleep;
        let mut searching = woken;
        loop {
            let job = if sleep.someone_resumes() {
                None
            } else {
                self.find_work().or_else(|| {
                    searching = searching || sleep.start_searching(self.registry().cores.len());
                    if searching { self.search() } else { None }
                })
            };
            let searched = std::mem::take(&mut searching);
            let Some(job) = job else {
                if searched {
                    sleep.give_up_searching();
                }
                break;
            };
            if searched {
                self.registry().found_work();
            }
            if std::mem::take(&mut woken) {
                self.core().counters.useful_wakes.bump();
                sleep.useful();
            }
            self.run(job);
        }
        let counters = &self.core().counters;
        counters.parks.bump();
        if woken {
            counters.useless_wakes.bump();
        }
        self.unload();
        // Enter first, ask and look after: see `Sleep`.
        let nap = sleep.stand_by(self.let_go(), place.seat(), woken);
        for core in &self.registry().cores {
            core.shared.demand();
        }
        self.registry().after_release();
        nap
    }

    // ---- Giving the core up, and getting one back ----

    /// Puts everything that only this thread would run where others find it, and where its owner can claim it from any
    /// core.
    fn unload(&self) {
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        if owner.is_empty() && self.private.len() == 0 {
            return;
        }
        let mut moved: Vec<JobRef> = std::iter::from_fn(|| owner.pop()).collect();
        moved.reverse();
        moved.extend(std::iter::from_fn(|| self.share_oldest()));
        for job in moved {
            // SAFETY: this thread owns what was in its shared end, and has just taken it out.
            let job = unsafe { (job.kind().unmoor)(job) };
            self.registry().injector.push(job);
        }
    }

    fn let_go(&self) -> Option<usize> {
        self.core.set(ptr::null());
        let index = self.core_index.replace(usize::MAX);
        (index != usize::MAX).then_some(index)
    }

    /// Gives up the core in the middle of something; [`take_core`](Worker::take_core) follows. Nothing of the pool may
    /// run on this thread in between. Likewise for the pools that this thread was in before.
    pub fn give_core(&self) {
        let mut worker = Some(self);
        while let Some(giver) = worker {
            if !giver.core.get().is_null() {
                giver.unload();
                if let Some(core) = giver.let_go() {
                    giver.registry().sleep.give(core, true);
                    giver.registry().after_release();
                }
            }
            // SAFETY: an outer worker outlives the inner one on the same stack.
            worker = unsafe { giver.outer.as_ref() };
        }
    }

    /// Waits for a core, ahead of all new work.
    pub fn take_core(&self, place: &Place) {
        // SAFETY: an outer worker outlives the inner one on the same stack.
        if let Some(outer) = unsafe { self.outer.as_ref() } {
            outer.take_core(place);
        }
        if self.core.get().is_null() {
            let core = self.registry().sleep.take_back(place.seat()).unwrap_or_else(|| match place.wait_for_grant() {
                Grant::Core(core) => core,
                Grant::Exit => unreachable!("a pool does not end while a thread of its is away"),
            });
            self.hold(core);
        }
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
            self.core().shared.clear_demand(self.private.full_at());
            self.registry().work_appeared(true);
        }
    }

    /// Offers a job that is not a fork at the shared end of this thread's core.
    pub fn offer(&self, job: JobRef) {
        // SAFETY: this thread holds the core.
        unsafe { self.core().shared.owner() }.push(job);
        self.registry().work_appeared(true);
    }

    /// Notes that this thread waits for the one on core `thief`; `NOBODY` for not any more.
    pub fn note_wait(&self, thief: usize) {
        self.core().waits_for.store(thief, Ordering::Relaxed);
    }
}

/// Ends a worker, also when its body unwinds.
struct Leave<'a> {
    worker: &'a Worker,
    previous: *const Worker,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        CURRENT.with(|current| current.set(self.previous));
        debug_assert_eq!(self.worker.private.len(), 0, "every fork has ended");
        if !self.worker.core.get().is_null() {
            self.worker.unload();
            if let Some(core) = self.worker.let_go() {
                self.worker.registry().sleep.give(core, false);
                self.worker.registry().after_release();
            }
        }
    }
}

/// Runs `blocking` without a core: the core goes to others meanwhile.
pub fn without_core<R>(worker: &Worker, blocking: impl FnOnce(&Place) -> R) -> R {
    struct TakeBack<'a>(&'a Worker, &'a Place);
    impl Drop for TakeBack<'_> {
        fn drop(&mut self) {
            self.0.take_core(self.1);
        }
    }
    with_place(|place| {
        worker.give_core();
        let _take_back = TakeBack(worker, place);
        blocking(place)
    })
}
