//! A thread that waits for a lock gives its core to others. Threads that would wait for each other for ever are told, and no
//! others are: the wait-for graph misses nothing and imagines nothing.
//!
//! Checked to the bound of `common` under loom's model.

mod common;
mod stage;

use common::{Bound, message_of, quietly};
use purloin_loom::internals::primitive::{Arc, Flaw};
use purloin_loom::internals::spawn::spawn_in;
use purloin_loom::internals::sync::{Mutex, RwLock};
use purloin_loom::internals::worker::{Worker, without_core};
use stage::{BOUND, BOUND_OF_LARGE, Case, Role, Seen, busy, deadlock, explore, play, registry, role, signal};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

// ---- cores

/// One core. A thread that holds a lock blocks until another, which has the core now, is about to take that lock.
fn holder_without_core(main: usize, seen: Seen) {
    let (registry, places) = registry(1, 2);
    let core = busy(&registry, &places[0]);
    let owner = role(move || {
        let lock = Arc::new(Mutex::new(0));
        let (about, wait) = signal();
        Worker::enter(&registry, core, |worker| {
            let mut guard = lock.lock();
            let task = spawn_in(worker.registry(), {
                let lock = Arc::clone(&lock);
                move || {
                    about.give();
                    let free = lock.try_lock().is_some();
                    *lock.lock() += 1;
                    seen[0].hit_if(free);
                    seen[1].hit_if(!free);
                }
            });
            without_core(|_| wait.wait());
            *guard += 1;
            drop(guard);
            assert!(task.join().is_ok());
        });
        assert_eq!(*lock.lock(), 2);
        registry.close();
    });
    play(main, vec![owner, role(|| ())]);
}

#[test]
fn a_holder_gets_its_core_back() {
    let outcomes = &["the holder was first", "the other had to wait"];
    explore("holder without core", Bound::AtMost(1), 50, &[0, 1], &outcomes[1..], |main, seen| {
        // The task runs while its spawner waits for a core, unless the spawner is quick.
        holder_without_core(main, Box::leak(Box::new([common::Witness::new("free"), seen[0].copy()])));
    });
}
