//! Schedules that follow from a seed each, whichever came before.

use shuttle::scheduler::{Schedule, Scheduler, Task, TaskId};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// SplitMix64: every seed is a good one, the small ones too.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// How a schedule chooses who goes on. One that may go on at all is chosen.
enum Manner {
    /// The same as before, but in one step out of so many, and when it yields, any.
    Walk { switch_in: u64 },
    /// The first by rank. In one step out of so many, and when it yields, who has run is ranked last: with few changes, as
    /// in probabilistic concurrency testing (Burckhardt et al. 2010), a thread may be held up for long.
    Ranks { change_in: u64, ranks: Vec<u64>, last: u64 },
}

/// Plays each seed of a range once.
pub struct Schedules {
    seeds: Range<u64>,
    playing: Arc<AtomicU64>,
    steps: Arc<AtomicU64>,
    draws: Draws,
    manner: Manner,
}

impl Schedules {
    /// Those of these seeds. The one that is being played is noted in `playing`.
    pub fn new(seeds: Range<u64>, playing: Arc<AtomicU64>) -> Self {
        let manner = Manner::Walk { switch_in: 1 };
        Schedules { seeds, playing, steps: Arc::default(), draws: Draws(0), manner }
    }

    /// How many choices there have been.
    pub fn steps(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.steps)
    }
}

impl Scheduler for Schedules {
    fn new_execution(&mut self) -> Option<Schedule> {
        let seed = self.seeds.next()?;
        self.playing.store(seed, Relaxed);
        self.draws = Draws(seed);
        self.manner = if self.draws.below(2) == 0 {
            Manner::Walk { switch_in: 1 << self.draws.below(6) }
        } else {
            Manner::Ranks { change_in: 8 << self.draws.below(7), ranks: Vec::new(), last: u64::MAX / 2 }
        };
        Some(Schedule::new(seed))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yields: bool) -> Option<TaskId> {
        self.steps.fetch_add(1, Relaxed);
        let draws = &mut self.draws;
        match &mut self.manner {
            Manner::Walk { switch_in } => {
                let stays = !yields && draws.below(*switch_in) != 0;
                let same = current.filter(|&current| stays && runnable.iter().any(|task| task.id() == current));
                same.or_else(|| Some(runnable[draws.below(runnable.len() as u64) as usize].id()))
            }
            Manner::Ranks { change_in, ranks, last } => {
                let known = ranks.len();
                let most = runnable.iter().map(|task| usize::from(task.id())).max()?;
                ranks.extend((known..=most).map(|_| draws.next() | 1 << 63));
                if let Some(current) = current
                    && (yields || draws.below(*change_in) == 0)
                {
                    *last -= 1;
                    ranks[usize::from(current)] = *last;
                }
                runnable.iter().map(|task| task.id()).max_by_key(|&task| ranks[usize::from(task)])
            }
        }
    }

    fn next_u64(&mut self) -> u64 {
        self.draws.next()
    }
}
