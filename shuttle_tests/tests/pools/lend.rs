//! Locks that the pool knows nothing of, held across regions: those who hold one would wait for ever for a core, if none was
//! lent to them.

use crate::common::{Witness, cores, deadlock, endless, find_all, play, random};
use purloin_shuttle::internals::join::join_on;
use purloin_shuttle::internals::primitive::{Flaw, Mutex};
use purloin_shuttle::internals::registry::{Names, Options, Registry};
use purloin_shuttle::internals::seat::with_place;
use purloin_shuttle::internals::thread::{in_pool, run_thread};
use shuttle::thread;
use std::sync::Arc;

static LENT: Witness = Witness::new("a core was lent");

/// Does something with the user's lock in a fork, and in what waits for it.
fn under_the_lock(registry: &Registry, lock: &Mutex<u64>, depth: u32) {
    LENT.hit_if(registry.sleep.extent() > registry.size());
    if depth == 0 {
        *lock.lock() += 1;
        return;
    }
    let inside = || {
        let mut held = lock.lock();
        // What this waits for does not want the lock.
        in_pool(registry, |worker| join_on(worker, || (), thread::yield_now));
        *held += 1;
    };
    in_pool(registry, |worker| join_on(worker, inside, || under_the_lock(registry, lock, depth - 1)));
}

fn locks() {
    let cores = cores();
    let options = Options {
        cores,
        max_threads: cores + (random() % 3) as usize,
        names: Names::Numbered(""),
        stack_size: None,
        on_thread_start: None,
        on_thread_exit: None,
        on_task_panic: None,
    };
    let registry = Registry::start(options, run_thread).unwrap();
    let lock = Arc::new(Mutex::new(0));
    let callers: Vec<_> = (0..4)
        .map(|number| {
            let (registry, lock) = (Arc::clone(&registry), Arc::clone(&lock));
            thread::spawn(move || {
                if number == 0 {
                    // A caller that may find no core, with the lock that those want who have them.
                    let mut held = lock.lock();
                    in_pool(&registry, |worker| join_on(worker, || (), || ()));
                    *held += 3;
                } else {
                    under_the_lock(&registry, &lock, 2);
                }
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    assert_eq!(*lock.lock(), 12);
    registry.close();
    assert_eq!(with_place(|place| registry.wait_for_threads(place, None)), 0);
}

#[test]
fn locks_of_the_user() {
    play("locks", 4000, locks).with(&[&LENT]);
}

#[test]
fn mistakes_are_found() {
    find_all(
        "lend::mistakes_are_found",
        &[
            endless(Flaw::NothingLent, 4000, locks),
            deadlock(Flaw::BorrowerStaysListed, 4000, locks),
            deadlock(Flaw::LentCoreStaysLent, 4000, locks),
        ],
    );
}
