//! What types of `sync` promise by traits alone.

use purloin::Why;
use purloin::sync::{Barrier, Condvar, Event, Latch, Mutex, OnceLock, Queue, Semaphore};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

fn survives_panics<T: UnwindSafe + RefUnwindSafe>() {}

/// Nothing of the user's can be seen half changed in them.
#[test]
fn they_may_be_used_across_a_caught_panic() {
    survives_panics::<Barrier>();
    survives_panics::<Condvar>();
    survives_panics::<Event>();
    survives_panics::<Latch>();
    survives_panics::<Semaphore>();
    survives_panics::<Queue<std::cell::Cell<u8>>>();
    survives_panics::<OnceLock<String>>();
}

#[test]
fn a_once_lock_is_emptied_and_filled() {
    let mut lock = OnceLock::from(1);
    *lock.get_mut().expect("it is there") += 1;
    assert_eq!(lock.set(7), Err(7));
    assert_eq!((lock.take(), lock.take(), lock.get_mut()), (Some(2), None, None));
    assert_eq!(lock.get_or_init(|| 3), &3);
}

#[test]
fn a_condition_is_waited_for_with_a_time_out() {
    let (count, changed) = (Mutex::new(0), Condvar::new());
    let (guard, result) = changed.wait_while_for(count.lock(), |count| *count == 0, Duration::ZERO);
    assert!(result.timed_out() && *guard == 0);
    drop(guard);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                *count.lock() += 1;
                changed.notify_all();
            }
        });
        let (guard, result) = changed.wait_while_for(count.lock(), |count| *count < 3, Duration::from_secs(3600));
        assert!(!result.timed_out() && *guard == 3);
    });
    // It holds no more: nobody has to be notified, nor is the time looked at.
    let (_guard, result) = changed.wait_while_for(count.lock(), |_| false, Duration::ZERO);
    assert!(!result.timed_out());
}

#[test]
fn small_conveniences() {
    let queue: Queue<u8> = Queue::default();
    assert_eq!((queue.len(), queue.capacity()), (0, None));
    assert_eq!(
        (Why::Token.to_string(), Why::Deadline.to_string()),
        (String::from("cancelled by its token"), String::from("stopped at its deadline"))
    );
}
