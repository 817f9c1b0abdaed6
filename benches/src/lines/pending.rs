//! The heap that waiting tasks take: what a long queue costs in memory.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::yield_now;

use super::spawns::Tally;
use super::{Bar, Line};
#[cfg(feature = "forte")]
use crate::contenders::Forte;
use crate::contenders::{Purloin, Rayon, Runtime, Scopes, Serial, Spawns, Tokio};
use crate::contest::{Contest, Options};
use crate::heap::Watch;
use crate::report::Figures;

pub const LINES: &[Line] = &[
    Line {
        name: "scope-bytes",
        work: "heap bytes of a pending task in a scope, which captures 8 bytes, 1 thread",
        bars: &[Bar::beside("purloin's bytes over rayon's")],
        run: in_scope,
    },
    Line {
        name: "outside-bytes",
        work: "heap bytes of a pending task from outside, which captures 8 bytes, 1 thread",
        bars: &[Bar::beside("purloin's bytes over rayon's")],
        run: from_outside,
    },
];

/// One thread, and that one is busy with opening the scope: so nearly all tasks are pending when it has spawned the
/// last.
fn scope_bytes<R: Scopes>(tasks: usize) -> f64 {
    let runtime = R::start(1);
    let (ran, mut bytes) = (Tally::default(), 0.0);
    let watch = Watch::start();
    runtime.scope(
        tasks,
        || ran.add(),
        || bytes = watch.bytes() as f64 / tasks.saturating_sub(ran.total()).max(1) as f64,
    );
    bytes
}

/// One thread, which a task keeps busy until all others are queued behind it.
fn outside_bytes<S: Spawns>(runtime: &S, tasks: usize) -> f64 {
    let (ran, open) = (Arc::new(Tally::default()), Arc::new(AtomicBool::new(false)));
    let gate = (Arc::clone(&ran), Arc::clone(&open));
    runtime.spawn(move || {
        gate.0.add();
        while !gate.1.load(Relaxed) {
            spin_loop();
        }
    });
    while ran.total() == 0 {
        yield_now();
    }
    let watch = Watch::start();
    for _ in 0..tasks {
        let ran = Arc::clone(&ran);
        runtime.spawn(move || ran.add());
    }
    let bytes = watch.bytes() as f64 / tasks as f64;
    drop(watch);
    open.store(true, Relaxed);
    ran.wait_for(tasks + 1);
    bytes
}

fn figures(contest: Contest<'_>) -> Figures {
    let outcome = contest.hold_cold();
    let values = vec![outcome.ratio("purloin", "rayon")];
    Figures { unit: "bytes", outcome, values }
}

fn in_scope(options: Options) -> Figures {
    let tasks = options.size(100_000, 1_000);
    let mut contest = Contest::new(options.at_most(1));
    contest.enter(Serial::NAME, || 0.0);
    contest.enter(Purloin::NAME, move || scope_bytes::<Purloin>(tasks));
    contest.enter(Rayon::NAME, move || scope_bytes::<Rayon>(tasks));
    #[cfg(feature = "forte")]
    contest.enter(Forte::NAME, move || scope_bytes::<Forte>(tasks));
    figures(contest)
}

fn from_outside(options: Options) -> Figures {
    let tasks = options.size(100_000, 1_000);
    let mut contest = Contest::new(options.at_most(1));
    contest.enter(Serial::NAME, || 0.0);
    contest.enter(Purloin::NAME, move || outside_bytes(&Purloin::start(1), tasks));
    contest.enter(Rayon::NAME, move || outside_bytes(&Rayon::start(1), tasks));
    contest.enter(Tokio::NAME, move || outside_bytes(&Tokio::start(1), tasks));
    #[cfg(feature = "forte")]
    contest.enter(Forte::NAME, move || outside_bytes(&Forte::start(2), tasks));
    figures(contest)
}
