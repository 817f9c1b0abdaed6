//! What the operating system charges: CPU time and context switches. Linux only; elsewhere the figures read zero.

use std::time::Duration;

/// CPU time of the whole process, all threads, finished ones too.
#[must_use]
pub fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a live timespec that the call may write, and the clock is one that every Unix here has.
    let failed = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(failed, 0, "the process has a CPU clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// CPU time that all processes of the machine together have used, and what a host took away: to tell a disturbed run.
#[must_use]
pub fn machine_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or("").split_whitespace().skip(1);
    // user, nice, system, idle, iowait, irq, softirq, steal; a tick is 10 ms.
    let ticks: u64 = fields
        .take(8)
        .enumerate()
        .filter(|&(index, _)| index != 3 && index != 4)
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(10 * ticks)
}

/// What threads have used since they started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Activity {
    /// Nanoseconds on a processor.
    pub cpu: u64,
    /// Context switches, voluntary and not.
    pub switches: u64,
}

impl Activity {
    /// What was used since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Activity) -> Activity {
        Activity { cpu: self.cpu.saturating_sub(earlier.cpu), switches: self.switches.saturating_sub(earlier.switches) }
    }
}

/// The sum over all threads but the main one, which is the one that looks.
#[must_use]
pub fn other_threads() -> Activity {
    let own = std::process::id().to_string();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Activity::default();
    };
    tasks
        .flatten()
        .filter(|task| task.file_name() != own.as_str())
        .map(|task| {
            let read = |file: &str| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
            Activity { cpu: nanoseconds(&read("schedstat")), switches: switches(&read("status")) }
        })
        .fold(Activity::default(), |sum, one| Activity {
            cpu: sum.cpu + one.cpu,
            switches: sum.switches + one.switches,
        })
}

/// The first field of `schedstat` is the time spent on a processor.
fn nanoseconds(schedstat: &str) -> u64 {
    schedstat.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn switches(status: &str) -> u64 {
    status
        .lines()
        .filter_map(|line| line.split_once("voluntary_ctxt_switches:"))
        .filter_map(|(_, count)| count.trim().parse::<u64>().ok())
        .sum()
}

/// Context switches of the whole process, all threads, finished ones too.
#[must_use]
pub fn process_switches() -> u64 {
    let mut usage = std::mem::MaybeUninit::uninit();
    // SAFETY: `usage` has room for the structure that the call writes.
    let failed = unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) };
    assert_eq!(failed, 0, "a process may ask for its own usage");
    // SAFETY: the call has written it.
    let usage: libc::rusage = unsafe { usage.assume_init() };
    (usage.ru_nvcsw + usage.ru_nivcsw) as u64
}
