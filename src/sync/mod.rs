//! Synchronisation between tasks, in both styles: monitors and semaphores. All of it may be used from any thread; a task
//! that blocks here gives its core to another thread at once, and takes a core again when it goes on.

mod closed;
mod line;
mod queue;
mod queue_error;
mod semaphore;

pub use closed::Closed;
pub use queue::{Queue, Values};
pub use queue_error::{PopTimeoutError, PushError, PushTimeoutError, TooManyDone, TryPopError, TryPushError};
pub use semaphore::{AcquireTimeoutError, Permit, Semaphore, TooManyPermits, TryAcquireError};
