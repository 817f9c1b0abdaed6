//! Time-outs and deadlines of every size where one is accepted: nothing overflows, none at all is no wait, and the end of time
//! is no time-out. A clock that is set has no part in it: see `no_clock_that_can_be_set` in `tests/house.rs`.

use crate::common::{Gate, LONG, at_cores, spin_until, within};
use purloin::sync::{
    Barrier, Condvar, Event, Latch, Monitor, Mutex, OnceLock, Queue, RwLock, Semaphore, Waiting, waiting,
};
use purloin::{CancelToken, JoinThreadsError, Options, Pool, Why};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// No time, and the least there is.
const SHORT: [Duration; 2] = [Duration::ZERO, Duration::from_nanos(1)];
/// Beyond the end of the clock; so far away that it is not; and sizes at which seconds or nanoseconds stop fitting in a word.
const LONGEST: [Duration; 5] = [
    Duration::MAX,
    Duration::from_secs(u64::MAX),
    Duration::from_secs(i64::MAX as u64),
    Duration::from_secs(u32::MAX as u64 + 1),
    Duration::from_nanos(u64::MAX),
];

/// Soon over.
const SOON: Duration = Duration::from_millis(1);

/// What never comes is not waited for when there is no time.
#[test]
fn no_time_at_all() {
    let never = || {
        for time in SHORT {
            let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
            std::thread::scope(|scope| {
                let (_one, _two) = (mutex.lock(), lock.write());
                let tried = scope.spawn(|| {
                    assert!(mutex.try_lock_for(time).is_none());
                    assert!(lock.try_read_for(time).is_none());
                    assert!(lock.try_write_for(time).is_none());
                });
                tried.join().expect("no panic");
            });
            assert!(Condvar::new().wait_for(mutex.lock(), time).1.timed_out());
            assert_eq!(Monitor::new(()).wait_until_for(|_| None::<()>, time), None);
            assert!(Semaphore::new(1).acquire_timeout(2, time).is_err());
            assert!(Queue::<u8>::unbounded().pop_timeout(time).is_err());
            let full = Queue::bounded(1);
            full.push(1).expect("room");
            assert!(full.push_timeout(2, time).is_err());
            assert!(Barrier::new(2).wait_timeout(time).is_err());
            assert!(Event::new().wait_timeout(time).is_err());
            assert!(Latch::new(1).wait_timeout(time).is_err());
        }
    };
    within(LONG, never);
    at_cores(|pool| {
        pool.install(never);
        for time in SHORT {
            let (sender, receiver) = mpsc::channel::<()>();
            let task = pool.spawn(move || purloin::blocking(|| receiver.recv()).is_err());
            let task = task.join_timeout(time).expect_err("it cannot be done");
            drop(sender);
            assert!(task.join().expect("no panic"));
        }
    });
}

/// What is there is had, whatever the time.
#[test]
fn what_is_there() {
    let have = || {
        for time in SHORT.into_iter().chain(LONGEST) {
            let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
            assert!(mutex.try_lock_for(time).is_some());
            assert!(lock.try_read_for(time).is_some());
            assert!(lock.try_write_for(time).is_some());
            assert_eq!(Monitor::new(1).wait_until_for(|state| Some(*state), time), Some(1));
            assert!(Semaphore::new(2).acquire_timeout(2, time).is_ok());
            let queue = Queue::bounded(1);
            assert!(queue.push_timeout(1, time).is_ok());
            assert_eq!(queue.pop_timeout(time), Ok(1));
            assert!(Barrier::new(1).wait_timeout(time).is_ok());
            let event = Event::new();
            event.set();
            assert!(event.wait_timeout(time).is_ok());
            let latch = Latch::new(1);
            latch.count_down();
            assert!(latch.wait_timeout(time).is_ok());
            assert_eq!(OnceLock::new().get_or_init(|| 1), &1);
        }
    };
    within(LONG, have);
    at_cores(|pool| {
        pool.install(have);
        for time in SHORT.into_iter().chain(LONGEST) {
            let task = pool.spawn(|| 1);
            crate::common::spin_until(|| task.is_finished());
            assert_eq!(task.join_timeout(time).expect("done").expect("no panic"), 1);
        }
    });
}

/// A wait until the end of time ends when what it waits for comes. All begin before, and say so.
#[test]
fn until_the_end_of_time() {
    at_cores(|pool| {
        for time in LONGEST {
            let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
            let (changed, monitor, semaphore) = (Condvar::new(), Monitor::new(false), Semaphore::new(0));
            let (empty, full, barrier) = (Queue::unbounded(), Queue::bounded(1), Barrier::new(2));
            let (event, latch, ready) = (Event::new(), Latch::new(1), Mutex::new(false));
            full.push(0).expect("room");
            let held = Gate::new();
            std::thread::scope(|outside| {
                outside.spawn(|| {
                    let (one, two) = (mutex.lock(), lock.write());
                    held.open();
                    // Each task waits, or those of another test of this file do so: then some find what they want at once.
                    let here = |waiting: &&Waiting| waiting.location().file() == file!();
                    spin_until(|| waiting().threads().iter().filter(here).count() >= 11);
                    drop((one, two));
                    monitor.with(|mut now| *now = true);
                    semaphore.add_permits(1).expect("few");
                    empty.push(1).expect("open");
                    full.pop().expect("one is there");
                    barrier.wait();
                    event.set();
                    latch.count_down();
                    *ready.lock() = true;
                    changed.notify_all();
                });
                held.pass();
                pool.scope(|s| {
                    s.spawn(|| assert!(mutex.try_lock_for(time).is_some()));
                    s.spawn(|| assert!(lock.try_read_for(time).is_some()));
                    s.spawn(|| assert!(lock.try_write_for(time).is_some()));
                    s.spawn(|| {
                        let mut guard = ready.lock();
                        while !*guard {
                            guard = changed.wait_for(guard, time).0;
                        }
                    });
                    s.spawn(|| assert!(monitor.wait_until_for(|now| now.then_some(()), time).is_some()));
                    s.spawn(|| assert!(semaphore.acquire_timeout(1, time).is_ok()));
                    s.spawn(|| assert_eq!(empty.pop_timeout(time), Ok(1)));
                    s.spawn(|| assert!(full.push_timeout(1, time).is_ok()));
                    s.spawn(|| assert!(barrier.wait_timeout(time).is_ok()));
                    s.spawn(|| assert!(event.wait_timeout(time).is_ok()));
                    s.spawn(|| assert!(latch.wait_timeout(time).is_ok()));
                });
            });
        }
    });
}

/// Deadlines that have passed, that pass now, and that never will.
#[test]
fn deadlines() {
    at_cores(|pool| {
        let now = Instant::now();
        let passed = [now, now.checked_sub(Duration::from_secs(1)).unwrap_or(now)];
        for deadline in passed {
            let late = pool.with(Options::new().deadline(deadline)).map(0..10, |n| n).expect_err("too late");
            assert_eq!((late.finished, late.why), (0, Why::Deadline));
            let options = Options::new().deadline(deadline);
            assert!(pool.with(options.clone()).imap(0.., |n| n).next().is_some_and(|first| first.is_err()));
            assert!(pool.with(options.clone()).install(|| ()).is_err());
            assert!(pool.with(options).spawn(|| ()).join().expect("no panic").is_err());
        }
        // As far as the clock goes.
        let mut far = Duration::from_secs(1 << 62);
        let latest = loop {
            match now.checked_add(far) {
                Some(latest) => break latest,
                None => far /= 2,
            }
        };
        let options = Options::new().deadline(latest).token(&CancelToken::new());
        assert_eq!(pool.with(options.clone()).map(0..10, |n| n).expect("time enough").len(), 10);
        assert_eq!(pool.with(options.clone()).imap(0..10, |n| n).map_while(Result::ok).count(), 10);
        assert_eq!(pool.with(options.clone()).imap_unordered(0..10, |n| n).map_while(Result::ok).count(), 10);
        assert_eq!(pool.with(options).map_reduce(0..10, |n| n, 0, |a, b| a + b).expect("time enough"), 45);
        assert_eq!(pool.join_threads(Some(latest)), Err(JoinThreadsError::StillOpen));
    });
    within(LONG, || {
        for cores in crate::common::CORES {
            let pool = Pool::new(cores).expect("a pool");
            let (sender, receiver) = mpsc::channel::<()>();
            let task = pool.spawn(move || receiver.recv().is_err());
            pool.close();
            let late = pool.join_threads(Some(Instant::now()));
            assert!(matches!(late, Err(JoinThreadsError::Deadline { alive: 1.. })), "{late:?}");
            drop(sender);
            assert_eq!(pool.join_threads(Instant::now().checked_add(Duration::from_secs(1 << 40))), Ok(()));
            assert!(task.join().expect("no panic"));
        }
    });
}

/// A watchdog that looks all the time, or never.
#[test]
fn watchdogs() {
    within(LONG, || {
        for period in SHORT.into_iter().chain(LONGEST) {
            let pool = Pool::builder().cores(2).watchdog(period, |_| ()).build().expect("a pool");
            crate::common::assert_sound(&pool);
            drop(pool);
        }
    });
}

/// A time-out ends a wait in which the thread is called again and again, and each time finds that others were quicker.
#[test]
fn called_in_vain() {
    at_cores(|pool| {
        let over = AtomicBool::new(false);
        let (monitor, queue, full) = (Monitor::new(0u64), Queue::unbounded(), Queue::bounded(1));
        full.push(0).expect("open");
        let busy = |f: &(dyn Fn() + Sync)| {
            while !over.load(Ordering::Relaxed) {
                f();
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| busy(&|| monitor.with(|mut n| *n += 1)));
            scope.spawn(|| busy(&|| queue.push(0).expect("open")));
            scope.spawn(|| busy(&|| _ = queue.try_pop()));
            scope.spawn(|| busy(&|| _ = full.try_pop()));
            scope.spawn(|| busy(&|| _ = full.try_push(0)));
            let wait = || {
                for _ in 0..4 {
                    assert_eq!(monitor.wait_until_for(|_| None::<()>, SOON), None);
                    let _ = queue.pop_timeout(SOON);
                    let _ = full.push_timeout(0, SOON);
                }
            };
            wait();
            pool.install(wait);
            over.store(true, Ordering::Relaxed);
        });
    });
}
