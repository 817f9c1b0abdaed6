//! Scopes: any number of tasks that may borrow from the caller, all of them over when the scope is.

use crate::bag::{Bag, Due, End};
use crate::error::{JoinError, discard};
use crate::job::{Helped, Job, JobRef, Kind, Lineage, same};
use crate::latch::{Latch, Verdict};
use crate::primitive::{Arc, AtomicUsize, Flaw, Mutex, Ordering, TrackedArc, seeded};
use crate::registry::Registry;
use crate::seat::Seat;
use crate::task::{self, Handle, Home};
use crate::wait::{Awaited, Own, Thief};
use crate::worker::Worker;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

type Payload = Box<dyn Any + Send>;

/// A scope's tasks that nobody has begun are in its own queue, where the thread that waits for the scope finds them as
/// well as any thief. What goes into deques is an *offer*: a job that runs tasks of this queue until there are none. An
/// offer may outlive the scope, so it holds a count on this part, which is why it is on the heap.
#[repr(C)]
#[derive(Debug)]
struct Shared {
    offer: Job,
    lineage: Lineage,
    bag: Bag,
    panic: Mutex<Option<Payload>>,
    /// Set when no task is pending any more.
    latch: Latch,
    /// A core on which tasks of the scope have been begun by a thief, plus one: a hint where to help.
    thief: AtomicUsize,
    registry: *const Registry,
}

// SAFETY: the pointers are followed only while the scope lasts, the registry's by threads that work for it, the lineage's
// by holders of an unfinished task. All else is made of shareable parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

static OFFER: Kind = Kind { run: run_offer, help: help_offer, unmoor: same, cancel: cancel_offer };

impl Shared {
    /// Adds a task, and makes an offer if there is none.
    fn add(this: &TrackedArc<Shared>, task: JobRef) {
        Shared::see_to(this, this.bag.add(task));
    }

    fn see_to(this: &TrackedArc<Shared>, due: Due) {
        if due.offer {
            Shared::offer(this);
        }
        if let Some(opener) = due.opener {
            opener.unpark();
        }
    }

    /// Puts an offer where thieves see it.
    fn offer(this: &TrackedArc<Shared>) {
        // SAFETY: the count that goes with the entry keeps the head alive.
        let entry = unsafe { JobRef::new(TrackedArc::into_raw(TrackedArc::clone(this)).cast()) };
        // SAFETY: the scope lasts, so its pool does.
        let registry = unsafe { &*this.registry };
        match Worker::current().filter(|worker| std::ptr::eq(worker.registry(), registry)) {
            Some(worker) => worker.offer(entry),
            None => registry.inject(entry),
        }
    }

    /// Runs tasks that nobody has begun, beginning with `task`, until there are none or `enough` says so; tells whether it
    /// did.
    fn drain(&self, end: End, mut task: Option<JobRef>, enough: impl Fn() -> bool) -> bool {
        if end == End::Old && task.is_some() {
            self.note_thief();
        }
        let mut ended = 0;
        while let Some(entry) = task {
            // SAFETY: taken out of the bag, so the right to it is ours.
            ended += usize::from(unsafe { (entry.kind().run)(entry) });
            if enough() {
                self.count_ended(ended);
                return true;
            }
            let next = self.bag.next(end, ended);
            (task, ended) = (next.task, next.untold);
            if next.over {
                // SAFETY: this thread counted the last.
                unsafe { Shared::end(self) };
            }
        }
        false
    }

    /// Runs tasks as the scope's own thread, and tells whether there were any. `ended` is as for [`Bag::next`].
    fn run_own(&self, ended: usize) -> bool {
        let next = self.bag.next(End::Young, ended);
        if next.over {
            // SAFETY: this thread counted the last.
            unsafe { Shared::end(self) };
        }
        let any = next.task.is_some();
        self.drain(End::Young, next.task, || false);
        any
    }

    /// Sees to it that somebody comes for what is left in the bag.
    fn offer_rest(this: &TrackedArc<Shared>) {
        if let Some(due) = this.bag.leave() {
            Shared::see_to(this, due);
        }
    }

    /// Notes, for the thread that waits for the scope, where its tasks run. Relaxed: a hint.
    fn note_thief(&self) {
        if let Some(worker) = Worker::current() {
            self.thief.store(worker.core_index() + 1, Ordering::Relaxed);
        }
    }

    fn panicked(&self, payload: Payload) {
        let mut first = self.panic.lock();
        let second = if first.is_none() { first.replace(payload) } else { Some(payload) };
        drop(first);
        // The first wins.
        if let Some(second) = second {
            discard(second);
        }
    }

    /// Counts tasks that have ended, or the scope itself.
    ///
    /// The caller must hold a count, or be what keeps the scope.
    fn count_ended(&self, ended: usize) {
        if self.bag.count_ended(ended) {
            // SAFETY: this thread counted the last.
            unsafe { Shared::end(self) };
        }
    }

    /// Ends the scope's wait.
    ///
    /// # Safety
    ///
    /// Only by the thread that counted the last end. Unless a count is held, `this` may be gone afterwards.
    unsafe fn end(this: *const Shared) {
        // SAFETY: alive until the latch is set.
        let latch = unsafe { &raw const (*this).latch };
        // SAFETY: alive as before, and set once, by the contract.
        unsafe { Latch::set(latch, Verdict::Done) };
    }
}

impl Own for Shared {
    fn run_some(&self) -> bool {
        self.run_own(0)
    }

    fn leave_seat(&self, seat: &Arc<Seat>) {
        self.bag.leave_seat(seat);
    }

    fn is_called(&self) -> bool {
        self.bag.is_called()
    }
}

/// The count that an offer's entry stands for.
unsafe fn take_in(job: JobRef) -> TrackedArc<Shared> {
    // SAFETY: made by `TrackedArc::into_raw` in `Shared::offer`, used up once.
    unsafe { TrackedArc::from_raw(job.cast::<Shared>()) }
}

/// Runs tasks until there are none, or until it is time to look at the injector: then the rest is offered again.
unsafe fn run_offer(job: JobRef) -> bool {
    // SAFETY: the entry is ours.
    let shared = unsafe { take_in(job) };
    let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
    let (task, more) = shared.bag.accept();
    if more && !seeded(Flaw::OfferNotRepeated) {
        Shared::offer(&shared);
    }
    if shared.drain(End::Old, task, || worker.take_turn() || worker.is_in_the_way()) {
        Shared::offer_rest(&shared);
    }
    true
}

/// Runs tasks, if they descend from what is awaited, until there are none: the awaited job needs them all.
unsafe fn help_offer(job: JobRef, awaited: *const Lineage) -> Helped {
    // SAFETY: the entry is ours.
    let shared = unsafe { take_in(job) };
    let (task, more) = shared.bag.accept();
    let Some(unfinished) = task else { return Helped::Refused };
    // With an unfinished task in hand the scope lasts, and with it all that its lineage points to.
    let own = std::ptr::eq(&shared.lineage, awaited);
    // SAFETY: see above.
    if own || unsafe { shared.lineage.descends_from(awaited) } {
        if more {
            Shared::offer(&shared);
        }
        shared.drain(End::Old, task, || false);
        return Helped::Ran;
    }
    let due = shared.bag.put_back(unfinished);
    if let Some(opener) = due.opener {
        opener.unpark();
    }
    if !due.offer && !more {
        return Helped::Refused;
    }
    // SAFETY: the count that goes with the entry keeps the head alive.
    Helped::Requeue(unsafe { JobRef::new(TrackedArc::into_raw(shared).cast()) })
}

/// An offer of a scope with tasks stays: the thread that waits for the scope may be asleep.
unsafe fn cancel_offer(job: JobRef) -> Option<JobRef> {
    // SAFETY: the entry is ours.
    let shared = ManuallyDrop::new(unsafe { take_in(job) });
    if !shared.bag.drop_offer() && !seeded(Flaw::OfferCancelled) {
        return Some(job);
    }
    drop(ManuallyDrop::into_inner(shared));
    None
}

/// A scope's task belongs to the scope, which outlasts it.
#[derive(Clone, Copy)]
struct InScope(*const Shared);

// SAFETY: a scope is shared by all threads that run its tasks.
unsafe impl Send for InScope {}

impl InScope {
    fn shared(&self) -> &Shared {
        // SAFETY: the scope lasts until `ended` was called for each of its tasks, and a handle cannot leave it.
        unsafe { &*self.0 }
    }
}

impl Home for InScope {
    fn registry(&self) -> *const Registry {
        self.shared().registry
    }

    fn is_terminated(&self) -> bool {
        false
    }

    fn lineage(&self) -> *const Lineage {
        &raw const self.shared().lineage
    }

    fn panicked(&self, payload: Payload) {
        self.shared().panicked(payload);
    }

    fn panic_ignored(&self, payload: Payload) {
        self.shared().panicked(payload);
    }

    fn ended(&self) {
        let this = self.0;
        if self.shared().bag.count_ended(1) {
            // SAFETY: this thread counted the last.
            unsafe { Shared::end(this) };
        }
    }
}

/// Where tasks are spawned that may borrow from outside: see [`Pool::scope`](crate::Pool::scope).
///
/// The lifetimes are those of [`std::thread::Scope`]: `'scope` is that of the scope, `'env` that of what its tasks borrow.
pub struct Scope<'scope, 'env: 'scope> {
    shared: TrackedArc<Shared>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a task that may borrow what outlives the scope. It may itself spawn in the same scope.
    ///
    /// If the task panics and nobody joins its handle, the scope panics with the task's payload when all tasks have ended.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let words = ["work", "stealing"];
    /// let lengths = pool.scope(|s| {
    ///     let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word.len())).collect();
    ///     handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    /// });
    /// assert_eq!(lengths, [4, 8]);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn spawn<F, T>(&'scope self, closure: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (entry, handle) = task::new(closure, InScope(TrackedArc::as_ptr(&self.shared)));
        Shared::add(&self.shared, entry);
        ScopedJoinHandle { handle, scope: PhantomData }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// The right to the result of a task in a scope. Dropping it leaves the task to the scope's end.
pub struct ScopedJoinHandle<'scope, T> {
    handle: Handle<T, InScope>,
    scope: PhantomData<&'scope ()>,
}

impl<T: Send> ScopedJoinHandle<'_, T> {
    /// Waits for the task and gives its result, as [`JoinHandle::join`](crate::JoinHandle::join) does.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] with what the task panicked with.
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// Whether [`join`](ScopedJoinHandle::join) would return at once.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// A scope that is over takes its offer back, if that is the last thing that this thread has put into its shared end, so
/// that a thread that opens many scopes does not leave as many dead offers.
fn withdraw_offer(shared: &TrackedArc<Shared>) {
    let Some(worker) = Worker::current() else { return };
    let offer: *const Shared = TrackedArc::as_ptr(shared);
    if let Some(entry) = worker.withdraw(|job| std::ptr::eq(job.cast(), offer)) {
        // SAFETY: the entry is ours.
        drop(unsafe { take_in(entry) });
    }
}

/// Runs a scope: [`Pool::scope`](crate::Pool::scope) on a worker.
pub fn scope_on<'env, F, T>(worker: &Worker, body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        shared: TrackedArc::new(Shared {
            offer: Job { kind: &OFFER },
            lineage: Lineage::below(worker.lineage()),
            bag: Bag::new(),
            panic: Mutex::new(None),
            latch: Latch::new(),
            thief: AtomicUsize::new(0),
            registry: worker.registry(),
        }),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let shared = &*scope.shared;
    shared.run_own(0);
    // And the one for the scope itself.
    shared.run_own(1);
    if shared.latch.verdict().is_none() {
        worker.wait_for(&Awaited {
            latch: &shared.latch,
            lineage: &shared.lineage,
            thief: Thief::in_own(&shared.thief),
            own: Some(shared),
        });
    }
    if shared.bag.is_offered() {
        withdraw_offer(&scope.shared);
    }
    let panic = shared.panic.lock().take();
    match (result, panic) {
        (Ok(value), None) => value,
        (Ok(_), Some(payload)) => resume_unwind(payload),
        (Err(payload), second) => {
            // The first panic wins.
            if let Some(second) = second {
                discard(second);
            }
            resume_unwind(payload)
        }
    }
}
