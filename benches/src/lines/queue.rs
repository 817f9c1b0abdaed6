//! Numbers through a queue, from as many producers as consumers.

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use super::{Bar, Line};
use crate::contend::{alone, race};
use crate::contenders::{Purloin, Rayon, Scopes};
use crate::contest::{Contest, Options};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line { name: "queue", work: "push and pop, unbounded, 1 thread", bars: BARS, run: |o| uncontended(o, None) },
    Line { name: "queue-bounded", work: "push and pop, bounded, 1 thread", bars: BARS, run: |o| uncontended(o, BOUND) },
    Line { name: "queue-2", work: "1 producer, 1 consumer, unbounded", bars: BARS, run: |o| on(o, 2, None) },
    Line { name: "queue-4", work: "2 producers, 2 consumers, unbounded", bars: BARS, run: |o| on(o, 4, None) },
    Line { name: "queue-16", work: "8 producers, 8 consumers, unbounded", bars: BARS, run: |o| on(o, 16, None) },
    Line {
        name: "queue-bounded-2",
        work: "1 producer, 1 consumer, bounded to 128",
        bars: BARS,
        run: |o| on(o, 2, BOUND),
    },
    Line {
        name: "queue-bounded-4",
        work: "2 producers, 2 consumers, bounded to 128",
        bars: BARS,
        run: |o| on(o, 4, BOUND),
    },
    Line {
        name: "queue-bounded-16",
        work: "8 producers, 8 consumers, bounded to 128",
        bars: BARS,
        run: |o| on(o, 16, BOUND),
    },
    Line {
        name: "queue-tasks",
        work: "a producer and a consumer in tasks, bounded to 128, 2 threads",
        bars: &[Bar::beside("purloin's throughput over crossbeam's in a pool of rayon's")],
        run: in_tasks,
    },
];

const BARS: &[Bar] = &[Bar::at_least(0.9, "purloin's throughput over crossbeam's")];
const BOUND: Option<usize> = Some(128);

/// A queue of numbers that several push to and several pop from.
trait Channel: Send + Sync + 'static {
    const NAME: &'static str;

    fn new(bound: Option<usize>) -> Self;
    fn push(&self, number: u64);
    fn pop(&self) -> u64;
}

impl Channel for purloin::sync::Queue<u64> {
    const NAME: &'static str = "purloin";

    fn new(bound: Option<usize>) -> Self {
        bound.map_or_else(purloin::sync::Queue::unbounded, purloin::sync::Queue::bounded)
    }

    #[inline(always)]
    fn push(&self, number: u64) {
        self.push(number).expect("nobody closes it");
    }

    #[inline(always)]
    fn pop(&self) -> u64 {
        self.pop().expect("nobody closes it")
    }
}

/// crossbeam-channel's two ends.
struct Crossbeam(crossbeam_channel::Sender<u64>, crossbeam_channel::Receiver<u64>);

impl Channel for Crossbeam {
    const NAME: &'static str = "crossbeam";

    fn new(bound: Option<usize>) -> Self {
        let (sender, receiver) = bound.map_or_else(crossbeam_channel::unbounded, crossbeam_channel::bounded);
        Crossbeam(sender, receiver)
    }

    #[inline(always)]
    fn push(&self, number: u64) {
        self.0.send(number).expect("the other end is there");
    }

    #[inline(always)]
    fn pop(&self) -> u64 {
        self.1.recv().expect("the other end is there")
    }
}

/// One of the producers, which have even indices, or of the consumers.
fn part(queue: &impl Channel, index: usize, values: usize) {
    if index.is_multiple_of(2) {
        (0..values as u64).for_each(|number| queue.push(number));
    } else {
        black_box((0..values).fold(0, |sum: u64, _| sum.wrapping_add(queue.pop())));
    }
}

/// The same on one thread, in nanoseconds a value.
fn serial(values: usize) -> f64 {
    let mut queue = VecDeque::with_capacity(1);
    let (mut number, mut sum) = (0u64, 0u64);
    let each = alone(values, || {
        black_box(&mut queue).push_back(number);
        number += 1;
        sum = sum.wrapping_add(black_box(&mut queue).pop_front().expect("just pushed"));
    });
    black_box(sum);
    each
}

fn uncontended(options: Options, bound: Option<usize>) -> Figures {
    fn enter<C: Channel>(contest: &mut Contest<'_>, bound: Option<usize>, times: usize) {
        let queue = C::new(bound);
        contest.enter(C::NAME, move || {
            alone(times, || {
                queue.push(black_box(1));
                black_box(queue.pop());
            })
        });
    }
    let times = options.size(500_000, 1_000);
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(times));
    enter::<purloin::sync::Queue<u64>>(&mut contest, bound, times);
    enter::<Crossbeam>(&mut contest, bound, times);
    figures(contest)
}

fn on(options: Options, threads: usize, bound: Option<usize>) -> Figures {
    fn enter<C: Channel>(contest: &mut Contest<'_>, bound: Option<usize>, threads: usize, values: usize) {
        let queue = C::new(bound);
        contest.enter(C::NAME, move || {
            let time = race(threads, |index| part(&queue, index, values));
            time.as_secs_f64() * 1e9 / (threads / 2 * values) as f64
        });
    }
    let values = options.size(1_000_000, 800) / threads;
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(threads / 2 * values));
    enter::<purloin::sync::Queue<u64>>(&mut contest, bound, threads, values);
    enter::<Crossbeam>(&mut contest, bound, threads, values);
    figures(contest)
}

fn in_tasks(options: Options) -> Figures {
    fn enter<C: Channel, R: Scopes + 'static>(contest: &mut Contest<'_>, values: usize) {
        let (runtime, queue) = (R::start(2), C::new(BOUND));
        contest.enter(C::NAME, move || {
            let (next, start) = (AtomicUsize::new(0), Instant::now());
            runtime.scope(2, || part(&queue, next.fetch_add(1, Relaxed), values), || ());
            start.elapsed().as_secs_f64() * 1e9 / values as f64
        });
    }
    let values = options.size(300_000, 400);
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(values));
    enter::<purloin::sync::Queue<u64>, Purloin>(&mut contest, values);
    enter::<Crossbeam, Rayon>(&mut contest, values);
    figures(contest)
}

fn figures(contest: Contest<'_>) -> Figures {
    let outcome = contest.hold();
    let values = vec![outcome.ratio("crossbeam", "purloin")];
    Figures { unit: "ns", outcome, values }
}
