//! The models' atomics: loom's, and beside each what makes loom see the races that it overlooks.
//!
//! loom explores another order of two accesses when it sees that they race. For a store it looks at the *last* load only
//! (loom#392). If thread A loads, then B loads, then B stores, A's load hides behind B's own, and loom never tries A's
//! load after B's store: a load followed by a store, or by an exchange, in one thread is all it takes. A Chase-Lev model
//! with the thief on the main thread then runs exactly one execution.
//!
//! So each load first touches a mark of its thread's own at this atomic, and each store first touches the marks of the
//! loads that are hidden from it. The touches race where the accesses do, and loom tries both orders of them, with the
//! accesses right behind. A mark is a condition variable that nobody waits for, and a touch a call to nobody: it orders
//! nothing, and unlike an atomic it can be made when it is first touched, and no fence has to look through it.

use super::site::{failure_order, order as site_order};
use super::{Flaw, seeded};
use loom::MAX_THREADS;
use loom::sync::Condvar;
use loom::sync::atomic as loomed;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::sync::{Mutex, OnceLock};

loom::thread_local! {
    /// This modelled thread's number, unlike any other's. (`loom::thread::current` panics in destructors of thread
    /// locals; this can be asked whether it is still there.)
    static NUMBER: usize = {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        NEXT.fetch_add(1, Relaxed)
    };
}

/// The marks of one atomic.
#[derive(Debug)]
struct Marks {
    /// One for each thread, and one for all that are in the destructors of their thread locals: sharing a mark hides
    /// nothing, it costs executions.
    marks: [OnceLock<Condvar>; MAX_THREADS + 1],
    /// Not seen by loom, so that it orders nothing.
    loads: Mutex<Loads>,
}

#[derive(Debug, Default)]
struct Loads {
    /// Which mark is whose: the index, in the order of first loads.
    threads: Vec<usize>,
    /// Who loaded since the last store, by mark, the last one last. All but the last are hidden.
    recent: Vec<usize>,
}

impl Loads {
    fn mark_of_this_thread(&mut self) -> usize {
        let Ok(this) = NUMBER.try_with(|&number| number) else {
            return MAX_THREADS;
        };
        self.threads.iter().position(|&thread| thread == this).unwrap_or_else(|| {
            self.threads.push(this);
            self.threads.len() - 1
        })
    }
}

impl Marks {
    fn new() -> Self {
        Marks { marks: [const { OnceLock::new() }; MAX_THREADS + 1], loads: Mutex::default() }
    }

    #[track_caller]
    fn touch(&self, mark: usize) {
        if !seeded(Flaw::Unmarked) {
            self.marks[mark].get_or_init(Condvar::new).notify_one();
        }
    }

    #[track_caller]
    fn load<R>(&self, access: impl FnOnce() -> R) -> R {
        let mark = self.loads.lock().unwrap().mark_of_this_thread();
        self.touch(mark);
        let result = access();
        let recent = &mut self.loads.lock().unwrap().recent;
        recent.retain(|&other| other != mark);
        recent.push(mark);
        result
    }

    /// For read-modify-writes too, failed exchanges included: loom takes all of them for stores.
    #[track_caller]
    fn store<R>(&self, access: impl FnOnce() -> R) -> R {
        while let Some(hidden) = self.next_hidden() {
            self.touch(hidden);
        }
        let result = access();
        self.loads.lock().unwrap().recent.clear();
        result
    }

    /// The mark of a load by another thread that a store by this thread would be blind to. Removes it.
    fn next_hidden(&self) -> Option<usize> {
        let mut loads = self.loads.lock().unwrap();
        let own = loads.mark_of_this_thread();
        let last = loads.recent.len().checked_sub(1)?;
        let hidden = loads.recent[..last].iter().position(|&mark| mark != own)?;
        Some(loads.recent.remove(hidden))
    }
}

macro_rules! modelled {
    ($name:ident $(<$param:ident>)?, $value:ty) => {
        /// loom's atomic of this name, with [`Marks`].
        #[derive(Debug)]
        pub struct $name $(<$param>)? {
            atomic: loomed::$name $(<$param>)?,
            marks: Marks,
        }

        #[allow(missing_docs)]
        #[allow(dead_code)]
        impl $(<$param>)? $name $(<$param>)? {
            #[track_caller]
            pub fn new(value: $value) -> Self {
                $name { atomic: loomed::$name::new(value), marks: Marks::new() }
            }

            #[track_caller]
            pub fn load(&self, order: Ordering) -> $value {
                let order = site_order(order);
                self.marks.load(|| self.atomic.load(order))
            }

            #[track_caller]
            pub fn store(&self, value: $value, order: Ordering) {
                let order = site_order(order);
                self.marks.store(|| self.atomic.store(value, order));
            }

            #[track_caller]
            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                let order = site_order(order);
                self.marks.store(|| self.atomic.swap(value, order))
            }

            #[track_caller]
            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let (success, failure) = (site_order(success), failure_order(failure));
                self.marks.store(|| self.atomic.compare_exchange(current, new, success, failure))
            }

            #[track_caller]
            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                let (success, failure) = (site_order(success), failure_order(failure));
                self.marks.store(|| self.atomic.compare_exchange_weak(current, new, success, failure))
            }
        }
    };
}

modelled!(AtomicUsize, usize);
modelled!(AtomicBool, bool);
modelled!(AtomicPtr<T>, *mut T);

macro_rules! arithmetic {
    ($name:ident, $value:ty: $($method:ident)*) => {
        #[allow(missing_docs)]
        #[allow(dead_code)]
        impl $name {
            $(
                #[track_caller]
                pub fn $method(&self, value: $value, order: Ordering) -> $value {
                    let order = site_order(order);
                    self.marks.store(|| self.atomic.$method(value, order))
                }
            )*
        }
    };
}

arithmetic!(AtomicUsize, usize: fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min);
arithmetic!(AtomicBool, bool: fetch_and fetch_or fetch_xor);
