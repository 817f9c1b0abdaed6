//! How a pool is to be built: how many cores, which threads.

use crate::error::BuildError;
use crate::primitive::{Arc, available_cores};
use crate::registry::{Names, Options, Registry};
use crate::sync::Snapshot;
use crate::thread::run_thread;
use crate::watchdog::Watchdog;
use std::any::Any;
use std::time::Duration;

/// The most cores a pool can have.
pub const MOST_CORES: usize = 4096;
/// The most threads it can have.
const MOST_THREADS: usize = 1 << 16;
/// Bytes of the smallest stack that a thread is given: less than that is not enough to begin on.
const SMALLEST_STACK: usize = 64 << 10;
/// Threads beyond the cores that a pool may start while others are blocked, unless told otherwise.
const SPARE_THREADS: usize = 256;

/// How a pool is to be built: [`Pool::builder`](crate::Pool::builder).
///
/// ```
/// let pool = purloin::Pool::builder()
///     .cores(2)
///     .thread_name(|index| format!("crunch-{index}"))
///     .stack_size(8 << 20)
///     .build()?;
/// let name = pool.install(|| std::thread::current().name().map(str::to_owned));
/// assert!(name.unwrap().starts_with("crunch-"));
/// # Ok::<(), purloin::BuildError>(())
/// ```
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct PoolBuilder {
    options: Options,
    max_threads: Option<usize>,
    watchdog: Option<Watchdog>,
}

impl PoolBuilder {
    pub(crate) fn new() -> Self {
        PoolBuilder {
            options: Options {
                cores: 0,
                max_threads: 0,
                names: Names::Numbered("purloin-"),
                stack_size: None,
                on_thread_start: None,
                on_thread_exit: None,
                on_task_panic: None,
            },
            max_threads: None,
            watchdog: None,
        }
    }

    /// The number of cores, at most 4096; 0, the default, means as many as this process may use (affinity and cgroup quota
    /// counted).
    ///
    /// ```
    /// use purloin::Pool;
    ///
    /// assert_eq!(Pool::builder().cores(3).build()?.cores(), 3);
    /// assert!(Pool::builder().cores(5000).build().is_err());
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn cores(mut self, cores: usize) -> Self {
        self.options.cores = cores;
        self
    }

    /// The name of the thread of each index, counted from 0. Those of the threads that the pool begins with are made by
    /// [`build`](PoolBuilder::build); each further one ahead of need, outside the pool as
    /// [`on_thread_start`](PoolBuilder::on_thread_start) is, by the thread that was started last. No other thread is started
    /// meanwhile. If it panics, `build` returns [`BuildError::Thread`]; later, the pool starts no more threads.
    ///
    /// ```
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let pool = purloin::Pool::builder().cores(2).thread_name(|index| format!("crunch-{index}")).build()?;
    /// pool.spawn(move || sender.send(std::thread::current().name().map(str::to_owned)));
    /// assert!(receiver.recv()?.is_some_and(|name| name.starts_with("crunch-")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn thread_name(mut self, name: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.options.names = Names::Made(Box::new(name));
        self
    }

    /// The same where it is this and the index.
    pub(crate) fn numbered(mut self, prefix: &'static str) -> Self {
        self.options.names = Names::Numbered(prefix);
        self
    }

    /// The stack of each of the pool's threads, in bytes, instead of what [`std::thread`] gives a thread: 64 KiB at least, and the
    /// system may round it up. With it, a region of an outside caller runs on one of the pool's threads as long as there are any, since the
    /// caller's own stack may be smaller: the caller waits for one to wake up, and thread locals are that thread's.
    ///
    /// ```
    /// use std::thread::current;
    ///
    /// let pool = purloin::Pool::builder().cores(1).stack_size(16 << 20).build()?;
    /// assert_ne!(pool.install(|| current().id()), current().id());
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.options.stack_size = Some(bytes.max(SMALLEST_STACK));
        self
    }

    /// The most threads the pool may have, at least as many as cores and at most 65,536. More than the cores are started only while threads
    /// wait or block in the middle of something, so that others can use their cores. The default is the cores and 256.
    ///
    /// ```
    /// use purloin::{Pool, sync::Barrier};
    ///
    /// let pool = Pool::builder().cores(1).max_threads(4).build()?;
    /// let meeting = Barrier::new(3); // each task that waits there keeps a thread
    /// pool.scope(|s| (0..3).for_each(|_| drop(s.spawn(|| meeting.wait().is_leader()))));
    /// assert!(pool.stats().peak_threads <= 4);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn max_threads(mut self, threads: usize) -> Self {
        self.max_threads = Some(threads);
        self
    }

    /// Called by each thread of the pool as it starts, with its index: Python's `initializer`. If it panics, the thread goes
    /// on, and [`on_task_panic`](PoolBuilder::on_task_panic) is told.
    ///
    /// It runs before the thread works for the pool: outside callers, who work as guests, do not come by it, and [`join`](crate::join) and
    /// the like in it use the global pool. [`build`](PoolBuilder::build) does not wait for it, and a task may begin on one
    /// thread before another has been through it. No thread is started in place of one that is in its hook, so the hook must not
    /// wait for what only this pool's threads would do.
    ///
    /// ```
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let hook = move |index| drop(sender.send(index));
    /// drop(purloin::Pool::builder().cores(2).on_thread_start(hook).build()?);
    /// let mut indices: Vec<usize> = receiver.try_iter().collect();
    /// indices.sort_unstable();
    /// assert_eq!(indices, [0, 1]);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn on_thread_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.options.on_thread_start = Some(Box::new(hook));
        self
    }

    /// Called by each thread of the pool as it ends, outside the pool as [`on_thread_start`](PoolBuilder::on_thread_start) is.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    ///
    /// static ENDED: AtomicUsize = AtomicUsize::new(0);
    /// let hook = |_| drop(ENDED.fetch_add(1, Ordering::Relaxed));
    /// let pool = purloin::Pool::builder().cores(2).on_thread_exit(hook).build()?;
    /// assert_eq!(ENDED.load(Ordering::Relaxed), 0);
    /// pool.close();
    /// pool.join_threads(None)?;
    /// assert_eq!(ENDED.load(Ordering::Relaxed), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_thread_exit(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.options.on_thread_exit = Some(Box::new(hook));
        self
    }

    /// Called with what nobody is told of by a handle: what a task panicked with whose [`JoinHandle`](crate::JoinHandle) was
    /// dropped, before it ended or after; a panic in the drop of a result that nobody wanted, or of a task that was not run; and
    /// panics in the hooks of threads. By default only the panic hook tells of it.
    ///
    /// It is called where that happens: as a rule on one of the pool's threads; for a task that had ended, by whoever drops the
    /// handle. A handle that outlives the pool has nobody to tell.
    ///
    /// ```
    /// use std::any::Any;
    ///
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let hook = move |payload: Box<dyn Any + Send>| drop(sender.send(payload));
    /// let pool = purloin::Pool::builder().cores(1).on_task_panic(hook).build()?;
    /// drop(pool.spawn(|| std::panic::panic_any(7))); // detached: no handle tells of it
    /// assert_eq!(receiver.recv()?.downcast_ref(), Some(&7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on_task_panic(mut self, hook: impl Fn(Box<dyn Any + Send>) + Send + Sync + 'static) -> Self {
        self.options.on_task_panic = Some(Box::new(hook));
        self
    }

    /// Calls `handler` when the pool has come to a standstill: at two looks, `period` apart (at least a millisecond), threads
    /// were in the middle of something, and between the two none of the pool's cores was in use. The snapshot says what
    /// they wait for, as far as it is known: those in [`blocking`](crate::blocking), or waiting for a task, are not listed. So
    /// choose a period that no file or network keeps you waiting. Each standstill is told of once.
    ///
    /// This takes a thread, which wakes up once in a period; without it an idle pool never does.
    ///
    /// ```
    /// use purloin::sync::Monitor;
    /// use std::{sync::mpsc, time::Duration};
    ///
    /// let (sender, stuck) = mpsc::channel();
    /// let handler = move |snapshot: &purloin::sync::Snapshot| drop(sender.send(snapshot.to_string()));
    /// let pool = purloin::Pool::builder().cores(2).watchdog(Duration::from_millis(5), handler).build()?;
    /// let never = &Monitor::new(false);
    /// pool.scope(|s| {
    ///     s.spawn(|| never.wait_until(|now| now.then_some(())));
    ///     s.spawn(move || {
    ///         let why = purloin::blocking(|| stuck.recv());
    ///         assert!(why.is_ok_and(|why| why.contains("Monitor")));
    ///         never.with(|mut now| *now = true);
    ///     });
    /// });
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn watchdog(mut self, period: Duration, handler: impl Fn(&Snapshot) + Send + 'static) -> Self {
        self.watchdog = Some(Watchdog::new(period, handler));
        self
    }

    /// Starts what has been described, for `build` in `pool`.
    pub(crate) fn start(self) -> Result<Arc<Registry>, BuildError> {
        let mut options = self.options;
        if options.cores == 0 {
            options.cores = available_cores().min(MOST_CORES);
        }
        options.max_threads = self.max_threads.unwrap_or(options.cores.saturating_add(SPARE_THREADS));
        for (what, asked, most) in
            [("cores", options.cores, MOST_CORES), ("threads", options.max_threads, MOST_THREADS)]
        {
            if asked > most {
                return Err(BuildError::TooMany { what, asked, most });
            }
        }
        if options.max_threads < options.cores {
            return Err(BuildError::CapBelowCores { max_threads: options.max_threads, cores: options.cores });
        }
        let cores = options.cores;
        let registry = Registry::start(options, run_thread)?;
        if let Some(watchdog) = self.watchdog
            && let Err(source) = watchdog.start(&registry)
        {
            registry.give_up();
            return Err(BuildError::Thread { started: cores, source });
        }
        Ok(registry)
    }
}
