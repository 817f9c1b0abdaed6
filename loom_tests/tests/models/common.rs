//! How every model of this package is run: [`check`] explores it, a [`Witness`] shows that an
//! outcome was reached at all, [`fails_with`] shows that the model can fail.
//!
//! ```ignore
//! use crate::common::{Bound, Witness, check, fails_with};
//!
//! #[test]
//! fn last_item_goes_to_one_taker() {
//!     static OWNER: Witness = Witness::new("the owner took the last item");
//!     static THIEF: Witness = Witness::new("the thief took the last item");
//!     check("last item", Bound::Unbounded, || last_item(&OWNER, &THIEF, None)).at_least(20);
//!     OWNER.assert_seen();
//!     THIEF.assert_seen();
//! }
//!
//! #[test]
//! fn last_item_fails_without_the_fence() {
//!     fails_with("taken twice", || {
//!         check("last item, seeded bug", Bound::Unbounded, || last_item(.., Some(Bug::NoFence)));
//!     });
//! }
//! ```
//!
//! # What to keep to when writing a model
//!
//! - **Both role orders.** loom is not exhaustive where a thread's load is directly followed by
//!   its store to the same atomic (loom#392), and which thread is `main` decides what it misses.
//!   Write the roles as functions and run the model with each of them on the main thread.
//! - **Witnesses are plain `std` atomics**: they add no synchronisation and no scheduling point
//!   to the model. The same goes for any other book-keeping, and for `std::sync::Arc` where the
//!   life time of the shared thing is not what is being checked.
//! - **A seeded bug for each model**, which its comment names: "Fails with [`Flaw::InjectorForgotten`]". Where a model is of what
//!   the user does, the bug is the user's.
//! - **`yield_now` only on waiting paths**, and a waiting path always yields: a loop that does
//!   not is reported as "Model exceeded maximum number of branches".
//! - **Assert after the joins, on the main thread**, where possible. A failing assertion unwinds
//!   its own thread while the others stand still; destructors that are loom operations then run
//!   in the middle of a panic, and a second panic there aborts the whole test process.
//! - A lost wake-up shows as loom's own panic, whose text starts with "deadlock"; a data race in
//!   an `UnsafeCell` as "Causality violation".
//! - Five threads in all, the main one and finished ones included.

use purloin_loom::internals::primitive::note;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Once};
use std::time::Instant;

/// The preemption bound of plain `cargo test`; the alias `cargo loom` raises it through the
/// environment variable.
const DEFAULT_PREEMPTIONS: usize = 2;
const PREEMPTIONS_VARIABLE: &str = "PURLOIN_LOOM_PREEMPTIONS";

/// Loom's default of 1,000 branch points is too few for the larger models. Exceeding the limit is
/// a failure, so a generous one hides nothing.
const MAX_BRANCHES: usize = 10_000;

/// How many times a runnable thread may be preempted in one execution.
///
/// A thread that ends, blocks or yields is not preempted: switches there are always explored.
#[derive(Clone, Copy, Debug)]
pub enum Bound {
    /// Every interleaving, whatever the environment says. For two short threads.
    Unbounded,
    /// `PURLOIN_LOOM_PREEMPTIONS`, or 2.
    Default,
    /// As `Default`, but no fewer than this: for a model whose witnesses or seeded bugs need more.
    AtLeast(usize),
    /// As `Default`, but no more than this: for a model that explodes beyond.
    AtMost(usize),
    /// One fewer than `Default`, and no more than this: for one that takes too long for plain `cargo test` otherwise.
    Fewer(usize),
}

impl Bound {
    fn preemptions(self) -> Option<usize> {
        let default = || match std::env::var(PREEMPTIONS_VARIABLE) {
            Ok(text) => text.parse().unwrap_or_else(|_| panic!("{PREEMPTIONS_VARIABLE} is not a number: {text:?}")),
            Err(_) => DEFAULT_PREEMPTIONS,
        };
        match self {
            Bound::Unbounded => None,
            Bound::Default => Some(default()),
            Bound::AtLeast(least) => Some(default().max(least)),
            Bound::AtMost(most) => Some(default().min(most)),
            Bound::Fewer(most) => Some(default().saturating_sub(1).min(most)),
        }
    }
}

/// Plays two roles, the first or the second of them on the model's main thread.
pub fn two_roles(main: usize, first: impl FnOnce() + 'static, second: impl FnOnce() + 'static) {
    if main == 0 {
        let other = loom::thread::spawn(second);
        first();
        other.join().unwrap();
    } else {
        let other = loom::thread::spawn(first);
        second();
        other.join().unwrap();
    }
}

/// What a finished exploration amounted to.
#[derive(Clone, Copy, Debug)]
pub struct Explored {
    /// The name given to [`check`], for messages.
    name: &'static str,
    /// How many executions were run.
    pub iterations: usize,
}

impl Explored {
    /// Panics unless at least `floor` executions were run.
    ///
    /// The guard against a model that silently explores nothing (no modelled operation in it, or
    /// a blind spot of the exploration). Set it well below what is seen today, so that it does not
    /// break with every change, and well above what the blind spot would leave.
    #[track_caller]
    pub fn at_least(self, floor: usize) -> Self {
        assert!(
            self.iterations >= floor,
            "model `{}` explored only {} executions, expected at least {floor}",
            self.name,
            self.iterations,
        );
        self
    }
}

/// Explores `model` within `bound` and returns how many executions that took. A failing execution
/// panics out of here with the model's own message.
///
/// Loom's `LOOM_MAX_PERMUTATIONS`, `LOOM_MAX_DURATION`, `LOOM_MAX_PREEMPTIONS` and
/// `LOOM_MAX_BRANCHES` are not heeded: the first two end an exploration early *with success*.
///
/// One line with iterations and time goes to the standard output (`-- --nocapture` shows it). A panic's message is followed
/// by a line that says in which execution of which model it was: `cargo weaken` takes no other panic for a model's.
pub fn check(name: &'static str, bound: Bound, model: impl Fn() + Send + Sync + 'static) -> Explored {
    explore(name, bound, Box::new(model))
}

/// Loom's explorer and what is around it, compiled once and not for each model.
fn explore(name: &'static str, bound: Bound, model: Box<dyn Fn() + Send + Sync>) -> Explored {
    let mut builder = loom::model::Builder::new();
    builder.max_permutations = None;
    builder.max_duration = None;
    builder.max_branches = MAX_BRANCHES;
    builder.preemption_bound = bound.preemptions();

    let counter = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counter);
    let start = Instant::now();
    let exploring = Exploring::begin(name, &counter);
    builder.check(move || {
        count.fetch_add(1, Relaxed);
        model();
    });
    drop(exploring);
    let (iterations, took) = (counter.load(Relaxed), start.elapsed());
    let bound = builder.preemption_bound.map_or("unbounded".into(), |bound| bound.to_string());
    println!("model `{name}`: {iterations} executions in {took:.1?}, preemptions {bound}");
    note(&format!("model\t{name}\t{iterations}\t{}\t{bound}", took.as_millis()));
    Explored { name, iterations }
}

/// An outcome that the executions of a model must reach at least once: without it, a model that
/// never lets the thief win passes for the wrong reason.
///
/// A plain `std` counter, invisible to loom. Declare it as a `static` inside the test function, so
/// that no two tests share it.
#[derive(Debug)]
pub struct Witness {
    outcome: &'static str,
    count: AtomicUsize,
}

impl Witness {
    /// A witness of `outcome`, not yet seen.
    pub const fn new(outcome: &'static str) -> Witness {
        Witness { outcome, count: AtomicUsize::new(0) }
    }

    /// The same, leaked: for a test that runs one model several times, with fresh witnesses each time.
    pub fn leaked(outcome: &'static str) -> &'static Witness {
        Box::leak(Box::new(Witness::new(outcome)))
    }

    /// Notes that this execution reached the outcome.
    pub fn hit(&self) {
        self.count.fetch_add(1, Relaxed);
    }

    /// Notes the outcome if `seen`.
    pub fn hit_if(&self, seen: bool) {
        if seen {
            self.hit();
        }
    }

    /// How often the outcome was reached so far.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Panics unless the outcome was reached. To be called after [`check`] has returned.
    #[track_caller]
    pub fn assert_seen(&self) {
        assert!(self.count() > 0, "no execution reached the outcome: {}", self.outcome);
    }
}

/// Runs `model`, which calls [`check`] on something with a seeded bug, and panics unless it fails
/// with a message that contains `expected`.
///
/// The message matters: a model that fails for another reason (a full queue, a missing yield) has
/// not found the bug. Nothing of the expected panic is printed.
#[track_caller]
pub fn fails_with(expected: &str, model: impl FnOnce()) {
    let outcome = {
        let _silence = Silence::new();
        panic::catch_unwind(AssertUnwindSafe(model))
    };
    let Err(payload) = outcome else {
        panic!("the model passed, but was to fail with: {expected}");
    };
    let message = message_of(payload.as_ref());
    assert!(
        message.contains(expected),
        "the model failed for the wrong reason\n expected: {expected}\n   failed: {message}",
    );
    println!("failed as expected: {}", message.lines().next().unwrap_or_default());
}

/// The text of a panic, as `panic!` leaves it in the payload.
pub fn message_of(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("(a panic payload that is not text)")
}

thread_local! {
    /// Whether this OS thread's panics are expected. All threads of a model run on one OS thread,
    /// and other tests, on other threads, keep their output.
    static SILENT: Cell<bool> = const { Cell::new(false) };
    /// The model that this OS thread explores, and how many executions it has begun.
    static EXPLORED: RefCell<Option<(&'static str, Arc<AtomicUsize>)>> = const { RefCell::new(None) };
}

/// Teaches the panic hook to be quiet, and to name the model.
fn hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if SILENT.get() {
                return;
            }
            loud(info);
            EXPLORED.with_borrow(|explored| {
                if let Some((name, count)) = explored {
                    eprintln!("in execution {} of model `{name}`", count.load(Relaxed));
                }
            });
        }));
    });
}

/// A model is explored on this thread while it lives.
struct Exploring;

impl Exploring {
    fn begin(name: &'static str, count: &Arc<AtomicUsize>) -> Exploring {
        hook();
        EXPLORED.set(Some((name, Arc::clone(count))));
        Exploring
    }
}

impl Drop for Exploring {
    fn drop(&mut self) {
        EXPLORED.set(None);
    }
}

/// Keeps the panic hook quiet on this thread while it lives.
struct Silence;

impl Silence {
    fn new() -> Silence {
        hook();
        SILENT.set(true);
        Silence
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        SILENT.set(false);
    }
}
