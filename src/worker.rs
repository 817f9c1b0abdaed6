//! A worker: a thread's side of a pool, from the moment it first holds a core to the moment it leaves.

use crate::core::Core;
use crate::deque::PrivateEnd;
use crate::job::{Frame, JobRef, NOBODY};
use crate::primitive::{Flaw, Ordering, RESERVE, STARVED_AFTER, Tick, seeded, thread_cell};
use crate::registry::Registry;
use crate::seat::{Grant, Place, with_place};
use std::cell::Cell;
use std::ptr;
use std::time::Duration;

thread_cell! {
    /// The worker that this thread is at the moment, if it is one and holds a core.
    static CURRENT: *const Worker = ptr::null();
}

thread_cell! {
    /// The worker that this thread is at the moment and those that it was before, innermost first.
    static ENTRIES: *const Entry = ptr::null();
}

/// One time that this thread became a worker. A thread that goes back and forth between pools has several entries for one
/// worker.
#[derive(Debug)]
struct Entry {
    worker: *const Worker,
    below: *const Entry,
}

impl Entry {
    /// All workers of this thread, innermost first.
    fn workers<'a>() -> impl Iterator<Item = &'a Worker> {
        let mut entry = ENTRIES.with(Cell::get);
        std::iter::from_fn(move || {
            // SAFETY: entries are on this thread's stack, made and removed by `Worker::on_top`, below whoever iterates.
            let found = unsafe { entry.as_ref() }?;
            entry = found.below;
            // SAFETY: a worker outlives its entries.
            Some(unsafe { &*found.worker })
        })
    }
}

/// A thread's context in a pool. It lives on that thread's stack and never moves; only that thread touches it.
#[derive(Debug)]
pub struct Worker {
    pub(crate) private: PrivateEnd,
    core: Cell<*const Core>,
    core_index: Cell<usize>,
    /// The innermost of the lineages that what this thread does belongs to.
    pub(crate) frame: Cell<*const Frame>,
    registry: *const Registry,
    /// Forks to keep shared ahead of need, and when one was last taken back unstolen: see `took_back`.
    pub(crate) reserve: Cell<usize>,
    pub(crate) took_back_at: Cell<Option<Tick>>,
    /// Counts jobs since the last look at the injector.
    pub(crate) turn: Cell<u32>,
    pub(crate) random: Cell<u32>,
}

impl Worker {
    /// This thread's worker, whichever pool it belongs to.
    #[inline]
    pub fn current<'a>() -> Option<&'a Worker> {
        // SAFETY: non-null only while the worker is alive on this thread's stack, below every frame that can ask.
        unsafe { CURRENT.with(Cell::get).as_ref() }
    }

    /// All workers that this thread is, innermost first, be it without a core at the moment.
    pub fn all_current<'a>() -> impl Iterator<Item = &'a Worker> {
        Entry::workers()
    }

    /// This thread's worker in that pool, however many other pools it has entered since.
    pub fn current_in<'a>(registry: *const Registry) -> Option<&'a Worker> {
        Entry::workers().find(|worker| ptr::eq(worker.registry, registry))
    }

    /// Makes this thread a worker that holds `core`, for the time of `body`. It may hold another core afterwards, which
    /// is given up.
    pub fn enter<R>(registry: &Registry, core: usize, body: impl FnOnce(&Worker) -> R) -> R {
        let worker = Worker::new(registry);
        worker.cover_others();
        worker.hold(core);
        let _settle = Settle::new(None);
        let _leave = Leave(&worker);
        worker.on_top(|| body(&worker))
    }

    /// Makes this thread that worker again, which it was before it entered another pool, for the time of `body`. If it had given
    /// its core up, within `blocking`, it does so again.
    pub fn resume<R>(&self, body: impl FnOnce(&Worker) -> R) -> R {
        struct Without<'a>(&'a Worker);
        impl Drop for Without<'_> {
            fn drop(&mut self) {
                self.0.give_core();
            }
        }
        self.cover_others();
        let _settle = Settle::new(None);
        let _without = self.core.get().is_null().then(|| Without(self));
        self.on_top(|| {
            settle();
            body(self)
        })
    }

    /// Before this worker comes on top of another one: that one makes no fork for the time being, at which it would look up,
    /// so its pool's other cores see to what it leaves.
    fn cover_others(&self) {
        if let Some(current) = Worker::current().filter(|current| !ptr::eq(*current, self)) {
            current.share_all();
        }
    }

    fn on_top<R>(&self, body: impl FnOnce() -> R) -> R {
        struct Restore<'a>(&'a Entry);
        impl Drop for Restore<'_> {
            fn drop(&mut self) {
                ENTRIES.with(|entries| entries.set(self.0.below));
                note_current();
            }
        }
        let entry = Entry { worker: self, below: ENTRIES.with(Cell::get) };
        let _restore = Restore(&entry);
        ENTRIES.with(|entries| entries.set(&entry));
        note_current();
        body()
    }

    fn new(registry: &Registry) -> Self {
        Worker {
            private: PrivateEnd::new(),
            core: Cell::new(ptr::null()),
            core_index: Cell::new(usize::MAX),
            frame: Cell::new(ptr::null()),
            registry,
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
        note_current();
    }

    /// Whether the core that this thread holds is none of the pool's own.
    pub fn holds_lent_core(&self) -> bool {
        self.core_index() >= self.registry().size()
    }

    /// Whether there is any core but this one.
    pub fn has_company(&self) -> bool {
        self.registry().size() > 1
    }

    /// Puts everything that only this thread would run where others find it, and where its owner can claim it from any
    /// core.
    pub fn unload(&self) {
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        if owner.is_empty() && self.private.len() == 0 {
            return;
        }
        let mut moved: Vec<JobRef> = std::iter::from_fn(|| owner.pop()).collect();
        moved.reverse();
        if !seeded(Flaw::HandOverForgetsPrivate) {
            moved.extend(std::iter::from_fn(|| self.share_oldest()));
        }
        for job in moved {
            // SAFETY: this thread owns what was in its shared end, and has just taken it out.
            let job = unsafe { (job.kind().unmoor)(job) };
            self.registry().injector.push(job);
        }
    }

    /// Stops holding the core, and tells which it was.
    pub fn let_go(&self) -> Option<usize> {
        if !self.core.get().is_null() {
            self.note_wait(NOBODY);
        }
        self.core.set(ptr::null());
        note_current();
        let index = self.core_index.replace(usize::MAX);
        (index != usize::MAX).then_some(index)
    }

    /// In a forked child, takes a core that was never anybody's: this thread is the only one, and whoever stayed behind
    /// may have left the pool's own in the middle of something, and the lock that grants them too. It is not given back.
    fn hold_alone(&self) {
        self.core_index.set(0);
        self.core.set(Box::leak(Box::new(Core::new())));
        note_current();
    }

    /// Gives up the core in the middle of something. Nothing of the pool may run on this thread until it has one again.
    /// In a forked child it is kept: nobody is there who would take it.
    fn give_core(&self) {
        if self.core.get().is_null() || self.registry().is_orphaned() {
            return;
        }
        self.unload();
        if let Some(core) = self.let_go() {
            self.registry().sleep.give(core, true);
            self.registry().after_release(false);
        }
    }

    /// Notes that this thread waits for the one on core `thief`; `NOBODY` for not any more. Tells what was noted before.
    pub fn note_wait(&self, thief: usize) -> usize {
        // A load and a store: only the core's holder writes.
        let waits_for = &self.core().waits_for;
        let before = waits_for.load(Ordering::Relaxed);
        waits_for.store(thief, Ordering::Relaxed);
        before
    }
}

/// After a change of this thread's entries or cores: a worker without a core is not current, since nothing may run on it.
fn note_current() {
    let holding = Entry::workers().next().filter(|worker| !worker.core.get().is_null());
    CURRENT.with(|current| current.set(holding.map_or(ptr::null(), ptr::from_ref)));
}

/// Ends a worker, also when its body unwinds.
struct Leave<'a>(&'a Worker);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let worker = self.0;
        debug_assert_eq!(worker.private.len(), 0, "every fork has ended");
        if worker.registry().is_orphaned() {
            // A thread that did not come along may have the lock, or be in the middle of a push that all later ones wait for.
            worker.let_go();
        } else if !worker.core.get().is_null() && !seeded(Flaw::GuestKeepsCore) {
            worker.unload();
            if let Some(core) = worker.let_go() {
                worker.registry().sleep.give(core, false);
                worker.registry().after_release(true);
            }
        }
    }
}

/// Sees to it that this thread holds a core of the pool whose worker it is now, after it gave it up in the middle of
/// something. It gets one ahead of all new work.
///
/// While it waits for that core it holds none of another pool's either, so threads that go back and forth between pools
/// cannot wait for each other in a circle. The cores of the workers below are seen to when the thread returns to them.
fn settle() {
    if Entry::workers().next().is_some_and(|worker| worker.core.get().is_null()) {
        with_place(settle_at);
    }
}

/// The same for a thread that is known at that place.
fn settle_at(place: &Place) {
    let Some(worker) = Entry::workers().next().filter(|worker| worker.core.get().is_null()) else { return };
    if worker.registry().is_orphaned() {
        return worker.hold_alone();
    }
    let sleep = &worker.registry().sleep;
    let core = sleep.try_take_back().unwrap_or_else(|| {
        Entry::workers().filter(|_| !seeded(Flaw::WaitsHoldingCores)).for_each(Worker::give_core);
        sleep
            .take_back(place.seat())
            .unwrap_or_else(|granted| wait_for_core(place, STARVED_AFTER, granted, || sleep.borrow(place.seat())))
    });
    worker.hold(core);
}

/// Takes an idle core for a thread that has given up its own, if there is one. Tells whether the thread, which may not want
/// one at all, can go on at once.
pub fn try_settle() -> bool {
    let Some(worker) = Entry::workers().next().filter(|worker| worker.core.get().is_null()) else { return true };
    if worker.registry().is_orphaned() {
        worker.hold_alone();
        return true;
    }
    let core = worker.registry().sleep.try_take_back();
    core.inspect(|&core| worker.hold(core)).is_some()
}

/// Waits for a core to be granted, and asks for one beyond the pool's own if none has been to be had for that long. The last
/// one was at `since`.
pub fn wait_for_core(place: &Place, patience: Duration, mut since: Tick, borrow: impl Fn() -> Option<usize>) -> usize {
    loop {
        let now = Tick::now();
        if !now.within(since, patience) {
            if let Some(core) = borrow() {
                return core;
            }
            since = now;
        }
        match place.take_grant() {
            Some(Grant::Core(core)) => return core,
            Some(Grant::Exit) => unreachable!("a pool does not end while a thread waits for a core of its"),
            None => place.park_timeout(patience),
        }
    }
}

/// Brings the thread back, when it is dropped, to what it had before, on the way back of a panic too: a core, or, within
/// `blocking`, none.
struct Settle<'a> {
    held: bool,
    place: Option<&'a Place>,
}

impl<'a> Settle<'a> {
    fn new(place: Option<&'a Place>) -> Self {
        let held = Entry::workers().next().is_some_and(|worker| !worker.core.get().is_null());
        Settle { held, place }
    }
}

impl Drop for Settle<'_> {
    fn drop(&mut self) {
        match self.place {
            _ if !self.held && !seeded(Flaw::CoreTakenBackWithin) => Entry::workers().for_each(Worker::give_core),
            Some(place) => settle_at(place),
            None => settle(),
        }
    }
}

/// Runs `blocking` without a core: the cores that this thread holds, in whichever pools, go to others meanwhile. Does just
/// that on a thread that belongs to no pool.
pub fn without_core<R>(blocking: impl FnOnce() -> R) -> R {
    give_all_and_settle(None, blocking)
}

/// The same for a thread that is known at that place.
pub fn without_core_at<R>(place: &Place, blocking: impl FnOnce() -> R) -> R {
    give_all_and_settle(Some(place), blocking)
}

fn give_all_and_settle<R>(place: Option<&Place>, blocking: impl FnOnce() -> R) -> R {
    let all = if seeded(Flaw::OuterCoresKept) { 1 } else { usize::MAX };
    let _settle = Settle::new(place);
    Entry::workers().take(all).for_each(Worker::give_core);
    blocking()
}
