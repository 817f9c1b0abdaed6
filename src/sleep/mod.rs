//! Who has a core, who sleeps without one, and who wakes whom: an eventcount whose slow path is a plain struct under a
//! lock.
//!
//! The handshake: a thread that finds nothing to do first enters itself here, then looks at every source once more; a
//! thread that makes work visible first publishes it, then looks here. A sequentially consistent fence stands between
//! the two steps on either side, so that at least one of them sees the other.

mod lend;
mod lot;

pub use lot::Woken;

use crate::primitive::{
    Arc, AtomicBool, AtomicUsize, Flaw, Mutex, Ordering, Tick, fence, patience, processor, seeded, spare_cores,
};

use crate::seat::{Grant, Seat};
use lot::{Lot, Sleeper};
use std::time::Duration;

/// The eventcount of a registry.
#[derive(Debug)]
pub struct Sleep {
    lot: Mutex<Lot>,
    /// Idle cores that a wake could put to use; a copy of what `lot` knows, for those who only want to know whether to
    /// look there.
    wakeable: AtomicUsize,
    /// Threads that hold a core and look for work. While there is one, nobody else need be woken: it looks everywhere,
    /// and once more after it stopped being counted here.
    searching: AtomicUsize,
    /// Waking is lazy now: a thread naps and will look by itself.
    napping: AtomicBool,
    /// A wake was left out since a thread was napping.
    skipped: AtomicBool,
    /// Threads in `resuming`.
    resuming: AtomicUsize,
    /// The threads have been told to end.
    ended: AtomicBool,
    /// Cores beyond this index are not in use.
    extent: AtomicUsize,
}

/// The first nap; each useless one after it is twice as long, up to eight times.
const NAP: Duration = Duration::from_micros(500);

impl Sleep {
    /// All of `cores` idle, no threads, and names for so many.
    pub fn new(cores: usize, max_threads: usize, names: usize) -> Self {
        let lot = Lot::new(cores, max_threads, names);
        let wakeable = AtomicUsize::new(lot.wakeable());
        Sleep {
            lot: Mutex::new(lot),
            wakeable,
            searching: AtomicUsize::new(0),
            napping: AtomicBool::new(false),
            skipped: AtomicBool::new(false),
            resuming: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            extent: AtomicUsize::new(cores),
        }
    }

    /// Copies to the hints what changed in the lot. Relaxed: the fences of the handshake order them.
    fn refresh(&self, lot: &Lot) {
        self.wakeable.store(lot.wakeable(), Ordering::Relaxed);
        self.resuming.store(lot.resuming.len(), Ordering::Relaxed);
        self.napping.store(lot.napper.is_some(), Ordering::Relaxed);
        self.extent.store(if lot.lent == 0 { lot.cores } else { lot.cores + spare_cores() }, Ordering::Relaxed);
    }

    /// The number of cores, from the first, outside of which none is in use.
    #[inline]
    pub fn extent(&self) -> usize {
        self.extent.load(Ordering::Relaxed)
    }

    /// An idle core, for a thread that begins something.
    pub fn try_take(&self) -> Option<usize> {
        let mut lot = self.lot.lock();
        let core = lot.idle.pop();
        self.refresh(&lot);
        core
    }

    /// An idle core, or a place among the callers.
    pub fn take_or_call(&self, seat: &Arc<Seat>) -> Option<usize> {
        let mut lot = self.lot.lock();
        let core = lot.idle.pop();
        if core.is_none() && !seeded(Flaw::CallerForgotten) {
            lot.callers.push_back(Arc::clone(seat));
        }
        self.refresh(&lot);
        core
    }

    /// Ends a call: the seat is no longer among the callers. `false` if it has been granted a core already.
    pub fn hang_up(&self, seat: &Arc<Seat>) -> bool {
        let mut lot = self.lot.lock();
        let before = lot.callers.len();
        lot.callers.retain(|other| !Arc::ptr_eq(other, seat));
        let found = lot.callers.len() < before;
        self.refresh(&lot);
        found
    }

    /// A region begins that only a thread of the pool may run: the threads stay until it ends. `false` if they have been
    /// told to end.
    pub fn begin_region(&self) -> bool {
        let mut lot = self.lot.lock();
        let open = !self.has_ended();
        lot.away += usize::from(open);
        open
    }

    /// The region ended. The caller then looks whether the pool may end (`Registry::after_release`).
    pub fn end_region(&self) {
        self.lot.lock().away -= 1;
    }

    /// An idle core, for a thread that was away, if there is one.
    pub fn try_take_back(&self) -> Option<usize> {
        let mut lot = self.lot.lock();
        let core = lot.idle.pop();
        lot.away -= usize::from(core.is_some());
        self.refresh(&lot);
        core
    }

    /// A core for a thread that was away: at once, or else by a grant to `seat`, ahead of anything new. The error tells when
    /// one was to be had last.
    pub fn take_back(&self, seat: &Arc<Seat>) -> Result<usize, Tick> {
        let mut lot = self.lot.lock();
        lot.away -= 1;
        let core = lot.idle.pop().ok_or(lot.granted);
        if core.is_err() {
            lot.resuming.push_back(Arc::clone(seat));
        }
        self.refresh(&lot);
        core
    }

    /// Gives a core up: to a thread in the middle of something, or to nobody. `away` says that the giver will want a
    /// core back. The caller then looks for work that nobody would see to (`Registry::after_release`).
    pub fn give(&self, core: usize, away: bool) {
        let mut lot = self.lot.lock();
        lot.away += usize::from(away);
        lot.pass_on(core);
        self.refresh(&lot);
    }

    /// Gives a core up and goes to sleep: the thread parks on `seat` afterwards. With `useless`, it had been woken and
    /// found nothing. Returns how long it may nap: `None` is for ever.
    pub fn stand_by(&self, core: Option<usize>, seat: &Arc<Seat>, useless: bool) -> Option<Duration> {
        self.stand_by_after(seat, useless, |lot| core.into_iter().for_each(|core| lot.pass_on(core)))
    }

    /// A thread goes to sleep that was in its hook since it had started.
    pub fn stand_by_at_first(&self, seat: &Arc<Seat>) {
        self.stand_by_after(seat, false, |lot| lot.starting -= 1);
    }

    fn stand_by_after(&self, seat: &Arc<Seat>, useless: bool, before: impl FnOnce(&mut Lot)) -> Option<Duration> {
        let processor = processor();
        let mut lot = self.lot.lock();
        before(&mut lot);
        if self.has_ended() {
            // All others have been told. This one was not known to sleep.
            seat.grant(Grant::Exit);
            self.refresh(&lot);
            return None;
        }
        lot.standby.push(Sleeper { seat: Arc::clone(seat), processor });
        let mut nap = None;
        if useless {
            lot.useless = lot.useless.saturating_add(1);
            if lot.useless >= patience() && lot.napper.is_none() {
                nap = Some(NAP * (1 << (lot.useless - patience()).min(3)));
                lot.napper = Some(Arc::clone(seat));
            }
        }
        self.refresh(&lot);
        nap
    }

    /// A nap is over. If a wake was left out meanwhile, the thread takes an idle core and searches; if not, it sleeps on.
    pub fn end_nap(&self, seat: &Arc<Seat>) -> Option<usize> {
        let mut lot = self.lot.lock();
        if !lot.napper.as_ref().is_some_and(|napper| Arc::ptr_eq(napper, seat)) {
            return None;
        }
        lot.napper = None;
        self.refresh(&lot);
        // Pairs with the fence in `should_wake`.
        fence(Ordering::SeqCst);
        let wanted = self.skipped.swap(false, Ordering::Relaxed);
        let core = if wanted && !seeded(Flaw::NapEndsBlindly) { lot.idle.pop() } else { None };
        if core.is_some() {
            if !seeded(Flaw::NapperLeftAsleep) {
                lot.standby.retain(|other| !Arc::ptr_eq(&other.seat, seat));
            }
            self.searching.fetch_add(1, Ordering::Relaxed);
        }
        self.refresh(&lot);
        core
    }

    /// After a fence that followed the publishing of work: whether somebody should be woken. `lazily` leaves that to a
    /// napping thread if there is one.
    #[inline]
    pub fn should_wake(&self, lazily: bool) -> bool {
        if self.wakeable.load(Ordering::Relaxed) == 0 {
            return false;
        }
        if (lazily || seeded(Flaw::TaskLeftToNapper)) && self.napping.load(Ordering::Relaxed) {
            self.skipped.store(true, Ordering::Relaxed);
            // Pairs with the fence in `end_nap`: either the napper's end sees `skipped`, or we see it.
            fence(Ordering::SeqCst);
            if seeded(Flaw::NapperTakenForAsleep) || self.napping.load(Ordering::Relaxed) {
                return false;
            }
        }
        // A searcher looks everywhere, and once more after it is no longer counted here.
        self.searching.load(Ordering::Relaxed) == 0
    }

    /// Wakes one thread for one idle core, on behalf of one that keeps its processor `busy`, or that is about to give it up. If it
    /// is one of the pool's, it counts as searching from now on.
    pub fn wake_one(&self, busy: Option<usize>) -> Woken {
        self.wake_for_idle(&mut self.lot.lock(), busy)
    }

    fn wake_for_idle(&self, lot: &mut Lot, busy: Option<usize>) -> Woken {
        let Some(core) = lot.idle.pop() else { return Woken::Nobody };
        let woken = self.wake_on(lot, core, busy);
        if woken == Woken::Nobody {
            lot.idle.push(core);
        }
        self.refresh(lot);
        woken
    }

    fn wake_on(&self, lot: &mut Lot, core: usize, busy: Option<usize>) -> Woken {
        lot.wake_on(core, busy, |napped| {
            if napped {
                // Nothing is left to the napper from now on. What was before is found by the look that ends its search.
                self.napping.store(false, Ordering::Relaxed);
                self.skipped.store(false, Ordering::Relaxed);
            }
            self.searching.fetch_add(1, Ordering::Relaxed);
        })
    }

    /// Enters a thread from outside that waits for a task: it is granted a core if work is there and the pool has no other
    /// thread for it.
    pub fn stand_in(&self, seat: &Arc<Seat>) {
        let mut lot = self.lot.lock();
        lot.stand_ins.push_back(Arc::clone(seat));
        self.refresh(&lot);
    }

    /// The thread does not wait any more. `false` if it has been granted a core already.
    pub fn stand_down(&self, seat: &Arc<Seat>) -> bool {
        let mut lot = self.lot.lock();
        let place = lot.stand_ins.iter().position(|other| Arc::ptr_eq(other, seat));
        let found = place.is_some_and(|place| lot.stand_ins.remove(place).is_some());
        self.refresh(&lot);
        found
    }

    /// Counts the caller, which holds a core, as searching, unless half of the busy cores are already.
    pub fn start_searching(&self, cores: usize) -> bool {
        let busy = cores.saturating_sub(self.wakeable.load(Ordering::Relaxed));
        if self.searching.load(Ordering::Relaxed) * 2 >= busy.max(1) {
            return false;
        }
        self.searching.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The caller has stopped looking. A fence follows, and a look at every source: that makes up for any wake left out
    /// for its sake.
    pub fn stop_searching(&self) {
        self.searching.fetch_sub(1, Ordering::Relaxed);
    }

    /// The caller, which holds a core, looks again.
    pub fn search_again(&self) {
        self.searching.fetch_add(1, Ordering::Relaxed);
    }

    /// A wake was useful: waking is eager again.
    pub fn useful(&self) {
        self.lot.lock().useless = 0;
    }

    /// Whether a thread in the middle of something waits for a core.
    #[inline]
    pub fn someone_resumes(&self) -> bool {
        self.resuming.load(Ordering::Relaxed) > 0
    }

    /// Whether a core is idle that a wake would put to use.
    #[inline]
    pub fn someone_sleeps(&self) -> bool {
        self.wakeable.load(Ordering::Relaxed) > 0
    }

    /// Enters a thread that is about to start: with the seat that it will park on, unless it has something to do first.
    pub fn enlist(&self, seat: Option<&Arc<Seat>>) {
        let mut lot = self.lot.lock();
        lot.threads += 1;
        lot.peak = lot.peak.max(lot.threads);
        lot.starting += usize::from(seat.is_none());
        lot.standby.extend(seat.map(|seat| Sleeper { seat: Arc::clone(seat), processor: None }));
        self.refresh(&lot);
    }

    /// A thread counted by `wake_one` or `enlist` could not be started: the pool makes do with those it has.
    pub fn start_failed(&self, core: Option<usize>) {
        let mut lot = self.lot.lock();
        lot.threads -= 1;
        lot.max_threads = lot.threads.max(1);
        if let Some(core) = core {
            self.searching.fetch_sub(1, Ordering::Relaxed);
            lot.pass_on(core);
        }
        self.refresh(&lot);
    }

    /// The next thread has a name, and may be started.
    pub fn named(&self) {
        let mut lot = self.lot.lock();
        lot.names += 1;
        if !seeded(Flaw::NameUntold) {
            self.refresh(&lot);
        }
    }

    /// A thread ends. Returns how many are left.
    pub fn thread_ended(&self) -> usize {
        let mut lot = self.lot.lock();
        lot.threads -= 1;
        lot.threads
    }

    /// Threads alive, and the most there were.
    pub fn threads(&self) -> (usize, usize) {
        let lot = self.lot.lock();
        (lot.threads, lot.peak)
    }

    /// What the threads are at, in words, and whose each core is.
    pub fn state(&self) -> (String, Vec<&'static str>) {
        let lot = self.lot.lock();
        let searching = self.searching.load(Ordering::Relaxed);
        let ended = if self.has_ended() { ", told to end" } else { "" };
        let cores = (0..lot.cores + spare_cores()).map(|core| lot.whose(core)).collect();
        (format!("{}, {searching} searching{ended}", *lot), cores)
    }

    /// Whether nobody has a core or is about to, though threads are in the middle of something. If so, how often a core has
    /// been given up: the same number some time later means that nobody has had one meanwhile.
    pub fn standstill(&self) -> Option<u64> {
        let lot = self.lot.lock();
        let still = lot.away > 0 && lot.idle.len() == lot.cores && lot.lent == 0 && lot.resuming.is_empty();
        still.then_some(lot.gives)
    }

    /// From now on threads end when there is nothing left to do.
    pub fn close(&self) {
        self.lot.lock().closed = true;
    }

    /// If the pool is closed and nobody holds a core or will ask for one, tells all threads to end. `queued_work` says
    /// whether there is queued work, seen after a fence that followed the last release of a core.
    pub fn end_if_done(&self, queued_work: impl FnOnce() -> bool) -> bool {
        let mut lot = self.lot.lock();
        let at_rest = lot.lent == 0
            && lot.idle.len() == lot.cores
            && lot.resuming.is_empty()
            && lot.callers.is_empty()
            && (lot.away == 0 || seeded(Flaw::EndsWhileAway));
        if !lot.closed || !at_rest || queued_work() {
            return false;
        }
        self.ended.store(true, Ordering::Relaxed);
        lot.max_threads = 0;
        lot.napper = None;
        for sleeper in lot.standby.drain(..) {
            sleeper.seat.grant(Grant::Exit);
        }
        self.refresh(&lot);
        true
    }

    /// Whether the threads have been told to end. Relaxed: the fences in `Registry::work_appeared`, before the look in
    /// `submit`, and in `Registry::end_if_done` order it.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }
}
