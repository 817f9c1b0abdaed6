//! Synchronisation between tasks, in both styles: monitors and semaphores. All of it may be used from any thread; a task
//! that blocks here gives its core to another thread, after a short look of some microseconds, and takes a core again when it
//! goes on.
//!
//! Each task that waits keeps its thread, though not its core. A pool has at most
//! [`max_threads`](crate::PoolBuilder::max_threads), by default 256 beyond its cores. If so many wait that the one which would
//! let them go on finds no thread to begin on, they wait for ever, as threads of the operating system would:
//! [`waiting`] and [`PoolBuilder::watchdog`](crate::PoolBuilder::watchdog) tell so.
//!
//! A wait with a time-out ends when the time is up, but a task then waits for a core to go on with. Deadlines and tokens of
//! [`Options`](crate::Options) do not end waits: an item that may wait for long should do so with a time-out.
//!
//! There is no poisoning. So [`Mutex`], [`RwLock`] and [`Monitor`], whose value a panic may leave half changed, are not
//! `RefUnwindSafe`, as parking_lot's are not; what holds no value to be changed in place is.

mod barrier;
mod closed;
mod condvar;
mod event;
mod graph;
mod holder;
mod latch;
mod line;
mod monitor;
mod mutex;
mod once;
mod permit;
mod queue;
mod queue_error;
mod reads;
mod report;
mod rwlock;
mod segment;
mod segments;
mod semaphore;
mod semaphore_error;
mod timed_out;
mod values;

pub use barrier::{Barrier, BarrierTimeout, BarrierWaitResult};
pub use closed::Closed;
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use graph::waiting;
pub use latch::Latch;
pub use monitor::{Monitor, MonitorState};
pub use mutex::{Mutex, MutexGuard};
pub use once::OnceLock;
pub use permit::{OwnedPermit, Permit};
pub use queue::Queue;
pub use queue_error::{PopTimeoutError, PushError, PushTimeoutError, TooManyDone, TryPopError, TryPushError};
pub use report::{Snapshot, Waiting};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::Semaphore;
pub use semaphore_error::{AcquireTimeoutError, TooManyPermits, TryAcquireError};
pub use timed_out::TimedOut;
pub use values::Values;
