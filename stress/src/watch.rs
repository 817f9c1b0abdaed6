//! Tells a standstill from a long wait, and says what everybody is doing then.

use crate::pools::Pools;
use purloin::Pool;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Counts what gets done: nodes of trees, pools that ended.
pub static STEPS: AtomicU64 = AtomicU64::new(0);

/// Counts what went wrong.
pub static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Between two looks.
const TICK: Duration = Duration::from_millis(100);
/// So many looks without a step in between mean that it hangs. Looks are counted, and not the time that passes: a process
/// that is stopped for an hour has not hung for an hour.
const PATIENCE: u32 = 300;

/// Ends the process if nothing gets done.
pub fn watch(watched: &Mutex<Option<Pools>>, over: &AtomicBool, seed: u64) {
    let (mut steps, mut quiet) = (0, 0);
    while !over.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        let now = STEPS.load(Ordering::Relaxed);
        quiet = if now == steps { quiet + 1 } else { 0 };
        steps = now;
        if quiet == PATIENCE {
            eprintln!("stress: nothing got done at {PATIENCE} looks in a row, after {steps} steps, seed {seed}");
            report(watched.lock().unwrap_or_else(PoisonError::into_inner).as_ref());
            std::process::abort();
        }
    }
}

/// What the cores, the threads and the waits are at.
fn report(pools: Option<&Pools>) {
    match pools {
        None => eprintln!("the pools are about to end"),
        Some(pools) => {
            eprintln!("{pools:?}");
            for pool in [&pools.main, &pools.other, Pool::global()] {
                eprintln!("{pool:#?}\n{}", pool.stats());
            }
        }
    }
    eprintln!("{}", purloin::sync::waiting());
    for thread in threads() {
        eprintln!("{thread}");
    }
}

/// One line for each thread of the process, as the system sees it; none where it doesn't tell.
fn threads() -> Vec<String> {
    let entries = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let line = |entry: std::fs::DirEntry| {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default().trim().to_owned();
        let stat = read("stat");
        // The name, which comes before, may have spaces.
        let state = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').next()).unwrap_or("?").to_owned();
        let (name, place, call) = (read("comm"), read("wchan"), read("syscall"));
        format!("thread {} {name}: state {state}, in {place}, system call {call}", entry.file_name().display())
    };
    entries.map(line).collect()
}

/// Memory that the process has at the moment, in MB, where the system tells.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes / 1024)
}
