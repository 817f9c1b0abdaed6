//! What all tasks of a scope share, and the offers through which thieves find them.

use super::Payload;
use crate::bag::{Bag, Due, End};
use crate::error::discard;
use crate::job::{Helped, Job, JobRef, Kind, Lineage, same};
use crate::latch::{Latch, Verdict};
use crate::primitive::{Arc, AtomicUsize, Flaw, Mutex, Ordering, TrackedArc, seeded};
use crate::registry::Registry;
use crate::seat::Seat;
use crate::wait::{Awaited, Own, Thief};
use crate::worker::Worker;
use std::mem::ManuallyDrop;

/// A scope's tasks that nobody has begun are in its own bag, where the thread that waits for the scope finds them as
/// well as any thief. What goes into deques is an *offer*: a job that runs tasks of this bag until there are none. An
/// offer may outlive the scope, so it holds a count on this part, which is why it is on the heap.
#[repr(C)]
#[derive(Debug)]
pub struct Shared {
    offer: Job,
    lineage: Lineage,
    panic: Mutex<Option<Payload>>,
    /// Set when no task is pending any more.
    latch: Latch,
    /// A core on which tasks of the scope have been begun by a thief, plus one: a hint where to help.
    thief: AtomicUsize,
    registry: *const Registry,
    /// The worker that opened the scope, to be compared.
    opener: *const Worker,
    /// Last: it is padded, and so fills what it begins.
    bag: Bag,
}

// SAFETY: the pointers are followed only while the scope lasts, the registry's by threads that work for it, the lineage's
// by holders of an unfinished task, and the opener's never. All else is made of shareable parts.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

static OFFER: Kind = Kind { run: run_offer, help: help_offer, unmoor: same, cancel: cancel_offer };

impl Shared {
    /// What a scope begins with, on that worker.
    pub fn open(worker: &Worker) -> TrackedArc<Shared> {
        TrackedArc::new(Shared {
            offer: Job { kind: &OFFER },
            lineage: Lineage::below(worker.lineage()),
            bag: Bag::new(),
            panic: Mutex::new(None),
            latch: Latch::new(),
            thief: AtomicUsize::new(0),
            registry: worker.registry(),
            opener: worker,
        })
    }

    /// Runs what is left, waits until all tasks have ended, and gives the first panic.
    ///
    /// # Safety
    ///
    /// On the thread that opened the scope, whose worker this is; once.
    pub unsafe fn close(this: &TrackedArc<Shared>, worker: &Worker) -> Option<Payload> {
        // The one for the scope itself is counted now: what is left is pending until it has run.
        // SAFETY: the thread that opened it.
        unsafe { this.run_own(1) };
        if this.latch.verdict().is_none() {
            worker.wait_for(&Awaited {
                latch: &this.latch,
                lineage: &this.lineage,
                thief: Thief::in_own(&this.thief),
                own: Some(&**this),
            });
        }
        if this.bag.is_offered() {
            Shared::withdraw_offer(this);
        }
        this.panic.lock().take()
    }

    pub fn registry(&self) -> *const Registry {
        self.registry
    }

    /// The lineage of the scope's tasks.
    pub fn lineage(&self) -> *const Lineage {
        &raw const self.lineage
    }

    /// Adds a task, and makes an offer if there is none.
    #[inline]
    pub fn add(this: &TrackedArc<Shared>, task: JobRef) {
        if this.is_opener() {
            // SAFETY: see `is_opener`.
            if let Some(due) = unsafe { this.bag.add_own(task) } {
                Shared::see_to(this, due);
            }
        } else {
            Shared::see_to(this, this.bag.add(task));
        }
    }

    /// Whether this is the thread that opened the scope, and it works for the pool as it did then. While the scope lasts that
    /// worker is alive on that thread's stack, so no other has its address.
    #[inline]
    fn is_opener(&self) -> bool {
        Worker::current().is_some_and(|worker| std::ptr::eq(worker, self.opener))
    }

    #[cold]
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
    ///
    /// # Safety
    ///
    /// As for [`Bag::next`].
    unsafe fn drain(&self, end: End, mut task: Option<JobRef>, enough: impl Fn() -> bool) -> bool {
        if end == End::Old && task.is_some() {
            self.note_thief();
        }
        let mut ended = 0;
        while let Some(entry) = task {
            // SAFETY: taken out of the bag, so the right to it is ours.
            let ran = unsafe { (entry.kind().run)(entry) };
            let forgotten = seeded(Flaw::PanicUncounted) && self.panic.lock().is_some();
            ended += usize::from(ran && !forgotten);
            if enough() {
                // SAFETY: run here, and not told yet. An offer, which holds a count, is what stops early.
                unsafe { Shared::count_ended(self, ended) };
                return true;
            }
            // SAFETY: by the contract.
            let next = unsafe { self.bag.next(end, ended) };
            (task, ended) = (next.task, next.untold);
            if next.over {
                // SAFETY: this thread counted the last.
                unsafe { Shared::end(self) };
            }
        }
        false
    }

    /// Runs tasks as the scope's own thread, and tells whether there were any. `ended` is as for [`Bag::next`].
    ///
    /// # Safety
    ///
    /// Only on the thread that opened the scope.
    unsafe fn run_own(&self, ended: usize) -> bool {
        // SAFETY: by the contract.
        let next = unsafe { self.bag.next(End::Young, ended) };
        if next.over {
            // SAFETY: this thread counted the last.
            unsafe { Shared::end(self) };
        }
        let any = next.task.is_some();
        // SAFETY: by the contract.
        unsafe { self.drain(End::Young, next.task, || false) };
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

    /// Keeps a task's panic for the scope's end.
    pub fn panicked(&self, payload: Payload) {
        let mut first = self.panic.lock();
        let second = if first.is_none() { first.replace(payload) } else { Some(payload) };
        drop(first);
        // The first wins.
        if let Some(second) = second {
            discard(second);
        }
    }

    /// Counts tasks that have ended.
    ///
    /// # Safety
    ///
    /// They were not counted before. Unless a count is held, `this` may be gone afterwards.
    pub unsafe fn count_ended(this: *const Shared, ended: usize) {
        // SAFETY: alive until the tasks are counted.
        if unsafe { &*this }.bag.count_ended(ended) {
            // SAFETY: this thread counted the last.
            unsafe { Shared::end(this) };
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
        debug_assert!(self.is_opener(), "a scope is waited for where it was opened");
        // SAFETY: see `is_opener`.
        self.is_opener() && unsafe { self.run_own(0) }
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

/// Runs tasks until there are none, or until it is time to look at the injector, or to give the core back: then the rest is
/// offered again.
unsafe fn run_offer(job: JobRef) -> bool {
    // SAFETY: the entry is ours.
    let shared = unsafe { take_in(job) };
    let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
    let (task, more) = shared.bag.accept();
    if more && !seeded(Flaw::OfferNotRepeated) {
        Shared::offer(&shared);
    }
    // SAFETY: the old end is for all.
    if unsafe {
        shared.drain(End::Old, task, || worker.take_turn() || worker.is_in_the_way() || worker.holds_lent_core())
    } {
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
        // SAFETY: the old end is for all.
        unsafe { shared.drain(End::Old, task, || false) };
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
