//! A value that is made once, by whoever needs it first, while others wait.

use super::graph;
use super::holder::{Before, Held, Holder, Mode, Wish};
use super::line::{Line, What, wait_for_holder};
use super::report::Deadlock;
use crate::primitive::{Flaw, Mutex, OnceLock as Written, const_in_library, seeded, thread_number};
use crate::seat::with_place;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

/// A value that is made once, by whoever needs it first; others wait until it is there.
///
/// As `std::sync::OnceLock`, but made for pools: a task that waits gives its core to another thread, so the initialiser may
/// itself be parallel, on a pool of one core too. (With rayon that deadlocks: rayon#1251.) If an initialiser panics the
/// value is not there, and the next thread runs its own.
///
/// ```
/// use purloin::sync::OnceLock;
///
/// static PRIMES: OnceLock<Vec<u32>> = OnceLock::new();
/// let pool = purloin::Pool::new(2)?;
/// let prime = |n: u32| n > 1 && (2..n).all(|d| n % d > 0);
/// let primes = || PRIMES.get_or_init(|| pool.map(0..100u32, |n| prime(n).then_some(n)).into_iter().flatten().collect());
/// let counts = pool.map(0..10, |_| primes().len());
/// assert_eq!(counts, [25; 10]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OnceLock<T> {
    /// Written by the one who initialises, of whom there is one at a time.
    value: Written<T>,
    /// The thread that runs an initialiser. Written under the line's lock.
    maker: Holder,
    line: Mutex<Line<()>>,
}

impl<T> OnceLock<T> {
    const_in_library! {
        /// Nothing yet. It may be a `static`.
        #[must_use]
        pub fn new() -> Self {
            OnceLock { value: Written::new(), maker: Holder::new(), line: Mutex::new(Line::new()) }
        }
    }

    /// The value, if it is there. Never waits.
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// let lock = OnceLock::new();
    /// assert_eq!(lock.get(), None);
    /// lock.get_or_init(|| 1);
    /// assert_eq!(lock.get(), Some(&1));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value. If it is not there, this thread makes it with `make`; if another is making it already, this one waits.
    ///
    /// # Panics
    ///
    /// As `make`; the value is then not there, and one of those who wait, if any, runs its own. And if `make` asks for the
    /// very value that it makes, on this thread, or if to wait would close a [cycle](super::Mutex::lock), of makers that want each
    /// other's values for instance. (A part of `make` that another thread runs must not ask for it either: it would wait for
    /// the whole, and the whole for it. That is not reported.)
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// let lock = OnceLock::new();
    /// assert_eq!(lock.get_or_init(|| 1), &1);
    /// assert_eq!(lock.get_or_init(|| 2), &1);
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get() {
            Some(value) => value,
            None => self.make(make),
        }
    }

    /// Puts the value there, unless one is there; waits if a thread is making it.
    ///
    /// # Errors
    ///
    /// The value that was to be put there, if another is.
    ///
    /// # Panics
    ///
    /// If the thread that makes a value waits for this one, so that both would wait for ever. The value is dropped.
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// let lock = OnceLock::new();
    /// assert_eq!(lock.set("first"), Ok(()));
    /// assert_eq!(lock.set("second"), Err("second"));
    /// assert_eq!(lock.into_inner(), Some("first"));
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| match value.take() {
            Some(value) => value,
            None => unreachable!("an initialiser is called once"),
        });
        value.map_or(Ok(()), Err)
    }

    /// The value, if it is there, to be changed: nobody else has the lock.
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// let mut lock = OnceLock::from(1);
    /// lock.get_mut().into_iter().for_each(|value| *value += 1);
    /// assert_eq!(lock.get(), Some(&2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Takes the value out, if it is there; the next one to need it makes another.
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// let mut lock = OnceLock::from(1);
    /// assert_eq!(lock.take(), Some(1));
    /// assert_eq!(lock.get_or_init(|| 2), &2);
    /// ```
    pub fn take(&mut self) -> Option<T> {
        self.value.take()
    }

    /// The value, if it is there.
    ///
    /// ```
    /// use purloin::sync::OnceLock;
    ///
    /// assert_eq!(OnceLock::from(1).into_inner(), Some(1));
    /// assert_eq!(OnceLock::<i32>::new().into_inner(), None);
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    #[cold]
    #[track_caller]
    fn make(&self, make: impl FnOnce() -> T) -> &T {
        match self.turn(Location::caller()) {
            Ok(None) => {}
            Ok(Some(_turn)) => {
                let value = make();
                let written = self.value.set(value);
                debug_assert!(written.is_ok(), "one thread at a time makes the value");
            }
            Err(deadlock) => deadlock.report(),
        }
        match self.get() {
            Some(value) => value,
            None => unreachable!("somebody has made it"),
        }
    }

    /// Waits until the value is there, or it is this thread's turn to make it.
    fn turn(&self, at: &'static Location<'static>) -> Result<Option<Turn<'_, T>>, Deadlock> {
        let what = What { kind: "OnceLock", address: (&raw const *self).addr(), at };
        let wish = Wish { holder: &self.maker, lock: None, what, mode: Mode::Made, deadline: None };
        with_place(|place| {
            loop {
                let call = {
                    let mut line = self.line.lock();
                    if self.get().is_some() && !seeded(Flaw::EntersUnlooked) {
                        return Ok(None);
                    }
                    match self.maker.get() {
                        Held::By(maker, _) if maker != thread_number() => line.enter(place, ()),
                        // Not known by its seat, of which a thread whose locals are being destroyed has one for each wait.
                        Held::By(..) => {
                            drop(line);
                            let _noted = graph::note_lock(&wish, graph::core())?;
                            unreachable!("a thread that waits for itself is told so")
                        }
                        Held::Unknown | Held::Named(_) => {
                            return Ok(Some(Turn { lock: self, before: self.maker.note(at) }));
                        }
                    }
                };
                if let Err(deadlock) = wait_for_holder(place, &call, &wish) {
                    self.line.lock().leave(&call);
                    return Err(deadlock);
                }
            }
        })
    }
}

// As std's: the value is there whole, or not at all.
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        OnceLock { value: Written::from(value), ..OnceLock::new() }
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        OnceLock::new()
    }
}

/// The right to make the value. When it ends, well or by a panic, all who wait look again.
struct Turn<'a, T> {
    lock: &'a OnceLock<T>,
    before: Before,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let line = {
            let mut line = self.lock.line.lock();
            self.lock.maker.clear(self.before);
            if seeded(Flaw::PanicForgetsWaiters) && self.lock.get().is_none() {
                return;
            }
            line.take()
        };
        line.answer_all();
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => output.field(value),
            None => output.field(&format_args!("<uninit>")),
        };
        output.finish()
    }
}
