//! A process that may use one processor only, as under `taskset` or in a small container (oneTBB#2056: a hang at a quota of 1). Pools
//! of one core and of many get everything done, though no two of their threads ever run at once.
#![cfg(target_os = "linux")]

use crate::common::{CORES, LONG, assert_sound, good_child, note, part, watched, within};
use purloin::Pool;
use purloin::sync::Queue;
use std::thread;

/// From now on this thread, and those that it starts, use one processor: the first of those that they may use.
fn restrict() {
    // SAFETY: all zeroes is a valid value of the structure: no processor.
    let mut all: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    let mut one = all;
    // SAFETY: the place is valid, and as large as told.
    assert_eq!(unsafe { libc::sched_getaffinity(0, size_of_val(&all), &raw mut all) }, 0);
    // SAFETY: the number is within the set.
    let first = (0..libc::CPU_SETSIZE as usize).find(|&number| unsafe { libc::CPU_ISSET(number, &all) });
    // SAFETY: as above.
    unsafe { libc::CPU_SET(first.expect("this runs on one"), &mut one) };
    // SAFETY: the set is valid, and as large as told.
    assert_eq!(unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) }, 0);
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (x, y) = purloin::join(|| fib(n - 1), || fib(n - 2));
    x + y
}

/// Work of all kinds, to its end.
fn everything(pool: &Pool) {
    assert_sound(pool);
    let squares: Vec<u64> = (0..1_000).map(|n| n * n).collect();
    assert_eq!(pool.install(|| fib(15)), 610);
    assert_eq!(pool.spawn(|| fib(15)).join().expect("no panic"), 610);
    assert_eq!(pool.map(0..1_000u64, |n| n * n), squares);
    assert_eq!(pool.map_reduce(0..1_000u64, |n| n, 0, |a, b| a + b), 499_500);
    assert!(pool.imap(0..1_000u64, |n| n * n).eq(squares.iter().copied()));
    assert_eq!(pool.imap_unordered(0..1_000u64, |n| n * n).sum::<u64>(), squares.iter().sum());
    // Two tasks, each of which waits for the other.
    let (there, back) = (Queue::bounded(1), Queue::bounded(1));
    pool.scope(|s| {
        s.spawn(|| {
            for n in 0..200 {
                there.push(n).expect("open");
                assert_eq!(back.pop(), Ok(n + 1));
            }
            there.close();
        });
        s.spawn(|| there.iter().for_each(|n| back.push(n + 1).expect("open")));
    });
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4).map(|_| scope.spawn(|| pool.install(|| fib(12)))).collect();
        assert!(callers.into_iter().all(|caller| caller.join().is_ok_and(|found| found == 144)));
    });
}

#[test]
fn pools_of_any_size() {
    if part().is_none() {
        good_child("one_processor::pools_of_any_size", "restricted", &[]);
        return;
    }
    restrict();
    for (asked, cores) in [(0, 1)].into_iter().chain(CORES.map(|cores| (cores, cores))) {
        note(format!("asked for {asked} cores"));
        let pool = within(LONG, || Pool::new(asked).expect("a pool"));
        assert_eq!(pool.cores(), cores);
        watched(LONG, Some(&pool), || everything(&pool));
        within(LONG, || drop(pool));
    }
    note("the global pool".to_owned());
    assert_eq!(Pool::global().cores(), 1);
    watched(LONG, Some(Pool::global()), || everything(Pool::global()));
}
