//! Panics on purpose, in every kind of region, each of which is to come out.

use crate::seed::Seed;
use crate::tasks::done;
use purloin::{Options, Pool};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, resume_unwind};

/// What a closure panics with on purpose.
pub struct OnPurpose(pub u64);

/// Panics in a region and catches it where it comes out.
pub fn set_off(pool: &Pool, seed: Seed) {
    match catch_unwind(AssertUnwindSafe(|| explode(pool, seed))) {
        Ok(()) => panic!("a panic got lost"),
        Err(payload) => {
            let payload = payload.downcast::<OnPurpose>();
            assert!(payload.is_ok_and(|payload| payload.0 == seed.0), "another panic came out");
        }
    }
}

fn explode(pool: &Pool, seed: Seed) {
    let go_off = || -> u64 {
        seed.dawdle();
        panic_any(OnPurpose(seed.0))
    };
    let bomb = seed.0 % 50;
    let item = |n: u64| if n == bomb { go_off() } else { seed.part(n).0 };
    match seed.part(10 << 32).below(12) {
        0 => drop(pool.join(|| seed.part(1).dawdle(), go_off)),
        1 => drop(pool.join(go_off, || seed.part(1).dawdle())),
        2 => drop(pool.map(0..50u64, item)),
        3 => pool.scope(|s| {
            (0..4).for_each(|n| drop(s.spawn(move || seed.part(n).dawdle())));
            drop(s.spawn(go_off));
        }),
        4 => match pool.spawn(move || -> u64 { panic_any(OnPurpose(seed.0)) }).join() {
            Err(error) if error.is_panic() => resume_unwind(error.into_panic().expect("it is one")),
            Err(error) => {
                assert!(error.is_cancelled());
                go_off();
            }
            Ok(_) => {}
        },
        5 => drop(pool.map_reduce(0..50u64, item, 0, u64::wrapping_add)),
        6 => {
            let reduce = |a: u64, b: u64| if a <= bomb && bomb < b { go_off() } else { b };
            _ = pool.map_reduce(0..51u64, |n: u64| n, 0, reduce);
        }
        7 => drop(pool.try_map(0..50u64, |n| Ok::<u64, ()>(item(n)))),
        8 => drop(pool.with(Options::new()).map(0..50u64, item)),
        9 => {
            let item = move |n: u64| if n == bomb { panic_any(OnPurpose(seed.0)) } else { n };
            // What the closure panics with comes out of the `next` for its item.
            drop(pool.imap(0..50u64, item).collect::<Vec<_>>());
        }
        10 => _ = pool.scope(|s| done(s.spawn(go_off).join())),
        _ => drop(pool.install(go_off)),
    }
    // A task whose handle is gone tells the pool's hook.
    drop(pool.spawn(move || panic_any(OnPurpose(0))));
}
