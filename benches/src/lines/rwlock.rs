//! A lock for readers and writers around next to nothing.

use std::hint::black_box;

use super::{Bar, Line};
use crate::busy::mix;
use crate::contend::{Window, alone, together};
use crate::contest::{Contest, Options};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line { name: "rwlock-read", work: "lock for reading, read a word, unlock, 1 thread", bars: BESIDE, run: read },
    Line { name: "rwlock-write", work: "lock for writing, change a word, unlock, 1 thread", bars: BESIDE, run: write },
    Line {
        name: "rwlock-2",
        work: "15 reads to a write, 5 ns of work between, 2 threads",
        bars: BESIDE,
        run: |o| on(o, 2),
    },
    Line {
        name: "rwlock-4",
        work: "15 reads to a write, 5 ns of work between, 4 threads",
        bars: BESIDE,
        run: |o| on(o, 4),
    },
    Line {
        name: "rwlock-16",
        work: "15 reads to a write, 5 ns of work between, 16 threads",
        bars: BESIDE,
        run: |o| on(o, 16),
    },
];

const BESIDE: &[Bar] = &[Bar::beside("purloin's time over parking_lot's"), Bar::beside("purloin's time over std's")];

/// One write comes after so many reads, less one.
const CYCLE: usize = 16;

/// A word under a lock.
trait Lock: Send + Sync + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// Reads the word.
    fn read(&self) -> u64;

    /// Changes the word.
    fn write(&self);
}

impl Lock for purloin::sync::RwLock<u64> {
    const NAME: &'static str = "purloin";

    fn new() -> Self {
        purloin::sync::RwLock::new(0)
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        *self.read()
    }

    #[inline(always)]
    fn write(&self) {
        let mut word = self.write();
        *word = mix(*word);
    }
}

impl Lock for parking_lot::RwLock<u64> {
    const NAME: &'static str = "parking_lot";

    fn new() -> Self {
        parking_lot::RwLock::new(0)
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        *self.read()
    }

    #[inline(always)]
    fn write(&self) {
        let mut word = self.write();
        *word = mix(*word);
    }
}

impl Lock for std::sync::RwLock<u64> {
    const NAME: &'static str = "std";

    fn new() -> Self {
        std::sync::RwLock::new(0)
    }

    #[inline(always)]
    fn read(&self) -> u64 {
        *self.read().expect("no panic")
    }

    #[inline(always)]
    fn write(&self) {
        let mut word = self.write().expect("no panic");
        *word = mix(*word);
    }
}

/// How a sample of a lock is taken.
trait Sampler: Copy + 'static {
    fn sample(self, lock: &impl Lock) -> f64;
}

/// Reads on one thread, so many.
#[derive(Clone, Copy)]
struct Reads(usize);

impl Sampler for Reads {
    fn sample(self, lock: &impl Lock) -> f64 {
        alone(self.0, || {
            black_box(black_box(lock).read());
        })
    }
}

/// Writes on one thread, so many.
#[derive(Clone, Copy)]
struct Writes(usize);

impl Sampler for Writes {
    fn sample(self, lock: &impl Lock) -> f64 {
        alone(self.0, || black_box(lock).write())
    }
}

/// Turns on several threads.
#[derive(Clone, Copy)]
struct Turns(Options, usize);

impl Sampler for Turns {
    fn sample(self, lock: &impl Lock) -> f64 {
        let Turns(options, threads) = self;
        together(options, threads, |turn| {
            if turn % CYCLE == CYCLE - 1 {
                lock.write();
            } else {
                black_box(lock.read());
            }
        })
    }
}

/// All locks, beside the same work without one.
fn beside(options: Options, serial: impl FnMut() -> f64, sampler: impl Sampler) -> Figures {
    fn enter<L: Lock>(contest: &mut Contest<'_>, sampler: impl Sampler) {
        let lock = L::new();
        contest.enter(L::NAME, move || sampler.sample(&lock));
    }
    let mut contest = Contest::new(options);
    contest.enter("serial", serial);
    enter::<purloin::sync::RwLock<u64>>(&mut contest, sampler);
    enter::<parking_lot::RwLock<u64>>(&mut contest, sampler);
    enter::<std::sync::RwLock<u64>>(&mut contest, sampler);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "parking_lot"), outcome.ratio("purloin", "std")];
    Figures { unit: "ns", outcome, values }
}

fn read(options: Options) -> Figures {
    let times = options.size(1_000_000, 1_000);
    let word = 1;
    let serial = move || {
        alone(times, || {
            black_box(black_box(word));
        })
    };
    beside(options, serial, Reads(times))
}

fn write(options: Options) -> Figures {
    let times = options.size(1_000_000, 1_000);
    let mut word = 0;
    beside(options, move || alone(times, || word = black_box(mix(word))), Writes(times))
}

fn on(options: Options, threads: usize) -> Figures {
    let mut word = 0;
    let serial = move || Window::open(options, |window| window.spend(|_| word = black_box(mix(word))));
    beside(options, serial, Turns(options, threads))
}
