//! What the integration tests share: a watchdog, the numbers of cores that every program is run at, gates that establish
//! an order without sleeping, and children: the test binary itself, run again where a process of its own is needed.

// Each test binary compiles this file for itself and uses its share of it.
#![allow(dead_code)]

#[cfg(unix)]
pub mod forked;

use purloin::{JoinHandle, Pool};
use std::any::Any;
use std::cell::RefCell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::process::{Command, Output};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Every program is run on one core, on as many as a small machine has, and on many more than that.
pub const CORES: [usize; 3] = [1, 2, 64];
/// Seconds after which a program counts as hung: some hundred times what it takes.
pub const LONG: u64 = 30;

std::thread_local! {
    static NOTE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Says under which circumstances the test goes on: the watchdog repeats it if the test hangs, the harness if it fails.
pub fn note(text: String) {
    println!("{text}:");
    NOTE.set(text);
}

/// Runs `body` in a thread. If it is not done in time the process ends with a message that names the test: a hang must
/// not hang the suite, and a hung thread cannot be stopped otherwise.
#[track_caller]
pub fn within<R: Send>(seconds: u64, body: impl FnOnce() -> R + Send) -> R {
    watched(seconds, None, body)
}

/// As [`within`], and if time runs out it tells what the pool has done.
#[track_caller]
pub fn watched<R: Send>(seconds: u64, pool: Option<&Pool>, body: impl FnOnce() -> R + Send) -> R {
    let mut result = None;
    watch(seconds, pool, Location::caller(), Box::new(|| result = Some(body())));
    result.expect("a body that returned")
}

/// The watchdog, compiled once and not for each of the several hundred bodies.
fn watch<'a>(seconds: u64, pool: Option<&Pool>, place: &Location<'_>, body: Box<dyn FnOnce() + Send + 'a>) {
    let name = thread::current().name().unwrap_or("unnamed").to_string();
    let (done, ended) = channel();
    thread::scope(|scope| {
        let runner = thread::Builder::new().name(name.clone()).spawn_scoped(scope, move || {
            let result = catch_unwind(AssertUnwindSafe(body));
            let _ = done.send(());
            result
        });
        let runner = runner.expect("a thread for the test");
        if ended.recv_timeout(Duration::from_secs(seconds)) == Err(RecvTimeoutError::Timeout) {
            // Not by `eprintln`, whose output the test harness would keep to itself and lose in the abort.
            let mut error = std::io::stderr();
            let _ = writeln!(error, "\ntest {name} ({place}) hangs {}: not done after {seconds} s", NOTE.take());
            if let Some(pool) = pool {
                let _ = writeln!(error, "{pool:#?}\n{}\n{}", pool.stats(), purloin::sync::waiting());
            }
            std::process::abort();
        }
        if let Ok(Err(payload)) | Err(payload) = runner.join() {
            // After a failure the end of the pool could hang, outside of anybody's watch.
            std::mem::forget(pool.cloned());
            resume_unwind(payload)
        }
    })
}

/// Runs `body` with a pool of each number of cores, under the watchdog, and so the end of each pool.
#[track_caller]
pub fn at_cores(body: impl Fn(&Pool) + Sync) {
    for cores in CORES {
        note(format!("with a pool of {cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        watched(LONG, Some(&pool), || body(&pool));
        within(LONG, || drop(pool));
    }
}

/// What `body` panics with.
#[track_caller]
pub fn panic_of<R>(body: impl FnOnce() -> R) -> Box<dyn Any + Send> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(_) => panic!("it was to panic"),
        Err(payload) => payload,
    }
}

/// The text of what `body` panics with.
#[track_caller]
pub fn panic_text_of<R>(body: impl FnOnce() -> R) -> String {
    text_of(&*panic_of(body)).to_string()
}

/// The text of a panic's payload.
pub fn text_of(payload: &(dyn Any + Send)) -> &str {
    match payload.downcast_ref::<&'static str>() {
        Some(text) => text,
        None => payload.downcast_ref::<String>().map_or("(no text)", String::as_str),
    }
}

/// The pool is as good as new: forks, loops, scopes and tasks all work.
#[track_caller]
pub fn assert_sound(pool: &Pool) {
    assert_eq!(pool.join(|| 1, || 2), (1, 2));
    assert_eq!(pool.map(0..100, |n| n + 1), (1..101).collect::<Vec<_>>());
    assert_eq!(pool.scope(|s| s.spawn(|| 3).join().expect("no panic")), 3);
    assert_eq!(pool.spawn(|| 4).join().expect("no panic"), 4);
}

/// Closed at first, opened once: what passes it comes after what opened it.
#[derive(Debug, Default)]
pub struct Gate {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    pub fn new() -> Gate {
        Gate::default()
    }

    pub fn open(&self) {
        *self.open.lock().expect("nobody panics here") = true;
        self.opened.notify_all();
    }

    /// Blocks this thread until the gate is open.
    pub fn pass(&self) {
        let open = self.open.lock().expect("nobody panics here");
        drop(self.opened.wait_while(open, |open| !*open));
    }

    pub fn is_open(&self) -> bool {
        *self.open.lock().expect("nobody panics here")
    }
}

/// What a task made, which a thread of its pool has run. Whoever joins it from outside runs it himself if no core has been to be
/// had for long, as on a busy machine.
pub fn run_by_its_pool<T: Send>(task: JoinHandle<T>) -> T {
    spin_until(|| task.is_finished());
    task.join().expect("no panic")
}

/// Gives the processor away until `condition` holds.
pub fn spin_until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

/// The threads that this process has, says the operating system.
#[cfg(target_os = "linux")]
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("there is /proc").count()
}

/// Waits until the process has so many threads. One that has been joined has told so as the last thing but one: the system takes it
/// off its lists, and gives its number back, a moment later.
#[cfg(target_os = "linux")]
pub fn await_threads(wanted: usize) {
    spin_until(|| threads() == wanted);
}

/// Keeps a processor busy for about that long.
pub fn spin_for(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// The variable that tells a child which part it plays.
const PART: &str = "PURLOIN_TEST_PART";

/// The part that this process plays: none in the test proper.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// Runs the test of that name alone, in a process of its own, in which [`part`] gives `part`.
pub fn child(test: &str, part: &str, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().expect("the test binary knows its path");
    Command::new(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env_remove("PURLOIN_CORES")
        // Children panic on purpose, and to look up the names of a backtrace takes long.
        .env("RUST_BACKTRACE", "0")
        .env(PART, part)
        .envs(variables.iter().copied())
        .output()
        .expect("the test binary runs")
}

/// As [`child`], which must end well; gives what it wrote to standard output.
#[track_caller]
pub fn good_child(test: &str, part: &str, variables: &[(&str, &str)]) -> String {
    let output = child(test, part, variables);
    let (out, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the child's end: {}\n{out}\n{error}", output.status);
    assert!(out.contains("1 passed"), "the child ran no test of the name {test}:\n{out}");
    out.into_owned()
}
