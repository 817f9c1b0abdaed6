//! The facade's atomics show loom the races that loom's own hide from it (loom#392, loom#166).

use crate::common::{Bound, check};
use purloin_loom::internals::primitive::{AtomicUsize, Flaw, Ordering::Relaxed, with_flaw};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use test_fork::test;

/// What a model's executions came to.
fn outcomes<T: Ord + Send + 'static>(play: impl Fn() -> T + Send + Sync + 'static) -> BTreeSet<T> {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let all = Arc::clone(&seen);
    check("exploration", Bound::Unbounded, move || {
        let outcome = play();
        all.lock().unwrap().insert(outcome);
    });
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

/// A load on the main thread, and a load and a store on another. Fails with [`Flaw::Unmarked`].
fn hidden_load() -> usize {
    let word = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&word);
    let other = loom::thread::spawn(move || {
        theirs.load(Relaxed);
        theirs.store(1, Relaxed);
    });
    let read = word.load(Relaxed);
    other.join().unwrap();
    read
}

#[test]
fn a_load_does_not_hide_another_threads_load() {
    assert_eq!(outcomes(hidden_load), BTreeSet::from([0, 1]));
}

/// loom#392: with loom's own atomics there is one outcome.
#[test]
fn without_marks_a_load_is_hidden() {
    assert_eq!(with_flaw(Flaw::Unmarked, || outcomes(hidden_load)), BTreeSet::from([0]));
}

#[test]
fn two_increments_by_load_and_exchange() {
    // Each thread loads and exchanges once, the second may lose.
    let seen = outcomes(|| {
        let word = Arc::new(AtomicUsize::new(0));
        let step = |word: &AtomicUsize| {
            let read = word.load(Relaxed);
            word.compare_exchange(read, read + 1, Relaxed, Relaxed).is_ok()
        };
        let theirs = Arc::clone(&word);
        let other = loom::thread::spawn(move || step(&theirs));
        let mine = step(&word);
        (mine, other.join().unwrap(), word.load(Relaxed))
    });
    assert_eq!(seen, BTreeSet::from([(true, true, 2), (true, false, 1), (false, true, 1)]));
}

#[test]
fn an_extra_load_changes_nothing() {
    // loom#166.
    let run = |extra_load: bool| {
        outcomes(move || {
            let words = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let (writers, readers) = (Arc::clone(&words), Arc::clone(&words));
            let writer = loom::thread::spawn(move || {
                let [key, value] = &*writers;
                key.store(1, Relaxed);
                value.store(1, Relaxed);
                value.store(0, Relaxed);
                if extra_load {
                    key.load(Relaxed);
                }
                key.store(0, Relaxed);
            });
            let reader = loom::thread::spawn(move || {
                let [key, value] = &*readers;
                (value.load(Relaxed), key.load(Relaxed))
            });
            writer.join().unwrap();
            reader.join().unwrap()
        })
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn atomics_work_in_destructors_of_thread_locals() {
    struct AtExit(Arc<AtomicUsize>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let read = self.0.load(Relaxed);
            self.0.store(read + 1, Relaxed);
        }
    }
    loom::thread_local! {
        static AT_EXIT: std::cell::RefCell<Option<AtExit>> = std::cell::RefCell::new(None);
    }
    // Two threads add one by load and store as they end, and one of the additions may be lost.
    let seen = outcomes(|| {
        let word = Arc::new(AtomicUsize::new(0));
        let adders = [(); 2].map(|()| {
            let theirs = Arc::clone(&word);
            loom::thread::spawn(move || AT_EXIT.with(|slot| *slot.borrow_mut() = Some(AtExit(theirs))))
        });
        for adder in adders {
            adder.join().unwrap();
        }
        word.load(Relaxed)
    });
    assert_eq!(seen, BTreeSet::from([0, 1, 2]));
}
