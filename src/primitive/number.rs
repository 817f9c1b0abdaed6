//! Numbers for threads and locks: small, never used twice, and with the threads' names for those who ask why something is
//! stuck. No protocol reads more than whether two numbers are equal, so this is no modelled primitive.

use super::{thread_cell, thread_name, thread_value};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// The threads that have a number and are alive.
struct Roster {
    last: usize,
    names: BTreeMap<usize, String>,
}

static ROSTER: Mutex<Roster> = Mutex::new(Roster { last: 0, names: BTreeMap::new() });

fn roster<R>(look: impl FnOnce(&mut Roster) -> R) -> R {
    look(&mut ROSTER.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Takes the thread off the roster as it ends.
struct Enrolled(usize);

impl Drop for Enrolled {
    fn drop(&mut self) {
        roster(|roster| roster.names.remove(&self.0));
    }
}

thread_cell! {
    static NUMBER: usize = 0;
}

thread_value! {
    static ENROLLED: Enrolled = Enrolled(enroll());
}

/// This thread's number, which is not 0.
#[inline]
pub fn thread_number() -> usize {
    match NUMBER.with(Cell::get) {
        0 => first_number(),
        number => number,
    }
}

#[cold]
fn first_number() -> usize {
    // A thread whose locals are being destroyed stays on the roster.
    let number = ENROLLED.try_with(|enrolled| enrolled.0).unwrap_or_else(|_| enroll());
    NUMBER.with(|cell| cell.set(number));
    number
}

fn enroll() -> usize {
    let name = thread_name();
    roster(|roster| {
        roster.last += 1;
        let number = roster.last;
        roster.names.insert(number, name.map_or_else(|| format!("thread {number}"), |name| format!("thread {name:?}")));
        number
    })
}

/// What that thread is called.
pub fn name_of_thread(number: usize) -> String {
    roster(|roster| roster.names.get(&number).cloned()).unwrap_or_else(|| format!("thread {number}, which has ended"))
}

/// A number for a lock, which no other lock has.
pub fn number_of_lock() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: nothing but the number is told.
    LAST.fetch_add(1, Ordering::Relaxed)
}
