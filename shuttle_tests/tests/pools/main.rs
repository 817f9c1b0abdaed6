//! Whole pools under random schedules: [`common`] says how they are played.

mod common;

mod blocking;
mod fork;
mod lend;
mod loops;
mod rwlock;
mod scope;
mod shutdown;
mod stream;
