//! A pool at its cap of threads: with none to spare for those that wait it gets slower, but gets on. And threads that
//! can't be started, at the beginning or later.

mod common;

use common::{CORES, Gate, LONG, assert_sound, good_child, note, part, spin_until, watched, within};
use purloin::{BuildError, Pool};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (x, y) = purloin::join(|| fib(n - 1), || fib(n - 2));
    x + y
}

#[test]
fn no_thread_to_spare() {
    for cores in CORES {
        note(format!("with {cores} cores and threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            assert_eq!(pool.spawn(|| fib(16)).join().expect("no panic"), 987);
            assert_eq!(pool.install(|| fib(16)), 987);
            thread::scope(|scope| {
                let callers: Vec<_> = (0..2 * cores.min(8)).map(|_| scope.spawn(|| pool.install(|| fib(12)))).collect();
                callers.into_iter().for_each(|caller| assert_eq!(caller.join().expect("no panic"), 144));
            });
            assert_sound(&pool);
            assert!(pool.stats().peak_threads <= cores);
        });
        within(LONG, || drop(pool));
    }
}

/// The thread that waits for a fork runs a task of the scope that the fork waits for, and this task leaves another behind,
/// when the scope's own thread has parked for good. With no third thread, one of these two must see to it.
#[test]
fn the_last_two_threads_wait_for_each_other() {
    let pool = Pool::builder().cores(2).max_threads(2).build().expect("a pool");
    watched(LONG, Some(&pool), || {
        let handle = pool.clone();
        let region = pool.spawn(move || {
            let (helping, late) = (Gate::new(), AtomicUsize::new(0));
            let stolen = Gate::new();
            purloin::join(
                || stolen.pass(),
                || {
                    stolen.open();
                    purloin::scope(|s| {
                        s.spawn(|| {
                            helping.open();
                            // The scope's thread has handed its core over when it has parked.
                            spin_until(|| handle.stats().hand_overs > 0);
                            s.spawn(|| late.fetch_add(1, Ordering::Relaxed));
                        });
                        helping.pass();
                    });
                },
            );
            late.load(Ordering::Relaxed)
        });
        assert_eq!(region.join().expect("no panic"), 1);
    });
    within(LONG, || drop(pool));
}

#[test]
fn impossible_numbers() {
    let build = |cores, threads: Option<usize>| {
        let builder = Pool::builder().cores(cores);
        within(LONG, || threads.map_or_else(|| Pool::builder().cores(cores), |most| builder.max_threads(most)).build())
    };
    for cores in [4097, usize::MAX / 2, usize::MAX] {
        match build(cores, None) {
            Err(BuildError::TooMany { what: "cores", asked, most: 4096 }) => assert_eq!(asked, cores),
            other => panic!("{cores} cores: {other:?}"),
        }
    }
    for threads in [65_537, usize::MAX] {
        match build(1, Some(threads)) {
            Err(BuildError::TooMany { what: "threads", asked, most: 65_536 }) => assert_eq!(asked, threads),
            other => panic!("{threads} threads: {other:?}"),
        }
    }
    for (cores, threads) in [(2, 1), (1, 0), (64, 63)] {
        match build(cores, Some(threads)) {
            Err(BuildError::CapBelowCores { max_threads, cores: of }) => {
                assert_eq!((of, max_threads), (cores, threads))
            }
            other => panic!("{cores} cores, {threads} threads: {other:?}"),
        }
    }
}

/// The most cores there can be, if the system lets a process have that many threads.
#[test]
fn thousands_of_cores() {
    within(LONG, || match Pool::new(4096) {
        Ok(pool) => {
            assert_eq!((pool.cores(), pool.stats().threads), (4096, 4096));
            assert_eq!(pool.map(0..1_000, |n| n), (0..1_000).collect::<Vec<_>>());
            assert_eq!(pool.install(|| fib(10)), 55);
        }
        Err(error) => assert!(matches!(error, BuildError::Thread { started: 1.., .. }), "{error:?}"),
    });
}

/// A stack that no system has room for, or that has no address.
#[test]
fn an_absurd_stack() {
    for cores in CORES {
        for bytes in [usize::MAX / 4, isize::MAX as usize, isize::MAX as usize + 1, usize::MAX - 4096, usize::MAX] {
            note(format!("with {cores} cores and stacks of {bytes} bytes"));
            match within(LONG, || Pool::builder().cores(cores).stack_size(bytes).build()) {
                Err(BuildError::Thread { started: 0, source }) => {
                    assert!(source.raw_os_error().is_some(), "{source:?}")
                }
                other => panic!("a pool with huge stacks: {other:?}"),
            }
        }
    }
}

/// Room for some threads but not for all: the error tells how many there were, and none of them is left.
#[cfg(target_os = "linux")]
#[test]
fn room_for_some() {
    if part().is_none() {
        good_child("room_for_some", "build", &[]);
        return;
    }
    let status = || std::fs::read_to_string("/proc/self/status").expect("there is /proc");
    within(LONG, || {
        let kilobytes = |line: &str| line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok());
        let used = status().lines().find(|line| line.starts_with("VmSize")).and_then(kilobytes).expect("a size") << 10;
        let limit = libc::rlimit { rlim_cur: used + (600 << 20), rlim_max: libc::RLIM_INFINITY };
        // SAFETY: the limit is a valid structure, and this process is there for this test alone.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
        let before = common::threads();
        for _ in 0..3 {
            match Pool::builder().cores(64).stack_size(128 << 20).build() {
                Err(BuildError::Thread { started, .. }) => assert!((1..5).contains(&started), "{started} started"),
                other => panic!("64 stacks in a space for 4: {other:?}"),
            }
            common::await_threads(before);
        }
        // Those that can be had work as ever, also when no more can be started for those that wait.
        let pool = Pool::builder().cores(2).stack_size(128 << 20).build().expect("room for two");
        let handle = pool.clone();
        let deep = pool.spawn(move || {
            let (gate, stolen) = (Gate::new(), Gate::new());
            purloin::join(
                || stolen.pass(),
                || {
                    stolen.open();
                    // Long enough for the other thread to hand its core over; a third one may fail to start.
                    handle.spawn(|| ());
                    spin_until(|| handle.stats().hand_overs > 0);
                    gate.open();
                },
            );
            gate.is_open()
        });
        assert!(deep.join().expect("no panic"));
        assert_sound(&pool);
    });
}

/// The function that names threads is the user's, and may panic: at the beginning that is a thread that can't be started,
/// and no thread is left.
#[test]
fn naming_panics_at_the_start() {
    for cores in CORES {
        let (starts, exits) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let count = |what: &Arc<AtomicUsize>| {
            let what = Arc::clone(what);
            move |_| {
                what.fetch_add(1, Ordering::Relaxed);
            }
        };
        let builder = Pool::builder().cores(cores).on_thread_start(count(&starts)).on_thread_exit(count(&exits));
        let name = move |index| if index + 1 == cores { panic!("no name") } else { format!("named-{index}") };
        within(LONG, || {
            let error = builder.thread_name(name).build().expect_err("a thread without a name");
            assert!(matches!(error, BuildError::Thread { started, .. } if started + 1 == cores), "{error}");
            let all_gone = || exits.load(Ordering::Relaxed) == cores - 1;
            spin_until(all_gone);
        });
    }
}

/// Later on the pool makes do with the threads that it has.
#[test]
fn naming_panics_later() {
    for cores in [2, 64] {
        let name = move |index| if index >= cores { panic!("no name") } else { format!("named-{index}") };
        let pool = Pool::builder().cores(cores).thread_name(name).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let handle = pool.clone();
            let waits = pool.spawn(move || {
                let stolen = Gate::new();
                purloin::join(
                    || stolen.pass(),
                    || {
                        stolen.open();
                        spin_until(|| handle.stats().hand_overs > 0);
                        // All threads are busy or wait: this wants one more.
                        let tasks: Vec<_> = (0..handle.cores()).map(|n| handle.spawn(move || n)).collect();
                        tasks.into_iter().map(|task| task.join().expect("no panic")).sum::<usize>()
                    },
                )
                .1
            });
            assert_eq!(waits.join().expect("no panic"), (0..cores).sum());
            assert_sound(&pool);
        });
        within(LONG, || drop(pool));
    }
}
