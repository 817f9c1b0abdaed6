//! Fork-join trees of random shapes, from several callers at once.

use crate::common::{Witness, deadlock, find_all, play, pool, random};
use purloin_shuttle::internals::primitive::Flaw;
use purloin_shuttle::join;
use shuttle::thread;

/// The number of the tree's leaves, found by forking.
fn leaves(shape: u64, depth: u32) -> u64 {
    // Two bits a node: both sides, the left, the right, none.
    if depth == 0 || shape & 3 == 3 {
        return 1;
    }
    let (left, right) = (shape >> 2, shape.rotate_right(17) ^ u64::from(depth));
    let (left_depth, right_depth) = (depth - 1, if shape & 3 == 0 { depth - 1 } else { depth / 2 });
    let (a, b) = join(|| leaves(left, left_depth), || leaves(right, right_depth));
    a + b
}

/// The same, serially.
fn leaves_serially(shape: u64, depth: u32) -> u64 {
    if depth == 0 || shape & 3 == 3 {
        return 1;
    }
    let (left, right) = (shape >> 2, shape.rotate_right(17) ^ u64::from(depth));
    let (left_depth, right_depth) = (depth - 1, if shape & 3 == 0 { depth - 1 } else { depth / 2 });
    leaves_serially(left, left_depth) + leaves_serially(right, right_depth)
}

static STOLEN: Witness = Witness::new("a fork was stolen");
static LEAPFROGGED: Witness = Witness::new("a waiting thread helped its thief");
static HANDED_OVER: Witness = Witness::new("a waiting thread gave its core up");
static PARKED: Witness = Witness::new("a thread parked");
static WOKEN_IN_VAIN: Witness = Witness::new("a thread was woken and found nothing");

fn trees() {
    let pool = pool(2);
    let callers: Vec<_> = (0..1 + random() % 2)
        .map(|_| {
            let (pool, shape) = (pool.clone(), random());
            thread::spawn(move || {
                let found = pool.install(|| leaves(shape, 4));
                assert_eq!(found, leaves_serially(shape, 4));
            })
        })
        .collect();
    let shape = random();
    assert_eq!(pool.install(|| leaves(shape, 4)), leaves_serially(shape, 4));
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    // Small ones, for which threads are woken in vain, and nap.
    for _ in 0..random() % 8 {
        (0..random() % 64).for_each(|_| thread::yield_now());
        assert_eq!(pool.install(|| join(|| join(|| 1, thread::yield_now).0, thread::yield_now).0), 1);
    }
    let stats = pool.stats();
    STOLEN.hit_if(stats.steals > 0);
    LEAPFROGGED.hit_if(stats.leapfrogs > 0);
    HANDED_OVER.hit_if(stats.hand_overs > 0);
    PARKED.hit_if(stats.parks > 0);
    WOKEN_IN_VAIN.hit_if(stats.useless_wakes > 0);
}

#[test]
fn trees_of_forks() {
    let seen = [&STOLEN, &LEAPFROGGED, &HANDED_OVER, &PARKED, &WOKEN_IN_VAIN];
    play("trees", 4000, trees).with(&seen);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "fork::mistakes_are_found",
        &[
            deadlock(Flaw::GuestKeepsCore, 4000, trees),
            deadlock(Flaw::CallerForgotten, 4000, trees),
            deadlock(Flaw::GrantLeftBehind, 4000, trees),
            deadlock(Flaw::NapperLeftAsleep, 4000, trees),
        ],
    );
}
