//! Uses everything that a pool has at random, for as long as asked, and checks every result:
//!
//! ```text
//! cargo stress -- --seconds 60 --cores 16 --seed 1
//! ```
//!
//! What is done follows from the seed alone; who does it, and when, does not. On Linux threads are held up at random, each
//! wherever it happens to be, every other while. If nothing gets done for long it says what every core and thread is at, and
//! aborts.

mod bombs;
#[cfg(target_os = "linux")]
mod delays;
mod limited;
mod locks;
mod loops;
mod pools;
mod seed;
mod signals;
mod streams;
mod tasks;
mod tree;
mod watch;

use bombs::OnPurpose;
use clap::Parser;
use pools::{Ending, Pools};
use purloin::{JoinError, JoinHandle};
use seed::Seed;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tree::{DEPTH, Tree};
use watch::{FAILURES, STEPS, resident, watch};

/// Uses everything that a pool has at random, and checks every result.
#[derive(Parser)]
struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The cores of the pool; 0 means four times as many as this process may use.
    #[arg(long, default_value_t = 0)]
    cores: usize,
    /// What the random numbers begin with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Threads that use the pool from outside.
const CALLERS: u64 = 4;
/// Rounds of each caller after which the pools are ended, in one way or another, and built anew.
const LIFETIME: u64 = 60;

/// Rounds finished, by all callers.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

/// One caller's rounds with these pools.
fn call(pools: &Pools, seed: Seed, end: Instant) {
    for round in 0..LIFETIME {
        if Instant::now() >= end {
            return;
        }
        let seed = seed.part(round);
        let tree = Tree { seed, depth: 1 + seed.part(1).below(DEPTH) };
        let pools = if seed.part(3).once_in(8) { &pools.with_global() } else { pools };
        let result = catch_unwind(AssertUnwindSafe(|| match seed.part(2).below(3) {
            0 => tree.parallel(pools),
            1 => pools.main.install(|| tree.parallel(pools)),
            _ => {
                let within = pools.clone();
                let task = pools.spawn(seed.part(4), move || tree.parallel(&within));
                match task.join() {
                    Err(JoinError::Cancelled) => tree.serial(),
                    result => tasks::done(result),
                }
            }
        }));
        if !result.is_ok_and(|sum| sum == tree.serial()) {
            eprintln!("failed: the tree of seed {:#x} and depth {}", seed.0, tree.depth);
            FAILURES.fetch_add(1, Ordering::Relaxed);
        }
        ROUNDS.fetch_add(1, Ordering::Relaxed);
    }
}

/// The life of a pair of pools: used by all callers, ended in one of several ways, perhaps in the middle of it.
fn live(cores: usize, seed: Seed, end: Instant, watched: &Mutex<Option<Pools>>) {
    let pools = Pools::build(cores, seed);
    *lock(watched) = Some(pools.clone());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let pools = &pools;
            scope.spawn(move || call(pools, seed.part(2).part(caller), end));
        }
        let ending = scope.spawn(|| {
            thread::sleep(Duration::from_millis(seed.part(3).below(200)));
            match pools.ending {
                Ending::Late => {}
                Ending::Closed => pools.main.close(),
                Ending::Terminated => pools.main.terminate(),
                Ending::OtherTerminated => pools.other.terminate(),
            }
        });
        ending.join().expect("closing a pool does not panic");
    });
    *lock(watched) = None;
    if seed.part(5).once_in(2) {
        let queued: Vec<_> = (0..20).map(|n| pools.main.spawn(move || seed.part(n).dawdle())).collect();
        if seed.part(6).once_in(2) {
            pools.main.close();
        } else {
            pools.main.terminate();
        }
        // Once with a time that may not do.
        let _ = pools.main.join_threads(Some(Instant::now() + seed.part(9).moment(1_000)));
        pools.main.join_threads(None).expect("closed");
        assert!(queued.iter().all(JoinHandle::is_finished), "nothing is left when the threads are gone");
        pools.threads.check(cores);
    }
    // Both end here, the main one perhaps with tasks that nobody joined.
    drop(pools);
    STEPS.fetch_add(1, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = match arguments.cores {
        0 => 4 * thread::available_parallelism().map_or(1, usize::from),
        cores => cores,
    };
    // Panics on purpose tell nobody anything.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<OnPurpose>() {
            hook(info);
        }
    }));
    let seed = Seed(arguments.seed);
    let (watched, over) = (Mutex::new(None), AtomicBool::new(false));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    let (mut lives, mut most) = (0, resident());
    thread::scope(|scope| {
        scope.spawn(|| watch(&watched, &over, arguments.seed));
        #[cfg(target_os = "linux")]
        scope.spawn(|| delays::hold_up(seed, &over));
        let result = catch_unwind(AssertUnwindSafe(|| {
            while Instant::now() < end {
                live(cores, seed.part(lives), end, &watched);
                lives += 1;
                most = most.max(resident());
            }
        }));
        FAILURES.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
    });
    let (rounds, failures) = (ROUNDS.load(Ordering::Relaxed), FAILURES.load(Ordering::Relaxed));
    if let (Some(now), Some(most)) = (resident(), most) {
        println!(
            "stress: {lives} pairs of pools of {cores} cores; {now} MB resident, at most {most} between two pairs"
        );
    }
    println!("stress: {rounds} rounds, {failures} failures, seed {}", arguments.seed);
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
