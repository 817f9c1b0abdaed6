//! Which thread waits for what: the wait-for graph, kept by threads that are about to block, and by no others.

use super::holder::{Holder, Wish};
use super::line::What;
use crate::primitive::{Flaw, Mutex, name_of_thread, seeded, shared_static, thread_number};
use crate::worker::Worker;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;

/// All waits of this process, by the number of the thread that waits.
#[derive(Debug)]
struct Graph {
    waits: BTreeMap<usize, Wait>,
}

/// The pool of a thread that waits, by its address, and the core that it had.
pub type Core = (usize, usize);

/// One thread's wait.
#[derive(Debug)]
struct Wait {
    what: What,
    core: Option<Core>,
    /// For a lock, who holds it.
    lock: Option<Edge>,
    /// Whether it ends by itself.
    timed: bool,
}

/// A reference to the holder of a lock that a thread waits for.
#[derive(Debug, Clone, Copy)]
struct Edge(*const Holder);

// SAFETY: a shared reference in all but the name: `Edge::holder` says why it may be followed. `Holder` is `Sync`.
unsafe impl Send for Edge {}

impl Edge {
    fn holder(&self) -> Option<(usize, &'static Location<'static>)> {
        // SAFETY: an edge is in the graph only as long as the thread that put it there borrows the lock (`Noted`), and is
        // followed only under the graph's lock, without which that thread cannot take it out.
        unsafe { &*self.0 }.get()
    }
}

shared_static! {
    static GRAPH: Mutex<Graph> = Mutex::new(Graph { waits: BTreeMap::new() });
}

/// A wait that is entered in the graph; dropped when it is over, before the thread unlocks anything.
#[derive(Debug)]
#[must_use = "the wait is noted only as long as this lives"]
pub struct Noted<'a> {
    thread: usize,
    lock: PhantomData<&'a Holder>,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        GRAPH.lock().waits.remove(&self.thread);
    }
}

/// Notes that this thread, which had that [`core`], is about to wait for something that is no lock.
pub fn note(what: What, core: Option<Core>, timed: bool) -> Noted<'static> {
    let thread = thread_number();
    let wait = Wait { what, core, lock: None, timed };
    GRAPH.lock().waits.insert(thread, wait);
    Noted { thread, lock: PhantomData }
}

/// Notes that this thread, which had that [`core`], is about to wait for a lock, unless it would wait for ever.
pub fn note_lock<'a>(wish: &Wish<'a>, core: Option<Core>) -> Result<Noted<'a>, Deadlock> {
    let thread = thread_number();
    let timed = wish.deadline.is_some();
    let wait = Wait { what: wish.what, core, lock: Some(Edge(ptr::from_ref(wish.holder))), timed };
    if seeded(Flaw::CycleSoughtFirst) {
        let cycle = wish.holder.get().and_then(|(holder, _)| GRAPH.lock().path(holder, thread));
        GRAPH.lock().waits.insert(thread, wait);
        let noted = Noted { thread, lock: PhantomData };
        return if cycle.is_none() { Ok(noted) } else { Err(Deadlock { cycle: Vec::new() }) };
    }
    let mut graph = GRAPH.lock();
    graph.waits.insert(thread, wait);
    match graph.path(thread, thread) {
        None => Ok(Noted { thread, lock: PhantomData }),
        Some(cycle) => {
            let cycle = cycle.iter().map(|thread| graph.describe(*thread)).collect();
            graph.waits.remove(&thread);
            Err(Deadlock { cycle })
        }
    }
}

/// The pool and the core of this thread, to be asked for before it gives the core away.
pub fn core() -> Option<Core> {
    Worker::current().map(|worker| (ptr::from_ref(worker.registry()).addr(), worker.core_index()))
}

impl Graph {
    /// The threads from `first` on, each of which waits, without a time-out, for a lock that the next one holds, if the
    /// last of them waits for one that `last` holds.
    fn path(&self, first: usize, last: usize) -> Option<Vec<usize>> {
        let mut path = vec![first];
        loop {
            let wait = self.waits.get(path.last()?).filter(|wait| !wait.timed)?;
            let (holder, _) = wait.lock?.holder()?;
            if holder == last {
                return Some(path);
            }
            // A cycle further on is its own members' business.
            if path.contains(&holder) {
                return None;
            }
            path.push(holder);
        }
    }

    fn describe(&self, thread: usize) -> Waiting {
        let wait = &self.waits[&thread];
        Waiting {
            thread: name_of_thread(thread),
            core: wait.core,
            what: wait.what,
            timed: wait.timed,
            holder: wait.lock.and_then(|edge| edge.holder()).map(|(holder, at)| (name_of_thread(holder), at)),
        }
    }
}

/// Why a thread must not wait: it would do so for ever.
#[derive(Debug)]
pub struct Deadlock {
    cycle: Vec<Waiting>,
}

impl Deadlock {
    /// Panics, at the line of the caller's caller as far as they pass it on.
    #[track_caller]
    pub fn report(&self) -> ! {
        panic!("{self}")
    }
}

impl fmt::Display for Deadlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [own] = &self.cycle[..] {
            return write!(f, "deadlock: a thread locks again what it holds: drop the first guard before\n  {own}");
        }
        f.write_str(
            "deadlock: each of these threads waits for a lock that the next one holds: take them in one order, or use \
             try_lock_for",
        )?;
        self.cycle.iter().try_for_each(|waiting| write!(f, "\n  {waiting}"))
    }
}

/// A thread that waits for something of this module, as [`waiting`] found it.
#[derive(Debug, Clone)]
pub struct Waiting {
    thread: String,
    core: Option<Core>,
    what: What,
    timed: bool,
    holder: Option<(String, &'static Location<'static>)>,
}

impl Waiting {
    /// The kind of primitive that it waits for, as its type is called.
    pub fn kind(&self) -> &'static str {
        self.what.kind
    }

    /// The source line that waits.
    pub fn location(&self) -> &'static Location<'static> {
        self.what.at
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.thread)?;
        if let Some((pool, core)) = self.core {
            write!(f, " (core {core} of pool {pool:#x})")?;
        }
        let What { kind, address, at } = self.what;
        write!(f, " waits at {at} for {kind} {address:#x}")?;
        if let Some((holder, since)) = &self.holder {
            write!(f, ", which {holder} took at {since}")?;
        }
        if self.timed {
            f.write_str(", with a time-out")?;
        }
        Ok(())
    }
}

/// Who waits for what, at one moment: [`waiting`]. It displays as one line a thread.
#[derive(Debug, Clone)]
pub struct Snapshot {
    waits: Vec<Waiting>,
}

impl Snapshot {
    /// The threads that wait.
    pub fn threads(&self) -> &[Waiting] {
        &self.waits
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.waits.is_empty() {
            return f.write_str("no thread waits");
        }
        let mut waits = self.waits.iter();
        waits.next().map_or(Ok(()), |first| write!(f, "{first}"))?;
        waits.try_for_each(|waiting| write!(f, "\n{waiting}"))
    }
}

/// Who waits for what in this process, as far as it is this module's: the answer to "why is it stuck?".
///
/// Each thread that is blocked on a primitive of this module is listed with its core, if it had one, the primitive, and the
/// source line that waits; for a lock that one thread holds, with that thread and the line that took it. What threads wait
/// for in other ways (the end of a task, a lock of `std`) is not known here. The holders are as of a moment ago.
///
/// ```
/// use purloin::sync::{Mutex, waiting};
///
/// let ready = Mutex::new(false);
/// let guard = ready.lock();
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(ready.lock()));
///     while waiting().threads().is_empty() {
///         std::thread::yield_now();
///     }
///     // thread 2 waits at src/main.rs:6:32 for Mutex 0x7ffc8c8e7a10, which thread "main" took at src/main.rs:4:19
///     let snapshot = waiting().to_string();
///     assert!(snapshot.contains("for Mutex"));
///     drop(guard);
/// });
/// ```
pub fn waiting() -> Snapshot {
    let graph = GRAPH.lock();
    Snapshot { waits: graph.waits.keys().map(|thread| graph.describe(*thread)).collect() }
}
