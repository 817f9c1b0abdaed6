//! Misuse is reported, not hung, where readers have a part in it, or the makers of values: and nothing else is reported.

use crate::common::{LONG, at_cores, panic_text_of, spin_until, text_of, within};
use purloin::Pool;
use purloin::sync::{Mutex, OnceLock, RwLock, waiting};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// The line of this file that ends with the text.
fn line_of(text: &str) -> String {
    let number = include_str!("sync_reader_deadlocks.rs").lines().position(|line| line.trim_end().ends_with(text));
    format!("{}:{}:", file!(), number.expect("such a line") + 1)
}

#[track_caller]
fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// What `body` was told, if it was.
fn told(body: impl FnOnce()) -> Option<String> {
    catch_unwind(AssertUnwindSafe(body)).err().map(|payload| text_of(&*payload).to_owned())
}

/// Until somebody waits at that line.
fn until_waiting_at(line: &str) {
    purloin::blocking(|| spin_until(|| waiting().to_string().contains(&format!("waits at {line}"))));
}

/// Until a writer waits for the readers of the lock, of whom there are some.
fn until_closed<T>(lock: &RwLock<T>) {
    purloin::blocking(|| spin_until(|| lock.try_read().is_none()));
}

type Body<'a> = &'a (dyn Fn() + Sync);

/// Runs all at once, as tasks of the pool or as threads, and gives what they were told.
fn all_told(pool: Option<&Pool>, bodies: &[Body<'_>]) -> Vec<Option<String>> {
    let caught = "what it was told is caught";
    match pool {
        Some(pool) => pool.scope(|s| {
            let all: Vec<_> = bodies.iter().map(|body| s.spawn(move || told(body))).collect();
            all.into_iter().map(|one| one.join().expect(caught)).collect()
        }),
        None => thread::scope(|s| {
            let all: Vec<_> = bodies.iter().map(|body| s.spawn(move || told(body))).collect();
            all.into_iter().map(|one| one.join().expect(caught)).collect()
        }),
    }
}

/// Runs the body with pools of some sizes, and with threads.
fn in_each_way(body: impl Fn(Option<&Pool>) + Sync) {
    at_cores(|pool| body(Some(pool)));
    within(LONG, || body(None));
}

/// Only the one of that index was told. Gives what.
#[track_caller]
fn only(told: Vec<Option<String>>, index: usize) -> String {
    let mut told: Vec<_> = told.into_iter().enumerate().filter_map(|(index, told)| Some((index, told?))).collect();
    assert!(told.len() == 1 && told[0].0 == index, "not only {index} was told: {told:#?}");
    told.remove(0).1
}

#[test]
fn to_write_what_one_reads() {
    at_cores(|pool| {
        let lock = RwLock::new(0);
        let text = pool.install(|| {
            let _reads = lock.read(); // read at first
            panic_text_of(|| drop(lock.write())) // then to be written
        });
        let parts = ["locks again what it holds", "for RwLock 0x", "thread \"", "(core "];
        assert_contains(&text, &parts);
        let (first, then) = (line_of("// read at first"), line_of("// then to be written"));
        assert_contains(&text, &[&format!("waits at {then}"), "locked for reading at", &first]);
        assert!(lock.try_write().is_some(), "the panic has changed nothing");
    });
}

/// A writer that waits keeps readers out, so a thread that reads already must not read again.
#[test]
fn to_read_again_behind_a_writer() {
    in_each_way(|pool| {
        let (lock, reads) = (RwLock::new(0), Barrier::new(2));
        let reader = || {
            let _reads = lock.read(); // read once
            purloin::blocking(|| reads.wait());
            until_closed(&lock);
            drop(lock.read()); // read twice
        };
        let writer = || {
            purloin::blocking(|| reads.wait());
            *lock.write() += 1; // written between
        };
        let text = only(all_told(pool, &[&reader, &writer]), 0);
        let lines = [line_of("// read once"), line_of("// read twice"), line_of("// written between")];
        assert_contains(&text, &["reads again what it reads, behind a writer", &lines[0], &lines[1], &lines[2]]);
        assert_contains(&text, &["locked for reading at", "is to write first, who waits at"]);
        assert_eq!(lock.into_inner(), 1, "the writer went on");
    });
}

/// One reads a lock and wants the mutex of another, who wants to write: whoever comes last is told.
#[test]
fn a_circle_through_a_reader() {
    for last in [0, 1] {
        in_each_way(|pool| {
            let (lock, mutex, both) = (RwLock::new(0), Mutex::new(0), Barrier::new(2));
            let (wants_mutex, wants_write) = (line_of("// a reader wants it"), line_of("// its owner wants to write"));
            let reader = || {
                let _reads = lock.read(); // the reader reads
                purloin::blocking(|| both.wait());
                if last == 0 {
                    until_waiting_at(&wants_write);
                }
                drop(mutex.lock()); // a reader wants it
            };
            let owner = || {
                let _owns = mutex.lock(); // the owner locks
                purloin::blocking(|| both.wait());
                if last == 1 {
                    until_waiting_at(&wants_mutex);
                }
                drop(lock.write()); // its owner wants to write
            };
            let text = only(all_told(pool, &[&reader, &owner]), last);
            let (reads, owns) = (line_of("// the reader reads"), line_of("// the owner locks"));
            assert_contains(&text, &["a lock that the next one holds", "for RwLock 0x", "for Mutex 0x"]);
            assert_contains(&text, &[&wants_mutex, &wants_write]);
            assert_contains(&text, &[&format!("locked for reading at {reads}"), &format!("took at {owns}")]);
        });
    }
}

/// One reads a lock and wants the mutex of another, who wants to read too: but a writer waits.
#[test]
fn a_circle_through_a_writer_that_waits() {
    for last in [0, 1] {
        in_each_way(|pool| {
            let (lock, mutex, both) = (RwLock::new(0), Mutex::new(0), Barrier::new(3));
            let (wants_mutex, wants_read) = (line_of("// the reader wants it"), line_of("// its owner wants to read"));
            let reader = || {
                let _reads = lock.read(); // this one reads
                purloin::blocking(|| both.wait());
                if last == 0 {
                    until_waiting_at(&wants_read);
                }
                drop(mutex.lock()); // the reader wants it
            };
            let owner = || {
                let _owns = mutex.lock(); // that one locks
                purloin::blocking(|| both.wait());
                if last == 1 {
                    until_waiting_at(&wants_mutex);
                }
                until_closed(&lock);
                drop(lock.read()); // its owner wants to read
            };
            let writer = || {
                purloin::blocking(|| both.wait());
                *lock.write() += 1; // the writer waits
            };
            let text = only(all_told(pool, &[&reader, &owner, &writer]), last);
            let lines = ["// this one reads", "// that one locks", "// the writer waits"].map(line_of);
            assert_contains(&text, &["is to have first", &wants_mutex, &wants_read]);
            assert_contains(&text, &[&lines[0], &lines[1], &lines[2]]);
        });
    }
}

/// A writer waits for all readers, and for any that can't go on.
#[test]
fn a_circle_through_one_of_many_readers() {
    in_each_way(|pool| {
        let (lock, mutex, all) = (RwLock::new(0), Mutex::new(0), Barrier::new(4));
        let over = AtomicBool::new(false);
        let reads_on = || {
            let _reads = lock.read();
            purloin::blocking(|| {
                all.wait();
                spin_until(|| over.load(Ordering::Relaxed));
            });
        };
        let wanted = line_of("// one of many wants it");
        let reader = || {
            let _reads = lock.read(); // one of many
            purloin::blocking(|| all.wait());
            drop(mutex.lock()); // one of many wants it
        };
        let owner = || {
            let _owns = mutex.lock();
            purloin::blocking(|| all.wait());
            until_waiting_at(&wanted);
            let told = panic_text_of(|| drop(lock.write()));
            over.store(true, Ordering::Relaxed);
            panic!("{told}");
        };
        let text = only(all_told(pool, &[&reads_on, &reader, &reads_on, &owner]), 3);
        assert_contains(&text, &[&wanted, &line_of("// one of many")]);
        assert_eq!(text.matches("locked for reading").count(), 1, "{text}");
    });
}

/// A writer with a time-out gives up, and then readers come in.
#[test]
fn no_circle_behind_a_writer_that_gives_up() {
    in_each_way(|pool| {
        let (lock, reads, seen) = (RwLock::new(0), Barrier::new(2), AtomicBool::new(false));
        let reader = || {
            let _reads = lock.read();
            purloin::blocking(|| reads.wait());
            until_waiting_at(&line_of("// for a while"));
            seen.store(true, Ordering::Relaxed);
            drop(lock.read());
        };
        let writer = || {
            purloin::blocking(|| reads.wait());
            while !seen.load(Ordering::Relaxed) {
                drop(lock.try_write_for(Duration::from_millis(20))); // for a while
            }
        };
        assert_eq!(all_told(pool, &[&reader, &writer]), [None, None]);
    });
}

/// All at once, with nothing that says who comes first: whether there is a circle or none, everybody's call ends, and at most
/// one is told.
#[test]
fn all_end_whoever_comes_first() {
    within(LONG, || {
        for _ in 0..500 {
            let (lock, mutex, start) = (RwLock::new(0), Mutex::new(0), Barrier::new(3));
            let reader = || {
                start.wait();
                let _reads = lock.read();
                drop(lock.read());
                drop(mutex.lock());
            };
            let owner = || {
                start.wait();
                let _owns = mutex.lock();
                drop(lock.read());
            };
            let writer = || {
                start.wait();
                *lock.write() += 1;
            };
            let told = all_told(None, &[&reader, &owner, &writer]);
            assert!(told.iter().flatten().count() <= 1, "more than one was told: {told:#?}");
            assert_eq!(lock.try_read().as_deref(), Some(&i32::from(told[2].is_none())), "{told:#?}");
            assert!(mutex.try_lock().is_some());
        }
    });
}

/// A guard that is forgotten keeps its lock locked, wherever it moves to, and no other lock that comes to lie there.
#[test]
fn a_forgotten_guard_is_of_its_lock() {
    within(LONG, || {
        let mut there = Box::new(RwLock::new(0));
        mem::forget(there.read()); // forgotten
        let moved = mem::replace(&mut *there, RwLock::new(1));
        assert_contains(&panic_text_of(|| drop(moved.write())), &["locks again", &line_of("// forgotten")]);

        let (reads, wants) = (Barrier::new(2), line_of("// wanted by whom nothing keeps"));
        thread::scope(|scope| {
            scope.spawn(|| {
                let _reads = there.read();
                reads.wait();
                until_waiting_at(&wants);
            });
            reads.wait();
            *there.write() += 1; // wanted by whom nothing keeps
        });
        assert_eq!(there.into_inner(), 2);
    });
}

/// Threads that read and write the same locks in the same order are told nothing, however fast they come and go, and in
/// whichever order they give back.
#[test]
fn no_circle_of_readers_where_there_is_none() {
    at_cores(|pool| {
        let locks: [RwLock<usize>; 3] = Default::default();
        pool.map(0..6_000usize, |n| {
            if n % 5 == 0 {
                *locks[n % 3].write() += 1;
                return;
            }
            let (low, high) = (locks[n % 2].read(), (n % 3 == 0).then(|| locks[2].write()));
            if n % 7 == 0 {
                drop(low);
                drop(high);
            } else if high.is_none() && n % 2 == 0 {
                // The next one, before the last one is given back.
                let next = locks[1].read();
                drop(low);
                drop((locks[2].read(), next));
            }
        });
        assert_eq!(locks.into_iter().map(RwLock::into_inner).sum::<usize>(), 1_200);
    });
}

/// Two who make values and want each other's: one is told, and the other makes the value in its place.
#[test]
fn a_circle_of_makers() {
    in_each_way(|pool| {
        let (values, both) = ([OnceLock::new(), OnceLock::new()], Barrier::new(2));
        let maker = |n: usize| {
            let make = || {
                purloin::blocking(|| both.wait());
                *values[1 - n].get_or_init(|| 10) + 1 // the other's is wanted
            };
            assert_eq!(values[n].get_or_init(make), &11); // its own is made
        };
        let all = all_told(pool, &[&|| maker(0), &|| maker(1)]);
        let told = usize::from(all[0].is_none());
        let text = only(all, told);
        let (own, wanted) = (line_of("// its own is made"), line_of("// the other's is wanted"));
        assert_contains(&text, &["the next one holds", "for OnceLock 0x", &format!("makes since {own}")]);
        assert_eq!(text.matches(&format!("waits at {wanted}")).count(), 2, "{text}");
        assert_eq!((values[told].get(), values[1 - told].get()), (Some(&10), Some(&11)));
    });
}

/// The maker of a value wants a mutex, and its owner the value.
#[test]
fn a_circle_through_a_maker() {
    for last in [0, 1] {
        in_each_way(|pool| {
            let (value, mutex, both) = (OnceLock::new(), Mutex::new(1), Barrier::new(2));
            let (wants_mutex, wants_value) =
                (line_of("// the maker wants it"), line_of("// the owner wants the value"));
            let maker = || {
                value.get_or_init(|| {
                    purloin::blocking(|| both.wait());
                    if last == 0 {
                        until_waiting_at(&wants_value);
                    }
                    *mutex.lock() // the maker wants it
                });
            };
            let owner = || {
                let owns = mutex.lock();
                purloin::blocking(|| both.wait());
                if last == 1 {
                    until_waiting_at(&wants_mutex);
                }
                value.get_or_init(|| *owns); // the owner wants the value
            };
            let text = only(all_told(pool, &[&maker, &owner]), last);
            assert_contains(&text, &["makes since", "took at", &wants_mutex, &wants_value]);
            assert_eq!(value.get(), Some(&1), "the other went on");
        });
    }
}

/// Who waits for readers is told who they are, as far as they wait themselves; and who waits for a value, who makes it.
#[test]
fn a_snapshot_tells_of_readers_and_makers() {
    in_each_way(|pool| {
        let (lock, value, held) = (RwLock::new(0), OnceLock::new(), Mutex::new(0));
        let all = Barrier::new(4);
        let waits_too = line_of("// a reader that waits");
        let (write, ask) = (line_of("// a writer that waits"), line_of("// one who asks"));
        let reader = || {
            let _reads = lock.read(); // what the writer waits for
            purloin::blocking(|| all.wait());
            drop(held.lock()); // a reader that waits
        };
        let writer = || {
            purloin::blocking(|| all.wait());
            drop(lock.write()); // a writer that waits
        };
        let asks = || {
            purloin::blocking(|| all.wait());
            value.get_or_init(|| 1); // one who asks
        };
        let maker = || {
            let guard = held.lock();
            value.get_or_init(|| {
                purloin::blocking(|| all.wait());
                [&waits_too, &write, &ask].into_iter().for_each(|line| until_waiting_at(line));
                let snapshot = waiting().to_string();
                let line_at = |at: &str| snapshot.lines().find(|line| line.contains(&format!("waits at {at}")));
                let read = format!("locked for reading at {}", line_of("// what the writer waits for"));
                assert_contains(line_at(&write).expect("the writer"), &["for RwLock", &read]);
                assert_contains(line_at(&ask).expect("who asks"), &["for OnceLock", "makes since"]);
                2
            });
            drop(guard);
        };
        assert_eq!(all_told(pool, &[&reader, &writer, &asks, &maker]), [None, None, None, None]);
    });
}
