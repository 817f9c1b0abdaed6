//! The models, one module for each protocol: [`common`] says how they are run, [`cores`] and [`stage`] give them pools.
//!
//! One binary, as each would compile most of the crate once more. `test_fork::test` plays each test in a process of its own:
//! loom maps a stack for each thread of each execution, and two tests that do so in one process wait for each other.

mod common;
mod cores;
mod stage;

mod bag;
mod condvar;
mod deque_contract;
mod exploration;
mod fork;
mod handover;
mod hints;
mod latch;
mod lending;
mod lineage;
mod locks;
mod monitor;
mod naps;
mod pool;
mod retract;
mod scope;
mod seat;
mod shutdown;
mod slab;
mod sleep;
mod sync_barrier;
mod sync_event;
mod sync_once;
mod sync_queue;
mod sync_semaphore;
mod task;
mod ticket;
mod window;
