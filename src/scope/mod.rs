//! Scopes: any number of tasks that may borrow from the caller, all of them over when the scope is.

mod shared;

use crate::error::{JoinError, discard};
use crate::job::Lineage;
use crate::primitive::TrackedArc;
use crate::registry::Registry;
use crate::task::{self, Handle, Home};
use crate::worker::Worker;
use shared::Shared;
use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

type Payload = Box<dyn Any + Send>;

/// A scope's task belongs to the scope, which outlasts it.
#[derive(Clone, Copy)]
struct InScope(*const Shared);

// SAFETY: a scope is shared by all threads that run its tasks.
unsafe impl Send for InScope {}

impl InScope {
    fn shared(&self) -> &Shared {
        // SAFETY: the scope lasts until `ended` was called for each of its tasks, and a handle cannot leave it.
        unsafe { &*self.0 }
    }
}

impl Home for InScope {
    fn registry(&self) -> *const Registry {
        self.shared().registry()
    }

    fn pool(&self) -> u64 {
        // SAFETY: the pool is there as long as the scope is.
        unsafe { &*self.registry() }.number
    }

    fn is_terminated(&self) -> bool {
        false
    }

    fn lineage(&self) -> *const Lineage {
        self.shared().lineage()
    }

    fn panicked(&self, payload: Payload) {
        self.shared().panicked(payload);
    }

    fn panic_ignored(&self, payload: Payload, _: u64) {
        self.shared().panicked(payload);
    }

    fn ended(&self) {
        // SAFETY: the task's end was not counted until now.
        unsafe { Shared::count_ended(self.0, 1) };
    }
}

/// Where tasks are spawned that may borrow from outside: see [`Pool::scope`](crate::Pool::scope).
///
/// The lifetimes are those of [`std::thread::Scope`]: `'scope` is that of the scope, `'env` that of what its tasks borrow.
///
/// ```
/// use purloin::{Pool, Scope};
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// fn grow<'scope>(s: &'scope Scope<'scope, '_>, depth: u32, leaves: &'scope AtomicUsize) {
///     match depth {
///         0 => drop(leaves.fetch_add(1, Ordering::Relaxed)),
///         _ => (0..2).for_each(|_| drop(s.spawn(move || grow(s, depth - 1, leaves)))),
///     }
/// }
/// let leaves = AtomicUsize::new(0);
/// Pool::new(2)?.scope(|s| grow(s, 5, &leaves)); // tasks that spawn tasks: all have ended
/// assert_eq!(leaves.into_inner(), 32);
/// # Ok::<(), purloin::BuildError>(())
/// ```
pub struct Scope<'scope, 'env: 'scope> {
    shared: TrackedArc<Shared>,
    scope: PhantomData<&'scope mut &'scope ()>,
    env: PhantomData<&'env mut &'env ()>,
}

impl<'scope> Scope<'scope, '_> {
    /// Spawns a task that may borrow what outlives the scope. It may itself spawn in the same scope.
    ///
    /// If the task panics and nobody joins its handle, the scope panics with the task's payload when all tasks have ended.
    ///
    /// ```
    /// let pool = purloin::Pool::new(2)?;
    /// let words = ["work", "stealing"];
    /// let lengths = pool.scope(|s| {
    ///     let handles: Vec<_> = words.iter().map(|word| s.spawn(move || word.len())).collect();
    ///     handles.into_iter().map(|handle| handle.join().unwrap()).collect::<Vec<_>>()
    /// });
    /// assert_eq!(lengths, [4, 8]);
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    pub fn spawn<F, T>(&'scope self, closure: F) -> ScopedJoinHandle<'scope, T>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let (entry, handle) = task::new(closure, InScope(TrackedArc::as_ptr(&self.shared)));
        Shared::add(&self.shared, entry);
        ScopedJoinHandle { handle, scope: PhantomData }
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").finish_non_exhaustive()
    }
}

/// The right to the result of a task in a scope. Dropping it leaves the task to the scope's end.
///
/// ```
/// use purloin::ScopedJoinHandle;
///
/// let text = "to be or not to be";
/// let lengths = purloin::scope(|s| {
///     let words: Vec<ScopedJoinHandle<'_, usize>> = text.split(' ').map(|word| s.spawn(move || word.len())).collect();
///     words.into_iter().map(ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>()
/// });
/// assert_eq!(lengths?, [2, 2, 2, 3, 2, 2]);
/// # Ok::<(), purloin::JoinError>(())
/// ```
pub struct ScopedJoinHandle<'scope, T> {
    handle: Handle<T, InScope>,
    scope: PhantomData<&'scope ()>,
}

impl<T: Send> ScopedJoinHandle<'_, T> {
    /// Waits for the task and gives its result, as [`JoinHandle::join`](crate::JoinHandle::join) does.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] with what the task panicked with.
    ///
    /// ```
    /// purloin::scope(|s| {
    ///     let (good, bad) = (s.spawn(|| 6 * 7), s.spawn(|| panic!("on purpose")));
    ///     assert_eq!(good.join().unwrap(), 42);
    ///     assert!(bad.join().unwrap_err().is_panic());
    /// }); // told of by its handle, the panic is not the scope's
    /// ```
    pub fn join(self) -> Result<T, JoinError> {
        self.handle.join()
    }

    /// Whether [`join`](ScopedJoinHandle::join) would return at once.
    ///
    /// ```
    /// use purloin::{Pool, sync::Event};
    ///
    /// let go = Event::new();
    /// Pool::new(2)?.scope(|s| {
    ///     let task = s.spawn(|| go.wait());
    ///     assert!(!task.is_finished());
    ///     go.set();
    ///     while !task.is_finished() {
    ///         std::thread::yield_now(); // the other core runs it
    ///     }
    /// });
    /// # Ok::<(), purloin::BuildError>(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }
}

impl<T> fmt::Debug for ScopedJoinHandle<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopedJoinHandle").finish_non_exhaustive()
    }
}

/// Runs a scope: [`Pool::scope`](crate::Pool::scope) on a worker.
pub fn scope_on<'env, F, T>(worker: &Worker, body: F) -> T
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> T,
{
    let scope = Scope { shared: Shared::open(worker), scope: PhantomData, env: PhantomData };
    let result = catch_unwind(AssertUnwindSafe(|| body(&scope)));
    // SAFETY: opened on this thread, just above.
    let panic = unsafe { Shared::close(&scope.shared, worker) };
    match (result, panic) {
        (Ok(value), None) => value,
        (Ok(_), Some(payload)) => resume_unwind(payload),
        (Err(payload), second) => {
            // The first panic wins.
            if let Some(second) = second {
                discard(second);
            }
            resume_unwind(payload)
        }
    }
}
