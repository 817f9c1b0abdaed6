//! `blocking` within and around everything else.

use crate::common::{Gate, LONG, at_cores, note, run_by_its_pool, watched, within};
use purloin::sync::{Event, Monitor, Mutex, Queue, Semaphore};
use purloin::{Pool, blocking};
use std::sync::mpsc::channel;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

/// As many tasks as the pool has cores do `within` in `blocking`, and then block there until other tasks of the pool, which
/// are queued behind them, have run.
fn gives_the_core_all_the_while(cores: usize, within_blocking: fn(&Pool)) {
    let pool = Pool::new(cores).expect("a pool");
    watched(LONG, Some(&pool), || {
        let other = Pool::new(1).expect("another pool");
        let (blocked, senders): (Vec<_>, Vec<_>) = (0..cores)
            .map(|_| {
                let (sender, receiver) = channel();
                let other = other.clone();
                let task = pool.spawn(move || {
                    blocking(|| {
                        within_blocking(&other);
                        receiver.recv()
                    })
                });
                (task, sender)
            })
            .unzip();
        let sent: Vec<_> = senders.into_iter().map(|sender| pool.spawn(move || sender.send(7))).collect();
        blocked.into_iter().for_each(|task| assert_eq!(task.join().expect("no panic"), Ok(7)));
        sent.into_iter().for_each(|task| assert_eq!(task.join().expect("no panic"), Ok(())));
    });
    within(LONG, || drop(pool));
}

/// What is done in `blocking`, given another pool.
type Case = (&'static str, fn(&Pool));

#[test]
fn what_is_done_in_blocking_leaves_no_core_behind() {
    let cases: [Case; 8] = [
        ("nothing", |_| ()),
        ("blocking", |_| blocking(|| ())),
        ("join", |_| assert_eq!(purloin::join(|| 1, || 2), (1, 2))),
        ("scope", |_| purloin::scope(|s| drop(s.spawn(|| ())))),
        ("map in another pool", |other| assert_eq!(other.map(0..3, |n| n), [0, 1, 2])),
        ("a queue that is empty", |_| {
            assert!(Queue::<u8>::unbounded().pop_timeout(Duration::from_millis(1)).is_err());
        }),
        ("an event that does not come", |_| {
            assert!(Event::new().wait_timeout(Duration::from_millis(1)).is_err());
        }),
        ("a lock that is not free", |_| {
            static LOCK: OnceLock<Arc<Mutex<()>>> = OnceLock::new();
            let lock = LOCK.get_or_init(Arc::default);
            let guard = lock.lock();
            let waiter = thread::spawn(|| drop(LOCK.get().expect("made").lock()));
            drop(guard);
            drop(lock.lock());
            waiter.join().expect("no panic");
        }),
    ];
    for (name, case) in cases {
        for cores in [1, 2] {
            note(format!("{name}, with {cores} cores"));
            gives_the_core_all_the_while(cores, case);
        }
    }
}

/// A task that blocks calls into another pool, there into its own again, and then blocks some more.
#[test]
fn what_is_done_around_another_pool_leaves_no_core_behind() {
    for cores in [1, 2] {
        note(format!("with {cores} cores"));
        let (pool, other) = (Pool::new(cores).expect("a pool"), Pool::new(cores).expect("another pool"));
        watched(LONG, Some(&pool), || {
            let (blocked, senders): (Vec<_>, Vec<_>) = (0..cores)
                .map(|_| {
                    let (sender, receiver) = channel();
                    let (own, other, back) = (pool.clone(), other.clone(), Arc::new(Gate::new()));
                    let told = Arc::clone(&back);
                    let task = pool.spawn(move || {
                        blocking(|| {
                            other.install(move || {
                                assert_eq!(own.install(|| 5), 5);
                                told.open();
                                receiver.recv()
                            })
                        })
                    });
                    back.pass();
                    (task, sender)
                })
                .unzip();
            // Detached: nobody but the pool's threads would run them.
            senders.into_iter().for_each(|sender| drop(pool.spawn(move || sender.send(7))));
            blocked.into_iter().for_each(|task| assert_eq!(task.join().expect("no panic"), Ok(7)));
        });
        within(LONG, || drop((pool, other)));
    }
}

/// The free functions find the pool of a task that blocks.
#[test]
fn blocking_stays_in_the_pool() {
    let pool = Pool::builder().cores(2).thread_name(|index| format!("mine-{index}")).build().expect("a pool");
    watched(LONG, Some(&pool), || {
        let name = || thread::current().name().map(str::to_owned);
        let task = pool.spawn(move || blocking(|| purloin::spawn(name).join()));
        let name = run_by_its_pool(task).expect("no panic");
        assert!(name.is_some_and(|name| name.starts_with("mine-")), "a task went to another pool");
    });
}

/// A task that asks again and again, each time for less than it takes to give up a core, lets the one that it waits for have it in
/// the end.
#[test]
fn short_waits_again_and_again() {
    struct Awaited {
        event: Event,
        queue: Queue<u8>,
        permits: Semaphore,
        state: Monitor<bool>,
        locked: Event,
        lock: Mutex<bool>,
    }
    at_cores(|pool| {
        for micros in [0, 1, 5, 50] {
            let short = Duration::from_micros(micros);
            let awaited = Arc::new(Awaited {
                event: Event::new(),
                queue: Queue::unbounded(),
                permits: Semaphore::new(0),
                state: Monitor::new(false),
                locked: Event::new(),
                lock: Mutex::new(false),
            });
            type Wait = fn(&Awaited, Duration) -> bool;
            type End = fn(&Awaited);
            let waits: [(Wait, End); 5] = [
                (|all, short| all.event.wait_timeout(short).is_ok(), |all| all.event.set()),
                (|all, short| all.queue.pop_timeout(short).is_ok(), |all| all.queue.push(1).expect("it is open")),
                (
                    |all, short| all.permits.acquire_timeout(1, short).is_ok(),
                    |all| all.permits.add_permits(1).expect("it may"),
                ),
                (
                    |all, short| all.state.wait_until_for(|state| state.then_some(()), short).is_some(),
                    |all| all.state.with(|mut state| *state = true),
                ),
                (
                    |all, short| {
                        all.locked.wait_timeout(short).is_ok()
                            && all.lock.try_lock_for(short).is_some_and(|locked| *locked)
                    },
                    |all| {
                        let mut locked = all.lock.lock();
                        // Without the core, and it has to have one again before it unlocks.
                        blocking(|| all.locked.set());
                        *locked = true;
                    },
                ),
            ];
            for (wait, end) in waits {
                let (ends, awaited) = (Arc::clone(&awaited), Arc::clone(&awaited));
                let waiting = pool.spawn(move || {
                    let ending = purloin::spawn(move || end(&ends));
                    while !wait(&awaited, short) {}
                    ending.join().expect("no panic");
                });
                waiting.join().expect("no panic");
            }
        }
    });
}
