//! Uses everything that a pool has at random, for as long as asked, and checks every result:
//!
//! ```text
//! cargo run --release --example soak -- --seconds 60 --cores 16 --seed 1
//! ```
//!
//! What is done follows from the seed alone; who does it, and when, does not. On Linux threads are held up at random, each
//! wherever it happens to be, every other while. If nothing gets done for 20 seconds it says what the pools have done so
//! far and aborts.

#[cfg(target_os = "linux")]
mod delays;
mod tree;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use purloin::{JoinError, JoinHandle, Pool};
use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tree::{DEPTH, OnPurpose, Pools, Seed, Tree};

/// Uses everything that a pool has at random, and checks every result.
#[derive(Parser)]
struct Arguments {
    /// For how long.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The cores of the pool; 0 means as many as this process may use.
    #[arg(long, default_value_t = 0)]
    cores: usize,
    /// What the random numbers begin with.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// After how long without a finished round the program counts as hung.
const PATIENCE: Duration = Duration::from_secs(20);
/// Threads that use the pool from outside.
const CALLERS: u64 = 4;
/// Rounds of each caller after which the pools are ended, in one way or another, and built anew.
const LIFETIME: u64 = 60;

/// Rounds finished, by all callers.
static ROUNDS: AtomicU64 = AtomicU64::new(0);
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// One caller's rounds with these pools: each across both or not, as it may be.
fn call(pools: &Pools, across: &[bool], seed: Seed, end: Instant) {
    for round in 0..LIFETIME {
        if Instant::now() >= end {
            return;
        }
        let seed = seed.part(round);
        let way = seed.part(2).below(3);
        let pools = Pools { across: across[seed.part(0).below(across.len() as u64) as usize], ..pools.clone() };
        let tree = Tree { seed, depth: 1 + seed.part(1).below(DEPTH) };
        let result = catch_unwind(AssertUnwindSafe(|| match way {
            0 => tree.parallel(&pools),
            1 => pools.main.install(|| tree.parallel(&pools)),
            _ => match pools.main.spawn({
                let pools = pools.clone();
                move || tree.parallel(&pools)
            }) {
                task if seed.part(3).below(4) == 0 => {
                    drop(task);
                    tree.serial()
                }
                task => task.join().unwrap_or_else(|error| match error {
                    JoinError::Cancelled => tree.serial(),
                    error => error.resume(),
                }),
            },
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
    // With few threads to spare those of one pool may all wait for tasks of the other, whose own wait for them: a thread of
    // another pool that joins a task does not run it. With stacks of a size a caller cannot run its region itself, so it
    // must hold no lock that those want who have the cores.
    let (spare, stack_size, across): (_, _, &[bool]) = match seed.part(7).below(4) {
        0 => (0, None, &[false]),
        1 => (1, None, &[false]),
        2 => (64, None, &[false, true]),
        _ => (64, Some(4 << 20), &[true]),
    };
    let build = |cores, part| {
        let dawdle = move |index| seed.part(part).part(index as u64).dawdle();
        let builder = Pool::builder().cores(cores).max_threads(cores + spare);
        let builder = if let Some(bytes) = stack_size { builder.stack_size(bytes) } else { builder };
        builder.on_thread_start(dawdle).on_thread_exit(dawdle).build()
    };
    let (main, other) = match (build(cores, 8), build(1 + seed.part(1).below(3) as usize, 9)) {
        (Ok(main), Ok(other)) => (main, other),
        (Err(error), _) | (_, Err(error)) => panic!("no pool: {error}"),
    };
    let pools = Pools { main, other, locks: Arc::default(), across: false };
    *lock(watched) = Some(pools.clone());
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let pools = &pools;
            scope.spawn(move || call(pools, across, seed.part(2).part(caller), end));
        }
        let ending = scope.spawn(|| {
            thread::sleep(Duration::from_millis(seed.part(3).below(200)));
            match seed.part(4).below(6) {
                0 => pools.main.close(),
                1 => pools.main.terminate(),
                2 => pools.other.terminate(),
                _ => {}
            }
        });
        ending.join().expect("closing a pool does not panic");
    });
    *lock(watched) = None;
    if seed.part(5).below(2) == 0 {
        let queued: Vec<_> = (0..20).map(|n| pools.main.spawn(move || seed.part(n).dawdle())).collect();
        if seed.part(6).below(2) == 0 {
            pools.main.close()
        } else {
            pools.main.terminate()
        }
        pools.main.join_threads(None).expect("closed");
        assert!(queued.iter().all(JoinHandle::is_finished), "nothing is left when the threads are gone");
    }
    // Both end here, the main one perhaps with tasks that nobody joined.
    drop(pools);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process if no round gets finished, and shows on a terminal how far it is.
fn watch(watched: &Mutex<Option<Pools>>, over: &AtomicBool, bar: Option<&ProgressBar>) {
    let (mut rounds, mut since) = (0, Instant::now());
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(100));
        let now = ROUNDS.load(Ordering::Relaxed);
        if let Some(bar) = bar {
            bar.set_position(bar.elapsed().as_secs());
            bar.set_message(format!("{now} rounds"));
        }
        if now != rounds {
            (rounds, since) = (now, Instant::now());
        } else if since.elapsed() > PATIENCE {
            eprintln!("soak: no round got finished for {} s, after {rounds}", PATIENCE.as_secs());
            match &*lock(watched) {
                Some(pools) => eprintln!("{:?}\n{}\n{}", pools.main, pools.main.stats(), pools.other.stats()),
                None => eprintln!("while the pools end"),
            }
            std::process::abort();
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let cores = match arguments.cores {
        0 => thread::available_parallelism().map_or(1, usize::from),
        cores => cores,
    };
    // Panics on purpose tell nobody anything.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<OnPurpose>() {
            hook(info);
        }
    }));
    let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(arguments.seconds));
    if let (Some(bar), Ok(style)) = (&bar, ProgressStyle::with_template("{bar:40} {pos}/{len} s, {msg}")) {
        bar.set_style(style);
    }
    let (watched, over) = (Mutex::new(None), AtomicBool::new(false));
    let end = Instant::now() + Duration::from_secs(arguments.seconds);
    thread::scope(|scope| {
        scope.spawn(|| watch(&watched, &over, bar.as_ref()));
        #[cfg(target_os = "linux")]
        scope.spawn(|| delays::hold_up(Seed(arguments.seed), &over));
        let result = catch_unwind(AssertUnwindSafe(|| {
            for life in (0..).take_while(|_| Instant::now() < end) {
                live(cores, Seed(arguments.seed).part(life), end, &watched);
            }
        }));
        FAILURES.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
        over.store(true, Ordering::Relaxed);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (rounds, failures) = (ROUNDS.load(Ordering::Relaxed), FAILURES.load(Ordering::Relaxed));
    println!("soak: {rounds} rounds, {failures} failures");
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
