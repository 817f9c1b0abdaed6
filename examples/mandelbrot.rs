//! The Mandelbrot set as a picture, and a second picture of who computed what: work stealing made visible.
//!
//! ```text
//! cargo run --release --example mandelbrot -- [FOLDER] [CORES]
//! ```
//!
//! writes `mandelbrot.png` and `threads.png` to the folder (default: the current one). In the second each tile has the colour
//! of the thread that computed it: large areas of one colour are what a thread began with, the spots in them what others
//! took when they had run out. Tiles inside the set take a thousand times as long as those far outside. On a terminal a bar shows
//! how far it has come.

use indicatif::{ProgressBar, ProgressStyle};
use purloin::{Options, Pool, Progress};
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ThreadId};
use std::time::Duration;

const WIDTH: usize = 1024;
const HEIGHT: usize = 768;
const TILE: usize = 16;
const MOST_STEPS: u32 = 1000;
/// Between two drawings of the bar.
const FRAME: Duration = Duration::from_millis(50);

type Colour = [u8; 3];

/// One tile: the steps that each of its points took, row by row, and who computed it.
struct Tile {
    steps: Vec<u32>,
    thread: ThreadId,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().map_or_else(|| PathBuf::from("."), PathBuf::from);
    let cores = args.next().map_or(Ok(0), |text| text.parse())?;
    let pool = Pool::new(cores)?;

    let across = WIDTH / TILE;
    let progress = Progress::new();
    let with = pool.with(Options::new().progress(&progress));
    let tiles = drawing(&progress, || {
        with.map(0..across * (HEIGHT / TILE), |tile| Tile {
            steps: compute(tile % across * TILE, tile / across * TILE),
            thread: thread::current().id(),
        })
    })?;

    let mut threads: Vec<ThreadId> = Vec::new();
    for tile in &tiles {
        if !threads.contains(&tile.thread) {
            threads.push(tile.thread);
        }
    }
    let find = |x: usize, y: usize| (&tiles[y / TILE * across + x / TILE], y % TILE * TILE + x % TILE);
    save(&folder.join("mandelbrot.png"), |x, y| {
        let (tile, point) = find(x, y);
        by_steps(tile.steps[point])
    })?;
    save(&folder.join("threads.png"), |x, y| {
        let (tile, point) = find(x, y);
        let thread = threads.iter().position(|&thread| thread == tile.thread).unwrap_or_default();
        shade(by_thread(thread), tile.steps[point])
    })?;

    let inside = tiles.iter().flat_map(|tile| &tile.steps).filter(|&&steps| steps == MOST_STEPS).count();
    println!("{} points in {} tiles, {inside} of them in the set", WIDTH * HEIGHT, tiles.len());
    eprintln!("threads: {}, forks stolen: {}", threads.len(), pool.stats().steals);
    Ok(())
}

/// Runs `loops`, and draws meanwhile how far they have come, if standard error is a terminal: from a thread of its own, so nobody
/// who computes has to wait for the terminal.
fn drawing<R>(progress: &Progress, loops: impl FnOnce() -> R) -> R {
    if !io::stderr().is_terminal() {
        return loops();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} tiles").expect("the template is well-formed");
    let (bar, over) = (ProgressBar::no_length().with_style(style), AtomicBool::new(false));
    let result = thread::scope(|s| {
        let drawer = s.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                bar.set_position(progress.done() as u64);
                bar.set_length(progress.total().unwrap_or_default() as u64);
                thread::park_timeout(FRAME);
            }
        });
        let result = loops();
        over.store(true, Ordering::Relaxed);
        drawer.thread().unpark();
        result
    });
    bar.finish_and_clear();
    result
}

/// The steps that the points of a tile take to leave the circle of radius 2, at most `MOST_STEPS`.
fn compute(left: usize, top: usize) -> Vec<u32> {
    let points = (0..TILE * TILE).map(|point| (left + point % TILE, top + point / TILE));
    points
        .map(|(x, y)| {
            let (re, im) = (x as f64 * 3.2 / WIDTH as f64 - 2.3, y as f64 * 2.4 / HEIGHT as f64 - 1.2);
            let (mut a, mut b, mut steps) = (0.0, 0.0, 0);
            while steps < MOST_STEPS && a * a + b * b <= 4.0 {
                (a, b) = (a * a - b * b + re, 2.0 * a * b + im);
                steps += 1;
            }
            steps
        })
        .collect()
}

fn by_steps(steps: u32) -> Colour {
    if steps == MOST_STEPS {
        return [0, 0, 0];
    }
    let t = (f64::from(steps) / f64::from(MOST_STEPS)).sqrt();
    [9.0 * (1.0 - t) * t, 15.0 * (1.0 - t).powi(2) * t, 8.5 * (1.0 - t).powi(3) * t]
        .map(|c| (c * 100.0).min(255.0) as u8)
}

/// Colours as far apart as the golden ratio puts them.
fn by_thread(thread: usize) -> Colour {
    let hue = (thread as f64 * 0.618_033_988_749_895).fract() * 6.0;
    [5.0, 3.0, 1.0].map(|shift: f64| {
        let k = (shift + hue) % 6.0;
        (255.0 - 200.0 * k.min(4.0 - k).clamp(0.0, 1.0)) as u8
    })
}

/// Darker where it took longer, so that the set can still be seen.
fn shade(colour: Colour, steps: u32) -> Colour {
    let light = 1.0 - 0.6 * f64::from(steps) / f64::from(MOST_STEPS);
    colour.map(|c| (f64::from(c) * light) as u8)
}

fn save(path: &Path, colour: impl Fn(usize, usize) -> Colour) -> Result<(), Box<dyn Error>> {
    let pixels: Vec<u8> = (0..WIDTH * HEIGHT).flat_map(|point| colour(point % WIDTH, point / WIDTH)).collect();
    let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut encoder = png::Encoder::new(BufWriter::new(file), WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(&pixels)?;
    Ok(())
}
