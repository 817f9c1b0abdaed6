//! A loop whose results are combined, in an order that depends on nothing but their number.

use crate::bounds::{Bounds, OnPanic};
use crate::error::Cancelled;
use crate::join::join_on;
use crate::options::Options;
use crate::source::private::Part;
use crate::worker::Worker;

/// The most items that are combined one after the other.
const LARGEST_BLOCK: usize = 1 << 10;
/// Blocks that there are at least, as long as there are so many items.
const BLOCKS: usize = 1 << 12;
/// Blocks of a part that are each left to find out by themselves that the loop was stopped.
const FEW: usize = 16;

/// How many items a block has, but for the last one: a power of two.
fn block_of(length: usize) -> usize {
    let most = (length / BLOCKS).clamp(1, LARGEST_BLOCK);
    1 << most.ilog2()
}

/// The results of `map` for all items of `part`, combined with `reduce`; `None` if there are no items. If `options` stop
/// it, what was combined by then.
pub fn reduce_on<const CAREFUL: bool, P, M, O, R>(
    worker: &Worker,
    part: P,
    options: Option<&Options>,
    map: &M,
    reduce: &O,
) -> Result<Option<R>, Cancelled<Option<R>>>
where
    P: Part,
    M: Fn(P::Item) -> R + Sync,
    O: Fn(R, R) -> R + Sync,
    R: Send,
{
    let length = part.length();
    let bounds = Bounds::new(options, length);
    let tree = Tree::<CAREFUL, _, _> { map, reduce, block: block_of(length), bounds: &bounds };
    let (result, finished) = tree.combine(worker, part, 0);
    if finished < length { Err(bounds.cancelled(result, finished, length)) } else { Ok(result) }
}

/// What all parts of a reduction have in common.
struct Tree<'t, const CAREFUL: bool, M, O> {
    map: &'t M,
    reduce: &'t O,
    block: usize,
    bounds: &'t Bounds<'t>,
}

impl<const CAREFUL: bool, M, O> Tree<'_, CAREFUL, M, O> {
    /// Combines the part that begins with item `at`; tells how many items are in the result.
    fn combine<P, R>(&self, worker: &Worker, part: P, at: usize) -> (Option<R>, usize)
    where
        P: Part,
        M: Fn(P::Item) -> R + Sync,
        O: Fn(R, R) -> R + Sync,
        R: Send,
    {
        let blocks = part.length().div_ceil(self.block);
        if blocks <= 1 {
            let on_panic = OnPanic::of(self.bounds, at);
            let combined = self.block(part, at);
            self.bounds.count(worker, combined.1);
            std::mem::forget(on_panic);
            return combined;
        }
        // There may be far more blocks than anybody can go through to find each of them stopped. Of few, each looks itself.
        if blocks >= FEW && self.bounds.stop_at(at) {
            return (None, 0);
        }
        let half = blocks / 2 * self.block;
        let (first, rest) = part.cut(half);
        let (left, right) = join_on(
            worker,
            || self.combine(worker, first, at),
            move || {
                let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
                self.combine(worker, rest, at + half)
            },
        );
        // Both parts have ended. Those after them are not wanted if this panics.
        let on_panic = OnPanic::of(self.bounds, at);
        let result = match (left.0, right.0) {
            (Some(left), Some(right)) => Some((self.reduce)(left, right)),
            (left, right) => left.or(right),
        };
        std::mem::forget(on_panic);
        (result, left.1 + right.1)
    }

    /// Combines the items of one block, one after the other.
    fn block<P, R>(&self, mut items: P, at: usize) -> (Option<R>, usize)
    where
        P: Part,
        M: Fn(P::Item) -> R,
        O: Fn(R, R) -> R,
    {
        if self.bounds.stop_at(at) {
            return (None, 0);
        }
        let Some(mut result) = items.next().map(self.map) else { return (None, 0) };
        let mut count = 1;
        for item in items {
            if CAREFUL && self.bounds.stop_item(at + count) {
                break;
            }
            result = (self.reduce)(result, (self.map)(item));
            count += 1;
        }
        (Some(result), count)
    }
}

/// The result, if there were items. The identity is dropped while the result is a variable, and not the value that is about to
/// be returned: that one would be lost if the drop panics.
pub fn or_identity<R>(result: Option<R>, identity: R) -> R {
    match result {
        Some(result) => {
            drop(identity);
            result
        }
        None => identity,
    }
}
