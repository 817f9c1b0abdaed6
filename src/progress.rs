//! How far a loop has come, for whoever draws it.

use crate::primitive::{Arc, AtomicBool, AtomicUsize, CachePadded, Flaw, Ordering, seeded};

/// Counters that cores share by turns, so that they seldom meet in one.
const SHARDS: usize = 16;

/// How far a loop has come: a counter that the loop adds to and anybody reads, from a thread that draws, say. See
/// [`Options::progress`](crate::Options::progress).
///
/// Clones stand for the same counter. A loop adds each chunk of items, every two microseconds or so, or after every item that
/// takes longer, so it costs next to nothing; `map_reduce` adds each [block](crate::Pool::map_reduce). Given to several loops it
/// adds them up.
///
/// ```
/// use purloin::{Options, Pool, Progress};
///
/// let (pool, progress) = (Pool::new(2)?, Progress::new());
/// pool.with(Options::new().progress(&progress)).for_each(0..1000, |_| ())?;
/// assert_eq!((progress.done(), progress.total()), (1000, Some(1000)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<Counts>);

/// What is counted, for the loops that do.
#[derive(Debug)]
pub struct Counts {
    done: [CachePadded<AtomicUsize>; SHARDS],
    total: AtomicUsize,
    /// Some loop did not know how many items it would have.
    unknown: AtomicBool,
}

impl Default for Counts {
    fn default() -> Self {
        Counts {
            done: std::array::from_fn(|_| CachePadded::new(AtomicUsize::new(0))),
            total: AtomicUsize::new(0),
            unknown: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// A counter at zero.
    pub fn new() -> Self {
        Progress::default()
    }

    /// How many items are done: their closure has returned, and no error. Never more than a [`total`](Self::total) that
    /// is asked for later, so ask for this first.
    pub fn done(&self) -> usize {
        self.0.done()
    }

    /// How many there are in the loops that have begun; `None` if one of them runs over an iterator that does not know.
    ///
    /// ```
    /// use purloin::{Options, Pool, Progress};
    ///
    /// let (pool, progress) = (Pool::new(2)?, Progress::new());
    /// let text = "to be".chars().filter(|letter| letter.is_alphabetic());
    /// let letters = pool.with(Options::new().progress(&progress)).imap(text, |letter| letter);
    /// assert_eq!((letters.count(), progress.done(), progress.total()), (4, 4, None));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn total(&self) -> Option<usize> {
        self.0.total()
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.0
    }
}

// Relaxed where nothing else is said: the counts say how many, and order nothing but each other.
impl Counts {
    /// See [`Progress::done`].
    pub fn done(&self) -> usize {
        // Acquire pairs with the Release in `add`.
        self.done.iter().map(|shard| shard.load(Ordering::Acquire)).sum()
    }

    /// See [`Progress::total`].
    pub fn total(&self) -> Option<usize> {
        let known = !self.unknown.load(Ordering::Relaxed);
        known.then(|| self.total.load(Ordering::Relaxed))
    }

    /// A loop begins that has so many items.
    pub fn expect(&self, items: Option<usize>) {
        match items {
            Some(items) => drop(self.total.fetch_add(items, Ordering::Relaxed)),
            None => self.unknown.store(true, Ordering::Relaxed),
        }
    }

    /// The holder of that core has done so many items.
    pub fn add(&self, core: usize, items: usize) {
        let shard = &self.done[core % SHARDS];
        if seeded(Flaw::CountedByStore) {
            return shard.store(shard.load(Ordering::Relaxed) + items, Ordering::Relaxed);
        }
        // Release pairs with the Acquire in `done`: who sees an item sees that its loop has announced it.
        shard.fetch_add(items, Ordering::Release);
    }
}
