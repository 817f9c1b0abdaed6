//! A loop over a source, results in order: splits when another core wants work, and only then.

use crate::join::join_on;
use crate::primitive::Tick;
use crate::source::private::Part;
use crate::worker::Worker;
use std::marker::PhantomData;
use std::time::Duration;

/// The time that a chunk of items should take between two looks at whether somebody wants work.
const CHUNK: Duration = Duration::from_micros(1);
const LARGEST_CHUNK: usize = 1 << 12;

/// A stretch of the output that has been filled, from its start. Dropping it drops the results.
struct Filled<'a, R> {
    start: *mut R,
    length: usize,
    output: PhantomData<&'a mut [R]>,
}

// SAFETY: it owns its results.
unsafe impl<R: Send> Send for Filled<'_, R> {}

/// Where results go: the address at which a part's output starts. Sent along with the part.
struct Place<R>(*mut R);

impl<R> Clone for Place<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Place<R> {}
// SAFETY: each place is written by one part's loop only, and results are `Send`.
unsafe impl<R: Send> Send for Place<R> {}

impl<R> Place<R> {
    /// The place `count` results further on.
    fn after(self, count: usize) -> Place<R> {
        // Within the output's capacity, or one past it.
        Place(self.0.wrapping_add(count))
    }
}

impl<R> Filled<'_, R> {
    fn nothing(place: Place<R>) -> Self {
        Filled { start: place.0, length: 0, output: PhantomData }
    }

    fn push(&mut self, result: R) {
        // SAFETY: the part has at most as many items as there is room for, and nobody else writes here.
        unsafe { self.start.wrapping_add(self.length).write(result) };
        self.length += 1;
    }

    /// Takes over the results that follow directly.
    fn absorb(&mut self, next: Self) {
        debug_assert!(self.start.wrapping_add(self.length) == next.start || next.length == 0);
        self.length += std::mem::ManuallyDrop::new(next).length;
    }
}

impl<R> Drop for Filled<'_, R> {
    fn drop(&mut self) {
        let results = std::ptr::slice_from_raw_parts_mut(self.start, self.length);
        // SAFETY: filled, and owned by this value.
        unsafe { std::ptr::drop_in_place(results) };
    }
}

/// The results of `f` for all items of `part`, in their order.
pub fn map_on<P, F, R>(worker: &Worker, part: P, f: &F) -> Vec<R>
where
    P: Part,
    F: Fn(P::Item) -> R + Sync,
    R: Send,
{
    let length = part.length();
    let mut output: Vec<R> = Vec::with_capacity(length);
    let filled = fill(worker, part, Place(output.as_mut_ptr()), f, 1);
    assert_eq!(filled.length, length, "every item has its result");
    std::mem::forget(filled);
    // SAFETY: that many results were written, one after the other, and `filled` no longer owns them.
    unsafe { output.set_len(length) };
    output
}

fn fill<'a, P, F, R>(worker: &Worker, mut part: P, place: Place<R>, f: &F, mut chunk: usize) -> Filled<'a, R>
where
    P: Part,
    F: Fn(P::Item) -> R + Sync,
    R: Send,
{
    let mut filled = Filled::nothing(place);
    let mut begun = Tick::now();
    while part.length() > 0 {
        if part.length() > 1 && worker.is_wanted() {
            let half = part.length() / 2;
            let (now, later) = part.cut(half);
            let here = place.after(filled.length);
            let there = here.after(half);
            let (first, second) = join_on(
                worker,
                || fill(worker, now, here, f, chunk),
                move || {
                    let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
                    fill(worker, later, there, f, chunk)
                },
            );
            filled.absorb(first);
            filled.absorb(second);
            break;
        }
        for item in part.by_ref().take(chunk) {
            filled.push(f(item));
        }
        let now = Tick::now();
        chunk = if now.within(begun, CHUNK) { (chunk * 2).min(LARGEST_CHUNK) } else { (chunk / 2).max(1) };
        begun = now;
    }
    filled
}
