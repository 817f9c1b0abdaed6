//! A latch: set once by the thread that ends a job, waited for by one thread, and free to disappear the moment it is set.

use crate::primitive::{Alive, Arc, AtomicPtr, AtomicUsize, Flaw, Ordering, fork_generation, seeded};
use crate::seat::Seat;
use std::ptr;

/// One event with one waiter.
///
/// States of the word:
///
/// | value | meaning |
/// |---|---|
/// | null | open, nobody is parked |
/// | a [`Waiter`]'s address | open, that waiter has announced itself |
/// | 1 | done |
/// | 2 | returned: whoever took the job gave it back unrun, its owner must run it |
///
/// A latch often lives on the stack frame of the thread that waits for it. That thread goes on as soon as it sees the
/// latch set, so the setter must not touch the latch after the one swap that sets it, nor a waiter after telling it.
#[derive(Debug)]
pub struct Latch {
    word: AtomicPtr<Waiter>,
    alive: Alive,
}

/// What became of the job behind a latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It ended.
    Done,
    /// It was given back unrun.
    Returned,
}

impl Verdict {
    const fn word(self) -> usize {
        match self {
            Verdict::Done => 1,
            Verdict::Returned => 2,
        }
    }

    fn from_word(word: usize) -> Option<Verdict> {
        match word {
            1 => Some(Verdict::Done),
            2 => Some(Verdict::Returned),
            _ => None,
        }
    }
}

/// A parked thread's record, on its own stack. Once announced it stays until `verdict` is given.
#[derive(Debug)]
pub struct Waiter {
    seat: Arc<Seat>,
    verdict: AtomicUsize,
    /// The process in which it was made.
    fork_generation: usize,
    alive: Alive,
}

impl Waiter {
    /// A record for the thread that parks on `seat`.
    pub fn new(seat: Arc<Seat>) -> Self {
        Waiter { seat, verdict: AtomicUsize::new(0), fork_generation: fork_generation(), alive: Alive::new() }
    }

    /// The verdict, once it was given.
    pub fn verdict(&self) -> Option<Verdict> {
        // Acquire pairs with the Release in `Latch::set`: the job's result, and the setter's last use of this record,
        // happened before.
        Verdict::from_word(self.verdict.load(Ordering::Acquire))
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.alive.end();
    }
}

impl Latch {
    /// An open latch.
    pub fn new() -> Self {
        Latch { word: AtomicPtr::new(ptr::null_mut()), alive: Alive::new() }
    }

    /// The verdict, if the latch is set. A thread that has announced itself asks its [`Waiter`] instead.
    pub fn verdict(&self) -> Option<Verdict> {
        // Acquire pairs with the Release half of the swap in `set`: the job's result is visible.
        Verdict::from_word(self.word.load(Ordering::Acquire).addr())
    }

    /// Announces that the thread behind `waiter` is about to park; `Err` tells that the latch was set meanwhile.
    ///
    /// After `Ok` the waiter must stay where it is until it has its verdict, or was retracted.
    pub fn announce(&self, waiter: &Waiter) -> Result<(), Verdict> {
        let record = ptr::from_ref(waiter).cast_mut();
        // Release on success pairs with the Acquire half of the swap in `set`, which reads the record. Acquire on
        // failure pairs with its Release half, as in `verdict`.
        match self.word.compare_exchange(ptr::null_mut(), record, Ordering::Release, Ordering::Acquire) {
            Ok(_) => Ok(()),
            Err(word) => match Verdict::from_word(word.addr()) {
                Some(verdict) => Err(verdict),
                None => unreachable!("a latch has one waiter"),
            },
        }
    }

    /// Takes an announcement back, for a thread that waits no longer. `false` if the latch was set meanwhile: then the waiter
    /// gets its verdict, and must wait for it.
    pub fn retract(&self, waiter: &Waiter) -> bool {
        let record = ptr::from_ref(waiter).cast_mut();
        if seeded(Flaw::RetractedByStore) {
            self.word.store(ptr::null_mut(), Ordering::Relaxed);
            return true;
        }
        // Relaxed: nobody has seen the record if it succeeds, and if it fails the verdict orders what follows.
        self.word.compare_exchange(record, ptr::null_mut(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Sets the latch and wakes its waiter.
    ///
    /// # Safety
    ///
    /// `this` points to a live latch that nobody else sets. It may be gone when this returns, and before.
    pub unsafe fn set(this: *const Latch, verdict: Verdict) {
        // SAFETY: alive until the swap below, by the contract.
        let latch = unsafe { &*this };
        latch.alive.touch();
        let set_to = ptr::without_provenance_mut(verdict.word());
        // Release pairs with the Acquire in `verdict` and in `announce`: the job's result is visible to the waiter.
        // Acquire pairs with the Release in `announce`: the waiter's record is visible here.
        let order = if seeded(Flaw::LatchSetRelaxed) { Ordering::Relaxed } else { Ordering::AcqRel };
        let waiter = latch.word.swap(set_to, order);
        if seeded(Flaw::LatchTouchedAfterSet) {
            latch.alive.touch();
        }
        // From here on the latch may be gone.
        debug_assert!(Verdict::from_word(waiter.addr()).is_none(), "a latch is set once");
        let forgotten = verdict == Verdict::Returned && seeded(Flaw::ReturnedWithoutWake);
        if !waiter.is_null() && !forgotten {
            // SAFETY: an announced waiter stays in place until it has its verdict, which only the store below gives.
            let waiter = unsafe { &*waiter };
            let seat = Arc::clone(&waiter.seat);
            // In a forked child its thread is not there, though it may hold the lock that an unpark takes; or it is this
            // one, and awake.
            let stayed_behind = waiter.fork_generation != fork_generation();
            waiter.alive.touch();
            // Release pairs with the Acquire in `Waiter::verdict`, and passes on what the swap acquired or made.
            waiter.verdict.store(verdict.word(), Ordering::Release);
            if seeded(Flaw::WaiterTouchedAfterVerdict) {
                waiter.alive.touch();
            }
            // From here on the waiter may be gone; the seat is held by our own count.
            if !stayed_behind {
                seat.unpark();
            }
        }
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.alive.end();
    }
}
