//! Safe waits: a thread that waits for a stolen job runs what that job needs and nothing else, so that whatever it holds
//! meanwhile cannot be asked for on its own stack (rayon#592, rayon#1251, polars#22159, taskflow#522; rayon#1077,
//! bevy#18009; rayon#854, rayon#751, subspace#3698).

use crate::common::{CORES, Gate, LONG, at_cores, note, spin_for, spin_until, watched, within};
use purloin::{Pool, Scope};
use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Long enough for another core to come and take the other half.
const SHORT: Duration = Duration::from_micros(20);
/// Longer than a thread keeps its core while it waits.
const PATIENT: Duration = Duration::from_micros(400);

fn busy(time: Duration) -> usize {
    spin_for(time);
    1
}

/// A parallel region of one of some kinds; gives 2.
fn region(n: usize) -> usize {
    let time = if n.is_multiple_of(8) { PATIENT } else { SHORT };
    match n / 2 % 4 {
        0 => {
            let (x, y) = purloin::join(|| busy(SHORT), || busy(time));
            x + y
        }
        1 => {
            let (x, (y, z)) = purloin::join(|| busy(SHORT), || purloin::join(|| busy(SHORT), || busy(time)));
            x + y * z
        }
        2 => purloin::scope(|s| {
            let tasks = [s.spawn(move || busy(time)), s.spawn(|| busy(SHORT))];
            tasks.into_iter().map(|task| task.join().expect("no panic")).sum()
        }),
        _ => {
            let task = purloin::spawn(move || busy(time));
            busy(SHORT) + task.join().expect("no panic")
        }
    }
}

/// Runs `job`, in which there is to be a [`region`], some hundred times over in parallel: as items of a map, as tasks of a
/// scope, in forks and from outside.
fn everywhere(pool: &Pool, job: impl Fn(usize) -> usize + Sync) {
    fn halves(range: Range<usize>, job: &(impl Fn(usize) -> usize + Sync)) -> usize {
        if range.len() == 1 {
            return job(range.start);
        }
        let middle = range.start + range.len() / 2;
        let (x, y) = purloin::join(|| halves(range.start..middle, job), || halves(middle..range.end, job));
        x + y
    }
    let job = &job;
    assert_eq!(pool.map(0..64usize, job), vec![2; 64]);
    let sum = pool.scope(|s| {
        let tasks: Vec<_> = (0..64).map(|n| s.spawn(move || job(n))).collect();
        tasks.into_iter().map(|task| task.join().expect("no panic")).sum::<usize>()
    });
    assert_eq!(sum, 128);
    pool.scope(|s| (0..64).for_each(|n| drop(s.spawn(move || assert_eq!(job(n), 2)))));
    assert_eq!(pool.install(|| halves(0..64, job)), 128);
    thread::scope(|scope| {
        for caller in 0..3 {
            scope.spawn(move || (0..16).for_each(|n| assert_eq!(pool.install(|| job(caller + n)), 2)));
        }
    });
}

/// How often [`everywhere`] runs its job.
const JOBS: usize = 4 * 64 + 3 * 16;

#[test]
fn a_mutex_across_everything() {
    at_cores(|pool| {
        let lock = Mutex::new(0);
        everywhere(pool, |n| {
            let mut count = lock.lock().expect("no panic");
            *count += 1;
            region(n)
        });
        assert_eq!(*lock.lock().expect("no panic"), JOBS);
    });
}

/// Locks in an order: those who hold the first want the second, in the stolen half of a fork.
#[test]
fn two_mutexes_across_each_other() {
    at_cores(|pool| {
        let (outer, inner) = (Mutex::new(()), Mutex::new(()));
        everywhere(pool, |n| {
            let _outer = outer.lock().expect("no panic");
            let within = || {
                let _inner = inner.lock().expect("no panic");
                region(n)
            };
            let (one, two) = purloin::join(|| busy(SHORT), within);
            one * two
        });
    });
}

#[test]
fn a_once_lock_across_everything() {
    at_cores(|pool| {
        for round in 0..16 {
            let (cells, made) = ([const { OnceLock::new() }; 4], AtomicUsize::new(0));
            everywhere(pool, |n| {
                *cells[n % 4].get_or_init(|| {
                    made.fetch_add(1, Ordering::Relaxed);
                    // Each kind in its turn, now short and now long.
                    region(round)
                })
            });
            assert_eq!(made.load(Ordering::Relaxed), 4);
        }
    });
}

std::thread_local! {
    static CELL: RefCell<usize> = const { RefCell::new(0) };
}

/// A second job on the same stack would find the cell borrowed, and panic.
#[test]
fn a_thread_local_cell_across_everything() {
    at_cores(|pool| {
        everywhere(pool, |n| {
            CELL.with(|cell| {
                let mut count = cell.borrow_mut();
                *count += 1;
                region(n)
            })
        });
    });
}

/// The second half is stolen for certain, and while its owner waits there is a task to be had that wants the lock: another
/// thread must begin it, since the owner goes on only when it has begun.
#[test]
fn a_task_wants_the_lock_while_its_holder_waits() {
    at_cores(|pool| {
        if pool.cores() == 1 {
            return;
        }
        let lock = Mutex::new(0);
        for round in 0..50 {
            let (stolen, wanted) = (Gate::new(), AtomicBool::new(false));
            pool.scope(|s| {
                let mut count = lock.lock().expect("no panic");
                purloin::join(
                    || stolen.pass(),
                    || {
                        stolen.open();
                        s.spawn(|| {
                            wanted.store(true, Ordering::Relaxed);
                            *lock.lock().expect("no panic") += 1;
                        });
                        spin_for(if round % 2 == 0 { SHORT } else { PATIENT });
                    },
                );
                spin_until(|| wanted.load(Ordering::Relaxed));
                *count += 1;
            });
        }
        assert_eq!(*lock.lock().expect("no panic"), 100);
    });
}

std::thread_local! {
    /// What this thread does, or waits for; the innermost last.
    static STACK: RefCell<Vec<Path>> = const { RefCell::new(Vec::new()) };
}

/// Where a piece of work stands in the tree of all work.
type Path = Vec<usize>;

fn below(path: &[usize], child: usize) -> Path {
    [path, &[child]].concat()
}

/// Runs what stands at `path`, which must be part of what this thread waits for, if it waits.
fn at<R>(path: &[usize], body: impl FnOnce() -> R) -> R {
    STACK.with_borrow_mut(|stack| {
        if let Some(top) = stack.last() {
            assert!(path.starts_with(top), "{path:?} was begun by a thread that waits for {top:?}");
        }
        stack.push(path.to_vec());
    });
    let result = body();
    STACK.with_borrow_mut(|stack| stack.pop());
    result
}

/// What this thread may run from now on; gives what it was.
fn now_for(path: &[usize]) -> Path {
    STACK.with_borrow_mut(|stack| match stack.last_mut() {
        Some(top) => std::mem::replace(top, path.to_vec()),
        None => unreachable!("only called below `at`"),
    })
}

fn waits_for<R>(path: &[usize], wait: impl FnOnce() -> R) -> R {
    let before = now_for(path);
    let result = wait();
    now_for(&before);
    result
}

/// A tree of work of all kinds, of a shape that the path decides; gives the number of its nodes.
fn mixed(pool: &Pool, path: &[usize], depth: usize) -> usize {
    at(path, || {
        let hash =
            path.iter().fold(depth, |hash, step| (hash ^ step).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23));
        spin_for(Duration::from_micros(hash as u64 % 16));
        if depth == 0 {
            return 1;
        }
        let (left, right) = (below(path, 0), below(path, 1));
        let sum = match hash / 16 % 5 {
            0 | 1 => {
                let first = || {
                    let sum = mixed(pool, &left, depth - 1);
                    now_for(&right);
                    sum
                };
                let (x, y) = waits_for(path, || pool.join(first, || mixed(pool, &right, depth - 1)));
                x + y
            }
            2 => waits_for(&left, || pool.scope(|s| tasks(pool, s, &left, depth))),
            3 => {
                let (handle, own) = (pool.clone(), right.clone());
                let task = pool.spawn(move || mixed(&handle, &own, depth - 1));
                mixed(pool, &left, depth - 1) + waits_for(&right, || task.join().expect("no panic"))
            }
            _ => {
                let item = |n| mixed(pool, &below(&left, n), depth - 1);
                waits_for(&left, || pool.map(0..3usize, item).into_iter().sum())
            }
        };
        sum + 1
    })
}

/// Three branches: two tasks, the second of which is spawned by a task, and the body.
fn tasks<'scope>(pool: &'scope Pool, s: &'scope Scope<'scope, '_>, path: &[usize], depth: usize) -> usize {
    let [one, two, three] = [0, 1, 2].map(|n| below(path, n));
    let awaited = one.clone();
    let joined = s.spawn(move || mixed(pool, &one, depth - 1));
    drop(s.spawn(move || drop(s.spawn(move || mixed(pool, &two, depth - 1)))));
    mixed(pool, &three, depth - 1) + waits_for(&awaited, || joined.join().expect("no panic"))
}

/// No thread ever runs anything on top of a wait but what it waits for, whatever the regions and however they are nested.
#[test]
fn nothing_unrelated_on_the_stack() {
    let serial = Mutex::new(Vec::new());
    at_cores(|pool| {
        let nodes: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = (0..3)
                .map(|caller| {
                    scope.spawn(move || {
                        let tree = |round| pool.install(|| mixed(pool, &[caller, round], 6));
                        (0..20).map(tree).collect::<Vec<_>>()
                    })
                })
                .collect();
            callers.into_iter().flat_map(|caller| caller.join().expect("no panic")).collect()
        });
        let mut serial = serial.lock().expect("no panic");
        if serial.is_empty() {
            *serial = nodes;
        } else {
            assert_eq!(*serial, nodes);
        }
    });
}

std::thread_local! {
    /// Where this thread's stack begins, near enough.
    static BASE: Cell<usize> = const { Cell::new(0) };
}

/// An address in the caller's frame, near enough.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    black_box(&raw const local).addr()
}

/// A node of the tree needs a kilobyte; the deepest stack of all threads is noted.
fn tall(pool: Option<&Pool>, depth: usize, deepest: &AtomicUsize) -> usize {
    let room = black_box([0u8; 1 << 10]);
    // A thread of the pool has noted its base when it started; an outside caller has when it came.
    deepest.fetch_max(BASE.get() - here(), Ordering::Relaxed);
    let sum = match (depth, pool) {
        (0, _) => busy(Duration::from_micros(2)),
        (_, None) => (0..2).map(|_| tall(None, depth - 1, deepest)).sum(),
        (_, Some(pool)) => match depth % 4 {
            0 => pool.map(0..2, |_| tall(Some(pool), depth - 1, deepest)).into_iter().sum(),
            1 => pool.scope(|s| {
                let task = s.spawn(|| tall(Some(pool), depth - 1, deepest));
                tall(Some(pool), depth - 1, deepest) + task.join().expect("no panic")
            }),
            _ => {
                let half = || tall(Some(pool), depth - 1, deepest);
                let (x, y) = pool.join(half, half);
                x + y
            }
        },
    };
    black_box(&room);
    sum
}

/// However much is stolen by threads that wait, no stack gets much deeper than without a pool.
#[test]
fn stacks_stay_shallow() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let pool = Pool::builder().cores(cores).on_thread_start(|_| BASE.set(here())).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            BASE.set(here());
            let (serial, parallel) = (AtomicUsize::new(0), AtomicUsize::new(0));
            for depth in [4, 8, 12] {
                assert_eq!(tall(None, depth, &serial), 1 << depth);
                for _ in 0..4 {
                    assert_eq!(pool.install(|| tall(Some(&pool), depth, &parallel)), 1 << depth);
                }
                let (serial, parallel) = (serial.load(Ordering::Relaxed), parallel.load(Ordering::Relaxed));
                assert!(parallel < 4 * serial + (16 << 10), "depth {depth}: {parallel} bytes, and serially {serial}");
            }
        });
        within(LONG, || drop(pool));
    }
}
