//! The integration tests that can share a process, one module for each subject. The files beside this folder are those that
//! need one to themselves: they look at all threads of the process, change what belongs to all of it, or fork it.
//!
//! One binary, since to compile and to link takes longer than to run.

mod bomb;
#[path = "../common/mod.rs"]
mod common;

mod callers;
mod deep;
mod drop_panics;
mod ended;
mod fault_drops;
mod fault_timeouts;
mod hooks;
mod imap;
mod injected;
mod join_timeout;
mod loops;
mod map;
mod nesting;
mod one_processor;
mod panics;
mod rescues;
mod safe_waits;
mod scopes;
mod sizes;
mod sources;
mod sync_barrier;
mod sync_blocking;
mod sync_event;
mod sync_locks;
mod sync_markers;
mod sync_once;
mod sync_queue;
mod sync_reader_deadlocks;
mod sync_semaphore;
mod task_panics;
