//! Programs whose tasks wait for each other: without end, or with a time-out and then without what they waited for.

use crate::seed::Seed;
use purloin::Pool;
use purloin::sync::{Barrier, Condvar, Event, Latch, Monitor, Mutex, Queue, Semaphore};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// Tasks of a program.
const TASKS: u64 = 3;
/// What each does so many times.
const TURNS: u64 = 4;

/// How long a task waits: `None` is until what it waits for has come.
type Patience = Option<Duration>;

/// Runs one of the programs and checks what comes of it.
pub fn run(pool: &Pool, seed: Seed, patience: Patience) {
    match seed.part(1).below(10) {
        0 => condvar(pool, seed, patience),
        1 => monitor(pool, seed, patience),
        2 => queue(pool, seed, patience),
        3 => errands(pool, seed, patience),
        4 => barrier(pool, seed, patience),
        5 => event(pool, seed, patience),
        6 => latch(pool, seed, patience),
        7 => semaphore(pool, seed, patience),
        8 => buffer(pool, seed, patience),
        _ => blocking(pool, seed, patience),
    }
}

/// Tasks of a scope, numbered from 0; they begin in any order.
fn tasks(pool: &Pool, seed: Seed, task: impl Fn(u64, Seed) + Sync) {
    pool.scope(|s| {
        for n in 0..TASKS {
            let (task, seed) = (&task, seed.part(n));
            s.spawn(move || {
                seed.dawdle();
                task(n, seed);
            });
        }
    });
}

/// Tasks take turns in a ring.
fn condvar(pool: &Pool, seed: Seed, patience: Patience) {
    let (turn, changed) = (Mutex::new(0), Condvar::new());
    tasks(pool, seed, |n, seed| {
        for round in 0..TURNS {
            let wanted = round * TASKS + n;
            let mut guard = turn.lock();
            match patience {
                None if seed.once_in(2) => guard = changed.wait_while(guard, |turn| *turn != wanted),
                None => {
                    while *guard != wanted {
                        guard = changed.wait(guard);
                    }
                }
                Some(timeout) if seed.once_in(2) => guard = changed.wait_for(guard, timeout).0,
                Some(timeout) => {
                    let (again, result) = changed.wait_while_for(guard, |turn| *turn != wanted, timeout);
                    assert_eq!(result.timed_out(), *again != wanted);
                    guard = again;
                }
            }
            seed.part(round).dawdle();
            *guard += 1;
            if seed.part(round).once_in(2) {
                drop(guard);
            }
            assert!((changed.notify_all() as u64) < TASKS);
        }
    });
    assert_eq!(turn.into_inner(), TASKS * TURNS);
}

/// A bounded buffer: one produces, the others consume, and each notifies one that waits.
fn buffer(pool: &Pool, seed: Seed, patience: Patience) {
    /// Values in the buffer, and whether they are the last.
    type Values = (VecDeque<u64>, bool);
    let (values, filled, emptied) = (Mutex::new(Values::default()), Condvar::new(), Condvar::new());
    let room = 1 + seed.part(TASKS).below(3) as usize;
    let (pushed, popped) = (AtomicU64::new(0), AtomicU64::new(0));
    tasks(pool, seed, |n, seed| {
        let within = |guard, changed: &Condvar, wait: fn(&mut Values, usize) -> bool| match patience {
            None => changed.wait_while(guard, |values| wait(values, room)),
            Some(timeout) => changed.wait_while_for(guard, |values| wait(values, room), timeout).0,
        };
        if n == 0 {
            for value in 0..20 {
                let mut guard = within(values.lock(), &emptied, |values, room| values.0.len() >= room);
                if guard.0.len() < room {
                    guard.0.push_back(value);
                    pushed.fetch_add(1 << value, Ordering::Relaxed);
                }
                drop(guard);
                filled.notify_one();
                seed.part(value).dawdle();
            }
            values.lock().1 = true;
            assert!((filled.notify_all() as u64) < TASKS);
            return;
        }
        loop {
            let mut guard = within(values.lock(), &filled, |values, _| values.0.is_empty() && !values.1);
            let Some(value) = guard.0.pop_front() else { break };
            drop(guard);
            popped.fetch_add(1 << value, Ordering::Relaxed);
            emptied.notify_one();
            seed.part(value).dawdle();
        }
    });
    let left: u64 = values.into_inner().0.into_iter().map(|value| 1 << value).sum();
    assert_eq!(popped.into_inner() + left, pushed.into_inner(), "each value once");
    assert!(patience.is_some() || left == 0);
}

fn monitor(pool: &Pool, seed: Seed, patience: Patience) {
    let turn = Monitor::new(0);
    let done = AtomicU64::new(0);
    tasks(pool, seed, |n, seed| {
        for round in 0..TURNS {
            let mine = |mut turn: purloin::sync::MonitorState<'_, u64>| {
                seed.part(round).dawdle();
                (*turn == round * TASKS + n).then(|| *turn += 1)
            };
            let came = match patience {
                None => {
                    turn.wait_until(mine);
                    true
                }
                Some(timeout) => turn.wait_until_for(mine, timeout).is_some(),
            };
            done.fetch_add(u64::from(came), Ordering::Relaxed);
        }
    });
    let turns = turn.into_inner();
    assert_eq!(turns, done.into_inner());
    assert!(patience.is_some() || turns == TASKS * TURNS);
}

/// One produces, the others consume until the queue is closed.
fn queue(pool: &Pool, seed: Seed, patience: Patience) {
    let queue = if seed.part(2).once_in(3) { Queue::unbounded() } else { Queue::bounded(1 + seed.below(3) as usize) };
    let (pushed, popped) = (AtomicU64::new(0), AtomicU64::new(0));
    tasks(pool, seed, |n, seed| match (n, patience) {
        (0, None) => {
            for value in 0..20 {
                queue.push(value).expect("it is open");
                pushed.fetch_add(1 << value, Ordering::Relaxed);
                seed.part(value).dawdle();
            }
            queue.close();
        }
        (0, Some(timeout)) => {
            for value in 0..20 {
                let done = queue.push_timeout(value, timeout).is_ok();
                pushed.fetch_add(u64::from(done) << value, Ordering::Relaxed);
            }
            queue.close();
        }
        (_, None) => (&queue).into_iter().for_each(|value| _ = popped.fetch_add(1 << value, Ordering::Relaxed)),
        (_, Some(timeout)) => {
            while let Ok(value) = queue.pop_timeout(timeout) {
                popped.fetch_add(1 << value, Ordering::Relaxed);
            }
        }
    });
    let left: u64 = queue.iter().map(|value| 1 << value).sum();
    assert_eq!(popped.into_inner() + left, pushed.into_inner(), "each value once");
    assert!(patience.is_some() || left == 0);
}

/// One waits until what it has queued is done.
fn errands(pool: &Pool, seed: Seed, patience: Patience) {
    let (queue, done) = (Queue::unbounded(), AtomicU64::new(0));
    (0..10).for_each(|value| queue.push(value).expect("it is open"));
    queue.close();
    tasks(pool, seed, |n, seed| {
        if n == 0 && patience.is_none() {
            queue.wait_all_done();
            assert_eq!(done.load(Ordering::Relaxed), 10);
            return;
        }
        for value in &queue {
            seed.part(value).dawdle();
            done.fetch_add(1, Ordering::Relaxed);
            queue.task_done().expect("one was popped");
        }
    });
    assert_eq!(done.into_inner(), 10);
}

fn barrier(pool: &Pool, seed: Seed, patience: Patience) {
    let barrier = Barrier::new(TASKS as usize);
    assert_eq!(barrier.parties() as u64, TASKS);
    let (leaders, arrived) = (AtomicU64::new(0), AtomicU64::new(0));
    tasks(pool, seed, |_, seed| {
        for round in 0..TURNS {
            seed.part(round).dawdle();
            arrived.fetch_add(1, Ordering::Relaxed);
            let result = match patience {
                None => Some(barrier.wait()),
                Some(timeout) => barrier.wait_timeout(timeout).ok(),
            };
            if patience.is_none() {
                assert!(arrived.load(Ordering::Relaxed) >= (round + 1) * TASKS, "through before all had arrived");
            }
            leaders.fetch_add(u64::from(result.is_some_and(|result| result.is_leader())), Ordering::Relaxed);
        }
    });
    let leaders = leaders.into_inner();
    assert!(leaders <= TURNS && (patience.is_some() || leaders == TURNS), "{leaders} leaders");
}

fn event(pool: &Pool, seed: Seed, patience: Patience) {
    let (event, value) = (Event::new(), AtomicU64::new(0));
    tasks(pool, seed, |n, seed| {
        if n == 0 {
            if seed.once_in(4) {
                event.clear();
            }
            value.store(seed.0, Ordering::Relaxed);
            event.set();
            return;
        }
        let came = match patience {
            None => {
                event.wait();
                true
            }
            Some(timeout) => event.wait_timeout(timeout).is_ok(),
        };
        assert!(!came || value.load(Ordering::Relaxed) != 0, "what was done before the event is seen after it");
    });
    assert!(event.is_set());
}

fn latch(pool: &Pool, seed: Seed, patience: Patience) {
    let (latch, parts) = (Latch::new(TASKS as usize), AtomicU64::new(0));
    tasks(pool, seed, |_, _| {
        parts.fetch_add(1, Ordering::Relaxed);
        latch.count_down();
        let came = match patience {
            None => {
                latch.wait();
                true
            }
            Some(timeout) => latch.wait_timeout(timeout).is_ok(),
        };
        assert!(!came || parts.load(Ordering::Relaxed) == TASKS);
    });
    assert_eq!(latch.remaining(), 0);
}

/// Permits as a signal: one gives them, the others take them, and learn when there will be no more.
fn semaphore(pool: &Pool, seed: Seed, patience: Patience) {
    let semaphore = Semaphore::new(0);
    let (given, taken) = (AtomicU64::new(0), AtomicU64::new(0));
    tasks(pool, seed, |n, seed| {
        if n == 0 {
            for turn in 0..TURNS {
                seed.part(turn).dawdle();
                given.fetch_add(2, Ordering::Relaxed);
                semaphore.add_permits(2).expect("far from the most there can be");
            }
            semaphore.close();
            return;
        }
        loop {
            let permits = match patience {
                None => semaphore.acquire(n as usize).ok(),
                Some(timeout) => semaphore.acquire_timeout(n as usize, timeout).ok(),
            };
            match permits {
                Some(permit) => {
                    taken.fetch_add(permit.count() as u64, Ordering::Relaxed);
                    permit.forget();
                }
                None => break,
            }
        }
    });
    assert_eq!(taken.into_inner() + semaphore.available() as u64, given.into_inner(), "each permit once");
}

/// A wait of which the pool knows only that it may be long.
fn blocking(pool: &Pool, seed: Seed, patience: Patience) {
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    tasks(pool, seed, |n, seed| {
        if n > 0 {
            sender.send(seed.0).expect("the receiver is there");
            return;
        }
        let receiver = receiver.lock();
        for _ in 1..TASKS {
            match patience {
                None => _ = purloin::blocking(|| receiver.recv()).expect("as many as are sent"),
                Some(timeout) => _ = purloin::blocking(|| receiver.recv_timeout(timeout)),
            }
        }
    });
}
