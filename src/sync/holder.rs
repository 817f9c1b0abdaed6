//! Who holds a lock, and the way to it when it is not free.

use super::graph;
use super::line::{What, is_past, yield_core};
use super::report::Deadlock;
use crate::primitive::{
    AtomicPtr, AtomicUsize, Flaw, Ordering, RawLock, lock_rounds, number_of_lock, pause_for_lock, seeded,
    thread_number, yield_now,
};
use crate::seat::with_place;
use crate::worker::{try_settle, without_core_at};
use std::panic::Location;
use std::ptr;
use std::time::Instant;

/// The thread that holds a lock alone, and where it took it; the lock's name for those who read. For reports: nobody decides
/// by it who may have the lock.
///
/// | `word` | meaning | written by |
/// |---|---|---|
/// | 0 | nobody, or a thread that has not noted itself yet; never read | the holder, before it unlocks |
/// | n | the thread of that number | that thread, once it has the lock |
/// | `NAMED` + n | as 0, of a lock that has been read: its name, for good and no other lock's | its first reader; the holder, before it unlocks |
#[derive(Debug)]
pub struct Holder {
    word: AtomicUsize,
    at: AtomicPtr<Location<'static>>,
}

const NAMED: usize = 1 << (usize::BITS - 1);

/// What a [`Holder`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Unknown,
    /// The thread of that number has it alone, since that line.
    By(usize, &'static Location<'static>),
    /// Nobody has it alone, and who reads it has this name in its list.
    Named(usize),
}

/// What the word was before its thread noted itself: to be put back.
#[derive(Debug, Clone, Copy)]
pub struct Before(usize);

impl Holder {
    crate::primitive::const_in_library! {
        /// Of a lock that is free.
        pub fn new() -> Self {
            Holder { word: AtomicUsize::new(0), at: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// This thread has the lock alone.
    #[inline]
    pub fn note(&self, at: &'static Location<'static>) -> Before {
        // Relaxed: whoever draws a conclusion from these words does so under the graph's lock, through which this thread
        // went after it wrote them. DESIGN has the argument.
        let at = ptr::from_ref(at).cast_mut();
        // A load of what is in the cache already costs less than one store more for the unlocking to wait for.
        if self.at.load(Ordering::Relaxed) != at {
            self.at.store(at, Ordering::Relaxed);
        }
        let before = Before(self.word.load(Ordering::Relaxed));
        self.word.store(thread_number(), Ordering::Relaxed);
        before
    }

    /// This thread, which has the lock, is about to unlock it.
    #[inline]
    pub fn clear(&self, before: Before) {
        // Relaxed: as in `note`.
        self.word.store(before.0, Ordering::Relaxed);
    }

    /// The lock's name, for a thread that has it for reading.
    #[inline]
    pub fn name(&self) -> usize {
        // Relaxed: as in `note`.
        match self.word.load(Ordering::Relaxed) {
            0 => self.first_name(),
            name => name,
        }
    }

    #[cold]
    fn first_name(&self) -> usize {
        let name = NAMED | number_of_lock();
        // Other readers may name it too.
        self.word.compare_exchange(0, name, Ordering::Relaxed, Ordering::Relaxed).map_or_else(|other| other, |_| name)
    }

    /// Whether a thread is noted. A hint: it may be over.
    pub fn is_noted(&self) -> bool {
        (1..NAMED).contains(&self.word.load(Ordering::Relaxed))
    }

    /// Who has the lock.
    pub fn get(&self) -> Held {
        let word = self.word.load(Ordering::Relaxed);
        if word & NAMED != 0 {
            return Held::Named(word);
        }
        // SAFETY: null, or from the reference to a static that `note` was given.
        let at = unsafe { self.at.load(Ordering::Relaxed).as_ref() };
        at.filter(|_| word != 0).map_or(Held::Unknown, |at| Held::By(word, at))
    }
}

/// What is to be done with the lock that is being taken.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    /// Take it if it is free.
    Try,
    /// Block until it could be taken, or the deadline has passed.
    Block(Option<Instant>),
    /// Unlock it: it was taken in one of the ways above.
    GiveBack,
}

/// How a lock is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By one thread at a time.
    Alone,
    /// For reading.
    Shared,
    /// A value, that its maker is still making.
    Made,
}

/// A lock, or what is waited for as if it were one, and how it is wanted.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    pub holder: &'a Holder,
    /// The lock itself, which tells whether it lets readers in.
    pub lock: Option<&'a RawLock>,
    pub what: What,
    pub mode: Mode,
    pub deadline: Option<Instant>,
}

/// Takes a lock that was not free. `step` tells whether the lock was taken in that step. `false` if the deadline passed.
///
/// # Panics
///
/// If this would wait for ever: the thread has the lock already, or waits in a cycle.
#[cold]
#[track_caller]
pub fn acquire(wish: &Wish<'_>, step: &mut dyn FnMut(Step) -> bool) -> bool {
    let late = || is_past(wish.deadline);
    if looks(step, late) {
        return true;
    }
    if late() {
        return with_place(|place| {
            yield_core(place);
            step(Step::Try)
        });
    }
    let taken = with_place(|place| -> Result<bool, Deadlock> {
        // Others should not have to wait until there is a core for this thread. It gives way once, not to be
        // overtaken more often than anybody who waits, and never with a deadline, by which it might not have the lock again.
        let mut yields = wish.deadline.is_none();
        loop {
            let core = graph::core();
            let mut block = || {
                // Once the core is gone, and until before one is asked for again: that is no part of the wait.
                let taken = loop {
                    if let Some(_noted) = graph::note_lock(wish, core)? {
                        break step(Step::Block(wish.deadline));
                    }
                    yield_now();
                    if step(Step::Try) {
                        break true;
                    }
                };
                if !taken {
                    return Ok(Some(false));
                }
                if !try_settle() && yields {
                    step(Step::GiveBack);
                    return Ok(None);
                }
                Ok(Some(true))
            };
            let taken = if seeded(Flaw::LockKeepsCore) { block() } else { without_core_at(place, block) };
            if let Some(taken) = taken? {
                return Ok(taken);
            }
            // Without a deadline: see above.
            if looks(step, || false) {
                return Ok(true);
            }
            yields = false;
        }
    });
    match taken {
        Ok(taken) => taken,
        // Out here, since a closure does not know its caller's caller.
        Err(deadlock) => deadlock.report(),
    }
}

/// Looks whether the lock becomes free within about the time that giving up a core takes, unless it is `late` before.
fn looks(step: &mut dyn FnMut(Step) -> bool, late: impl Fn() -> bool) -> bool {
    if seeded(Flaw::BlocksUnlooked) {
        return false;
    }
    for round in 0..lock_rounds() {
        pause_for_lock(round);
        if step(Step::Try) {
            return true;
        }
        if late() {
            break;
        }
    }
    false
}
