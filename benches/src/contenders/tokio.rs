//! tokio: not made for fork-join, but the runtime that most tasks are spawned on.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};

use super::Spawns;

/// A multi-threaded runtime of tokio's, without drivers for time or input.
pub struct Tokio(Runtime);

impl Tokio {
    /// What the tables call it.
    pub const NAME: &'static str = "tokio";

    /// A runtime of that many worker threads; the calling thread is none of them.
    ///
    /// # Panics
    ///
    /// If the threads cannot be started.
    #[must_use]
    pub fn start(threads: usize) -> Self {
        Tokio(Builder::new_multi_thread().worker_threads(threads).build().expect("a runtime of that size can be built"))
    }

    /// The nearest that tokio has to a region of two halves: one is spawned, the other runs here.
    ///
    /// # Panics
    ///
    /// If the spawned half does.
    pub fn pair(&self, here: impl FnOnce(), there: impl Future<Output = ()> + Send + 'static) {
        let spawned = self.0.spawn(there);
        here();
        self.0.block_on(spawned).expect("the spawned half does not panic");
    }

    /// Runs so many tasks and waits for them.
    ///
    /// # Panics
    ///
    /// If one of them does.
    pub fn all<F: Future<Output = ()> + Send + 'static>(&self, count: usize, task: impl Fn() -> F) {
        let spawned: Vec<_> = (0..count).map(|_| self.0.spawn(task())).collect();
        for task in spawned {
            self.0.block_on(task).expect("the task does not panic");
        }
    }
}

impl Spawns for Tokio {
    fn spawn<F: FnOnce() + Send + 'static>(&self, task: F) {
        drop(self.0.spawn(async move { task() }));
    }
}
