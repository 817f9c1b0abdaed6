//! A thread's place to park, and the slot through which it is granted a core.

use crate::primitive::{Arc, AtomicUsize, Flaw, Ordering, Parker, Unparker, seeded, thread_value};
use std::cell::Cell;
use std::time::Duration;

/// The part of a thread's parking place that others hold: they wake the thread, or grant it a core and wake it.
///
/// States of `grant`:
///
/// | value | meaning |
/// |---|---|
/// | 0 | nothing granted |
/// | `EXIT` | the thread is to end |
/// | n + 1 | core n is the thread's from now on |
#[derive(Debug)]
pub struct Seat {
    unparker: Unparker,
    grant: AtomicUsize,
}

const NOTHING: usize = 0;
const EXIT: usize = usize::MAX;

/// What a thread was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// The core of this index.
    Core(usize),
    /// The end.
    Exit,
}

impl Seat {
    /// Wakes the thread. It may wake for other reasons too, so it looks at its condition again.
    pub fn unpark(&self) {
        self.unparker.unpark();
    }

    /// Gives the thread what it waits for, and wakes it.
    pub fn grant(&self, what: Grant) {
        let word = match what {
            Grant::Core(index) => index + 1,
            Grant::Exit => EXIT,
        };
        // Release pairs with the Acquire in `take_grant`: what the granter did with the core happened before.
        let order = if seeded(Flaw::GrantRelaxed) { Ordering::Relaxed } else { Ordering::Release };
        self.grant.store(word, order);
        self.unpark();
    }

    /// Takes what was granted, if anything was.
    fn take_grant(&self) -> Option<Grant> {
        // Acquire pairs with the Release in `grant`. Only this thread takes, and it is granted one thing at a time, so
        // a load and a store do.
        match self.grant.load(Ordering::Acquire) {
            NOTHING => None,
            word => {
                self.grant.store(NOTHING, Ordering::Relaxed);
                Some(if word == EXIT { Grant::Exit } else { Grant::Core(word - 1) })
            }
        }
    }
}

/// A thread's own end of its parking place. Parking consumes a token that any wake leaves, so a wake that comes before
/// the park is not lost, and every park stands in a loop over a condition.
#[derive(Debug)]
pub struct Place {
    parker: Parker,
    seat: Arc<Seat>,
}

impl Place {
    /// A new place, for a thread about to start or for this one.
    pub fn new() -> Self {
        let parker = Parker::new();
        #[allow(clippy::redundant_clone, reason = "crossbeam lends the unparker, the models give it")]
        let unparker = parker.unparker().clone();
        Place { parker, seat: Arc::new(Seat { unparker, grant: AtomicUsize::new(NOTHING) }) }
    }

    /// The part for others to hold.
    pub fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Parks until something wakes this thread.
    pub fn park(&self) {
        self.parker.park();
    }

    /// Parks until something wakes this thread, or for `timeout`.
    pub fn park_timeout(&self, timeout: Duration) {
        self.parker.park_timeout(timeout);
    }

    /// What was granted, if anything was.
    pub fn take_grant(&self) -> Option<Grant> {
        self.seat.take_grant()
    }

    /// Parks until something is granted.
    pub fn wait_for_grant(&self) -> Grant {
        loop {
            if let Some(grant) = self.take_grant() {
                return grant;
            }
            self.park();
        }
    }
}

thread_value! {
    /// This thread's place while it is not in use, made when the thread first has to park.
    static PLACE: Cell<Option<Place>> = Cell::new(None);
}

/// Calls `f` with a place of this thread's that nobody else uses meanwhile: what `f` calls may wait as well, for a core of another
/// pool perhaps, while the place's seat is in a list, and must not take what is meant for the wait around it.
pub fn with_place<R>(f: impl FnOnce(&Place) -> R) -> R {
    struct PutBack(Option<Place>);
    impl Drop for PutBack {
        fn drop(&mut self) {
            // A thread whose thread-locals are being destroyed has none to keep.
            let _ = PLACE.try_with(|kept| kept.set(self.0.take()));
        }
    }
    let kept = PLACE.try_with(Cell::take).ok().flatten();
    let place = PutBack(Some(kept.unwrap_or_else(Place::new)));
    f(place.0.as_ref().unwrap_or_else(|| unreachable!("it is put back at the end")))
}
