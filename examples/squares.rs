//! The same squares three times: by workers and a queue, by workers and a queue with an index and a sort, and by `map`.
//!
//! ```text
//! cargo run --example squares
//! ```
//!
//! prints, but for the order of the numbers in the first line, which is another each time:
//!
//! ```text
//! workers and a queue: 4 1 9 0 16 25 36 49
//! with an index and a sort: 0 1 4 9 16 25 36 49
//! map: 0 1 4 9 16 25 36 49
//! ```

use purloin::{BuildError, Pool};
use std::sync::Mutex;
use std::sync::mpsc::channel;

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
    let (jobs, queue) = channel();
    let (results, done) = channel();
    let queue = Mutex::new(queue);
    pool.scope(|s| {
        for _ in 0..WORKERS {
            let (queue, results) = (&queue, results.clone());
            s.spawn(move || {
                while let Some(n) = next(queue) {
                    let n: u64 = n;
                    results.send(n * n).expect("somebody collects the results");
                }
            });
        }
        for &n in numbers {
            jobs.send(n).expect("the queue is there");
        }
        // The workers end when the queue is empty and no more can come.
        drop(jobs);
    });
    drop(results);
    done.into_iter().collect()
}

/// Each result says to which number it belongs, and all are sorted in the end.
fn with_an_index(pool: &Pool, numbers: &[u64]) -> Vec<u64> {
    let (jobs, queue) = channel();
    let (results, done) = channel();
    let queue = Mutex::new(queue);
    pool.scope(|s| {
        for _ in 0..WORKERS {
            let (queue, results) = (&queue, results.clone());
            s.spawn(move || {
                while let Some((index, n)) = next(queue) {
                    let n: u64 = n;
                    results.send((index, n * n)).expect("somebody collects the results");
                }
            });
        }
        for job in numbers.iter().copied().enumerate() {
            jobs.send(job).expect("the queue is there");
        }
        drop(jobs);
    });
    drop(results);
    let mut squares: Vec<(usize, u64)> = done.into_iter().collect();
    squares.sort_unstable();
    squares.into_iter().map(|(_, square)| square).collect()
}

/// The next job, or `None` if no more will come. Waiting for one is waiting, not work: the core goes to others meanwhile.
fn next<T: Send>(queue: &Mutex<std::sync::mpsc::Receiver<T>>) -> Option<T> {
    purloin::blocking(|| queue.lock().expect("no worker panics").recv().ok())
}

fn show(title: &str, squares: &[u64]) {
    let numbers: Vec<String> = squares.iter().map(u64::to_string).collect();
    println!("{title}: {}", numbers.join(" "));
}
