//! The same squares three times: by workers and a queue, by workers and a queue with an index and a sort, and by `map`.
//!
//! ```text
//! cargo run --example squares
//! ```
//!
//! prints, but for the order of the numbers in the first line, which may be another each time:
//!
//! ```text
//! workers and a queue: 4 1 9 0 16 25 36 49
//! with an index and a sort: 0 1 4 9 16 25 36 49
//! map: 0 1 4 9 16 25 36 49
//! ```

use purloin::sync::Queue;
use purloin::{BuildError, Pool};

const WORKERS: usize = 4;

fn main() -> Result<(), BuildError> {
    let pool = Pool::new(WORKERS)?;
    let numbers: Vec<u64> = (0..8).collect();
    show("workers and a queue", &with_a_queue(&pool, &numbers));
    show("with an index and a sort", &with_an_index(&pool, &numbers));
    // All of the above in one line: the results are in order, and nobody waits for a number that is another's.
    show("map", &pool.map(&numbers, |n| n * n));
    Ok(())
}

/// The results come in the order in which they are done.
fn with_a_queue(pool: &Pool, numbers: &[u64]) -> Vec<u64> {
    let (jobs, results) = (Queue::unbounded(), Queue::unbounded());
    pool.scope(|s| {
        for _ in 0..WORKERS {
            // A worker that waits for a job leaves its core to the others. It ends when no more can come.
            s.spawn(|| jobs.iter().for_each(|n: u64| results.push(n * n).expect("the queue is open")));
        }
        numbers.iter().for_each(|&n| jobs.push(n).expect("the queue is open"));
        jobs.close();
    });
    results.close();
    results.iter().collect()
}

/// Each result says to which number it belongs, and all are sorted in the end.
fn with_an_index(pool: &Pool, numbers: &[u64]) -> Vec<u64> {
    let (jobs, results) = (Queue::unbounded(), Queue::unbounded());
    pool.scope(|s| {
        for _ in 0..WORKERS {
            s.spawn(|| {
                jobs.iter()
                    .for_each(|(index, n): (usize, u64)| results.push((index, n * n)).expect("the queue is open"))
            });
        }
        numbers.iter().copied().enumerate().for_each(|job| jobs.push(job).expect("the queue is open"));
        jobs.close();
    });
    results.close();
    let mut squares: Vec<(usize, u64)> = results.iter().collect();
    squares.sort_unstable();
    squares.into_iter().map(|(_, square)| square).collect()
}

fn show(title: &str, squares: &[u64]) {
    let numbers: Vec<String> = squares.iter().map(u64::to_string).collect();
    println!("{title}: {}", numbers.join(" "));
}
