//! A thread that tells when a pool has come to a standstill.

use crate::error::discard;
use crate::primitive::{Arc, now, spawn_thread};
use crate::registry::Registry;
use crate::seat::with_place;
use crate::sync::{Snapshot, waiting};
use std::fmt;
use std::io;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(1);

/// What each core and the threads of a pool are at, each as of a moment ago: a line for the threads and one for each core
/// in use.
pub fn state(registry: &Registry) -> Vec<String> {
    let (threads, whose) = registry.sleep.state();
    let cores = registry.cores_in_use().iter().zip(whose).enumerate();
    let cores = cores.map(|(index, (core, whose))| format!("core {index}: {whose}, {core}"));
    let injector = if registry.injector.is_empty() { "empty" } else { "not empty" };
    iter::once(format!("{threads}; the injector is {injector}")).chain(cores).collect()
}

/// What the thread is to do.
pub struct Watchdog {
    period: Duration,
    handler: Box<dyn Fn(&Snapshot) + Send>,
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("period", &self.period).finish_non_exhaustive()
    }
}

impl Watchdog {
    /// One that looks once in `period`.
    pub fn new(period: Duration, handler: impl Fn(&Snapshot) + Send + 'static) -> Self {
        Watchdog { period: period.max(SHORTEST), handler: Box::new(handler) }
    }

    /// Starts the thread, which ends when the pool's last thread has.
    pub fn start(self, registry: &Arc<Registry>) -> io::Result<()> {
        let registry = Arc::clone(registry);
        // Nobody joins it: it holds nothing but the registry.
        spawn_thread("purloin-watchdog".into(), None, move || self.watch(&registry)).map(drop)
    }

    fn watch(&self, registry: &Registry) {
        let (mut last, mut told) = (None, None);
        loop {
            // A period beyond the end of time has no second look.
            let next = now().checked_add(self.period);
            if with_place(|place| registry.wait_for_threads(place, next)) == 0 {
                return;
            }
            let now = registry.sleep.standstill();
            if now.is_some() && now == last && now != told {
                // A panic of the handler's has been told of by the panic hook.
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| (self.handler)(&waiting()))) {
                    discard(payload);
                }
                told = now;
            }
            last = now;
        }
    }
}
