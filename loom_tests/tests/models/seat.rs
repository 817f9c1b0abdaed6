//! A grant passes on what it stands for: what the last holder of a core did with it comes before what the next one does.
//!
//! The pools' models cannot tell: their threads pass fences between grant and use, and loom's fences pass on more than the
//! language's do. Checked without a bound on preemptions under loom's model, in both role orders.

use crate::common::{Bound, Witness, check, fails_with};
use loom::thread;
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell, with_flaw};
use purloin_loom::internals::seat::{Grant, Place, Seat};
use test_fork::test;

/// What belongs to a core's holder.
struct Core(UnsafeCell<usize>);

// SAFETY: loom checks that the accesses do not meet.
unsafe impl Sync for Core {}

impl Core {
    fn use_it(&self) -> usize {
        self.0.with_mut(|uses| {
            // SAFETY: as above.
            unsafe { *uses += 1 };
            // SAFETY: as above.
            unsafe { *uses }
        })
    }
}

/// A place may be bound to one thread: loom's threads are one thread.
struct OfOneThread<T>(T);
// SAFETY: all of loom's threads run on the thread of the operating system that made this.
unsafe impl<T> Send for OfOneThread<T> {}

impl<T> OfOneThread<T> {
    fn into_inner(self) -> T {
        self.0
    }
}

/// The next holder: tells whether the grant was there before it would have parked.
fn take(place: &Place, core: &Core) -> bool {
    let (grant, early) = match place.take_grant() {
        Some(grant) => (grant, true),
        None => (place.wait_for_grant(), false),
    };
    assert_eq!(grant, Grant::Core(0));
    assert_eq!(core.use_it(), 2);
    early
}

/// The last holder.
fn give(seat: &Seat, core: &Core) {
    assert_eq!(core.use_it(), 1);
    seat.grant(Grant::Core(0));
}

/// Both holders. Tells what [`take`] does. Fails with [`Flaw::GrantRelaxed`].
fn pass_on(taker_is_main: bool) -> bool {
    let core = Arc::new(Core(UnsafeCell::new(0)));
    let place = Place::new();
    let (seat, theirs) = (Arc::clone(place.seat()), Arc::clone(&core));
    if taker_is_main {
        let giver = thread::spawn(move || give(&seat, &theirs));
        let was_early = take(&place, &core);
        giver.join().unwrap();
        was_early
    } else {
        let place = OfOneThread(place);
        let taker = thread::spawn(move || take(&place.into_inner(), &theirs));
        give(&seat, &core);
        taker.join().unwrap()
    }
}

#[test]
fn a_grant_passes_on_the_core() {
    for taker_is_main in [true, false] {
        let early = Witness::leaked("the grant was there before the thread parked");
        let late = Witness::leaked("the thread had to wait");
        check("seat: grant", Bound::Unbounded, move || {
            let was_early = pass_on(taker_is_main);
            early.hit_if(was_early);
            late.hit_if(!was_early);
        })
        .at_least(3);
        early.assert_seen();
        late.assert_seen();
    }
}

/// Seeded: the grant does not publish what the last holder did.
#[test]
fn a_relaxed_grant_is_found() {
    for taker_is_main in [true, false] {
        fails_with("Causality violation", || {
            with_flaw(Flaw::GrantRelaxed, || {
                check("seat: seeded flaw", Bound::Unbounded, move || {
                    pass_on(taker_is_main);
                });
            });
        });
    }
}
