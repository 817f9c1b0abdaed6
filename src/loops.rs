//! A pool's loops: over sources, whose items are there, and over iterators, whose items are yet to come.

use crate::imap::Imap;
use crate::map::{Stopped, map_on};
use crate::options::Options;
use crate::pool::Pool;
use crate::reduce::{or_identity, reduce_on};
use crate::source::private::Held;
use crate::source::{Source, private};
use std::convert::Infallible;

impl Pool {
    /// The results of `f` for all items, in the items' order, whichever is done first.
    ///
    /// The loop runs where [`install`](Pool::install) would run it, on this thread as a rule, and is split when another core
    /// wants work; there is no chunk size to choose. Tzannes et al. (2010) call that lazy splitting.
    ///
    /// # Panics
    ///
    /// With what `f` panicked with; if it did for several items, for the one with the lowest index among those that were run.
    /// Results made by then are dropped, and so are items not yet looked at. If the source is a range of more than
    /// `usize::MAX` items, or the results would take more than `isize::MAX` bytes.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let words = vec!["never".to_string(), "odd".to_string(), "or".to_string(), "even".to_string()];
    /// assert_eq!(pool.map(&words, |word| word.len()), [5, 3, 2, 4]); // borrowed
    /// assert_eq!(pool.map(words, |word| word + "!"), ["never!", "odd!", "or!", "even!"]); // moved
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn map<S, F, R>(&self, source: S, f: F) -> Vec<R>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> R + Sync,
        R: Send,
    {
        let mut held = source.hold();
        let whole = held.whole();
        let each = |item| Ok::<R, Infallible>(f(item));
        let mapped = self.in_pool(|worker| map_on::<false, _, _, _, _>(worker, whole, None, &each));
        // As in `or_identity`: what it owns may panic.
        drop(f);
        match mapped {
            Ok(results) => results,
            Err(Stopped::Failed(never)) => match never {},
            Err(Stopped::Cancelled(_)) => unreachable!("nothing limits it"),
        }
    }

    /// Calls `f` with each item, as [`map`](Pool::map) does, for what it does and not for a result.
    ///
    /// # Panics
    ///
    /// As [`map`](Pool::map).
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let mut grid = vec![[0; 4]; 4];
    /// pool.for_each(&mut grid, |row| row.fill(7));
    /// assert!(grid.iter().flatten().all(|&cell| cell == 7));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn for_each<S, F>(&self, source: S, f: F)
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) + Sync,
    {
        drop(self.map(source, f));
    }

    /// As [`map`](Pool::map), for items that can fail.
    ///
    /// # Errors
    ///
    /// That of the first item, by its index, for which `f` fails: the one that a serial loop would meet. Once an item is
    /// known to have failed those after it are no longer begun; those before it are, since one of them may be the first.
    ///
    /// # Panics
    ///
    /// As [`map`](Pool::map): with what `f` panicked with, also if an item before that one fails, of which a serial loop would
    /// have given the error.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// assert_eq!(pool.try_map(["1", "2"], |text| text.parse::<u8>()), Ok(vec![1, 2]));
    /// let failed = pool.try_map(["1", "two", "", "256"], |text| text.parse::<u8>().map_err(|_| text));
    /// assert_eq!(failed, Err("two"));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn try_map<S, F, R, E>(&self, source: S, f: F) -> Result<Vec<R>, E>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> Result<R, E> + Sync,
        R: Send,
        E: Send,
    {
        let mut held = source.hold();
        let whole = held.whole();
        let mapped = self.in_pool(|worker| map_on::<true, _, _, _, _>(worker, whole, None, &f));
        drop(f);
        match mapped {
            Ok(results) => Ok(results),
            Err(Stopped::Failed(error)) => Err(error),
            Err(Stopped::Cancelled(_)) => unreachable!("nothing limits it"),
        }
    }

    /// As [`for_each`](Pool::for_each), for items that can fail.
    ///
    /// # Errors
    ///
    /// As for [`try_map`](Pool::try_map).
    ///
    /// # Panics
    ///
    /// As [`map`](Pool::map).
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let checked = pool.try_for_each(1..=100, |n| if n % 40 == 0 { Err(n) } else { Ok(()) });
    /// assert_eq!(checked, Err(40));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn try_for_each<S, F, E>(&self, source: S, f: F) -> Result<(), E>
    where
        S: Source,
        F: Fn(<S as private::Source>::Item) -> Result<(), E> + Sync,
        E: Send,
    {
        self.try_map(source, f).map(drop)
    }

    /// The results of `map` for all items, combined with `reduce`; `identity` if there are no items.
    ///
    /// What is combined with what depends on the number of items alone, so the result is the same to the last bit on any
    /// number of cores, run after run, also where `reduce` rounds. The items fall into blocks of `b`, the largest power of
    /// two that is at most a 4096th of their number, and 1 at least, 1024 at most; the last block may be shorter. Within
    /// a block results are combined from left to right. Of `n` blocks the first `n / 2`, rounded down, are combined with
    /// the others, and each half is made in the same way. `reduce` always has the results of earlier items on its left.
    ///
    /// # Panics
    ///
    /// With what `map` or `reduce` panicked with.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let text = "to be or not to be";
    /// let words: Vec<&str> = text.split(' ').collect();
    /// assert_eq!(pool.map_reduce(&words, |word| word.len(), 0, |a, b| a + b), 13);
    /// let all = pool.map_reduce(&words, |word| word.to_string(), String::new(), |a, b| a + &b);
    /// assert_eq!(all, "tobeornottobe");
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn map_reduce<S, M, O, R>(&self, source: S, map: M, identity: R, reduce: O) -> R
    where
        S: Source,
        M: Fn(<S as private::Source>::Item) -> R + Sync,
        O: Fn(R, R) -> R + Sync,
        R: Send,
    {
        let mut held = source.hold();
        let whole = held.whole();
        let reduced = self.in_pool(|worker| reduce_on::<false, _, _, _, _>(worker, whole, None, &map, &reduce));
        drop((map, reduce));
        match reduced {
            Ok(result) => or_identity(result, identity),
            Err(_) => unreachable!("nothing limits it"),
        }
    }

    /// The results of `f` for the items of any iterator, in the items' order, lazily: an iterator itself.
    ///
    /// Items are taken as results are asked for: at most [`buffer`](Imap::buffer) of them are taken and not yet delivered,
    /// so the iterator may be endless, and memory does not grow. Each is begun as soon as it is read. `next` reads one item
    /// for each result that it delivers, and more as long as no result is ready, on this thread, which need not be the
    /// pool's; it may also run `f` here, as the serial loop would. Dropping the results midway cancels what has not begun.
    ///
    /// What goes to other threads outlives this call, so it is `'static`: give shared things to `f` as an `Arc`. For items
    /// that can be borrowed, and are all there, use [`map`](Pool::map).
    ///
    /// The results do not keep the pool open. After its last handle has gone, as at the end of the statement in
    /// `let results = Pool::new(2)?.imap(..)`, each item is run by `next`, one after the other.
    ///
    /// # Panics
    ///
    /// Not here; the `next` for an item panics with what `f` panicked with for it, and the one after goes on.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let lines = "one\ntwo\nthree".lines().map(str::to_owned);
    /// let lengths = pool.imap(lines, |line| line.len());
    /// assert_eq!(lengths.collect::<Vec<_>>(), [3, 3, 5]);
    /// let first_large = pool.imap(1u64.., |n| n * n).find(|square| *square > 1000);
    /// assert_eq!(first_large, Some(1024));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn imap<I, F, R>(&self, items: I, f: F) -> Imap<I::IntoIter, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        Imap::new(self.registry(), items.into_iter(), f, true, Options::new())
    }

    /// As [`imap`](Pool::imap), with the results in the order in which they are made: one that takes long holds up no other.
    /// So `next` leaves the items to the pool, and runs one on this thread only if the pool has no thread or core for it.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let mut squares: Vec<u32> = pool.imap_unordered(0..100, |n| n * n).collect();
    /// squares.sort_unstable();
    /// assert!((0..100).map(|n| n * n).eq(squares));
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn imap_unordered<I, F, R>(&self, items: I, f: F) -> Imap<I::IntoIter, R>
    where
        I: IntoIterator<Item: Send + 'static>,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        Imap::new(self.registry(), items.into_iter(), f, false, Options::new())
    }
}
