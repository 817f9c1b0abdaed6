//! A pool's thread, from its start to its end; and a thread from outside that comes as a guest.

use crate::job::{Fork, Ticket};
use crate::join::StackJob;
use crate::latch::{Verdict, Waiter};
use crate::primitive::{Arc, panicking};
use crate::registry::Registry;
use crate::seat::{Grant, Place, with_place};
use crate::worker::{Worker, without_core};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

/// What a pool's thread does: sleeps on its place until it is granted a core, works while it has one.
pub fn run_thread(registry: Arc<Registry>, place: Place, mut core: Option<usize>, index: usize) {
    call_hook(&registry, registry.options.on_thread_start.as_deref(), index);
    loop {
        let granted = match core.take() {
            Some(core) => core,
            None => match place.wait_for_grant() {
                Grant::Core(core) => core,
                Grant::Exit => break,
            },
        };
        let mut nap = Worker::enter(&registry, granted, |worker| worker.work(&place, true));
        while let Some(length) = nap.take() {
            place.park_timeout(length);
            core = registry.sleep.end_nap(place.seat());
        }
    }
    call_hook(&registry, registry.options.on_thread_exit.as_deref(), index);
    registry.thread_ended();
}

fn call_hook(registry: &Registry, hook: Option<&(dyn Fn(usize) + Send + Sync)>, index: usize) {
    if let Some(hook) = hook
        && let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(index)))
    {
        registry.task_panicked(payload);
    }
}

/// Runs `body` on a worker of the pool: on this thread, at once, if it works for the pool already or a core is idle; else
/// on whichever comes first, one of the pool's threads or a core for this one.
pub fn in_pool<R, F>(registry: &Registry, body: F) -> R
where
    F: FnOnce(&Worker) -> R + Send,
    R: Send,
{
    match Worker::current_in(registry) {
        Some(worker) if Worker::current().is_some_and(|current| ptr::eq(current, worker)) => body(worker),
        Some(worker) => worker.resume(body),
        None => from_outside(registry, body),
    }
}

fn from_outside<R, F>(registry: &Registry, body: F) -> R
where
    F: FnOnce(&Worker) -> R + Send,
    R: Send,
{
    registry.check_fork();
    let guest = registry.options.stack_size.is_none();
    if guest && let Some(core) = registry.sleep.try_take() {
        return Worker::enter(registry, core, body);
    }
    if !guest && !registry.sleep.begin_region() {
        // The pool has ended: there is no thread with the stack that was asked for.
        return with_place(|place| {
            let core = registry.sleep.take_or_call(place.seat()).unwrap_or_else(|| granted(place));
            Worker::enter(registry, core, body)
        });
    }
    let result = inject(registry, guest, body);
    if !guest {
        registry.sleep.end_region();
        registry.after_release();
    }
    result
}

fn granted(place: &Place) -> usize {
    match place.wait_for_grant() {
        Grant::Core(core) => core,
        Grant::Exit => unreachable!("a guest is not told to end"),
    }
}

/// Injects `body` and waits for it. With `guest`, this thread runs it itself if it is granted a core first.
fn inject<R, F>(registry: &Registry, guest: bool, body: F) -> R
where
    F: FnOnce(&Worker) -> R + Send,
    R: Send,
{
    let job = StackJob::new(|| {
        let Some(worker) = Worker::current() else { unreachable!("jobs are run by workers") };
        body(worker)
    });
    // SAFETY: shared once, before it is queued. It has no ancestors: nobody but this thread waits for it.
    unsafe { Fork::share(job.fork(), ptr::null()) };
    // SAFETY: this thread owns it, and it is in no queue.
    let entry = unsafe { Ticket::stand_for(job.fork()) };
    // SAFETY: shared above.
    let shared = unsafe { job.fork().shared() };
    let ticket = shared.ticket.get();
    registry.inject(entry);
    // Some(core): this thread has claimed the job and is to run it there. None: a thread of the pool has run it.
    let wait = |place: &Place| -> Option<usize> {
        let waiter = Waiter::new(Arc::clone(place.seat()));
        if shared.latch.announce(&waiter).is_err() {
            return None;
        }
        let mut offer = if guest { registry.sleep.take_or_call(place.seat()) } else { None };
        let mut calling = guest && offer.is_none();
        loop {
            if let Some(core) = offer.take() {
                // SAFETY: alive by our count.
                if unsafe { &*ticket }.claim().is_some() {
                    return Some(core);
                }
                registry.sleep.give(core, false);
                registry.after_release();
            }
            if let Some(verdict) = waiter.verdict() {
                debug_assert_eq!(verdict, Verdict::Done, "an injected job is run by whoever claims it");
                if calling && !registry.sleep.hang_up(place.seat()) {
                    registry.sleep.give(granted(place), false);
                    registry.after_release();
                }
                return None;
            }
            place.park();
            if calling && let Some(Grant::Core(core)) = place.take_grant() {
                calling = false;
                offer = Some(core);
            }
        }
    };
    let mine = match Worker::current() {
        Some(elsewhere) => without_core(elsewhere, wait),
        None => with_place(wait),
    };
    // SAFETY: our count, not used again.
    unsafe { Ticket::release(ticket) };
    // SAFETY: claimed or done, so nobody else looks at it.
    unsafe { job.fork().retire() };
    match mine {
        Some(core) => {
            // SAFETY: claimed.
            let body = unsafe { job.take_closure() };
            Worker::enter(registry, core, |_| body())
        }
        // SAFETY: the latch is set, and the result is taken here only.
        None => match unsafe { job.take_result() } {
            Ok(result) => result,
            Err(payload) => {
                debug_assert!(!panicking(), "a region is entered by a thread that is not unwinding");
                resume_unwind(payload)
            }
        },
    }
}
