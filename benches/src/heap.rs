//! The heap, counted on demand. Counting touches shared counters at every allocation, which would slow the contenders
//! that allocate most, so it is on only in passes that are not timed.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

// All relaxed: they are statistics, read by the thread that waited for the work they count.
static WATCHED: AtomicBool = AtomicBool::new(false);
static BYTES: AtomicI64 = AtomicI64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, with counters.
pub struct Counting;

// SAFETY: every call goes to the system's allocator as it came, which keeps the contract of `GlobalAlloc`; the
// counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if WATCHED.load(Relaxed) {
            count(layout.size() as i64);
        }
        // SAFETY: the caller's promise for `layout` (not of size zero) is what `System.alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if WATCHED.load(Relaxed) {
            BYTES.fetch_sub(layout.size() as i64, Relaxed);
        }
        // SAFETY: `pointer` came from `System` by way of this allocator, with this `layout`, as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if WATCHED.load(Relaxed) {
            count(size as i64 - layout.size() as i64);
        }
        // SAFETY: `pointer` came from `System` by way of this allocator, with this `layout`, and `size` is not zero
        // and fits, as the caller promises.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cold]
fn count(bytes: i64) {
    BYTES.fetch_add(bytes, Relaxed);
    ALLOCATIONS.fetch_add(1, Relaxed);
}

/// While it lives, the heap is counted, in all threads, from zero. One at a time.
pub struct Watch(());

impl Watch {
    /// Starts counting.
    ///
    /// # Panics
    ///
    /// If another watch is alive.
    #[must_use]
    pub fn start() -> Self {
        BYTES.store(0, Relaxed);
        ALLOCATIONS.store(0, Relaxed);
        assert!(!WATCHED.swap(true, Relaxed), "one watch at a time");
        Watch(())
    }

    /// Bytes asked for and not given back since the start.
    #[must_use]
    pub fn bytes(&self) -> i64 {
        BYTES.load(Relaxed)
    }

    /// Allocations and reallocations since the start.
    #[must_use]
    pub fn allocations(&self) -> u64 {
        ALLOCATIONS.load(Relaxed)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        WATCHED.store(false, Relaxed);
    }
}
