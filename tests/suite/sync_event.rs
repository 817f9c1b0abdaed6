//! Events and latches between tasks: on one core as on many, and at the cap of threads.

use crate::common::{LONG, at_cores, note, panic_text_of, watched, within};
use purloin::Pool;
use purloin::sync::{Event, Latch, TimedOut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);
const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn an_event_lets_all_go() {
    at_cores(|pool| {
        let (event, gone) = (Event::new(), AtomicUsize::new(0));
        for _ in 0..10 {
            pool.scope(|s| {
                for task in 0..50 {
                    let (event, gone) = (&event, &gone);
                    s.spawn(move || {
                        if task % 2 == 0 {
                            event.wait();
                        } else {
                            event.wait_timeout(NEVER).expect("time enough");
                        }
                        gone.fetch_add(1, Ordering::Relaxed);
                    });
                }
                s.spawn(|| event.set());
            });
            assert!(event.is_set());
            event.clear();
        }
        assert_eq!(gone.into_inner(), 500);
    });
}

/// Two tasks play ball, each with the core that the other gave up.
#[test]
fn back_and_forth() {
    at_cores(|pool| {
        let events = [Event::new(), Event::new()];
        let play = |mine: &Event, yours: &Event| {
            for _ in 0..200 {
                mine.wait();
                mine.clear();
                yours.set();
            }
        };
        events[0].set();
        pool.join(|| play(&events[0], &events[1]), || play(&events[1], &events[0]));
        assert!(events[0].is_set() && !events[1].is_set());
    });
}

/// Who waits when it happens goes on, though it is undone at once.
#[test]
fn a_pulse() {
    at_cores(|pool| {
        let (event, latch) = (Event::default(), Latch::new(3));
        let pulses = pool.scope(|s| {
            for _ in 0..3 {
                s.spawn(|| {
                    // Some pulse will find it waiting.
                    event.wait();
                    latch.count_down();
                });
            }
            let mut pulses = 0;
            while latch.wait_timeout(Duration::from_micros(100)).is_err() {
                event.set();
                event.clear();
                pulses += 1;
            }
            pulses
        });
        assert!(pulses > 0 && !event.is_set());
    });
}

#[test]
fn a_latch_opens_after_all_parts() {
    at_cores(|pool| {
        let (latch, done) = (Latch::new(100), AtomicUsize::new(0));
        pool.scope(|s| {
            for _ in 0..10 {
                s.spawn(|| {
                    latch.wait();
                    assert_eq!(done.load(Ordering::Relaxed), 100);
                });
            }
            for _ in 0..100 {
                s.spawn(|| {
                    done.fetch_add(1, Ordering::Relaxed);
                    latch.count_down();
                });
            }
            latch.wait_timeout(NEVER).expect("time enough");
        });
        assert_eq!(latch.remaining(), 0);
    });
}

#[test]
fn time_outs() {
    at_cores(|pool| {
        let (event, latch) = (Event::new(), Latch::new(1));
        pool.install(|| {
            assert_eq!(event.wait_timeout(SOON), Err(TimedOut));
            assert_eq!(latch.wait_timeout(SOON), Err(TimedOut));
        });
        thread::scope(|scope| {
            scope.spawn(|| event.set());
            scope.spawn(|| latch.count_down());
            pool.install(|| {
                assert_eq!(event.wait_timeout(NEVER), Ok(()));
                assert_eq!(latch.wait_timeout(Duration::MAX), Ok(()));
            });
        });
    });
}

#[test]
fn too_many_parts_are_reported() {
    let latch = Latch::new(0);
    latch.wait();
    assert!(panic_text_of(|| latch.count_down()).contains("more often than it has parts"));
    latch.wait();
}

/// More parts than anybody will ever count down.
#[test]
fn as_many_parts_as_can_be_counted() {
    let latch = Latch::new(usize::MAX);
    (0..10).for_each(|_| latch.count_down());
    assert_eq!((latch.remaining(), latch.wait_timeout(SOON)), (usize::MAX - 10, Err(TimedOut)));
}

/// All threads that the pool may have wait: they do so as threads do, and go on when somebody from outside comes.
#[test]
fn at_the_cap_it_just_blocks() {
    for cores in [1, 2, 8] {
        note(format!("with {cores} cores and as many threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (begun, event) = (Arc::new(Latch::new(cores)), Arc::new(Event::new()));
            let tasks: Vec<_> = (0..cores)
                .map(|_| {
                    let (begun, event) = (Arc::clone(&begun), Arc::clone(&event));
                    pool.spawn(move || {
                        begun.count_down();
                        event.wait();
                    })
                })
                .collect();
            begun.wait();
            event.set();
            tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}
