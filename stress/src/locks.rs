//! Programs whose tasks take turns: nobody waits for more than that another, who has begun, goes on.

use crate::bombs::OnPurpose;
use crate::seed::Seed;
use purloin::Pool;
use purloin::sync::{Monitor, Mutex, OnceLock, Queue, RwLock, Semaphore};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tasks of a program.
const TASKS: u64 = 4;
/// What each does so many times.
const TURNS: u64 = 5;

/// Runs one of the programs and checks what comes of it.
pub fn run(pool: &Pool, seed: Seed) {
    match seed.part(1).below(8) {
        0 => mutex(pool, seed),
        1 => rwlock(pool, seed),
        2 => monitor(pool, seed),
        3 => semaphore(pool, seed),
        4 => bounded_semaphore(pool, seed),
        5 => owned_permits(pool, seed),
        6 => once(pool, seed),
        _ => queue(pool, seed),
    }
}

/// Tasks of a scope, each of which takes so many turns, numbered from 0.
fn turns(pool: &Pool, seed: Seed, turn: impl Fn(u64, Seed) + Sync) {
    pool.scope(|s| {
        for task in 0..TASKS {
            let (turn, seed) = (&turn, seed.part(task));
            s.spawn(move || (0..TURNS).for_each(|n| turn(task * TURNS + n, seed.part(n))));
        }
    });
}

fn mutex(pool: &Pool, seed: Seed) {
    let (mut mutex, missed) = (Mutex::new(0), AtomicU64::new(0));
    turns(pool, seed, |_, seed| {
        let guard = match seed.below(4) {
            0 => mutex.try_lock(),
            1 => mutex.try_lock_for(seed.moment(200)),
            _ => Some(mutex.lock()),
        };
        match guard {
            Some(mut count) => {
                let before = *count;
                seed.dawdle();
                *count = before + 1;
                if seed.part(1).once_in(16) {
                    // The guard is dropped by the panic.
                    let caught = catch_unwind(AssertUnwindSafe(move || {
                        let _held = count;
                        panic_any(OnPurpose(seed.0))
                    }));
                    assert!(caught.is_err());
                }
            }
            None => _ = missed.fetch_add(1, Ordering::Relaxed),
        }
    });
    *mutex.get_mut() += missed.into_inner();
    assert_eq!(mutex.into_inner(), TASKS * TURNS);
}

fn rwlock(pool: &Pool, seed: Seed) {
    let (mut pair, written) = (RwLock::new((0, 0)), AtomicU64::new(0));
    turns(pool, seed, |_, seed| {
        let writer = match seed.below(6) {
            0 => pair.try_write(),
            1 => pair.try_write_for(seed.moment(200)),
            2 => Some(pair.write()),
            other => {
                let reader = match other {
                    3 => pair.try_read(),
                    4 => pair.try_read_for(seed.moment(200)),
                    _ => Some(pair.read()),
                };
                if let Some(pair) = reader {
                    seed.dawdle();
                    assert_eq!(pair.0, pair.1, "nobody writes while somebody reads");
                }
                None
            }
        };
        if let Some(mut pair) = writer {
            pair.0 += 1;
            seed.dawdle();
            pair.1 += 1;
            written.fetch_add(1, Ordering::Relaxed);
        }
    });
    let written = written.into_inner();
    pair.get_mut().0 += 1;
    assert_eq!(pair.into_inner(), (written + 1, written));
}

fn monitor(pool: &Pool, seed: Seed) {
    let mut monitor = Monitor::new(0);
    turns(pool, seed, |_, seed| {
        monitor.with(|mut count| {
            let before = *count;
            seed.dawdle();
            *count = before + 1;
        });
    });
    *monitor.get_mut() += 1;
    assert_eq!(monitor.into_inner(), TASKS * TURNS + 1);
}

fn semaphore(pool: &Pool, seed: Seed) {
    let permits = 1 + seed.part(1).below(3);
    let (semaphore, inside) = (Semaphore::new(permits as usize), AtomicU64::new(0));
    turns(pool, seed, |_, seed| {
        let wanted = 1 + seed.part(2).below(permits);
        let permit = match seed.below(4) {
            0 => semaphore.try_acquire(wanted as usize).ok(),
            1 => semaphore.acquire_timeout(wanted as usize, seed.moment(200)).ok(),
            _ => Some(semaphore.acquire(wanted as usize).expect("nobody closes it")),
        };
        if let Some(permit) = permit {
            assert_eq!(permit.count() as u64, wanted);
            assert!(inside.fetch_add(wanted, Ordering::Relaxed) + wanted <= permits, "more permits out than there are");
            seed.dawdle();
            inside.fetch_sub(wanted, Ordering::Relaxed);
        }
    });
    assert_eq!(semaphore.available() as u64, permits);
}

fn bounded_semaphore(pool: &Pool, seed: Seed) {
    let semaphore = Semaphore::bounded(2);
    turns(pool, seed, |_, seed| {
        if seed.once_in(4) {
            // One that is kept, and given back in another way.
            semaphore.acquire(1).expect("nobody closes it").forget();
            seed.dawdle();
            semaphore.add_permits(1).expect("it had been taken");
        } else {
            drop(semaphore.acquire(2).expect("nobody closes it"));
        }
    });
    assert!(semaphore.add_permits(1).is_err(), "all are there");
    semaphore.close();
    assert!(semaphore.is_closed() && semaphore.acquire(1).is_err());
}

/// Permits that are taken by one thread and given back by another, as a rule: who steals the other half of a fork.
fn owned_permits(pool: &Pool, seed: Seed) {
    let permits = 1 + seed.part(1).below(3);
    let (semaphore, inside) = (Arc::new(Semaphore::new(permits as usize)), AtomicU64::new(0));
    turns(pool, seed, |_, seed| {
        let wanted = 1 + seed.part(2).below(permits);
        let permit = match seed.below(3) {
            0 => semaphore.try_acquire_owned(wanted as usize).ok(),
            _ => Some(semaphore.acquire_owned(wanted as usize).expect("nobody closes it")),
        };
        let Some(permit) = permit else { return };
        assert_eq!(permit.count() as u64, wanted);
        assert!(inside.fetch_add(wanted, Ordering::Relaxed) + wanted <= permits, "more permits out than there are");
        let give_back = || {
            inside.fetch_sub(wanted, Ordering::Relaxed);
            if seed.part(3).once_in(4) {
                permit.forget();
                semaphore.add_permits(wanted as usize).expect("they had been taken");
            } else {
                drop(permit);
            }
        };
        pool.join(|| seed.dawdle(), give_back);
    });
    assert_eq!(semaphore.available() as u64, permits);
}

fn once(pool: &Pool, seed: Seed) {
    let (mut once, tries, made) = (OnceLock::new(), AtomicU64::new(0), AtomicU64::new(0));
    let failures = seed.part(1).below(3);
    turns(pool, seed, |n, seed| {
        let make = || {
            seed.dawdle();
            if tries.fetch_add(1, Ordering::Relaxed) < failures {
                panic_any(OnPurpose(n));
            }
            made.fetch_add(1, Ordering::Relaxed);
            n
        };
        match catch_unwind(AssertUnwindSafe(|| *once.get_or_init(make))) {
            Ok(value) => {
                assert_eq!(once.get(), Some(&value));
                assert_eq!(once.set(TASKS * TURNS), Err(TASKS * TURNS), "there is one");
            }
            Err(payload) => assert!(payload.is::<OnPurpose>()),
        }
    });
    assert_eq!((made.into_inner(), tries.into_inner()), (1, 1 + failures));
    *once.get_mut().expect("it was made") += TASKS * TURNS;
    assert!(once.take().is_some_and(|n| (TASKS * TURNS..2 * TASKS * TURNS).contains(&n)));
    assert_eq!((once.get(), once.set(1)), (None, Ok(())), "another may come now");
    assert_eq!(once.into_inner(), Some(1));
}

/// Nobody waits: what goes in comes out, or is there in the end.
fn queue(pool: &Pool, seed: Seed) {
    let queue = if seed.part(1).once_in(2) { Queue::unbounded() } else { Queue::bounded(3) };
    let (pushed, popped) = (AtomicU64::new(0), AtomicU64::new(0));
    turns(pool, seed, |n, seed| {
        if seed.once_in(2) {
            let done = match seed.part(1).below(2) {
                0 => queue.try_push(n).is_ok(),
                _ => queue.push_timeout(n, seed.moment(200)).is_ok(),
            };
            pushed.fetch_add(if done { 1 << n } else { 0 }, Ordering::Relaxed);
        } else {
            let value = match seed.part(1).below(2) {
                0 => queue.try_pop().ok(),
                _ => queue.pop_timeout(seed.moment(200)).ok(),
            };
            if let Some(n) = value {
                popped.fetch_add(1 << n, Ordering::Relaxed);
                queue.task_done().expect("one was popped");
            }
        }
        assert!(queue.len() as u64 <= TASKS * TURNS && queue.capacity().is_none_or(|most| queue.len() <= most));
    });
    queue.close();
    let left: u64 = queue.iter().map(|n| 1 << n).sum();
    assert_eq!(popped.into_inner() + left, pushed.into_inner(), "each value once");
    (0..left.count_ones()).for_each(|_| queue.task_done().expect("one was popped"));
    queue.wait_all_done();
    assert!(queue.task_done().is_err() && queue.is_empty() && queue.is_closed() && queue.push(0).is_err());
}
