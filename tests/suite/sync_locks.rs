//! Locks and monitors in a pool: a thread that waits for one gives its core to others, so neither a blocked task starves a
//! pool (rayon#835, #904, #988, #1269, polars#27600) nor a lock held across a wait for a stolen job deadlocks (rayon#592,
//! rayon#1251, polars#22159, taskflow#522), on one core as on many, and when no more threads can be had.

use crate::common::{CORES, LONG, assert_sound, at_cores, note, panic_text_of, spin_for, spin_until, watched, within};
use purloin::sync::{Condvar, Monitor, Mutex, RwLock};
use purloin::{Pool, Scope};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Long enough for another core to come and take the other half.
const SHORT: Duration = Duration::from_micros(20);
/// Longer than a thread keeps its core while it waits.
const PATIENT: Duration = Duration::from_micros(400);

/// As `at_cores`, and with as many threads as cores besides, the fewest there can be.
fn everywhere(body: impl Fn(&Pool) + Sync) {
    at_cores(&body);
    for cores in CORES {
        note(format!("with a pool of {cores} cores and no thread beyond"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || body(&pool));
        within(LONG, || drop(pool));
    }
}

/// A parallel region of some hundred microseconds at most.
fn region(n: usize) {
    let time = if n.is_multiple_of(8) { PATIENT } else { SHORT };
    purloin::join(|| spin_for(SHORT), || purloin::join(|| spin_for(SHORT), || spin_for(time)));
}

/// users.md 1: what is stolen wants the lock that is held across the wait for it, or rather: others of its kind do.
#[test]
fn a_mutex_across_parallel_regions() {
    everywhere(|pool| {
        let count = Mutex::new(0);
        let job = |n| {
            let mut count = count.lock();
            *count += 1;
            region(n);
        };
        pool.map(0..64usize, job);
        pool.scope(|s| (0..64).for_each(|n| drop(s.spawn(move || job(n)))));
        thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(|| (0..16).for_each(|n| pool.install(|| job(n))))));
        });
        assert_eq!(count.into_inner(), 64 + 64 + 48);
    });
}

#[test]
fn a_lock_for_writing_across_parallel_regions() {
    everywhere(|pool| {
        let counts = RwLock::new([0; 8]);
        pool.map(0..128usize, |n| {
            if n.is_multiple_of(4) {
                let mut counts = counts.write();
                counts[n % 8] += 1;
                region(n);
            } else {
                let counts = counts.read();
                region(n);
                assert!(counts[n % 8] <= 32);
            }
        });
        assert_eq!(counts.into_inner().iter().sum::<i32>(), 32);
    });
}

/// users.md 1 again, in the other order: the stolen half holds the lock for which the owner waits.
#[test]
fn the_stolen_half_holds_the_lock() {
    everywhere(|pool| {
        let lock = Mutex::new(0);
        pool.install(|| {
            for n in 0..100 {
                let half = || {
                    let mut count = lock.lock();
                    region(n);
                    *count += 1;
                };
                purloin::join(half, || purloin::join(half, half));
            }
        });
        assert_eq!(lock.into_inner(), 300);
    });
}

/// users.md 2: a consumer that waits for its producer. On one core, and in a pool of one thread, the producer is spawned
/// first: there is no other thread to run it.
#[test]
fn producer_and_consumer() {
    const ITEMS: usize = 2_000;
    at_cores(|pool| {
        let (queue, filled, emptied) = (Mutex::new(VecDeque::new()), Condvar::new(), Condvar::new());
        let produce = || {
            for item in 0..ITEMS {
                let mut queue = emptied.wait_while(queue.lock(), |queue| queue.len() == 4);
                queue.push_back(item);
                filled.notify_one();
            }
        };
        let consume = || {
            for item in 0..ITEMS {
                let mut queue = filled.wait_while(queue.lock(), |queue| queue.is_empty());
                assert_eq!(queue.pop_front(), Some(item));
                emptied.notify_one();
            }
        };
        pool.scope(|s| {
            s.spawn(consume);
            s.spawn(produce);
        });
        let buffer = Monitor::new(VecDeque::new());
        pool.scope(|s| {
            s.spawn(|| (0..ITEMS).for_each(|item| assert_eq!(buffer.wait_until(|mut b| b.pop_front()), item)));
            s.spawn(|| {
                for item in 0..ITEMS {
                    buffer.wait_until(|mut b| (b.len() < 4).then(|| b.push_back(item)));
                }
            });
        });
    });
}

/// At the cap of one thread a task that waits for another of the same pool waits for good, as anywhere: what is tested is
/// that what comes from outside is enough.
#[test]
fn at_the_cap_a_wait_is_a_plain_wait() {
    for cores in [1, 2] {
        note(format!("with a pool of {cores} cores and no thread beyond"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (open, opened) = (Mutex::new(false), Condvar::new());
            pool.scope(|s| {
                // More of them than threads.
                for _ in 0..4 * cores {
                    s.spawn(|| drop(opened.wait_while(open.lock(), |open| !*open)));
                }
                thread::scope(|scope| {
                    scope.spawn(|| {
                        *open.lock() = true;
                        opened.notify_all();
                    });
                });
            });
            assert_sound(&pool);
        });
        within(LONG, || drop(pool));
    }
}

/// users.md 6: a thread that waits for a lock does not pick up a long job meanwhile, and does not keep its core from it.
#[test]
fn a_wait_for_a_lock_lets_others_work() {
    at_cores(|pool| {
        let (lock, done) = (Mutex::new(()), AtomicUsize::new(0));
        pool.scope(|s| {
            let guard = lock.lock();
            let waiters: Vec<_> = (0..2 * pool.cores()).map(|_| s.spawn(|| drop(lock.lock()))).collect();
            // All cores would be taken by those who wait.
            let worker = s.spawn(|| done.fetch_add(1, Ordering::Relaxed));
            purloin::blocking(|| spin_until(|| done.load(Ordering::Relaxed) == 1));
            worker.join().expect("no panic");
            drop(guard);
            waiters.into_iter().for_each(|waiter| waiter.join().expect("no panic"));
        });
    });
}

std::thread_local! {
    /// Where this thread's stack begins, near enough.
    static BASE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    std::hint::black_box(&raw const local).addr()
}

/// users.md 7: waiting for locks piles nothing up on a stack.
#[test]
fn stacks_stay_shallow() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let pool = Pool::builder().cores(cores).on_thread_start(|_| BASE.set(here())).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (lock, deepest) = (Mutex::new(0), AtomicUsize::new(0));
            pool.scope(|s| {
                for n in 0..300 {
                    let (lock, deepest) = (&lock, &deepest);
                    s.spawn(move || {
                        if BASE.get() != 0 {
                            deepest.fetch_max(BASE.get() - here(), Ordering::Relaxed);
                        }
                        let mut count = lock.lock();
                        *count += 1;
                        region(n);
                    });
                }
            });
            assert_eq!(lock.into_inner(), 300);
            assert!(deepest.load(Ordering::Relaxed) < 64 << 10, "{deepest:?} bytes");
        });
        within(LONG, || drop(pool));
    }
}

/// Readers and writers with a monitor, in the order in which they came.
#[test]
fn readers_and_writers() {
    #[derive(Default)]
    struct Library {
        readers: usize,
        writing: bool,
        writers_waiting: usize,
        most_readers: usize,
    }
    everywhere(|pool| {
        let library = Monitor::new(Library::default());
        let (pages, book) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let read = || {
            library.wait_until(|mut l| {
                (!l.writing && l.writers_waiting == 0).then(|| {
                    l.readers += 1;
                    l.most_readers = l.most_readers.max(l.readers);
                })
            });
            let before = book.load(Ordering::Relaxed);
            region(1);
            assert_eq!(before, book.load(Ordering::Relaxed), "nobody writes while somebody reads");
            library.with(|mut l| l.readers -= 1);
            pages.fetch_add(1, Ordering::Relaxed);
        };
        let write = || {
            library.with(|mut l| l.writers_waiting += 1);
            library.wait_until(|mut l| {
                (!l.writing && l.readers == 0).then(|| {
                    l.writing = true;
                    l.writers_waiting -= 1;
                })
            });
            let before = book.load(Ordering::Relaxed);
            region(1);
            book.store(before + 1, Ordering::Relaxed);
            library.with(|mut l| l.writing = false);
        };
        // From outside, too: they have threads of their own, so that it works at the cap.
        thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(|| pool.map(0..10, |_| read()))));
            scope.spawn(|| (0..10).for_each(|_| pool.install(write)));
            scope.spawn(|| (0..10).for_each(|_| write()));
        });
        let l = library.into_inner();
        assert_eq!((l.readers, l.writing, l.writers_waiting), (0, false, 0));
        assert_eq!((pages.into_inner(), book.into_inner()), (30, 20));
    });
}

/// Each waits for a number of its own, and they come in the opposite order.
#[test]
fn a_monitor_calls_everybody() {
    at_cores(|pool| {
        let turn = Monitor::new(50);
        pool.scope(|s| {
            for own in 0..50 {
                let turn = &turn;
                s.spawn(move || turn.wait_until(|mut now| (*now == own + 1).then(|| *now = own)));
            }
        });
        assert_eq!(turn.into_inner(), 0);
    });
}

/// To look does not wake; to change does, and in the order in which the others came.
#[test]
fn a_monitor_serves_first_come_first() {
    within(LONG, || {
        let (tokens, served) = (Monitor::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for customer in 0..8 {
                let (tokens, served) = (&tokens, &served);
                scope.spawn(move || {
                    tokens.wait_until(|mut tokens| {
                        *tokens = u32::checked_sub(*tokens, 1)?;
                        served.lock().push(customer);
                        Some(())
                    });
                });
                spin_until(|| format!("{tokens:?}").contains(&format!("waiting: {}", customer + 1)));
            }
            tokens.with(|tokens| assert_eq!(*tokens, 0));
            tokens.with(|mut tokens| *tokens += 8);
        });
        assert_eq!(served.into_inner(), (0..8).collect::<Vec<_>>());
    });
}

#[test]
fn waits_end_in_time() {
    at_cores(|pool| {
        let short = Duration::from_millis(1);
        pool.install(|| {
            let (mutex, condvar, lock) = (Mutex::new(0), Condvar::new(), RwLock::new(0));
            let monitor = Monitor::new(0);
            let (guard, result) = condvar.wait_for(mutex.lock(), short);
            assert!(result.timed_out());
            assert!(mutex.try_lock_for(short).is_none());
            drop(guard);
            assert!(mutex.try_lock_for(short).is_some());
            let reader = lock.read();
            assert!(lock.try_write_for(short).is_none());
            assert!(lock.try_read_for(short).is_some());
            drop(reader);
            assert!(lock.try_write_for(short).is_some());
            assert_eq!(monitor.wait_until_for(|state| (*state == 1).then_some(()), short), None);
            monitor.with(|mut state| *state = 1);
            assert_eq!(monitor.wait_until_for(|state| (*state == 1).then_some(()), short), Some(()));
        });
    });
}

/// No poisoning: a panic unlocks, whatever was locked, and whoever waits goes on.
#[test]
fn a_panic_unlocks() {
    at_cores(|pool| {
        let (mutex, lock, monitor) = (Mutex::new(0), RwLock::new(0), Monitor::new(0));
        let all = |s: &Scope<'_, '_>| {
            let _ = s;
            let failing: [&(dyn Fn() + Sync); 4] = [
                &|| {
                    *mutex.lock() += 1;
                    let _guard = mutex.lock();
                    panic!("on purpose");
                },
                &|| {
                    *lock.write() += 1;
                    let _guard = lock.write();
                    panic!("on purpose");
                },
                &|| {
                    let _guard = lock.read();
                    panic!("on purpose");
                },
                &|| {
                    monitor.with(|mut state| {
                        *state += 1;
                        panic!("on purpose")
                    })
                },
            ];
            let ended = pool.map(0..32usize, |n| catch_unwind(AssertUnwindSafe(|| failing[n % 4]())).is_err());
            assert!(ended.into_iter().all(|failed| failed));
        };
        pool.scope(all);
        assert_eq!((*mutex.lock(), *lock.read(), monitor.with(|state| *state)), (8, 8, 8));
        let text = panic_text_of(|| monitor.wait_until(|_| -> Option<()> { panic!("in a condition") }));
        assert_eq!(text, "in a condition");
        assert_eq!(monitor.into_inner(), 8);
    });
}

/// A condition that panics was perhaps called in place of another: that one is called in its turn.
#[test]
fn a_panic_in_a_condition_calls_the_next() {
    at_cores(|pool| {
        let state = Monitor::new(0);
        pool.scope(|s| {
            let failing = s.spawn(|| state.wait_until(|state| if *state == 0 { None } else { panic!("on purpose") }));
            let waiting = |count: usize| format!("{state:?}").contains(&format!("waiting: {count}"));
            purloin::blocking(|| spin_until(|| waiting(1)));
            let patient = s.spawn(|| state.wait_until(|state| (*state == 1).then_some(())));
            purloin::blocking(|| spin_until(|| waiting(2)));
            state.with(|mut state| *state = 1);
            let _: Result<(), _> = failing.join();
            patient.join().expect("no panic");
        });
    });
}

#[test]
fn a_condition_variable_has_one_mutex() {
    within(LONG, || {
        let (one, two, condvar, done) = (Mutex::new(false), Mutex::new(()), Condvar::new(), AtomicUsize::new(0));
        thread::scope(|scope| {
            scope.spawn(|| drop(condvar.wait_while(one.lock(), |done| !*done)));
            spin_until(|| format!("{condvar:?}").contains("waiting: 1"));
            let text = panic_text_of(|| drop(condvar.wait(two.lock())));
            assert!(text.contains("belongs to one mutex"), "{text}");
            assert!(two.try_lock().is_some(), "the panic unlocks");
            *one.lock() = true;
            assert!(condvar.notify_one());
            done.fetch_add(1, Ordering::Relaxed);
        });
        // Nobody waits: the next may bring another.
        let (_guard, result) = condvar.wait_for(two.lock(), Duration::from_millis(1));
        assert!(result.timed_out());
    });
}

/// What a lock guards may be a slice, or something behind a trait.
#[test]
fn unsized_values() {
    let slice: &Mutex<[u32]> = &Mutex::new([3, 1, 2]);
    slice.lock().sort_unstable();
    assert_eq!(*slice.lock(), [1, 2, 3]);
    assert_eq!(format!("{slice:?}"), "Mutex { value: [1, 2, 3] }");
    let lock: &RwLock<dyn std::fmt::Display> = &RwLock::new("text");
    assert_eq!(lock.read().to_string(), "text");
    assert!(lock.try_write().is_some());
}

/// What a user may know of a primitive, and no more.
#[test]
fn debug_tells_the_state() {
    use purloin::sync::{Barrier, Event, Latch, OnceLock, Queue, Semaphore};
    let mutex = Mutex::new(1);
    let held = mutex.lock();
    assert_eq!(format!("{mutex:?} {held:?}"), "Mutex { value: <locked> } 1");
    let once = OnceLock::new();
    assert_eq!(format!("{once:?}"), "OnceLock(<uninit>)");
    once.set(1).expect("set once");
    assert_eq!(format!("{once:?}"), "OnceLock(1)");
    let semaphore = Semaphore::new(2);
    let permit = semaphore.acquire(1).expect("not closed");
    assert_eq!(
        format!("{semaphore:?} {permit:?}"),
        "Semaphore { available: 1, closed: false, .. } Permit { count: 1, .. }"
    );
    let queue = Queue::bounded(3);
    queue.push(1).expect("not closed");
    assert_eq!(format!("{queue:?}"), "Queue { len: 1, capacity: Some(3), closed: false, .. }");
    assert_eq!(format!("{:?}", Barrier::new(2)), "Barrier { parties: 2, arrived: 0, .. }");
    assert_eq!(format!("{:?}", Event::new()), "Event { set: false, .. }");
    assert_eq!(format!("{:?}", Latch::new(2)), "Latch { remaining: 2, .. }");
}
