//! Scopes: any number of tasks that may borrow from the caller, all of them over when the scope is.

use crate::error::JoinError;
use crate::job::{Helped, Job, JobRef, Kind, Lineage, NOBODY, same};
use crate::latch::{Latch, Verdict};
use crate::primitive::{Arc, AtomicUsize, Flaw, Mutex, Ordering, seeded};
use crate::registry::Registry;
use crate::task::{self, Handle, Home};
use crate::wait::Awaited;
use crate::worker::Worker;
use std::any::Any;
use std::collections::VecDeque;
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
    queue: Mutex<Queue>,
    /// Tasks that have not ended, and one for the scope itself.
    pending: AtomicUsize,
    /// Set when `pending` gets to zero.
    latch: Latch,
    /// A core on which tasks of the scope have been begun by a thief: a hint where to help.
    thief: AtomicUsize,
    registry: *const Registry,
}

#[derive(Debug)]
struct Queue {
    tasks: VecDeque<JobRef>,
    /// An offer is in some deque, or in the injector.
    offered: bool,
    panic: Option<Payload>,
}

// SAFETY: the pointers are followed only while the scope lasts, the registry's by threads that work for it, the lineage's
// by holders of an unfinished task. All else is made of shareable parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

static OFFER: Kind = Kind { run: run_offer, help: help_offer, unmoor: same, cancel: cancel_offer };

impl Shared {
    /// Takes the youngest task that nobody has begun. With `consumed`, for the thread that consumed an offer: the next one
    /// is due when a task comes, or now, if tasks are left.
    fn take(&self, consumed: bool) -> (Option<JobRef>, bool) {
        let mut queue = self.queue.lock();
        let task = queue.tasks.pop_back();
        let again = consumed && !queue.tasks.is_empty();
        if consumed && seeded(Flaw::OfferClearedLate) {
            drop(queue);
            self.queue.lock().offered = again;
        } else if consumed {
            queue.offered = again;
        }
        (task, again)
    }

    /// Adds a task, and offers the queue if it is not offered.
    fn add(this: &Arc<Shared>, task: JobRef) {
        let offered = {
            let mut queue = this.queue.lock();
            queue.tasks.push_back(task);
            std::mem::replace(&mut queue.offered, true)
        };
        if !offered {
            Shared::offer(this);
        }
    }

    /// Puts an offer where thieves see it.
    fn offer(this: &Arc<Shared>) {
        // SAFETY: the count that goes with the entry keeps the head alive.
        let entry = unsafe { JobRef::new(Arc::into_raw(Arc::clone(this)).cast()) };
        // SAFETY: the scope lasts, so its pool does.
        let registry = unsafe { &*this.registry };
        match Worker::current().filter(|worker| std::ptr::eq(worker.registry(), registry)) {
            Some(worker) => worker.offer(entry),
            None => registry.inject(entry),
        }
    }

    /// Runs one task that nobody has begun, if there is one.
    fn run_one(&self) -> bool {
        let (task, _) = self.take(false);
        if let Some(task) = task {
            // SAFETY: taken out of the queue, so the right to it is ours.
            unsafe { (task.kind().run)(task) };
        }
        task.is_some()
    }

    /// Runs tasks, beginning with `task`, until there are none or `enough` says so; tells whether it did.
    fn drain(&self, mut task: Option<JobRef>, enough: impl Fn() -> bool) -> bool {
        self.note_thief();
        while let Some(entry) = task {
            // SAFETY: taken out of the queue, so the right to it is ours.
            unsafe { (entry.kind().run)(entry) };
            if enough() {
                return true;
            }
            task = self.take(false).0;
        }
        false
    }

    /// Offers what is left in the queue, if it is not offered.
    fn offer_rest(self: &Arc<Shared>) {
        let mut queue = self.queue.lock();
        let due = !queue.tasks.is_empty() && !std::mem::replace(&mut queue.offered, true);
        drop(queue);
        if due {
            Shared::offer(self);
        }
    }

    /// Notes, for the thread that waits for the scope, where its tasks run. Relaxed: a hint.
    fn note_thief(&self) {
        if let Some(worker) = Worker::current() {
            self.thief.store(worker.core_index(), Ordering::Relaxed);
        }
    }

    fn panicked(&self, payload: Payload) {
        let mut queue = self.queue.lock();
        let second = if queue.panic.is_none() {
            queue.panic = Some(payload);
            None
        } else {
            Some(payload)
        };
        drop(queue);
        // The first wins. Dropping another's payload could panic in its turn.
        std::mem::forget(second);
    }

    /// One of those that `pending` counts has ended.
    ///
    /// # Safety
    ///
    /// Called once for each. `this` may be gone afterwards.
    unsafe fn ended(this: *const Shared) {
        // SAFETY: the scope lasts as long as what `pending` counts.
        let shared = unsafe { &*this };
        // AcqRel: whoever brings it to zero has seen all that the others did, and passes it on through the latch.
        if shared.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
            let latch = &raw const shared.latch;
            // SAFETY: the scope waits for the latch, which is set once, by the last.
            unsafe { Latch::set(latch, Verdict::Done) };
        }
    }
}

/// The count that an offer's entry stands for.
unsafe fn accept(job: JobRef) -> Arc<Shared> {
    // SAFETY: made by `Arc::into_raw` in `Shared::offer`, used up once.
    unsafe { Arc::from_raw(job.cast::<Shared>()) }
}

/// Runs tasks until there are none, or until it is time to look at the injector: then the rest is offered again.
unsafe fn run_offer(job: JobRef) {
    // SAFETY: the entry is ours.
    let shared = unsafe { accept(job) };
    let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
    let (task, more) = shared.take(true);
    if more && !seeded(Flaw::OfferNotRepeated) {
        Shared::offer(&shared);
    }
    if shared.drain(task, || worker.take_turn() || worker.is_in_the_way()) {
        shared.offer_rest();
    }
}

/// Runs tasks, if they descend from what is awaited, until there are none: the awaited job needs them all.
unsafe fn help_offer(job: JobRef, awaited: *const Lineage) -> Helped {
    // SAFETY: the entry is ours.
    let shared = unsafe { accept(job) };
    let (task, more) = shared.take(true);
    let Some(unfinished) = task else { return Helped::Refused };
    // With an unfinished task in hand the scope lasts, and with it all that its lineage points to.
    let own = std::ptr::eq(&shared.lineage, awaited);
    // SAFETY: see above.
    if own || unsafe { shared.lineage.descends_from(awaited) } {
        if more {
            Shared::offer(&shared);
        }
        shared.drain(task, || seeded(Flaw::HelperTakesOne));
        return Helped::Ran;
    }
    let mut queue = shared.queue.lock();
    queue.tasks.push_back(unfinished);
    let offered = std::mem::replace(&mut queue.offered, true);
    drop(queue);
    if offered && !more {
        return Helped::Refused;
    }
    // SAFETY: the count that goes with the entry keeps the head alive.
    Helped::Requeue(unsafe { JobRef::new(Arc::into_raw(shared).cast()) })
}

/// An offer of a scope with tasks stays: the thread that waits for the scope may be asleep.
unsafe fn cancel_offer(job: JobRef) -> Option<JobRef> {
    // SAFETY: the entry is ours.
    let shared = ManuallyDrop::new(unsafe { accept(job) });
    let mut queue = shared.queue.lock();
    if !queue.tasks.is_empty() && !seeded(Flaw::OfferCancelled) {
        return Some(job);
    }
    queue.offered = false;
    drop(queue);
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
        // SAFETY: once for each task, by the contract of `Home::ended`.
        unsafe { Shared::ended(self.0) };
    }
}

/// Where tasks are spawned that may borrow from outside: see [`Pool::scope`](crate::Pool::scope).
///
/// The lifetimes are those of [`std::thread::Scope`]: `'scope` is that of the scope, `'env` that of what its tasks borrow.
pub struct Scope<'scope, 'env: 'scope> {
    shared: Arc<Shared>,
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
        // Relaxed: the caller is part of the scope, so the count is not zero and cannot become so meanwhile.
        self.shared.pending.fetch_add(1, Ordering::Relaxed);
        let (entry, handle) = task::new(closure, InScope(Arc::as_ptr(&self.shared)));
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
fn withdraw_offer(shared: &Arc<Shared>) {
    let Some(worker) = Worker::current() else { return };
    let offer: *const Shared = Arc::as_ptr(shared);
    if let Some(entry) = worker.withdraw(|job| std::ptr::eq(job.cast(), offer)) {
        // SAFETY: the entry is ours.
        drop(unsafe { accept(entry) });
    }
}

/// Runs a scope: [`Pool::scope`](crate::Pool::scope) on a worker.
pub fn scope_on<'env, F, T>(worker: &Worker, body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope {
        shared: Arc::new(Shared {
            offer: Job { kind: &OFFER },
            lineage: Lineage::below(worker.lineage()),
            queue: Mutex::new(Queue { tasks: VecDeque::new(), offered: false, panic: None }),
            pending: AtomicUsize::new(1),
            latch: Latch::new(),
            thief: AtomicUsize::new(NOBODY),
            registry: worker.registry(),
        }),
        scope: PhantomData,
        env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    let shared = &*scope.shared;
    while shared.run_one() {}
    // SAFETY: the one for the scope itself.
    unsafe { Shared::ended(shared) };
    if shared.latch.verdict().is_none() {
        let own = || shared.run_one();
        worker.wait_for(&Awaited {
            latch: &shared.latch,
            lineage: &shared.lineage,
            thief: &shared.thief,
            own: Some(&own),
        });
    }
    let (offered, panic) = {
        let mut queue = shared.queue.lock();
        (queue.offered, queue.panic.take())
    };
    if offered {
        withdraw_offer(&scope.shared);
    }
    match (result, panic) {
        (Ok(value), None) => value,
        (Ok(_), Some(payload)) => resume_unwind(payload),
        (Err(payload), second) => {
            // The first panic wins. Dropping the second's payload could panic in its turn.
            std::mem::forget(second);
            resume_unwind(payload)
        }
    }
}
