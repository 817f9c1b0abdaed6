//! Children as tasks: spawned, or in a scope; joined in one way or another, or left alone.

use crate::pools::Pools;
use crate::tree::{Tree, total};
use purloin::{CancelToken, JoinError, JoinHandle, Options, Scope};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub fn done<T>(result: Result<T, JoinError>) -> T {
    result.unwrap_or_else(|error| error.resume())
}

/// The children as spawned tasks.
pub fn spawned(tree: Tree, pools: &Pools) -> u64 {
    let seed = tree.seed.part(13 << 32);
    if seed.once_in(4) {
        return limited(tree, pools);
    }
    let tasks: Vec<_> = (0..tree.children())
        .map(|n| {
            let (child, within) = (tree.child(n), pools.clone());
            pools.spawn(seed.part(n).part(1), move || child.parallel(&within))
        })
        .collect();
    let joined = |(n, task): (u64, JoinHandle<u64>)| {
        let seed = seed.part(n);
        let result = match seed.below(8) {
            0 => {
                let finished = task.is_finished();
                task.try_join().unwrap_or_else(|task| {
                    assert!(!finished, "what is finished can be joined at once");
                    task.join()
                })
            }
            1 => task.join_timeout(seed.moment(2_000)).unwrap_or_else(JoinHandle::join),
            2 => {
                // Its result is lost, and the task is done all the same, or dropped if the pool is terminated.
                drop(task);
                return tree.child(n).serial();
            }
            _ => task.join(),
        };
        match result {
            // The pool was closed meanwhile.
            Err(JoinError::Cancelled) => tree.child(n).parallel(pools),
            result => done(result),
        }
    };
    // In either order: the last is likely to be unbegun, the first to be running.
    let tasks = (0..).zip(tasks);
    if seed.part(1).once_in(2) {
        total(tasks.map(joined))
    } else {
        total(tasks.collect::<Vec<_>>().into_iter().rev().map(joined))
    }
}

/// The children as spawned tasks that are stopped before they begin, or not.
fn limited(tree: Tree, pools: &Pools) -> u64 {
    let seed = tree.seed.part(14 << 32);
    let token = CancelToken::new();
    let options = if seed.once_in(2) {
        Options::new().token(&token.child())
    } else {
        Options::new().deadline(Instant::now() + seed.moment(500))
    };
    let spawn = |n| {
        let (child, within) = (tree.child(n), pools.clone());
        pools.main.with(options.clone()).spawn(move || child.parallel(&within))
    };
    let tasks: Vec<_> = (0..tree.children()).map(spawn).collect();
    token.cancel();
    total((0..).zip(tasks).map(|(n, task)| match task.join() {
        Ok(Ok(sum)) => sum,
        Ok(Err(_)) | Err(JoinError::Cancelled) => tree.child(n).serial(),
        Err(error) => error.resume(),
    }))
}

/// The children as tasks of a scope, joined, or left to its end.
pub fn scoped(tree: Tree, pools: &Pools) -> u64 {
    let (sum, ended) = (AtomicU64::new(0), AtomicU64::new(0));
    let how = tree.seed.part(15 << 32).below(3);
    pools.main.scope(|s| {
        let mut handles = Vec::new();
        for n in 0..tree.children() {
            let (child, sum, ended) = (tree.child(n), &sum, &ended);
            let handle = s.spawn(move || {
                nested(s, child, pools, sum);
                ended.fetch_add(1, Ordering::Relaxed);
            });
            match how {
                0 => drop(handle),
                _ => handles.push(handle),
            }
        }
        let finished = handles.iter().filter(|handle| handle.is_finished()).count() as u64;
        assert!(finished <= ended.load(Ordering::Relaxed), "what a finished task did is seen");
        if how == 1 {
            handles.into_iter().for_each(|handle| done(handle.join()));
        }
    });
    sum.into_inner()
}

/// A task that does its work itself, or leaves it to another task of the same scope.
fn nested<'scope>(s: &'scope Scope<'scope, '_>, tree: Tree, pools: &'scope Pools, sum: &'scope AtomicU64) {
    let work = move || _ = sum.fetch_add(tree.parallel(pools), Ordering::Relaxed);
    match tree.seed.part(9 << 32).below(3) {
        0 => drop(s.spawn(work)),
        1 => done(s.spawn(work).join()),
        _ => work(),
    }
}
