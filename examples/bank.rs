//! A race, and its cure by a monitor and by a semaphore: a deposit and a withdrawal on one account.
//!
//! ```text
//! cargo run --example bank
//! ```
//!
//! prints
//!
//! ```text
//! 100 + 50 - 30 in a race: 150
//! 100 + 50 - 30 with a monitor: 120
//! 100 + 50 - 30 with a semaphore: 120
//! 0 + 1000 x 50 - 1000 x 30 with a monitor: 20000
//! 0 + 1000 x 50 - 1000 x 30 with a semaphore: 20000
//! ```

use purloin::Pool;
use purloin::sync::{Event, Monitor, Semaphore};
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn main() -> Result<(), Box<dyn Error>> {
    let pool = Pool::new(2)?;
    println!("100 + 50 - 30 in a race: {}", race(&pool));
    println!("100 + 50 - 30 with a monitor: {}", with_monitor(&pool, 100, 1));
    println!("100 + 50 - 30 with a semaphore: {}", with_semaphore(&pool, 100, 1));
    println!("0 + 1000 x 50 - 1000 x 30 with a monitor: {}", with_monitor(&pool, 0, 1000));
    println!("0 + 1000 x 50 - 1000 x 30 with a semaphore: {}", with_semaphore(&pool, 0, 1000));
    Ok(())
}

/// Each task reads the balance, computes, and writes. The events bring about what otherwise happens once in a million
/// times: the withdrawal falls between the deposit's reading and its writing, and is lost.
fn race(pool: &Pool) -> usize {
    let balance = AtomicUsize::new(100);
    let (read, withdrawn) = (Event::new(), Event::new());
    pool.scope(|s| {
        s.spawn(|| {
            let seen = balance.load(Relaxed);
            read.set();
            withdrawn.wait();
            balance.store(seen + 50, Relaxed);
        });
        s.spawn(|| {
            read.wait();
            let seen = balance.load(Relaxed);
            balance.store(seen - 30, Relaxed);
            withdrawn.set();
        });
    });
    balance.into_inner()
}

/// Whoever is inside is there alone, and who wants more than there is waits outside until somebody has changed that.
fn with_monitor(pool: &Pool, balance: usize, times: usize) -> usize {
    let account = Monitor::new(balance);
    pool.scope(|s| {
        s.spawn(|| (0..times).for_each(|_| account.with(|mut balance| *balance += 50)));
        s.spawn(|| {
            for _ in 0..times {
                account.wait_until(|mut balance| (*balance >= 30).then(|| *balance -= 30));
            }
        });
    });
    account.with(|balance| *balance)
}

/// The permits are the money: a withdrawal takes some for good, a deposit adds some.
fn with_semaphore(pool: &Pool, balance: usize, times: usize) -> usize {
    let account = Semaphore::new(balance);
    pool.scope(|s| {
        s.spawn(|| (0..times).for_each(|_| account.add_permits(50).expect("it is not that much")));
        s.spawn(|| (0..times).for_each(|_| account.acquire(30).expect("nobody closes the account").forget()));
    });
    account.available()
}
