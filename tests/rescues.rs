//! Threads that would wait for ever, if nobody came to their rescue: with all of a pool's threads in the middle of something,
//! and cores that nobody may use.

mod common;

use common::{Gate, LONG, watched, within};
use purloin::Pool;
use std::sync::{Arc, Mutex};

/// Pool `a` has one core and one thread, which waits for what a thread of pool `b` stole within `b.install`. That thread
/// joins a task of `a`'s: `a`'s core is idle, its only thread away, and nobody runs the task.
#[test]
fn a_handle_joined_by_another_pools_thread_at_the_cap() {
    let a = Pool::builder().cores(1).max_threads(1).build().expect("a pool");
    let b = Pool::builder().cores(2).max_threads(2).build().expect("a pool");
    watched(LONG.min(5), Some(&a), || {
        let (inner_a, inner_b) = (a.clone(), b.clone());
        let task = a.spawn(move || {
            let stolen = Gate::new();
            inner_b.join(
                || stolen.pass(),
                || {
                    stolen.open();
                    inner_a.spawn(|| 1).join().expect("no panic")
                },
            )
        });
        assert_eq!(task.join().expect("no panic"), ((), 1));
    });
    within(LONG, || drop((a, b)));
}

/// A caller from outside holds a lock across a region, and all cores run tasks that want it.
fn lock_across_a_region(stack_size: Option<usize>, cores: usize) {
    let builder = Pool::builder().cores(cores);
    let builder = if let Some(bytes) = stack_size { builder.stack_size(bytes) } else { builder };
    let pool = builder.build().expect("a pool");
    watched(LONG.min(5), Some(&pool), || {
        let lock = Arc::new(Mutex::new(0));
        let held = lock.lock().expect("no panic");
        let tasks: Vec<_> = (0..cores)
            .map(|_| {
                let (lock, begun) = (Arc::clone(&lock), Arc::new(Gate::new()));
                let told = Arc::clone(&begun);
                let task = pool.spawn(move || {
                    told.open();
                    *lock.lock().expect("no panic") += 1;
                });
                begun.pass();
                task
            })
            .collect();
        // Every core has a thread that waits for the lock.
        assert_eq!(pool.install(|| purloin::join(|| 1, || 2)), (1, 2));
        drop(held);
        tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        assert_eq!(*lock.lock().expect("no panic"), cores);
    });
    within(LONG, || drop(pool));
}

#[test]
fn as_a_guest() {
    [1, 2, 64].into_iter().for_each(|cores| lock_across_a_region(None, cores));
}

#[test]
fn on_stacks_of_a_size() {
    [1, 2, 64].into_iter().for_each(|cores| lock_across_a_region(Some(1 << 20), cores));
}
