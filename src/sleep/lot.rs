//! Who has a core and who waits, as a plain struct: the logic of [`Sleep`](super::Sleep), whose lock it lies under.

use crate::primitive::{Arc, Flaw, Tick, seeded, spare_cores};
use crate::seat::{Grant, Seat};
use std::collections::VecDeque;
use std::fmt;

/// Threads without work, from the one that went to sleep last, among which the processor decides.
const LATEST: usize = 8;

/// The cores that nobody holds and the threads that wait, for work or for a core.
#[derive(Debug)]
pub struct Lot {
    pub cores: usize,
    /// Cores that nobody holds.
    pub idle: Vec<usize>,
    /// Cores beyond the pool's own, to lend; how many are lent; and cores of the pool's own that nobody may have until
    /// as many lent ones are back, so that soon no more are at work than the pool has.
    pub spare: Vec<usize>,
    pub lent: usize,
    pub withheld: Vec<usize>,
    /// Threads of the pool without work, in the order in which they went to sleep.
    pub standby: Vec<Sleeper>,
    /// Threads in the middle of something that cannot go on without a core.
    pub resuming: VecDeque<Arc<Seat>>,
    /// Outside callers that wait for their injected region, and would run it themselves if they had a core.
    pub callers: VecDeque<Arc<Seat>>,
    /// Threads from outside that wait for a task, and would run it if the pool has no thread left that could.
    pub stand_ins: VecDeque<Arc<Seat>>,
    /// Threads that gave up their core in the middle of something and have not asked for it back.
    pub away: usize,
    /// How often a core has been given up, by whomever.
    pub gives: u64,
    /// When one was to be had last, and was granted to a thread that waited for it, or for work.
    pub granted: Tick,
    /// Threads of the pool that are alive, the most there were at once, and the most there may be.
    pub threads: usize,
    pub peak: usize,
    pub max_threads: usize,
    /// How many of them have a name.
    pub names: usize,
    /// Threads that are still in the hook with which they start, and sleep or work afterwards.
    pub starting: usize,
    /// The standby thread that sleeps with a time-out, if one does.
    pub napper: Option<Arc<Seat>>,
    /// Wakes in a row that found nothing to do.
    pub useless: u32,
    pub closed: bool,
}

/// A thread that sleeps for want of work.
#[derive(Debug)]
pub struct Sleeper {
    pub seat: Arc<Seat>,
    /// The processor on which it went to sleep, where it is likely to wake up; if that is known.
    pub processor: Option<usize>,
}

/// Whom a core was given to.
#[derive(Debug, PartialEq, Eq)]
pub enum Woken {
    /// Nobody was woken: no core is idle or no thread can be had.
    Nobody,
    /// A thread that slept, or waited, has a core now.
    Somebody,
    /// No thread sleeps: start one for this core, which is reserved for it.
    StartThread(usize),
}

/// What the threads are at.
impl fmt::Display for Lot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "threads {} of {}: {} without work, {} away, {} waiting for a core; from outside: {} callers, {} stand-ins; \
             cores lent {}",
            self.threads,
            self.max_threads,
            self.standby.len(),
            self.away,
            self.resuming.len(),
            self.callers.len(),
            self.stand_ins.len(),
            self.lent
        )
    }
}

impl Lot {
    /// All of `cores` idle, no threads, and names for so many.
    pub fn new(cores: usize, max_threads: usize, names: usize) -> Self {
        Lot {
            cores,
            idle: (0..cores).rev().collect(),
            spare: (cores..cores + spare_cores()).rev().collect(),
            lent: 0,
            withheld: Vec::new(),
            standby: Vec::new(),
            resuming: VecDeque::new(),
            callers: VecDeque::new(),
            stand_ins: VecDeque::new(),
            away: 0,
            gives: 0,
            granted: Tick::now(),
            threads: 0,
            peak: 0,
            max_threads,
            names,
            starting: 0,
            napper: None,
            useless: 0,
            closed: false,
        }
    }

    /// Whose that core is.
    pub fn whose(&self, core: usize) -> &'static str {
        if self.idle.contains(&core) {
            "idle"
        } else if self.withheld.contains(&core) {
            "withheld"
        } else if self.spare.contains(&core) {
            "not lent"
        } else {
            "held"
        }
    }

    /// Whether a thread may be started for the last of so many idle cores. Those in their hooks will see to as many.
    fn can_grow(&self, idle: usize) -> bool {
        self.threads < self.max_threads.min(self.names) && idle > self.starting
    }

    /// The idle cores for which a wake would find a thread.
    pub fn wakeable(&self) -> usize {
        let nobody = self.standby.is_empty() && self.callers.is_empty() && self.stand_ins.is_empty();
        if nobody && !self.can_grow(self.idle.len()) { 0 } else { self.idle.len() }
    }

    fn grant(&mut self, seat: &Seat, core: usize) {
        self.granted = Tick::now();
        seat.grant(Grant::Core(core));
    }

    /// A core for the next thread in the middle of something; for an outside caller, if the pool has no thread to spare
    /// that would run its region; or for nobody.
    pub fn pass_on(&mut self, core: usize) {
        self.gives += u64::from(!seeded(Flaw::GivesUncounted));
        if !seeded(Flaw::GiveIgnoresResuming)
            && let Some(seat) = self.resuming.pop_front()
        {
            self.grant(&seat, core);
        } else if core >= self.cores {
            self.lent -= usize::from(!seeded(Flaw::LentCoreStaysLent));
            self.spare.push(core);
            if let Some(own) = self.withheld.pop() {
                self.pass_on(own);
            }
        } else if self.withheld.len() < self.lent {
            self.withheld.push(core);
        } else if self.standby.is_empty()
            && !self.can_grow(self.idle.len() + 1)
            && let Some(seat) = self.callers.pop_front()
        {
            self.grant(&seat, core);
        } else {
            self.idle.push(core);
        }
    }

    /// The thread to wake. The latest, its cache being warmest, unless it went to sleep on the processor that stays `busy`: there
    /// it would have to wait until that one is free. The operating system wakes it elsewhere if it knows of a free processor; a
    /// virtual machine may not, since one that is halted can't be told from one that was taken away. So one of the latest few that
    /// slept elsewhere comes first; with all of them to choose from, threads that change their processors would be woken by turns,
    /// each from ever longer ago.
    fn sleeper(&mut self, busy: Option<usize>) -> Option<Arc<Seat>> {
        let last = self.standby.len().checked_sub(1)?;
        let elsewhere = |&place: &usize| busy.is_some() && self.standby[place].processor != busy;
        let place = (0..=last).rev().take(LATEST).find(elsewhere).unwrap_or(last);
        Some(self.standby.remove(place).seat)
    }

    /// Gives that core to a thread that looks for work: one of the pool's, or, if none can be had, one from outside that
    /// would help itself. The waker keeps the processor `busy`, or is about to give its own up. `searches` is called before a
    /// thread of the pool can begin to; it is told whether that thread napped.
    pub fn wake_on(&mut self, core: usize, busy: Option<usize>, searches: impl FnOnce(bool)) -> Woken {
        if let Some(seat) = self.sleeper(busy) {
            let napped = self.napper.take_if(|napper| Arc::ptr_eq(napper, &seat)).is_some();
            searches(napped);
            self.grant(&seat, core);
            return Woken::Somebody;
        }
        if self.can_grow(self.idle.len() + 1) {
            searches(false);
            self.granted = Tick::now();
            self.threads += 1;
            self.peak = self.peak.max(self.threads);
            return Woken::StartThread(core);
        }
        let from_outside = self.callers.pop_front().or_else(|| {
            let stand_in = self.stand_ins.pop_front();
            if seeded(Flaw::StandInForgotten) { None } else { stand_in }
        });
        match from_outside {
            Some(seat) => {
                self.grant(&seat, core);
                Woken::Somebody
            }
            None => Woken::Nobody,
        }
    }
}

#[cfg(all(test, not(purloin_model)))]
mod tests {
    use super::*;
    use crate::seat::Place;

    /// A lot in which threads went to sleep on these processors, and their seats.
    fn asleep_on(processors: &[Option<usize>]) -> (Lot, Vec<Arc<Seat>>) {
        let seats: Vec<_> = processors.iter().map(|_| Arc::clone(Place::new().seat())).collect();
        let mut lot = Lot::new(processors.len(), processors.len(), usize::MAX);
        lot.standby =
            seats.iter().cloned().zip(processors).map(|(seat, &processor)| Sleeper { seat, processor }).collect();
        (lot, seats)
    }

    /// In which order they are woken from a processor.
    fn order(processors: &[Option<usize>], busy: Option<usize>) -> Vec<usize> {
        let (mut lot, seats) = asleep_on(processors);
        let place = |woken: Arc<Seat>| seats.iter().position(|seat| Arc::ptr_eq(seat, &woken));
        std::iter::from_fn(|| lot.sleeper(busy)).filter_map(place).collect()
    }

    #[test]
    fn the_latest_that_slept_elsewhere_is_woken_first() {
        let processors = [Some(1), Some(0), None, Some(0), Some(1)];
        assert_eq!(order(&processors, Some(0)), [4, 2, 0, 3, 1]);
        assert_eq!(order(&processors, Some(1)), [3, 2, 1, 4, 0]);
        assert_eq!(order(&processors, Some(2)), [4, 3, 2, 1, 0]);
    }

    /// Each is moved while it is awake, and sleeps where the waker is. So the next time it is another one's turn: of the latest few.
    #[test]
    fn threads_that_change_their_processors_stay_the_same_few() {
        let (mut lot, seats) = asleep_on(&[Some(1); 64]);
        let mut woken = vec![0; seats.len()];
        let busy = Some(0);
        for _ in 0..400 {
            let seat = lot.sleeper(busy).expect("a sleeper");
            woken[seats.iter().position(|other| Arc::ptr_eq(other, &seat)).expect("one of them")] += 1;
            lot.standby.push(Sleeper { seat, processor: busy });
        }
        let few = woken.iter().filter(|&&times| times > 0).count();
        assert!(few <= LATEST, "{few} threads woke by turns: {woken:?}");
    }

    #[test]
    fn where_no_processor_stays_busy_the_latest_is_woken() {
        assert_eq!(order(&[Some(1), None, Some(0), None], None), [3, 2, 1, 0]);
        assert_eq!(order(&[], Some(0)), [0; 0]);
    }
}
