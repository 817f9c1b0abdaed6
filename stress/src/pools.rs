//! What a round uses, and what it may do with it.

use crate::bombs::OnPurpose;
use crate::seed::Seed;
use crate::tree::DEPTH;
use crate::watch::FAILURES;
use purloin::{JoinHandle, Pool, sync};
use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Which locks are held while others work for their holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// None.
    None,
    /// Those of `std`, of which the pool knows nothing: who waits keeps its core. Then nobody may wait for a task that only
    /// an idle core would begin.
    Std,
    /// The library's own.
    Own,
}

/// How pools may end while they are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Not before their callers are done.
    Late,
    /// The main pool is closed.
    Closed,
    /// The main pool is terminated.
    Terminated,
    /// The other pool is terminated.
    OtherTerminated,
}

/// What a level of a tree locks.
#[derive(Debug, Default)]
pub struct Level {
    pub std: Mutex<()>,
    pub own: sync::Mutex<()>,
    pub shared: sync::RwLock<()>,
}

/// How many threads of a pool have started, and how many have ended, as its hooks tell.
#[derive(Debug, Default)]
pub struct Threads {
    started: AtomicUsize,
    ended: AtomicUsize,
}

impl Threads {
    fn name(index: usize) -> String {
        format!("stress-{index}")
    }

    /// Counts the thread that calls this. What this panics with is told by `on_task_panic`.
    fn count(index: usize, count: &AtomicUsize) {
        count.fetch_add(1, Ordering::Relaxed);
        assert_eq!(thread::current().name(), Some(&*Threads::name(index)));
    }

    /// Checks, of a pool that is no more, that each thread called both hooks, and that there were as many as its cores.
    pub fn check(&self, cores: usize) {
        let (started, ended) = (self.started.load(Ordering::Relaxed), self.ended.load(Ordering::Relaxed));
        assert!(started == ended && started >= cores, "{started} threads have started, {ended} ended");
    }
}

/// What a round uses.
#[derive(Clone, Debug)]
pub struct Pools {
    pub main: Pool,
    pub other: Pool,
    /// Those of the main pool.
    pub threads: Arc<Threads>,
    /// The main pool is the global one.
    pub global: bool,
    /// One for each level.
    pub levels: Arc<[Level; DEPTH as usize + 1]>,
    pub locks: Locks,
    /// The round uses both pools.
    pub across: bool,
    /// There are threads for many tasks that wait.
    pub roomy: bool,
    /// What is done to the pools while they are in use. One that is closed runs what its callers bring, in the end on their
    /// threads alone, so tasks there must not wait for each other.
    pub ending: Ending,
    /// Programs at work whose tasks wait for each other.
    programs: Arc<AtomicUsize>,
}

/// The most programs at once whose tasks wait for each other, so that they don't use up the threads.
const PROGRAMS: usize = 6;
/// Threads beyond the cores of a roomy pool.
pub const ROOM: usize = 256;

impl Pools {
    /// Two pools of a kind that follows from the seed.
    pub fn build(cores: usize, seed: Seed) -> Pools {
        // With few threads to spare those of one pool may all wait for tasks of the other, whose own wait for them: a thread
        // of another pool that joins a task does not run it. With stacks of a size a caller cannot run its region itself, so
        // it must hold no lock that those want who have the cores.
        let (spare, stack_size, locks, across) = match seed.part(7).below(6) {
            0 => (0, None, Locks::Std, false),
            1 => (seed.part(8).below(2) as usize, None, Locks::Own, false),
            2 => (ROOM, None, Locks::Std, false),
            3 => (ROOM, Some(4 << 20), Locks::None, true),
            4 => (ROOM, None, Locks::None, true),
            _ => (ROOM, None, Locks::Own, false),
        };
        let threads = Arc::<Threads>::default();
        let build = |cores, seed: Seed, threads: Arc<Threads>| {
            let (starts, ends) = (Arc::clone(&threads), threads);
            let start = move |index| {
                seed.part(index as u64).dawdle();
                Threads::count(index, &starts.started);
            };
            let exit = move |index| {
                seed.part(index as u64).dawdle();
                Threads::count(index, &ends.ended);
            };
            // What comes here is a panic of a task that nobody joins.
            let panicked = |payload: Box<dyn Any + Send>| {
                FAILURES.fetch_add(u64::from(!payload.is::<OnPurpose>()), Ordering::Relaxed);
            };
            let mut builder = Pool::builder().cores(cores).max_threads(cores + spare);
            if let Some(bytes) = stack_size {
                builder = builder.stack_size(bytes);
            }
            if seed.part(1 << 50).once_in(4) {
                // Whether tasks that sleep or wait with a time-out count as a standstill is a matter of luck.
                builder = builder.watchdog(seed.moment(20_000), |snapshot| drop(snapshot.to_string()));
            }
            let builder = builder.thread_name(Threads::name).on_thread_start(start).on_thread_exit(exit);
            let built = builder.on_task_panic(panicked).build();
            built.unwrap_or_else(|error| panic!("no pool: {error}"))
        };
        Pools {
            main: build(cores, seed.part(1), Arc::clone(&threads)),
            other: build(1 + seed.part(2).below(3) as usize, seed.part(3), Arc::default()),
            threads,
            global: false,
            levels: Arc::default(),
            locks,
            across,
            ending: match seed.part(4).below(6) {
                0 => Ending::Closed,
                1 => Ending::Terminated,
                2 => Ending::OtherTerminated,
                _ => Ending::Late,
            },
            roomy: spare == ROOM && locks != Locks::Std,
            programs: Arc::default(),
        }
    }

    /// The same with the global pool as the main one. It has as many threads to spare as any of these.
    pub fn with_global(&self) -> Pools {
        Pools { main: Pool::global().clone(), global: true, ..self.clone() }
    }

    /// A task of the main pool, in one of the ways to it.
    pub fn spawn<T: Send + 'static>(&self, seed: Seed, task: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        if self.global {
            // Also on a thread that belongs to no pool.
            purloin::spawn(task)
        } else if seed.once_in(2) {
            self.main.install(|| purloin::spawn(task))
        } else {
            self.main.spawn(task)
        }
    }

    /// Runs a program whose tasks wait for each other: without end if there is room for it, else with a time-out.
    pub fn with_patience(&self, seed: Seed, program: impl FnOnce(Option<Duration>)) {
        struct Leave<'a>(&'a AtomicUsize);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.programs.fetch_add(1, Ordering::Relaxed);
        let _leave = Leave(&self.programs);
        let open = matches!(self.ending, Ending::Late | Ending::OtherTerminated);
        let endless = open && self.roomy && before < PROGRAMS;
        program(if endless { None } else { Some(seed.moment(300)) });
    }
}
