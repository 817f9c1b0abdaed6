//! Synchronisation between tasks, in both styles: monitors and semaphores. All of it may be used from any thread; a task
//! that blocks here gives its core to another thread at once, and takes a core again when it goes on.

mod barrier;
mod closed;
mod event;
mod latch;
mod line;
mod once;
mod queue;
mod queue_error;
mod semaphore;
mod timed_out;

pub use barrier::{Barrier, BarrierTimeout, BarrierWaitResult};
pub use closed::Closed;
pub use event::Event;
pub use latch::Latch;
pub use once::OnceLock;
pub use queue::{Queue, Values};
pub use queue_error::{PopTimeoutError, PushError, PushTimeoutError, TooManyDone, TryPopError, TryPushError};
pub use semaphore::{AcquireTimeoutError, Permit, Semaphore, TooManyPermits, TryAcquireError};
pub use timed_out::TimedOut;
