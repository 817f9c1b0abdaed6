//! Which thread waits for what: the wait-for graph, kept by threads that are about to block, and by no others.

use super::holder::{Held, Holder, Mode, Wish};
use super::line::What;
use super::reads::{self, Read};
use super::report::{Core, Deadlock, How, Keeper, Snapshot, Waiting};
use crate::primitive::{Flaw, Mutex, RawLock, fork_generation, lets_readers_in, seeded, shared_static, thread_number};
use crate::worker::Worker;
use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::ops::DerefMut;
use std::ptr;

/// All waits of this process, by the number of the thread that waits.
#[derive(Debug)]
struct Graph {
    waits: BTreeMap<usize, Wait>,
    /// The process that the threads belong to.
    fork_generation: usize,
}

/// One thread's wait.
#[derive(Debug)]
struct Wait {
    what: What,
    core: Option<Core>,
    /// For a lock, who holds it.
    lock: Option<Edge>,
    /// Whether it ends by itself.
    timed: bool,
    /// What the thread has locked for reading.
    reads: Vec<Read>,
}

/// A reference to the lock that a thread waits for, and how it wants it.
#[derive(Debug, Clone, Copy)]
struct Edge {
    holder: *const Holder,
    lock: Option<*const RawLock>,
    mode: Mode,
}

// SAFETY: shared references in all but the name: `Edge::held` says why they may be followed. `Holder` and `RawLock` are `Sync`.
unsafe impl Send for Edge {}

impl Edge {
    fn of(wish: &Wish<'_>) -> Self {
        Edge { holder: ptr::from_ref(wish.holder), lock: wish.lock.map(ptr::from_ref), mode: wish.mode }
    }

    fn held(&self) -> Held {
        // SAFETY: an edge is in the graph only as long as the thread that put it there borrows the lock (`Noted`), and is
        // followed only under the graph's lock, without which that thread cannot take it out.
        unsafe { &*self.holder }.get()
    }

    fn lets_readers_in(&self) -> bool {
        // SAFETY: as in `held`.
        self.lock.is_none_or(|lock| lets_readers_in(unsafe { &*lock }))
    }
}

shared_static! {
    static GRAPH: Mutex<Graph> = Mutex::new(Graph { waits: BTreeMap::new(), fork_generation: 0 });
}

/// The graph of this process. In a forked child, whose frames unwind though nobody else came along, the locks that others
/// waited for may be gone: their entries go first.
fn graph() -> impl DerefMut<Target = Graph> {
    let mut graph = GRAPH.lock();
    if graph.fork_generation != fork_generation() {
        graph.waits.clear();
        graph.fork_generation = fork_generation();
    }
    graph
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
        graph().waits.remove(&self.thread);
    }
}

/// Notes that this thread, which had that [`core`], is about to wait for something that is no lock.
pub fn note(what: What, core: Option<Core>, timed: bool) -> Noted<'static> {
    let thread = thread_number();
    let wait = Wait { what, core, lock: None, timed, reads: reads::all() };
    graph().waits.insert(thread, wait);
    Noted { thread, lock: PhantomData }
}

/// Notes that this thread, which had that [`core`], is about to wait for a lock, unless it would wait for ever. `None` if that
/// is not settled yet: then the thread looks whether it has come by what it waits for, lets others run, and asks again.
pub fn note_lock<'a>(wish: &Wish<'a>, core: Option<Core>) -> Result<Option<Noted<'a>>, Deadlock> {
    let thread = thread_number();
    let timed = wish.deadline.is_some();
    let reads = if seeded(Flaw::ReadsUnshown) { Vec::new() } else { reads::all() };
    let wait = Wait { what: wish.what, core, lock: Some(Edge::of(wish)), timed, reads };
    if seeded(Flaw::CycleSoughtFirst) {
        let holder = if let Held::By(holder, _) = wish.holder.get() { Some(holder) } else { None };
        let cycle = holder.and_then(|holder| graph().path(holder, thread));
        graph().waits.insert(thread, wait);
        let noted = Noted { thread, lock: PhantomData };
        return if cycle.is_none() { Ok(Some(noted)) } else { Err(Deadlock::new(Vec::new())) };
    }
    let mut graph = graph();
    graph.waits.insert(thread, wait);
    let Some(cycle) = graph.path(thread, thread) else { return Ok(Some(Noted { thread, lock: PhantomData })) };
    let outcome = if graph.is_closed(&cycle) {
        let waits = cycle.iter().map(|(thread, keeper)| graph.describe(*thread, &[*keeper])).collect();
        Err(Deadlock::new(waits))
    } else if seeded(Flaw::UnsettledIsNone) {
        return Ok(Some(Noted { thread, lock: PhantomData }));
    } else {
        Ok(None)
    };
    graph.waits.remove(&thread);
    outcome
}

/// The pool and the core of this thread, to be asked for before it gives the core away.
pub fn core() -> Option<Core> {
    Worker::current().map(|worker| (ptr::from_ref(worker.registry()).addr(), worker.core_index()))
}

/// Threads that wait, each with the one of those it waits for that is next.
type Path = Vec<(usize, Keeper)>;

impl Graph {
    /// For whom the thread waits, as far as it is known: for each of them.
    fn keepers(&self, thread: usize) -> Vec<Keeper> {
        let Some(edge) = self.waits.get(&thread).and_then(|wait| wait.lock) else { return Vec::new() };
        match (edge.held(), edge.mode) {
            (Held::By(thread, at), Mode::Made) => vec![Keeper { thread, how: How::Makes, at }],
            (Held::By(thread, at), _) => vec![Keeper { thread, how: How::Took, at }],
            (Held::Named(lock), Mode::Alone) => self.readers(lock),
            (Held::Named(_), Mode::Shared) => self.writer_before(edge).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// The threads that wait and have the lock of that name for reading.
    fn readers(&self, lock: usize) -> Vec<Keeper> {
        let reader = |(thread, wait): (&usize, &Wait)| {
            let read = wait.reads.iter().find(|read| read.lock == lock)?;
            Some(Keeper { thread: *thread, how: How::Reads, at: read.at })
        };
        self.waits.iter().filter_map(reader).collect()
    }

    /// A thread that waits to write what others read, and keeps further readers out. Which one it is nobody notes, but all
    /// who may be wait for the same readers. Nobody, if it may be one who waits with a time-out.
    fn writer_before(&self, edge: Edge) -> Option<Keeper> {
        let is_writer = |wait: &Wait| {
            wait.lock.is_some_and(|other| other.mode == Mode::Alone && ptr::eq(other.holder, edge.holder))
        };
        let mut writers = self.waits.iter().filter(|(_, wait)| is_writer(wait));
        if writers.clone().any(|(_, wait)| wait.timed) {
            return None;
        }
        writers.next().map(|(thread, wait)| Keeper { thread: *thread, how: How::Wants, at: wait.what.at })
    }

    /// The threads from `first` on, each of which waits, without a time-out, for the next one, if the last of them waits for
    /// `last`. A thread may wait for many, all of whom it needs.
    fn path(&self, first: usize, last: usize) -> Option<Path> {
        let mut before = BTreeMap::<usize, (usize, Keeper)>::new();
        let mut next = VecDeque::from([first]);
        while let Some(thread) = next.pop_front() {
            if self.waits.get(&thread).is_none_or(|wait| wait.timed) {
                continue;
            }
            for keeper in self.keepers(thread) {
                if keeper.thread == last {
                    let mut path = vec![(thread, keeper)];
                    while let Some(step) = path.last().and_then(|(thread, _)| before.get(thread)) {
                        path.push(*step);
                    }
                    path.reverse();
                    return Some(path);
                }
                if keeper.thread != first && !before.contains_key(&keeper.thread) {
                    before.insert(keeper.thread, (thread, keeper));
                    next.push_back(keeper.thread);
                }
            }
        }
        None
    }

    /// Whether those in the cycle who wait for a writer that waits are kept out by it. If not, the writer, or they, or both are
    /// about to go on: whoever comes first. Looked at last: the lock is read by one of the cycle then, and to try it for
    /// reading disturbs nobody.
    fn is_closed(&self, cycle: &Path) -> bool {
        let kept_out = |thread| self.waits[thread].lock.is_some_and(|edge| !edge.lets_readers_in());
        cycle.iter().all(|(thread, keeper)| keeper.how != How::Wants || kept_out(thread))
    }

    fn describe(&self, thread: usize, keepers: &[Keeper]) -> Waiting {
        let wait = &self.waits[&thread];
        Waiting::new(thread, wait.core, wait.what, wait.timed, keepers)
    }
}

/// Who waits for what in this process, as far as it is this module's: the answer to "why is it stuck?".
///
/// Each thread that is blocked on a primitive of this module is listed with its core, if it had one, the primitive, and the
/// source line that waits; for a lock that one thread holds, or a value that one makes, with that thread and the line where it
/// began to; for a lock that others read, with those of them who wait themselves. What threads wait for in other ways (the
/// end of a task, a lock of `std`) is not known here. The holders are as of a moment ago.
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
    let graph = graph();
    let describe = |thread: &usize| graph.describe(*thread, &graph.keepers(*thread));
    Snapshot::new(graph.waits.keys().map(describe).collect())
}
