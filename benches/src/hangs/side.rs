//! The two sides of a comparison, each a pool with what its users synchronise tasks with. A program is written once, and
//! runs on both.

use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};

/// A pool of threads, and the primitives that go with it.
pub trait Side: Clone + Send + Sync + 'static {
    /// What the tables call it.
    const NAME: &'static str;

    /// Something that happens once.
    type Event: Event;
    /// A lock.
    type Lock: Lock;
    /// A value that is made once.
    type Once: Once;
    /// A bounded queue.
    type Queue: Queue;
    /// A meeting of several.
    type Barrier: Barrier;
    /// A number of permits.
    type Semaphore: Semaphore;

    /// A pool of so many threads.
    fn start(threads: usize) -> Self;

    /// Runs `f` in the pool, called from outside.
    fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R;

    /// Runs both, from inside.
    fn join<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B);

    /// Hands a task to the pool, from inside or outside, and waits for nothing.
    fn spawn(&self, task: impl FnOnce() + Send + 'static);

    /// A call of something foreign that blocks.
    fn blocking<R>(f: impl FnOnce() -> R) -> R;
}

/// Happens once; threads wait for it.
pub trait Event: Default + Send + Sync + 'static {
    /// It happens.
    fn set(&self);
    /// Waits until it has happened.
    fn wait(&self);
}

/// A lock around nothing.
pub trait Lock: Default + Send + Sync + 'static {
    /// Runs `f` with the lock held.
    fn locked<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// A value that is made by who needs it first.
pub trait Once: Default + Send + Sync + 'static {
    /// Makes the value if it is not there.
    fn get(&self, make: impl FnOnce());
}

/// A bounded queue of numbers.
pub trait Queue: Send + Sync + 'static {
    /// An empty one.
    fn new(capacity: usize) -> Self;
    /// Appends, and waits for room.
    fn push(&self, number: usize);
    /// Takes the oldest, and waits for one.
    fn pop(&self) -> usize;
}

/// Where so many wait for each other.
pub trait Barrier: Send + Sync + 'static {
    /// For so many.
    fn new(parties: usize) -> Self;
    /// Waits for the others.
    fn wait(&self);
}

/// Permits.
pub trait Semaphore: Send + Sync + 'static {
    /// So many.
    fn new(permits: usize) -> Self;
    /// Runs `f` with one of them.
    fn with_permit<R>(&self, f: impl FnOnce() -> R) -> R;
}

/// purloin with its own primitives.
#[derive(Clone)]
pub struct Purloin(purloin::Pool);

impl Side for Purloin {
    const NAME: &'static str = "purloin";
    type Event = purloin::sync::Event;
    type Lock = purloin::sync::Mutex<()>;
    type Once = purloin::sync::OnceLock<()>;
    type Queue = purloin::sync::Queue<usize>;
    type Barrier = purloin::sync::Barrier;
    type Semaphore = purloin::sync::Semaphore;

    fn start(threads: usize) -> Self {
        Purloin(purloin::Pool::new(threads).expect("a pool of that size can be built"))
    }

    fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.install(f)
    }

    fn join<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B) {
        purloin::join(first, second)
    }

    fn spawn(&self, task: impl FnOnce() + Send + 'static) {
        drop(self.0.spawn(task));
    }

    fn blocking<R>(f: impl FnOnce() -> R) -> R {
        purloin::blocking(f)
    }
}

impl Event for purloin::sync::Event {
    fn set(&self) {
        self.set();
    }

    fn wait(&self) {
        self.wait();
    }
}

impl Lock for purloin::sync::Mutex<()> {
    fn locked<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.lock();
        f()
    }
}

impl Once for purloin::sync::OnceLock<()> {
    fn get(&self, make: impl FnOnce()) {
        self.get_or_init(make);
    }
}

impl Queue for purloin::sync::Queue<usize> {
    fn new(capacity: usize) -> Self {
        purloin::sync::Queue::bounded(capacity)
    }

    fn push(&self, number: usize) {
        self.push(number).expect("nobody closes it");
    }

    fn pop(&self) -> usize {
        self.pop().expect("nobody closes it")
    }
}

impl Barrier for purloin::sync::Barrier {
    fn new(parties: usize) -> Self {
        purloin::sync::Barrier::new(parties)
    }

    fn wait(&self) {
        self.wait();
    }
}

impl Semaphore for purloin::sync::Semaphore {
    fn new(permits: usize) -> Self {
        purloin::sync::Semaphore::new(permits)
    }

    fn with_permit<R>(&self, f: impl FnOnce() -> R) -> R {
        let _permit = self.acquire(1).expect("nobody closes it");
        f()
    }
}

/// rayon with what its users take: locks of parking_lot's, channels of crossbeam's, and the rest from the standard library.
#[derive(Clone)]
pub struct Rayon(Arc<rayon::ThreadPool>);

impl Side for Rayon {
    const NAME: &'static str = "rayon";
    type Event = Flag;
    type Lock = Mutex<()>;
    type Once = OnceLock<()>;
    type Queue = Channel;
    type Barrier = std::sync::Barrier;
    type Semaphore = Counter;

    fn start(threads: usize) -> Self {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(threads);
        Rayon(Arc::new(builder.build().expect("a pool of that size can be built")))
    }

    fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.install(f)
    }

    fn join<A: Send, B: Send>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B + Send) -> (A, B) {
        rayon::join(first, second)
    }

    fn spawn(&self, task: impl FnOnce() + Send + 'static) {
        self.0.spawn(task);
    }

    fn blocking<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// An event of a lock and a condition variable.
#[derive(Default)]
pub struct Flag(Mutex<bool>, Condvar);

impl Event for Flag {
    fn set(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    fn wait(&self) {
        self.1.wait_while(&mut self.0.lock(), |set| !*set);
    }
}

impl Lock for Mutex<()> {
    fn locked<R>(&self, f: impl FnOnce() -> R) -> R {
        let _guard = self.lock();
        f()
    }
}

impl Once for OnceLock<()> {
    fn get(&self, make: impl FnOnce()) {
        self.get_or_init(make);
    }
}

/// A channel with both its ends.
pub struct Channel(Sender<usize>, Receiver<usize>);

impl Queue for Channel {
    fn new(capacity: usize) -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        Channel(sender, receiver)
    }

    fn push(&self, number: usize) {
        self.0.send(number).expect("the other end is there");
    }

    fn pop(&self) -> usize {
        self.1.recv().expect("the other end is there")
    }
}

impl Barrier for std::sync::Barrier {
    fn new(parties: usize) -> Self {
        std::sync::Barrier::new(parties)
    }

    fn wait(&self) {
        self.wait();
    }
}

/// A semaphore of a lock and a condition variable.
pub struct Counter(Mutex<usize>, Condvar);

impl Semaphore for Counter {
    fn new(permits: usize) -> Self {
        Counter(Mutex::new(permits), Condvar::new())
    }

    fn with_permit<R>(&self, f: impl FnOnce() -> R) -> R {
        {
            let mut permits = self.0.lock();
            self.1.wait_while(&mut permits, |permits| *permits == 0);
            *permits -= 1;
        }
        let result = f();
        *self.0.lock() += 1;
        self.1.notify_one();
        result
    }
}
