//! A scope's bag of tasks: those that nobody has begun, and the count of those that have not ended.
//!
//! It has two ends under a lock each, so that the thread that spawns and the one that takes seldom meet; tasks move from
//! the young end to the old one many at a time. All of them can be had at every moment, whichever end they are at. The
//! thread that the scope belongs to spawns without a lock.

use crate::job::JobRef;
use crate::pile::{Begin, Pile};
use crate::primitive::{Arc, CachePadded, Flaw, MOVED_AT_ONCE, Mutex, MutexGuard, seeded};
use crate::seat::Seat;
use std::collections::VecDeque;

/// Where both locks are held, the old end's is taken first.
#[derive(Debug)]
pub struct Bag {
    /// What the scope's own thread has spawned: taken under the young end's lock.
    own: CachePadded<Pile>,
    young: CachePadded<Mutex<Young>>,
    old: CachePadded<Mutex<VecDeque<JobRef>>>,
}

#[derive(Debug)]
struct Young {
    own: Begin,
    /// Tasks that others have spawned, or put back.
    tasks: VecDeque<JobRef>,
    /// Tasks that have not ended, as far as has been told here, and one for the scope itself. Those in the pile since the last
    /// look there are not counted yet.
    pending: usize,
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
    /// Whether there are tasks at this end, as of the last look into the pile.
    fn any(&self) -> bool {
        self.own.len() > 0 || !self.tasks.is_empty()
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
        let young = Young { own: Begin::new(), tasks: VecDeque::new(), pending: 1, opener: None };
        Bag {
            own: CachePadded::new(Pile::new()),
            young: CachePadded::new(Mutex::new(young)),
            old: CachePadded::new(Mutex::new(VecDeque::new())),
        }
    }

    /// The young end, with what is in the pile seen and counted.
    fn young(&self) -> MutexGuard<'_, Young> {
        let mut young = self.young.lock();
        self.look(&mut young);
        young
    }

    fn look(&self, young: &mut Young) {
        young.pending += self.own.look(&mut young.own);
    }

    /// Both ends; with the old one filled up from the young one if it was empty.
    fn both(&self) -> (MutexGuard<'_, VecDeque<JobRef>>, MutexGuard<'_, Young>) {
        let mut old = self.old.lock();
        let mut young = self.young();
        self.fill(&mut old, &mut young);
        (old, young)
    }

    fn fill(&self, old: &mut VecDeque<JobRef>, young: &mut Young) {
        if !old.is_empty() {
            return;
        }
        let count = young.tasks.len().div_ceil(2).min(MOVED_AT_ONCE);
        old.extend(young.tasks.drain(..count));
        let count = young.own.len().div_ceil(2).min(MOVED_AT_ONCE);
        // SAFETY: the lock is held.
        old.extend((0..count).filter_map(|_| unsafe { self.own.take_oldest(&mut young.own) }));
    }

    /// What is due now that there is a task.
    fn due(&self, young: &mut Young) -> Due {
        Due { offer: !self.own.offer(), opener: young.opener.take() }
    }

    /// Adds a task that has not been in the bag, and is pending from now on.
    pub fn add(&self, task: JobRef) -> Due {
        let mut young = self.young();
        young.pending += 1;
        young.tasks.push_back(task);
        self.due(&mut young)
    }

    /// The same without a lock. Something is due if so it tells.
    ///
    /// # Safety
    ///
    /// Only on the thread that the scope belongs to.
    #[inline]
    pub unsafe fn add_own(&self, task: JobRef) -> Option<Due> {
        // SAFETY: the owner, by the contract.
        if !unsafe { self.own.has_room() } {
            // SAFETY: as before.
            unsafe { self.make_room() };
        }
        // SAFETY: the owner, and there is room.
        let offered = unsafe { self.own.push(task) };
        (!offered).then(|| self.due(&mut self.young()))
    }

    /// Makes room in the pile.
    ///
    /// # Safety
    ///
    /// As for [`Bag::add_own`].
    #[cold]
    #[inline(never)]
    unsafe fn make_room(&self) {
        let young = self.young();
        // SAFETY: the owner, by the contract, and the lock is held.
        unsafe { self.own.make_room(&young.own) };
    }

    /// Puts a task back.
    pub fn put_back(&self, task: JobRef) -> Due {
        let mut young = self.young();
        young.tasks.push_back(task);
        self.due(&mut young)
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
        let mut task = old.pop_front();
        if seeded(Flaw::OfferClearedLate) {
            let again = !old.is_empty() || young.any();
            drop((old, young));
            let young = self.young();
            return (task, again || !self.own.withdraw(&young.own));
        }
        loop {
            if !old.is_empty() || young.any() {
                self.own.offer();
                return (task, true);
            }
            if self.own.withdraw(&young.own) {
                return (task, false);
            }
            // Something was pushed.
            self.look(&mut young);
            if task.is_none() {
                self.fill(&mut old, &mut young);
                task = old.pop_front();
            }
        }
    }

    /// For a thread that stops: what is due if tasks are left.
    pub fn leave(&self) -> Option<Due> {
        let (old, mut young) = self.both();
        (!old.is_empty() || young.any()).then(|| self.due(&mut young))
    }

    /// Ends an offer that its holder will not use, unless tasks are left; tells whether it did.
    pub fn drop_offer(&self) -> bool {
        let (old, young) = self.both();
        old.is_empty() && !young.any() && self.own.withdraw(&young.own)
    }

    /// Whether an offer is made.
    pub fn is_offered(&self) -> bool {
        self.own.is_offered()
    }

    /// The next task at that end, or else at the other. `ended` tasks have ended on this thread since it last told.
    ///
    /// # Safety
    ///
    /// At the young end only on the thread that the scope belongs to.
    pub unsafe fn next(&self, end: End, ended: usize) -> Next {
        match end {
            // SAFETY: the owner, by the contract.
            End::Young => unsafe { self.next_young(ended) },
            End::Old => self.next_old(ended),
        }
    }

    /// # Safety
    ///
    /// Only on the thread that the scope belongs to.
    unsafe fn next_young(&self, ended: usize) -> Next {
        let (task, over) = {
            let mut young = self.young();
            // SAFETY: the owner, by the contract, and the lock is held.
            let own = unsafe { self.own.take_youngest(&mut young.own) };
            (own.or_else(|| young.tasks.pop_back()), young.count_ended(ended))
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
        self.young().count_ended(ended)
    }
}
