//! Who holds a lock, and the way to it when it is not free.

use super::graph;
use super::line::What;
use crate::primitive::{
    AtomicPtr, AtomicUsize, Flaw, Ordering, lock_rounds, now, pause_for_lock, seeded, thread_number,
};
use crate::seat::with_place;
use crate::worker::{try_settle, without_core_at};
use std::panic::Location;
use std::ptr;
use std::time::Instant;

/// The thread that holds a lock alone, and where it took it. For reports: nobody decides by it who may have the lock.
///
/// | `thread` | meaning | written by |
/// |---|---|---|
/// | 0 | nobody, or readers, or a thread that has not noted itself yet | the holder, before it unlocks |
/// | n | the thread of that number | that thread, once it has the lock |
#[derive(Debug)]
pub struct Holder {
    thread: AtomicUsize,
    at: AtomicPtr<Location<'static>>,
}

impl Holder {
    crate::primitive::const_in_library! {
        /// Of a lock that is free.
        pub fn new() -> Self {
            Holder { thread: AtomicUsize::new(0), at: AtomicPtr::new(ptr::null_mut()) }
        }
    }

    /// This thread has the lock.
    #[inline]
    pub fn note(&self, at: &'static Location<'static>) {
        // Relaxed: whoever draws a conclusion from these words does so under the graph's lock, through which this thread
        // went after it wrote them. DESIGN has the argument.
        let at = ptr::from_ref(at).cast_mut();
        // A load of what is in the cache already costs less than one store more for the unlocking to wait for.
        if self.at.load(Ordering::Relaxed) != at {
            self.at.store(at, Ordering::Relaxed);
        }
        self.thread.store(thread_number(), Ordering::Relaxed);
    }

    /// This thread, which has the lock, is about to unlock it.
    #[inline]
    pub fn clear(&self) {
        // Relaxed: as in `note`.
        self.thread.store(0, Ordering::Relaxed);
    }

    /// Whether somebody is noted. A hint: it may be over.
    pub fn is_noted(&self) -> bool {
        self.thread.load(Ordering::Relaxed) != 0
    }

    /// The holder's number, and where it took the lock.
    pub fn get(&self) -> Option<(usize, &'static Location<'static>)> {
        let thread = self.thread.load(Ordering::Relaxed);
        // SAFETY: null, or from the reference to a static that `note` was given.
        let at = unsafe { self.at.load(Ordering::Relaxed).as_ref() };
        at.filter(|_| thread != 0).map(|at| (thread, at))
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
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    pub holder: &'a Holder,
    pub what: What,
    /// Whether the thread is to be noted as the holder.
    pub alone: bool,
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
    if looks(step) {
        return true;
    }
    if wish.deadline.is_some_and(|deadline| deadline <= now()) {
        return false;
    }
    let taken = with_place(|place| -> Result<bool, graph::Deadlock> {
        // Others should not have to wait until there is a core for this thread. It gives way once, so that it is not
        // overtaken for ever, and never with a deadline, by which it might not have the lock again.
        let mut yields = wish.deadline.is_none();
        loop {
            let core = graph::core();
            let mut block = || {
                // Once the core is gone, since that may start a thread and so run the user's hooks, which may lock.
                let noted = graph::note_lock(wish, core)?;
                let taken = step(Step::Block(wish.deadline));
                drop(noted);
                if taken && wish.alone {
                    wish.holder.note(wish.what.at);
                }
                if taken && !try_settle() && yields {
                    wish.holder.clear();
                    step(Step::GiveBack);
                    return Ok(None);
                }
                Ok(Some(taken))
            };
            let taken = if seeded(Flaw::LockKeepsCore) { block() } else { without_core_at(place, block) };
            if let Some(taken) = taken? {
                return Ok(taken);
            }
            if looks(step) {
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

/// Looks whether the lock becomes free within about the time that giving up a core takes.
fn looks(step: &mut dyn FnMut(Step) -> bool) -> bool {
    (0..lock_rounds()).any(|round| {
        pause_for_lock(round);
        step(Step::Try)
    })
}
