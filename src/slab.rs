//! Memory for tasks: taken from the current thread's open chunk, given back on any thread.
//!
//! A task is small, short-lived, made on one thread and often freed on another: the case that general allocators are
//! slowest at. Here making one is a bump of a pointer and freeing it one subtraction from a count.

use crate::primitive::{Alive, AtomicUsize, CHUNK, Flaw, LARGEST_IN_CHUNK, Ordering, fence, seeded, thread_value};
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::NonNull;

/// The head of a chunk, at its beginning. A chunk is aligned to its size, so that the address of anything in it tells
/// where it begins.
#[derive(Debug)]
struct Chunk {
    /// Values not yet removed; as long as the chunk is open, `OPEN` more than were removed less than were put.
    live: AtomicUsize,
    alive: Alive,
}

/// More values than fit into any chunk.
const OPEN: usize = CHUNK;

/// One thread's open chunk: where the next value goes, and how many were put there.
#[derive(Debug)]
pub struct Slab {
    chunk: Cell<Option<NonNull<Chunk>>>,
    used: Cell<usize>,
    made: Cell<usize>,
}

impl Slab {
    /// No chunk yet.
    pub const fn new() -> Self {
        Slab { chunk: Cell::new(None), used: Cell::new(0), made: Cell::new(0) }
    }

    /// Room for a value.
    #[inline]
    pub fn take(&self, layout: Layout) -> NonNull<u8> {
        let start = self.used.get().next_multiple_of(layout.align());
        match self.chunk.get() {
            Some(chunk) if start + layout.size() <= CHUNK => {
                self.used.set(start + layout.size());
                self.made.set(self.made.get() + 1);
                // SAFETY: within the chunk.
                unsafe { chunk.cast::<u8>().add(start) }
            }
            _ => self.take_from_new(layout),
        }
    }

    #[cold]
    #[inline(never)]
    fn take_from_new(&self, layout: Layout) -> NonNull<u8> {
        self.retire();
        // SAFETY: the layout is not of size zero.
        let memory = unsafe { alloc(Chunk::LAYOUT) };
        let Some(chunk) = NonNull::new(memory.cast::<Chunk>()) else { handle_alloc_error(Chunk::LAYOUT) };
        // SAFETY: fresh memory of sufficient size and alignment.
        unsafe { chunk.write(Chunk { live: AtomicUsize::new(OPEN), alive: Alive::new() }) };
        self.chunk.set(Some(chunk));
        self.used.set(size_of::<Chunk>());
        self.made.set(0);
        self.take(layout)
    }

    /// Leaves the open chunk to those who have values in it.
    fn retire(&self) {
        if let Some(chunk) = self.chunk.take() {
            let made = if seeded(Flaw::ChunkLeftOpen) { 0 } else { self.made.get() };
            // SAFETY: the chunk is alive as long as it is open.
            unsafe { Chunk::subtract(chunk, OPEN - made) };
        }
    }

    /// Gives room back, on any thread.
    ///
    /// # Safety
    ///
    /// It was taken from a slab, and is not used any more.
    #[inline]
    pub unsafe fn give_back(room: NonNull<u8>) {
        let chunk = room.map_addr(|address| {
            let start = address.get() & !(CHUNK - 1);
            // SAFETY: the room lies in a chunk, which does not begin at zero.
            unsafe { std::num::NonZero::new_unchecked(start) }
        });
        // SAFETY: the chunk is alive as long as there is a value in it, and this one is counted once.
        unsafe { Chunk::subtract(chunk.cast(), 1) };
    }
}

impl Chunk {
    const LAYOUT: Layout = match Layout::from_size_align(CHUNK, CHUNK) {
        Ok(layout) => layout,
        Err(_) => panic!("a chunk's size is a power of two"),
    };

    /// Subtracts from the count, and frees the chunk if nothing is left.
    ///
    /// # Safety
    ///
    /// `count` belongs to the caller, who does not use the chunk afterwards.
    unsafe fn subtract(this: NonNull<Chunk>, count: usize) {
        // SAFETY: alive as long as the count is not zero.
        let chunk = unsafe { this.as_ref() };
        chunk.alive.touch();
        // Release pairs with the fence below: all uses of the chunk come before its end.
        let order = if seeded(Flaw::ChunkCountRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        if chunk.live.fetch_sub(count, order) == count {
            // Acquire pairs with the Release above, of all others.
            fence(Ordering::Acquire);
            // SAFETY: nobody is left.
            unsafe { this.drop_in_place() };
            // SAFETY: made with this layout in `take_from_new`.
            unsafe { dealloc(this.as_ptr().cast(), Self::LAYOUT) };
        }
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        self.retire();
    }
}

thread_value! {
    /// This thread's slab.
    static SLAB: Slab = Slab::new();
}

/// Whether values of that layout share chunks. Those that are large, or aligned more than the head of a chunk, get memory
/// of their own.
const fn shares(layout: Layout) -> bool {
    layout.size() <= LARGEST_IN_CHUNK && layout.align() <= 64
}

/// Moves a value into memory from which [`remove`] removes it, on whichever thread.
#[inline]
pub fn put<T>(value: T) -> NonNull<T> {
    if !shares(Layout::new::<T>()) {
        return NonNull::from(Box::leak(Box::new(value)));
    }
    let layout = Layout::new::<T>();
    // A thread whose thread-locals are being destroyed opens a chunk for the occasion.
    let room = SLAB.try_with(|slab| slab.take(layout)).unwrap_or_else(|_| Slab::new().take(layout));
    let place = room.cast::<T>();
    // SAFETY: room for it, aligned for it, and nobody else's.
    unsafe { place.write(value) };
    place
}

/// Drops a value that was [`put`], and gives its memory back.
///
/// # Safety
///
/// Once, and nobody uses it any more.
#[inline]
pub unsafe fn remove<T>(value: NonNull<T>) {
    if !shares(Layout::new::<T>()) {
        // SAFETY: made by `Box::leak` in `put`.
        drop(unsafe { Box::from_raw(value.as_ptr()) });
        return;
    }
    // SAFETY: alive, and not used any more.
    unsafe { value.drop_in_place() };
    // SAFETY: taken from a slab in `put`.
    unsafe { Slab::give_back(value.cast()) };
}
