//! Scopes within scopes, their tasks' results, and detached tasks with their handles.

use crate::common::{Witness, assertion, deadlock, find_all, play, pool, random};
use purloin_shuttle::internals::primitive::Flaw;
use purloin_shuttle::sync::Latch;
use purloin_shuttle::{JoinHandle, scope, spawn};
use shuttle::thread;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

static STOLEN: Witness = Witness::new("a task was stolen");
static INJECTED: Witness = Witness::new("a task came through the injector");
static HANDED_OVER: Witness = Witness::new("the end of a scope was waited for without a core");

/// Adds one for each task of a tree of scopes.
fn tree(depth: u32, count: &AtomicUsize) -> usize {
    let tasks = 1 + (random() % 4) as usize;
    let below = scope(|s| {
        let handles: Vec<_> = (0..tasks)
            .map(|_| {
                s.spawn(|| {
                    count.fetch_add(1, Relaxed);
                    if depth > 0 && random().is_multiple_of(2) { tree(depth - 1, count) } else { 0 }
                })
            })
            .collect();
        // Some are joined; the others' results nobody wants, so such a task has none below.
        handles.into_iter().map(|handle| handle.join().unwrap()).sum::<usize>()
    });
    tasks + below
}

fn scopes() {
    let pool = pool(3);
    let callers: Vec<_> = (0..random() % 3)
        .map(|_| {
            let pool = pool.clone();
            thread::spawn(move || {
                let count = AtomicUsize::new(0);
                assert_eq!(pool.install(|| tree(1, &count)), count.load(Relaxed));
            })
        })
        .collect();
    let count = AtomicUsize::new(0);
    assert_eq!(pool.install(|| tree(1, &count)), count.load(Relaxed));
    // Nobody joins these: the scope's end does.
    let (ended, more) = (AtomicUsize::new(0), &AtomicUsize::new(0));
    pool.scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                s.spawn(|| more.fetch_add(1, Relaxed));
                ended.fetch_add(1, Relaxed);
            });
        }
    });
    assert_eq!((ended.load(Relaxed), more.load(Relaxed)), (3, 3), "a scope ends after its tasks");
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    let stats = pool.stats();
    STOLEN.hit_if(stats.steals > 0);
    INJECTED.hit_if(stats.injected > 0);
    HANDED_OVER.hit_if(stats.hand_overs > 0);
}

#[test]
fn scopes_within_scopes() {
    play("scopes", 3000, scopes).with(&[&STOLEN, &INJECTED, &HANDED_OVER]);
}

static TOO_LATE: Witness = Witness::new("the time for a task was over");
static IN_TIME: Witness = Witness::new("a task ended in time");
static READY: Witness = Witness::new("a task had ended when it was looked at");
static UNJOINED: Witness = Witness::new("a handle was dropped");

/// What one does with a handle.
fn finish(handle: JoinHandle<usize>) -> Option<usize> {
    match random() % 4 {
        0 => Some(handle.join().unwrap()),
        1 => match handle.join_timeout(Duration::from_millis(1)) {
            Ok(result) => {
                IN_TIME.hit_if(true);
                Some(result.unwrap())
            }
            Err(handle) => {
                TOO_LATE.hit_if(true);
                Some(handle.join().unwrap())
            }
        },
        2 => match handle.try_join() {
            Ok(result) => {
                READY.hit_if(true);
                Some(result.unwrap())
            }
            Err(handle) => Some(handle.join().unwrap()),
        },
        _ => None,
    }
}

fn tasks() {
    let pool = pool(3);
    let count = 2 + (random() % 3) as usize;
    // Those of the main thread, those of tasks; and the first have all ended.
    let (ran, below, over) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Latch::new(count)));
    let spawned = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..count)
        .map(|number| {
            let (ran, below, over, spawned) = (ran.clone(), below.clone(), over.clone(), spawned.clone());
            pool.spawn(move || {
                ran.fetch_add(1, Relaxed);
                if random().is_multiple_of(2) {
                    spawned.fetch_add(1, Relaxed);
                    let inner = spawn(move || {
                        below.fetch_add(1, Relaxed);
                        number
                    });
                    if let Some(result) = finish(inner) {
                        assert_eq!(result, number);
                    }
                }
                over.count_down();
                number
            })
        })
        .collect();
    let joiner = thread::spawn({
        let pool = pool.clone();
        move || assert_eq!(pool.spawn(|| 7).join().unwrap(), 7)
    });
    for (number, handle) in handles.into_iter().enumerate() {
        match finish(handle) {
            Some(result) => assert_eq!(result, number),
            None => UNJOINED.hit_if(true),
        }
    }
    joiner.join().unwrap();
    // A task that spawns in a pool that is closed gets no more than a refusal.
    over.wait();
    drop(pool);
    assert_eq!(ran.load(Relaxed), count, "a pool that is dropped has run its tasks");
    assert_eq!(below.load(Relaxed), spawned.load(Relaxed), "and what they spawned");
}

#[test]
fn tasks_and_handles() {
    play("tasks", 4000, tasks).with(&[&TOO_LATE, &IN_TIME, &READY, &UNJOINED]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "scope::mistakes_are_found",
        &[
            deadlock(Flaw::EndsUntold, 3000, scopes),
            deadlock(Flaw::InjectorForgotten, 4000, tasks),
            deadlock(Flaw::StandInForgotten, 4000, tasks),
            assertion(Flaw::TaskClaimedByStore, &["a task is claimed once"], 4000, tasks),
        ],
    );
}
