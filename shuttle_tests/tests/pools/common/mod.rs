//! How every program of this package is played: [`play`] runs it under many random schedules, a [`Witness`] shows that
//! something happened in one of them at all, [`find_all`] shows that seeded mistakes are found.
//!
//! A schedule follows from its seed: which thread goes on at each step, when time-outs come, and what the program itself
//! draws. A failure names its seed; `PURLOIN_SHUTTLE_SEED=n` plays that schedule alone. In plain `cargo test` the seeds are
//! the same each time. With `PURLOIN_SHUTTLE_SCHEDULES=n` each program is played n times, with seeds that no run had before.
//!
//! A program asserts at its end, on its main thread, where it can: what shuttle says of a thread that panics in the middle of
//! a pool is less clear.

mod schedule;

use purloin_shuttle::internals::primitive::{Flaw, with_flaw};
use purloin_shuttle::{Pool, PoolBuilder};
use schedule::Schedules;
use shuttle::thread::yield_now;
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::env;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::panicking;
use std::time::{Instant, SystemTime};

pub use purloin_shuttle::internals::primitive::random;

/// How many cores a pool of this schedule has: mostly 4 to 8. One and two have mistakes of their own.
pub fn cores() -> usize {
    [1, 2, 4, 4, 5, 6, 7, 8][(random() % 8) as usize]
}

/// A pool to be, which may have as many threads as it likes. In half of the schedules their names take a moment to be made.
pub fn builder(cores: usize) -> PoolBuilder {
    let builder = Pool::builder().cores(cores);
    if random().is_multiple_of(2) {
        return builder;
    }
    builder.thread_name(|index| {
        yield_now();
        index.to_string()
    })
}

/// A pool, and threads for each of its cores and up to `spare` more.
pub fn pool(spare: u64) -> Pool {
    let cores = cores();
    let threads = cores + (random() % (spare + 1)) as usize;
    builder(cores).max_threads(threads).build().expect("threads can be started")
}

/// Far more steps than any schedule of a program takes: one that takes more has no end.
const MOST_STEPS: usize = 300_000;

/// Bytes of a thread's stack.
const STACK: usize = 1 << 18;

fn variable(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text:?}")))
}

/// Which seeds to play, where a test plays `schedules` by default.
fn seeds(schedules: u64) -> (u64, u64) {
    if let Some(seed) = variable("PURLOIN_SHUTTLE_SEED") {
        return (seed, 1);
    }
    match variable("PURLOIN_SHUTTLE_SCHEDULES") {
        // Another beginning each time.
        Some(schedules) => {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970");
            (now.as_secs() << 24, schedules)
        }
        None => (0, schedules),
    }
}

/// Names the seed if its schedule fails.
struct Playing {
    name: &'static str,
    seed: Arc<AtomicU64>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        if panicking() {
            eprintln!("`{}` failed: PURLOIN_SHUTTLE_SEED={} plays it again", self.name, self.seed.load(Relaxed));
        }
    }
}

/// What a number of schedules amounted to.
#[derive(Debug)]
pub struct Played {
    alone: bool,
}

impl Played {
    /// Panics unless each of these was seen, in whichever schedule. One schedule alone need not show anything.
    #[track_caller]
    pub fn with(self, witnesses: &[&Witness]) {
        for witness in witnesses {
            assert!(self.alone || witness.count() > 0, "in no schedule did this happen: {}", witness.what);
        }
    }
}

/// Plays `program` under that many random schedules. One that fails panics out of here, and its seed is printed.
pub fn play(name: &'static str, schedules: u64, program: impl Fn() + Send + Sync + 'static) -> Played {
    let (first, count) = seeds(schedules);
    let playing = Playing { name, seed: Arc::new(AtomicU64::new(first)) };
    let mut config = Config::new();
    config.stack_size = STACK;
    config.failure_persistence = FailurePersistence::None;
    config.max_steps = MaxSteps::FailAfter(MOST_STEPS);
    config.silence_warnings = true;
    let start = Instant::now();
    let all = Schedules::new(first..first + count, Arc::clone(&playing.seed));
    let steps = all.steps();
    Runner::new(all, config).run(program);
    let steps = steps.load(Relaxed) / count;
    println!("`{name}`: {count} schedules from seed {first}, {steps} steps each, in {:.1?}", start.elapsed());
    Played { alone: count == 1 }
}

/// Something that has to happen in one schedule at least: a program whose forks are never stolen says nothing of thieves.
/// A plain counter, which shuttle does not see.
#[derive(Debug)]
pub struct Witness {
    what: &'static str,
    count: AtomicU64,
}

impl Witness {
    /// Of what has not happened yet.
    pub const fn new(what: &'static str) -> Witness {
        Witness { what, count: AtomicU64::new(0) }
    }

    /// It happened, if `seen`.
    pub fn hit_if(&self, seen: bool) {
        if seen {
            self.count.fetch_add(1, Relaxed);
        }
    }

    /// How often it happened.
    pub fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }
}

/// What shuttle says of threads that all wait.
pub const DEADLOCK: &str = "deadlock! blocked tasks";
/// How shuttle ends one that nobody leaves.
pub const ENDLESS: &str = "exceeded max_steps bound";

/// A mistake, and the program that finds it.
pub struct Case {
    pub flaw: Flaw,
    /// What the failure's message contains, one of them: which comes first is up to the schedule.
    pub messages: &'static [&'static str],
    /// In so many schedules at most.
    pub within: u64,
    pub program: fn(),
}

/// A mistake that leaves everybody waiting.
pub const fn deadlock(flaw: Flaw, within: u64, program: fn()) -> Case {
    Case { flaw, messages: &[DEADLOCK], within, program }
}

/// A mistake that makes a program's assertion fail, or one of the sources'.
pub const fn assertion(flaw: Flaw, messages: &'static [&'static str], within: u64, program: fn()) -> Case {
    Case { flaw, messages, within, program }
}

/// A mistake that leaves somebody waiting whose time runs out again and again.
pub const fn endless(flaw: Flaw, within: u64, program: fn()) -> Case {
    Case { flaw, messages: &[ENDLESS], within, program }
}

/// Says which case a process is to play.
const CASE: &str = "PURLOIN_SHUTTLE_CASE";

/// Checks that each case fails, and with its message. `player` is the name of the test that calls this.
///
/// Each case is played in a process of its own: what a failed schedule leaves behind is no concern of the next one.
pub fn find_all(player: &str, cases: &[Case]) {
    if let Ok(index) = env::var(CASE) {
        let case = &cases[index.parse::<usize>().expect("an index")];
        let program = case.program;
        with_flaw(case.flaw, || play("seeded", case.within, program));
        return;
    }
    let mut missed = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let started = Instant::now();
        let played = Command::new(env::current_exe().expect("this test has a file"))
            .args(["--exact", player, "--nocapture", "--test-threads=1"])
            .env(CASE, index.to_string())
            .env_remove("PURLOIN_SHUTTLE_SEED")
            .env_remove("PURLOIN_SHUTTLE_SCHEDULES")
            .env("RUST_BACKTRACE", "0")
            .output()
            .expect("this test can be started again");
        let said = String::from_utf8_lossy(&played.stderr);
        // The line after "thread 'x' panicked at file:line:column:".
        let first = said.lines().skip_while(|line| !line.contains("panicked at")).nth(1).unwrap_or("nothing");
        let seed = said.lines().find(|line| line.contains("PURLOIN_SHUTTLE_SEED=")).unwrap_or_default();
        if played.status.success() {
            missed.push(format!("{:?}: {} schedules passed ({:.1?})", case.flaw, case.within, started.elapsed()));
        } else if case.messages.iter().any(|message| said.contains(message)) {
            let short: String = first.chars().take(60).collect();
            println!("{:?}: {short} ({seed}, {:.1?})", case.flaw, started.elapsed());
        } else {
            missed.push(format!("{:?}: failed for another reason: {said}", case.flaw));
        }
    }
    assert!(missed.is_empty(), "seeded mistakes were not found:\n{}", missed.join("\n"));
}
