//! A loop over a source, results in order: splits when another core wants work, and only then.

use crate::bounds::{Bounds, OnPanic};
use crate::error::Cancelled;
use crate::join::join_on;
use crate::options::Options;
use crate::primitive::Tick;
use crate::source::private::Part;
use crate::worker::Worker;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::time::Duration;

/// The time that a chunk of items should take between two looks at whether somebody wants work: at least, if it can be made
/// of more items, and at most, if of fewer.
const SHORT: Duration = Duration::from_micros(2);
const LONG: Duration = Duration::from_micros(4);
const LARGEST_CHUNK: usize = 1 << 12;
/// Chunks that take neither too little time nor too much between two looks at the clock, at most.
const MOST_UNTIMED: u32 = 4;

/// Settles how many items make a chunk.
struct Pace {
    /// The items of the next chunk.
    chunk: usize,
    /// When the clock was looked at last, and how many chunks have passed since.
    looked: Tick,
    passed: u32,
    /// After how many it is looked at again.
    untimed: u32,
}

impl Pace {
    /// Begins now, with chunks of that many items.
    fn from(chunk: usize) -> Self {
        Pace { chunk, looked: Tick::now(), passed: 0, untimed: 1 }
    }

    /// A chunk has passed.
    #[inline]
    fn chunk_passed(&mut self) {
        self.passed += 1;
        if self.passed < self.untimed {
            return;
        }
        let now = Tick::now();
        if now.within(self.looked, SHORT * self.passed) {
            self.chunk = (self.chunk * 2).min(LARGEST_CHUNK);
            self.untimed = 1;
        } else if !now.within(self.looked, LONG * self.passed) {
            self.chunk = (self.chunk / 2).max(1);
            self.untimed = 1;
        } else {
            self.untimed = (self.untimed * 2).min(MOST_UNTIMED);
        }
        self.looked = now;
        self.passed = 0;
    }
}

/// The address of the first item's result. Sent along with each part.
struct Output<R>(*mut R);

impl<R> Clone for Output<R> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<R> Copy for Output<R> {}
// SAFETY: each place is written by one part's loop only, and results are `Send`.
unsafe impl<R: Send> Send for Output<R> {}

/// Consecutive results, in their places. Dropping it drops them.
struct Filled<'a, R> {
    output: Output<R>,
    start: usize,
    length: usize,
    memory: PhantomData<&'a mut [R]>,
}

impl<R> Filled<'_, R> {
    fn from(output: Output<R>, start: usize) -> Self {
        Filled { output, start, length: 0, memory: PhantomData }
    }

    fn end(&self) -> usize {
        self.start + self.length
    }

    #[inline]
    fn push(&mut self, result: R) {
        let place = self.output.0.wrapping_add(self.end());
        // SAFETY: there is room for the results of all items, and nobody else writes here.
        unsafe { place.write(result) };
        self.length += 1;
    }

    /// Stops owning the results: tells which they are.
    fn release(self) -> (usize, usize) {
        let this = ManuallyDrop::new(self);
        (this.start, this.length)
    }
}

impl<R> Drop for Filled<'_, R> {
    fn drop(&mut self) {
        let results = std::ptr::slice_from_raw_parts_mut(self.output.0.wrapping_add(self.start), self.length);
        // SAFETY: filled, and owned by this value.
        unsafe { std::ptr::drop_in_place(results) };
    }
}

/// What a part of the loop has come to.
struct Made<'a, R, E> {
    /// Results in the items' order; where some items were skipped, more than one stretch.
    first: Filled<'a, R>,
    more: Vec<Filled<'a, R>>,
    /// Of the items that failed, the first.
    error: Option<E>,
}

impl<'a, R, E> Made<'a, R, E> {
    fn from(output: Output<R>, start: usize) -> Self {
        Made { first: Filled::from(output, start), more: Vec::new(), error: None }
    }

    /// Takes over what the part after this one has come to.
    fn absorb(&mut self, next: Self) {
        let Made { first, more, error } = next;
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        if last.end() == first.start {
            last.length += first.release().1;
        } else {
            self.more.push(first);
        }
        self.more.extend(more);
        if self.error.is_none() {
            self.error = error;
        }
    }
}

/// Why a loop has not all results.
pub enum Stopped<R, E> {
    /// An item failed; of those known to have, this is the first.
    Failed(E),
    /// The token or the deadline.
    Cancelled(Cancelled<Partial<R>>),
}

/// The results of a loop that was stopped.
pub struct Partial<R> {
    /// Those that there are, in the items' order.
    results: Vec<R>,
    /// The indices of their items.
    pub items: Vec<Range<usize>>,
}

impl<R> Partial<R> {
    /// The results at their items' indices, for that many items.
    pub fn with_gaps(self, length: usize) -> Vec<Option<R>> {
        let mut results = self.results.into_iter();
        let mut places = Vec::with_capacity(length);
        for items in self.items {
            places.resize_with(items.start, || None);
            places.extend(results.by_ref().take(items.len()).map(Some));
        }
        places.resize_with(length, || None);
        places
    }
}

/// The results of `f` for all items of `part`, in their order. `CAREFUL` asks before each item whether it is wanted, as it
/// must where items can fail or `options` limit the loop.
pub fn map_on<const CAREFUL: bool, P, F, R, E>(
    worker: &Worker,
    part: P,
    options: Option<&Options>,
    f: &F,
) -> Result<Vec<R>, Stopped<R, E>>
where
    P: Part,
    F: Fn(P::Item) -> Result<R, E> + Sync,
    R: Send,
    E: Send,
{
    let length = part.length();
    let bounds = Bounds::new(options, length);
    let mut results: Vec<R> = Vec::with_capacity(length);
    let output = Output(results.as_mut_ptr());
    let made = Loop::<CAREFUL, _, _> { f, output, bounds: &bounds }.run(worker, part, 0, 1, true);
    let Made { first, more, error } = made;
    if let Some(error) = error {
        // While the error is a variable: as the value that is about to be returned it would be lost if a result's drop panics.
        drop((first, more));
        return Err(Stopped::Failed(error));
    }
    if first.length < length {
        let partial = move_together(results, first, more);
        let finished = partial.results.len();
        return Err(Stopped::Cancelled(bounds.cancelled(partial, finished, length)));
    }
    let (_, length) = first.release();
    // SAFETY: that many results were written, one after the other, and belong to nobody else any more.
    unsafe { results.set_len(length) };
    Ok(results)
}

/// Closes the gaps in what was written to `results`.
#[cold]
fn move_together<'a, R>(mut results: Vec<R>, first: Filled<'a, R>, more: Vec<Filled<'a, R>>) -> Partial<R> {
    let (output, mut count, mut items) = (results.as_mut_ptr(), 0, Vec::new());
    for stretch in std::iter::once(first).chain(more).filter(|stretch| stretch.length > 0) {
        let (start, length) = stretch.release();
        let from = output.wrapping_add(start);
        // SAFETY: both are within the vector's memory, and the results belong to nobody else any more. Those of earlier
        // stretches lie below `count`, which is not above `start`.
        unsafe { from.copy_to(output.wrapping_add(count), length) };
        count += length;
        items.push(start..start + length);
    }
    // SAFETY: so many results lie at the vector's start.
    unsafe { results.set_len(count) };
    Partial { results, items }
}

/// What all parts of a loop have in common.
struct Loop<'l, const CAREFUL: bool, F, R> {
    f: &'l F,
    output: Output<R>,
    bounds: &'l Bounds<'l>,
}

impl<const CAREFUL: bool, F, R> Loop<'_, CAREFUL, F, R> {
    /// Runs the part that begins with item `at`, in chunks of `chunk` items to begin with. A part that has just come to
    /// this core is `fresh`.
    fn run<'a, P, E>(&self, worker: &Worker, mut part: P, mut at: usize, chunk: usize, fresh: bool) -> Made<'a, R, E>
    where
        P: Part,
        F: Fn(P::Item) -> Result<R, E> + Sync,
        R: Send,
        E: Send,
    {
        let on_panic = OnPanic::of(self.bounds, at);
        let mut made = Made::from(self.output, at);
        let mut pace = Pace::from(chunk);
        while part.length() > 0 && made.error.is_none() && !self.bounds.stop_at(at) {
            // What was shared of a part and came back has found no taker, so no more than one piece of it is offered again.
            if part.length() > 1 && worker.is_wanted() && (fresh || worker.shares_nothing()) {
                let half = part.length() / 2;
                let (now, later) = part.cut(half);
                let (after, here, chunk) = (at + half, worker.core_index(), pace.chunk);
                let (first, second) = join_on(
                    worker,
                    || self.run(worker, now, at, chunk, fresh),
                    move || {
                        let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
                        self.run(worker, later, after, chunk, worker.core_index() != here)
                    },
                );
                made.absorb(first);
                made.absorb(second);
                break;
            }
            let count = pace.chunk.min(part.length());
            let (items, rest) = part.cut(count);
            part = rest;
            let count = self.chunk(items, at, &mut made);
            self.bounds.count(worker, count);
            at += count;
            pace.chunk_passed();
        }
        std::mem::forget(on_panic);
        made
    }

    /// Runs consecutive items, the first of which is `at`, and tells how many have a result.
    #[inline]
    fn chunk<P, E>(&self, items: P, at: usize, made: &mut Made<'_, R, E>) -> usize
    where
        P: Part,
        F: Fn(P::Item) -> Result<R, E>,
    {
        let mut count = 0;
        for item in items {
            if CAREFUL && self.bounds.stop_item(at + count) {
                break;
            }
            match (self.f)(item) {
                Ok(result) => made.first.push(result),
                Err(error) => {
                    self.bounds.fail(at + count);
                    made.error = Some(error);
                    break;
                }
            }
            count += 1;
        }
        count
    }
}
