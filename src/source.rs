//! What a parallel loop can run over: ranges, slices, vectors, arrays.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;

/// Something with a known number of items that can be cut in two: what [`Pool::map`](crate::Pool::map) takes.
///
/// Implemented for ranges of integers, `&[T]`, `&mut [T]`, `Vec<T>`, `&Vec<T>` and arrays. Sealed: the way in which items
/// are cut and moved out may still change.
pub trait Source: private::Source {}

impl<S: private::Source> Source for S {}

pub(crate) mod private {
    /// The working half of [`Source`](super::Source).
    pub trait Source {
        /// What the loop's body gets.
        type Item: Send;
        /// A stretch of the items.
        type Part<'a>: Part<Item = Self::Item>
        where
            Self: 'a;
        /// All items, as one part. Those that the part does not yield are dropped with it.
        fn whole(&mut self) -> Self::Part<'_>;
    }

    /// A stretch of items, yielded in order.
    pub trait Part: Iterator + Send {
        /// How many items are left.
        fn length(&self) -> usize;
        /// The first `count` items, and the rest.
        fn cut(self, count: usize) -> (Self, Self)
        where
            Self: Sized;
    }
}

use private::Part;

macro_rules! ranges {
    ($($int:ty),*) => {$(
        impl private::Source for Range<$int> {
            type Item = $int;
            type Part<'a> = Range<$int>;
            fn whole(&mut self) -> Range<$int> {
                self.clone()
            }
        }

        impl Part for Range<$int> {
            fn length(&self) -> usize {
                if self.start >= self.end {
                    return 0;
                }
                match usize::try_from(self.end.abs_diff(self.start)) {
                    Ok(length) => length,
                    Err(_) => panic!("{self:?} has more items than memory has addresses"),
                }
            }

            fn cut(self, count: usize) -> (Self, Self) {
                // The cast and the sum may wrap on the way to the right place, when the range spans more than half of
                // what a signed type holds.
                let middle = self.start.wrapping_add(count as $int);
                (self.start..middle, middle..self.end)
            }
        }
    )*};
}
ranges!(u8, i8, u16, i16, u32, i32, u64, i64, u128, i128, usize, isize);

impl<'s, T: Sync> private::Source for &'s [T] {
    type Item = &'s T;
    type Part<'a>
        = std::slice::Iter<'s, T>
    where
        Self: 'a;
    fn whole(&mut self) -> std::slice::Iter<'s, T> {
        self.iter()
    }
}

impl<'s, T: Sync> private::Source for &'s Vec<T> {
    type Item = &'s T;
    type Part<'a>
        = std::slice::Iter<'s, T>
    where
        Self: 'a;
    fn whole(&mut self) -> std::slice::Iter<'s, T> {
        self.iter()
    }
}

impl<'s, T: Sync, const N: usize> private::Source for &'s [T; N] {
    type Item = &'s T;
    type Part<'a>
        = std::slice::Iter<'s, T>
    where
        Self: 'a;
    fn whole(&mut self) -> std::slice::Iter<'s, T> {
        self.iter()
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

impl<'s, T: Send> private::Source for &'s mut [T] {
    type Item = &'s mut T;
    type Part<'a>
        = std::slice::IterMut<'s, T>
    where
        Self: 'a;
    fn whole(&mut self) -> std::slice::IterMut<'s, T> {
        std::mem::take(self).iter_mut()
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
    type Part<'a>
        = Moved<'a, T>
    where
        Self: 'a;
    fn whole(&mut self) -> Moved<'_, T> {
        let items = std::ptr::slice_from_raw_parts_mut(self.as_mut_ptr(), self.len());
        // SAFETY: zero is within the capacity; the items belong to the part from now on.
        unsafe { self.set_len(0) };
        Moved { items, memory: PhantomData }
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
