//! A scope's bag of tasks: those that nobody has begun, and the count of those that have not ended.
//!
//! It has two ends under a lock each, so that the thread that spawns and the one that takes seldom meet; tasks move from
//! the young end to the old one many at a time. All of them can be had at every moment, whichever end they are at.

use crate::job::JobRef;
use crate::primitive::{Arc, CachePadded, Flaw, MOVED_AT_ONCE, Mutex, MutexGuard, seeded};
use crate::seat::Seat;
use std::collections::VecDeque;

/// Where both locks are held, the old end's is taken first.
#[derive(Debug)]
pub struct Bag {
    young: CachePadded<Mutex<Young>>,
    old: CachePadded<Mutex<VecDeque<JobRef>>>,
}

#[derive(Debug)]
struct Young {
    tasks: VecDeque<JobRef>,
    /// Tasks that have not ended, as far as has been told here, and one for the scope itself.
    pending: usize,
    /// An offer of these tasks is in some deque, or in the injector, or about to be put there.
    offered: bool,
    /// The thread that waits for the scope, and sleeps.
    opener: Option<Arc<Seat>>,
}

/// What the caller must do about tasks that are in the bag.
#[derive(Debug)]
#[must_use = "tasks may be left to nobody"]
pub struct Due {
    /// Make an offer.
    pub offer: bool,
    /// Wake the thread that waits for the scope: nobody else may come for the tasks.
    pub opener: Option<Arc<Seat>>,
}

/// At which end a thread takes its tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The youngest first: for the thread that the scope belongs to, so that the bag stays small.
    Young,
    /// The oldest first: for all others.
    Old,
}

/// What [`Bag::next`] found.
#[derive(Debug)]
pub struct Next {
    pub task: Option<JobRef>,
    /// Tasks that have ended, on this thread, and are not counted yet: to be told the next time.
    pub untold: usize,
    /// Nothing is pending any more, and this call counted the last: see [`Bag::count_ended`].
    pub over: bool,
}

impl Young {
    /// What is due now that there is a task.
    fn due(&mut self) -> Due {
        Due { offer: !std::mem::replace(&mut self.offered, true), opener: self.opener.take() }
    }

    /// Counts the ends of tasks; tells whether these were the last.
    fn count_ended(&mut self, ended: usize) -> bool {
        self.pending -= ended;
        ended > 0 && self.pending == 0
    }
}

impl Bag {
    /// An empty bag, of a scope that has begun.
    pub fn new() -> Self {
        let young = Young { tasks: VecDeque::new(), pending: 1, offered: false, opener: None };
        Bag { young: CachePadded::new(Mutex::new(young)), old: CachePadded::new(Mutex::new(VecDeque::new())) }
    }

    /// Both ends; with the old one filled up from the young one if it was empty.
    fn both(&self) -> (MutexGuard<'_, VecDeque<JobRef>>, MutexGuard<'_, Young>) {
        let mut old = self.old.lock();
        let mut young = self.young.lock();
        if old.is_empty() {
            let count = young.tasks.len().div_ceil(2).min(MOVED_AT_ONCE);
            old.extend(young.tasks.drain(..count));
        }
        (old, young)
    }

    /// Adds a task that has not been in the bag, and is pending from now on.
    pub fn add(&self, task: JobRef) -> Due {
        let mut young = self.young.lock();
        young.tasks.push_back(task);
        young.pending += 1;
        young.due()
    }

    /// Puts a task back.
    pub fn put_back(&self, task: JobRef) -> Due {
        let mut young = self.young.lock();
        young.tasks.push_back(task);
        young.due()
    }

    /// The thread that waits for the scope is about to sleep: it looks once more, and then is to be called for tasks.
    pub fn leave_seat(&self, seat: &Arc<Seat>) {
        self.young.lock().opener = Some(Arc::clone(seat));
    }

    /// Whether that thread has been called.
    pub fn is_called(&self) -> bool {
        self.young.lock().opener.is_none()
    }

    /// A task for a thread that has used an offer up, and whether the next offer is due now, since tasks are left; if not,
    /// it is due when one comes.
    pub fn accept(&self) -> (Option<JobRef>, bool) {
        let (mut old, mut young) = self.both();
        let task = old.pop_front();
        let again = !old.is_empty() || !young.tasks.is_empty();
        if seeded(Flaw::OfferClearedLate) {
            drop((old, young));
            self.young.lock().offered = again;
        } else {
            young.offered = again;
        }
        (task, again)
    }

    /// For a thread that stops: what is due if tasks are left.
    pub fn leave(&self) -> Option<Due> {
        let (old, mut young) = self.both();
        let any = !old.is_empty() || !young.tasks.is_empty();
        any.then(|| young.due())
    }

    /// Ends an offer that its holder will not use, unless tasks are left; tells whether it did.
    pub fn drop_offer(&self) -> bool {
        let (old, mut young) = self.both();
        let any = !old.is_empty() || !young.tasks.is_empty();
        young.offered &= any;
        !any
    }

    /// Whether an offer is made.
    pub fn is_offered(&self) -> bool {
        self.young.lock().offered
    }

    /// The next task at that end, or else at the other. `ended` tasks have ended on this thread since it last told.
    pub fn next(&self, end: End, ended: usize) -> Next {
        match end {
            End::Young => self.next_young(ended),
            End::Old => self.next_old(ended),
        }
    }

    fn next_young(&self, ended: usize) -> Next {
        let (task, over) = {
            let mut young = self.young.lock();
            (young.tasks.pop_back(), young.count_ended(ended))
        };
        // What is over has no tasks left.
        let task = if over { None } else { task.or_else(|| self.old.lock().pop_back()) };
        Next { task, untold: 0, over }
    }

    fn next_old(&self, ended: usize) -> Next {
        // The lock is kept no longer than for this.
        let first = self.old.lock().pop_front();
        if first.is_some() {
            return Next { task: first, untold: ended, over: false };
        }
        let (mut old, mut young) = self.both();
        let over = young.count_ended(if seeded(Flaw::EndsUntold) { 0 } else { ended });
        Next { task: old.pop_front(), untold: 0, over }
    }

    /// Counts tasks that have ended, or the scope itself. If that was the last, tells so: the caller, and nobody else, ends
    /// the scope.
    pub fn count_ended(&self, ended: usize) -> bool {
        self.young.lock().count_ended(ended)
    }
}
