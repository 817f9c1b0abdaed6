//! A task on the heap, with a handle for its result: what `spawn` makes, detached or in a scope.

mod handle;

pub use handle::Handle;

use crate::error::JoinError;
use crate::job::{Job, JobRef, Kind, Lineage, requeue, same};
use crate::latch::{Latch, Verdict};
use crate::primitive::{Alive, AtomicUsize, Flaw, Ordering, UnsafeCell, seeded};
use crate::registry::Registry;
use crate::slab;
use crate::worker::Worker;
use std::any::Any;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

type Payload = Box<dyn Any + Send>;

/// Where a task belongs.
pub trait Home: Copy + Send {
    /// The pool whose threads may run it.
    fn registry(&self) -> *const Registry;
    /// That pool's number, asked for while it is there.
    fn pool(&self) -> u64;
    /// Whether tasks that have not begun are to be dropped.
    fn is_terminated(&self) -> bool;
    /// The lineage of what waits for it.
    fn lineage(&self) -> *const Lineage;
    /// The task ended in a panic after its handle was dropped.
    fn panicked(&self, payload: Payload);
    /// The handle of a task that ended in a panic was dropped unused. The number is that of its pool, which may be gone.
    fn panic_ignored(&self, payload: Payload, pool: u64);
    /// The task has ended, later than its entry was used up; its closure and, if nobody wants it, its result are dropped.
    /// Called last, and at most once for each task: else whoever uses the entry up is told ([`Kind::run`]).
    fn ended(&self);
}

/// Bits of `state`. A task is freed when neither ENTRY nor HANDLE is left.
///
/// | bit | set while |
/// |---|---|
/// | ENTRY | a queue holds it, or the thread that took it out of one |
/// | HANDLE | its handle exists |
/// | CLAIMED | somebody runs, ran or cancelled it |
/// | DONE | `body` holds the outcome |
///
/// The bits above these are the core on which it was claimed, plus one: a hint for whoever waits; 0 is nobody.
const ENTRY: usize = 1;
const HANDLE: usize = 2;
const CLAIMED: usize = 4;
const DONE: usize = 8;
const THIEF_SHIFT: u32 = 4;

/// The claim of the thread on that core.
fn claimed_on(core: usize) -> usize {
    CLAIMED | (core + 1) << THIEF_SHIFT
}

/// A closure that becomes an outcome.
enum Body<F, T> {
    Closure(F),
    /// The closure is running, or the outcome has been taken.
    Nothing,
    Result(T),
    /// Boxed twice, so that a task whose result is small stays small.
    Panic(Box<Payload>),
    Cancelled,
}

/// The parts of a task that do not depend on its closure.
#[repr(C)]
struct Head<H> {
    job: Job,
    state: AtomicUsize,
    lineage: Lineage,
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

/// What a handle must know of the closure's type.
struct Table {
    /// Runs a task that is claimed; tells whether its entry is gone.
    run: unsafe fn(NonNull<()>) -> bool,
    /// Drops it unrun instead.
    cancel: unsafe fn(NonNull<()>) -> bool,
    /// Moves the result, a `Result<T, JoinError>`, to where the second pointer points.
    take: unsafe fn(NonNull<()>, *mut ()),
    free: unsafe fn(NonNull<()>),
}

/// A new task, as an entry for a queue and a handle.
pub fn new<F, T, H>(closure: F, home: H) -> (JobRef, Handle<T, H>)
where
    F: FnOnce() -> T + Send,
    T: Send,
    H: Home,
{
    let pool = home.pool();
    let task = slab::put(Task {
        head: Head {
            job: Job { kind: &Task::<F, T, H>::KIND },
            state: AtomicUsize::new(ENTRY | HANDLE),
            lineage: Lineage::below(home.lineage()),
            latch: Latch::new(),
            home,
            alive: Alive::new(),
        },
        body: UnsafeCell::new(Body::<F, T>::Closure(closure)),
    });
    // SAFETY: the entry's count keeps the task alive until the entry is used.
    let entry = unsafe { JobRef::new(task.as_ptr().cast_const().cast()) };
    // SAFETY: the handle's count keeps the task alive, and the table is its own.
    let handle = unsafe { Handle::new(task.cast(), &Task::<F, T, H>::TABLE, pool) };
    (entry, handle)
}

impl<F, T, H> Task<F, T, H>
where
    F: FnOnce() -> T + Send,
    T: Send,
    H: Home,
{
    const KIND: Kind = Kind { run: Self::run_entry, help: requeue, unmoor: same, cancel: Self::cancel_entry };
    const TABLE: Table =
        Table { run: Self::run_claimed, cancel: Self::cancel_claimed, take: Self::take, free: Self::free };

    /// Takes the right to run it on that core, if nobody has.
    fn claim(&self, core: usize) -> bool {
        // Relaxed: without a handle the entry is the only way to the task, and the body came with it through the queue. What
        // the handle did before it went is ordered in `release_entry`, before the task's end.
        let state = self.head.state.load(Ordering::Relaxed);
        if state & (HANDLE | CLAIMED) == 0 {
            return true;
        }
        if seeded(Flaw::TaskClaimedByStore) {
            self.head.state.store(state | claimed_on(core), Ordering::Release);
            return state & CLAIMED == 0;
        }
        self.head.take_claim(core)
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

    unsafe fn run_entry(job: JobRef) -> bool {
        let Some(this) = NonNull::new(job.cast::<()>().cast_mut()) else { unreachable!("jobs have addresses") };
        // SAFETY: alive by the entry's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        if task.head.home.is_terminated() {
            // SAFETY: the right to the entry is ours. A task is never given back.
            let _ = unsafe { Self::cancel_entry(job) };
            return true;
        }
        let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
        let claimed = task.claim(worker.core_index());
        if claimed {
            // SAFETY: claimed just now.
            worker.under(&task.head.lineage, || unsafe { Self::run_claimed(this) });
        }
        let early = claimed && seeded(Flaw::EndedEarly);
        if early {
            task.head.home.ended();
        }
        // SAFETY: the entry's count, used up here.
        let ended = unsafe { Self::release_entry(this) };
        (claimed || ended) && !early
    }

    unsafe fn cancel_entry(job: JobRef) -> Option<JobRef> {
        let Some(this) = NonNull::new(job.cast::<()>().cast_mut()) else { unreachable!("jobs have addresses") };
        // SAFETY: alive by the entry's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        if task.claim(0) {
            // SAFETY: claimed just now, and alive by the entry's count.
            unsafe { Self::cancel_claimed(this) };
        }
        // SAFETY: the entry's count, used up here.
        let _ = unsafe { Self::release_entry(this) };
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
        let Body::Closure(closure) = (unsafe { task.replace(Body::Nothing) }) else {
            unreachable!("a task is claimed once")
        };
        let outcome = match catch_unwind(AssertUnwindSafe(closure)) {
            Ok(result) => Body::Result(result),
            Err(payload) => Body::Panic(Box::new(payload)),
        };
        // SAFETY: claimed by the caller. Nothing is in place, so nothing is dropped.
        std::mem::forget(unsafe { task.replace(outcome) });
        // SAFETY: claimed by the caller, and the outcome is in place.
        unsafe { task.finish() }
    }

    /// Drops it unrun.
    ///
    /// # Safety
    ///
    /// As for `run_claimed`.
    unsafe fn cancel_claimed(this: NonNull<()>) -> bool {
        // SAFETY: alive by the caller's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        // SAFETY: claimed by the caller.
        let closure = unsafe { task.replace(Body::Cancelled) };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(closure))) {
            task.head.home.panicked(payload);
        }
        // SAFETY: claimed by the caller, and the outcome is in place.
        unsafe { task.finish() }
    }

    /// Says that the outcome is there, and sees to it if nobody wants it. Tells whether the entry is gone already.
    ///
    /// # Safety
    ///
    /// The caller has claimed the task and put the outcome in place.
    unsafe fn finish(&self) -> bool {
        // Relaxed: without a handle the claimant is the entry's holder, and the only one left to use the body.
        let before = match self.head.state.load(Ordering::Relaxed) {
            state if state & HANDLE == 0 => state,
            // Release pairs with the Acquire in `Handle::is_finished` and in `Handle::drop`: the result is visible. Nothing is
            // acquired: a handle that is gone has not looked at the body, and its use of the task ends in `release_entry`.
            _ => self.head.state.fetch_or(DONE, Ordering::Release),
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

    /// Drops an outcome that nobody will take.
    ///
    /// # Safety
    ///
    /// The task is done and the caller the only one left to look at its body.
    unsafe fn discard(&self) {
        // SAFETY: exclusive by the contract.
        let unwanted = match unsafe { self.replace(Body::Nothing) } {
            Body::Result(result) if needs_drop::<T>() => catch_unwind(AssertUnwindSafe(|| drop(result))),
            Body::Panic(payload) => Err(*payload),
            _ => Ok(()),
        };
        if let Err(payload) = unwanted {
            self.head.home.panicked(payload);
        }
    }

    unsafe fn take(this: NonNull<()>, place: *mut ()) {
        // SAFETY: alive by the handle's count.
        let task = unsafe { this.cast::<Self>().as_ref() };
        // SAFETY: done, and the handle has the only right to the outcome.
        let outcome = match unsafe { task.replace(Body::Nothing) } {
            Body::Result(result) => Ok(result),
            Body::Panic(payload) => Err(JoinError::panicked(*payload)),
            Body::Cancelled => Err(JoinError::Cancelled),
            Body::Closure(_) | Body::Nothing => unreachable!("a finished task has its outcome until it is taken"),
        };
        // SAFETY: the place is for a value of this type, by the table's contract.
        unsafe { place.cast::<Result<T, JoinError>>().write(outcome) };
    }

    unsafe fn free(this: NonNull<()>) {
        // SAFETY: made by `slab::put` in `new`, and nobody is left.
        unsafe { slab::remove(this.cast::<Self>()) };
    }
}

impl<H> Head<H> {
    /// Takes the right to run it on that core, if nobody has.
    fn take_claim(&self, core: usize) -> bool {
        let mut state = self.state.load(Ordering::Relaxed);
        while state & CLAIMED == 0 {
            // Relaxed: it decides who, as in `claim`. The loser of the claim touches nothing, and whoever loses against a drop
            // tries again.
            let claimed = state | claimed_on(core);
            match self.state.compare_exchange(state, claimed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer) => state = newer,
            }
        }
        false
    }
}
