//! Work that comes from outside is begun while the work inside goes on and on, and on all cores that are free (gam#3466,
//! lighthouse#8075: tasks from outside that waited for seconds or for ever).

use crate::common::{Gate, at_cores, spin_until};
use purloin::{Pool, Scope};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// Tasks that need each other to be running, as many as there are cores, queued in one go: none waits for the end of
/// another while a core is idle.
#[test]
fn a_burst_reaches_every_core() {
    at_cores(|pool| {
        for _ in 0..5 {
            let (cores, begun) = (pool.cores(), Arc::new(AtomicUsize::new(0)));
            let burst = || {
                let begun = Arc::clone(&begun);
                move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    spin_until(|| begun.load(Ordering::Relaxed) == cores);
                }
            };
            let tasks: Vec<_> = (0..cores).map(|_| pool.spawn(burst())).collect();
            tasks.into_iter().for_each(|task| task.join().expect("no panic"));
        }
    });
}

/// The same from a task, and from a scope whose caller holds one core itself.
#[test]
fn a_burst_from_inside_reaches_every_core() {
    at_cores(|pool| {
        let cores = pool.cores();
        let begun = AtomicUsize::new(0);
        let all_begin = || {
            begun.fetch_add(1, Ordering::Relaxed);
            spin_until(|| begun.load(Ordering::Relaxed) == cores);
        };
        pool.scope(|s| (0..cores).for_each(|_| drop(s.spawn(all_begin))));
        let handle = pool.clone();
        let begun = Arc::new(AtomicUsize::new(0));
        let others = pool.spawn(move || {
            let tasks: Vec<_> = (1..cores)
                .map(|_| {
                    let begun = Arc::clone(&begun);
                    handle.spawn(move || {
                        begun.fetch_add(1, Ordering::Relaxed);
                        spin_until(|| begun.load(Ordering::Relaxed) + 1 == cores);
                    })
                })
                .collect();
            spin_until(|| begun.load(Ordering::Relaxed) + 1 == cores);
            tasks.len()
        });
        assert_eq!(others.join().expect("no panic") + 1, cores);
    });
}

/// Many outside threads ask for a region at once, each of which needs all others to be running.
#[test]
fn regions_of_many_callers_run_at_once() {
    at_cores(|pool| {
        let (cores, begun) = (pool.cores(), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| {
                    pool.install(|| {
                        begun.fetch_add(1, Ordering::Relaxed);
                        spin_until(|| begun.load(Ordering::Relaxed) == cores);
                    });
                });
            }
        });
    });
}

/// Tasks that spawn their successors, for ever but for the task from outside that ends it.
#[test]
fn beside_tasks_without_end() {
    fn go_on(pool: Pool, stop: Arc<AtomicBool>, ended: Arc<AtomicUsize>) {
        if stop.load(Ordering::Relaxed) {
            ended.fetch_add(1, Ordering::Relaxed);
        } else {
            let next = pool.clone();
            drop(pool.spawn(move || go_on(next, stop, ended)));
        }
    }
    at_cores(|pool| {
        let (stop, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let chains = 2 * pool.cores();
        (0..chains).for_each(|_| go_on(pool.clone(), Arc::clone(&stop), Arc::clone(&ended)));
        let end = Arc::clone(&stop);
        pool.spawn(move || end.store(true, Ordering::Relaxed)).join().expect("no panic");
        spin_until(|| ended.load(Ordering::Relaxed) == chains);
    });
}

/// Forks below forks, for ever but for the task from outside: a thief looks at the injector now and then between the
/// small jobs that it steals.
#[test]
fn beside_forks_without_end() {
    fn tree(depth: u32) {
        if depth > 0 {
            purloin::join(|| tree(depth - 1), || tree(depth - 1));
        }
    }
    at_cores(|pool| {
        // The caller holds one core from beginning to end: on a single one there is none left for anything else.
        if pool.cores() == 1 {
            return;
        }
        let stop = AtomicBool::new(false);
        let inside = Gate::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.install(|| {
                    inside.open();
                    while !stop.load(Ordering::Relaxed) {
                        tree(6);
                    }
                });
            });
            inside.pass();
            for _ in 0..20 {
                pool.spawn(|| ()).join().expect("no panic");
                assert_eq!(pool.install(|| purloin::join(|| 1, || 2)), (1, 2));
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}

/// Each of the scope's tasks spawns the next in the scope, so that it never runs out. Those that help with a scope must
/// look elsewhere too.
#[test]
fn beside_a_scope_without_end() {
    fn go_on<'scope>(s: &'scope Scope<'scope, '_>, stop: &'scope AtomicBool) {
        if !stop.load(Ordering::Relaxed) {
            s.spawn(move || go_on(s, stop));
        }
    }
    at_cores(|pool| {
        if pool.cores() == 1 {
            return;
        }
        let stop = AtomicBool::new(false);
        let inside = Gate::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                pool.scope(|s| {
                    (0..4 * pool.cores()).for_each(|_| go_on(s, &stop));
                    inside.open();
                });
            });
            inside.pass();
            for _ in 0..20 {
                pool.spawn(|| ()).join().expect("no panic");
            }
            stop.store(true, Ordering::Relaxed);
        });
    });
}
