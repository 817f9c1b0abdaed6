//! Children in a stream: in order or not, endless, dropped midway, stopped, with items that panic.

use crate::bombs::OnPurpose;
use crate::pools::Pools;
use crate::tree::Tree;
use purloin::{CancelToken, Options, Pool};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::time::Instant;

/// The sum of the children's results.
pub fn sum(tree: Tree, pools: &Pools) -> u64 {
    let seed = tree.seed.part(16 << 32);
    let ordered = seed.once_in(2);
    let (pool, count) = (&pools.main, tree.children());
    if seed.part(1).once_in(4) {
        endless(pool, tree, ordered);
    }
    let run = {
        let pools = pools.clone();
        move |n: u64| (n, tree.child(n).parallel(&pools))
    };
    let mut results = match seed.part(2).below(3) {
        0 => {
            let stream = if ordered { pool.imap(0..count, run) } else { pool.imap_unordered(0..count, run) };
            stream.buffer(1 + seed.part(3).below(8) as usize).collect()
        }
        1 => stopped(tree, pools, ordered, run),
        _ => exploding(tree, pool, ordered, run),
    };
    if ordered {
        assert!(results.is_sorted_by_key(|&(n, _)| n), "results come in the items' order");
    }
    results.sort_unstable();
    results.dedup_by_key(|&mut (n, _)| n);
    let mut sum = 0u64;
    for n in 0..count {
        let found = results.binary_search_by_key(&n, |&(n, _)| n);
        let result = found.map_or_else(|_| tree.child(n).parallel(pools), |place| results[place].1);
        sum = sum.wrapping_add(result);
    }
    sum
}

/// Takes some results of a stream without end, and leaves.
fn endless(pool: &Pool, tree: Tree, ordered: bool) {
    let seed = tree.seed.part(17 << 32);
    let square = move |n: u64| {
        seed.part(n % 64).dawdle();
        n * n
    };
    let mut stream = if ordered { pool.imap(0.., square) } else { pool.imap_unordered(0.., square) };
    let mut seen = Vec::new();
    for _ in 0..seed.below(100) {
        seen.extend(stream.next());
    }
    drop(stream);
    let taken = seen.len() as u64;
    if ordered {
        assert!(seen.iter().copied().eq((0..taken).map(|n| n * n)));
    }
    seen.sort_unstable();
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "each result once");
}

/// A stream that a token or a deadline stops: what it had by then.
fn stopped(
    tree: Tree,
    pools: &Pools,
    ordered: bool,
    run: impl Fn(u64) -> (u64, u64) + Send + Sync + 'static,
) -> Vec<(u64, u64)> {
    let seed = tree.seed.part(18 << 32);
    let token = CancelToken::new();
    let options = if seed.once_in(2) {
        Options::new().token(&token)
    } else {
        Options::new().deadline(Instant::now() + seed.moment(2_000))
    };
    let last = seed.part(1).below(tree.children());
    let run = move |n| {
        let result = run(n);
        if n == last {
            token.cancel();
        }
        result
    };
    let with = pools.main.with(options);
    let stream =
        if ordered { with.imap(0..tree.children(), run) } else { with.imap_unordered(0..tree.children(), run) };
    let mut results = Vec::new();
    for result in stream.buffer(1 + seed.part(2).below(8) as usize) {
        match result {
            Ok(result) => results.push(result),
            Err(stopped) => {
                assert_eq!(stopped.finished, results.len() + stopped.done.len());
                results.extend(stopped.done);
            }
        }
    }
    results
}

/// A stream of which an item panics: the others come all the same.
fn exploding(
    tree: Tree,
    pool: &Pool,
    ordered: bool,
    run: impl Fn(u64) -> (u64, u64) + Send + Sync + 'static,
) -> Vec<(u64, u64)> {
    let bomb = tree.seed.part(19 << 32).below(tree.children());
    let run = move |n| if n == bomb { panic_any(OnPurpose(bomb)) } else { run(n) };
    let mut stream =
        if ordered { pool.imap(0..tree.children(), run) } else { pool.imap_unordered(0..tree.children(), run) };
    let (mut results, mut bombs) = (Vec::new(), 0);
    loop {
        match catch_unwind(AssertUnwindSafe(|| stream.next())) {
            Ok(Some(result)) => results.push(result),
            Ok(None) => break,
            Err(payload) => {
                assert!(payload.downcast::<OnPurpose>().is_ok_and(|payload| payload.0 == bomb), "another panic");
                bombs += 1;
            }
        }
    }
    assert_eq!((bombs, results.len() as u64), (1, tree.children() - 1));
    results
}
