//! Blocking in a task without keeping a core from others.

use crate::worker::without_core;

/// Runs `f`, which may block (on a file, a socket, a lock of `std`), while another thread works on this one's core.
///
/// The thread waits for a core again before this returns, or unwinds. On a thread that belongs to no pool, and in a pool
/// whose cap of threads is reached, it just runs `f`. What blocks for less than some ten microseconds is cheaper left as
/// it is; the primitives of [`sync`](crate::sync) do all this by themselves.
///
/// Go hands the processor of a goroutine in a system call to another thread in the same way; Java calls it a
/// `ManagedBlocker`.
///
/// ```
/// let pool = purloin::Pool::new(1)?;
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let answer = pool.spawn(move || purloin::blocking(|| receiver.recv()));
/// pool.spawn(move || sender.send("from the same core"));
/// assert_eq!(answer.join()?, Ok("from the same core"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn blocking<R>(f: impl FnOnce() -> R) -> R {
    without_core(f)
}
