//! Detached tasks: spawned now, joined later or never.

use crate::error::JoinError;
use crate::job::Lineage;
use crate::primitive::now;
use crate::registry::{Registry, find};
use crate::task::{self, Handle, Home};
use std::any::Any;
use std::fmt;
use std::ptr;
use std::time::Duration;

/// A detached task belongs to its pool alone. The pointer is followed only by whoever holds the registry alive; anybody else
/// compares it.
#[derive(Clone, Copy)]
struct Detached(*const Registry);

// SAFETY: see the type's comment: the registry may be used by all threads, and is alive wherever the pointer is followed.
unsafe impl Send for Detached {}

impl Home for Detached {
    fn registry(&self) -> *const Registry {
        self.0
    }

    fn pool(&self) -> u64 {
        // SAFETY: asked by whoever makes the task, and holds the registry alive for it.
        unsafe { &*self.0 }.number
    }

    fn is_terminated(&self) -> bool {
        // SAFETY: asked by whoever has the task's entry or a worker of the registry, and holds the registry alive for it.
        unsafe { &*self.0 }.is_terminated()
    }

    fn lineage(&self) -> *const Lineage {
        ptr::null()
    }

    fn panicked(&self, payload: Box<dyn Any + Send>) {
        // SAFETY: called by whoever has run the task, on a worker of the registry, and holds the registry alive for it.
        unsafe { &*self.0 }.task_panicked(payload);
    }

    fn panic_ignored(&self, payload: Box<dyn Any + Send>, pool: u64) {
        match find(pool) {
            Some(registry) => registry.task_panicked(payload),
            // The pool is gone, and its hook; or this process is a fork of the one that has it. The panic hook has told of the panic when it happened.
            None => drop(payload),
        }
    }

    fn ended(&self) {}
}

/// The right to the result of a task that [`Pool::spawn`](crate::Pool::spawn) made. Dropping it detaches the task, which
/// runs all the same; of its panic [`on_task_panic`](crate::PoolBuilder::on_task_panic) is told.
///
/// ```
/// let tasks: Vec<purloin::JoinHandle<u32>> = (1..4).map(|n| purloin::spawn(move || n * n)).collect();
/// let squares: Result<Vec<_>, _> = tasks.into_iter().map(purloin::JoinHandle::join).collect();
/// assert_eq!(squares?, [1, 4, 9]);
/// # Ok::<(), purloin::JoinError>(())
/// ```
pub struct JoinHandle<T>(Handle<T, Detached>);

impl<T: Send> JoinHandle<T> {
    /// Waits for the task and gives its result.
    ///
    /// On a thread of the task's pool this runs the task itself if nobody has begun it, and waits safely otherwise: such
    /// a thread never starts work that the task does not need. A thread from outside waits, and runs the task only if the pool
    /// has no thread or core for it, and no [`stack_size`](crate::PoolBuilder::stack_size).
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] with what the task panicked with; [`JoinError::Cancelled`] if the pool was closed before the
    /// task was spawned, or terminated before it began.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let answer = pool.spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(self) -> Result<T, JoinError> {
        self.0.join()
    }

    /// The result, if the task is done; else the handle, to be joined later.
    ///
    /// # Errors
    ///
    /// The handle itself. What is `Ok` is what [`join`](JoinHandle::join) gives.
    ///
    /// ```
    /// use std::sync::mpsc::channel;
    ///
    /// let pool = purloin::Pool::new(2)?;
    /// let (sender, receiver) = channel();
    /// let task = pool.spawn(move || receiver.recv());
    /// let task = task.try_join().expect_err("it waits for what is sent below");
    /// sender.send("now")?;
    /// assert_eq!(task.join()?, Ok("now"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_join(self) -> Result<Result<T, JoinError>, Self> {
        if self.is_finished() { Ok(self.join()) } else { Err(self) }
    }

    /// Waits for the task as long as `timeout` at most: Python's `AsyncResult.get(timeout)`.
    ///
    /// It does not run the task itself, which could take longer; a `timeout` beyond the end of the clock is none, and this is
    /// [`join`](JoinHandle::join). On a thread of a pool the core goes to others meanwhile, and
    /// the thread waits for one again before this returns.
    ///
    /// # Errors
    ///
    /// The handle itself, if the task is not done by then; the task goes on. What is `Ok` is what
    /// [`join`](JoinHandle::join) gives.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let pool = purloin::Pool::new(2)?;
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let task = pool.spawn(move || receiver.recv());
    /// let task = task.join_timeout(Duration::from_millis(1)).expect_err("nothing was sent");
    /// sender.send("now")?;
    /// let result = task.join_timeout(Duration::from_secs(60)).expect("it takes no minute");
    /// assert_eq!(result?, Ok("now"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_timeout(self, timeout: Duration) -> Result<Result<T, JoinError>, Self> {
        let done = match now().checked_add(timeout) {
            Some(deadline) => self.0.wait_until(deadline),
            // Beyond the end of time.
            None => true,
        };
        if done { Ok(self.join()) } else { Err(self) }
    }

    /// Whether [`join`](JoinHandle::join) would return at once.
    ///
    /// ```
    /// let task = purloin::spawn(|| 6 * 7);
    /// while !task.is_finished() {
    ///     std::thread::yield_now(); // or something of use
    /// }
    /// assert_eq!(task.join()?, 42);
    /// # Ok::<(), purloin::JoinError>(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle").finish_non_exhaustive()
    }
}

/// Queues a task.
pub fn spawn_in<F, T>(registry: &Registry, closure: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    registry.check_fork();
    let (entry, handle) = task::new(closure, Detached(registry));
    if let Err(refused) = registry.submit(entry) {
        // SAFETY: refused, so the right to the entry is ours. A task is never given back.
        let _ = unsafe { (refused.kind().cancel)(refused) };
    }
    JoinHandle(handle)
}
