//! Cores beyond the pool's own, lent to threads that would else wait for ever: see DESIGN.md, section 3.3.

use super::{Lot, Sleep, Woken};
use crate::primitive::{Arc, Flaw, seeded, spare_cores};
use crate::seat::Seat;
use std::collections::VecDeque;

impl Sleep {
    /// Lends a core to a thread in the middle of something that has waited for one, on `seat`, for long: those who have
    /// the others may be waiting, in a way that the pool knows nothing of, for just that thread. `None` if a core has been
    /// granted to it meanwhile, or none is left to lend.
    pub fn borrow(&self, seat: &Arc<Seat>) -> Option<usize> {
        self.lend(|lot| &mut lot.resuming, seat)
    }

    /// The same for an outside caller.
    pub fn borrow_for_call(&self, seat: &Arc<Seat>) -> Option<usize> {
        self.lend(|lot| &mut lot.callers, seat)
    }

    /// The same for a stand-in.
    pub fn borrow_for_stand_in(&self, seat: &Arc<Seat>) -> Option<usize> {
        self.lend(|lot| &mut lot.stand_ins, seat)
    }

    fn lend(&self, queue: impl Fn(&mut Lot) -> &mut VecDeque<Arc<Seat>>, seat: &Arc<Seat>) -> Option<usize> {
        if spare_cores() == 0 {
            // In the models, for which a lock taken in vain is a point more to explore.
            return None;
        }
        let mut lot = self.lot.lock();
        let place = queue(&mut lot).iter().position(|other| Arc::ptr_eq(other, seat))?;
        let core = lot.spare.pop().filter(|_| !seeded(Flaw::NothingLent))?;
        if !seeded(Flaw::BorrowerStaysListed) {
            queue(&mut lot).remove(place);
        }
        lot.lent += 1;
        self.refresh(&lot);
        Some(core)
    }

    /// Lends a core to one of the pool's threads: something waits that only such a thread may begin, and has for long. An idle core
    /// does as well. Half of those to lend are kept for threads in the middle of something, for which those that are woken here
    /// may come to wait.
    pub fn wake_with_spare(&self) -> Woken {
        if spare_cores() == 0 {
            return Woken::Nobody;
        }
        let mut lot = self.lot.lock();
        if !lot.idle.is_empty() {
            return self.wake_for_idle(&mut lot, None);
        }
        if lot.spare.len() * 2 <= spare_cores() {
            return Woken::Nobody;
        }
        let Some(core) = lot.spare.pop() else { return Woken::Nobody };
        lot.lent += 1;
        let woken = self.wake_on(&mut lot, core, None);
        if woken == Woken::Nobody {
            lot.lent -= 1;
            lot.spare.push(core);
        }
        self.refresh(&lot);
        woken
    }
}

#[cfg(all(test, not(purloin_model)))]
mod tests {
    use super::*;
    use crate::seat::Place;

    /// With no idle core, and threads to be had: half of those to lend go to threads of the pool, the others to who goes on.
    #[test]
    fn some_are_kept_for_those_who_go_on() {
        let sleep = Sleep::new(1, 1_000, usize::MAX);
        assert_eq!(sleep.try_take(), Some(0));
        let given = (0..1_000).take_while(|_| matches!(sleep.wake_with_spare(), Woken::StartThread(_))).count();
        assert_eq!(given, spare_cores() / 2);
        let place = Place::new();
        sleep.lot.lock().away += 1;
        assert!(sleep.take_back(place.seat()).is_err());
        assert!(sleep.borrow(place.seat()).is_some());
    }

    /// Threads in their hooks will come for the idle cores: nothing is lent, and none is started.
    #[test]
    fn nothing_is_lent_beside_idle_cores() {
        let sleep = Sleep::new(2, 1_000, usize::MAX);
        sleep.enlist(None);
        sleep.enlist(None);
        let gives = sleep.lot.lock().gives;
        assert_eq!(sleep.wake_with_spare(), Woken::Nobody);
        let place = Place::new();
        sleep.stand_by_at_first(place.seat());
        assert_eq!(sleep.wake_with_spare(), Woken::Somebody);
        let lot = sleep.lot.lock();
        assert_eq!((lot.threads, lot.lent, lot.gives), (2, 0, gives));
    }

    /// Nobody can be had for a core that would be lent: nothing has happened.
    #[test]
    fn what_is_not_lent_is_not_given_up() {
        let sleep = Sleep::new(1, 1, usize::MAX);
        sleep.enlist(Some(Place::new().seat()));
        assert_eq!(sleep.wake_one(None), Woken::Somebody);
        let gives = sleep.lot.lock().gives;
        assert_eq!(sleep.wake_with_spare(), Woken::Nobody);
        let lot = sleep.lot.lock();
        assert_eq!((lot.lent, lot.spare.len(), lot.gives), (0, spare_cores(), gives));
    }
}
