//! Queues between tasks: on one core as on many, at the cap of threads, through closing, time-outs and panics; no value is lost
//! or doubled.

use crate::common::{LONG, at_cores, note, panic_text_of, watched, within};
use purloin::Pool;
use purloin::sync::{
    Closed, PopTimeoutError, PushError, PushTimeoutError, Queue, TooManyDone, TryPopError, TryPushError,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(2);
const NEVER: Duration = Duration::from_secs(3600);

/// Counts itself, and its end.
#[derive(Debug)]
struct Counted(usize, Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    made: AtomicUsize,
    dropped: AtomicUsize,
}

impl Count {
    fn value(self: &Arc<Self>, number: usize) -> Counted {
        self.made.fetch_add(1, Ordering::Relaxed);
        Counted(number, Arc::clone(self))
    }

    fn alive(&self) -> usize {
        self.made.load(Ordering::Relaxed) - self.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn queues<T>() -> [Queue<T>; 3] {
    [Queue::bounded(1), Queue::bounded(7), Queue::unbounded()]
}

/// rayon#1269 and the like: the consumer waits in the very pool that the producer is to run in, and the other way round.
#[test]
fn producer_and_consumer() {
    at_cores(|pool| {
        for queue in queues::<Counted>() {
            let (queue, count) = (&queue, &Arc::new(Count::default()));
            let popped = pool.scope(|s| {
                let consumer = s.spawn(|| queue.iter().map(|value: Counted| value.0).collect::<Vec<_>>());
                s.spawn(|| {
                    (0..1000).for_each(|n| queue.push(count.value(n)).expect("not closed yet"));
                    queue.close();
                });
                consumer.join().expect("no panic")
            });
            assert_eq!(popped, (0..1000).collect::<Vec<_>>());
            assert_eq!(count.alive(), 0);
        }
    });
}

#[test]
fn many_producers_and_consumers() {
    at_cores(|pool| {
        for queue in queues::<Counted>() {
            let (queue, count) = (&queue, &Arc::new(Count::default()));
            let producing = AtomicUsize::new(5);
            let seen = Mutex::new(vec![0; 5 * 200]);
            pool.scope(|s| {
                for _ in 0..4 {
                    s.spawn(|| {
                        for value in queue {
                            seen.lock().expect("no panic")[value.0] += 1;
                        }
                    });
                }
                for producer in 0..5 {
                    let producing = &producing;
                    s.spawn(move || {
                        for n in 0..200 {
                            queue.push(count.value(200 * producer + n)).expect("not closed yet");
                        }
                        if producing.fetch_sub(1, Ordering::Relaxed) == 1 {
                            queue.close();
                        }
                    });
                }
            });
            assert!(seen.into_inner().expect("no panic").into_iter().all(|times| times == 1));
            assert_eq!(count.alive(), 0);
        }
    });
}

/// Each stage hands on what it gets, through queues of one.
#[test]
fn a_pipeline() {
    at_cores(|pool| {
        let stages: [Queue<usize>; 6] = std::array::from_fn(|_| Queue::bounded(1));
        let sum: usize = pool.scope(|s| {
            for pair in stages.windows(2) {
                s.spawn(|| {
                    for value in &pair[0] {
                        pair[1].push(value + 1).expect("closed only after");
                    }
                    pair[1].close();
                });
            }
            s.spawn(|| {
                (0..200).for_each(|n| stages[0].push(n).expect("closed only after"));
                stages[0].close();
            });
            stages[5].iter().sum()
        });
        assert_eq!(sum, (5..205).sum());
    });
}

#[test]
fn closing_ends_all_waits() {
    at_cores(|pool| {
        let (empty, full) = (Arc::new(Queue::<usize>::unbounded()), Arc::new(Queue::bounded(1)));
        full.push(100).expect("open");
        let poppers: Vec<_> = (0..20)
            .map(|n| {
                let empty = Arc::clone(&empty);
                pool.spawn(move || match n % 2 {
                    0 => empty.pop() == Err(Closed),
                    _ => empty.pop_timeout(NEVER) == Err(PopTimeoutError::Closed),
                })
            })
            .collect();
        let pushers: Vec<_> = (0..20)
            .map(|n| {
                let full = Arc::clone(&full);
                pool.spawn(move || match n % 2 {
                    0 => full.push(n) == Err(PushError(n)),
                    _ => full.push_timeout(n, NEVER) == Err(PushTimeoutError::Closed(n)),
                })
            })
            .collect();
        empty.close();
        full.close();
        assert!(poppers.into_iter().chain(pushers).all(|task| task.join().expect("no panic")));
        assert!(full.is_closed());
        assert_eq!(full.try_push(1), Err(TryPushError::Closed(1)));
        assert_eq!((full.pop(), full.pop(), full.try_pop()), (Ok(100), Err(Closed), Err(TryPopError::Closed)));
    });
}

/// Some push and some pop, some with little time, until the queue is closed under their hands: what was pushed is popped or left.
#[test]
fn nothing_is_lost_to_time_outs_and_the_end() {
    at_cores(|pool| {
        for queue in queues::<Counted>() {
            let (queue, count) = (&queue, &Arc::new(Count::default()));
            let (pushed, popped, given_back) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
            let note = |which: &AtomicUsize| _ = which.fetch_add(1, Ordering::Relaxed);
            pool.scope(|s| {
                for task in 0..12u64 {
                    let (pushed, popped, given_back) = (&pushed, &popped, &given_back);
                    s.spawn(move || {
                        for n in 0..100u64 {
                            let time = Duration::from_micros((task * n) % 60);
                            if task % 2 == 0 {
                                match queue.push_timeout(count.value(0), time) {
                                    Ok(()) => note(pushed),
                                    Err(error) => {
                                        assert_eq!(error.into_inner().0, 0);
                                        note(given_back);
                                    }
                                }
                            } else if queue.pop_timeout(time).is_ok() {
                                note(popped);
                            }
                            if task == 11 && n == 80 {
                                queue.close();
                            }
                        }
                    });
                }
            });
            let [pushed, popped, given_back] = [pushed, popped, given_back].map(AtomicUsize::into_inner);
            assert_eq!(pushed + given_back, 600);
            assert_eq!((queue.len(), count.alive()), (pushed - popped, pushed - popped));
            assert_eq!(queue.iter().count(), pushed - popped);
            assert_eq!(count.alive(), 0);
        }
    });
}

#[test]
fn what_is_left_is_dropped_once() {
    let count = Arc::new(Count::default());
    let queue = Queue::bounded(3);
    (0..3).for_each(|n| queue.push(count.value(n)).expect("room"));
    assert_eq!(queue.pop().expect("a value").0, 0);
    assert_eq!((queue.len(), count.alive()), (2, 2));
    drop(queue);
    assert_eq!(count.alive(), 0);
}

#[test]
fn all_done() {
    at_cores(|pool| {
        let (queue, done) = (Arc::new(Queue::bounded(4)), Arc::new(AtomicUsize::new(0)));
        // As in Python's manual: the workers never end by themselves.
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let (queue, done) = (Arc::clone(&queue), Arc::clone(&done));
                pool.spawn(move || {
                    for value in &*queue {
                        done.fetch_add(value, Ordering::Relaxed);
                        queue.task_done().expect("once for each");
                    }
                })
            })
            .collect();
        for round in 1..=3 {
            (0..100).for_each(|_| queue.push(1).expect("open"));
            // From outside, and from inside.
            queue.wait_all_done();
            pool.install(|| queue.wait_all_done());
            assert_eq!(done.load(Ordering::Relaxed), 100 * round);
        }
        assert_eq!(queue.task_done(), Err(TooManyDone));
        queue.close();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        queue.wait_all_done();
    });
}

/// A consumer that panics takes its value with it, and nothing else.
#[test]
fn a_panic_leaves_the_queue_usable() {
    at_cores(|pool| {
        let queue = Arc::new(Queue::bounded(1));
        let consumer = {
            let queue = Arc::clone(&queue);
            pool.spawn(move || {
                let value: i32 = queue.pop().expect("open");
                // Without the hook, which would print.
                std::panic::resume_unwind(Box::new(value));
            })
        };
        (1..=2).for_each(|n| queue.push(n).expect("open"));
        assert!(consumer.join().is_err());
        assert_eq!(queue.pop(), Ok(2));
    });
}

/// All threads that the pool may have wait: they do so as threads do, and go on when somebody from outside comes.
#[test]
fn at_the_cap_it_just_blocks() {
    for cores in [1, 2, 8] {
        note(format!("with {cores} cores and as many threads"));
        let pool = Pool::builder().cores(cores).max_threads(cores).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let (requests, answers) = (Arc::new(Queue::bounded(1)), Arc::new(Queue::bounded(1)));
            let workers: Vec<_> = (0..cores)
                .map(|_| {
                    let (requests, answers) = (Arc::clone(&requests), Arc::clone(&answers));
                    pool.spawn(move || {
                        requests.iter().for_each(|n: usize| answers.push(n + 1).expect("open"));
                    })
                })
                .collect();
            for n in 0..500 {
                requests.push(n).expect("open");
                assert_eq!(answers.pop(), Ok(n + 1));
            }
            requests.close();
            workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        });
        within(LONG, || drop(pool));
    }
}

#[test]
fn time_outs() {
    at_cores(|pool| {
        let queue = Queue::bounded(1);
        pool.install(|| {
            assert_eq!(queue.pop_timeout(SOON), Err(PopTimeoutError::TimedOut));
            assert_eq!(queue.push_timeout(1, SOON), Ok(()));
            assert_eq!(queue.push_timeout(2, SOON), Err(PushTimeoutError::TimedOut(2)));
            assert_eq!(queue.pop_timeout(Duration::MAX), Ok(1));
        });
        thread::scope(|scope| {
            scope.spawn(|| queue.push_timeout(3, NEVER));
            assert_eq!(pool.install(|| queue.pop_timeout(NEVER)), Ok(3));
        });
    });
}

#[test]
fn sizes() {
    let queue = Queue::bounded(2);
    assert_eq!((queue.capacity(), queue.len(), queue.is_empty()), (Some(2), 0, true));
    queue.push('a').expect("room");
    assert_eq!((queue.len(), queue.is_empty(), queue.is_closed()), (1, false, false));
    assert_eq!(Queue::<()>::unbounded().capacity(), None);
    assert!(panic_text_of(|| Queue::<()>::bounded(0)).contains("could never hold a value"));
}

/// A bound beyond all memory is none in effect, also where a counter could not tell it.
#[test]
fn bounds_that_nothing_reaches() {
    const BOUNDS: [usize; 8] = [
        usize::MAX / 8,
        usize::MAX / 4,
        usize::MAX / 4 + 1,
        usize::MAX / 2,
        usize::MAX / 2 + 1,
        usize::MAX - 4,
        usize::MAX - 1,
        usize::MAX,
    ];
    at_cores(|pool| {
        for bound in BOUNDS {
            let queue = Queue::bounded(bound);
            assert_eq!(queue.capacity(), (bound < usize::MAX).then_some(bound));
            for _ in 0..3 {
                (0..500).for_each(|n| assert_eq!(queue.try_push(n), Ok(())));
                assert_eq!(queue.len(), 500);
                assert!((0..500).all(|n| queue.pop() == Ok(n)));
            }
            pool.scope(|s| {
                s.spawn(|| (0..500).for_each(|n| queue.push_timeout(n, NEVER).expect("room")));
                s.spawn(|| assert!((0..500).all(|n| queue.pop() == Ok(n))));
            });
            queue.close();
            assert_eq!((queue.pop(), queue.push(0)), (Err(Closed), Err(PushError(0))));
        }
    });
}

/// Of such values not many would fit on a thread's stack.
#[test]
fn large_values() {
    at_cores(|pool| {
        for queue in [Queue::bounded(1), Queue::unbounded()] {
            let queue: Queue<[u8; 1 << 16]> = queue;
            let task = || {
                queue.push([7; 1 << 16]).expect("open");
                assert_eq!(queue.pop().expect("open")[1 << 15], 7);
            };
            pool.scope(|s| drop(s.spawn(task)));
        }
    });
}
