//! A handle that is asked for a result that is not there: it comes back, and is as good as before.

use crate::common::{Gate, assert_sound, at_cores};
use purloin::{JoinError, Pool};
use std::sync::Arc;
use std::time::Duration;

const SHORT: Duration = Duration::from_millis(1);
const FOREVER: Duration = Duration::MAX;

/// A task that ends when the gate is opened, and gives its core to others until then.
fn gated(pool: &Pool) -> (purloin::JoinHandle<u32>, Arc<Gate>) {
    let gate = Arc::new(Gate::new());
    let passes = Arc::clone(&gate);
    let task = pool.spawn(move || {
        purloin::blocking(|| passes.pass());
        7
    });
    (task, gate)
}

#[test]
fn the_handle_comes_back() {
    at_cores(|pool| {
        let (task, gate) = gated(pool);
        let task = task.try_join().expect_err("the gate is closed");
        let task = task.join_timeout(Duration::ZERO).expect_err("the gate is closed");
        let task = task.join_timeout(SHORT).expect_err("the gate is closed");
        gate.open();
        assert_eq!(task.join_timeout(FOREVER).expect("it is done").expect("no panic"), 7);
        let (task, gate) = gated(pool);
        gate.open();
        crate::common::spin_until(|| task.is_finished());
        assert_eq!(task.try_join().expect("it is done").expect("no panic"), 7);
    });
}

/// A task of the same pool waits: on one core, too, the awaited one gets it.
#[test]
fn from_inside() {
    at_cores(|pool| {
        let handle = pool.clone();
        let waits = pool.spawn(move || {
            let (task, gate) = gated(&handle);
            let task = task.join_timeout(SHORT).expect_err("the gate is closed");
            gate.open();
            let mut task = Err(task);
            while let Err(again) = task {
                task = again.join_timeout(SHORT);
            }
            task.is_ok_and(|result| result.is_ok_and(|value| value == 7))
        });
        assert!(waits.join().expect("no panic"));
        let (task, gate) = gated(pool);
        let task = pool.install(|| task.join_timeout(SHORT).expect_err("the gate is closed"));
        gate.open();
        assert_eq!(pool.install(|| task.join_timeout(FOREVER)).expect("it is done").expect("no panic"), 7);
        assert_sound(pool);
    });
}

/// The end of the task and the end of the patience, side by side.
#[test]
fn beside_the_end() {
    at_cores(|pool| {
        for round in 0..2_000u64 {
            let mut task = Err(pool.spawn(move || round));
            while let Err(again) = task {
                task = again.join_timeout(Duration::from_micros(round % 50));
            }
            assert_eq!(task.expect("done").expect("no panic"), round);
        }
    });
}

#[test]
fn failures_arrive() {
    at_cores(|pool| {
        let task = pool.spawn(|| panic!("inside") as u32);
        let result = task.join_timeout(FOREVER).expect("it is done");
        assert!(result.is_err_and(|error| error.is_panic()));
        let closed = Pool::new(1).expect("a pool");
        closed.close();
        let refused = closed.spawn(|| 1).join_timeout(SHORT).expect("it is done, in a way");
        assert!(matches!(refused, Err(JoinError::Cancelled)));
        // Detached after some waiting: it runs all the same.
        let (task, gate) = gated(pool);
        let ended = Arc::downgrade(&gate);
        drop(task.join_timeout(SHORT).expect_err("the gate is closed"));
        gate.open();
        drop(gate);
        crate::common::spin_until(|| ended.strong_count() == 0);
        assert_sound(pool);
    });
}
