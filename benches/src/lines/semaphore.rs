//! A semaphore of one permit, taken and given back, on one thread, on several, and in the tasks of a pool. tokio's is the
//! one that most programs use. Its waiters are tasks; here a thread polls and parks for each, which is how a thread waits
//! for it.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use super::{Bar, Line};
use crate::busy::mix;
use crate::contend::{Window, alone, between, together};
use crate::contenders::{Purloin, Runtime, Scopes, Tokio};
use crate::contest::{Contest, Options};
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "semaphore",
        work: "take a permit, give it back, 1 thread",
        bars: &[
            Bar::at_most(0.5, "purloin's acquire over tokio's acquire().await"),
            Bar::beside("purloin's try_acquire over tokio's"),
            Bar::at_most(1.3, "purloin's acquire over a parking_lot lock"),
        ],
        run: uncontended,
    },
    Line {
        name: "semaphore-2",
        work: "the same permit on 2 threads, 5 ns between",
        bars: OVER_TOKIO,
        run: |o| on(o, 2),
    },
    Line {
        name: "semaphore-4",
        work: "the same permit on 4 threads, 5 ns between",
        bars: OVER_TOKIO,
        run: |o| on(o, 4),
    },
    Line {
        name: "semaphore-16",
        work: "the same permit on 16 threads, 5 ns between",
        bars: OVER_TOKIO,
        run: |o| on(o, 16),
    },
    Line {
        name: "semaphore-tasks",
        work: "the same permit in 16 tasks of a pool, tokio's in async ones, 2 threads",
        bars: &[Bar::beside("purloin's time over tokio's")],
        run: in_tasks,
    },
];

const OVER_TOKIO: &[Bar] = &[Bar::at_most(0.5, "purloin's time over tokio's")];

/// A permit.
trait Permits: Send + Sync + 'static {
    const NAME: &'static str;

    fn new() -> Self;

    /// Waits for the permit, if need be, takes it and gives it back: in whichever way is the fastest.
    fn turn(&self);

    /// The same, in the way that waits if need be, where there is no need.
    fn acquire(&self);

    /// Takes the permit, which is there, in the way that never waits, and gives it back.
    fn try_acquire(&self);
}

impl Permits for purloin::sync::Semaphore {
    const NAME: &'static str = "purloin";

    fn new() -> Self {
        purloin::sync::Semaphore::new(1)
    }

    #[inline(always)]
    fn turn(&self) {
        Permits::acquire(self);
    }

    #[inline(always)]
    fn acquire(&self) {
        drop(self.acquire(1).expect("nobody closes it"));
    }

    #[inline(always)]
    fn try_acquire(&self) {
        drop(self.try_acquire(1).expect("it is there"));
    }
}

impl Permits for tokio::sync::Semaphore {
    const NAME: &'static str = "tokio";

    fn new() -> Self {
        tokio::sync::Semaphore::new(1)
    }

    /// The fast path first: a future is only made when there is no permit.
    #[inline(always)]
    fn turn(&self) {
        drop(self.try_acquire().unwrap_or_else(|_| block_on(self.acquire()).expect("nobody closes it")));
    }

    /// `acquire().await`, without the task around it: the future is ready when it is polled for the first time.
    #[inline(always)]
    fn acquire(&self) {
        match pin!(self.acquire()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => drop(permit.expect("nobody closes it")),
            Poll::Pending => unreachable!("nobody else takes it"),
        }
    }

    #[inline(always)]
    fn try_acquire(&self) {
        drop(self.try_acquire().expect("it is there"));
    }
}

/// Wakes a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

thread_local!(static WAKER: Waker = Arc::new(Unpark(thread::current())).into());

/// Polls the future until it is ready, and parks in between.
#[cold]
fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    WAKER.with(|waker| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(waker)) {
                return output;
            }
            thread::park();
        }
    })
}

/// The same on one thread and without a semaphore.
fn serial(options: Options) -> f64 {
    let mut permits = 1;
    Window::open(options, |window| {
        window.spend(|_| {
            permits = black_box(permits) - 1;
            permits = black_box(permits) + 1;
        });
    })
}

/// What [`Window::spend`] does, in a task of tokio's.
async fn polled_turns(window: Arc<Window>, permits: Arc<tokio::sync::Semaphore>) {
    let (mut turns, mut own) = (0, 1);
    while window.is_open() {
        drop(permits.acquire().await.expect("nobody closes it"));
        own = between(own);
        turns += 1;
    }
    black_box(own);
    window.add(turns);
}

fn uncontended(options: Options) -> Figures {
    fn enter<P: Permits>(contest: &mut Contest<'_>, times: usize) {
        let (permits, tried) = (P::new(), P::new());
        contest.enter(P::NAME, move || alone(times, || Permits::acquire(black_box(&permits))));
        contest.enter(format!("{}, tried", P::NAME), move || alone(times, || Permits::try_acquire(black_box(&tried))));
    }
    let times = options.size(1_000_000, 1_000);
    let mut contest = Contest::new(options);
    let mut permits = 1;
    contest.enter("serial", move || {
        alone(times, || {
            permits = black_box(permits) - 1;
            permits = black_box(permits) + 1;
        })
    });
    enter::<purloin::sync::Semaphore>(&mut contest, times);
    enter::<tokio::sync::Semaphore>(&mut contest, times);
    let lock = parking_lot::Mutex::new(0u64);
    contest.enter("parking_lot", move || {
        alone(times, || {
            let mut word = black_box(&lock).lock();
            *word = mix(*word);
        })
    });
    let outcome = contest.hold();
    let values = vec![
        outcome.ratio("purloin", "tokio"),
        outcome.ratio("purloin, tried", "tokio, tried"),
        outcome.ratio("purloin", "parking_lot"),
    ];
    Figures { unit: "ns", outcome, values }
}

fn on(options: Options, threads: usize) -> Figures {
    fn enter<P: Permits>(contest: &mut Contest<'_>, options: Options, threads: usize) {
        let permits = P::new();
        contest.enter(P::NAME, move || together(options, threads, |_| permits.turn()));
    }
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(options));
    enter::<purloin::sync::Semaphore>(&mut contest, options, threads);
    enter::<tokio::sync::Semaphore>(&mut contest, options, threads);
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "tokio")];
    Figures { unit: "ns", outcome, values }
}

fn in_tasks(options: Options) -> Figures {
    const TASKS: usize = 16;
    let mut contest = Contest::new(options);
    contest.enter("serial", move || serial(options));
    let (pool, permits) = (Purloin::start(2), purloin::sync::Semaphore::new(1));
    contest.enter(Purloin::NAME, move || {
        Window::open(options, |window| pool.scope(TASKS, || window.spend(|_| permits.turn()), || ()))
    });
    let (runtime, permits) = (Tokio::start(2), Arc::new(tokio::sync::Semaphore::new(1)));
    contest.enter(Tokio::NAME, move || {
        Window::open(options, |window| runtime.all(TASKS, || polled_turns(Arc::clone(window), Arc::clone(&permits))))
    });
    let outcome = contest.hold();
    let values = vec![outcome.ratio("purloin", "tokio")];
    Figures { unit: "ns", outcome, values }
}
