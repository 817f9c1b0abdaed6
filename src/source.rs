//! What a parallel loop can run over: ranges, slices, vectors, arrays.

use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::{Range, RangeInclusive};

/// Something with a known number of items that can be cut in two: what [`Pool::map`](crate::Pool::map) and the other
/// loops take.
///
/// | source | items |
/// |---|---|
/// | `a..b`, `a..=b` of any integer type | the integers |
/// | `&[T]`, `&Vec<T>`, `&[T; N]` | `&T` |
/// | `&mut [T]`, `&mut Vec<T>`, `&mut [T; N]` | `&mut T` |
/// | `Vec<T>`, `[T; N]` | `T`, moved out |
///
/// A loop over a range of more than `usize::MAX` items panics. Anything else that iterates goes through [`Pool::imap`](crate::Pool::imap), or is collected first. Sealed: the way in
/// which items are cut and moved out may still change.
///
/// ```
/// let pool = purloin::Pool::new(2)?;
/// assert_eq!(pool.map(1..=3, |n| n * n), [1, 4, 9]);
/// assert_eq!(pool.map(["a", "b"], |text| text.repeat(2)), ["aa", "bb"]);
/// let mut numbers = vec![1, 2, 3];
/// pool.for_each(&mut numbers, |n| *n += 1);
/// assert_eq!(numbers, [2, 3, 4]);
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub trait Source: private::Source {}

impl<S: private::Source> Source for S {}

pub(crate) mod private {
    /// The working half of [`Source`](super::Source).
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is nothing that a loop of a pool can cut in two",
        label = "neither a range of integers, nor a slice, `Vec` or array, by value or by reference",
        note = "collect it into a `Vec` first, of which `&vec` lends the items; or use `Pool::imap`, which takes any iterator"
    )]
    pub trait Source {
        /// What the loop's body gets.
        type Item: Send;
        /// Where the items are while the loop runs.
        type Held: Held<Self::Item>;
        /// The items, where they stay from now on.
        fn hold(self) -> Self::Held;
    }

    /// Items in their place.
    pub trait Held<Item> {
        /// A stretch of the items.
        type Part<'a>: Part<Item = Item>
        where
            Self: 'a;
        /// All items, as one part: once. Those that the part does not yield are dropped with it.
        fn whole(&mut self) -> Self::Part<'_>;
    }

    /// What a range can be of. One implementation of `Source` for all of them, and not one for each, lets the compiler infer which.
    #[diagnostic::on_unimplemented(
        message = "`{Self}` is no integer, and a loop of a pool runs over ranges of integers only"
    )]
    pub trait Integer: Copy + PartialOrd + Send + Sync + std::fmt::Debug {
        /// How far it is to `to`, which is not less, if that is a number of items.
        fn distance(self, to: Self) -> Option<usize>;
        /// So many further on, after the last value at the first again.
        fn advanced(self, by: usize) -> Self;
    }

    /// A stretch of items, yielded in order.
    pub trait Part: Iterator + Send + Sized {
        /// How many items are left.
        fn length(&self) -> usize;
        /// The first `count` items, which are no more than are left, and the rest.
        fn cut(self, count: usize) -> (Self, Self);
    }
}

use private::{Held, Integer, Part};

/// Consecutive integers.
#[derive(Debug, Clone)]
pub struct Run<I> {
    next: I,
    left: usize,
}

impl<I: Integer> private::Source for Range<I> {
    type Item = I;
    type Held = Run<I>;

    fn hold(self) -> Run<I> {
        // As many as from the first to the one before the end.
        let left = if self.start < self.end { length(self.start.distance(self.end), &self) } else { 0 };
        Run { next: self.start, left }
    }
}

impl<I: Integer> private::Source for RangeInclusive<I> {
    type Item = I;
    type Held = Run<I>;

    fn hold(self) -> Run<I> {
        if self.is_empty() {
            return Run { next: *self.start(), left: 0 };
        }
        let steps = self.start().distance(*self.end());
        let left = length(steps.and_then(|steps| steps.checked_add(1)), &self);
        Run { next: *self.start(), left }
    }
}

impl<I: Integer> Held<I> for Run<I> {
    type Part<'a>
        = Run<I>
    where
        I: 'a;

    fn whole(&mut self) -> Run<I> {
        self.clone()
    }
}

impl<I: Integer> Iterator for Run<I> {
    type Item = I;

    #[inline]
    fn next(&mut self) -> Option<I> {
        self.left = self.left.checked_sub(1)?;
        let next = self.next;
        // Wraps after the last of the type's values, which is then the last of the run.
        self.next = next.advanced(1);
        Some(next)
    }
}

impl<I: Integer> Part for Run<I> {
    fn length(&self) -> usize {
        self.left
    }

    fn cut(self, count: usize) -> (Self, Self) {
        // May wrap on the way to the right place, when the run spans more than half of what a signed type holds.
        let middle = self.next.advanced(count);
        (Run { next: self.next, left: count }, Run { next: middle, left: self.left - count })
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl Integer for $int {
            #[inline]
            fn distance(self, to: Self) -> Option<usize> {
                to.abs_diff(self).try_into().ok()
            }

            #[inline]
            fn advanced(self, by: usize) -> Self {
                self.wrapping_add(by as $int)
            }
        }
    )*};
}
integers!(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, usize, isize);

fn length(count: Option<usize>, range: &dyn fmt::Debug) -> usize {
    count.unwrap_or_else(|| panic!("{range:?} has more items than memory has addresses"))
}

macro_rules! slices {
    ($($kind:ty $(, $count:ident)?;)*) => {$(
        impl<'s, T: Sync $(, const $count: usize)?> private::Source for &'s $kind {
            type Item = &'s T;
            type Held = &'s [T];

            fn hold(self) -> &'s [T] {
                self
            }
        }

        impl<'s, T: Send $(, const $count: usize)?> private::Source for &'s mut $kind {
            type Item = &'s mut T;
            type Held = &'s mut [T];

            fn hold(self) -> &'s mut [T] {
                self
            }
        }
    )*};
}
slices!([T]; Vec<T>; [T; N], N;);

impl<'s, T: Sync> Held<&'s T> for &'s [T] {
    type Part<'a>
        = std::slice::Iter<'s, T>
    where
        Self: 'a;

    fn whole(&mut self) -> std::slice::Iter<'s, T> {
        self.iter()
    }
}

impl<'s, T: Send> Held<&'s mut T> for &'s mut [T] {
    type Part<'a>
        = std::slice::IterMut<'s, T>
    where
        Self: 'a;

    fn whole(&mut self) -> std::slice::IterMut<'s, T> {
        std::mem::take(self).iter_mut()
    }
}

impl<T: Sync> Part for std::slice::Iter<'_, T> {
    fn length(&self) -> usize {
        self.len()
    }

    fn cut(self, count: usize) -> (Self, Self) {
        let (first, rest) = self.as_slice().split_at(count);
        (first.iter(), rest.iter())
    }
}

impl<T: Send> Part for std::slice::IterMut<'_, T> {
    fn length(&self) -> usize {
        self.len()
    }

    fn cut(self, count: usize) -> (Self, Self) {
        let (first, rest) = self.into_slice().split_at_mut(count);
        (first.iter_mut(), rest.iter_mut())
    }
}

/// Items that are moved out of memory which others own and will not look at again.
#[derive(Debug)]
pub struct Moved<'a, T> {
    items: *mut [T],
    memory: PhantomData<&'a mut [T]>,
}

// SAFETY: it owns its items.
unsafe impl<T: Send> Send for Moved<'_, T> {}

impl<T: Send> private::Source for Vec<T> {
    type Item = T;
    type Held = Vec<T>;

    fn hold(self) -> Vec<T> {
        self
    }
}

impl<T: Send> Held<T> for Vec<T> {
    type Part<'a>
        = Moved<'a, T>
    where
        T: 'a;

    fn whole(&mut self) -> Moved<'_, T> {
        let items = std::ptr::slice_from_raw_parts_mut(self.as_mut_ptr(), self.len());
        // SAFETY: zero is within the capacity; the items belong to the part from now on.
        unsafe { self.set_len(0) };
        Moved { items, memory: PhantomData }
    }
}

/// An array whose items are taken out once.
#[derive(Debug)]
pub struct Array<T, const N: usize> {
    items: ManuallyDrop<[T; N]>,
    taken: bool,
}

impl<T, const N: usize> Drop for Array<T, N> {
    fn drop(&mut self) {
        if !self.taken {
            // SAFETY: the items are still here, and not used again.
            unsafe { ManuallyDrop::drop(&mut self.items) };
        }
    }
}

impl<T: Send, const N: usize> private::Source for [T; N] {
    type Item = T;
    type Held = Array<T, N>;

    fn hold(self) -> Array<T, N> {
        Array { items: ManuallyDrop::new(self), taken: false }
    }
}

impl<T: Send, const N: usize> Held<T> for Array<T, N> {
    type Part<'a>
        = Moved<'a, T>
    where
        T: 'a;

    fn whole(&mut self) -> Moved<'_, T> {
        assert!(!std::mem::replace(&mut self.taken, true), "an array's items are taken out once");
        Moved { items: self.items.as_mut_slice(), memory: PhantomData }
    }
}

impl<T> Iterator for Moved<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        let (first, left) = (self.items.cast::<T>(), self.items.len().checked_sub(1)?);
        // SAFETY: the slice is not empty.
        let rest = unsafe { first.add(1) };
        self.items = std::ptr::slice_from_raw_parts_mut(rest, left);
        // SAFETY: the first item was ours and is no longer part of the slice.
        Some(unsafe { first.read() })
    }
}

impl<T: Send> Part for Moved<'_, T> {
    fn length(&self) -> usize {
        self.items.len()
    }

    fn cut(self, count: usize) -> (Self, Self) {
        let whole = ManuallyDrop::new(self);
        assert!(count <= whole.items.len(), "a part is cut within its length");
        let first = whole.items.cast::<T>();
        // SAFETY: within the slice.
        let rest = unsafe { first.add(count) };
        let part =
            |start, length| Moved { items: std::ptr::slice_from_raw_parts_mut(start, length), memory: PhantomData };
        (part(first, count), part(rest, whole.items.len() - count))
    }
}

impl<T> Drop for Moved<'_, T> {
    fn drop(&mut self) {
        // SAFETY: the items left are ours, and dropped once.
        unsafe { std::ptr::drop_in_place(self.items) };
    }
}
