//! The least that a region costs on two threads of which one sleeps: no pool, no queue, nothing but the wake.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::busy::busy;

/// A thread that sleeps until it is woken for a given round of items, of which it and its waker take one after the other.
pub struct Bare {
    round: Arc<Round>,
    helper: Option<JoinHandle<()>>,
}

struct Round {
    /// Microseconds of each.
    items: Vec<f64>,
    next: AtomicUsize,
    done: AtomicUsize,
    over: AtomicBool,
}

impl Bare {
    /// What the tables call it.
    pub const NAME: &'static str = "bare threads";

    /// Starts the thread, for rounds of items of so many microseconds.
    #[must_use]
    pub fn start(items: &[f64]) -> Self {
        let round = Arc::new(Round {
            items: items.to_vec(),
            next: AtomicUsize::new(items.len()),
            done: AtomicUsize::new(items.len()),
            over: AtomicBool::new(false),
        });
        let helper = {
            let round = Arc::clone(&round);
            thread::spawn(move || {
                while !round.over.load(SeqCst) {
                    thread::park();
                    round.take_part();
                }
            })
        };
        Bare { round, helper: Some(helper) }
    }

    /// How long one round takes.
    #[must_use]
    pub fn time(&self) -> Duration {
        let round = &*self.round;
        let start = Instant::now();
        round.done.store(0, SeqCst);
        round.next.store(0, SeqCst);
        if let Some(helper) = &self.helper {
            helper.thread().unpark();
        }
        round.take_part();
        while round.done.load(SeqCst) < round.items.len() {
            spin_loop();
        }
        start.elapsed()
    }
}

impl Round {
    fn take_part(&self) {
        while let Some(&micros) = self.items.get(self.next.fetch_add(1, SeqCst)) {
            busy(micros);
            self.done.fetch_add(1, SeqCst);
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.round.over.store(true, SeqCst);
        if let Some(helper) = self.helper.take() {
            helper.thread().unpark();
            helper.join().expect("the helper only keeps a processor busy");
        }
    }
}
