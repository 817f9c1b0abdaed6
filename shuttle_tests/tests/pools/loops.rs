//! Loops over sources: every item once, results in order, the first failure, and what was done when one was stopped.

use crate::common::{Witness, assertion, find_all, play, pool, random};
use purloin_shuttle::internals::primitive::Flaw;
use purloin_shuttle::{CancelToken, Options, Pool, Progress};
use shuttle::thread;

static BY_ANOTHER: Witness = Witness::new("an item was run by another thread than the caller");
static STOPPED_MIDWAY: Witness = Witness::new("a loop was stopped in the middle");
static TOO_LATE_TO_STOP: Witness = Witness::new("a loop was stopped when all items had begun");

const ITEMS: usize = 6;

/// What an item does: some steps, in which others may come for the rest of its loop.
fn square(n: usize) -> usize {
    (0..random() % 4).for_each(|_| thread::yield_now());
    n * n
}

/// One loop after the other, and how many items the last one counted.
fn all_kinds(pool: &Pool, progress: &Progress) -> usize {
    let (caller, squares) = (thread::current().id(), (0..ITEMS).map(|n| n * n).collect::<Vec<_>>());
    let watched = |n| {
        BY_ANOTHER.hit_if(thread::current().id() != caller);
        square(n)
    };
    assert_eq!(pool.map(0..ITEMS, watched), squares);
    let append = |mut some: Vec<usize>, more: Vec<usize>| {
        some.extend(more);
        some
    };
    assert_eq!(pool.map_reduce(0..ITEMS, |n| vec![square(n)], Vec::new(), append), squares, "neighbours are combined");
    let bad = (random() as usize) % (ITEMS + 1);
    let tried = pool.try_map(0..ITEMS, |n| if n < bad { Ok(square(n)) } else { Err(n) });
    assert_eq!(tried, if bad == ITEMS { Ok(squares.clone()) } else { Err(bad) }, "the first item that fails");
    let (token, last) = (CancelToken::new(), (random() as usize) % ITEMS);
    let options = Options::new().token(&token).progress(progress);
    let stopped = pool.with(options).map(0..ITEMS, |n| {
        if n == last {
            token.cancel();
        }
        square(n)
    });
    match stopped {
        Ok(all) => {
            TOO_LATE_TO_STOP.hit_if(true);
            assert_eq!(all, squares);
            ITEMS
        }
        Err(stopped) => {
            STOPPED_MIDWAY.hit_if(true);
            assert_eq!(stopped.done[last], Some(last * last), "what has begun goes on to its end");
            assert!(stopped.done.iter().zip(squares).all(|(done, square)| done.is_none_or(|done| done == square)));
            assert_eq!(stopped.finished, stopped.done.iter().flatten().count());
            stopped.finished
        }
    }
}

/// Two callers on one pool, or each on its own, with one counter.
fn loops() {
    let pool = pool(2);
    let progress = Progress::new();
    let other = thread::spawn({
        let pool = if random().is_multiple_of(2) { pool.clone() } else { Pool::new(1).unwrap() };
        let progress = progress.clone();
        move || all_kinds(&pool, &progress)
    });
    let counted = all_kinds(&pool, &progress) + other.join().unwrap();
    assert_eq!((progress.done(), progress.total()), (counted, Some(2 * ITEMS)), "what is done is counted");
}

#[test]
fn loops_of_all_kinds() {
    play("loops", 2000, loops).with(&[&BY_ANOTHER, &STOPPED_MIDWAY, &TOO_LATE_TO_STOP]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "loops::mistakes_are_found",
        &[assertion(Flaw::CountedByStore, &["what is done is counted"], 2000, loops)],
    );
}
