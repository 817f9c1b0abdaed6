//! A latch is set once and may be gone the moment it is: nothing of it, nor of its waiter, is used after the waiter can
//! know, and what was written before it was set is read after.
//!
//! Checked without a bound on preemptions under loom's model, in both role orders.

use crate::common::{Bound, Witness, check, fails_with};
use loom::thread;
use purloin_loom::internals::latch::{Latch, Verdict, Waiter};
use purloin_loom::internals::primitive::{Arc, Flaw, UnsafeCell, with_flaw};
use purloin_loom::internals::seat::with_place;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use test_fork::test;

/// Which role the model's main thread plays.
#[derive(Clone, Copy, Debug)]
enum Main {
    Waiter,
    Setter,
}

const BOTH: [Main; 2] = [Main::Waiter, Main::Setter];

/// How the waiter came to know the verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Learnt {
    /// It looked at the latch.
    Probing,
    /// It was about to announce itself.
    Refused,
    /// It had announced itself, and had not parked yet.
    BeforeParking,
    /// It was woken.
    Woken,
}

/// The stack frame of the thread that waits: the latch, and what the setter works on.
struct Frame {
    latch: Latch,
    /// Written by the setter if it is done; by the waiter if the job is given back.
    work: UnsafeCell<usize>,
}

/// Where the frame and the waiter's record lie. The memory outlives both, so that a use after their end is reported as
/// what it is instead of reading what came after.
struct Memory {
    frame: MaybeUninit<Frame>,
    waiter: MaybeUninit<Waiter>,
}

#[derive(Clone, Copy)]
struct Shared(*mut Memory);
// SAFETY: that both roles use the memory as the latch allows is what the model checks.
unsafe impl Send for Shared {}

impl Shared {
    fn frame(&self) -> *const Frame {
        // SAFETY: the memory outlives both roles.
        unsafe { &raw const (*self.0).frame }.cast()
    }

    fn waiter(&self) -> *mut Waiter {
        // SAFETY: the memory outlives both roles.
        unsafe { &raw mut (*self.0).waiter }.cast()
    }
}

/// Ends what it points to on leaving a scope.
struct End<T>(*mut T);

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        // SAFETY: it was written before, and is dropped here only.
        unsafe { ptr::drop_in_place(self.0) };
    }
}

/// Waits as `Worker::wait_for` does: looks, announces itself, parks. Its frame ends as soon as the verdict is known.
fn wait(shared: Shared) -> (Learnt, Verdict, usize) {
    let frame = shared.frame();
    let _end = End(frame.cast_mut());
    // SAFETY: the frame is the waiter's.
    let frame = unsafe { &*frame };
    let (learnt, verdict) = match frame.latch.verdict() {
        Some(verdict) => (Learnt::Probing, verdict),
        None => park(shared, &frame.latch),
    };
    let work = match verdict {
        // SAFETY: loom checks that nobody writes.
        Verdict::Done => frame.work.with(|work| unsafe { *work }),
        Verdict::Returned => frame.work.with_mut(|work| {
            // SAFETY: loom checks that nobody else reads or writes.
            unsafe { *work += 2 };
            // SAFETY: as above.
            unsafe { *work }
        }),
    };
    (learnt, verdict, work)
}

fn park(shared: Shared, latch: &Latch) -> (Learnt, Verdict) {
    with_place(|place| {
        let waiter = shared.waiter();
        // SAFETY: nobody has seen the record yet.
        unsafe { waiter.write(Waiter::new(Arc::clone(place.seat()))) };
        let _end = End(waiter);
        // SAFETY: written just now.
        let waiter = unsafe { &*waiter };
        if let Err(verdict) = latch.announce(waiter) {
            return (Learnt::Refused, verdict);
        }
        let mut learnt = Learnt::BeforeParking;
        loop {
            if let Some(verdict) = waiter.verdict() {
                return (learnt, verdict);
            }
            learnt = Learnt::Woken;
            place.park();
        }
    })
}

/// Works on the frame, or only looks at it, and sets the latch.
fn set(shared: Shared, verdict: Verdict) {
    let frame = shared.frame();
    // SAFETY: the latch is not set yet.
    let work = unsafe { &(*frame).work };
    match verdict {
        // SAFETY: loom checks that nobody else reads or writes.
        Verdict::Done => work.with_mut(|work| unsafe { *work = 1 }),
        // SAFETY: loom checks that nobody writes.
        Verdict::Returned => work.with(|work| assert_eq!(unsafe { *work }, 0)),
    }
    // SAFETY: as above.
    let latch = unsafe { &raw const (*frame).latch };
    // SAFETY: set once, here.
    unsafe { Latch::set(latch, verdict) };
}

/// One waiter, one setter. Fails with [`Flaw::LatchTouchedAfterSet`], [`Flaw::WaiterTouchedAfterVerdict`],
/// [`Flaw::LatchSetRelaxed`] and [`Flaw::ReturnedWithoutWake`].
fn race(main: Main, verdict: Verdict) -> Learnt {
    let memory = Memory {
        frame: MaybeUninit::new(Frame { latch: Latch::new(), work: UnsafeCell::new(0) }),
        waiter: MaybeUninit::uninit(),
    };
    let memory = Box::into_raw(Box::new(memory));
    let shared = Shared(memory);
    let outcome = match main {
        Main::Waiter => {
            let setter = thread::spawn(move || set(shared, verdict));
            let outcome = wait(shared);
            setter.join().unwrap();
            outcome
        }
        Main::Setter => {
            let waiter = thread::spawn(move || wait(shared));
            set(shared, verdict);
            waiter.join().unwrap()
        }
    };
    // SAFETY: made by `Box::into_raw`; what lay in it has been dropped.
    drop(unsafe { Box::from_raw(memory) });
    let (learnt, told, work) = outcome;
    assert_eq!(told, verdict);
    assert_eq!(work, verdict as usize + 1, "the result");
    learnt
}

/// The waiter gets the verdict and the result in each of the four ways, and neither frame nor record is used afterwards.
/// Checked without a bound under loom's model.
#[test]
fn set_and_wait() {
    for (main, verdict) in BOTH.into_iter().flat_map(|main| [Verdict::Done, Verdict::Returned].map(|v| (main, v))) {
        let ways = [
            (Learnt::Probing, Witness::leaked("the waiter saw the latch set")),
            (Learnt::Refused, Witness::leaked("the waiter was refused")),
            (Learnt::BeforeParking, Witness::leaked("the waiter was told before it parked")),
            (Learnt::Woken, Witness::leaked("the waiter was woken")),
        ];
        check("latch: set and wait", Bound::Unbounded, move || {
            let learnt = race(main, verdict);
            ways.iter().for_each(|(way, seen)| seen.hit_if(*way == learnt));
        })
        .at_least(10);
        ways.iter().for_each(|(_, seen)| seen.assert_seen());
    }
}

fn finds(flaw: Flaw, verdict: Verdict, message: &str) {
    for main in BOTH {
        println!("{flaw:?}, main thread: {main:?}");
        fails_with(message, || {
            with_flaw(flaw, || {
                check("latch: seeded flaw", Bound::Unbounded, move || {
                    race(main, verdict);
                });
            });
        });
    }
}

/// Found in the wild: rayon#739 and rayon#929, where the latch's owner went on, and its stack frame with it, between the
/// store that set the latch and the setter's last look at it. Here: a look after the swap, and one at the waiter's record
/// after the verdict was stored there.
#[test]
fn a_look_after_the_set_is_found() {
    finds(Flaw::LatchTouchedAfterSet, Verdict::Done, "Causality violation");
    finds(Flaw::LatchTouchedAfterSet, Verdict::Returned, "Causality violation");
    finds(Flaw::WaiterTouchedAfterVerdict, Verdict::Done, "Causality violation");
}

/// Seeded: the swap publishes and acquires nothing, so the result races with its reader.
#[test]
fn a_relaxed_set_is_found() {
    finds(Flaw::LatchSetRelaxed, Verdict::Done, "Causality violation");
    finds(Flaw::LatchSetRelaxed, Verdict::Returned, "Causality violation");
}

/// Seeded: the setter does not tell the waiter that has announced itself.
#[test]
fn a_forgotten_wake_is_found() {
    finds(Flaw::ReturnedWithoutWake, Verdict::Returned, "deadlock");
}

/// Found in the wild: rayon#945, where two threads came to wait on a latch with room for one, and one was never woken.
/// Here `announce` says so.
#[test]
fn a_second_waiter_is_found() {
    thread_local!(static LATCH: Cell<*const Latch> = const { Cell::new(ptr::null()) });
    fails_with("a latch has one waiter", || {
        check("latch: two waiters", Bound::Unbounded, || {
            let latch = Box::new(Latch::new());
            // All of a model's threads are one thread to std.
            LATCH.set(&*latch);
            let announce = || {
                with_place(|place| {
                    let waiter = Waiter::new(Arc::clone(place.seat()));
                    // SAFETY: the main thread drops the latch when the other has ended.
                    let latch = unsafe { &*LATCH.get() };
                    assert_eq!(latch.announce(&waiter), Ok(()));
                });
            };
            let other = thread::spawn(announce);
            announce();
            other.join().unwrap();
        });
    });
}
