//! Room for the values of a queue, which is used again when they are gone.

use crate::primitive::{AtomicUsize, Flaw, Ordering, SEGMENT, UnsafeCell, seeded};
use std::mem::MaybeUninit;
use std::ptr::NonNull;

/// By so much an index grows from value to value: below it there is room for two flags.
pub const STEP: usize = 4;
/// And by so much from segment to segment.
pub const SPAN: usize = SEGMENT * STEP;

const FREE: usize = 0;
const FILLED: usize = 1;

/// Room for values of consecutive indices. It is used for others once all of them are gone, and lives as long as the queue: so
/// whoever comes late with a reference to it may look, and then fails to claim.
#[derive(Debug)]
pub struct Segment<T> {
    first: AtomicUsize,
    slots: [Slot<T>; SEGMENT],
}

/// Room for one value.
///
/// | `stamp` | meaning | written by |
/// |---|---|---|
/// | `FREE` | no value | who took the value out |
/// | index + `FILLED` | the value of that index | who put it in |
#[derive(Debug)]
pub struct Slot<T> {
    stamp: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// The first index of the segment that an index belongs to.
pub const fn first_of(index: usize) -> usize {
    index & !(SPAN - 1)
}

impl<T> Segment<T> {
    /// One that belongs to whoever has the pointer, and begins nowhere in particular.
    pub fn new() -> NonNull<Self> {
        // In its place: of large values a segment is too large for a stack.
        let mut segment = Box::<Self>::new_uninit();
        let place = segment.as_mut_ptr();
        // SAFETY: a part of the box.
        let first = unsafe { &raw mut (*place).first };
        // SAFETY: for writing, and nobody else knows of it.
        unsafe { first.write(AtomicUsize::new(0)) };
        // SAFETY: a part of the box.
        let slots = unsafe { &raw mut (*place).slots }.cast::<Slot<T>>();
        for index in 0..SEGMENT {
            let slot = slots.wrapping_add(index);
            // SAFETY: a part of the box: there are so many slots.
            let stamp = unsafe { &raw mut (*slot).stamp };
            // SAFETY: as above.
            unsafe { stamp.write(AtomicUsize::new(FREE)) };
            // SAFETY: as above.
            let value = unsafe { &raw mut (*slot).value };
            // SAFETY: as above.
            unsafe { value.write(UnsafeCell::new(MaybeUninit::uninit())) };
        }
        // SAFETY: all of it was written.
        NonNull::from(Box::leak(unsafe { segment.assume_init() }))
    }

    /// For those who have the lock: nobody else changes it.
    pub fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// From now on it is for the indices from that one on.
    ///
    /// # Safety
    ///
    /// It is new or [spent](Self::is_spent), and nobody else changes it: the caller has the lock on all of them.
    pub unsafe fn begin_at(&self, first: usize) {
        // Release pairs with the Acquire in `begins_at`.
        self.first.store(first, Ordering::Release);
    }

    /// Whether it is for the indices from that one on.
    #[inline]
    pub fn begins_at(&self, first: usize) -> bool {
        // Acquire pairs with the Release in `begin_at`: those who read what was in the slots before are done.
        self.first.load(Ordering::Acquire) == first
    }

    /// The slot of an index that it is for.
    #[inline]
    pub fn slot(&self, index: usize) -> &Slot<T> {
        &self.slots[index / STEP % SEGMENT]
    }

    /// Whether all its values have been taken out, where the head is at that index.
    pub fn is_spent(&self, head: usize) -> bool {
        let passed = head.wrapping_sub(self.first());
        // Acquire pairs with the Release in `Slot::take`: the value has been read.
        let free = |slot: &Slot<T>| slot.stamp.load(Ordering::Acquire) == FREE;
        (SPAN..=usize::MAX / 2).contains(&passed) && (seeded(Flaw::SegmentReusedEarly) || self.slots.iter().all(free))
    }
}

impl<T> Slot<T> {
    /// Whether the value of that index is in it.
    #[inline]
    pub fn holds(&self, index: usize) -> bool {
        // Acquire pairs with the Release in `put`: the value is there.
        self.stamp.load(Ordering::Acquire) == index | FILLED
    }

    /// Puts the value of that index in.
    ///
    /// # Safety
    ///
    /// The caller has claimed the index at the tail, when the segment was the one for it.
    #[inline]
    pub unsafe fn put(&self, index: usize, value: T) {
        // SAFETY: the index is this thread's, and nobody else looks at the value before the stamp says that it is there.
        // What was here before is gone: `Segment::is_spent`.
        self.value.with_mut(|place| unsafe { place.write(MaybeUninit::new(value)) });
        // Release pairs with the Acquire in `holds`.
        let order = if seeded(Flaw::StampRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        self.stamp.store(index | FILLED, order);
    }

    /// Takes the value out.
    ///
    /// # Safety
    ///
    /// The caller has claimed its index at the head, after the slot [held](Self::holds) it.
    #[inline]
    pub unsafe fn take(&self) -> T {
        // SAFETY: the claim, which nobody else has, was for what the stamp said is there, and no other value comes here before
        // the stamp says that this one is gone.
        let value = self.value.with(|place| unsafe { place.read() });
        // Release pairs with the Acquire in `is_spent`.
        self.stamp.store(FREE, Ordering::Release);
        // SAFETY: as above, it is there.
        unsafe { value.assume_init() }
    }
}
