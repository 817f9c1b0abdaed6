//! The tasks that a scope's own thread has spawned: that thread pushes without a lock, everybody takes under one.
//!
//! Pushing is one addition to a word, which also tells whether the pile is offered. So whoever wants to say that it is not
//! finds out, by one compare-exchange on that word, whether a task has come meanwhile.

use crate::job::JobRef;
use crate::primitive::{AtomicUsize, FIRST_RING, Flaw, Ordering, UnsafeCell, seeded};

/// What is pushed lies in a ring; the positions of its slots go on counting, and wrap.
///
/// The word:
///
/// | bits | meaning | written by |
/// |---|---|---|
/// | 0 | `OFFERED` | whoever has the lock |
/// | all above | the end of the ring: where the owner pushes next | the owner |
#[derive(Debug)]
pub struct Pile {
    word: AtomicUsize,
    /// Written by the owner under the lock; read by the owner, and by others under the lock.
    ring: UnsafeCell<Ring>,
}

/// An offer of the bag is in some deque, or in the injector, or about to be put there.
const OFFERED: usize = 1;
/// From one position to the next.
const STEP: usize = 2;

#[derive(Debug)]
struct Ring {
    /// A power of two of them, or none. A slot is written by the owner, at positions from the end to the limit, and read
    /// under the lock, at positions from the beginning to the end.
    slots: Box<[UnsafeCell<Option<JobRef>>]>,
    /// The owner pushes up to here without a look at where the ring begins.
    limit: usize,
}

/// The part of a pile that its lock guards.
#[derive(Debug)]
pub struct Begin {
    /// The position of the oldest task.
    head: usize,
    /// The end of the ring, as the last thread with the lock saw it.
    end: usize,
}

// SAFETY: who may read and write which part, and how that is ordered, is said at each; what is handed over is `Send`.
unsafe impl Sync for Pile {}

impl Ring {
    fn slot(&self, position: usize) -> &UnsafeCell<Option<JobRef>> {
        &self.slots[(position / STEP) & self.slots.len().wrapping_sub(1)]
    }
}

impl Begin {
    /// Of an empty pile.
    pub const fn new() -> Self {
        Begin { head: 0, end: 0 }
    }

    /// Tasks in the pile.
    pub fn len(&self) -> usize {
        self.end.wrapping_sub(self.head) / STEP
    }
}

/// In all of these, `begin` is the pile's own, and the caller has the lock that guards it. The owner is one thread.
impl Pile {
    /// An empty pile, which is not offered.
    pub fn new() -> Self {
        Pile { word: AtomicUsize::new(0), ring: UnsafeCell::new(Ring { slots: Box::new([]), limit: 0 }) }
    }

    /// Whether the owner can push without making room first.
    ///
    /// # Safety
    ///
    /// Only for the owner.
    #[inline]
    pub unsafe fn has_room(&self) -> bool {
        // Relaxed: the owner's own.
        let end = self.word.load(Ordering::Relaxed) & !OFFERED;
        // SAFETY: written by the owner only.
        self.ring.with(|ring| end != unsafe { &*ring }.limit)
    }

    /// Adds a task. Tells whether the pile is offered; if not, it is due.
    ///
    /// # Safety
    ///
    /// Only for the owner, and when there is room.
    #[inline]
    pub unsafe fn push(&self, task: JobRef) -> bool {
        // Relaxed: the owner's own.
        let end = self.word.load(Ordering::Relaxed) & !OFFERED;
        self.ring.with(|ring| {
            // SAFETY: written by the owner only.
            let ring = unsafe { &*ring };
            // SAFETY: below the limit, so nobody reads it before the addition.
            ring.slot(end).with_mut(|slot| unsafe { *slot = Some(task) });
        });
        // Release pairs with the Acquire in `look`: the slot, and the task. Whether it is offered is for the addition itself
        // to say: if it was then, `withdraw` fails afterwards.
        let order = if seeded(Flaw::PushRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        self.word.fetch_add(STEP, order) & OFFERED != 0
    }

    /// Sees how far the owner has pushed; tells by how much further than at the last look.
    pub fn look(&self, begin: &mut Begin) -> usize {
        // Acquire pairs with the Release in `push`.
        let end = self.word.load(Ordering::Acquire) & !OFFERED;
        let new = end.wrapping_sub(begin.end) / STEP;
        begin.end = end;
        new
    }

    /// The oldest task that was there at the last look.
    ///
    /// # Safety
    ///
    /// See above.
    pub unsafe fn take_oldest(&self, begin: &mut Begin) -> Option<JobRef> {
        if begin.len() == 0 {
            return None;
        }
        let head = begin.head;
        begin.head = head.wrapping_add(STEP);
        // SAFETY: between the beginning and the end, under the lock.
        unsafe { self.read(head) }
    }

    /// The youngest task.
    ///
    /// # Safety
    ///
    /// See above, and only for the owner, after a look.
    pub unsafe fn take_youngest(&self, begin: &mut Begin) -> Option<JobRef> {
        if begin.len() == 0 {
            return None;
        }
        begin.end = begin.end.wrapping_sub(STEP);
        // A load and a store, both relaxed: nobody else writes the word now, and whoever reads it next has the lock.
        let offered = self.word.load(Ordering::Relaxed) & OFFERED;
        self.word.store(begin.end | offered, Ordering::Relaxed);
        // SAFETY: it was the last, and the lock is held.
        unsafe { self.read(begin.end) }
    }

    /// What is at that position.
    ///
    /// # Safety
    ///
    /// Under the lock, for a position where something is.
    unsafe fn read(&self, position: usize) -> Option<JobRef> {
        self.ring.with(|ring| {
            // SAFETY: written under the lock only.
            let slot = unsafe { &*ring }.slot(position);
            // SAFETY: written before the end was moved past it, and next when the owner has seen under the lock that the
            // beginning has.
            slot.with(|slot| unsafe { *slot })
        })
    }

    /// Makes room for at least one more task.
    ///
    /// # Safety
    ///
    /// See above, and only for the owner, after a look.
    pub unsafe fn make_room(&self, begin: &Begin) {
        self.ring.with_mut(|ring| {
            // SAFETY: the owner writes it under the lock.
            let ring = unsafe { &mut *ring };
            let size = ring.slots.len();
            // Room for few is not worth the lock.
            if begin.len() >= size - size / 8 {
                let larger = (2 * size).max(FIRST_RING);
                let larger = Ring { slots: (0..larger).map(|_| UnsafeCell::new(None)).collect(), limit: 0 };
                for task in 0..begin.len() {
                    let position = begin.head.wrapping_add(task * STEP);
                    // SAFETY: between the beginning and the end, under the lock.
                    let task = ring.slot(position).with(|slot| unsafe { *slot });
                    // SAFETY: nobody else knows the larger ring yet.
                    larger.slot(position).with_mut(|slot| unsafe { *slot = task });
                }
                *ring = larger;
            }
            let from = if seeded(Flaw::SlotReusedEarly) { begin.end } else { begin.head };
            ring.limit = from.wrapping_add(ring.slots.len() * STEP);
        });
    }

    /// Whether it is offered.
    pub fn is_offered(&self) -> bool {
        self.word.load(Ordering::Relaxed) & OFFERED != 0
    }

    /// Notes, under the lock, that it is offered; tells whether it was.
    pub fn offer(&self) -> bool {
        // Relaxed: it decides who makes the offer.
        self.is_offered() || self.word.fetch_or(OFFERED, Ordering::Relaxed) & OFFERED != 0
    }

    /// Notes, under the lock, that it is not offered, unless a task was pushed since the last look: tells whether it did.
    pub fn withdraw(&self, begin: &Begin) -> bool {
        if seeded(Flaw::OfferClearedBlind) {
            self.word.fetch_and(!OFFERED, Ordering::Relaxed);
            return true;
        }
        let offered = begin.end | OFFERED;
        // Relaxed: all that the next push decides by is this word. A failure shows a push, which is looked at again.
        let swapped = self.word.compare_exchange(offered, begin.end, Ordering::Relaxed, Ordering::Relaxed);
        // It may not have been offered in the first place.
        swapped.map_or_else(|word| word == begin.end, |_| true)
    }
}
