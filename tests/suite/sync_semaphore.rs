//! Semaphores between tasks: on one core as on many, at the cap of threads, through panics, closing and time-outs.

use crate::common::{LONG, at_cores, note, panic_text_of, spin_until, watched, within};
use purloin::sync::{AcquireTimeoutError, Closed, Semaphore, TooManyPermits, TryAcquireError};
use purloin::{JoinError, Pool};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn no_more_than_there_are_permits() {
    at_cores(|pool| {
        let (semaphore, inside, most) = (Semaphore::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        pool.map(0..500usize, |n| {
            let permits = n % 3 + 1;
            let _permit = semaphore.acquire(permits).expect("open");
            most.fetch_max(inside.fetch_add(permits, Ordering::Relaxed) + permits, Ordering::Relaxed);
            // A part of it may be stolen, and the wait for it give the core away.
            purloin::join(thread::yield_now, thread::yield_now);
            inside.fetch_sub(permits, Ordering::Relaxed);
        });
        assert!(most.into_inner() <= 3);
        assert_eq!(semaphore.available(), 3);
    });
}

/// Each of five philosophers needs two forks of five. No more than four sit down, so one of them gets both.
#[test]
fn philosophers_dine() {
    at_cores(|pool| {
        let (forks, seats) = ([const { Semaphore::new(1) }; 5], Semaphore::new(4));
        let meals: [AtomicUsize; 5] = Default::default();
        pool.scope(|s| {
            for philosopher in 0..5 {
                let (forks, seats, meals) = (&forks, &seats, &meals);
                s.spawn(move || {
                    for _ in 0..100 {
                        let _seat = seats.acquire(1).expect("open");
                        let _left = forks[philosopher].acquire(1).expect("open");
                        let _right = forks[(philosopher + 1) % 5].acquire(1).expect("open");
                        meals[philosopher].fetch_add(1, Ordering::Relaxed);
                        thread::yield_now();
                    }
                });
            }
        });
        assert!(meals.iter().all(|meals| meals.load(Ordering::Relaxed) == 100));
    });
}

/// Tasks that wait keep no core from the one that they wait for.
#[test]
fn many_tasks_wait_for_one() {
    at_cores(|pool| {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiters: Vec<_> = (0..100)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                pool.spawn(move || semaphore.acquire(1).map(|permit| permit.forget()))
            })
            .collect();
        let semaphore = Arc::clone(&semaphore);
        pool.spawn(move || semaphore.add_permits(100)).join().expect("no panic").expect("not too many");
        waiters.into_iter().for_each(|waiter| assert_eq!(waiter.join().expect("no panic"), Ok(())));
    });
}

/// Who waits for many is not overtaken by those who want few, though there are enough for them.
#[test]
fn a_large_request_is_not_overtaken() {
    within(LONG, || {
        let (semaphore, order) = (Semaphore::new(2), Mutex::new(Vec::new()));
        let take = |permits: usize| {
            let _permit = semaphore.acquire(permits).expect("open");
            order.lock().expect("no panic").push(permits);
        };
        thread::scope(|scope| {
            let held = semaphore.acquire(1).expect("open");
            scope.spawn(|| take(2));
            // Only those who would wait find nothing.
            spin_until(|| semaphore.try_acquire(1).err() == Some(TryAcquireError::NoPermits));
            assert_eq!(semaphore.available(), 1);
            let behind = scope.spawn(|| take(1));
            assert_eq!(semaphore.acquire_timeout(1, SOON).err(), Some(AcquireTimeoutError::TimedOut));
            assert!(order.lock().expect("no panic").is_empty());
            drop(held);
            behind.join().expect("no panic");
        });
        assert_eq!(*order.lock().expect("no panic"), [2, 1]);
        assert_eq!(semaphore.available(), 2);
    });
}

/// A large request that gives up lets those behind it go on.
#[test]
fn giving_up_makes_way() {
    at_cores(|pool| {
        let semaphore = Semaphore::new(1);
        for _ in 0..20 {
            pool.scope(|s| {
                let large = s.spawn(|| semaphore.acquire_timeout(2, SOON).err());
                let small = s.spawn(|| semaphore.acquire_timeout(1, NEVER).err());
                assert_eq!(large.join().expect("no panic"), Some(AcquireTimeoutError::TimedOut));
                assert_eq!(small.join().expect("no panic"), None);
            });
        }
        assert!(semaphore.try_acquire(1).is_ok());
    });
}

/// Time-outs and returned permits meet at random; nothing is lost.
#[test]
fn nothing_is_lost_to_time_outs() {
    at_cores(|pool| {
        let semaphore = Semaphore::new(2);
        pool.map(0..400u64, |n| {
            let permits = n as usize % 2 + 1;
            let permit = match n % 3 {
                0 => semaphore.acquire_timeout(permits, Duration::from_micros(n % 50)).ok(),
                1 => semaphore.try_acquire(permits).ok(),
                _ => semaphore.acquire(permits).ok(),
            };
            thread::yield_now();
            drop(permit);
        });
        assert_eq!(semaphore.available(), 2);
        assert!(semaphore.try_acquire(2).is_ok());
    });
}

#[test]
fn closing_ends_all_waits() {
    at_cores(|pool| {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire(1).expect("open");
        let waiters: Vec<_> = (0..50)
            .map(|n| {
                let semaphore = Arc::clone(&semaphore);
                pool.spawn(move || match n % 2 {
                    0 => semaphore.acquire(n % 3).err().is_some(),
                    _ => semaphore.acquire_timeout(1, NEVER).err() == Some(AcquireTimeoutError::Closed),
                })
            })
            .collect();
        semaphore.close();
        for (n, waiter) in waiters.into_iter().enumerate() {
            // Nothing at all may have been had before.
            assert!(waiter.join().expect("no panic") || n % 6 == 0, "{n}");
        }
        assert!(semaphore.is_closed());
        assert_eq!(semaphore.acquire(1).err(), Some(Closed));
        assert_eq!(semaphore.try_acquire(1).err(), Some(TryAcquireError::Closed));
        drop(held);
        assert_eq!(semaphore.available(), 1);
        assert_eq!(semaphore.acquire(1).err(), Some(Closed));
    });
}

#[test]
fn a_panic_gives_back() {
    at_cores(|pool| {
        let semaphore = Arc::new(Semaphore::new(2));
        let panicking = {
            let semaphore = Arc::clone(&semaphore);
            pool.spawn(move || {
                let _permits = semaphore.acquire(2).expect("open");
                // Without the hook, which would print.
                std::panic::resume_unwind(Box::new("with two permits"));
            })
        };
        let waiter = {
            let semaphore = Arc::clone(&semaphore);
            pool.spawn(move || semaphore.acquire(2).is_ok())
        };
        assert!(matches!(panicking.join(), Err(JoinError::Panicked(_))));
        assert!(waiter.join().expect("no panic"));
        assert_eq!(semaphore.available(), 2);
    });
}

/// All threads that the pool may have wait: they do so as threads do, and go on when somebody from outside comes.
#[test]
fn at_the_cap_it_just_blocks() {
    for cores in [1, 2, 8] {
        note(format!("with {cores} cores and as many threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (waiting, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
            let tasks: Vec<_> = (0..2 * cores)
                .map(|_| {
                    let (waiting, go) = (Arc::clone(&waiting), Arc::clone(&go));
                    pool.spawn(move || {
                        waiting.add_permits(1).expect("not too many");
                        go.acquire(1).map(|permit| permit.forget())
                    })
                })
                .collect();
            waiting.acquire(cores).expect("open").forget();
            // The others have no thread yet.
            assert_eq!(waiting.try_acquire(1).err(), Some(TryAcquireError::NoPermits));
            go.add_permits(cores).expect("not too many");
            waiting.acquire(cores).expect("open").forget();
            go.add_permits(cores).expect("not too many");
            tasks.into_iter().for_each(|task| assert_eq!(task.join().expect("no panic"), Ok(())));
        });
        within(LONG, || drop(pool));
    }
}

#[test]
fn a_bound_is_kept() {
    let semaphore = Semaphore::bounded(3);
    let permit = semaphore.acquire(2).expect("open");
    assert_eq!(permit.count(), 2);
    assert_eq!(semaphore.add_permits(1), Err(TooManyPermits { added: 1, bound: 3 }));
    permit.forget();
    assert_eq!(semaphore.add_permits(3), Err(TooManyPermits { added: 3, bound: 3 }));
    assert_eq!(semaphore.add_permits(2), Ok(()));
    assert_eq!(semaphore.available(), 3);
    assert_eq!(
        semaphore.add_permits(usize::MAX).unwrap_err().to_string(),
        format!(
            "{} permits more would be too many for a semaphore of at most 3: are some given back twice?",
            usize::MAX
        )
    );
}

#[test]
fn there_are_never_more_than_can_be_counted() {
    const MOST: usize = Semaphore::MAX_PERMITS;
    let semaphore = Semaphore::new(MOST);
    assert_eq!(semaphore.add_permits(1), Err(TooManyPermits { added: 1, bound: MOST }));
    let all = semaphore.acquire(MOST).expect("open");
    // Held permits count.
    assert!(semaphore.add_permits(1).is_err());
    drop(all);
    assert_eq!(semaphore.available(), MOST);
    assert!(panic_text_of(|| Semaphore::new(MOST + 1)).contains("at most Semaphore::MAX_PERMITS"));
}

#[test]
fn what_can_never_be_had_is_reported() {
    let semaphore = Semaphore::bounded(2);
    let text = panic_text_of(|| semaphore.acquire(3).is_ok());
    assert_eq!(text, "3 permits are asked for: the semaphore never has more than 2");
    assert_eq!(semaphore.try_acquire(3).err(), Some(TryAcquireError::NoPermits));
    assert_eq!(semaphore.try_acquire(usize::MAX).err(), Some(TryAcquireError::NoPermits));
    assert!(panic_text_of(|| Semaphore::new(1).acquire(usize::MAX).is_ok()).contains("never has more"));
    assert_eq!(semaphore.acquire(0).map(|none| none.count()), Ok(0));
}

/// A permit outlives the task that took it, and the last reference to the semaphore but its own.
#[test]
fn a_permit_of_its_own() {
    at_cores(|pool| {
        let slots = Arc::new(Semaphore::new(3));
        let taken = pool.install(|| slots.acquire_owned(2)).expect("not closed");
        assert_eq!((taken.count(), slots.available()), (2, 1));
        assert_eq!(slots.try_acquire_owned(2).err(), Some(TryAcquireError::NoPermits));
        let task = {
            let slots = Arc::clone(&slots);
            pool.spawn(move || {
                drop(taken);
                slots.available()
            })
        };
        assert_eq!(task.join().expect("no panic"), 3);
        slots.acquire_owned(1).expect("not closed").forget();
        assert_eq!(slots.available(), 2);
        assert_eq!(slots.add_permits(1), Ok(()));
        let last = slots.acquire_owned(3).expect("not closed");
        drop(slots);
        assert_eq!(last.count(), 3);
    });
}
