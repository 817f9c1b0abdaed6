//! What each thread has locked for reading: its own list, which it shows to others when it blocks, and only then.

use crate::primitive::thread_cell;
use std::cell::Cell;
use std::panic::Location;

/// A lock that a thread has for reading.
#[derive(Debug, Clone, Copy)]
pub struct Read {
    /// The lock's name: see [`Holder`](super::holder::Holder).
    pub lock: usize,
    /// The line that locked.
    pub at: &'static Location<'static>,
}

/// So many a thread notes: what it reads beyond that is not known.
const NOTED: usize = 16;

/// In `USED`: some slot below the last taken one is free, so the way is not the short one.
const GAPS: usize = 1 << 8;

thread_cell! {
    /// Slots up to the last that is taken. Those beyond hold what they held.
    static USED: usize = 0;
}

thread_cell! {
    static READS: [Option<Read>; NOTED] = [None; NOTED];
}

/// A slot of this thread's list.
#[derive(Debug)]
pub struct Slot(usize);

/// This thread has locked that lock for reading.
#[inline]
pub fn note(lock: usize, at: &'static Location<'static>) -> Slot {
    let (used, read) = (USED.with(Cell::get), Read { lock, at });
    if used >= NOTED {
        return note_in_gap(used, read);
    }
    READS.with(|reads| reads.as_array_of_cells()[used].set(Some(read)));
    USED.with(|cell| cell.set(used + 1));
    Slot(used)
}

/// A list without gaps is full: the read is not noted, in a slot beyond all.
#[cold]
fn note_in_gap(used: usize, read: Read) -> Slot {
    if used & GAPS == 0 {
        return Slot(NOTED);
    }
    let mut reads = READS.with(Cell::get);
    let used = used & !GAPS;
    let slot = reads[..used].iter().position(Option::is_none).unwrap_or(used);
    reads[slot] = Some(read);
    store(reads, used);
    Slot(slot)
}

/// This thread is about to give back a lock that it has for reading.
#[inline]
pub fn clear(slot: &Slot) {
    if USED.with(Cell::get) == slot.0 + 1 {
        USED.with(|cell| cell.set(slot.0));
    } else {
        clear_older(slot.0);
    }
}

/// Guards need not be dropped in order.
#[cold]
fn clear_older(slot: usize) {
    let mut reads = READS.with(Cell::get);
    if let Some(read) = reads.get_mut(slot) {
        *read = None;
        store(reads, USED.with(Cell::get) & !GAPS);
    }
}

/// Puts back a list, of which no more than so many are taken.
fn store(reads: [Option<Read>; NOTED], most: usize) {
    let used = reads[..most].iter().rposition(Option::is_some).map_or(0, |last| last + 1);
    let gaps = if reads[..used].iter().any(Option::is_none) { GAPS } else { 0 };
    READS.with(|cell| cell.set(reads));
    USED.with(|cell| cell.set(used | gaps));
}

/// All that this thread has locked for reading, as far as it is noted.
pub fn all() -> Vec<Read> {
    let used = USED.with(Cell::get) & !GAPS;
    READS.with(Cell::get)[..used].iter().copied().flatten().collect()
}

#[cfg(all(test, not(purloin_model)))]
mod tests {
    use super::*;

    /// Guards that are dropped in any order leave neither what is not read nor gaps that stay, and none is lost as long as
    /// there are slots.
    #[test]
    fn the_list_is_what_is_read() {
        let at = Location::caller();
        let mut held: Vec<(usize, Slot)> = Vec::new();
        let mut random = 1_u64;
        for lock in 0..20_000 {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let choice = (random >> 40) as usize;
            if held.len() < NOTED && choice % 5 < 3 {
                held.push((lock, note(lock, at)));
            } else if !held.is_empty() {
                let (_, slot) = held.swap_remove((choice / 5) % held.len());
                clear(&slot);
            }
            let mut noted: Vec<_> = all().iter().map(|read| read.lock).collect();
            let mut expected: Vec<_> = held.iter().map(|(lock, _)| *lock).collect();
            noted.sort_unstable();
            expected.sort_unstable();
            assert_eq!(noted, expected);
        }
        held.iter().for_each(|(_, slot)| clear(slot));
        assert_eq!(USED.with(Cell::get), 0);
    }

    /// Beyond that, the first are noted.
    #[test]
    fn a_full_list_stays_true() {
        let at = Location::caller();
        let held: Vec<_> = (0..NOTED + 5).map(|lock| note(lock, at)).collect();
        assert_eq!(all().len(), NOTED);
        held.iter().for_each(clear);
        assert!(all().is_empty());
    }
}
