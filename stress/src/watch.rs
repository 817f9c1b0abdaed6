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
/// that is stopped for an hour has not hung for an hour. Nor has one that gets hardly any time on a processor, beside others
/// that are more urgent: see [`starves`].
const PATIENCE: u32 = 300;
/// Time on processors, of all its threads, with which a process between two looks has had its chance.
const CHANCE: Duration = Duration::from_millis(10);

/// Ends the process if nothing gets done.
pub fn watch(watched: &Mutex<Option<Pools>>, over: &AtomicBool, seed: u64) {
    let (mut steps, mut quiet, mut time) = (0, 0, processor_time());
    while !over.load(Ordering::Relaxed) {
        thread::sleep(TICK);
        let (now, before) = (STEPS.load(Ordering::Relaxed), time);
        time = processor_time();
        if now != steps {
            quiet = 0;
        } else if time.saturating_sub(before) >= CHANCE || !starves() {
            quiet += 1;
        }
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

/// The time that this process has had on processors, where the system tells.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    Duration::ZERO
}

/// Whether a thread other than this one could run and waits for a processor.
fn starves() -> bool {
    threads().iter().filter(|thread| thread.contains(": state R,")).count() > 1
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
