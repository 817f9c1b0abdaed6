//! The values of a queue as an iterator.

use super::queue::Queue;
use std::iter::FusedIterator;

/// The values of a [`Queue`], until it is closed and drained: [`Queue::iter`].
///
/// ```
/// let queue = purloin::sync::Queue::unbounded();
/// (1..=3).try_for_each(|n| queue.push(n))?;
/// queue.close();
/// let mut values = queue.iter();
/// assert_eq!(values.next(), Some(1));
/// assert_eq!(values.sum::<i32>(), 5);
/// # Ok::<(), purloin::sync::PushError<i32>>(())
/// ```
#[derive(Debug)]
pub struct Values<'a, T> {
    pub(super) queue: &'a Queue<T>,
}

impl<T> Iterator for Values<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.queue.pop().ok()
    }
}

/// A closed queue is never opened again.
impl<T> FusedIterator for Values<'_, T> {}

impl<'a, T> IntoIterator for &'a Queue<T> {
    type Item = T;
    type IntoIter = Values<'a, T>;

    fn into_iter(self) -> Values<'a, T> {
        self.iter()
    }
}
