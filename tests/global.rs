//! The global pool: its size from `PURLOIN_CORES`, a value that means nothing told, and used by many threads at once
//! (pixi#5183, turborepo#12251: a wrong number of threads; reth#17324: a global pool that is set up twice).

mod common;

use common::{LONG, good_child, panic_text_of, part, run_by_its_pool, within};
use purloin::Pool;
use std::sync::Barrier;
use std::thread;

/// Runs the test of that name in a process for each value.
fn children(test: &str, values: &[&str]) {
    for value in values {
        good_child(test, value, &[("PURLOIN_CORES", value)]);
    }
}

/// As many cores as this process may use.
fn default_cores() -> usize {
    Pool::new(0).expect("a pool").cores()
}

#[test]
fn as_many_cores_as_asked_for() {
    let Some(asked) = part() else {
        children("as_many_cores_as_asked_for", &["1", "2", "7", "64", " 3 ", "003", "+5"]);
        return;
    };
    within(LONG, || {
        assert_eq!(Pool::global().cores(), asked.trim().trim_start_matches('+').parse().expect("a number"));
        assert_eq!(purloin::join(|| 1, || 2), (1, 2));
        assert_eq!(Pool::global().stats().threads, Pool::global().cores());
        let name = run_by_its_pool(Pool::global().spawn(|| thread::current().name().map(str::to_owned)));
        assert!(name.is_some_and(|name| name.starts_with("purloin-global-")));
    });
}

#[test]
fn the_default() {
    if part().is_none() {
        children("the_default", &["0", "", " "]);
        good_child("the_default", "not set", &[]);
        return;
    }
    within(LONG, || assert_eq!(Pool::global().cores(), default_cores()));
}

/// Every way to the global pool says what is wrong, each time, and other pools are none the worse for it.
#[test]
fn what_means_nothing_is_told() {
    let Some(value) = part() else {
        let garbage = ["many", "-1", "2.5", "2 3", "0x10", "4097", "1000000", "99999999999999999999999", "1\u{2009}"];
        // A Unicode blank is no part of a number, but trimmed like any other.
        children("what_means_nothing_is_told", &garbage[..garbage.len() - 1]);
        good_child("as_many_cores_as_asked_for", "1", &[("PURLOIN_CORES", garbage[garbage.len() - 1])]);
        return;
    };
    within(LONG, || {
        let told = |text: String| {
            assert!(text.contains("PURLOIN_CORES") && text.contains(&format!("{value:?}")), "{text}");
            assert!(text.contains("4096") && text.contains("not set"), "the way out: {text}");
        };
        for _ in 0..2 {
            told(panic_text_of(Pool::global));
            told(panic_text_of(|| purloin::join(|| 1, || 2)));
            told(panic_text_of(|| purloin::scope(|s| drop(s.spawn(|| ())))));
            told(panic_text_of(|| drop(purloin::spawn(|| ()))));
        }
        let own = Pool::new(2).expect("a pool");
        assert_eq!(own.install(|| purloin::join(|| 1, || 2)), (1, 2));
        assert_eq!(Pool::new(0).expect("a pool").cores(), thread::available_parallelism().map_or(1, usize::from));
    });
}

/// What is no text at all.
#[cfg(target_os = "linux")]
#[test]
fn what_is_no_text_is_told() {
    use std::os::unix::ffi::OsStrExt;
    if part().is_none() {
        good_child("what_is_no_text_is_told", "bytes", &[]);
        return;
    }
    // SAFETY: no thread of this process reads the environment at the same time.
    unsafe { std::env::set_var("PURLOIN_CORES", std::ffi::OsStr::from_bytes(b"2\xff")) };
    within(LONG, || assert!(panic_text_of(Pool::global).contains("PURLOIN_CORES is \"2\\xFF\"")));
}

/// All want it at the same moment, and none of them has it yet: there is one, and it serves all.
#[test]
fn many_threads_at_once() {
    if part().is_none() {
        children("many_threads_at_once", &["1", "2", "64"]);
        return;
    }
    within(LONG, || {
        let callers = 32;
        let together = Barrier::new(callers);
        thread::scope(|scope| {
            let callers: Vec<_> = (0..callers)
                .map(|caller| {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        for round in 0..50 {
                            assert_eq!(purloin::join(|| caller, || round), (caller, round));
                            let mut marks = [0; 10];
                            purloin::scope(|s| marks.iter_mut().for_each(|mark| drop(s.spawn(move || *mark = round))));
                            assert_eq!(marks, [round; 10]);
                            assert_eq!(
                                purloin::spawn(move || caller + round).join().expect("no panic"),
                                caller + round
                            );
                        }
                        std::ptr::from_ref(Pool::global()).addr()
                    })
                })
                .collect();
            let pools: Vec<_> = callers.into_iter().map(|caller| caller.join().expect("no panic")).collect();
            assert!(pools.iter().all(|&pool| pool == pools[0]), "one pool for all");
        });
        assert_eq!(Pool::global().stats().cores, Pool::global().cores());
    });
}

/// Closing it is possible, and final: what callers do themselves goes on.
#[test]
fn closed() {
    if part().is_none() {
        children("closed", &["1", "2"]);
        return;
    }
    within(LONG, || {
        Pool::global().close();
        assert_eq!(Pool::global().join_threads(None), Ok(()));
        assert_eq!(purloin::join(|| 1, || 2), (1, 2));
        assert_eq!(purloin::scope(|s| s.spawn(|| 3).join().expect("no panic")), 3);
        assert!(purloin::spawn(|| ()).join().is_err_and(|error| error.is_cancelled()));
    });
}
