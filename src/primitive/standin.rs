//! crossbeam's deque and injector as the models see them: the same steps with the same orderings over modelled atomics,
//! since crossbeam itself is compiled against `core` and invisible to loom.
//!
//! Written line by line after crossbeam-deque 0.8.8, `src/deque.rs`, LIFO flavour. An ordering here is never stronger
//! than there: a stand-in that synchronises more than the real thing would hide bugs of the scheduler. What is left out:
//!
//! | crossbeam | here |
//! |---|---|
//! | the deque's ring grows, old rings are freed by epochs, a thief retries if the ring was exchanged | a fixed ring, a panic when full |
//! | the injector's slots lie in linked blocks, each slot used once, emptied blocks freed | one block, each slot used once, a panic when used up |
//! | a thief's `SeqCst` fence is that of its epoch pin (on x86 a `SeqCst` exchange) or, if pinned already, an explicit one | an explicit fence |
//! | a slot holds the item, read and written volatile: a data race that is tolerated, because the reader throws the value away unless its exchange succeeds | a relaxed atomic, so that loom tolerates it too |
//! | `compare_exchange_weak` fails spuriously | loom's never does |
//!
//! A slot holds not the item but its [ticket](Tickets). Vacant slots are thereby distinguishable, so an item whose write
//! is not visible to its taker is reported on the spot.
//!
//! loom treats `SeqCst` accesses as `AcqRel` ones; the fences count in full. crossbeam's argument needs no more of its
//! accesses than that (Le, Pop, Cohen, Zappa Nardelli: Correct and Efficient Work-Stealing for Weak Memory Models).

use super::Ordering::{Acquire, Relaxed, Release, SeqCst};
use super::{Arc, AtomicUsize, DEQUE_CAPACITY, INJECTOR_CAPACITY, Steal, fence, yield_now};
use std::array;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Mutex;

/// A mistake built in on request, so that the models can show that they would find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// `Deque::push` publishes the item without its `Release` fence.
    PushWithoutFence,
    /// `Deque::push` has a `Release` store in place of fence and `Relaxed` store. The plain stores with which `pop`
    /// moves `back` then publish nothing, though thieves may read them.
    PushByReleaseStore,
    /// `Deque::pop` looks at `front` without the fence that orders this after its claim on `back`.
    PopWithoutFence,
    /// `Deque::pop` takes the last item without an exchange of `front`.
    PopWithoutExchange,
    /// `Deque::pop` leaves `back` decremented when a thief got the last item.
    PopWithoutRestore,
    /// `Stealer::steal` looks at `back` without a fence after its look at `front`.
    StealWithoutFence,
    /// `Stealer::steal` moves `front` without checking that it is still where it was.
    StealWithoutExchange,
    /// `Stealer::is_empty` looks at `back` without a fence after its look at `front`.
    EmptyWithoutFence,
    /// `Stealer::len` takes a negative number for a large one.
    LengthBelowNone,
    /// `Injector::push` moves `tail` without checking that it is still where it was.
    InjectWithoutExchange,
    /// `Injector::push` marks the slot as written without releasing what it wrote.
    InjectWithoutRelease,
    /// `Injector::steal` looks at `tail` without a fence before.
    DrawWithoutFence,
    /// `Injector::steal` moves `head` without checking that it is still where it was.
    DrawWithoutExchange,
    /// `Injector::steal` reads the slot it claimed without waiting until it is written.
    DrawWithoutWait,
}

/// Whether a queue that was made with `made_with` has the mistake `bug`.
fn has(made_with: Option<Bug>, bug: Bug) -> bool {
    made_with == Some(bug)
}

/// The items by ticket. Kept under a mutex that loom does not see: it orders nothing in a model.
#[derive(Debug)]
struct Tickets<T>(Mutex<Vec<T>>);

/// In a slot that nothing was put into, as far as the reader can see.
const VACANT: usize = 0;

impl<T: Copy> Tickets<T> {
    fn new() -> Self {
        Tickets(Mutex::new(Vec::new()))
    }

    fn issue(&self, item: T) -> usize {
        let mut items = self.0.lock().unwrap();
        items.push(item);
        items.len()
    }

    fn redeem(&self, ticket: usize) -> T {
        assert_ne!(ticket, VACANT, "took an item whose write is not visible to the taker");
        self.0.lock().unwrap()[ticket - 1]
    }
}

/// What owner and thieves share. The items are those at `front..back`; the indices only matter by their difference, as
/// they wrap, and by their remainder, which is the slot.
#[derive(Debug)]
struct Ring<T> {
    /// The oldest item. Moves up only, by an exchange: who moves it has the item.
    front: AtomicUsize,
    /// Behind the youngest item. Written by the owner only.
    back: AtomicUsize,
    slots: [AtomicUsize; DEQUE_CAPACITY],
    tickets: Tickets<T>,
    bug: Option<Bug>,
}

impl<T> Ring<T> {
    fn slot(&self, index: usize) -> &AtomicUsize {
        &self.slots[index % DEQUE_CAPACITY]
    }
}

/// How many items lie between two indices: negative while `pop` claims one that is not there.
fn distance(front: usize, back: usize) -> isize {
    back.wrapping_sub(front) as isize
}

/// The owner's end: a stack. Not `Sync`, as in crossbeam: it has one user at a time.
#[derive(Debug)]
pub struct Deque<T> {
    ring: Arc<Ring<T>>,
    not_sync: PhantomData<Cell<()>>,
}

impl<T: Copy> Deque<T> {
    /// How many items fit in.
    pub const CAPACITY: usize = DEQUE_CAPACITY;

    /// An empty deque.
    pub fn new() -> Self {
        Self::build(None)
    }

    /// An empty deque with a mistake.
    pub fn seeded(bug: Bug) -> Self {
        Self::build(Some(bug))
    }

    fn build(bug: Option<Bug>) -> Self {
        let ring = Ring {
            front: AtomicUsize::new(0),
            back: AtomicUsize::new(0),
            slots: array::from_fn(|_| AtomicUsize::new(VACANT)),
            tickets: Tickets::new(),
            bug,
        };
        Deque { ring: Arc::new(ring), not_sync: PhantomData }
    }

    /// Adds the youngest item.
    pub fn push(&self, item: T) {
        let ring = &*self.ring;
        // Relaxed: the owner's own stores.
        let back = ring.back.load(Relaxed);
        // Acquire, with the thief's exchange of `front`: the thief has read the slot before it is written again.
        let front = ring.front.load(Acquire);
        assert!(
            distance(front, back) < DEQUE_CAPACITY as isize,
            "the modelled deque is full: it holds {DEQUE_CAPACITY} items (the real one grows)",
        );
        // Relaxed: published by the fence.
        ring.slot(back).store(ring.tickets.issue(item), Relaxed);
        let publish = match ring.bug {
            Some(Bug::PushByReleaseStore) => Release,
            _ => Relaxed,
        };
        if !has(ring.bug, Bug::PushWithoutFence) && !has(ring.bug, Bug::PushByReleaseStore) {
            // With the thief's Acquire load of `back`. A fence, not a Release store: it also publishes through the
            // later stores to `back` in `pop`.
            fence(Release);
        }
        ring.back.store(back.wrapping_add(1), publish);
    }

    /// Takes the youngest item.
    pub fn pop(&self) -> Option<T> {
        let ring = &*self.ring;
        // Relaxed, both: `back` is the owner's, and `front` only grows, so an old one cannot make a full deque empty.
        let back = ring.back.load(Relaxed);
        let front = ring.front.load(Relaxed);
        if distance(front, back) <= 0 {
            return None;
        }

        // The claim. Relaxed, here and below: ordered by the fence; and no item is published that was not before.
        let back = back.wrapping_sub(1);
        ring.back.store(back, Relaxed);
        if !has(ring.bug, Bug::PopWithoutFence) {
            // With the thief's fence in `steal`: either it sees the claim, or this sees how far the thieves are.
            fence(SeqCst);
        }
        let front = ring.front.load(Relaxed);

        let left = distance(front, back);
        if left < 0 {
            ring.back.store(back.wrapping_add(1), Relaxed);
            return None;
        }
        let ticket = ring.slot(back).load(Relaxed);
        if left > 0 {
            // Others are left: no thief comes as far as this one.
            return Some(ring.tickets.redeem(ticket));
        }
        // The last one: who moves `front` has it. SeqCst, of which AcqRel is used: Release, with the thieves' and
        // `push`'s Acquire loads of `front`.
        let won = has(ring.bug, Bug::PopWithoutExchange) || {
            let exchange = ring.front.compare_exchange(front, front.wrapping_add(1), SeqCst, Relaxed);
            exchange.is_ok()
        };
        if won || !has(ring.bug, Bug::PopWithoutRestore) {
            ring.back.store(back.wrapping_add(1), Relaxed);
        }
        won.then(|| ring.tickets.redeem(ticket))
    }

    /// How many items there are, as far as the owner can tell.
    pub fn len(&self) -> usize {
        // Orderings as in crossbeam. Nothing may be concluded from the number but that the deque was that full.
        let back = self.ring.back.load(Relaxed);
        let front = self.ring.front.load(SeqCst);
        distance(front, back).max(0) as usize
    }

    /// Whether there is none, as far as the owner can tell.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The thieves' end.
    pub fn stealer(&self) -> Stealer<T> {
        Stealer { ring: Arc::clone(&self.ring) }
    }
}

/// The thieves' end of a [`Deque`]: a queue.
#[derive(Debug)]
pub struct Stealer<T> {
    ring: Arc<Ring<T>>,
}

impl<T> Clone for Stealer<T> {
    fn clone(&self) -> Self {
        Stealer { ring: Arc::clone(&self.ring) }
    }
}

impl<T: Copy> Stealer<T> {
    /// Takes the oldest item.
    pub fn steal(&self) -> Steal<T> {
        let ring = &*self.ring;
        // Acquire, with the exchanges of `front` by other thieves and the owner.
        let front = ring.front.load(Acquire);
        if !has(ring.bug, Bug::StealWithoutFence) {
            // With the fence in `pop`: see there. In crossbeam it belongs to the epoch pin.
            fence(SeqCst);
        }
        // Acquire, with the fence in `push`: what lies before `back` is written.
        let back = ring.back.load(Acquire);
        if distance(front, back) <= 0 {
            return Steal::Empty;
        }
        // Relaxed: read before it is known to be the thief's, and dropped if it is not.
        let ticket = ring.slot(front).load(Relaxed);
        if has(ring.bug, Bug::StealWithoutExchange) {
            ring.front.store(front.wrapping_add(1), Relaxed);
        } else {
            // SeqCst, of which AcqRel is used: Release, with `push`'s Acquire load of `front`, ends the reading of the
            // slot; and with the next thief's load of `front`.
            let exchange = ring.front.compare_exchange(front, front.wrapping_add(1), SeqCst, Relaxed);
            if exchange.is_err() {
                return Steal::Retry;
            }
        }
        Steal::Success(ring.tickets.redeem(ticket))
    }

    /// Whether there seems to be none.
    pub fn is_empty(&self) -> bool {
        let ring = &*self.ring;
        let front = ring.front.load(Acquire);
        if !has(ring.bug, Bug::EmptyWithoutFence) {
            fence(SeqCst);
        }
        let back = ring.back.load(Acquire);
        distance(front, back) <= 0
    }

    /// How many there seem to be, for people to read.
    pub fn len(&self) -> usize {
        let distance = distance(self.ring.front.load(Relaxed), self.ring.back.load(Relaxed));
        if has(self.ring.bug, Bug::LengthBelowNone) {
            return distance as usize;
        }
        distance.max(0) as usize
    }
}

/// The bit of a slot's state that says that its item is there.
const WRITTEN: usize = 1;

#[derive(Debug)]
struct Slot {
    ticket: AtomicUsize,
    state: AtomicUsize,
}

/// A queue that any thread may put into and take from, first in first out.
#[derive(Debug)]
pub struct Injector<T> {
    /// The oldest item not yet claimed by a thief. Moves up only, by an exchange.
    head: AtomicUsize,
    /// The slot that the next item goes to. Moves up only, by an exchange: who moves it then writes the slot.
    tail: AtomicUsize,
    slots: [Slot; INJECTOR_CAPACITY],
    tickets: Tickets<T>,
    bug: Option<Bug>,
}

impl<T: Copy> Injector<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Self::build(None)
    }

    /// An empty queue with a mistake.
    pub fn seeded(bug: Bug) -> Self {
        Self::build(Some(bug))
    }

    fn build(bug: Option<Bug>) -> Self {
        Injector {
            head: AtomicUsize::new(0),
            tail: AtomicUsize::new(0),
            slots: array::from_fn(|_| Slot { ticket: AtomicUsize::new(VACANT), state: AtomicUsize::new(0) }),
            tickets: Tickets::new(),
            bug,
        }
    }

    /// Adds an item at the back.
    pub fn push(&self, item: T) {
        let slot = &self.slots[self.claim_tail()];
        // Relaxed: published by the bit.
        slot.ticket.store(self.tickets.issue(item), Relaxed);
        // Release, with the thief's Acquire load of the bit.
        let publish = if has(self.bug, Bug::InjectWithoutRelease) { Relaxed } else { Release };
        slot.state.fetch_or(WRITTEN, publish);
    }

    /// Moves `tail` on; the slot that it was at is the caller's to write.
    fn claim_tail(&self) -> usize {
        // Acquire, here and on failure: in crossbeam with the stores that link a new block.
        let mut tail = self.tail.load(Acquire);
        loop {
            assert!(
                tail < INJECTOR_CAPACITY,
                "the modelled injector is used up: it takes {INJECTOR_CAPACITY} items in all (the real one grows)",
            );
            if has(self.bug, Bug::InjectWithoutExchange) {
                self.tail.store(tail + 1, Relaxed);
                return tail;
            }
            // SeqCst, of which AcqRel is used: Release, with the SeqCst load in `is_empty`.
            match self.tail.compare_exchange_weak(tail, tail + 1, SeqCst, Acquire) {
                Ok(_) => return tail,
                Err(moved) => tail = moved,
            }
        }
    }

    /// How many items there seem to be. crossbeam looks at `tail` once more, until it stands still.
    pub fn len(&self) -> usize {
        let tail = self.tail.load(SeqCst);
        tail.saturating_sub(self.head.load(SeqCst))
    }

    /// Takes the oldest element; crossbeam's may move some that follow it to `deque`, as if stolen one by one.
    pub fn steal_some(&self, _deque: &Deque<T>) -> Steal<T> {
        self.steal()
    }

    /// Takes the oldest item.
    pub fn steal(&self) -> Steal<T> {
        // Acquire, with the exchange below by another thief.
        let head = self.head.load(Acquire);
        if !has(self.bug, Bug::DrawWithoutFence) {
            // With a fence of the caller's producer, between its push and its look for sleepers: this sees the item, or
            // the producer sees what the thief wrote before.
            fence(SeqCst);
        }
        // Relaxed: only compared. The item comes through its slot.
        let tail = self.tail.load(Relaxed);
        if head == tail {
            return Steal::Empty;
        }
        if has(self.bug, Bug::DrawWithoutExchange) {
            self.head.store(head + 1, Relaxed);
        } else if self.head.compare_exchange_weak(head, head + 1, SeqCst, Acquire).is_err() {
            return Steal::Retry;
        }
        let slot = &self.slots[head];
        if !has(self.bug, Bug::DrawWithoutWait) {
            // Acquire, with the bit's setting in `push`: the producer that moved `tail` is about to write.
            while slot.state.load(Acquire) & WRITTEN == 0 {
                yield_now();
            }
        }
        // Relaxed: the bit ordered it.
        let ticket = slot.ticket.load(Relaxed);
        // crossbeam marks the slot as read, for the freeing of its block.
        Steal::Success(self.tickets.redeem(ticket))
    }

    /// Whether there seems to be none.
    pub fn is_empty(&self) -> bool {
        // As in crossbeam. Only Acquire is modelled: a caller that needs the answer to be up to date has its own fence
        // before.
        let head = self.head.load(SeqCst);
        let tail = self.tail.load(SeqCst);
        head == tail
    }
}
