//! Numbers for threads and locks: small, never used twice, and with the threads' names for those who ask why something is
//! stuck. No protocol reads more than whether two numbers are equal, so this is no modelled primitive.

use super::{Anew, thread_cell, thread_name, thread_value};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The names of the threads that have a number and are alive.
static ROSTER: Anew<BTreeMap<usize, String>> = Anew::new();

/// Takes the thread off the roster as it ends.
struct Enrolled(usize);

impl Drop for Enrolled {
    fn drop(&mut self) {
        ROSTER.with(|names| names.remove(&self.0));
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
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: nothing but the number is told.
    let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
    ROSTER.with(|names| names.insert(number, describe(number)));
    number
}

/// What this thread is called, which has that number.
fn describe(number: usize) -> String {
    thread_name().map_or_else(|| format!("thread {number}"), |name| format!("thread {name:?}"))
}

/// What that thread is called.
pub fn name_of_thread(number: usize) -> String {
    let name = ROSTER.with(|names| names.get(&number).cloned());
    // Not on the roster is, too, the thread that forked this process, having had its number before.
    let own = || (NUMBER.with(Cell::get) == number).then(|| describe(number));
    name.or_else(own).unwrap_or_else(|| format!("thread {number}, which has ended"))
}

/// A number for a lock, which no other lock has.
pub fn number_of_lock() -> usize {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    // Relaxed: nothing but the number is told.
    LAST.fetch_add(1, Ordering::Relaxed)
}
