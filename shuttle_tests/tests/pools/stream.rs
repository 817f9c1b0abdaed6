//! Streams: every item once, in order where it is asked for, never more of them out than the window holds.

use crate::common::{Witness, deadlock, find_all, play, pool, random};
use purloin_shuttle::internals::primitive::Flaw;
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static BY_THE_POOL: Witness = Witness::new("a thread of the pool ran an item");
static IN_ANOTHER_ORDER: Witness = Witness::new("results came in another order than the items");
static LEFT_MIDWAY: Witness = Witness::new("a consumer left while items were out");

fn streams() {
    let pool = pool(1);
    let other = (random().is_multiple_of(2)).then(|| {
        let pool = pool.clone();
        thread::spawn(move || {
            let mut all: Vec<_> = pool.imap_unordered(0..4, |n| n + 1).buffer(2).collect();
            IN_ANOTHER_ORDER.hit_if(all.windows(2).any(|pair| pair[0] > pair[1]));
            all.sort_unstable();
            assert_eq!(all, [1, 2, 3, 4]);
        })
    });
    let buffer = 1 + (random() % 3) as usize;
    let (out, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let items = (0..5).inspect({
        let (out, most) = (Arc::clone(&out), Arc::clone(&most));
        move |_| {
            let now = out.fetch_add(1, Relaxed) + 1;
            most.fetch_max(now, Relaxed);
        }
    });
    let consumer = thread::current().id();
    let results = pool.imap(items, move |n| {
        BY_THE_POOL.hit_if(thread::current().id() != consumer);
        n * n
    });
    let until = (random() % 6) as usize;
    let taken: Vec<_> = results
        .buffer(buffer)
        .take(until)
        .inspect(|_| {
            out.fetch_sub(1, Relaxed);
        })
        .collect();
    assert_eq!(taken, [0, 1, 4, 9, 16][..until.min(5)]);
    assert!(most.load(Relaxed) <= buffer, "more items are out than the window holds");
    LEFT_MIDWAY.hit_if(out.load(Relaxed) > 0);
    if let Some(other) = other {
        other.join().unwrap();
    }
}

#[test]
fn ordered_and_unordered() {
    play("streams", 4000, streams).with(&[&BY_THE_POOL, &IN_ANOTHER_ORDER, &LEFT_MIDWAY]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "stream::mistakes_are_found",
        // A runner that leaves late is made up for: the consumer runs the item that nobody has begun. loom's model goes
        // without the clock that this takes.
        &[deadlock(Flaw::ConsumerForgotten, 4000, streams)],
    );
}
