//! What a pool's threads share: its cores, the injector, and the decision whom to wake.

mod kept;
mod threads;

use crate::core::Core;
use crate::error::{BuildError, discard};
use crate::job::JobRef;
use crate::primitive::{
    Arc, AtomicBool, Deque, Flaw, Injector, Mutex, Ordering, Steal, fence, fork_generation, processor,
    publish_and_tell, seeded, spare_cores,
};
use crate::seat::{Place, Seat};
use crate::sleep::{Sleep, Woken};
use kept::ROSTER;
pub use kept::find;
use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Weak;
pub use threads::Names;
use threads::Threads;

/// What a thread of the pool does, from its place to its end. It is passed in by the pool: it stands above this module.
pub type ThreadBody = fn(Arc<Registry>, Place, Option<usize>, usize);

type ThreadHook = Box<dyn Fn(usize) + Send + Sync>;
type PanicHook = Box<dyn Fn(Box<dyn Any + Send>) + Send + Sync>;

/// What a pool was built with.
pub struct Options {
    pub cores: usize,
    pub max_threads: usize,
    pub names: Names,
    pub stack_size: Option<usize>,
    pub on_thread_start: Option<ThreadHook>,
    pub on_thread_exit: Option<ThreadHook>,
    pub on_task_panic: Option<PanicHook>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("cores", &self.cores)
            .field("max_threads", &self.max_threads)
            .field("stack_size", &self.stack_size)
            .finish_non_exhaustive()
    }
}

/// The shared state of a pool; its threads hold it as long as they live, its handles as long as they like.
#[derive(Debug)]
pub struct Registry {
    pub cores: Box<[Core]>,
    pub injector: Injector<JobRef>,
    pub sleep: Sleep,
    pub options: Options,
    /// No new tasks are taken.
    closed: AtomicBool,
    /// Tasks that have not begun are to be dropped.
    terminated: AtomicBool,
    threads: Mutex<Threads>,
    /// Threads that wait for the pool's last thread to end.
    watchers: Mutex<Vec<Arc<Seat>>>,
    thread_body: ThreadBody,
    fork_generation: usize,
    itself: Weak<Registry>,
    /// By which it is found: [`find`].
    pub number: u64,
}

impl Registry {
    /// A registry with a thread for each core, all of them asleep. On an error nothing is left running.
    pub fn start(options: Options, thread_body: ThreadBody) -> Result<Arc<Registry>, BuildError> {
        let registry = Arc::new_cyclic(|itself| Registry {
            cores: (0..options.cores + spare_cores()).map(|_| Core::new()).collect(),
            injector: Injector::new(),
            sleep: Sleep::new(options.cores, options.max_threads, options.names.at_first(options.cores)),
            closed: AtomicBool::new(false),
            terminated: AtomicBool::new(false),
            threads: Mutex::new(Threads::default()),
            watchers: Mutex::new(Vec::new()),
            thread_body,
            fork_generation: fork_generation(),
            itself: Weak::clone(itself),
            number: ROSTER.add(Weak::clone(itself)),
            options,
        });
        for started in 0..registry.size() {
            let place = Place::new();
            // A thread that is in its hook can't be woken for work.
            let ready = registry.options.on_thread_start.is_none() && !registry.names_next(started);
            registry.sleep.enlist(ready.then(|| place.seat()));
            let begun = registry.name_thread(started).and_then(|()| registry.start_thread(place, None));
            if let Err(source) = begun {
                registry.sleep.start_failed(None);
                registry.give_up();
                return Err(BuildError::Thread { started, source });
            }
        }
        Ok(registry)
    }

    /// The number of the pool's own cores.
    #[inline]
    pub fn size(&self) -> usize {
        self.options.cores
    }

    /// The pool's own cores, and those beyond them if some are lent.
    pub fn cores_in_use(&self) -> &[Core] {
        &self.cores[..self.sleep.extent()]
    }

    /// Whether this process is not the one in which the pool was built: `fork()` leaves the threads behind.
    #[inline]
    pub fn is_orphaned(&self) -> bool {
        self.fork_generation != fork_generation()
    }

    /// Says what is wrong if this process is a fork of the one in which the pool was built.
    #[inline]
    pub fn check_fork(&self) {
        if self.is_orphaned() {
            forked();
        }
    }

    /// The next job of the injector.
    pub fn steal_injected(&self) -> Option<JobRef> {
        until_settled(|| self.injector.steal())
    }

    /// The next job of the injector. A few that follow it come along to the caller's shared end, where others see them
    /// as well, so that a stream of small tasks costs one look here for many of them.
    pub fn steal_some_injected(&self, owner: &Deque<JobRef>) -> Option<JobRef> {
        until_settled(|| self.injector.steal_some(owner))
    }

    /// Puts a job where any thread out of work finds it, and sees to it that one does. In a forked child there is none, and
    /// the queue may wait for a thread that did not come along: the job is forgotten, and whoever waits for it says why.
    pub fn inject(&self, job: JobRef) {
        if self.is_orphaned() {
            return;
        }
        publish_and_tell(|| self.injector.push(job), || self.work_appeared(false));
    }

    /// Queues a detached task; gives it back if the pool is closed.
    pub fn submit(&self, job: JobRef) -> Result<(), JobRef> {
        // Relaxed: a task spawned while the pool is being closed may fall on either side. One that falls on this side
        // too late for any thread to see is cancelled below.
        if self.closed.load(Ordering::Relaxed) {
            return Err(job);
        }
        self.inject(job);
        if self.sleep.has_ended() && !seeded(Flaw::SubmittedTooLate) {
            // Pairs with the fence in `end_if_done`: either its drain sees the task, or we see that it has ended.
            self.cancel_queued();
        }
        Ok(())
    }

    /// After work was published: wakes a thread for it if one sleeps and none is searching already. `lazily`, for forks,
    /// leaves it to a napping thread.
    #[inline]
    pub fn work_appeared(&self, lazily: bool) {
        // The producer's half of the sleep handshake: publish, fence, look for sleepers. Pairs with the fences in
        // `after_release` and `found_work`.
        if !seeded(Flaw::WakerWithoutFence) {
            fence(Ordering::SeqCst);
        }
        if self.sleep.should_wake(lazily) {
            self.wake(processor());
        }
    }

    /// Wakes one thread for one idle core, starting it if need be: on behalf of one that keeps its processor `busy`, or that is
    /// about to give it up. Nobody in a forked child, where the lock may be held by a
    /// thread that is not there; it is no place for a panic, since it may be the middle of a fork.
    #[cold]
    pub fn wake(&self, busy: Option<usize>) {
        if self.is_orphaned() {
            return;
        }
        self.see_to(self.sleep.wake_one(busy));
    }

    /// Wakes one thread for a core beyond the pool's own, starting it if need be.
    #[cold]
    pub fn wake_with_spare(&self) {
        self.see_to(self.sleep.wake_with_spare());
    }

    fn see_to(&self, woken: Woken) {
        if let Woken::StartThread(core) = woken
            && self.start_thread(Place::new(), Some(core)).is_err()
        {
            self.sleep.start_failed(Some(core));
            // The core is free again, and wakes may have been left to the thread that never came. This does not go round in
            // circles: the pool now makes do with the threads it has.
            if !seeded(Flaw::StartFailureForgotten) {
                self.after_release(true);
            }
        }
    }

    /// After a core was given up: the sleeper's half of the handshake. If a core is idle now all others are asked to share; if work
    /// is left that nobody would see to, wakes somebody, perhaps the caller. Whether that one `stays` on its processor, and is not
    /// about to sleep or to block, decides who is woken.
    pub fn after_release(&self, stays: bool) {
        // Pairs with the fence in `work_appeared`: either a publisher sees the idle core, or we see its work. And either an owner
        // that has cleared its demand sees it, and wakes somebody, or we see the demand cleared, and ask again.
        if !seeded(Flaw::SleeperWithoutFence) {
            fence(Ordering::SeqCst);
        }
        if self.sleep.someone_sleeps() && !seeded(Flaw::ReleaserAsksNobody) {
            for core in self.cores_in_use() {
                core.shared.demand();
            }
        }
        if self.work_visible() {
            if self.sleep.should_wake(false) {
                self.wake(if stays { processor() } else { None });
            }
        } else if self.is_closed() {
            self.end_if_done();
        }
    }

    /// Gives up a core that was granted and is not needed.
    pub fn give_back(&self, core: usize) {
        self.sleep.give(core, false);
        self.after_release(true);
    }

    /// Whether a job is in any shared queue.
    pub fn work_visible(&self) -> bool {
        let injected = !seeded(Flaw::InjectorForgotten) && !self.injector.is_empty();
        injected || !seeded(Flaw::SharedEndsForgotten) && self.cores_in_use().iter().any(|core| !core.shared.is_empty())
    }

    /// A thread that holds a core and was searching has found something. It looks once more, on behalf of those who did not
    /// wake anybody for its sake: this is what carries a chain of wakes from one job to the next, wherever they are.
    pub fn found_work(&self) {
        self.sleep.stop_searching();
        // Pairs with the fence in `work_appeared`: either the producer sees that nobody searches, or we see its work.
        if !seeded(Flaw::FinderWithoutFence) {
            fence(Ordering::SeqCst);
        }
        if self.sleep.should_wake(false) && !seeded(Flaw::FinderLooksAway) && self.work_visible() {
            self.wake(processor());
        }
    }

    /// Takes no new tasks from now on.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.sleep.close();
        self.after_release(true);
    }

    /// Closes, and drops what is queued and not begun.
    pub fn terminate(&self) {
        self.closed.store(true, Ordering::Relaxed);
        // Relaxed: a task that begins meanwhile may fall on either side. What is in the injector is dropped now, what has
        // moved from there to a core's shared end when its turn comes.
        self.terminated.store(true, Ordering::Relaxed);
        self.cancel_queued();
        self.close();
    }

    /// Whether tasks that have not begun are to be dropped.
    pub fn is_terminated(&self) -> bool {
        self.terminated.load(Ordering::Relaxed)
    }

    /// Whether new tasks are refused.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn end_if_done(&self) {
        if self.sleep.end_if_done(|| self.work_visible()) {
            // Pairs with the fence of a `submit` that came too late.
            fence(Ordering::SeqCst);
            self.cancel_queued();
        }
    }

    /// Cancels the tasks that are in the injector now. What somebody's stack waits for goes back there at once: what the closure of a
    /// cancelled task drops may wait for it, too.
    fn cancel_queued(&self) {
        // So many looks are enough: what comes meanwhile is behind all that is there now.
        for _ in 0..self.injector.len() {
            let Some(job) = self.steal_injected() else { break };
            // SAFETY: taken out of the queue, so the right to it is ours.
            if let Some(kept) = unsafe { (job.kind().cancel)(job) } {
                self.inject(kept);
            }
        }
    }

    /// Tells of a panic that nobody can be told of by a handle.
    pub fn task_panicked(&self, payload: Box<dyn Any + Send>) {
        let handled = catch_unwind(AssertUnwindSafe(|| match &self.options.on_task_panic {
            Some(hook) => hook(payload),
            None => drop(payload),
        }));
        // A handler that panics, or a payload whose drop does: the panic hook has said so, and the pool goes on.
        if let Err(second) = handled {
            discard(second);
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        ROSTER.remove(self.number);
        // No threads, no handles: only entries are left whose jobs were claimed by their owners.
        while let Some(job) = self.steal_injected() {
            // SAFETY: taken out of the queue, so the right to it is ours.
            let kept = unsafe { (job.kind().cancel)(job) };
            debug_assert!(kept.is_none(), "somebody waits for a job of a registry that is gone");
        }
    }
}

/// Repeats a look that another thread got in the way of.
fn until_settled(look: impl Fn() -> Steal<JobRef>) -> Option<JobRef> {
    loop {
        match look() {
            Steal::Success(job) => return Some(job),
            Steal::Empty => return None,
            Steal::Retry => crate::primitive::spin_loop(),
        }
    }
}

/// Says what is wrong in a forked child.
#[cold]
pub fn forked() -> ! {
    panic!(
        "this process was forked from the one that built the pool, and the pool's threads did not come along: \
         build a new pool after fork(), or start a fresh program with std::process::Command"
    );
}
