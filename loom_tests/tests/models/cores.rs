//! A pool at work: each role of a model holds a core from the start, and nobody sleeps.
//!
//! A registry starts as many threads as it has cores. Here they play the model's roles but one, which the main thread
//! plays: which one is the model's choice, as loom's exploration depends on it (loom#392).

use purloin_loom::internals::core::Counters;
use purloin_loom::internals::primitive::{Arc, Counter, Parker, Unparker, yield_now};
use purloin_loom::internals::registry::{Names, Options, Registry};
use purloin_loom::internals::seat::Place;
use purloin_loom::internals::sleep::Woken;
use purloin_loom::internals::worker::Worker;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::resume_unwind;

/// What the holder of a core does.
pub type Role = Box<dyn FnOnce(&Worker)>;

/// A role.
pub fn role(body: impl FnOnce(&Worker) + 'static) -> Role {
    Box::new(body)
}

std::thread_local! {
    /// The roles that the registry's threads are to play, with their cores. All threads of a model run on one thread of
    /// the operating system, so this is one list.
    static CAST: RefCell<VecDeque<(usize, Role)>> = const { RefCell::new(VecDeque::new()) };
}

loom::thread_local! {
    static PLAYS: Cell<usize> = Cell::new(usize::MAX);
}

/// Plays a role.
fn perform(registry: &Registry, core: usize, role: Role) {
    PLAYS.with(|plays| plays.set(core));
    Worker::enter(registry, core, role);
}

/// The life of a thread of the registry: one role, or none.
fn enter(registry: Arc<Registry>, place: Place, _core: Option<usize>, _index: usize) {
    let part = CAST.with_borrow_mut(VecDeque::pop_front);
    if let Some((core, role)) = part {
        place.wait_for_grant();
        perform(&registry, core, role);
    }
}

/// A registry whose cores are all held, by threads that the model may add. Threads of its own it has none, but those that
/// wait to play in `cast`.
fn registry(cores: usize, cast: VecDeque<(usize, Role)>) -> Arc<Registry> {
    CAST.set(cast);
    let options = Options {
        cores,
        max_threads: cores,
        names: Names::Numbered(""),
        stack_size: None,
        on_thread_start: None,
        on_thread_exit: None,
        on_task_panic: None,
    };
    // What comes before the first role is no part of the race.
    loom::stop_exploring();
    let registry = Registry::start(options, enter).expect("a modelled thread starts");
    // The others come to wait for their cue. A thread without a role ends: loom would try it in every place.
    yield_now();
    for _ in 0..cores {
        // Every core is given to a thread that was asleep, so none of either is left, and no wake finds anybody.
        assert_eq!(registry.sleep.wake_one(None), Woken::Somebody);
        registry.sleep.stop_searching();
    }
    loom::explore();
    registry
}

/// Has each role played on the core of its index, that of index `main` on this thread, and returns the registry when all
/// are over.
pub fn play(main: usize, roles: Vec<Role>) -> Arc<Registry> {
    let held: Vec<_> = (0..roles.len()).collect();
    play_on(main, &held, roles)
}

/// The same on these cores, in ascending order. Nobody holds those between.
pub fn play_on(main: usize, held: &[usize], roles: Vec<Role>) -> Arc<Registry> {
    let cores = held.last().map_or(0, |last| last + 1);
    let mut cast: VecDeque<_> = held.iter().copied().zip(roles).collect();
    let mine = cast.remove(main);
    let registry = registry(cores, cast);
    if main > 0 {
        // Before the first role has begun there is nothing to race with.
        yield_now();
    }
    if let Some((core, role)) = mine {
        perform(&registry, core, role);
    }
    registry.join_handles();
    registry
}

/// Has two roles played: one on the only core, one by a thread from outside. `main` is 0 if the first is on this thread.
pub fn play_with_outsider(main: usize, role: Role, outsider: impl FnOnce() + 'static) {
    let registry = registry(1, VecDeque::new());
    let of_pool = Arc::clone(&registry);
    let worker = move || perform(&of_pool, 0, role);
    if main == 0 {
        let other = loom::thread::spawn(outsider);
        worker();
        other.join().expect("a role that panics ends the exploration");
    } else {
        let other = loom::thread::spawn(worker);
        // Before the first role has begun there is nothing to race with.
        yield_now();
        outsider();
        other.join().expect("a role that panics ends the exploration");
    }
}

/// Looks for work that often, and runs what there is.
pub fn thieve(worker: &Worker, looks: usize) {
    for _ in 0..looks {
        if let Some(job) = worker.find_work() {
            worker.run(job);
        }
    }
}

/// Something that one role waits for and another brings about, outside of what is checked.
pub fn signal() -> (Signal, Unparker) {
    let parker = Parker::new();
    let giver = parker.unparker();
    (Signal(parker), giver)
}

/// The waiting side of a [`signal`].
pub struct Signal(Parker);

impl Signal {
    /// Waits until it is given.
    pub fn wait(&self) {
        self.0.park();
    }
}

/// Which role this thread plays: the index of the core that it came with. It may hold another by now.
pub fn here() -> usize {
    PLAYS.with(Cell::get)
}

/// What a counter of that registry's cores has come to.
pub fn sum(registry: &Registry, counter: impl Fn(&Counters) -> &Counter) -> u64 {
    registry.cores.iter().map(|core| counter(&core.counters).get()).sum()
}

/// Something that roles note for the model's last word: a cell that loom does not see.
pub struct Note<T>(Arc<Cell<T>>);

impl<T> Clone for Note<T> {
    fn clone(&self) -> Self {
        Note(Arc::clone(&self.0))
    }
}

impl<T: Copy> Note<T> {
    /// A note.
    pub fn new(value: T) -> Self {
        #[allow(clippy::arc_with_non_send_sync, reason = "see `Send` below")]
        Note(Arc::new(Cell::new(value)))
    }

    /// What it says.
    pub fn get(&self) -> T {
        self.0.get()
    }

    /// Writes something else.
    pub fn set(&self, value: T) {
        self.0.set(value);
    }
}

impl Note<usize> {
    /// One more.
    pub fn add(&self) {
        self.0.set(self.0.get() + 1);
    }
}

// SAFETY: all of loom's threads run on one thread of the operating system.
unsafe impl<T> Send for Note<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Note<T> {}

/// A panic of user code, with a payload that tells which. Quiet: no hook is called.
pub fn panic_with(payload: usize) -> ! {
    resume_unwind(Box::new(payload))
}

/// The payload of [`panic_with`]. Any other is the model's own, and goes on.
pub fn payload_of(payload: Box<dyn Any + Send>) -> usize {
    match payload.downcast::<usize>() {
        Ok(payload) => *payload,
        Err(other) => resume_unwind(other),
    }
}
