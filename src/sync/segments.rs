//! The values of a queue, in order of arrival: put in and taken out by any number of threads, without a lock.

use super::segment::{SPAN, STEP, Segment, first_of};
use crate::primitive::{AtomicPtr, AtomicUsize, CachePadded, Flaw, Mutex, Ordering, const_in_library, pause, seeded};
use std::collections::VecDeque;
use std::mem;
use std::ptr::{self, NonNull};

/// Values in order of arrival, of which there may be a bound. Each has an index; so have the two ends, `tail` that of the next
/// value to come, `head` that of the next to go.
///
/// An index stands in a word in steps of [`STEP`], below it flags:
///
/// | bit | in `tail` | in `head` | changed |
/// |---|---|---|---|
/// | 0, `CLOSED` | the end: no more values come | - | once |
/// | 1, `AWAITED` | somebody waits for a value | somebody waits for room | under the queue's lock |
/// | 2 and up | the index | the index | by who claims it |
#[derive(Debug)]
pub struct Segments<T> {
    tail: CachePadded<End<T>>,
    head: CachePadded<End<T>>,
    /// In steps; `usize::MAX` if there is no bound.
    capacity: usize,
    all: Mutex<All<T>>,
}

/// All segments.
#[derive(Debug)]
struct All<T> {
    /// In the order of their indices, without a gap.
    row: VecDeque<NonNull<Segment<T>>>,
    /// Those from which all has been taken out, the last one on top: its memory is warm.
    spent: Vec<NonNull<Segment<T>>>,
}

#[derive(Debug)]
struct End<T> {
    word: AtomicUsize,
    /// Where the index lies, or lay a moment ago; null before the first value.
    segment: AtomicPtr<Segment<T>>,
    /// Of the tail: where the head was when somebody looked.
    head_seen: AtomicUsize,
}

const CLOSED: usize = 1;
const AWAITED: usize = 2;
const FLAGS: usize = STEP - 1;

/// Why a value could not be put in, or none be taken out, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// For good.
    Closed,
    /// Full, or empty.
    NotNow,
}

// SAFETY: values go from thread to thread, each through one slot, which one thread at a time reaches. The pointers are to
// segments that this owns.
unsafe impl<T: Send> Send for Segments<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Segments<T> {}

const fn index_of(word: usize) -> usize {
    word & !FLAGS
}

impl<T> End<T> {
    const_in_library! {
        pub fn new() -> Self {
            End {
                word: AtomicUsize::new(0),
                segment: AtomicPtr::new(ptr::null_mut()),
                head_seen: AtomicUsize::new(0),
            }
        }
    }

    /// The segment that was this end's when it last moved on.
    #[inline]
    fn segment(&self) -> Option<&Segment<T>> {
        // Acquire pairs with the Release in `move_to`: the segment has been made.
        let segment = self.segment.load(Ordering::Acquire);
        // SAFETY: null, or a segment, which lives as long as `Segments` does, and so this.
        unsafe { segment.as_ref() }
    }

    fn move_to(&self, segment: NonNull<Segment<T>>) {
        // Release pairs with the Acquire in `segment`.
        self.segment.store(segment.as_ptr(), Ordering::Release);
    }
}

impl<T> All<T> {
    /// The first index that no segment in the row is for.
    fn due(&self) -> usize {
        // SAFETY: segments live as long as this.
        self.row.back().map_or(0, |last| unsafe { last.as_ref() }.first().wrapping_add(SPAN))
    }

    /// The segment in the row that begins at that index.
    fn find(&self, first: usize) -> Option<NonNull<Segment<T>>> {
        // SAFETY: segments live as long as this.
        let oldest = self.row.front().map(|oldest| unsafe { oldest.as_ref() }.first())?;
        self.row.get(first.wrapping_sub(oldest) / SPAN).copied()
    }

    /// Appends a segment to the row, where the head is at that index.
    fn extend(&mut self, head: usize) -> NonNull<Segment<T>> {
        let due = self.due();
        // SAFETY: segments live as long as this.
        let spent = std::iter::from_fn(|| self.row.pop_front_if(|oldest| unsafe { oldest.as_ref() }.is_spent(head)));
        self.spent.extend(spent);
        let segment = self.spent.pop().unwrap_or_else(Segment::new);
        // SAFETY: segments live as long as this.
        let next = unsafe { segment.as_ref() };
        // SAFETY: spent or new, and the lock is what `self` is behind.
        unsafe { next.begin_at(due) };
        self.row.push_back(segment);
        segment
    }
}

impl<T> Segments<T> {
    const_in_library! {
        /// No values yet, and at most that many.
        pub fn new(capacity: usize) -> Self {
            Segments {
                tail: CachePadded::new(End::new()),
                head: CachePadded::new(End::new()),
                capacity: capacity.saturating_mul(STEP),
                all: Mutex::new(All { row: VecDeque::new(), spent: Vec::new() }),
            }
        }
    }

    /// Puts a value in at the tail. Tells whether somebody waits for one.
    #[inline]
    pub fn put(&self, value: T) -> Result<bool, (T, Refusal)> {
        loop {
            let word = self.tail.word.load(Ordering::Relaxed);
            if word & CLOSED != 0 {
                return Err((value, Refusal::Closed));
            }
            let index = index_of(word);
            if self.is_full_at(index) {
                return Err((value, Refusal::NotNow));
            }
            let Some(segment) = self.tail.segment().filter(|segment| segment.begins_at(first_of(index))) else {
                self.extend(index);
                continue;
            };
            // Relaxed: the stamp publishes the value. If this does not fail, the segment is still the one for the index.
            let claimed = self.tail.word.compare_exchange_weak(
                word,
                word.wrapping_add(STEP),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if claimed.is_ok() {
                // SAFETY: just claimed, and the segment is still the one for it: its values are not all gone before this one is.
                unsafe { segment.slot(index).put(index, value) };
                return Ok(word & AWAITED != 0);
            }
        }
    }

    /// Takes the oldest value out. Tells whether somebody waits for room.
    #[inline]
    pub fn take(&self) -> Result<(T, bool), Refusal> {
        let mut round = 0;
        loop {
            let word = self.head.word.load(Ordering::Relaxed);
            let index = index_of(word);
            let slot = self.head.segment().map(|segment| segment.slot(index));
            match slot.filter(|slot| slot.holds(index)) {
                Some(slot) => {
                    // Release pairs with the Acquire of those who compare the head with something else, as in `extend` and
                    // `len`. If this does not fail, no other thread has claimed the value, and so it is still there.
                    let (head, next) = (&self.head.word, word.wrapping_add(STEP));
                    if head.compare_exchange_weak(word, next, Ordering::Release, Ordering::Relaxed).is_ok() {
                        // SAFETY: just claimed, and the slot held it.
                        return Ok((unsafe { slot.take() }, word & AWAITED != 0));
                    }
                }
                None => self.look_further(index, round)?,
            }
            round += 1;
        }
    }

    /// Why there is no value at that index of the head. If there will be one, waits a little.
    #[cold]
    fn look_further(&self, index: usize, round: u32) -> Result<(), Refusal> {
        let tail = self.tail.word.load(Ordering::Relaxed);
        if index_of(tail) == index {
            return Err(if tail & CLOSED == 0 { Refusal::NotNow } else { Refusal::Closed });
        }
        let first = first_of(index);
        if self.head.segment().is_some_and(|segment| segment.begins_at(first)) {
            // Whoever claimed the index is about to put the value in, or another thread has it.
            pause(round);
            return Ok(());
        }
        let segment = self.all.lock().find(first);
        match segment {
            Some(segment) => self.head.move_to(segment),
            // Others have gone far beyond that index, or it was the tail that was seen where it was long ago.
            None => pause(round),
        }
        Ok(())
    }

    /// Makes room for values from that index of the tail on, the first of a segment.
    #[cold]
    fn extend(&self, index: usize) {
        let mut all = self.all.lock();
        if all.due() == index {
            // Acquire pairs with the Release in `take`: so the stamps of what was taken out are seen as they were then, or
            // later.
            let head = index_of(self.head.word.load(Ordering::Acquire));
            self.tail.move_to(all.extend(head));
        }
        // Else another thread was here before.
    }

    /// Whether there is no room for a value of that index.
    #[inline]
    fn is_full_at(&self, index: usize) -> bool {
        // The head only moves away from what was seen, so there is at least that much room.
        index.wrapping_sub(self.tail.head_seen.load(Ordering::Relaxed)) >= self.capacity && self.is_full_now(index)
    }

    #[cold]
    fn is_full_now(&self, index: usize) -> bool {
        let head = index_of(self.head.word.load(Ordering::Relaxed));
        self.tail.head_seen.store(head, Ordering::Relaxed);
        // If the head is beyond the index, the tail is, too: to claim it will fail.
        (self.capacity..=usize::MAX / 2).contains(&index.wrapping_sub(head))
    }

    /// Says in the tail that somebody waits for a value, if there is none and may yet be one.
    pub fn await_value(&self) -> bool {
        let head = index_of(self.head.word.load(Ordering::Relaxed));
        let tail = self.tail.word.load(Ordering::Relaxed);
        if seeded(Flaw::EntersUnlooked) {
            self.tail.word.fetch_or(AWAITED, Ordering::Relaxed);
            return true;
        }
        // Relaxed: who puts a value in later sees the mark, since both change this word. The exchange says that the tail is
        // where the head was seen, so the head still is there.
        tail & CLOSED == 0
            && index_of(tail) == head
            && self.tail.word.compare_exchange(tail, tail | AWAITED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Says in the head that somebody waits for room, if there is none and may yet be some.
    pub fn await_room(&self) -> bool {
        // Acquire pairs with the Release in `take`: the tail is not seen before the head, which would look full.
        let head = self.head.word.load(Ordering::Acquire);
        let tail = self.tail.word.load(Ordering::Relaxed);
        if seeded(Flaw::EntersUnlooked) {
            self.head.word.fetch_or(AWAITED, Ordering::Relaxed);
            return true;
        }
        // Relaxed: who takes a value out later sees the mark, since both change this word. The exchange says that the head is
        // where it was seen, and the tail is not before where it was.
        tail & CLOSED == 0
            && index_of(tail).wrapping_sub(index_of(head)) >= self.capacity
            && self.head.word.compare_exchange(head, head | AWAITED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Nobody waits for a value any more.
    pub fn no_value_awaited(&self) {
        self.tail.word.fetch_and(!AWAITED, Ordering::Relaxed);
    }

    /// Nobody waits for room any more.
    pub fn no_room_awaited(&self) {
        self.head.word.fetch_and(!AWAITED, Ordering::Relaxed);
    }

    /// From now on no value comes in.
    pub fn close(&self) {
        // Relaxed: who finds this sees, in the same word, which values came before.
        self.tail.word.fetch_or(CLOSED, Ordering::Relaxed);
    }

    /// Whether no value comes in any more.
    pub fn is_closed(&self) -> bool {
        self.tail.word.load(Ordering::Relaxed) & CLOSED != 0
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        let early = if seeded(Flaw::TailSeenFirst) { Some(self.tail.word.load(Ordering::Relaxed)) } else { None };
        // Acquire pairs with the Release in `take`: the tail is not seen before the head, so this is not negative.
        let head = index_of(self.head.word.load(Ordering::Acquire));
        let tail = index_of(early.unwrap_or_else(|| self.tail.word.load(Ordering::Relaxed)));
        tail.wrapping_sub(head).min(self.capacity) / STEP
    }

    /// How many values have come in, beyond that many, as far as this thread has heard.
    pub fn arrived_since(&self, number: usize) -> usize {
        index_of(self.tail.word.load(Ordering::Relaxed)).wrapping_sub(number.wrapping_mul(STEP)) / STEP
    }
}

impl<T> Drop for Segments<T> {
    fn drop(&mut self) {
        /// Goes on if the drop of a value panics.
        struct Rest<'a, T>(&'a Segments<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.take().is_ok() {}
                let all = mem::replace(&mut *self.0.all.lock(), All { row: VecDeque::new(), spent: Vec::new() });
                for segment in all.row.into_iter().chain(all.spent) {
                    // SAFETY: from `Segment::new`, and nobody has a reference to it any more.
                    drop(unsafe { Box::from_raw(segment.as_ptr()) });
                }
            }
        }
        let rest = Rest(self);
        while rest.0.take().is_ok() {}
    }
}
