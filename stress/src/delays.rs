//! Holds threads up at random: a signal reaches a thread wherever it is, between any two instructions of the scheduler,
//! and its handler takes its time.

use crate::seed::Seed;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// For how long the next thread to be held up is, in nanoseconds.
static NEXT: AtomicU64 = AtomicU64::new(0);

extern "C" fn dawdle(_: libc::c_int) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: NEXT.load(Ordering::Relaxed) as libc::c_long };
    // SAFETY: the place is this thread's own.
    let error = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *error };
    // SAFETY: the time is valid, and `nanosleep` may be called in a handler.
    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    // What is interrupted may be about to read it.
    // SAFETY: as above.
    unsafe { *error = before };
}

/// Delays between two rests, in which the scheduler runs at full speed: there are mistakes that only show then.
const SPELL: u64 = 2_000;

/// Holds up one thread of this process after the other, until it is `over`.
pub fn hold_up(seed: Seed, over: &AtomicBool) {
    let handler: extern "C" fn(libc::c_int) = dawdle;
    // SAFETY: all zeroes is a valid value of the structure.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as libc::sighandler_t;
    // What the signal interrupts goes on as if nothing had been.
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is valid, and its handler is never unloaded.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()) }, 0);
    // SAFETY: no memory is involved.
    let process = unsafe { libc::getpid() };
    for turn in (1..).take_while(|_| !over.load(Ordering::Relaxed)) {
        if turn % SPELL == 0 {
            std::thread::sleep(Duration::from_secs(1));
        }
        let seed = seed.part(turn);
        let threads: Vec<libc::pid_t> = std::fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect();
        // Mostly a hiccup, now and then longer than any of the pool's own time-outs.
        let longest =
            [20_000, 200_000, 2_000_000, 20_000_000][[0, 0, 0, 0, 1, 1, 2, 3][seed.part(0).below(8) as usize]];
        NEXT.store(seed.part(1).below(longest), Ordering::Relaxed);
        for which in 0..4 {
            if let Some(&thread) = threads.get(seed.part(2 + which).below(threads.len().max(1) as u64) as usize) {
                // The thread may be gone by now, or its number another's of this process: all the same to us.
                // SAFETY: no memory is involved.
                unsafe { libc::syscall(libc::SYS_tgkill, process, thread, libc::SIGUSR1) };
            }
        }
        std::thread::sleep(Duration::from_micros(seed.part(6).below(400)));
    }
}
