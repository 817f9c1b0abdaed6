//! The split deque: a private end that its owner alone uses, without atomics, and a shared end that thieves steal from.

use crate::job::JobRef;
use crate::primitive::{AtomicUsize, CachePadded, Deque, Ordering, PRIVATE_CAPACITY, Steal, Stealer};
use std::cell::Cell;
use std::mem::MaybeUninit;

/// A worker's pending forks, oldest at the bottom. Indices count forks, not slots: the ring is addressed modulo its
/// capacity.
///
/// Below `bottom` all forks have been shared; from `bottom` to `top` they are private. A fork is private still exactly if
/// its index is not below `bottom`, so the return path of a join compares two numbers and reads no queue.
#[derive(Debug)]
pub struct PrivateEnd {
    top: Cell<usize>,
    bottom: Cell<usize>,
    slots: [Cell<MaybeUninit<JobRef>>; PRIVATE_CAPACITY],
}

const MASK: usize = PRIVATE_CAPACITY - 1;

impl PrivateEnd {
    /// An empty end.
    #[inline]
    pub fn new() -> Self {
        PrivateEnd {
            top: Cell::new(0),
            bottom: Cell::new(0),
            slots: [const { Cell::new(MaybeUninit::uninit()) }; PRIVATE_CAPACITY],
        }
    }

    /// Adds the youngest fork and tells its index. There must be room: see [`SharedEnd::full_at`].
    #[inline]
    pub fn push(&self, job: JobRef) -> usize {
        let index = self.top.get();
        self.slots[index & MASK].set(MaybeUninit::new(job));
        self.top.set(index + 1);
        index
    }

    /// Removes the fork of this index, the youngest, if it is private still.
    #[inline]
    pub fn pop(&self, index: usize) -> bool {
        debug_assert_eq!(index + 1, self.top.get(), "forks end in the reverse order of their beginning");
        let private = self.bottom.get() <= index;
        if private {
            self.top.set(index);
        }
        private
    }

    /// Takes the oldest private fork out, with its index, to share it.
    pub fn take_oldest(&self) -> Option<(usize, JobRef)> {
        let index = self.bottom.get();
        if index == self.top.get() {
            return None;
        }
        self.bottom.set(index + 1);
        // SAFETY: every slot from `bottom` to `top` was written by `push`.
        Some((index, unsafe { self.slots[index & MASK].get().assume_init() }))
    }

    /// Removes the fork of this index, the youngest, which was shared, and so were all below it.
    pub fn forget(&self, index: usize) {
        debug_assert_eq!((index + 1, index + 1), (self.top.get(), self.bottom.get()));
        self.top.set(index);
        self.bottom.set(index);
    }

    /// How many forks are private.
    pub fn len(&self) -> usize {
        self.top.get() - self.bottom.get()
    }

    /// The index of the next fork.
    pub fn top(&self) -> usize {
        self.top.get()
    }

    /// The index of the fork with which the private end is full.
    pub fn full_at(&self) -> usize {
        self.bottom.get() + PRIVATE_CAPACITY - 1
    }
}

/// A core's shared end, and the word through which thieves ask for more.
#[derive(Debug)]
pub struct SharedEnd {
    owner: Deque<JobRef>,
    stealer: CachePadded<Stealer<JobRef>>,
    /// The owner looks up from its work when it makes a fork whose index is not below this. Zero is *demand*: any fork
    /// will do. Otherwise it is the index with which the private end is full. Thieves write zero, the owner the rest.
    limit: CachePadded<AtomicUsize>,
}

/// The value of `limit` by which thieves ask for work.
const DEMAND: usize = 0;

impl SharedEnd {
    /// An empty end.
    pub fn new() -> Self {
        let owner = Deque::new();
        let stealer = CachePadded::new(owner.stealer());
        SharedEnd { owner, stealer, limit: CachePadded::new(AtomicUsize::new(DEMAND)) }
    }

    /// The owner's side.
    ///
    /// # Safety
    ///
    /// The calling thread holds the core, and stops using the reference when it gives the core up.
    #[inline]
    pub unsafe fn owner(&self) -> &Deque<JobRef> {
        &self.owner
    }

    /// Takes the oldest shared job, for whichever thread calls, and tells whether more is left. When nothing is, more is
    /// asked for: the owner refills ahead of need.
    pub fn steal(&self) -> Steal<(JobRef, bool)> {
        match self.stealer.steal() {
            Steal::Empty => {
                self.demand();
                Steal::Empty
            }
            Steal::Success(job) => {
                let more = !self.stealer.is_empty();
                if !more {
                    self.demand();
                }
                Steal::Success((job, more))
            }
            Steal::Retry => Steal::Retry,
        }
    }

    /// Whether there seems to be nothing.
    pub fn is_empty(&self) -> bool {
        self.stealer.is_empty()
    }

    /// How many jobs there seem to be.
    pub fn len(&self) -> usize {
        self.stealer.len()
    }

    /// Whether the owner has been asked to share, and has not yet.
    pub fn is_demanded(&self) -> bool {
        self.limit.load(Ordering::Relaxed) == DEMAND
    }

    /// Asks the owner to share at its next fork.
    pub fn demand(&self) {
        // Relaxed: a request is not lost, since the owner clears it before it shares, and a thief that gives up asking
        // to sleep meets the owner in the sleep handshake's fences. The load spares the owner's cache line.
        if self.limit.load(Ordering::Relaxed) != DEMAND {
            self.limit.store(DEMAND, Ordering::Relaxed);
        }
    }

    /// Whether the owner of a fork of this index is to look up.
    #[inline]
    pub fn looks_up_at(&self, index: usize) -> bool {
        index >= self.limit.load(Ordering::Relaxed)
    }

    /// The owner answers demand, if any: it shares next, and has room up to `full_at` until then.
    pub fn clear_demand(&self, full_at: usize) {
        self.limit.store(full_at, Ordering::Relaxed);
    }

    /// The owner's private end is full at that index now. Leaves a request standing.
    pub fn make_room(&self, full_at: usize) {
        let limit = self.limit.load(Ordering::Relaxed);
        if limit != DEMAND && limit != full_at {
            // Fails only if a thief has written demand meanwhile, which is to stay.
            let _ = self.limit.compare_exchange(limit, full_at, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}
