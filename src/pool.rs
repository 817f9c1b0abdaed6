//! The front door: a pool, as a handle.

use crate::builder::{MOST_CORES, PoolBuilder};
use crate::error::{BuildError, JoinThreadsError};
use crate::join::join_on;
use crate::options::Options;
use crate::primitive::{Arc, Flaw, OnceLock, seeded};
use crate::registry::Registry;
use crate::scope::{Scope, scope_on};
use crate::seat::with_place;
use crate::spawn::{JoinHandle, spawn_in};
use crate::stats::Stats;
use crate::thread::{in_pool, works_for};
use crate::watchdog::state;
use crate::with::With;
use crate::worker::{Worker, without_core};
use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Instant;

/// A pool of cores on which closures run in parallel: Python's `multiprocessing.Pool`, over threads.
///
/// A pool is a cheap handle: clones stand for the same pool. When the last one is dropped the pool is closed, and the
/// drop waits until all tasks have ended and all threads are gone; if it happens in one of the pool's own tasks it does
/// not wait. A task of this pool that waits for another pool is part of that: if the last handle is dropped in just what it
/// waits for, over there on that pool's own thread, the two wait for each other for ever.
///
/// In the child of a `fork()` a pool of the parent has no threads: there every call that needs them panics and says so. Drops,
/// `{:?}` and [`cores`](Pool::cores) work, and so does a new pool.
///
/// ```
/// use purloin::Pool;
///
/// let pool = Pool::new(0)?; // as many cores as this process may use
/// assert_eq!(pool.map(0..5, |n| n * n), [0, 1, 4, 9, 16]);
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Owner>);

// A panic in a closure leaves the pool as it was: nothing of the user's is in it.
impl UnwindSafe for Pool {}
impl RefUnwindSafe for Pool {}

/// What the handles of a pool share; its end is the pool's.
struct Owner(Arc<Registry>);

impl Drop for Owner {
    fn drop(&mut self) {
        // In a forked child nobody is left to be told, and a lock may be held by a thread that is not there.
        if self.0.is_orphaned() {
            return;
        }
        self.0.close();
        if seeded(Flaw::WaitsForItself) || !works_for(&self.0) {
            wait_for_threads(&self.0, None);
        }
    }
}

/// Waits as a thread from outside. A worker of another pool gives its core to others meanwhile.
fn wait_for_threads(registry: &Registry, deadline: Option<Instant>) -> usize {
    without_core(|| with_place(|place| registry.wait_for_threads(place, deadline)))
}

impl Pool {
    /// A pool of that many cores, each with a thread; 0 means as many as this process may use.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if there can't be so many, or a thread can't be started. Nothing is left running then.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// assert_eq!(pool.cores(), 2);
    /// assert!(purloin::Pool::new(1_000_000).is_err());
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn new(cores: usize) -> Result<Pool, BuildError> {
        Pool::builder().cores(cores).build()
    }

    /// A pool whose threads are named, sized or counted as you like.
    ///
    /// ```
    /// let pool = purloin::Pool::builder().cores(2).thread_name(|index| format!("crunch-{index}")).build()?;
    /// assert_eq!(pool.cores(), 2);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    /// The pool that [`join`](crate::join()), [`scope`](crate::scope()) and [`spawn`](crate::spawn()) use on threads that belong to no pool. It is built when it is first
    /// asked for, with as many cores as the environment variable `PURLOIN_CORES` says, and lasts as long as the process. If
    /// the variable is 0, empty or not set, it has as many cores as this process may use.
    ///
    /// It is never dropped, so at the end of `main` nobody waits for its tasks: join their handles.
    ///
    /// # Panics
    ///
    /// If the pool can't be built: with the [`BuildError`], which says why. If `PURLOIN_CORES` is no number of cores: with its
    /// value and what it may be. The next call tries again.
    ///
    /// ```
    /// let sum: usize = purloin::Pool::global().map(0..10usize, |n| n).into_iter().sum();
    /// assert_eq!(sum, 45);
    /// ```
    pub fn global() -> &'static Pool {
        static GLOBAL: OnceLock<Pool> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let cores = cores_wanted();
            match Pool::builder().cores(cores).numbered("purloin-global-").build() {
                Ok(pool) => pool,
                Err(error) => panic!("the global pool can't be built: {error}"),
            }
        })
    }

    /// What the pool's handles and threads share.
    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.0.0
    }

    pub(crate) fn in_pool<R: Send>(&self, body: impl FnOnce(&Worker) -> R + Send) -> R {
        in_pool(self.registry(), body)
    }

    /// The pool's operations under these options: with a token that cancels them, a deadline, a counter of what is done. `join`
    /// and `scope` take none: use [`With::install`] around them.
    ///
    /// ```
    /// use purloin::{Options, Pool};
    /// use std::time::Instant;
    ///
    /// let pool = Pool::new(2)?;
    /// let late = pool.with(Options::new().deadline(Instant::now())).map(0..1000, |n| n);
    /// assert_eq!(late.unwrap_err().finished, 0);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn with(&self, options: Options) -> With<'_> {
        With::new(&self.0.0, options)
    }

    /// Runs both closures, in parallel if a core is free, and gives both results.
    ///
    /// `a` runs on this thread, if it works for the pool or a core is idle; else where [`install`](Pool::install) would run it.
    /// `b` runs after it on the same thread, unless another core has taken it. Cores without work ask for what is pending; the
    /// thread answers when it next forks, or comes back to a fork. A thread that waits for `b` helps with `b`, and never starts
    /// anything else, so a lock may be held across a `join`. Forks that stay private until somebody asks are those of Acar,
    /// Chargueraud and Rainey (2013), and the waiting thread's help is Wagner's and Calder's leapfrogging (1993).
    ///
    /// # Panics
    ///
    /// With what `a` or `b` panicked with; if both did, `a`'s. If `a` panics, `b` is dropped unrun, or waited for if it has
    /// begun.
    ///
    /// ```
    /// fn fib(n: u64) -> u64 {
    ///     if n < 2 {
    ///         return n;
    ///     }
    ///     let (x, y) = purloin::join(|| fib(n - 1), || fib(n - 2));
    ///     x + y
    /// }
    /// let pool = purloin::Pool::new(2)?;
    /// assert_eq!(pool.install(|| fib(20)), 6765);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    // Always: see `join_on`.
    #[inline(always)]
    pub fn join<A, B, RA, RB>(&self, a: A, b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        match Worker::current() {
            Some(worker) if std::ptr::eq(worker.registry(), &raw const *self.0.0) => join_on(worker, a, b),
            _ => join_in(&self.0.0, (a, b)),
        }
    }

    /// Runs `f` in the pool, so that [`join`](crate::join()), [`scope`](crate::scope()) and [`spawn`](crate::spawn()) in it use
    /// this pool, and gives its result.
    ///
    /// A thread from outside runs `f` itself, on an idle core of the pool; if there is none, or the pool was built with a
    /// stack size, one of the pool's threads does.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// assert_eq!(pool.install(|| purloin::join(|| 1, || 2)), (1, 2));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn install<F, R>(&self, f: F) -> R
    where
        F: FnOnce() -> R + Send,
        R: Send,
    {
        self.in_pool(|_| f())
    }

    /// Runs `f`, which may spawn tasks that borrow from outside, and returns when all of them have ended.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with, else with what the first task panicked with whose handle was not joined; in either case
    /// after all tasks have ended.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let (mut low, mut high) = (0, 0);
    /// pool.scope(|s| {
    ///     s.spawn(|| low = (0..50).sum());
    ///     s.spawn(|| high = (50..100).sum());
    /// });
    /// assert_eq!((low, high), (1225, 3725));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn scope<'env, F, T>(&self, f: F) -> T
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T + Send,
        T: Send,
    {
        self.in_pool(|worker| scope_on(worker, f))
    }

    /// Queues a task and returns at once: `apply_async`. The handle gives its result; dropping it detaches the task.
    ///
    /// On a closed pool the task is dropped, and its handle says so.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let answer = pool.spawn(|| 6 * 7);
    /// assert_eq!(answer.join()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn<F, T>(&self, f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        spawn_in(&self.0.0, f)
    }

    /// How many cores the pool has: the most closures that run at once, but for those of threads that came back from blocking, or
    /// waited from outside for ten milliseconds, and found all cores taken. Such a thread is lent one beyond these, until it is
    /// through with what it was in the middle of; or, if it waits for what only the pool's threads may begin, one of those is.
    ///
    /// ```
    /// let pool = purloin::Pool::builder().cores(2).max_threads(10).build()?;
    /// assert_eq!(pool.cores(), 2); // not its threads: they may become ten
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    #[must_use]
    pub fn cores(&self) -> usize {
        self.0.0.size()
    }

    /// What the pool has done so far.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// pool.spawn(|| ()).join()?;
    /// assert_eq!(pool.stats().injected, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.0.0.check_fork();
        Stats::of(&self.0.0)
    }

    /// Takes no new tasks. Those running and queued go on, and the pool's threads end after them. What is not queued but
    /// run by its caller (`join`, `map`, `install`, `scope`) still works, in the end on the calling thread alone.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let before = pool.spawn(|| "queued");
    /// pool.close();
    /// assert_eq!(before.join()?, "queued");
    /// assert!(pool.spawn(|| "too late").join().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.0.0.check_fork();
        self.0.0.close();
    }

    /// Takes no new tasks and drops those that are queued and have not begun: their handles say so. What has begun, and
    /// what belongs to a region (`join`, `map`, `install`, `scope`), goes on to its end.
    ///
    /// ```
    /// let pool = purloin::Pool::new(1)?;
    /// let tasks: Vec<_> = (0..1000).map(|n| pool.spawn(move || n)).collect();
    /// pool.terminate();
    /// for (n, task) in tasks.into_iter().enumerate() {
    ///     assert!(task.join().map_or_else(|error| error.is_cancelled(), |result| result == n));
    /// }
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn terminate(&self) {
        self.0.0.check_fork();
        self.0.0.terminate();
    }

    /// Waits until the pool's threads have ended, until `deadline` if there is one.
    ///
    /// The deadline is for what runs in the pool. When its last thread is through with that, the operating system's threads
    /// are joined, which has no limit: destructors of thread-locals may still be running in them.
    ///
    /// # Errors
    ///
    /// [`JoinThreadsError`] if the pool is still open, if the caller is one of the pool's own threads, or if the deadline
    /// passed. The pool is as it was, and one may wait again.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// pool.close();
    /// pool.join_threads(None)?;
    /// assert_eq!(pool.stats().threads, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join_threads(&self, deadline: Option<Instant>) -> Result<(), JoinThreadsError> {
        self.0.0.check_fork();
        if !self.0.0.is_closed() {
            return Err(JoinThreadsError::StillOpen);
        }
        if works_for(&self.0.0) {
            return Err(JoinThreadsError::FromInside);
        }
        match wait_for_threads(&self.0.0, deadline) {
            0 => Ok(()),
            alive => Err(JoinThreadsError::Deadline { alive }),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In a forked child a lock may be held by a thread that is not there.
        let full = f.alternate() && !self.0.0.is_orphaned();
        let mut fields = f.debug_struct("Pool");
        fields.field("cores", &self.cores()).field("closed", &self.0.0.is_closed());
        // In full where there is room for it.
        if full { fields.field("now", &state(&self.0.0)).finish() } else { fields.finish_non_exhaustive() }
    }
}

/// What `PURLOIN_CORES` asks for. A value that means nothing is told: whoever set it wants to know.
fn cores_wanted() -> usize {
    let Some(value) = std::env::var_os("PURLOIN_CORES") else { return 0 };
    match value.to_str().map(str::trim) {
        Some("") => Some(0),
        text => text.and_then(|text| text.parse().ok()).filter(|&cores| cores <= MOST_CORES),
    }
    .unwrap_or_else(|| {
        panic!(
            "PURLOIN_CORES is {value:?}: it must be a number of cores up to {MOST_CORES}, or 0, empty or not set for as \
             many as this process may use"
        )
    })
}

impl PoolBuilder {
    /// Builds the pool and starts its threads.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if the numbers can't be met, or a thread can't be started. Nothing is left running then.
    ///
    /// ```
    /// let error = purloin::Pool::builder().cores(2).max_threads(1).build().unwrap_err();
    /// assert_eq!(error.to_string(), "max_threads is 1, below the 2 cores: raise it or ask for fewer cores");
    /// ```
    pub fn build(self) -> Result<Pool, BuildError> {
        self.start().map(|registry| Pool(Arc::new(Owner(registry))))
    }
}

/// Joins on a pool that this thread is not at work for. The closures come as one argument: so it is the call of this that
/// puts them into memory, and not what every fork does.
#[cold]
#[inline(never)]
pub(crate) fn join_in<A, B, RA, RB>(registry: &Registry, (a, b): (A, B)) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    in_pool(registry, |worker| join_on(worker, a, b))
}
