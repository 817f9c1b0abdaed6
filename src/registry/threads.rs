//! A pool's threads: what they are called, how they are started, and who waits for their end.

use super::Registry;
use crate::error::{discard, panic_text};
use crate::primitive::{Arc, Flaw, ThreadHandle, now, seeded, spawn_thread};
use crate::seat::Place;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// What threads are called.
pub enum Names {
    /// This and their index.
    Numbered(&'static str),
    /// What the user makes of it. That may take long, or need what the thread that asks for it has; so the name of a thread that may be
    /// started in the middle of something is made before, by the thread that was started last: see [`Registry::name_next`].
    Made(Box<dyn Fn(usize) -> String + Send + Sync>),
}

impl Names {
    /// For how many threads there are names at first.
    pub(super) fn at_first(&self, cores: usize) -> usize {
        match self {
            Names::Numbered(_) => usize::MAX,
            Names::Made(_) => cores,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Threads {
    handles: Vec<ThreadHandle>,
    started: usize,
    /// What the next one is called, if that is the user's to make and has been made.
    name: Option<String>,
}

impl Registry {
    /// Makes the name of the thread of that index, which comes next.
    pub(super) fn name_thread(&self, index: usize) -> io::Result<()> {
        if let Names::Made(name) = &self.options.names {
            let name = caught(|| Ok(name(index)))?;
            self.threads.lock().name = Some(name);
        }
        Ok(())
    }

    /// Whether the thread of that index is to make the name of the next one.
    pub fn names_next(&self, index: usize) -> bool {
        let next = index + 1;
        matches!(self.options.names, Names::Made(_)) && (self.size()..self.options.max_threads).contains(&next)
    }

    /// The thread of that index, which is about to start, makes the name of the next one, if it is to. No other is started until it
    /// has; and none at all, if the name can't be made.
    pub fn name_next(&self, index: usize) {
        if self.names_next(index) && self.name_thread(index + 1).is_ok() {
            self.sleep.named();
        }
    }

    /// Starts a thread, for that core if there is one. None of the user's code is called: the caller may be in the middle of a fork.
    pub(super) fn start_thread(&self, place: Place, core: Option<usize>) -> io::Result<()> {
        let Some(registry) = self.itself.upgrade() else { return Err(io::Error::other("the pool is gone")) };
        let body = self.thread_body;
        // A name that can't be one panics.
        caught(|| {
            // Until the handle is there: who joins the threads waits for it, even if the thread ends before.
            let mut threads = self.threads.lock();
            let index = threads.started;
            threads.started += 1;
            let name = match &self.options.names {
                Names::Numbered(prefix) => format!("{prefix}{index}"),
                Names::Made(_) => {
                    threads.name.take().unwrap_or_else(|| unreachable!("none is started before it is named"))
                }
            };
            let handle = spawn_thread(name, self.options.stack_size, move || body(registry, place, core, index))?;
            threads.handles.push(handle);
            Ok(())
        })
    }

    /// Waits until every thread that was started has ended. Those that may start further ones, or name them, have been counted out.
    pub fn join_handles(&self) {
        // Under the lock, so that another who waits for the same does not return before; so none of them may want it any more.
        for handle in self.threads.lock().handles.drain(..) {
            handle.join();
        }
    }

    /// Ends a pool that nobody has seen yet, since it could not be built to the end.
    pub fn give_up(&self) {
        self.close();
        self.wait_for_threads(&Place::new(), None);
    }

    /// A thread of the pool ends.
    pub fn thread_ended(&self) {
        if self.sleep.thread_ended() == 0 && !seeded(Flaw::WatcherForgotten) {
            for watcher in self.watchers.lock().drain(..) {
                watcher.unpark();
            }
        }
    }

    /// Waits until all threads have ended, or the deadline has passed; tells how many are alive then.
    pub fn wait_for_threads(&self, place: &Place, deadline: Option<Instant>) -> usize {
        self.watchers.lock().push(Arc::clone(place.seat()));
        let alive = loop {
            // After the watcher was entered: the last thread either sees it or has been counted.
            let (alive, _) = self.sleep.threads();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            match left {
                _ if alive == 0 => break 0,
                None => place.park(),
                Some(Duration::ZERO) => break alive,
                Some(left) => place.park_timeout(left),
            }
        };
        // The last thread takes out those that it finds, if it comes.
        self.watchers.lock().retain(|watcher| seeded(Flaw::WatcherStays) || !Arc::ptr_eq(watcher, place.seat()));
        if alive == 0 {
            self.join_handles();
        }
        alive
    }
}

/// What `start` comes to. A panic in it is an error too.
fn caught<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    catch_unwind(AssertUnwindSafe(start)).unwrap_or_else(|payload| {
        let error = io::Error::other(panic_text(&*payload).to_owned());
        discard(payload);
        Err(error)
    })
}
