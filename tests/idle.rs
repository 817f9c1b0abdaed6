//! Idle means idle: a pool without work makes no context switches, and small regions wake few threads (rayon#642,
//! rayon#1314, chili#21: processor time of idle pools, wake storms).
#![cfg(target_os = "linux")]

mod common;

use common::{CORES, Gate, LONG, note, spin_for, watched, within};
use purloin::Pool;
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// What the system says of a pool's threads: for each its state and its context switches.
fn switches(prefix: &str) -> BTreeMap<String, (String, u64)> {
    let mut found = BTreeMap::new();
    for task in fs::read_dir("/proc/self/task").expect("there is /proc") {
        let path = task.expect("an entry").path();
        // A thread may end while its folder is read.
        let Ok(status) = fs::read_to_string(path.join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        if field("Name:").starts_with(prefix) {
            let count = |name| field(name).parse::<u64>().expect("a count");
            let count = count("voluntary_ctxt_switches:") + count("nonvoluntary_ctxt_switches:");
            found.insert(path.display().to_string(), (field("State:").to_string(), count));
        }
    }
    found
}

/// Waits until all of the pool's threads sleep and have not moved for a while.
#[track_caller]
fn settle(prefix: &str) -> BTreeMap<String, (String, u64)> {
    let mut before = switches(prefix);
    for _ in 0..200 {
        thread::sleep(Duration::from_millis(50));
        let now = switches(prefix);
        if now == before && now.values().all(|(state, _)| state.starts_with('S')) {
            return now;
        }
        before = now;
    }
    panic!("the pool's threads do not come to rest: {before:?}");
}

fn named(prefix: &'static str, cores: usize) -> Pool {
    Pool::builder().cores(cores).thread_name(move |index| format!("{prefix}{index}")).build().expect("a pool")
}

/// The pool sleeps, and goes on sleeping: not one of its threads moves.
#[track_caller]
fn assert_idle(prefix: &str, threads: usize) {
    let before = settle(prefix);
    assert_eq!(before.len(), threads, "{before:?}");
    let observed = Duration::from_millis(300);
    thread::sleep(observed);
    assert_eq!(switches(prefix), before, "threads of an idle pool moved within {observed:?}");
}

fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let (x, y) = purloin::join(|| fib(n - 1), || fib(n - 2));
    x + y
}

/// Before the first use, and after each kind of it.
#[test]
fn an_idle_pool_makes_no_context_switches() {
    for cores in CORES {
        note(format!("with {cores} cores"));
        // No more threads than these, so that one sees what becomes of each.
        let builder = Pool::builder().cores(cores).max_threads(cores);
        let pool = builder.thread_name(|index| format!("quiet-{index}")).build().expect("a pool");
        let uses: [&(dyn Fn() + Sync); 6] = [
            &|| (),
            &|| assert_eq!(pool.install(|| fib(18)), 2584),
            &|| (0..100).for_each(|n| assert_eq!(pool.spawn(move || n).join().expect("no panic"), n)),
            &|| pool.scope(|s| (0..1_000).for_each(|_| drop(s.spawn(|| spin_for(Duration::from_micros(5)))))),
            // Useless wakes, after which waking is lazy and threads nap.
            &|| (0..200).for_each(|_| _ = pool.join(|| spin_for(Duration::from_micros(5)), || ())),
            &|| {
                thread::scope(|scope| {
                    (0..8).for_each(|_| drop(scope.spawn(|| pool.map(0..1_000, |n| n).len())));
                })
            },
        ];
        for use_it in uses {
            watched(LONG, Some(&pool), || {
                use_it();
                assert_idle("quiet-", cores);
            });
        }
        within(LONG, || drop(pool));
    }
}

/// A closed pool whose last task is still running: those that wait for its end do so asleep.
#[test]
fn a_closing_pool_waits_asleep() {
    for cores in [2, 64] {
        note(format!("with {cores} cores"));
        let pool = named("closing-", cores);
        watched(LONG, Some(&pool), || {
            let (gate, begun) = (Arc::new(Gate::new()), Arc::new(Gate::new()));
            let task = pool.spawn({
                let (gate, begun) = (Arc::clone(&gate), Arc::clone(&begun));
                move || {
                    begun.open();
                    gate.pass();
                }
            });
            begun.pass();
            pool.close();
            let threads = settle("closing-").len();
            assert_idle("closing-", threads);
            gate.open();
            task.join().expect("no panic");
            assert_eq!(pool.join_threads(None), Ok(()));
        });
    }
}

/// Regions with one fork each are worth one wake each at the most, and always of the same few threads.
#[test]
fn small_regions_wake_few_threads() {
    const REGIONS: u64 = 400;
    for cores in [2, 64] {
        for pause in [0, 300] {
            note(format!("with {cores} cores and {pause} us between regions"));
            let pool = named("small-", cores);
            watched(LONG, Some(&pool), || {
                let before = settle("small-");
                for _ in 0..REGIONS {
                    let short = || spin_for(Duration::from_micros(5));
                    pool.join(short, short);
                    thread::sleep(Duration::from_micros(pause));
                }
                let after = settle("small-");
                let stats = pool.stats();
                let wakes = stats.useful_wakes + stats.useless_wakes;
                assert!(wakes <= REGIONS, "{wakes} wakes for {REGIONS} forks: {stats}");
                let moved = after.iter().filter(|(thread, now)| before.get(*thread) != Some(now)).count();
                assert!(moved <= 16, "{moved} threads woke for two at a time: {stats}");
            });
            within(LONG, || drop(pool));
        }
    }
}
