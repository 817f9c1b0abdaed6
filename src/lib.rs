// The first definition of a link wins: in the documentation the book is a module.
#![doc = "[book]: crate::design\n"]
#![doc = include_str!("../README.md")]
#![cfg_attr(not(purloin_model), warn(missing_debug_implementations))]
// The models' build opens the inside, which is documented for its readers and not as an interface.
#![cfg_attr(
    purloin_model,
    allow(
        missing_docs,
        dead_code,
        clippy::absurd_extreme_comparisons,
        clippy::len_without_is_empty,
        clippy::missing_safety_doc,
        clippy::new_without_default,
        clippy::reversed_empty_ranges
    )
)]

mod bag;
mod blocking;
mod bounds;
mod builder;
mod cancel;
mod core;
mod deque;
mod error;
mod fork;
mod here;
mod imap;
mod job;
mod join;
mod latch;
mod limited;
mod loops;
mod map;
mod options;
mod pile;
mod pool;
mod primitive;
mod progress;
mod reduce;
mod registry;
mod scope;
mod search;
mod seat;
mod slab;
mod sleep;
mod source;
mod spawn;
mod stand_in;
mod stats;
pub mod sync;
mod task;
mod thread;
mod wait;
mod watchdog;
mod window;
mod with;
mod worker;

pub use blocking::blocking;
pub use builder::PoolBuilder;
pub use cancel::{CancelToken, Why};
pub use error::{BuildError, Cancelled, JoinError, JoinThreadsError, PanicPayload};
pub use here::{join, scope, spawn};
pub use imap::{Imap, LimitedImap};
pub use limited::is_cancelled;
pub use options::Options;
pub use pool::Pool;
pub use progress::Progress;
pub use scope::{Scope, ScopedJoinHandle};
pub use source::Source;
pub use spawn::JoinHandle;
pub use stats::Stats;
pub use with::With;

#[cfg(any(doc, doctest))]
#[doc = include_str!("../DESIGN.md")]
pub mod design {}

/// The inside, for the models.
#[cfg(purloin_model)]
#[doc(hidden)]
pub mod internals {
    macro_rules! open {
        ($($module:ident),*) => {$(
            pub mod $module {
                pub use crate::$module::*;
            }
        )*};
    }
    open!(
        bag, blocking, bounds, cancel, core, deque, error, fork, job, join, latch, map, pile, primitive, progress,
        registry, scope, seat, slab, sleep, spawn, stand_in, sync, task, thread, wait, window, worker
    );
}
