//! A registry and its threads as a stage: which role plays on which thread is the model's choice.
//!
//! A registry starts its own threads, but loom's exploration depends on who is the main thread (loom#392). So the first
//! threads of a registry built here do nothing but hand in their [`Place`]s; the model lets any thread, the main one
//! included, sit down there and be that thread of the pool.

use crate::common::{Bound, Witness, check};
use purloin_loom::internals::primitive::{Arc, Flaw, Parker, Unparker, with_flaw};
use purloin_loom::internals::registry::Registry;
pub use purloin_loom::internals::registry::{Names, Options};
use purloin_loom::internals::seat::{Grant, Place};
use purloin_loom::internals::thread::run_thread;
use std::cell::RefCell;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

std::thread_local! {
    /// Handed in by the first threads of a registry. All threads of a model run on one thread of the operating system.
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// What a registry is built with.
pub fn options(cores: usize, max_threads: usize) -> Options {
    Options {
        cores,
        max_threads,
        names: Names::Numbered(""),
        stack_size: None,
        on_thread_start: None,
        on_thread_exit: None,
        on_task_panic: None,
    }
}

/// The first threads hand in their places; those that the pool starts later are real.
fn hand_in(registry: Arc<Registry>, place: Place, core: Option<usize>, index: usize) {
    if index < registry.size() {
        PLACES.with_borrow_mut(|places| places.push(place));
    } else {
        run_thread(registry, place, core, index);
    }
}

/// The bound of models that run through much of a pool: they take minutes at 3 preemptions, and hours at 4.
pub const BOUND: Bound = Bound::AtMost(3);

/// The bound of those that take minutes at 3.
pub const BOUND_OF_LARGE: Bound = Bound::AtMost(2);

/// The bound of those that take half a minute at 2: one preemption in plain `cargo test`.
pub const BOUND_OF_HUGE: Bound = Bound::Fewer(2);

/// The bound of those that take seconds at 2, and can be played at 3: one preemption in plain `cargo test`.
pub const BOUND_OF_SLOW: Bound = Bound::Fewer(3);

/// The outcomes that one exploration is to reach, by index.
pub type Seen = &'static [Witness];

/// An outcome that need not be reached. loom lets no thread go on after a yield, as at the end of a look for work in vain,
/// before another has made a step; if the main thread's first step is the very one that is to come later, it comes first.
pub const UNSEEN: &str = "";

/// A model, told which of its roles the main thread has.
pub type Model = fn(usize, Seen);

/// Explores `model` once with each of those roles on the main thread, and checks that each of these explorations reaches all
/// outcomes.
pub fn explore(
    name: &'static str,
    bound: Bound,
    floor: usize,
    mains: &[usize],
    outcomes: &[&'static str],
    model: Model,
) {
    for &main in mains {
        let seen: Seen = Vec::leak(outcomes.iter().map(|outcome| Witness::new(outcome)).collect());
        check(name, bound, move || model(main, seen)).at_least(floor);
        for (witness, _) in seen.iter().zip(outcomes).filter(|(_, outcome)| **outcome != UNSEEN) {
            witness.assert_seen();
        }
    }
}

/// A mistake, and the model that finds it.
pub struct Case {
    pub flaw: Flaw,
    /// What the failure's message contains.
    pub message: &'static str,
    pub bound: Bound,
    /// The roles that find it when they are on the main thread.
    pub mains: &'static [usize],
    pub model: Model,
}

/// A mistake that leaves everybody waiting.
pub const fn deadlock(flaw: Flaw, mains: &'static [usize], model: Model) -> Case {
    Case { flaw, message: "deadlock", bound: BOUND, mains, model }
}

/// Says which case a process is to play.
const CASE: &str = "PURLOIN_LOOM_CASE";

/// More than any model has.
const OUTCOMES: usize = 8;

/// Checks that each case fails, and with its message. `player` is the name of the test that calls this.
///
/// Each case is played in a process of its own: a thread that fails in the middle of a pool unwinds through guards that
/// give cores back, loom has no scheduler for that any more, and a second panic there is the end of the process.
pub fn find_all(player: &str, cases: &[Case]) {
    if let Ok(named) = std::env::var(CASE) {
        return play_case(&named, cases);
    }
    let mut missed = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for main in case.mains {
            let started = std::time::Instant::now();
            let played = Command::new(std::env::current_exe().expect("this test has a file"))
                .args(["--exact", player, "--nocapture", "--test-threads=1"])
                .env(CASE, format!("{index} {main}"))
                .env("RUST_BACKTRACE", "0")
                .output()
                .expect("this test can be started again");
            let said = String::from_utf8_lossy(&played.stderr);
            // The line after "thread 'x' panicked at file:line:column:".
            let first = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("nothing");
            let took = started.elapsed();
            let played_as = format!("{:?}, main thread: role {main}", case.flaw);
            if played.status.success() {
                missed.push(format!("{played_as}: the model passed ({took:.1?})"));
            } else if first.contains(case.message) {
                println!("{played_as}: {first} ({took:.1?})");
            } else {
                missed.push(format!("{played_as}: the model failed for another reason: {said}"));
            }
        }
    }
    assert!(missed.is_empty(), "seeded bugs were not found:\n{}", missed.join("\n"));
}

/// Plays the case of that index, with that role on the main thread.
fn play_case(named: &str, cases: &[Case]) {
    let (index, main) = named.split_once(' ').expect("an index and a role");
    let case = &cases[index.parse::<usize>().expect("an index")];
    let main = main.parse().expect("a role");
    let ignored: Seen = Vec::leak((0..OUTCOMES).map(|_| Witness::new("")).collect());
    let model = case.model;
    with_flaw(case.flaw, || check("seeded", case.bound, move || model(main, ignored)));
}

/// A registry, all its cores idle, and the places of its threads, all of which sleep. Nothing of this is explored.
pub fn registry(cores: usize, max_threads: usize) -> (Arc<Registry>, Vec<Place>) {
    registry_with(options(cores, max_threads))
}

/// The same, with options.
pub fn registry_with(options: Options) -> (Arc<Registry>, Vec<Place>) {
    let registry = before(|| {
        let registry = Registry::start(options, hand_in).expect("a modelled thread starts");
        registry.join_handles();
        registry
    });
    let mut places = PLACES.take();
    // The latest is woken first: let that be the first.
    places.reverse();
    (registry, places)
}

/// Does what comes before the race: nothing of it is explored.
pub fn before<R>(body: impl FnOnce() -> R) -> R {
    loom::stop_exploring();
    let result = body();
    loom::explore();
    result
}

/// Wakes the thread at `place`, the next in line, which finds something to do at once: the core that it holds.
pub fn busy(registry: &Registry, place: &Place) -> usize {
    before(|| {
        registry.wake(None);
        let Some(Grant::Core(core)) = place.take_grant() else { panic!("another thread was next in line") };
        registry.sleep.stop_searching();
        core
    })
}

/// A registry whose threads are all out, blocked for good, and which may have no more: its cores are idle, and only guests
/// take them.
pub fn deserted(cores: usize) -> Arc<Registry> {
    let (registry, places) = registry(cores, cores);
    let held: Vec<_> = places.iter().map(|place| busy(&registry, place)).collect();
    before(|| held.into_iter().for_each(|core| registry.sleep.give(core, false)));
    registry
}

/// The thread at `place`, which holds no core, goes to sleep and is an ordinary thread of the pool from now on.
pub fn retire(registry: Arc<Registry>, place: Place, index: usize) {
    registry.sleep.stand_by(None, place.seat(), false);
    registry.after_release(false);
    run_thread(registry, place, None, index);
}

/// What one thread of a model does.
pub type Role = Box<dyn FnOnce() + Send>;

/// A role. What it takes along may be bound to one thread, as a [`Place`] is: loom's threads are one thread.
pub fn role(body: impl FnOnce() + 'static) -> Role {
    struct Bound<F>(F);
    // SAFETY: all of loom's threads run on the thread of the operating system that made this.
    unsafe impl<F> Send for Bound<F> {}
    impl<F: FnOnce()> Bound<F> {
        fn call(self) {
            (self.0)();
        }
    }
    let bound = Bound(body);
    Box::new(move || bound.call())
}

/// The life of a pool's thread.
pub fn thread(registry: &Arc<Registry>, place: Place, index: usize) -> Role {
    let registry = Arc::clone(registry);
    role(move || run_thread(registry, place, None, index))
}

/// Plays all roles at once, the one of index `main` on this thread, and returns when all are over.
pub fn play(main: usize, mut roles: Vec<Role>) {
    let mine = roles.remove(main);
    let others: Vec<_> = roles.into_iter().map(loom::thread::spawn).collect();
    mine();
    for other in others {
        other.join().expect("a role that panics ends the exploration");
    }
}

/// What comes from here on is no part of the race, and is played in one order only. Once in an execution.
pub fn settled() {
    loom::stop_exploring();
}

/// Something that happens once, and that one thread waits for as blocking code does that knows nothing of the pool.
#[derive(Clone)]
pub struct Signal(Unparker);

/// The waiting side of a [`Signal`].
pub struct Awaited(Parker);

/// A signal, and the place to wait for it.
pub fn signal() -> (Signal, Awaited) {
    let parker = Parker::new();
    (Signal(parker.unparker()), Awaited(parker))
}

impl Signal {
    /// It happens.
    pub fn give(&self) {
        self.0.unpark();
    }
}

impl Awaited {
    /// Waits until it has happened.
    pub fn wait(&self) {
        self.0.park();
    }
}

// SAFETY: all of loom's threads run on one thread of the operating system.
unsafe impl Sync for Awaited {}

/// A count that loom does not see.
#[derive(Clone, Default)]
pub struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// One more.
    pub fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How many.
    pub fn get(&self) -> usize {
        self.0.load(Relaxed)
    }
}
