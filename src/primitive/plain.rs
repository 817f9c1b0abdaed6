//! What only loom needs in another form: plain cells, marks without a meaning, a clock.

use super::now;
use std::time::{Duration, Instant};

/// `std::cell::UnsafeCell` with the access-by-closure interface that loom needs.
#[derive(Debug)]
pub struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// A cell holding `value`.
    #[inline]
    pub const fn new(value: T) -> Self {
        UnsafeCell(std::cell::UnsafeCell::new(value))
    }

    /// What it held.
    #[cfg(purloin_model)]
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Calls `f` with a pointer for reading.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Calls `f` with a pointer for writing.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

/// Marks memory whose end of life is part of a protocol. Costs nothing here; in the models a use after the end is a
/// data race that loom reports.
#[derive(Debug, Default)]
pub struct Alive;

impl Alive {
    /// A mark on live memory.
    #[inline]
    pub const fn new() -> Self {
        Alive
    }

    /// Says that the memory is used now.
    #[inline]
    pub fn touch(&self) {}

    /// Says that the memory goes away now.
    #[inline]
    pub fn end(&self) {}
}

/// A point in time, for decisions of policy (never of correctness).
#[derive(Clone, Copy, Debug)]
pub struct Tick(Instant);

impl Tick {
    /// Now.
    pub fn now() -> Tick {
        Tick(now())
    }

    /// Whether less than `span` lies between `earlier` and this tick.
    pub fn within(self, earlier: Tick, span: Duration) -> bool {
        self.0.duration_since(earlier.0) < span
    }

    /// Whether that time has come.
    pub fn is_past(self, time: Instant) -> bool {
        self.0 >= time
    }
}
