//! Readers and writers, and a mutex within: locks that are waited for, tried, tried for a while, and held across a fork.

use crate::common::{Witness, assertion, cores, find_all, play, random};
use purloin_shuttle::internals::primitive::Flaw;
use purloin_shuttle::sync::{Mutex, RwLock};
use purloin_shuttle::{Pool, join};
use shuttle::thread::yield_now;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// Long or short is the same to the schedule, which says when it is over.
const A_WHILE: Duration = Duration::from_millis(2);

static READ_TOGETHER: Witness = Witness::new("two had the lock for reading");
static READ_IN_VAIN: Witness = Witness::new("the lock could not be had for reading at once");
static READ_TOO_LATE: Witness = Witness::new("the time to lock for reading was over");
static WRITTEN_IN_VAIN: Witness = Witness::new("the lock could not be had for writing at once");
static WRITTEN_TOO_LATE: Witness = Witness::new("the time to lock for writing was over");
static COUNTED_IN_VAIN: Witness = Witness::new("the mutex could not be had at once");
static COUNTED_TOO_LATE: Witness = Witness::new("the time to lock the mutex was over");
static HANDED_OVER: Witness = Witness::new("a thread that waited for a lock gave its core up");

/// Steps in which others may come.
fn dawdle() {
    (0..random() % 4).for_each(|_| yield_now());
}

/// A lock in one of three ways; it is noted if there is none.
fn lock<G>(
    wait: impl FnOnce() -> G,
    once: (impl FnOnce() -> Option<G>, &Witness),
    some_time: (impl FnOnce() -> Option<G>, &Witness),
) -> Option<G> {
    let (guard, witness) = match random() % 4 {
        0 => (once.0(), once.1),
        1 => (some_time.0(), some_time.1),
        _ => return Some(wait()),
    };
    witness.hit_if(guard.is_none());
    guard
}

/// What the tasks share, and what they have done to it.
#[derive(Default)]
struct Shared {
    pair: RwLock<(usize, usize)>,
    count: Mutex<usize>,
    written: AtomicUsize,
    counted: AtomicUsize,
    torn: AtomicUsize,
    reading: AtomicUsize,
}

impl Shared {
    fn write(&self) {
        let pair = &self.pair;
        let tried = (|| pair.try_write(), &WRITTEN_IN_VAIN);
        let Some(mut pair) = lock(|| pair.write(), tried, (|| pair.try_write_for(A_WHILE), &WRITTEN_TOO_LATE)) else {
            return;
        };
        pair.0 += 1;
        join(dawdle, dawdle);
        pair.1 += 1;
        self.written.fetch_add(1, Relaxed);
    }

    fn read(&self) {
        let pair = &self.pair;
        let tried = (|| pair.try_read(), &READ_IN_VAIN);
        let Some(pair) = lock(|| pair.read(), tried, (|| pair.try_read_for(A_WHILE), &READ_TOO_LATE)) else { return };
        READ_TOGETHER.hit_if(self.reading.fetch_add(1, Relaxed) > 0);
        dawdle();
        self.torn.fetch_add(usize::from(pair.0 != pair.1), Relaxed);
        if random().is_multiple_of(2) {
            self.count();
        }
        self.reading.fetch_sub(1, Relaxed);
    }

    fn count(&self) {
        let count = &self.count;
        let tried = (|| count.try_lock(), &COUNTED_IN_VAIN);
        let Some(mut count) = lock(|| count.lock(), tried, (|| count.try_lock_for(A_WHILE), &COUNTED_TOO_LATE)) else {
            return;
        };
        let before = *count;
        dawdle();
        *count = before + 1;
        self.counted.fetch_add(1, Relaxed);
    }
}

fn readers_and_writers() {
    let (pool, shared) = (Pool::new(cores()).unwrap(), Shared::default());
    pool.scope(|s| {
        for _ in 0..4 {
            s.spawn(|| (0..3).for_each(|_| if random().is_multiple_of(3) { shared.write() } else { shared.read() }));
        }
    });
    HANDED_OVER.hit_if(pool.stats().peak_threads > pool.cores());
    let written = shared.written.into_inner();
    assert_eq!(shared.torn.into_inner(), 0, "nobody writes while somebody reads");
    assert_eq!(shared.pair.into_inner(), (written, written), "one writes at a time");
    assert_eq!(shared.count.into_inner(), shared.counted.into_inner(), "one counts at a time");
}

#[test]
fn tried_and_timed() {
    play("readers and writers", 3000, readers_and_writers).with(&[
        &READ_TOGETHER,
        &READ_IN_VAIN,
        &READ_TOO_LATE,
        &WRITTEN_IN_VAIN,
        &WRITTEN_TOO_LATE,
        &COUNTED_IN_VAIN,
        &COUNTED_TOO_LATE,
        &HANDED_OVER,
    ]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "rwlock::mistakes_are_found",
        // A thread that is taken for a holder seems to lock again what it holds, or to be part of a cycle.
        &[assertion(Flaw::HolderNotCleared, &["deadlock: "], 3000, readers_and_writers)],
    );
}
