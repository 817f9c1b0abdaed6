//! Safe waits: a thread that waits for a stolen job helps its thief with that very job, and with nothing else.

use crate::job::{Helped, Lineage};
use crate::latch::{Latch, Verdict, Waiter};
use crate::primitive::{Arc, AtomicUsize, KEEP_CORE, Ordering, Steal, WAIT_ROUNDS, back_off, now, spin_loop};
use crate::seat::{Seat, with_place};
use crate::worker::{Worker, without_core, without_core_at};
use std::time::Instant;

/// What a thread waits for.
pub struct Awaited<'a> {
    /// Set when it is over.
    pub latch: &'a Latch,
    /// What may be run meanwhile descends from here.
    pub lineage: *const Lineage,
    /// The core on which it runs, or some of it.
    pub thief: Thief<'a>,
    /// What is left of it that nobody has begun, where the waiting thread finds it.
    pub own: Option<&'a dyn Own>,
}

/// What a thread waits for and could run itself.
pub trait Own {
    /// Runs some of it that nobody has begun, and tells whether there was any.
    fn run_some(&self) -> bool;
    /// Leaves the waiting thread's seat to whoever adds to it, or leaves some of it to others, from now on: they take the
    /// seat, and wake the thread.
    fn leave_seat(&self, seat: &Arc<Seat>);
    /// Whether the seat has been taken.
    fn is_called(&self) -> bool;
}

/// Where a core's index plus one is noted, from some bit upwards; 0 is nobody. A hint, so all accesses are relaxed.
#[derive(Clone, Copy)]
pub struct Thief<'a> {
    word: &'a AtomicUsize,
    shift: u32,
}

impl<'a> Thief<'a> {
    /// The hint in a word of its own.
    pub fn in_own(word: &'a AtomicUsize) -> Self {
        Thief { word, shift: 0 }
    }

    /// The hint in the bits of `word` from `shift` upwards.
    pub fn in_word(word: &'a AtomicUsize, shift: u32) -> Self {
        Thief { word, shift }
    }

    /// The core's index, or `NOBODY`.
    fn core(self) -> usize {
        (self.word.load(Ordering::Relaxed) >> self.shift).wrapping_sub(1)
    }
}

impl Worker {
    /// Waits safely: helps with what is awaited; then parks with the core kept, for a short while; then gives the core to
    /// others until it is over.
    pub fn wait_for(&self, awaited: &Awaited<'_>) -> Verdict {
        self.registry().check_fork();
        self.share_all();
        let outer = self.note_wait(awaited.thief.core());
        let verdict = self.help_until_idle(awaited).unwrap_or_else(|| self.park_for(awaited));
        // A wait within another: that one goes on. The core may be another one by now.
        self.note_wait(outer);
        verdict
    }

    /// Helps as long as there is something to help with, and looks around a while longer.
    fn help_until_idle(&self, awaited: &Awaited<'_>) -> Option<Verdict> {
        let mut round = 0;
        // A thread in the middle of something comes before more help: it may be what the others wait for.
        while round < WAIT_ROUNDS && !self.registry().sleep.someone_resumes() {
            let verdict = awaited.latch.verdict();
            if verdict.is_some() {
                return verdict;
            }
            // What was run here may have forked the process, and what is awaited may have stayed behind.
            self.registry().check_fork();
            if self.help(awaited) {
                round = 0;
            } else {
                back_off(round);
                round += 1;
            }
        }
        None
    }

    /// Runs one job that the awaited one needs, if one is to be found: its own, or one of its thief's, or of whom that
    /// one waits for.
    fn help(&self, awaited: &Awaited<'_>) -> bool {
        if awaited.own.is_some_and(|own| own.run_some()) {
            return true;
        }
        let cores = self.registry().cores_in_use();
        let mut victim = awaited.thief.core();
        for _ in 0..cores.len() {
            let Some(core) = cores.get(victim).filter(|_| victim != self.core_index()) else { return false };
            match core.shared.steal() {
                Steal::Success((job, _)) => {
                    // SAFETY: taken out of the queue, so the right to it is ours.
                    let helped = unsafe { (job.kind().help)(job, awaited.lineage) };
                    if let Helped::Requeue(job) = helped {
                        self.registry().inject(job);
                    }
                    let ran = helped == Helped::Ran;
                    let counters = &self.core().counters;
                    if ran {
                        counters.leapfrogs.bump()
                    } else {
                        counters.refused.bump()
                    }
                    return ran;
                }
                Steal::Empty => victim = core.waits_for.load(Ordering::Relaxed),
                Steal::Retry => spin_loop(),
            }
        }
        false
    }

    #[cold]
    fn park_for(&self, awaited: &Awaited<'_>) -> Verdict {
        with_place(|place| {
            let waiter = Waiter::new(Arc::clone(place.seat()));
            if let Err(verdict) = awaited.latch.announce(&waiter) {
                return verdict;
            }
            self.core().counters.parks.bump();
            if let Some(keep) = KEEP_CORE
                && !self.registry().sleep.someone_resumes()
            {
                place.park_timeout(keep);
            }
            loop {
                if let Some(verdict) = waiter.verdict() {
                    return verdict;
                }
                if self.registry().is_orphaned() {
                    // As in `help_until_idle`. Nobody else is there to see the announcement.
                    let _ = awaited.latch.retract(&waiter);
                    self.registry().check_fork();
                }
                if self.registry().sleep.someone_resumes() {
                    if awaited.own.is_none() {
                        break;
                    }
                    // Gives way, and comes back: what is left of its own may be nobody else's to run. It runs some each
                    // time that it is back, so two that give way to each other get on.
                    self.core().counters.hand_overs.bump();
                    without_core_at(place, || ());
                }
                if self.help(awaited) {
                    continue;
                }
                let Some(own) = awaited.own else { break };
                // Before the last look.
                own.leave_seat(place.seat());
                if own.run_some() {
                    continue;
                }
                self.core().counters.hand_overs.bump();
                let verdict = without_core_at(place, || {
                    loop {
                        let verdict = waiter.verdict();
                        if verdict.is_some() || own.is_called() {
                            return verdict;
                        }
                        place.park();
                    }
                });
                if let Some(verdict) = verdict {
                    return verdict;
                }
            }
            self.core().counters.hand_overs.bump();
            without_core_at(place, || {
                loop {
                    if let Some(verdict) = waiter.verdict() {
                        return verdict;
                    }
                    place.park();
                }
            })
        })
    }
}

/// Waits until the latch is set, or until the deadline, and tells whether it is set. Runs nothing meanwhile, and a core that
/// this thread has goes to others.
pub fn wait_until(latch: &Latch, deadline: Instant) -> bool {
    if latch.verdict().is_some() || deadline <= now() {
        return latch.verdict().is_some();
    }
    without_core(|| {
        with_place(|place| {
            let waiter = Waiter::new(Arc::clone(place.seat()));
            if latch.announce(&waiter).is_err() {
                return true;
            }
            let mut waits = true;
            while waiter.verdict().is_none() {
                let left = deadline.saturating_duration_since(now());
                if !left.is_zero() {
                    place.park_timeout(left);
                } else if waits && latch.retract(&waiter) {
                    return false;
                } else {
                    // Set at the last moment: the verdict is on its way.
                    waits = false;
                    place.park();
                }
            }
            true
        })
    })
}
