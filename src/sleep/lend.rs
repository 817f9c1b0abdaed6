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

    /// Lends a core to one of the pool's threads: a region waits that only such a thread may run, and has for long.
    pub fn wake_with_spare(&self) -> Woken {
        if spare_cores() == 0 {
            return Woken::Nobody;
        }
        let mut lot = self.lot.lock();
        let Some(core) = lot.spare.pop() else { return Woken::Nobody };
        lot.lent += 1;
        let woken = self.wake_on(&mut lot, core, None);
        if woken == Woken::Nobody {
            lot.pass_on(core);
        }
        self.refresh(&lot);
        woken
    }
}
