//! A task on the heap, with a handle for its result: what `spawn` makes, detached or in a scope.

use crate::error::JoinError;
use crate::job::{Job, JobRef, Kind, Lineage, NOBODY, requeue, same};
use crate::latch::{Latch, Verdict, Waiter};
use crate::primitive::{Alive, Arc, AtomicUsize, Flaw, Ordering, UnsafeCell, fork_generation, seeded};
use crate::registry::{Registry, forked};
use crate::wait::{Awaited, wait_until};
use crate::worker::{Worker, without_core};
use std::any::Any;
use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::time::Instant;

/// Where a task belongs.
pub trait Home: Copy + Send {
    /// The pool whose threads may run it.
    fn registry(&self) -> *const Registry;
    /// Whether tasks that have not begun are to be dropped.
    fn is_terminated(&self) -> bool;
    /// The lineage of what waits for it.
    fn lineage(&self) -> *const Lineage;
    /// The task ended in a panic after its handle was dropped.
    fn panicked(&self, payload: Box<dyn Any + Send>);
    /// The handle of a task that ended in a panic was dropped unused.
    fn panic_ignored(&self, payload: Box<dyn Any + Send>);
    /// The task has ended and its entry is in no queue; its closure and, if nobody wants it, its result are dropped.
    /// Called last, exactly once for each task.
    fn ended(&self);
}

/// Bits of `state`. A task is freed when neither ENTRY nor HANDLE is left.
///
/// | bit | set while |
/// |---|---|
/// | ENTRY | a queue holds it, or the thread that took it out of one |
/// | HANDLE | its handle exists |
/// | CLAIMED | somebody runs, ran or cancelled it |
/// | DONE | `body` holds the result |
const ENTRY: usize = 1;
const HANDLE: usize = 2;
const CLAIMED: usize = 4;
const DONE: usize = 8;

enum Body<F, T> {
    Closure(F),
    Running,
    Ended(Result<T, JoinError>),
}

/// The parts of a task that do not depend on its closure.
#[repr(C)]
struct Head<H> {
    job: Job,
    state: AtomicUsize,
    lineage: Lineage,
    thief: AtomicUsize,
    latch: Latch,
    home: H,
    alive: Alive,
}

/// A task: the head, then the closure that becomes the result.
#[repr(C)]
struct Task<F, T, H> {
    head: Head<H>,
    body: UnsafeCell<Body<F, T>>,
}

/// A task's handle: the right to its result.
pub struct Handle<T, H: Home> {
    task: NonNull<Head<H>>,
    table: &'static Table,
    /// Where it was made: a process forked since then has no thread that would run the task.
    fork_generation: usize,
    result: PhantomData<T>,
}

/// What a handle must know of the closure's type.
struct Table {
    /// Runs a task that is claimed; tells whether its entry is gone.
    run: unsafe fn(NonNull<()>) -> bool,
    /// Moves the result, a `Result<T, JoinError>`, to where the second pointer points.
    take: unsafe fn(NonNull<()>, *mut ()),
    free: unsafe fn(NonNull<()>),
}

// SAFETY: a handle is used by one thread at a time, and what it may send there, the result and the unrun closure, is
// `Send` by the bounds of `new`.
unsafe impl<T: Send, H: Home> Send for Handle<T, H> {}
// SAFETY: through a shared reference a handle only reads the state.
unsafe impl<T: Send, H: Home> Sync for Handle<T, H> {}

/// A new task, as an entry for a queue and a handle.
pub fn new<F, T, H>(closure: F, home: H) -> (JobRef, Handle<T, H>)
where
    F: FnOnce() -> T + Send,
    T: Send,
    H: Home,
{
    let task = Box::new(Task {
        head: Head {
            job: Job { kind: &Task::<F, T, H>::KIND },
            state: AtomicUsize::new(ENTRY | HANDLE),
            lineage: Lineage::below(home.lineage()),
            thief: AtomicUsize::new(NOBODY),
            latch: Latch::new(),
            home,
            alive: Alive::new(),
        },
        body: UnsafeCell::new(Body::<F, T>::Closure(closure)),
    });
    let task = NonNull::from(Box::leak(task));
    // SAFETY: the entry's count keeps the task alive until the entry is used.
    let entry = unsafe { JobRef::new(task.as_ptr().cast_const().cast()) };
    (
        entry,
        Handle {
            task: task.cast(),
            table: &Task::<F, T, H>::TABLE,
            fork_generation: fork_generation(),
            result: PhantomData,
        },
    )
}

impl<F, T, H> Task<F, T, H>
where
    F: FnOnce() -> T + Send,
    T: Send,
    H: Home,
{
    const KIND: Kind = Kind { run: Self::run_entry, help: requeue, unmoor: same, cancel: Self::cancel_entry };
    const TABLE: Table = Table { run: Self::run_claimed, take: Self::take, free: Self::free };

    /// Takes the right to run it, if nobody has.
    fn claim(&self) -> bool {
        // Acquire: without a handle the entry is the only way to the task, and the handle's drop, a Release in
        // `Handle::drop`, happened before.
        let state = self.head.state.load(Ordering::Acquire);
        if state & (HANDLE | CLAIMED) == 0 {
            return true;
        }
        // AcqRel: claimants are in one order; the loser of the claim touches nothing.
        if seeded(Flaw::TaskClaimedByStore) {
            self.head.state.store(state | CLAIMED, Ordering::Release);
            return state & CLAIMED == 0;
        }
        state & CLAIMED == 0 && self.head.state.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED == 0
    }

    /// Gives the entry's count back. For an entry whose task was claimed through the handle: tells whether the task has
    /// ended already.
    unsafe fn release_entry(this: NonNull<()>) -> bool {
        // SAFETY: alive by the entry's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        task.head.alive.touch();
        // Acquire on the load pairs with the Release of the handle's drop, as does the Acquire half of the `fetch_and`,
        // whose Release half pairs with the handle's own Acquire: the last one out frees.
        let alone = task.head.state.load(Ordering::Acquire) & HANDLE == 0;
        if seeded(Flaw::EntryFreesEarly) {
            // SAFETY: none, which is the flaw. The memory itself stays, for the models to see who still uses it.
            unsafe { std::ptr::drop_in_place(this.cast::<Self>().as_ptr()) };
            return true;
        }
        // A handle that is gone has seen the end of what it had claimed.
        let before = if alone { DONE } else { task.head.state.fetch_and(!ENTRY, Ordering::AcqRel) };
        if before & HANDLE == 0 {
            if !seeded(Flaw::ResultLeftToHandle) {
                // SAFETY: neither entry nor handle is left. The handle may have been dropped between DONE and now.
                unsafe { task.discard() };
            }
            // SAFETY: as above.
            unsafe { Self::free(this) };
        }
        before & DONE != 0
    }

    unsafe fn run_entry(job: JobRef) {
        let Some(this) = NonNull::new(job.cast::<()>().cast_mut()) else { unreachable!("jobs have addresses") };
        // SAFETY: alive by the entry's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        let home = task.head.home;
        if home.is_terminated() {
            // SAFETY: the right to the entry is ours. A task is never given back.
            let _ = unsafe { Self::cancel_entry(job) };
            return;
        }
        let claimed = task.claim();
        if claimed {
            let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
            // Relaxed: a hint for those who wait.
            task.head.thief.store(worker.core_index(), Ordering::Relaxed);
            // SAFETY: claimed just now.
            worker.under(&task.head.lineage, || unsafe { Self::run_claimed(this) });
        }
        let early = seeded(Flaw::EndedEarly);
        if claimed && early {
            home.ended();
        }
        // SAFETY: the entry's count, used up here.
        let ended = unsafe { Self::release_entry(this) };
        if (claimed && !early) || (!claimed && ended) {
            home.ended();
        }
    }

    unsafe fn cancel_entry(job: JobRef) -> Option<JobRef> {
        let Some(this) = NonNull::new(job.cast::<()>().cast_mut()) else { unreachable!("jobs have addresses") };
        // SAFETY: alive by the entry's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        let home = task.head.home;
        let claimed = task.claim();
        if claimed {
            // SAFETY: claimed just now.
            let closure = unsafe { task.replace(Body::Ended(Err(JoinError::Cancelled))) };
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(closure))) {
                home.panicked(payload);
            }
            // SAFETY: claimed by us, and the result is in place.
            unsafe { task.finish() };
        }
        // SAFETY: the entry's count, used up here.
        let ended = unsafe { Self::release_entry(this) };
        if claimed || ended {
            home.ended();
        }
        None
    }

    /// Puts another body in place.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task, or is the only one left.
    unsafe fn replace(&self, body: Body<F, T>) -> Body<F, T> {
        self.body.with_mut(|slot| {
            // SAFETY: exclusive by the contract.
            std::mem::replace(unsafe { &mut *slot }, body)
        })
    }

    /// Runs it.
    ///
    /// # Safety
    ///
    /// The caller has claimed it, and its count keeps it alive.
    unsafe fn run_claimed(this: NonNull<()>) -> bool {
        // SAFETY: alive by the caller's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        // SAFETY: claimed by the caller.
        let Body::Closure(closure) = (unsafe { task.replace(Body::Running) }) else {
            unreachable!("a task is claimed once")
        };
        let result = catch_unwind(AssertUnwindSafe(closure)).map_err(JoinError::Panicked);
        // SAFETY: claimed by the caller.
        drop(unsafe { task.replace(Body::Ended(result)) });
        // SAFETY: claimed by the caller, and the result is in place.
        unsafe { task.finish() }
    }

    /// Says that the result is there, and sees to it if nobody wants it. Tells whether the entry is gone already.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task and put the result in place.
    unsafe fn finish(&self) -> bool {
        // Acquire pairs with the Release in `Handle::drop`. Without a handle the claimant is the entry's holder.
        let before = match self.head.state.load(Ordering::Acquire) {
            state if state & HANDLE == 0 => state,
            // Release pairs with the Acquire in `Handle::is_finished` and in `Handle::drop`: the result is visible.
            // Acquire pairs with the Release in `Handle::drop`: its use of the task is over.
            _ => self.head.state.fetch_or(DONE, Ordering::AcqRel),
        };
        if before & HANDLE == 0 {
            // SAFETY: the handle is gone, and we hold the claim.
            unsafe { self.discard() };
        } else {
            // SAFETY: alive by the caller's count, and set once, by the claimant.
            unsafe { Latch::set(&self.head.latch, Verdict::Done) };
        }
        before & ENTRY == 0
    }

    /// Drops a result that nobody will take.
    ///
    /// # Safety
    ///
    /// The task is done and the caller the only one left to look at its body.
    unsafe fn discard(&self) {
        // SAFETY: exclusive by the contract.
        let body = unsafe { self.replace(Body::Running) };
        let unwanted = match body {
            Body::Running => return,
            Body::Ended(Err(JoinError::Panicked(payload))) => Err(payload),
            other => catch_unwind(AssertUnwindSafe(|| drop(other))),
        };
        if let Err(payload) = unwanted {
            self.head.home.panicked(payload);
        }
    }

    unsafe fn take(this: NonNull<()>, place: *mut ()) {
        // SAFETY: alive by the handle's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        // SAFETY: done, and the handle has the only right to the result.
        match unsafe { task.replace(Body::Running) } {
            // SAFETY: the place is for a value of this type, by the table's contract.
            Body::Ended(result) => unsafe { place.cast::<Result<T, JoinError>>().write(result) },
            _ => unreachable!("a finished task has its result until it is taken"),
        }
    }

    unsafe fn free(this: NonNull<()>) {
        // SAFETY: made by `Box::leak` in `new`, and nobody is left.
        drop(unsafe { Box::from_raw(this.cast::<Self>().as_ptr()) });
    }
}

impl<T: Send, H: Home> Handle<T, H> {
    fn head(&self) -> &Head<H> {
        // SAFETY: alive by the handle's count.
        unsafe { self.task.as_ref() }
    }

    /// Whether the result is there.
    pub fn is_finished(&self) -> bool {
        // Acquire pairs with the Release in `finish`.
        self.head().state.load(Ordering::Acquire) & DONE != 0
    }

    /// Waits for the result. A worker of the task's pool runs the task itself if nobody has begun it, and waits safely
    /// if somebody has.
    pub fn join(self) -> Result<T, JoinError> {
        let head = self.head();
        if !self.is_finished() {
            match Worker::current_in(head.home.registry()) {
                Some(worker) => worker.resume(|worker| self.run_or_wait(worker)),
                None => self.park(),
            }
        }
        // Not dropped: the result is taken here, and the handle's count given back.
        let handle = ManuallyDrop::new(self);
        // SAFETY: done, by now.
        let result = unsafe { handle.take() };
        // SAFETY: the handle is not used again, but to free the task.
        if unsafe { handle.release() } {
            // SAFETY: we are the last.
            unsafe { handle.free() };
        }
        result
    }

    fn run_or_wait(&self, worker: &Worker) {
        let head = self.head();
        // AcqRel: as in `claim`; Acquire also for the closure, which came with the handle.
        if head.state.fetch_or(CLAIMED, Ordering::AcqRel) & CLAIMED == 0 {
            // SAFETY: claimed just now.
            let entry_gone = unsafe { (self.table.run)(self.task.cast()) };
            // Else the entry's holder says so, when it comes upon it: whatever a scope's queue holds is part of the scope.
            if entry_gone {
                head.home.ended();
            }
        } else {
            let awaited = Awaited { latch: &head.latch, lineage: &head.lineage, thief: &head.thief, own: None };
            worker.wait_for(&awaited);
        }
    }

    /// Waits until the deadline at most, and tells whether the task is done by then. It does not run the task itself, which
    /// could take longer; a core that this thread has goes to others meanwhile.
    pub fn wait_until(&self, deadline: Instant) -> bool {
        if self.is_finished() {
            return true;
        }
        if self.fork_generation != fork_generation() {
            forked();
        }
        wait_until(&self.head().latch, deadline)
    }

    /// Waits as a thread from outside, which has no core to give; or as another pool's worker, which gives its own.
    fn park(&self) {
        if self.fork_generation != fork_generation() {
            forked();
        }
        without_core(|place| {
            let waiter = Waiter::new(Arc::clone(place.seat()));
            if self.head().latch.announce(&waiter).is_err() {
                return;
            }
            while waiter.verdict().is_none() {
                place.park();
            }
        });
    }
}

impl<T, H: Home> Handle<T, H> {
    /// The result.
    ///
    /// # Safety
    ///
    /// The task is done, and the result is taken once.
    unsafe fn take(&self) -> Result<T, JoinError> {
        let mut result = MaybeUninit::<Result<T, JoinError>>::uninit();
        // SAFETY: done, and the place is of the right type.
        unsafe { (self.table.take)(self.task.cast(), result.as_mut_ptr().cast()) };
        // SAFETY: written by `take`.
        unsafe { result.assume_init() }
    }

    /// Gives the handle's count back, and tells whether a result was left behind that is the handle's to see to.
    ///
    /// # Safety
    ///
    /// Once; unless it tells so, the handle does not touch the task afterwards. If it does, the handle frees the task.
    unsafe fn release(&self) -> bool {
        // SAFETY: alive by the handle's count.
        let head = unsafe { self.task.as_ref() };
        head.alive.touch();
        // Release pairs with the Acquires in `claim`, `finish` and `release_entry`; Acquire with their Releases.
        head.state.fetch_and(!HANDLE, Ordering::AcqRel) & ENTRY == 0
    }

    /// Frees the task.
    ///
    /// # Safety
    ///
    /// Neither entry nor handle is left.
    unsafe fn free(&self) {
        // SAFETY: as the contract says.
        unsafe { (self.table.free)(self.task.cast()) };
    }
}

impl<T, H: Home> Drop for Handle<T, H> {
    fn drop(&mut self) {
        // SAFETY: alive by the handle's count.
        let head = unsafe { self.task.as_ref() };
        let home = head.home;
        // Acquire pairs with the Release in `finish`: a result that is there is the handle's.
        let done = head.state.load(Ordering::Acquire) & DONE != 0;
        // SAFETY: done, and taken here only.
        let mut result = done.then(|| unsafe { self.take() });
        // SAFETY: the handle's last act but for what follows.
        let last = unsafe { self.release() };
        if last {
            if !done {
                // Finished between the load and the release, and the entry gone too.
                // SAFETY: alive, since nobody else is left to free it; done, since the entry is gone only then.
                result = Some(unsafe { self.take() });
            }
            // SAFETY: we are the last.
            unsafe { self.free() };
        }
        // What follows is user code, and may panic: nothing is left to be done after it.
        if let Some(Err(JoinError::Panicked(payload))) = result {
            home.panic_ignored(payload);
        }
    }
}
