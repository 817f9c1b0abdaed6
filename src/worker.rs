//! A worker: a thread's side of a pool, from the moment it first holds a core to the moment it leaves.

use crate::core::Core;
use crate::deque::PrivateEnd;
use crate::job::{Frame, JobRef};
use crate::primitive::{Ordering, RESERVE, Tick, thread_cell};
use crate::registry::Registry;
use crate::seat::{Grant, Place, with_place};
use std::cell::Cell;
use std::ptr;

thread_cell! {
    /// The worker that this thread is at the moment, if it is one.
    static CURRENT: *const Worker = ptr::null();
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
    /// What this thread was before it became this worker: a worker of another pool, or nothing.
    outer: *const Worker,
    /// Forks to keep shared ahead of need, and when one was last taken back unstolen: see `took_back`.
    pub(crate) reserve: Cell<usize>,
    pub(crate) took_back_at: Cell<Option<Tick>>,
    /// Counts looks for work, to see to the injector every 61st time.
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
    pub fn has_company(&self) -> bool {
        self.registry().cores.len() > 1
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
        moved.extend(std::iter::from_fn(|| self.share_oldest()));
        for job in moved {
            // SAFETY: this thread owns what was in its shared end, and has just taken it out.
            let job = unsafe { (job.kind().unmoor)(job) };
            self.registry().injector.push(job);
        }
    }

    /// Stops holding the core, and tells which it was.
    pub fn let_go(&self) -> Option<usize> {
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
