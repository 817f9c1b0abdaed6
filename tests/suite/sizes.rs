//! Results of no size and of a megabyte, through every call that gives one, whichever thread makes it.

use crate::common::{CORES, Gate, LONG, at_cores, note, panic_text_of, watched, within};
use purloin::Pool;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const MEGABYTE: usize = 1 << 20;
/// Room for some dozens of such results in the frames of a build that is not optimised.
const ROOMY: usize = 256 << 20;

type Huge = [u8; MEGABYTE];

/// Inlined it would need its room in every frame that might call it.
#[inline(never)]
fn huge(fill: u8) -> Huge {
    [fill; MEGABYTE]
}

fn is_huge(result: &Huge, fill: u8) -> bool {
    result.iter().all(|&byte| byte == fill)
}

/// Calls `body` on a thread with room.
#[track_caller]
fn with_room(pool: Pool, body: impl Fn(&Pool) + Sync) {
    watched(LONG, Some(&pool), || {
        thread::scope(|scope| {
            let roomy = thread::Builder::new().stack_size(ROOMY).spawn_scoped(scope, || body(&pool));
            roomy.expect("a thread").join().expect("no panic");
        });
    });
    within(LONG, || drop(pool));
}

/// Calls `body` with pools whose threads have room: they do the work.
#[track_caller]
fn on_the_pools_threads(body: impl Fn(&Pool) + Sync) {
    for cores in CORES {
        note(format!("with {cores} cores"));
        with_room(Pool::builder().cores(cores).stack_size(ROOMY).build().expect("a pool"), &body);
    }
}

/// Calls `body` with a pool of one core, which the caller takes.
#[track_caller]
fn as_a_guest(body: impl Fn(&Pool) + Sync) {
    note("as a guest".to_string());
    with_room(Pool::new(1).expect("a pool"), body);
}

/// Both halves of a `join`, the second of which is run by a thief if there can be one.
fn stolen<A: Send, B: Send>(pool: &Pool, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
    let gate = Gate::new();
    pool.join(
        || {
            if pool.cores() > 1 {
                gate.pass();
            }
            a()
        },
        || {
            gate.open();
            b()
        },
    )
}

#[test]
fn huge_results_of_join() {
    let body = |pool: &Pool| {
        let (a, b) = pool.join(|| huge(1), || huge(2));
        assert!(is_huge(&a, 1) && is_huge(&b, 2));
        let (a, b) = stolen(pool, || huge(3), || huge(4));
        assert!(is_huge(&a, 3) && is_huge(&b, 4));
        let ((), b) = stolen(pool, || (), || huge(5));
        assert!(is_huge(&b, 5));
        assert_eq!(panic_text_of(|| stolen(pool, || panic!("a"), || huge(6))), "a");
    };
    on_the_pools_threads(body);
    as_a_guest(body);
}

#[test]
fn huge_captures_of_join() {
    let body = |pool: &Pool| {
        let (one, two) = (huge(1), huge(2));
        let (a, b) = stolen(pool, move || is_huge(&one, 1), move || is_huge(&two, 2));
        assert!(a && b);
    };
    on_the_pools_threads(body);
    as_a_guest(body);
}

#[test]
fn huge_results_of_the_others() {
    as_a_guest(|pool| {
        assert!(is_huge(&pool.install(|| huge(1)), 1));
        assert!(is_huge(&pool.scope(|_| huge(2)), 2));
        assert!(pool.map(0..16u8, huge).iter().zip(0..).all(|(result, fill)| is_huge(result, fill)));
    });
    on_the_pools_threads(|pool| {
        assert!(is_huge(&pool.install(|| huge(1)), 1));
        assert!(is_huge(&pool.scope(|_| huge(2)), 2));
        assert!(pool.scope(|s| is_huge(&s.spawn(|| huge(3)).join().expect("no panic"), 3)));
        assert!(is_huge(&pool.spawn(|| huge(4)).join().expect("no panic"), 4));
        assert!(pool.install(|| is_huge(&purloin::spawn(|| huge(5)).join().expect("no panic"), 5)));
        let all = pool.map(0..16u8, huge);
        assert!(all.iter().zip(0..).all(|(result, fill)| is_huge(result, fill)));
        let again = pool.map(all, |item| item);
        assert!(again.iter().zip(0..).all(|(result, fill)| is_huge(result, fill)));
        assert_eq!(panic_text_of(|| pool.map(again, |item| assert!(item[0] != 9, "nine"))), "nine");
    });
}

/// Counts its drops, and takes no room.
struct Nothing;

static DROPPED: AtomicUsize = AtomicUsize::new(0);

impl Drop for Nothing {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::Relaxed);
    }
}

/// What was made is dropped once, in whichever way it went.
#[test]
fn results_without_size() {
    assert_eq!(size_of::<Nothing>(), 0);
    let dropped = || DROPPED.swap(0, Ordering::Relaxed);
    at_cores(|pool| {
        let both = stolen(pool, || Nothing, || Nothing);
        assert_eq!(dropped(), 0);
        drop(both);
        assert_eq!(dropped(), 2);
        let unwanted = |fails: bool| panic_text_of(|| stolen(pool, || assert!(!fails, "a"), || Nothing));
        assert_eq!(unwanted(true), "a");
        assert!(dropped() <= 1, "made by a thief or never");
        drop(pool.install(|| Nothing));
        assert_eq!(dropped(), 1);
        pool.scope(|s| {
            drop(s.spawn(|| Nothing));
            drop(s.spawn(|| Nothing).join());
        });
        assert_eq!(dropped(), 2, "the one that nobody took by the end of the scope");
        drop(pool.spawn(|| Nothing).join());
        assert_eq!(dropped(), 1);
        let captured = Nothing;
        pool.spawn(move || drop(captured)).join().expect("no panic");
        assert_eq!(dropped(), 1);
        let detached = Nothing;
        drop(pool.spawn(move || detached));
        crate::common::spin_until(|| DROPPED.load(Ordering::Relaxed) == 1);
        assert_eq!(dropped(), 1);
    });
}
