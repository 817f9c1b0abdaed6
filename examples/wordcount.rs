//! The most frequent words of a text, and how often each of them occurs.
//!
//! ```text
//! cargo run --example wordcount -- LICENSE-APACHE 3
//! ```
//!
//! prints
//!
//! ```text
//! 100 the
//! 69 or
//! 67 of
//! ```
//!
//! Each line's words are counted by themselves, on whichever core, and the counts of neighbours are added up.

use purloin::Pool;
use std::collections::HashMap;
use std::error::Error;

type Counts = HashMap<String, usize>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().unwrap_or_else(|| "LICENSE-APACHE".to_string());
    let most: usize = args.next().map_or(Ok(10), |text| text.parse())?;
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;

    let pool = Pool::new(0)?;
    let lines: Vec<&str> = text.lines().collect();
    let counts = pool.map_reduce(&lines, |line| count(line), Counts::new(), add);

    let mut words: Vec<(String, usize)> = counts.into_iter().collect();
    words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    for (word, count) in words.iter().take(most) {
        println!("{count} {word}");
    }
    Ok(())
}

fn count(line: &str) -> Counts {
    let mut counts = Counts::new();
    for word in line.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_ascii_lowercase()).or_default() += 1;
    }
    counts
}

/// Adds the smaller to the larger.
fn add(a: Counts, b: Counts) -> Counts {
    let (mut larger, smaller) = if a.len() < b.len() { (b, a) } else { (a, b) };
    for (word, count) in smaller {
        *larger.entry(word).or_default() += count;
    }
    larger
}
