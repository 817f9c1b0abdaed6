//! Pools within pools, at one core each: a thread that works for two pools holds a core of each, and whoever waits must
//! let go of all that others need to get on (rayon#904, rayon#1064: regions of one pool within another's).

use crate::common::{CORES, Gate, LONG, assert_sound, note, run_by_its_pool, spin_until, within};
use purloin::{Pool, PoolBuilder};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

/// Calls `body` with two pools for each number of cores, once with room for more threads and once with none.
#[track_caller]
fn with_two_pools(body: impl Fn(&Pool, &Pool) + Sync) {
    for cores in CORES {
        for spare in [256, 0] {
            note(format!("with two pools of {cores} cores and {spare} threads to spare"));
            let build = |name: &'static str| {
                let named = Pool::builder().thread_name(move |index| format!("{name}-{index}"));
                PoolBuilder::build(named.cores(cores).max_threads(cores + spare)).expect("a pool")
            };
            let (one, two) = (build("one"), build("two"));
            within(LONG, || {
                body(&one, &two);
                assert_sound(&one);
                assert_sound(&two);
            });
            within(LONG, || drop((one, two)));
        }
    }
}

/// Each level of nesting changes pools; the innermost answers.
fn alternate(inner: &Pool, outer: &Pool, depth: usize) -> usize {
    match depth {
        0 => 0,
        _ => outer.install(|| 1 + alternate(outer, inner, depth - 1)),
    }
}

#[test]
fn in_and_out_and_in_again() {
    with_two_pools(|one, two| {
        let order = one.install(|| {
            let (a, (b, c)) = purloin::join(|| 1, || two.install(|| (2, one.install(|| purloin::join(|| 3, || 4)))));
            (a, b, c)
        });
        assert_eq!(order, (1, 2, (3, 4)));
    });
}

/// The fourth level enters the second pool a second time, from within the first.
#[test]
fn deep() {
    with_two_pools(|one, two| {
        for depth in 1..8 {
            assert_eq!(alternate(one, two, depth), depth);
        }
    });
}

/// Threads from outside enter the pools in opposite orders at once, each again and again.
#[track_caller]
fn both_ways(depths: std::ops::Range<usize>) {
    with_two_pools(|one, two| {
        thread::scope(|scope| {
            for index in 0..4 {
                let (inner, outer) = if index % 2 == 0 { (one, two) } else { (two, one) };
                let depths = depths.clone();
                scope.spawn(move || {
                    for depth in depths.cycle().take(200) {
                        assert_eq!(alternate(inner, outer, depth), depth);
                    }
                });
            }
        });
    });
}

#[test]
fn both_ways_and_back_out() {
    both_ways(2..3);
}

#[test]
fn both_ways_and_in_again() {
    both_ways(3..4);
}

#[test]
fn both_ways_deeper() {
    both_ways(2..7);
}

/// The pools' own threads enter each other's pool at the same moment, when each holds a core of its own. With no thread
/// to spare nobody else can do it for them.
#[test]
fn both_ways_from_inside() {
    with_two_pools(|one, two| {
        for _ in 0..100 {
            let meeting = Arc::new(Barrier::new(2));
            let cross = |from: &Pool, to: &Pool| {
                let (to, meeting) = (to.clone(), Arc::clone(&meeting));
                from.spawn(move || {
                    meeting.wait();
                    to.install(|| purloin::join(|| 1, || 2))
                })
            };
            let (there, back) = (cross(one, two), cross(two, one));
            assert_eq!(there.join().expect("no panic"), (1, 2));
            assert_eq!(back.join().expect("no panic"), (1, 2));
        }
    });
}

/// A task of one pool waits for a task of the other, which waits for one of the first: a thread that waits gives up its
/// only core, of whichever pool, to a thread to spare.
#[test]
fn handles_across_pools() {
    for cores in CORES {
        note(format!("with two pools of {cores} cores"));
        let (one, two) = (Pool::new(cores).expect("a pool"), Pool::new(cores).expect("a pool"));
        within(LONG, || {
            let (first, second) = (one.clone(), two.clone());
            let task = one.spawn(move || {
                let inner = second.spawn(move || first.spawn(|| 1).join().expect("no panic") + 1);
                inner.join().expect("no panic") + 1
            });
            assert_eq!(task.join().expect("no panic"), 3);
        });
    }
}

/// The waiting half of a fork holds a core of another pool, which the other half needs.
#[test]
fn join_around_the_other_pool() {
    with_two_pools(|one, two| {
        let both = two.install(|| one.join(|| two.install(|| 1), || two.install(|| 2)));
        assert_eq!(both, (1, 2));
        let sums = one.map(0..20u32, |n| two.map(0..n, |m| one.install(|| m)).into_iter().sum::<u32>());
        assert_eq!(sums, (0..20u32).map(|n| (0..n).sum()).collect::<Vec<_>>());
    });
}

/// Three pools one within the other, entered in every order at once, with loops, forks and scopes on each level.
#[test]
fn three_deep() {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0], [1, 0, 2], [0, 2, 1]];
    fn levels(pools: &[Pool; 3], [outer, middle, inner]: [usize; 3]) -> usize {
        let innermost = |n: usize| {
            let (a, b) = pools[inner].join(|| n, || pools[outer].install(|| 1));
            a + b
        };
        let within = |n: usize| {
            pools[middle].scope(|s| {
                let tasks: Vec<_> = (0..3).map(|m| s.spawn(move || innermost(n + m))).collect();
                tasks.into_iter().map(|task| task.join().expect("no panic")).sum::<usize>()
            })
        };
        pools[outer].map(0..4usize, within).into_iter().sum()
    }
    for cores in CORES {
        for spare in [256, 0] {
            note(format!("with three pools of {cores} cores and {spare} threads to spare"));
            let build =
                |_| PoolBuilder::build(Pool::builder().cores(cores).max_threads(cores + spare)).expect("a pool");
            let pools: [Pool; 3] = std::array::from_fn(build);
            within(LONG, || {
                thread::scope(|scope| {
                    for order in ORDERS {
                        let pools = &pools;
                        scope.spawn(move || (0..10).for_each(|_| assert_eq!(levels(pools, order), 42)));
                    }
                });
                pools.iter().for_each(assert_sound);
            });
            within(LONG, || drop(pools));
        }
    }
}

/// A free function means the innermost pool; when that region is over, the outer one again.
#[test]
fn free_functions_mean_the_innermost_pool() {
    let whose = || thread::current().name().unwrap_or_default().to_string();
    with_two_pools(|one, two| {
        let ran_on = run_by_its_pool(one.install(|| two.install(|| purloin::spawn(whose))));
        assert!(ran_on.starts_with("two-"), "the task was the inner pool's, and ran on {ran_on}");
        let task = one.install(|| {
            two.install(|| ());
            purloin::spawn(whose)
        });
        let ran_on = run_by_its_pool(task);
        assert!(ran_on.starts_with("one-"), "the task was the outer pool's, and ran on {ran_on}");
    });
}

/// A pool that is built, used and dropped by a task of another.
#[test]
fn short_lived_pools_inside() {
    crate::common::at_cores(|pool| {
        let sums = pool.map(1..9usize, |cores| {
            let inner = Pool::new(cores.min(3)).expect("a pool");
            inner.map(0..cores, |n| n).into_iter().sum::<usize>()
        });
        assert_eq!(sums, (1..9).map(|n: usize| (0..n).sum()).collect::<Vec<_>>());
    });
}

/// More levels than forks that are kept shared ahead of need.
const LEVELS: usize = 8;

fn nest(level: usize, innermost: &(dyn Fn() + Sync), other: &(dyn Fn() + Sync)) {
    match level {
        0 => innermost(),
        _ => drop(purloin::join(|| nest(level - 1, innermost, other), other)),
    }
}

/// A thread with private forks in one pool computes for another one for long: its forks are there for others meanwhile, be
/// the other pool entered by waiting for a task of its or by a call.
#[test]
fn forks_are_seen_from_within_another_pool() {
    for by_handle in [true, false] {
        note(format!("by a handle: {by_handle}"));
        let (one, two) = (Pool::new(1).expect("a pool"), Pool::new(2).expect("a pool"));
        within(LONG, || {
            for _ in 0..20 {
                let (begun, free) = (Gate::new(), AtomicBool::new(false));
                let run = Arc::new(AtomicUsize::new(0));
                two.scope(|s| {
                    // Whoever would ask for work is busy until the forks have been made.
                    s.spawn(|| {
                        begun.open();
                        spin_until(|| free.load(Ordering::Relaxed));
                    });
                    purloin::blocking(|| begun.pass());
                    one.install(|| {
                        let all_run = {
                            let run = Arc::clone(&run);
                            move || spin_until(|| run.load(Ordering::Relaxed) == LEVELS)
                        };
                        // Not begun: the one core is this thread's.
                        let task = std::sync::Mutex::new(by_handle.then(|| one.spawn(all_run.clone())));
                        let long = || {
                            free.store(true, Ordering::Relaxed);
                            match task.lock().expect("no panic").take() {
                                Some(task) => task.join().expect("no panic"),
                                None => one.install(&all_run),
                            }
                        };
                        let count = || {
                            run.fetch_add(1, Ordering::Relaxed);
                        };
                        two.install(|| nest(LEVELS, &long, &count));
                    });
                });
            }
        });
    }
}
