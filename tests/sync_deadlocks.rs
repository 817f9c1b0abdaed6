//! Misuse is reported, not hung: a lock that is locked again, threads that wait for each other in a circle, and the question
//! why it is stuck.

mod common;

use common::{
    CORES, Gate, LONG, assert_sound, at_cores, note, panic_text_of, spin_for, spin_until, text_of, watched, within,
};
use purloin::Pool;
use purloin::sync::{Condvar, Monitor, Mutex, OnceLock, RwLock, Snapshot, waiting};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// The line of this file that holds the text.
fn line_of(text: &str) -> String {
    let number = include_str!("sync_deadlocks.rs").lines().position(|line| line.trim_end().ends_with(text));
    format!("{}:{}:", file!(), number.expect("such a line") + 1)
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn locking_again_is_reported() {
    at_cores(|pool| {
        let mutex = Mutex::new(0);
        let text = pool.install(|| {
            let _first = mutex.lock(); // the first time
            panic_text_of(|| drop(mutex.lock())) // the second time
        });
        let own = [
            "locks again what it holds",
            "Mutex",
            "(core ",
            &line_of("// the first time"),
            &line_of("// the second time"),
        ];
        assert_contains(&text, &own);
        // The panic has changed nothing.
        assert!(mutex.try_lock().is_some());

        let lock = RwLock::new(0);
        let _writer = lock.write();
        assert_contains(&panic_text_of(|| drop(lock.read())), &["locks again", "RwLock"]);
        assert_contains(&panic_text_of(|| drop(lock.write())), &["locks again", "RwLock"]);

        let monitor = Monitor::new(0);
        let text = panic_text_of(|| monitor.with(|_| monitor.with(|_| ())));
        assert_contains(&text, &["locks again", "Monitor"]);
        assert_eq!(monitor.into_inner(), 0);
    });
}

/// The panic is where the program locks, not somewhere in here: by the hook, and so in what it prints.
#[test]
fn the_panic_is_at_the_line_that_locks() {
    static SEEN: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    const LOCKER: &str = "locker";
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().name() == Some(LOCKER) {
            SEEN.lock().unwrap().extend(info.location().map(ToString::to_string));
        } else {
            before(info);
        }
    }));
    let (mutex, lock, monitor) = (Mutex::new(0), RwLock::new(0), Monitor::new(0));
    let (other, once) = (RwLock::new(0), OnceLock::new());
    thread::scope(|scope| {
        let locker = thread::Builder::new().name(LOCKER.to_owned());
        let body = || {
            let _held = (mutex.lock(), lock.write());
            panic_text_of(|| drop(mutex.lock())); // a mutex again
            panic_text_of(|| drop(lock.read())); // to read
            panic_text_of(|| drop(lock.write())); // to write
            panic_text_of(|| monitor.with(|_| monitor.with(|_| ()))); // inside again
            panic_text_of(|| *once.get_or_init(|| *once.get_or_init(|| 1))); // its own value
            let _read = other.read();
            panic_text_of(|| drop(other.write())); // to write what is read
        };
        locker.spawn_scoped(scope, body).expect("a thread").join().expect("all are caught");
    });
    let seen = SEEN.lock().unwrap();
    let lines = [
        "// a mutex again",
        "// to read",
        "// to write",
        "// inside again",
        "// its own value",
        "// to write what is read",
    ];
    assert_eq!(seen.len(), lines.len(), "{seen:?}");
    for (seen, line) in seen.iter().zip(lines) {
        assert!(seen.starts_with(&line_of(line)), "{line} is told at {seen}");
    }
}

/// So many threads, each of which holds a lock and wants the next one's. Gives what the one said that was told.
fn circle(locks: &[Mutex<usize>], run: impl FnOnce(&(dyn Fn(usize) -> Option<String> + Sync))) {
    let all_hold = Barrier::new(locks.len());
    let philosopher = |n: usize| {
        let one = catch_unwind(AssertUnwindSafe(|| {
            let mut left = locks[n].lock(); // the left one
            all_hold.wait();
            *left += 1;
            let right = locks[(n + 1) % locks.len()].lock(); // the right one
            drop(right);
        }));
        one.err().map(|payload| text_of(&*payload).to_owned())
    };
    run(&philosopher);
}

fn assert_told_once(told: Vec<Option<String>>, members: usize) {
    let told: Vec<_> = told.into_iter().flatten().collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let (left, right) = (line_of("// the left one"), line_of("// the right one"));
    assert_contains(&told[0], &["a lock that the next one holds", &left, &right]);
    assert_eq!(told[0].matches(&right).count(), members, "{}", told[0]);
}

/// Exactly one is told, and the others go on.
#[test]
fn a_circle_of_threads_is_reported() {
    within(LONG, || {
        for members in [2, 3, 7] {
            let locks: Vec<_> = (0..members).map(|_| Mutex::new(0)).collect();
            circle(&locks, |philosopher| {
                let told = thread::scope(|scope| {
                    let all: Vec<_> = (0..members).map(|n| scope.spawn(move || philosopher(n))).collect();
                    all.into_iter().map(|one| one.join().expect("caught")).collect::<Vec<_>>()
                });
                assert_told_once(told, members);
            });
            assert!(locks.into_iter().all(|lock| lock.into_inner() == 1));
        }
    });
}

/// The same with tasks: their threads are named, with their cores.
#[test]
fn a_circle_of_tasks_is_reported() {
    for cores in CORES.into_iter().filter(|cores| *cores > 1) {
        note(format!("with a pool of {cores} cores"));
        let name = |index| format!("philosopher-{index}");
        let pool = Pool::builder().cores(cores).thread_name(name).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            let locks = [Mutex::new(0), Mutex::new(0)];
            circle(&locks, |philosopher| {
                let told: Vec<_> = pool.scope(|s| {
                    let all = [0, 1].map(|n| s.spawn(move || purloin::blocking(|| philosopher(n))));
                    all.into_iter().map(|one| one.join().expect("caught")).collect()
                });
                assert_told_once(told, 2);
            });
        });
        within(LONG, || drop(pool));
    }
}

/// A wait with a time-out ends by itself, so it closes no circle.
#[test]
fn a_time_out_breaks_a_circle() {
    within(LONG, || {
        let (one, two, both_hold) = (Mutex::new(()), Mutex::new(()), Barrier::new(2));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _one = one.lock();
                both_hold.wait();
                assert!(two.try_lock_for(Duration::from_millis(20)).is_none());
            });
            let _two = two.lock();
            both_hold.wait();
            drop(one.lock());
        });
    });
}

/// Threads that take the same locks in the same order are never told anything, however fast they come and go.
#[test]
fn no_circle_where_there_is_none() {
    at_cores(|pool| {
        let locks: [Mutex<usize>; 4] = Default::default();
        let shared = RwLock::new(0);
        pool.map(0..4_000usize, |n| {
            let (low, high) = (n % 3, n % 3 + 1);
            let mut first = locks[low].lock();
            *first += 1;
            let mut second = locks[high].lock();
            *second += 1;
            // Given back and taken again, still in order.
            drop(first);
            *shared.write() += 1;
        });
        assert_eq!(locks.into_iter().map(Mutex::into_inner).sum::<usize>(), 8_000);
        assert_eq!(shared.into_inner(), 4_000);
    });
}

/// A pool that works, or has nothing to do, is not reported; one that has come to a standstill is, once.
#[test]
fn a_standstill_is_reported() {
    for cores in CORES {
        note(format!("with a pool of {cores} cores"));
        let (sender, told) = channel();
        let told = std::sync::Mutex::new(told);
        let handler = move |snapshot: &Snapshot| drop(sender.send(snapshot.to_string()));
        let pool = Pool::builder().cores(cores).watchdog(Duration::from_millis(1), handler).build().expect("a pool");
        watched(LONG, Some(&pool), || {
            pool.install(|| spin_for(Duration::from_millis(20)));
            assert!(told.lock().expect("no panic").try_recv().is_err(), "it worked");
            let closed = Monitor::new(true);
            pool.scope(|s| {
                for _ in 0..2 * cores {
                    s.spawn(|| closed.wait_until(|closed| (!*closed).then_some(()))); // stuck here
                }
                let told = purloin::blocking(|| told.lock().expect("no panic").recv().expect("the watchdog is there"));
                assert_contains(&told, &["for Monitor 0x", &line_of("// stuck here")]);
                closed.with(|mut closed| *closed = false);
            });
            assert_sound(&pool);
        });
        within(LONG, || drop(pool));
    }
}

#[test]
fn a_snapshot_tells_who_waits_for_what() {
    at_cores(|pool| {
        let (mutex, condvar, monitor) = (Mutex::new(false), Condvar::new(), Monitor::new(false));
        let (holds, gate) = (Gate::new(), Gate::new());
        thread::scope(|scope| {
            let holder = thread::Builder::new().name("the holder".into());
            let holder = holder.spawn_scoped(scope, || {
                let _guard = mutex.lock(); // held here
                holds.open();
                gate.pass();
            });
            let holder = holder.expect("a thread");
            holds.pass();
            pool.scope(|s| {
                s.spawn(|| drop(mutex.lock())); // wanted here
                s.spawn(|| {
                    let other = Mutex::new(false);
                    let _ = condvar.wait_for(other.lock(), Duration::from_secs(3600)); // awaited here
                });
                s.spawn(|| monitor.wait_until(|state| (*state).then_some(()))); // inside here
                let places = ["// wanted here", "// awaited here", "// inside here"].map(line_of);
                let mine = || {
                    let snapshot = waiting().to_string();
                    let mine = |line: &&str| places.iter().any(|place| line.contains(place));
                    snapshot.lines().filter(mine).map(str::to_owned).collect::<Vec<_>>()
                };
                purloin::blocking(|| spin_until(|| mine().len() == 3));
                let text = mine().join("\n");
                let taken = format!("which thread \"the holder\" took at {}", line_of("// held here"));
                assert_contains(
                    &text,
                    &["for Mutex 0x", &taken, "for Condvar 0x", "with a time-out", "for Monitor 0x"],
                );
                assert_contains(&text, &["thread \"purloin-", "(core ", "of pool 0x"]);
                gate.open();
                condvar.notify_all();
                monitor.with(|mut state| *state = true);
            });
            holder.join().expect("no panic");
        });
    });
}
