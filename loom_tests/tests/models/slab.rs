//! A chunk of memory is freed once, when it is closed and the last value in it is gone, whichever comes last and on
//! whichever thread.
//!
//! Checked without a bound under loom's model, in both role orders. That the chunk is freed, and once, is checked with all:
//! a mark in its head is reported as leaked, or as used after its end.

use crate::common::{Bound, Witness, check, fails_with, two_roles};
use crate::cores::Note;
use purloin_loom::internals::primitive::{CHUNK, Flaw, UnsafeCell, with_flaw};
use purloin_loom::internals::slab::Slab;
use std::alloc::Layout;
use std::collections::BTreeSet;
use std::ptr::NonNull;
use test_fork::test;

const MAKER: usize = 0;
const REMOVER: usize = 1;
const BOTH: [usize; 2] = [MAKER, REMOVER];

type Value = UnsafeCell<u32>;

/// A value in a chunk, to be removed on any thread.
struct Put(NonNull<Value>);
// SAFETY: whoever has it is its only user.
unsafe impl Send for Put {}

impl Put {
    fn new(slab: &Slab, value: u32) -> Self {
        let place = slab.take(Layout::new::<Value>()).cast::<Value>();
        // SAFETY: room for it.
        unsafe { place.write(UnsafeCell::new(value)) };
        Put(place)
    }

    fn remove(self) -> u32 {
        // SAFETY: alive until it is given back below.
        let value = unsafe { self.0.as_ref() };
        // SAFETY: loom checks that nobody else writes.
        let value = value.with(|value| unsafe { *value });
        // SAFETY: the only user.
        unsafe { self.0.drop_in_place() };
        // SAFETY: taken from a slab, once.
        unsafe { Slab::give_back(self.0.cast()) };
        value
    }
}

/// One thread makes two values, removes one and closes its chunk; another removes the other. Tells who came last. Fails
/// with [`Flaw::ChunkLeftOpen`] and [`Flaw::ChunkCountRelaxed`].
fn race(main: usize) -> usize {
    let slab = Slab::new();
    let (own, other) = (Put::new(&slab, 1), Put::new(&slab, 2));
    let last = Note::new(MAKER);
    let (by_maker, by_remover) = (last.clone(), last.clone());
    let maker = move || {
        assert_eq!(own.remove(), 1);
        drop(slab);
        by_maker.set(MAKER);
    };
    let remover = move || {
        assert_eq!(other.remove(), 2);
        by_remover.set(REMOVER);
    };
    two_roles(main, maker, remover);
    last.get()
}

#[test]
fn chunks_go_with_the_last() {
    static CLOSED_LAST: Witness = Witness::new("the chunk was closed last");
    static REMOVED_LAST: Witness = Witness::new("the other thread's value was removed last");
    for main in BOTH {
        check("chunk", Bound::Unbounded, move || {
            let last = race(main);
            CLOSED_LAST.hit_if(last == MAKER);
            REMOVED_LAST.hit_if(last == REMOVER);
        })
        .at_least(2);
    }
    CLOSED_LAST.assert_seen();
    REMOVED_LAST.assert_seen();
}

/// A full chunk is closed when the next value comes, and the values in it stay. Fails with [`Flaw::ChunkLeftOpen`].
fn full_chunk() {
    let slab = Slab::new();
    let values: Vec<Put> = (0..200).map(|n| Put::new(&slab, n)).collect();
    let chunks: BTreeSet<usize> = values.iter().map(|put| put.0.addr().get() / CHUNK).collect();
    assert!(chunks.len() > 1, "not one chunk was full");
    let sum: u32 = values.into_iter().map(Put::remove).sum();
    assert_eq!(sum, (0..200).sum());
}

#[test]
fn full_chunks_are_left_to_their_values() {
    check("full chunk", Bound::Unbounded, full_chunk);
}

fn finds(flaw: Flaw, message: &str) {
    for main in BOTH {
        println!("{flaw:?}, main thread: {main}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("chunk: seeded flaw", Bound::Unbounded, move || {
                    race(main);
                });
            });
        });
    }
}

/// Seeded: the maker closes the chunk without counting what it has put there.
#[test]
fn a_chunk_left_open_is_found() {
    finds(Flaw::ChunkLeftOpen, "leaked");
    fails_with("used after its end", || {
        with_flaw(Flaw::ChunkLeftOpen, || {
            check("full chunk: seeded flaw", Bound::Unbounded, full_chunk);
        });
    });
}

/// Seeded: what a thread did in the chunk is not ordered before its end.
#[test]
fn a_relaxed_count_is_found() {
    finds(Flaw::ChunkCountRelaxed, "Causality violation");
}
