//! A pool's thread, from its start to its end; and a thread from outside that comes as a guest.

use crate::job::{Fork, Standing, Ticket};
use crate::join::StackJob;
use crate::latch::{Latch, Waiter};
use crate::primitive::{Arc, CALLER_STARVED_AFTER, Flaw, ROUNDS_AFTER_NAP, SEARCH_ROUNDS, Tick, seeded, thread_cell};
use crate::registry::Registry;
use crate::seat::{Grant, Place, with_place};
use crate::stand_in::Plea;
use crate::worker::{Worker, wait_for_core, without_core};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;

thread_cell! {
    /// The number of the pool whose thread this is, from its start to the destructors of its thread-locals, which the pool itself
    /// may not live to see. 0 is none.
    static MEMBER: u64 = 0;
}

/// Whether this thread is one of the pool's own, or works for it as a guest.
pub fn works_for(registry: &Registry) -> bool {
    MEMBER.with(Cell::get) == registry.number || Worker::current_in(registry).is_some()
}

/// What a pool's thread does: sleeps on its place until it is granted a core, works while it has one.
pub fn run_thread(registry: Arc<Registry>, place: Place, mut core: Option<usize>, index: usize) {
    MEMBER.with(|member| member.set(registry.number));
    let hook = registry.options.on_thread_start.as_deref();
    if hook.is_some() || registry.names_next(index) {
        // A thread that was started for work counts as searching, which it does not do while the user's code runs.
        if core.is_some() {
            registry.found_work();
        }
        registry.name_next(index);
        if let Some(hook) = hook {
            call_hook(&registry, hook, index);
        }
        if core.is_some() {
            if !seeded(Flaw::HookCountedOut) {
                registry.sleep.search_again();
            }
        } else {
            registry.sleep.stand_by_at_first(place.seat());
            registry.after_release(false);
        }
    }
    let mut rounds = SEARCH_ROUNDS;
    loop {
        let granted = match core.take() {
            Some(core) => core,
            None => match place.wait_for_grant() {
                Grant::Core(core) => core,
                Grant::Exit => break,
            },
        };
        let idle = Worker::enter(&registry, granted, |worker| worker.work(Some(rounds)));
        rounds = SEARCH_ROUNDS;
        let mut nap = idle.rest(&registry, &place);
        while let Some(length) = nap.take() {
            place.park_timeout(length);
            core = registry.sleep.end_nap(place.seat());
            if core.is_some() {
                // What was left to the napper is in sight by now, or it is gone.
                rounds = ROUNDS_AFTER_NAP;
            }
        }
    }
    if let Some(hook) = registry.options.on_thread_exit.as_deref() {
        call_hook(&registry, hook, index);
    }
    registry.thread_ended();
}

fn call_hook(registry: &Registry, hook: &(dyn Fn(usize) + Send + Sync), index: usize) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook(index))) {
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

/// Runs `body` on this thread, if that can be done at once: if it works for the pool already, or if it may come as a guest
/// and a core is idle. Else gives it back.
pub fn at_once<R, F>(registry: &Registry, body: F) -> Result<R, F>
where
    F: FnOnce(&Worker) -> R,
{
    match Worker::current_in(registry) {
        Some(worker) => Ok(worker.resume(body)),
        None if registry.options.stack_size.is_some() => Err(body),
        None => {
            registry.check_fork();
            match registry.sleep.try_take() {
                Some(core) => Ok(Worker::enter(registry, core, body)),
                None => Err(body),
            }
        }
    }
}

fn from_outside<R, F>(registry: &Registry, body: F) -> R
where
    F: FnOnce(&Worker) -> R + Send,
    R: Send,
{
    registry.check_fork();
    if registry.options.stack_size.is_none() {
        return match registry.sleep.try_take() {
            Some(core) => Worker::enter(registry, core, body),
            None => inject(registry, true, body),
        };
    }
    match Region::begin(registry) {
        Some(_region) => inject(registry, false, body),
        // The pool has ended: there is no thread with the stack that was asked for.
        None => without_core(|| {
            let sleep = &registry.sleep;
            let core = with_place(|place| {
                sleep.take_or_call(place.seat()).unwrap_or_else(|| {
                    wait_for_core(place, CALLER_STARVED_AFTER, Tick::now(), || sleep.borrow_for_call(place.seat()))
                })
            });
            Worker::enter(registry, core, body)
        }),
    }
}

/// A region that only a thread of the pool may run: until it ends, also by a panic, the pool's threads stay.
struct Region<'a>(&'a Registry);

impl<'a> Region<'a> {
    fn begin(registry: &'a Registry) -> Option<Self> {
        registry.sleep.begin_region().then(|| Region(registry))
    }
}

impl Drop for Region<'_> {
    fn drop(&mut self) {
        self.0.sleep.end_region();
        self.0.after_release(true);
    }
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
    let Standing::Unmoored(ticket) = shared.ticket() else { unreachable!("made just now") };
    let ticket = Held(ticket);
    registry.inject(entry);
    without_core(|| {
        let mine = with_place(|place| claim_or_wait(registry, guest, &shared.latch, &ticket, place));
        drop(ticket);
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
                Err(payload) => resume_unwind(payload),
            },
        }
    })
}

/// The owner's count on a ticket.
struct Held(*const Ticket);

impl Held {
    fn claim(&self) -> bool {
        // SAFETY: alive by this count.
        unsafe { &*self.0 }.claim().is_some()
    }

    fn is_claimed(&self) -> bool {
        // SAFETY: alive by this count.
        unsafe { &*self.0 }.is_claimed()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: this count, not used again.
        unsafe { Ticket::release(self.0) };
    }
}

/// Waits until a thread of the pool has run the injected job, or, as a guest, until this thread has a core and the job:
/// then tells the core.
fn claim_or_wait(registry: &Registry, guest: bool, latch: &Latch, ticket: &Held, place: &Place) -> Option<usize> {
    let waiter = Waiter::new(Arc::clone(place.seat()));
    if latch.announce(&waiter).is_err() {
        return None;
    }
    let mut core = if guest { registry.sleep.take_or_call(place.seat()) } else { None };
    let mut calling = guest && core.is_none();
    let (mut since, mut plea) = (Tick::now(), Plea::new());
    loop {
        if let Some(core) = core.take() {
            if ticket.claim() {
                return Some(core);
            }
            registry.give_back(core);
        }
        if waiter.verdict().is_some() {
            if calling && !registry.sleep.hang_up(place.seat()) && !seeded(Flaw::GrantLeftBehind) {
                registry.give_back(granted(place));
            } else if !seeded(Flaw::HangsUpSilently) {
                // The pool may have waited for the call's end to come to its own.
                registry.after_release(true);
            }
            return None;
        }
        let starves = if guest { calling } else { !ticket.is_claimed() };
        if !starves {
            place.park();
            continue;
        }
        if !guest {
            // As below, but a thread of the pool has to run it.
            place.park_timeout(plea.patience());
            if !ticket.is_claimed() {
                plea.make(registry);
            }
            continue;
        }
        place.park_timeout(CALLER_STARVED_AFTER);
        if let Some(Grant::Core(granted)) = place.take_grant() {
            core = Some(granted);
        } else if !Tick::now().within(since, CALLER_STARVED_AFTER) {
            // Whoever has the cores may be waiting for something that this thread holds.
            core = registry.sleep.borrow_for_call(place.seat());
            since = Tick::now();
        }
        calling = core.is_none();
    }
}
