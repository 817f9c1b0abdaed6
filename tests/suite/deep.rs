//! Recursion that is very deep, to the left and to the right: on a stack that holds the serial program twice, the
//! parallel one survives, whoever takes which part of it (rayon#854, rayon#751).

use crate::common::{CORES, LONG, note, spin_for, watched, within};
use purloin::Pool;
use std::hint::black_box;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// Forks from the root to the deepest leaf.
const DEPTH: usize = 100_000;
/// What the part of a thread's stack takes that is not the recursion's.
const BASE: usize = 64 << 10;
/// Where the next level goes: always to the first half, always to the second, to either in turn.
const WAYS: [fn(usize) -> bool; 3] = [|_| true, |_| false, |depth| depth.is_multiple_of(2)];

/// An address in the caller's frame, near enough.
#[inline(never)]
fn here() -> usize {
    let local = 0u8;
    black_box(&raw const local).addr()
}

/// What a serial program does in place of a fork.
fn one_by_one(a: impl FnOnce() -> usize, b: impl FnOnce() -> usize) -> (usize, usize) {
    (a(), b())
}

/// A comb: at each level one half is a leaf and the other the rest. Each level has a kilobyte of its own on the stack, as
/// have those that do something.
macro_rules! comb {
    ($name:ident, $join:path) => {
        fn $name(depth: usize, first: fn(usize) -> bool, lowest: &AtomicUsize) -> usize {
            let room = black_box([0u8; 1 << 10]);
            lowest.fetch_min(here(), Ordering::Relaxed);
            if depth == 0 {
                return 1;
            }
            let rest = || $name(depth - 1, first, lowest);
            // Now and then a leaf takes so long that another core comes for what is pending.
            let leaf = || {
                spin_for(Duration::from_micros(if depth.is_multiple_of(500) { 20 } else { 0 }));
                1
            };
            let (a, b) = if first(depth) { $join(rest, leaf) } else { $join(leaf, rest) };
            black_box(&room);
            a + b
        }
    };
}
comb!(serial, one_by_one);
comb!(parallel, purloin::join);

/// The bytes of stack that the serial program needs.
fn serial_need() -> usize {
    static NEED: OnceLock<usize> = OnceLock::new();
    *NEED.get_or_init(|| {
        let measure = |first: &fn(usize) -> bool| {
            let lowest = AtomicUsize::new(usize::MAX);
            let base = here();
            assert_eq!(serial(DEPTH, *first, &lowest), DEPTH + 1);
            base - lowest.into_inner()
        };
        let roomy = thread::Builder::new().stack_size(1 << 30);
        let measured = roomy.spawn(move || WAYS.iter().map(measure).max());
        measured.expect("a thread").join().expect("room enough").expect("ways")
    })
}

#[test]
fn on_the_pools_threads() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        let pool = Pool::builder().cores(cores).stack_size(2 * serial_need() + BASE).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            for _ in 0..2 {
                for way in WAYS {
                    let lowest = AtomicUsize::new(usize::MAX);
                    assert_eq!(pool.install(|| parallel(DEPTH, way, &lowest)), DEPTH + 1);
                }
            }
        });
        within(LONG, || drop(pool));
    }
}

/// On the stack of a thread from outside, which nobody helps: the pool's own threads are smaller.
#[test]
fn on_a_guests_thread() {
    let pool = Pool::new(1).expect("a pool");
    watched(LONG, Some(&pool), || {
        thread::scope(|scope| {
            let guest = thread::Builder::new().stack_size(2 * serial_need() + BASE).spawn_scoped(scope, || {
                for way in WAYS {
                    let lowest = AtomicUsize::new(usize::MAX);
                    assert_eq!(pool.install(|| parallel(DEPTH, way, &lowest)), DEPTH + 1);
                    assert_eq!(pool.stats().injected, 0, "the guest did it itself");
                }
            });
            guest.expect("a thread").join().expect("no panic");
        });
    });
    within(LONG, || drop(pool));
}

/// Scopes in place of forks are deeper, but a scope in each level of a recursion works as well.
#[test]
fn scopes_all_the_way_down() {
    fn dive(depth: usize) -> usize {
        if depth == 0 {
            return 0;
        }
        purloin::scope(|s| {
            let below = s.spawn(move || dive(depth - 1));
            1 + below.join().expect("no panic")
        })
    }
    for cores in CORES {
        note(format!("with {cores} cores"));
        let pool = Pool::builder().cores(cores).stack_size(256 << 20).build().expect("a pool");
        watched(LONG, Some(&pool), || assert_eq!(pool.install(|| dive(10_000)), 10_000));
        within(LONG, || drop(pool));
    }
}
