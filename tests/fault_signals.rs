//! Signals without end at all threads of the process, with a handler and without `SA_RESTART`: whatever the system interrupts
//! is taken up again. No wait ends early, no time-out late, and nothing is lost.
#![cfg(target_os = "linux")]

mod common;

use common::{CORES, LONG, good_child, note, part, watched, within};
use purloin::Pool;
use purloin::sync::{Barrier, Condvar, Event, Latch, Monitor, Mutex, Queue, Semaphore};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Signals that make a storm, for each pool.
const STORM: usize = 1_000;

/// Signals that arrived.
static ARRIVED: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: libc::c_int) {
    ARRIVED.fetch_add(1, Ordering::Relaxed);
}

/// Sends a signal to every thread of the process, again and again, until it is over.
fn storm(over: &AtomicBool) {
    let handler: extern "C" fn(libc::c_int) = count;
    // SAFETY: all zeroes is a valid value of the structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    // No flag: what is interrupted fails with EINTR.
    // SAFETY: the action is valid, and its handler is never unloaded.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    // SAFETY: no memory is involved.
    let process = unsafe { libc::getpid() };
    while !over.load(Ordering::Relaxed) {
        for entry in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<libc::pid_t>().ok()) else {
                continue;
            };
            // A thread that has ended meanwhile is an error, and all the same to us.
            // SAFETY: no memory is involved.
            unsafe { libc::syscall(libc::SYS_tgkill, process, id, libc::SIGUSR1) };
        }
        thread::yield_now();
    }
}

/// Runs `body` with a pool of each number of cores in a process of its own, in the storm: as often as it takes for that to come up.
fn in_a_storm(test: &str, body: impl Fn(&Pool) + Sync) {
    if part().is_none() {
        good_child(test, "storm", &[]);
        return;
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| storm(&over));
        for cores in CORES {
            note(format!("with {cores} cores"));
            let pool = Pool::new(cores).expect("a pool");
            // The storm ends with the process if this hangs, and with the scope if it panics.
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                watched(LONG, Some(&pool), || {
                    let before = ARRIVED.load(Ordering::Relaxed);
                    while ARRIVED.load(Ordering::Relaxed) < before + STORM {
                        body(&pool);
                    }
                });
                within(LONG, || drop(pool));
            }));
            if let Err(payload) = result {
                over.store(true, Ordering::Relaxed);
                std::panic::resume_unwind(payload);
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_time_out_is_neither_early_nor_lost() {
    in_a_storm("a_time_out_is_neither_early_nor_lost", |pool| {
        let time = Duration::from_millis(20);
        let never = || {
            let begun = Instant::now();
            let waited = |what: &str, rounds: u32| {
                assert!(begun.elapsed() >= time * rounds, "{what} gave up after {:?}", begun.elapsed());
            };
            assert!(Event::new().wait_timeout(time).is_err());
            waited("the event", 1);
            assert!(Latch::new(1).wait_timeout(time).is_err());
            waited("the latch", 2);
            assert!(Semaphore::new(0).acquire_timeout(1, time).is_err());
            waited("the semaphore", 3);
            assert!(Queue::<u8>::unbounded().pop_timeout(time).is_err());
            waited("the queue", 4);
            assert!(Barrier::new(2).wait_timeout(time).is_err());
            waited("the barrier", 5);
            assert_eq!(Monitor::new(()).wait_until_for(|_| None::<()>, time), None);
            waited("the monitor", 6);
            assert!(Condvar::new().wait_for(Mutex::new(()).lock(), time).1.timed_out());
            waited("the condition variable", 7);
        };
        never();
        pool.install(never);
    });
}

#[test]
fn what_is_waited_for_comes() {
    in_a_storm("what_is_waited_for_comes", |pool| {
        for round in 0..20 {
            let (full, empty, latch) = (Queue::bounded(1), Queue::bounded(1), Latch::new(4));
            let (turn, changed) = (Mutex::new(0), Condvar::new());
            pool.scope(|s| {
                s.spawn(|| (0..20).for_each(|n| full.push(n).expect("open")));
                s.spawn(|| (0..20).for_each(|_| empty.push(full.pop().expect("open")).expect("open")));
                s.spawn(|| assert!((0..20).all(|n| empty.pop() == Ok(n))));
                for n in 0..4 {
                    let (latch, turn, changed) = (&latch, &turn, &changed);
                    s.spawn(move || {
                        let mut now = changed.wait_while(turn.lock(), |turn| *turn != n);
                        *now += 1;
                        drop(now);
                        changed.notify_all();
                        latch.count_down();
                        latch.wait();
                    });
                }
            });
            let task = pool.spawn(move || purloin::blocking(|| common::spin_for(Duration::from_millis(1))));
            assert!(task.join_timeout(Duration::MAX).is_ok_and(|ended| ended.is_ok()));
            assert_eq!(pool.map(0..1_000u64, |n| n + round).len(), 1_000);
            assert_eq!(pool.imap(0..100u64, |n| n).sum::<u64>(), 4_950);
            assert_eq!(pool.imap_unordered(0..100u64, |n| n).sum::<u64>(), 4_950);
        }
    });
}

/// Threads start, sleep, end and are waited for in the storm too.
#[test]
fn pools_come_and_go() {
    in_a_storm("pools_come_and_go", |_| {
        for cores in [1, 2, 8] {
            let pool = Pool::new(cores).expect("a pool");
            let tasks: Vec<_> = (0..20).map(|n| pool.spawn(move || n)).collect();
            assert!(tasks.into_iter().enumerate().all(|(n, task)| task.join().is_ok_and(|m| m == n)));
            pool.close();
            assert_eq!(pool.join_threads(Instant::now().checked_add(Duration::from_secs(20))), Ok(()));
        }
    });
}
