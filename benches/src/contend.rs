//! Threads that get in each other's way: the same turn again and again, on one thread or on several at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use crate::busy::mix;
use crate::contest::Options;

/// Nanoseconds of one `turn`, of so many in a row.
pub fn alone(times: usize, mut turn: impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..times {
        turn();
    }
    start.elapsed().as_secs_f64() * 1e9 / times as f64
}

/// A span of time in which several threads take turns. A given number of turns would not do: where it is small the first
/// thread is done before the last has started, and where one has to wait for another at each turn it would take seconds.
#[derive(Debug, Default)]
pub struct Window {
    over: AtomicBool,
    turns: AtomicUsize,
}

impl Window {
    /// Opens a window, in which `work` goes on, and gives the nanoseconds of one turn, of all the turns that were taken in
    /// it: from the start until `work` returns.
    pub fn open(options: Options, work: impl FnOnce(&Arc<Window>)) -> f64 {
        let window = Arc::new(Window::default());
        let start = Instant::now();
        thread::scope(|scope| {
            // To sleep for too long does no harm: the turns go on.
            let timed = &window;
            scope.spawn(move || {
                thread::sleep(Duration::from_micros(options.size(40_000, 2_000)));
                timed.over.store(true, Relaxed);
            });
            work(&window);
        });
        let turns = window.turns.load(Relaxed);
        start.elapsed().as_secs_f64() * 1e9 / turns as f64
    }

    /// Whether there is time for another turn.
    #[inline(always)]
    pub fn is_open(&self) -> bool {
        !self.over.load(Relaxed)
    }

    /// Notes that so many turns were taken.
    pub fn add(&self, turns: usize) {
        self.turns.fetch_add(turns, Relaxed);
    }

    /// Takes turns, numbered from 0 and with a little work between them, until the window is over: one at least.
    pub fn spend(&self, mut turn: impl FnMut(usize)) {
        let (mut turns, mut own) = (0, 1);
        loop {
            turn(turns);
            own = between(own);
            turns += 1;
            if !self.is_open() {
                break;
            }
        }
        std::hint::black_box(own);
        self.add(turns);
    }
}

/// Nanoseconds of one turn, where so many threads take turns at the same time.
pub fn together(options: Options, threads: usize, turn: impl Fn(usize) + Sync) -> f64 {
    Window::open(options, |window| {
        let barrier = Barrier::new(threads);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    barrier.wait();
                    window.spend(&turn);
                });
            }
        });
    })
}

/// Runs `part` of each index below `threads` on a thread of its own, and gives the time from the moment when the first of
/// them set out until the last was done; they set out together.
///
/// # Panics
///
/// If one of them does.
pub fn race(threads: usize, part: impl Fn(usize) + Sync) -> Duration {
    let barrier = Barrier::new(threads);
    let (barrier, part) = (&barrier, &part);
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let racer = |index| {
            scope.spawn(move || {
                barrier.wait();
                let begun = Instant::now();
                part(index);
                (begun, Instant::now())
            })
        };
        let racers: Vec<_> = (0..threads).map(racer).collect();
        racers.into_iter().map(|racer| racer.join().expect("no panic")).collect()
    });
    let begun = spans.iter().map(|span| span.0).min();
    let ended = spans.iter().map(|span| span.1).max();
    begun.zip(ended).map_or(Duration::ZERO, |(begun, ended)| ended - begun)
}

/// What a thread does between two turns, lest one has what all want for itself: about 5 ns.
#[inline(always)]
#[must_use]
pub fn between(seed: u64) -> u64 {
    (0..2).fold(seed, |x, _| mix(x))
}
