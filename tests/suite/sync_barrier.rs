//! Barriers between tasks: on one core as on many, with as many threads as it takes, and with fewer.

use crate::common::{LONG, at_cores, note, watched, within};
use purloin::Pool;
use purloin::sync::{Barrier, BarrierTimeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn many_generations() {
    at_cores(|pool| {
        let (barrier, leaders, done) = (Barrier::new(8), AtomicUsize::new(0), AtomicUsize::new(0));
        pool.scope(|s| {
            for _ in 0..8 {
                s.spawn(|| {
                    for generation in 0..100 {
                        done.fetch_add(1, Ordering::Relaxed);
                        if barrier.wait().is_leader() {
                            leaders.fetch_add(1, Ordering::Relaxed);
                        }
                        // All of this generation are there, and nobody can be past the next.
                        let seen = done.load(Ordering::Relaxed);
                        assert!((8 * (generation + 1)..=8 * (generation + 2)).contains(&seen));
                    }
                });
            }
        });
        assert_eq!((leaders.into_inner(), done.into_inner()), (100, 800));
    });
}

/// As many threads as it takes: a thousand tasks meet, on any number of cores.
#[test]
fn a_thousand_meet() {
    for cores in [1, 2, 64] {
        note(format!("with {cores} cores"));
        let pool = Pool::builder().cores(cores).max_threads(1000 + cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let barrier = Arc::new(Barrier::new(1000));
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let barrier = Arc::clone(&barrier);
                    pool.spawn(move || barrier.wait().is_leader())
                })
                .collect();
            assert_eq!(tasks.into_iter().map(|task| usize::from(task.join().expect("no panic"))).sum::<usize>(), 1);
        });
        within(LONG, || drop(pool));
    }
}

/// Fewer threads than it takes, as by default: those who wait keep all of them, and the others never begin. The time-out tells
/// how many had arrived, and the pool goes on.
#[test]
fn a_thousand_do_not_meet_on_fewer_threads() {
    for cores in [1, 2] {
        note(format!("with {cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || {
            let barrier = Arc::new(Barrier::new(1000));
            let tasks: Vec<_> = (0..1000)
                .map(|_| {
                    let barrier = Arc::clone(&barrier);
                    pool.spawn(move || barrier.wait_timeout(Duration::from_millis(100)))
                })
                .collect();
            for task in tasks {
                let BarrierTimeout { arrived, parties } = task.join().expect("no panic").expect_err("too few threads");
                assert_eq!(parties, 1000);
                // The threads of the pool, and this one, which may help.
                assert!((1..=256 + cores + 1).contains(&arrived), "{arrived}");
            }
            assert_eq!(pool.join(|| 1, || 2), (1, 2));
        });
        within(LONG, || drop(pool));
    }
}

/// All threads that the pool may have wait: they do so as threads do, and a thread from outside may be the last to arrive.
#[test]
fn at_the_cap_it_just_blocks() {
    for cores in [1, 2, 8] {
        note(format!("with {cores} cores and as many threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let barrier = Arc::new(Barrier::new(cores + 1));
            for _ in 0..50 {
                let tasks: Vec<_> = (0..cores)
                    .map(|_| {
                        let barrier = Arc::clone(&barrier);
                        pool.spawn(move || barrier.wait_timeout(NEVER).map(|result| result.is_leader()))
                    })
                    .collect();
                let mut leaders = usize::from(barrier.wait().is_leader());
                for task in tasks {
                    leaders += usize::from(task.join().expect("no panic").expect("time enough"));
                }
                assert_eq!(leaders, 1);
            }
        });
        within(LONG, || drop(pool));
    }
}

/// Some give up and come again; in the end all have met.
#[test]
fn giving_up_and_coming_again() {
    at_cores(|pool| {
        let barrier = Barrier::new(4);
        for _ in 0..20 {
            let leaders: usize = pool.scope(|s| {
                let tasks: Vec<_> = (0..4u64)
                    .map(|task| {
                        let barrier = &barrier;
                        s.spawn(move || {
                            loop {
                                match barrier.wait_timeout(Duration::from_micros(100 * task)) {
                                    Ok(result) => return usize::from(result.is_leader()),
                                    // With a chance for all to be there at once.
                                    Err(_) if task < 2 => return usize::from(barrier.wait().is_leader()),
                                    Err(error) => assert!(error.arrived < 4),
                                }
                            }
                        })
                    })
                    .collect();
                tasks.into_iter().map(|task| task.join().expect("no panic")).sum()
            });
            assert_eq!(leaders, 1);
        }
    });
}

#[test]
fn one_is_not_kept_waiting() {
    for parties in [0, 1] {
        let barrier = Barrier::new(parties);
        assert_eq!(barrier.parties(), 1);
        assert!(barrier.wait().is_leader());
        assert!(barrier.wait().is_leader());
    }
}

/// More parties than there can be threads: they never meet.
#[test]
fn as_many_as_can_be_counted() {
    at_cores(|pool| {
        let barrier = Barrier::new(usize::MAX);
        assert_eq!(barrier.parties(), usize::MAX);
        for _ in 0..2 {
            let late = pool.install(|| barrier.wait_timeout(Duration::from_millis(1)));
            assert!(late.is_err());
        }
    });
}
