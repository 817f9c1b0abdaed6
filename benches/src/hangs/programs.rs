//! The programs. Each comes to the state that matters by events that wait for each other, never by sleeping, so it hangs or
//! ends for a reason and not by luck.

use std::cell::{Cell, RefCell};
use std::hint;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::side::{Barrier, Event, Lock, Once, Queue, Semaphore, Side};
use super::{Known, On, Program};
use crate::busy::busy;

/// The program's body for both sides.
macro_rules! on {
    ($body:ident) => {
        On { purloin: $body, rayon: $body }
    };
}

/// All of them, in the order of the table.
pub const ALL: &[Program] = &[
    Program {
        name: "lock-across-join",
        what: "a lock held across `join`, while another task wants it",
        reports: "rayon#592",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "the thread that holds the lock and waits for the stolen half begins the other task on top of it",
        on: on!(lock_across_join),
    },
    Program {
        name: "once-across-join",
        what: "a value made once, by an initialiser that calls `join`, while another task asks for it",
        reports: "rayon#1251",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "the thread that runs the initialiser begins the other task, which asks for the value on the same stack",
        on: on!(once_across_join),
    },
    Program {
        name: "cell-across-join",
        what: "a thread-local `RefCell` borrowed across `join`, while another task borrows it",
        reports: "polars#22159",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Fails,
        why: "the thread that has borrowed the cell begins the other task, which finds it borrowed",
        on: on!(cell_across_join),
    },
    Program {
        name: "consumers-first",
        what: "as many consumers of a queue as threads, then a producer",
        reports: "rayon#835, #988",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "each thread waits in a consumer, and none is left for the producer",
        on: on!(consumers_first),
    },
    Program {
        name: "producer-and-consumer",
        what: "`join` of a producer and a consumer over a bounded queue, on 1 core",
        reports: "rayon#904",
        cores: &[1],
        threads: 1,
        rayon: Known::Hangs,
        why: "the queue is full, and the one thread waits in the producer",
        on: on!(producer_and_consumer),
    },
    Program {
        name: "producer-and-consumer-2",
        what: "the same on 2 cores",
        reports: "",
        cores: &[2, 64],
        threads: 2,
        rayon: Known::Works,
        why: "an idle thread takes the consumer",
        on: on!(producer_and_consumer),
    },
    Program {
        name: "barrier",
        what: "a barrier for one task more than there are threads",
        reports: "rayon#1269",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "each thread waits at the barrier, and none is left for the last task",
        on: on!(barrier),
    },
    Program {
        name: "nested-wait",
        what: "tasks, as many as threads, that each start a task and wait for its answer in a channel of `std`",
        reports: "tokio#4730, rayon#1269",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "each thread waits in a channel for a task that no thread is left to begin",
        on: on!(nested_wait),
    },
    Program {
        name: "philosophers",
        what: "five philosophers who eat with semaphores for forks, one of them left-handed",
        reports: "",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Works,
        why: "who waits for a fork waits for a task that is running, and which waits for nothing that isn't",
        on: on!(philosophers),
    },
    Program {
        name: "short-wait",
        what: "a short wait while an unrelated task of 300 ms is pending: how long after the wait is over `join` returns",
        reports: "rayon#1077, bevy#18009",
        cores: &[2, 64],
        threads: 2,
        rayon: Known::Works,
        why: "the waiting thread begins the long task, and returns when that is over",
        on: on!(short_wait),
    },
    Program {
        name: "endless-neighbour",
        what: "the same, where the unrelated task ends only after the `join` has returned",
        reports: "rayon#1077",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "the waiting thread begins the other task, which waits for what is below it on the stack",
        on: on!(endless_neighbour),
    },
    Program {
        name: "stack-depth",
        what: "300 tasks, each of which starts the next while it waits in `join`: how many lie on one stack",
        reports: "rayon#854, #1064, subspace#3698",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Works,
        why: "each waiting thread begins the next task on top: with enough of them the stack overflows",
        on: on!(stack_depth),
    },
    Program {
        name: "outside-task",
        what: "a task from outside, in a pool whose tasks go on starting tasks until that one has run",
        reports: "gam#3466",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "a thread looks for work from outside only when it finds none inside",
        on: on!(outside_task),
    },
    Program {
        name: "detached-panic",
        what: "a detached task that panics, and then other work",
        reports: "rayon#890, #1076",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Fails,
        why: "nobody waits for the task's result, so the process is aborted unless a handler has been set",
        on: on!(detached_panic),
    },
    Program {
        name: "fork",
        what: "a pool used in a child after `fork()`, which is to get an error",
        reports: "rayon#708, polars#8032, tokenizers#187",
        cores: &[1, 2, 64],
        threads: 2,
        rayon: Known::Hangs,
        why: "the child has no threads but its own, and the pool does not notice",
        on: on!(fork),
    },
];

/// Keeps all threads but two from taking anything, so that it is known who takes what. On purloin the occupants give their
/// cores to others.
fn occupy<S: Side>(pool: &S, threads: usize) -> Arc<S::Event> {
    let over = Arc::new(S::Event::default());
    for _ in 2..threads {
        let (begun, until) = (Arc::new(S::Event::default()), Arc::clone(&over));
        let occupied = Arc::clone(&begun);
        pool.spawn(move || {
            occupied.set();
            until.wait();
        });
        begun.wait();
    }
    over
}

/// Calls `join` in a pool of which two threads are free, so that the second half is stolen for certain. While the caller
/// waits for it there is `other` to be begun, and the thief goes on only when somebody has begun it. Gives the time from the
/// moment when the second half was over until `join` returned.
fn join_beside<S: Side>(pool: &S, other: impl FnOnce() + Send + 'static) -> Duration {
    let (stolen, begun) = (S::Event::default(), Arc::new(S::Event::default()));
    let ((), over) = S::join(
        || stolen.wait(),
        || {
            stolen.set();
            let task = Arc::clone(&begun);
            pool.spawn(move || {
                task.set();
                other();
            });
            begun.wait();
            Instant::now()
        },
    );
    over.elapsed()
}

fn lock_across_join<S: Side>(pool: S, cores: usize) -> Option<String> {
    let over = occupy(&pool, cores);
    let (lock, done) = (Arc::new(S::Lock::default()), Arc::new(S::Event::default()));
    pool.install(|| {
        lock.locked(|| {
            let (lock, done) = (Arc::clone(&lock), Arc::clone(&done));
            join_beside(&pool, move || lock.locked(|| done.set()));
        });
    });
    done.wait();
    over.set();
    None
}

fn once_across_join<S: Side>(pool: S, cores: usize) -> Option<String> {
    let over = occupy(&pool, cores);
    let (once, done) = (Arc::new(S::Once::default()), Arc::new(S::Event::default()));
    pool.install(|| {
        once.get(|| {
            let (once, done) = (Arc::clone(&once), Arc::clone(&done));
            join_beside(&pool, move || {
                once.get(|| ());
                done.set();
            });
        });
    });
    done.wait();
    over.set();
    None
}

fn cell_across_join<S: Side>(pool: S, cores: usize) -> Option<String> {
    thread_local!(static CELL: RefCell<usize> = const { RefCell::new(0) });
    let over = occupy(&pool, cores);
    let done = Arc::new(S::Event::default());
    pool.install(|| {
        CELL.with_borrow_mut(|count| {
            let done = Arc::clone(&done);
            join_beside(&pool, move || {
                CELL.with_borrow_mut(|count| *count += 1);
                done.set();
            });
            *count += 1;
        });
    });
    done.wait();
    over.set();
    None
}

fn consumers_first<S: Side>(pool: S, cores: usize) -> Option<String> {
    let (queue, sum, done) =
        (Arc::new(S::Queue::new(1)), Arc::new(AtomicUsize::new(0)), Arc::new(S::Barrier::new(cores + 1)));
    for _ in 0..cores {
        let (queue, sum, done) = (Arc::clone(&queue), Arc::clone(&sum), Arc::clone(&done));
        let begun = Arc::new(S::Event::default());
        let waits = Arc::clone(&begun);
        pool.spawn(move || {
            waits.set();
            sum.fetch_add(queue.pop(), Relaxed);
            done.wait();
        });
        begun.wait();
    }
    pool.spawn(move || (0..cores).for_each(|_| queue.push(1)));
    done.wait();
    assert_eq!(sum.load(Relaxed), cores);
    None
}

fn producer_and_consumer<S: Side>(pool: S, _: usize) -> Option<String> {
    const NUMBERS: usize = 1000;
    let queue = S::Queue::new(2);
    let ((), sum) = pool.install(|| {
        S::join(
            || (0..NUMBERS).for_each(|number| queue.push(number)),
            || (0..NUMBERS).map(|_| queue.pop()).sum::<usize>(),
        )
    });
    assert_eq!(sum, NUMBERS * (NUMBERS - 1) / 2);
    None
}

fn barrier<S: Side>(pool: S, cores: usize) -> Option<String> {
    barrier_of(&pool, cores + 1);
    None
}

/// So many tasks meet, and this thread waits until all have met.
fn barrier_of<S: Side>(pool: &S, tasks: usize) {
    let (barrier, over) = (Arc::new(S::Barrier::new(tasks)), Arc::new(S::Barrier::new(tasks + 1)));
    for _ in 0..tasks {
        let (barrier, over) = (Arc::clone(&barrier), Arc::clone(&over));
        pool.spawn(move || {
            barrier.wait();
            over.wait();
        });
    }
    over.wait();
}

fn nested_wait<S: Side>(pool: S, cores: usize) -> Option<String> {
    let (all, over) = (Arc::new(S::Barrier::new(cores)), Arc::new(S::Barrier::new(cores + 1)));
    for _ in 0..cores {
        let (inner, all, over) = (pool.clone(), Arc::clone(&all), Arc::clone(&over));
        pool.spawn(move || {
            // All have begun before the first waits.
            all.wait();
            let (sender, receiver) = mpsc::channel();
            inner.spawn(move || sender.send(1).expect("somebody waits"));
            assert_eq!(S::blocking(|| receiver.recv()), Ok(1));
            over.wait();
        });
    }
    over.wait();
    None
}

fn philosophers<S: Side>(pool: S, _: usize) -> Option<String> {
    const SEATS: usize = 5;
    const MEALS: usize = 100;
    let forks: Arc<Vec<S::Semaphore>> = Arc::new((0..SEATS).map(|_| S::Semaphore::new(1)).collect());
    let over = Arc::new(S::Queue::new(SEATS));
    for seat in 0..SEATS {
        let (forks, over) = (Arc::clone(&forks), Arc::clone(&over));
        pool.spawn(move || {
            let (left, right) = (seat, (seat + 1) % SEATS);
            // The last takes his right fork first, as a circle would else be possible.
            for _ in 0..MEALS {
                forks[left.min(right)].with_permit(|| forks[left.max(right)].with_permit(|| busy(1.0)));
            }
            over.push(MEALS);
        });
    }
    assert_eq!((0..SEATS).map(|_| over.pop()).sum::<usize>(), SEATS * MEALS);
    None
}

fn short_wait<S: Side>(pool: S, cores: usize) -> Option<String> {
    const LONG: Duration = Duration::from_millis(300);
    let over = occupy(&pool, cores);
    let late = pool.install(|| {
        join_beside(&pool, || {
            let begun = Instant::now();
            while begun.elapsed() < LONG {
                hint::spin_loop();
            }
        })
    });
    over.set();
    Some(format!("{:.2} ms", late.as_secs_f64() * 1e3))
}

fn endless_neighbour<S: Side>(pool: S, cores: usize) -> Option<String> {
    let over = occupy(&pool, cores);
    let (returned, done) = (Arc::new(S::Event::default()), Arc::new(S::Event::default()));
    let (until, ended) = (Arc::clone(&returned), Arc::clone(&done));
    pool.install(|| {
        join_beside(&pool, move || {
            until.wait();
            ended.set();
        });
    });
    returned.set();
    done.wait();
    over.set();
    None
}

/// How deep tasks have lain on one stack.
#[derive(Default)]
struct Deepest {
    tasks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Deepest {
    /// Runs `task`, as one more on this stack.
    fn on_top(&self, task: impl FnOnce()) {
        thread_local!(static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) });
        let marker = 0u8;
        let here = (&raw const marker).addr();
        let (tasks, base) = STACK.get();
        let base = if tasks == 0 { here } else { base };
        STACK.set((tasks + 1, base));
        self.tasks.fetch_max(tasks + 1, Relaxed);
        // Stacks grow downwards.
        self.bytes.fetch_max(base - here, Relaxed);
        task();
        STACK.set((tasks, base));
    }
}

fn stack_depth<S: Side>(pool: S, cores: usize) -> Option<String> {
    const TASKS: usize = 300;
    fn task<S: Side>(pool: &S, left: usize, deepest: &Arc<Deepest>, last: &Arc<S::Event>) {
        let Some(left) = left.checked_sub(1) else { return last.set() };
        let (next, again, end) = (pool.clone(), Arc::clone(deepest), Arc::clone(last));
        deepest.on_top(|| {
            join_beside(pool, move || task(&next, left, &again, &end));
        });
    }
    let over = occupy(&pool, cores);
    let (deepest, last) = (Arc::new(Deepest::default()), Arc::new(S::Event::default()));
    pool.install(|| task(&pool, TASKS, &deepest, &last));
    last.wait();
    over.set();
    let (tasks, bytes) = (deepest.tasks.load(Relaxed), deepest.bytes.load(Relaxed));
    let size = if tasks > 1 { format!(", {} KiB", bytes.div_ceil(1024)) } else { String::new() };
    Some(format!("{tasks}{size}"))
}

fn outside_task<S: Side>(pool: S, cores: usize) -> Option<String> {
    fn chain<S: Side>(pool: S, over: Arc<AtomicBool>) {
        if !over.load(Relaxed) {
            let next = pool.clone();
            pool.spawn(move || chain(next, over));
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let (all, begun) = (Arc::new(S::Barrier::new(cores)), Arc::new(S::Barrier::new(cores + 1)));
    for _ in 0..cores {
        let (inner, over, all, begun) = (pool.clone(), Arc::clone(&over), Arc::clone(&all), Arc::clone(&begun));
        pool.spawn(move || {
            // One on each thread, so that each has tasks of its own, and finds one whenever another is done.
            all.wait();
            for _ in 0..4 {
                chain(inner.clone(), Arc::clone(&over));
            }
            begun.wait();
        });
    }
    begun.wait();
    let done = Arc::new(S::Event::default());
    let outside = Arc::clone(&done);
    pool.spawn(move || outside.set());
    done.wait();
    over.store(true, Relaxed);
    None
}

fn detached_panic<S: Side>(pool: S, cores: usize) -> Option<String> {
    let begun = Arc::new(S::Event::default());
    let panics = Arc::clone(&begun);
    pool.spawn(move || {
        panics.set();
        panic!("a task panics");
    });
    begun.wait();
    // Where a task keeps its thread, they meet only when the thread that panicked is there too.
    barrier_of(&pool, cores);
    None
}

fn fork<S: Side>(pool: S, _: usize) -> Option<String> {
    /// What the child ends with that got an error.
    const TOLD: i32 = 42;
    assert_eq!(pool.install(|| 1), 1);
    // SAFETY: the child runs on this thread alone. It allocates, which glibc allows after a fork, and takes no lock that
    // another thread of the parent could have held, or it hangs, which is what is looked for.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "a child");
    if child == 0 {
        let told = catch_unwind(AssertUnwindSafe(|| pool.install(|| 1)));
        // SAFETY: ends the child at once, and runs nothing of the parent's.
        unsafe { libc::_exit(if told.is_err() { TOLD } else { 0 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child just made, and writes its end to a live word.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == TOLD, "the child ended without an error: {status}");
    Some("an error".to_owned())
}
