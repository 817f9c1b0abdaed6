//! A thread with nothing on its stack: where it looks for work, in which order, and when it stops.

use crate::core::Core;
use crate::job::JobRef;
use crate::primitive::{CALLER_STARVED_AFTER, SEARCH_ROUNDS, Steal, Tick, back_off, spin_loop};
use crate::registry::Registry;
use crate::seat::Place;
use crate::worker::Worker;
use std::time::Duration;

/// Go's and tokio's number: prime, so that it falls in step with nothing.
const INJECTOR_TURN: u32 = 61;

impl Worker {
    /// The next job for a thread with nothing on its stack, if there is one.
    pub fn find_work(&self) -> Option<JobRef> {
        if self.take_turn() {
            self.turn.set(0);
            if let Some(job) = self.take_injected() {
                return Some(job);
            }
        }
        // SAFETY: this thread holds the core.
        let own = unsafe { self.core().shared.owner() }.pop();
        own.or_else(|| self.steal()).or_else(|| self.take_injected())
    }

    /// Counts one job more, and tells whether it is time to look at the injector.
    pub fn take_turn(&self) -> bool {
        self.turn.set(self.turn.get() + 1);
        self.injector_is_due()
    }

    /// Whether it is time to look at the injector before anything else.
    pub fn injector_is_due(&self) -> bool {
        self.turn.get() >= INJECTOR_TURN
    }

    /// Whether a thread in the middle of something waits for a core.
    pub fn is_in_the_way(&self) -> bool {
        self.registry().sleep.someone_resumes()
    }

    fn take_injected(&self) -> Option<JobRef> {
        if self.registry().injector.is_empty() {
            return None;
        }
        // SAFETY: this thread holds the core.
        let owner = unsafe { self.core().shared.owner() };
        // What is left on a lent core goes back to the injector, behind all else.
        let several = !self.holds_lent_core();
        let job = if several { self.registry().steal_some_injected(owner) } else { self.registry().steal_injected() }?;
        self.core().counters.injected.bump();
        if !owner.is_empty() || !self.registry().injector.is_empty() {
            // The chain of wakes, as in `steal_from`; what waits here may be blocked on, so it is not left to a nap.
            self.registry().work_appeared(false);
        }
        Some(job)
    }

    /// Takes the oldest job of some other core, beginning with a random one; asks those that have none to share.
    fn steal(&self) -> Option<JobRef> {
        let cores = self.registry().cores_in_use();
        let start = self.next_random() as usize % cores.len();
        for offset in 0..cores.len() {
            let victim = (start + offset) % cores.len();
            if victim != self.core_index()
                && let Some(job) = self.steal_from(&cores[victim])
            {
                self.core().counters.steals.bump();
                return Some(job);
            }
        }
        None
    }

    fn steal_from(&self, victim: &Core) -> Option<JobRef> {
        loop {
            match victim.shared.steal() {
                Steal::Success((job, more)) => {
                    if more {
                        // The chain of wakes: one was woken for perhaps several jobs.
                        self.registry().work_appeared(true);
                    }
                    return Some(job);
                }
                Steal::Empty => return None,
                Steal::Retry => spin_loop(),
            }
        }
    }

    /// Marsaglia's xorshift.
    fn next_random(&self) -> u32 {
        let mut x = self.random.get() | 1;
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        self.random.set(x);
        x
    }

    /// Runs a job of a deque or of the injector.
    pub fn run(&self, job: JobRef) {
        // SAFETY: taken out of a queue by this thread, so the right to it is ours.
        let _ended = unsafe { (job.kind().run)(job) };
    }

    /// Looks everywhere for a while.
    fn search(&self, rounds: u32) -> Option<JobRef> {
        (0..rounds).find_map(|round| {
            let found = self.find_work();
            if found.is_none() {
                back_off(round);
            }
            found
        })
    }

    /// The life of a pool's thread while it holds a core: until there is nothing to do, or somebody needs the core more.
    /// `woken` says that it was woken to search, and for how many rounds.
    pub fn work(&self, mut woken: Option<u32>) -> Idle {
        let sleep = &self.registry().sleep;
        let mut searching = woken.is_some();
        let lent = self.holds_lent_core().then(Tick::now);
        loop {
            let job = if sleep.someone_resumes() || woken.is_none() && self.has_had_its_loan(lent) {
                None
            } else {
                self.find_work().or_else(|| {
                    searching = searching || sleep.start_searching(self.registry().size());
                    if searching { self.search(woken.unwrap_or(SEARCH_ROUNDS)) } else { None }
                })
            };
            let searched = std::mem::take(&mut searching);
            let Some(job) = job else {
                if searched {
                    sleep.stop_searching();
                }
                break;
            };
            if searched {
                self.registry().found_work();
            }
            if woken.take().is_some() {
                self.core().counters.useful_wakes.bump();
                sleep.useful();
            }
            self.run(job);
            // If the job has forked the process: the others, and their locks, have stayed behind.
            self.registry().check_fork();
        }
        let counters = &self.core().counters;
        counters.parks.bump();
        if woken.is_some() {
            counters.useless_wakes.bump();
        }
        self.unload();
        Idle { core: self.let_go(), useless: woken.is_some() }
    }
}

impl Worker {
    /// Whether a thread that is through with a job is to give back a core that it was lent: one that it was lent in the middle
    /// of that job at once, and one that it was lent at `since`, for what waits in the queues, after a while, lest a long queue
    /// be worked off by more cores than the pool has.
    fn has_had_its_loan(&self, since: Option<Tick>) -> bool {
        self.holds_lent_core() && since.is_none_or(|since| !Tick::now().within(since, CALLER_STARVED_AFTER))
    }
}

/// A thread that has nothing to do. It is to go to sleep once it is no longer a worker: what follows may drop what cancelled
/// tasks hold, which may use the pool, and would find a worker that has no core and waits for none.
#[derive(Debug)]
#[must_use]
pub struct Idle {
    core: Option<usize>,
    useless: bool,
}

impl Idle {
    /// Gives the core up and enters the thread among those that sleep. Returns for how long it may nap.
    pub fn rest(self, registry: &Registry, place: &Place) -> Option<Duration> {
        // Enter first, ask and look after: see `Sleep`.
        let nap = registry.sleep.stand_by(self.core, place.seat(), self.useless);
        registry.after_release(false);
        nap
    }
}
