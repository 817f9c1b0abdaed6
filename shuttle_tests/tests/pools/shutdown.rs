//! Pools that are closed, terminated or dropped in the middle of things.

use crate::common::{Witness, builder, cores, deadlock, find_all, play, pool, random};
use purloin_shuttle::internals::primitive::{Flaw, now};
use purloin_shuttle::sync::Semaphore;
use purloin_shuttle::{JoinError, blocking, join};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

static REFUSED: Witness = Witness::new("a task came after the end");
static RAN: Witness = Witness::new("a task ran although the end had come");
static STILL_THERE: Witness = Witness::new("threads were left at the deadline");
static ENDED_BY_A_TASK: Witness = Witness::new("a task of the pool had its last handle");

/// Two threads give a pool work while a third ends it.
fn ends() {
    let pool = pool(2);
    let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..2)
        .map(|_| {
            let (pool, begun, dropped) = (pool.clone(), Arc::clone(&begun), Arc::clone(&dropped));
            thread::spawn(move || {
                for _ in 0..2 {
                    let mark = Mark(Arc::clone(&dropped));
                    let inside = Arc::clone(&begun);
                    let held = (random().is_multiple_of(4)).then(|| pool.clone());
                    let handle = pool.spawn(move || {
                        inside.fetch_add(1, Relaxed);
                        let (a, b) = join(|| 1, || blocking(|| 2));
                        drop(mark);
                        ENDED_BY_A_TASK.hit_if(held.is_some());
                        drop(held);
                        a + b
                    });
                    match handle.join() {
                        Ok(sum) => assert_eq!(sum, 3),
                        Err(JoinError::Cancelled) => REFUSED.hit_if(true),
                        Err(other) => panic!("{other}"),
                    }
                    // Regions are not refused: the caller works.
                    assert_eq!(pool.install(|| join(|| 4, || 5)), (4, 5));
                }
            })
        })
        .collect();
    // Some steps, in which the others come further or not.
    for _ in 0..random() % 8 {
        thread::yield_now();
    }
    let before = begun.load(Relaxed);
    match random() % 3 {
        0 => pool.close(),
        1 => pool.terminate(),
        _ => {}
    }
    if random().is_multiple_of(2) {
        match pool.join_threads(Some(now() + Duration::from_millis(1))) {
            Ok(()) => {}
            Err(_) => STILL_THERE.hit_if(true),
        }
    }
    drop(pool);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    RAN.hit_if(begun.load(Relaxed) > before);
    assert_eq!(dropped.load(Relaxed), 4, "each task ran or was dropped");
}

/// Counts how often it is dropped.
struct Mark(Arc<AtomicUsize>);

impl Drop for Mark {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[test]
fn ends_at_any_moment() {
    play("ends", 4000, ends).with(&[&REFUSED, &RAN, &STILL_THERE, &ENDED_BY_A_TASK]);
}

static CANCELLED: Witness = Witness::new("a task was cancelled that had not begun");

/// Detached tasks, some of which block, in a pool that is terminated: those that have begun end, the others do not begin.
fn terminated() {
    let pool = builder(cores()).build().unwrap();
    let semaphore = Arc::new(Semaphore::new(0));
    let dropped = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..4)
        .map(|number| {
            let (semaphore, mark) = (Arc::clone(&semaphore), Mark(Arc::clone(&dropped)));
            pool.spawn(move || {
                let _mark = mark;
                if number % 2 == 0 {
                    drop(semaphore.acquire(1));
                }
                number
            })
        })
        .collect();
    let ender = thread::spawn({
        let pool = pool.clone();
        move || {
            pool.terminate();
            drop(pool);
        }
    });
    semaphore.add_permits(4).unwrap();
    for (number, handle) in handles.into_iter().enumerate() {
        match handle.join() {
            Ok(result) => assert_eq!(result, number),
            Err(_) => CANCELLED.hit_if(true),
        }
    }
    ender.join().unwrap();
    pool.join_threads(None).unwrap();
    assert_eq!(dropped.load(Relaxed), 4, "each task ended or was dropped");
}

#[test]
fn terminated_midway() {
    play("terminated", 4000, terminated).with(&[&CANCELLED]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "shutdown::mistakes_are_found",
        &[deadlock(Flaw::WatcherForgotten, 4000, ends), deadlock(Flaw::GrantLeftBehind, 4000, ends)],
    );
}
