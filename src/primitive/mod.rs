//! The only door to the world of threads and shared memory: std, parking_lot and crossbeam in the library, loom or shuttle
//! in the models. Nothing above this module names `std::sync::atomic`, `std::thread` or `parking_lot`, or looks at std's
//! clock (a test greps for it), so a protocol cannot use a primitive that the models do not see.
//!
//! All of them offer the same names with the same meaning; what differs is said where it does.

#[cfg(not(purloin_model))]
mod real;
#[cfg(not(purloin_model))]
pub use real::*;

#[cfg(not(purloin_loom))]
mod plain;
#[cfg(not(purloin_loom))]
pub use plain::*;

#[cfg(purloin_model)]
mod locks;
#[cfg(purloin_model)]
mod model;
#[cfg(purloin_model)]
mod standin;
#[cfg(purloin_model)]
pub use locks::{Mutex, RawLock, RwLock, RwLockReadGuard, RwLockWriteGuard, lets_readers_in, raw_of};
#[cfg(purloin_model)]
pub use model::*;
#[cfg(purloin_model)]
pub use standin::{Bug, Deque, Injector, Stealer};

#[cfg(purloin_loom)]
mod atomic;
#[cfg(purloin_loom)]
mod in_loom;
#[cfg(purloin_loom)]
mod policy;
#[cfg(purloin_loom)]
mod site;
#[cfg(purloin_loom)]
pub(crate) use ::loom as raw;
#[cfg(purloin_loom)]
pub use in_loom::*;
#[cfg(purloin_loom)]
use in_loom::{look_until, paused};
#[cfg(purloin_loom)]
use model::seeded_flaw;

#[cfg(purloin_shuttle)]
mod in_shuttle;
#[cfg(purloin_shuttle)]
pub(crate) use ::shuttle as raw;
#[cfg(purloin_shuttle)]
pub use in_shuttle::*;
#[cfg(purloin_shuttle)]
use in_shuttle::{look_until, paused};

mod anew;
mod number;
use anew::Anew;
pub use number::{name_of_thread, number_of_lock, thread_number};

pub use std::sync::Arc;
pub use std::sync::atomic::Ordering;

/// A mistake in a protocol that can be built in on request, so that the models can show that they would find it: see
/// [`seeded`]. Outside the models it is a constant `false`, and the mistake is not compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// None here: the mistake is in what the model does with this library.
    #[cfg(purloin_model)]
    OfTheUser,
    /// None here either: loom is shown no races but those that it sees by itself.
    #[cfg(purloin_loom)]
    Unmarked,
    /// `Seat::grant` publishes nothing: a relaxed store.
    GrantRelaxed,
    /// `Latch::set` uses the latch after the swap that sets it.
    LatchTouchedAfterSet,
    /// `Latch::set` uses the waiter after telling it the verdict.
    WaiterTouchedAfterVerdict,
    /// `Latch::set` publishes nothing: a relaxed swap.
    LatchSetRelaxed,
    /// `Latch::set` does not wake a parked waiter to whom it gives a job back.
    ReturnedWithoutWake,
    /// `Latch::retract` writes without looking whether the latch was set meanwhile.
    RetractedByStore,
    /// `Ticket::claim` looks, then writes.
    ClaimByLoadAndStore,
    /// `Ticket::release` drops a count without ordering the uses before it.
    ReleaseRelaxed,
    /// A retired chunk is left with a count of values that nobody removes.
    ChunkLeftOpen,
    /// Removing a value from a chunk does not order its use before the chunk's end.
    ChunkCountRelaxed,
    /// A task's entry leaves the result to a handle that leaves it to the entry.
    ResultLeftToHandle,
    /// A task's entry frees the task though its handle is left.
    EntryFreesEarly,
    /// A task's entry claims it by looking and then writing, which also undoes what others wrote.
    TaskClaimedByStore,
    /// `Worker::replenish` clears demand after it has shared.
    DemandClearedLate,
    /// `Worker::replenish` looks how much is shared before it clears demand.
    SharedCountedEarly,
    /// `Worker::share_all` clears demand after it has shared.
    DemandClearedByAll,
    /// An owner whose private end is full shares no more than one that is asked to.
    FullEndKeepsAll,
    /// A thief whose closure panicked does not set the fork's latch.
    PanicLeavesLatch,
    /// A fork is put into the shared end before its shared part is written.
    PublishedUnshared,
    /// A fork that a waiting thread took and was not to run can be run by its owner alone.
    ReturnedToOwnerAlone,
    /// A waiting thread runs whatever it finds at its thief's.
    HelpsUnrelated,
    /// A thread that goes to sleep does not look at the injector again.
    InjectorForgotten,
    /// A thread that goes to sleep does not look at the cores' shared ends again.
    SharedEndsForgotten,
    /// `Registry::work_appeared` looks for sleepers without a fence after the publishing.
    WakerWithoutFence,
    /// A producer looks for sleepers before it publishes, and not after it.
    WakesBeforePublishing,
    /// `Registry::after_release` looks for work without a fence after the release.
    SleeperWithoutFence,
    /// Who gives up a core does not ask the others to share.
    ReleaserAsksNobody,
    /// A searcher that found work does not make up for wakes left out for its sake.
    FinderLooksAway,
    /// A searcher that found work looks at the other queues without a fence after it stopped.
    FinderWithoutFence,
    /// Nobody looks for the work that was left to a thread that could not be started.
    StartFailureForgotten,
    /// A thread that gives up its core keeps its private forks.
    HandOverForgetsPrivate,
    /// A core that is given up goes to nobody, though a thread waits for one to go on.
    GiveIgnoresResuming,
    /// A thread from outside that waits for a task is not granted a core when nobody else can run it.
    StandInForgotten,
    /// An outside caller is not entered among the callers.
    CallerForgotten,
    /// A guest leaves without giving its core up.
    GuestKeepsCore,
    /// A caller whose region was run leaves without the core that it was granted meanwhile.
    GrantLeftBehind,
    /// A caller that hangs up does not look whether the pool can end now.
    HangsUpSilently,
    /// A thread that waits for a core of one pool keeps those of others.
    WaitsHoldingCores,
    /// A thread that gave its core up for as long as it blocks takes one when something within that ends.
    CoreTakenBackWithin,
    /// A thread that blocks keeps the cores that it holds in the pools around the innermost.
    OuterCoresKept,
    /// A thread that comes for more of a scope's tasks does not tell how many have ended.
    EndsUntold,
    /// A scope's task that panicked is not counted as ended.
    PanicUncounted,
    /// Who consumed a scope's offer says so only after the look at the queue.
    OfferClearedLate,
    /// Who consumed a scope's offer says so without a look at what has been pushed meanwhile.
    OfferClearedBlind,
    /// Who drops a scope's offer does so though a task has been pushed meanwhile.
    OfferDroppedBlind,
    /// The end of tasks is counted without a look at what was pushed within them.
    EndCountedUnlooked,
    /// A scope's own thread pushes a task without publishing it: a relaxed addition.
    PushRelaxed,
    /// A scope's own thread pushes into slots from which nobody has taken yet.
    SlotReusedEarly,
    /// Who consumed a scope's offer and left tasks does not offer them again.
    OfferNotRepeated,
    /// A scope's offer is cancelled like a task, though tasks are left.
    OfferCancelled,
    /// A scope's task is counted as ended before its entry, and perhaps its result, is dropped.
    EndedEarly,
    /// A task that is submitted while the pool ends stays in the injector.
    SubmittedTooLate,
    /// A pool ends while a thread that gave up its core is to come back.
    EndsWhileAway,
    /// The last thread of a pool does not tell those who wait for it.
    WatcherForgotten,
    /// Who has waited for a pool's end stays listed as waiting for it.
    WatcherStays,
    /// Who drops a pool's last handle on one of its threads waits for these.
    WaitsForItself,
    /// A core that is given up is not counted as given.
    GivesUncounted,
    /// No core is ever lent.
    NothingLent,
    /// A thread that is lent a core stays listed as waiting for one.
    BorrowerStaysListed,
    /// A lent core that comes back stays counted as lent.
    LentCoreStaysLent,
    /// A thread whose nap ends with a core stays listed as asleep.
    NapperLeftAsleep,
    /// A wake is left to a napper without another look whether it still naps.
    NapperTakenForAsleep,
    /// Work that somebody may be blocked on is left to a napper.
    TaskLeftToNapper,
    /// A nap ends without a look whether a wake was left out for its sake.
    NapEndsBlindly,
    /// A thread that was in its hook is not counted as searching again.
    HookCountedOut,
    /// The next thread has a name, and nobody can tell that it may be started.
    NameUntold,
    /// A loop's first failure is noted by looking and then writing.
    FailureByStore,
    /// Items that are done are counted by looking and then writing.
    CountedByStore,
    /// A semaphore's waiter enters the line without marking the word, so that a release does not look there.
    WaitsUnmarked,
    /// A semaphore's release publishes nothing: a relaxed addition.
    PermitReleasedRelaxed,
    /// Permits are added to a semaphore's total by looking and then writing.
    TotalByStore,
    /// A waiter that gives up gives back what it never had.
    LeaverGivesBack,
    /// A waiter that gives up leaves its call in the line.
    LeaverStaysInLine,
    /// A waiter that gives up does not look whether those behind it can go on now.
    LeaverServesNobody,
    /// A waiter that was served while it gave up takes itself for one that was not.
    ServedTakenForLate,
    /// A primitive that lets all go on who wait for it answers one.
    AnswersOne,
    /// A primitive takes those who wait out of the line before the change that they wait for.
    WakesBeforeChange,
    /// The change that threads wait for publishes nothing: it is relaxed.
    ChangeRelaxed,
    /// A thread enters the line without another look at what it waits for, under the lock.
    EntersUnlooked,
    /// A segment of a queue is used again while a value is read from it.
    SegmentReusedEarly,
    /// A value's stamp in a queue does not publish the value.
    StampRelaxed,
    /// A queue's tail is looked at before its head, for how many values there are.
    TailSeenFirst,
    /// An initialiser that panics answers nobody.
    PanicForgetsWaiters,
    /// A thread that blocks on a lock keeps its core.
    LockKeepsCore,
    /// A thread that finds a lock taken gives its core up at once.
    BlocksUnlooked,
    /// A thread that unlocks stays noted as the holder.
    HolderNotCleared,
    /// The wait-for graph is searched for a cycle before the new edge is in it.
    CycleSoughtFirst,
    /// A thread that blocks does not show what it has locked for reading.
    ReadsUnshown,
    /// A cycle that is not settled yet is taken for none.
    UnsettledIsNone,
    /// A waiter of a condition variable unlocks the mutex before it is entered.
    UnlocksBeforeEntering,
    /// A waiter of a monitor whose condition does not hold, or no longer matters, leaves the others uncalled.
    MonitorKeepsCall,
    /// A runner that finds no item counts itself out a moment later.
    RunnerLeavesLate,
    /// An outcome is put in its place, and the consumer, who waits for it, not told.
    ConsumerForgotten,
    /// A runner is dropped, and the consumer, who waits for an outcome, not told.
    DroppedUntold,
    /// A consumer that looked whether it had better run an item begins the next one, though somebody has come before it.
    HelpsAhead,
    /// A consumer to whom it is shown that the pool has nobody for its items waits on.
    ConsumerStarves,
}

/// Publishes something, and then tells those who may sleep for want of it.
#[inline(always)]
pub fn publish_and_tell(publish: impl FnOnce(), tell: impl FnOnce()) {
    if seeded(Flaw::WakesBeforePublishing) {
        tell();
        publish();
    } else {
        publish();
        tell();
    }
}

/// What a look into a shared queue found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steal<T> {
    /// Nothing was there.
    Empty,
    /// The oldest element, now the caller's.
    Success(T),
    /// Another thread was faster; there may be more.
    Retry,
}

/// All live values of a kind in this process, for threads that know no more of one than its number. The models do not
/// explore its lock, which is held for no longer than it takes to look at the list.
#[derive(Debug)]
pub struct Roster<T> {
    live: Anew<Vec<(u64, std::sync::Weak<T>)>>,
    last: std::sync::atomic::AtomicU64,
}

impl<T: Send + Sync> Roster<T> {
    /// An empty list.
    pub const fn new() -> Self {
        Roster { live: Anew::new(), last: std::sync::atomic::AtomicU64::new(0) }
    }

    /// Enters a value, and gives it a number that no other has had. Relaxed: it orders nothing.
    pub fn add(&self, value: std::sync::Weak<T>) -> u64 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        self.live.with(|live| live.push((number, value)));
        number
    }

    /// Takes out the value of that number.
    pub fn remove(&self, number: u64) {
        self.live.with(|live| live.retain(|&(other, _)| other != number));
    }

    /// The value of that number, if it is still alive, and was entered in this process.
    pub fn find(&self, number: u64) -> Option<Arc<T>> {
        self.live.with(|live| live.iter().find(|&&(other, _)| other == number).and_then(|(_, value)| value.upgrade()))
    }
}

/// An event counter. Its value orders nothing and no protocol reads it, so it is not a modelled primitive: in the models
/// too it is a plain relaxed atomic, which keeps statistics out of the state that loom explores.
#[derive(Default, Debug)]
pub struct Counter(std::sync::atomic::AtomicU64);

impl Counter {
    /// Adds one. For a counter with a single writer at a time: a load and a store, no read-modify-write.
    #[inline]
    pub fn bump(&self) {
        let now = self.0.load(Ordering::Relaxed);
        self.0.store(now.wrapping_add(1), Ordering::Relaxed);
    }

    /// The count now; other threads may be adding to it.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
