//! Children by `fork()`, which go on where their parent is.

use super::{CORES, LONG, assert_sound, good_child, note, part, text_of, within};
use purloin::Pool;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;

/// What became of a forked child.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Done,
    /// It panicked, and the text says why.
    SaysWhy,
    /// It panicked with something else.
    Panicked,
    /// A signal ended it: `SIGALRM` if it hung.
    Signal(i32),
}

/// Forks. The child goes on with `None`, to [`end_child`], and is ended if it hangs; the parent waits for its end.
pub fn fork_and_go_on() -> Option<End> {
    // SAFETY: glibc makes its allocator usable in the child, and the child does not touch the harness's locks.
    let child = unsafe { libc::fork() };
    assert!(child >= 0, "fork");
    if child == 0 {
        // SAFETY: no memory is involved.
        unsafe { libc::alarm(10) };
        // SAFETY: the function is there until the end.
        unsafe { libc::atexit(end_without_looking) };
        return None;
    }
    let mut status = 0;
    // SAFETY: the child is ours, and the status a valid place.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    Some(match (libc::WIFEXITED(status), libc::WEXITSTATUS(status)) {
        (true, 0) => End::Done,
        (true, 1) => End::SaysWhy,
        (true, _) => End::Panicked,
        (false, _) => End::Signal(libc::WTERMSIG(status)),
    })
}

/// For a child that ends with its last thread: at once, since LeakSanitizer would look for what the parent's other threads have,
/// and take it for lost.
extern "C" fn end_without_looking() {
    // SAFETY: ends the child, which would end now anyway.
    unsafe { libc::_exit(0) };
}

/// Ends a forked child, so that its parent learns what became of it.
pub fn end_child(result: thread::Result<()>) -> ! {
    let code = match result {
        Ok(()) => 0,
        Err(payload) if text_of(&*payload).contains("forked from the one that built the pool") => 1,
        Err(_) => 2,
    };
    // SAFETY: ends the child at once, without the parent's handlers for the end.
    unsafe { libc::_exit(code) }
}

/// Runs `body` in a forked child.
pub fn forked(body: impl FnOnce()) -> End {
    fork_and_go_on().unwrap_or_else(|| end_child(catch_unwind(AssertUnwindSafe(body))))
}

/// Runs `body`, in the middle of which the process forks where it calls what it is given. The child goes on from there, as
/// the parent does: the call tells it that it is one. Tells what became of the child.
pub fn forked_within(body: impl FnOnce(&(dyn Fn() -> bool + Sync))) -> End {
    let parent = std::process::id();
    let ended = Mutex::new(None);
    let fork = || match fork_and_go_on() {
        None => true,
        end => {
            *ended.lock().expect("no panic") = end;
            false
        }
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| body(&fork)));
    if std::process::id() != parent {
        end_child(outcome);
    }
    outcome.expect("no panic in the parent");
    ended.into_inner().expect("no panic").expect("the body forks")
}

/// Runs `body` with a pool of each number of cores, in a process whose only other thread is the harness's.
pub fn at_cores_alone(test: &str, body: impl Fn(&Pool) + Sync) {
    if part().is_none() {
        good_child(test, "fork", &[]);
        return;
    }
    for cores in CORES {
        note(format!("with {cores} cores"));
        let pool = Pool::new(cores).expect("a pool");
        within(LONG, || {
            body(&pool);
            // The parent is none the worse for it.
            assert_sound(&pool);
            drop(pool);
        });
    }
}
