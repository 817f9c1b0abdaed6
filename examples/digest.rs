//! SHA-256 of every file under the given paths, in parallel, in the format of coreutils' `sha256sum`.
//!
//! ```text
//! cargo run --release --example digest -- src tests > SUMS && sha256sum --check SUMS
//! cargo run --release --example digest -- --compare
//! ```
//!
//! The whole of the parallelism is one line, the `map` in `run`: files differ in size by orders of magnitude, and the pool
//! splits the list wherever a core runs out of work, so there is no chunk size to choose and no need to sort by size first.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use purloin::Pool;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Bytes read at a time: all the memory that a file takes, however large it is.
const BUFFER: usize = 64 * 1024;

/// How often `--compare` runs each way. The best run counts: noise only ever adds time.
const ROUNDS: usize = 3;

/// What is known of one file after the run.
type Outcome = io::Result<[u8; 32]>;

/// Print the SHA-256 of every file under the given paths, as `sha256sum` does.
///
/// Folders are walked in the order of their names. Links are followed where they are named here, not where the walk meets them.
/// The exit code is 1 if anything could not be read.
#[derive(Parser)]
#[command(name = "digest")]
struct Args {
    /// Files and folders [default: the sources of the cargo registry if there are any, else the current folder]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Cores to use [default: the machine's, within this process's quota]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    cores: usize,

    /// Time the work on one thread and on the pool, best of three, and report both to standard error
    #[arg(long)]
    compare: bool,
}

fn main() -> ExitCode {
    let mut args = Args::parse();
    if args.paths.is_empty() {
        args.paths.push(default_path());
    }
    let pool = match Pool::new(args.cores) {
        Ok(pool) => pool,
        Err(error) => {
            complain(b"the pool", &error);
            return ExitCode::FAILURE;
        }
    };
    match run(&args, &pool) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        // The reader has seen enough (`digest | head`): nothing is wrong.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(b"standard output", &error);
            ExitCode::FAILURE
        }
    }
}

/// Digests everything; returns how many files or folders could not be read, or the error that writing met.
fn run(args: &Args, pool: &Pool) -> io::Result<usize> {
    let mut files = Vec::new();
    let mut failures: usize = args.paths.iter().map(|path| walk(path, &mut files)).sum();

    let outcomes = if args.compare {
        compare(pool, &files)
    } else {
        let bar = progress_bar(&files);
        let outcomes = pool.map(&files, |file| digest(file, &bar));
        bar.finish_and_clear();
        outcomes
    };

    let mut out = BufWriter::new(io::stdout().lock());
    for (file, outcome) in files.iter().zip(&outcomes) {
        match outcome {
            Ok(digest) => out.write_all(&line(digest, file))?,
            Err(error) => {
                // On a terminal the two streams meet: what came before the complaint is shown before it.
                out.flush()?;
                complain(&escape(file), error);
                failures += 1;
            }
        }
    }
    out.flush()?;
    Ok(failures)
}

/// Adds the regular files under `root` to `files`, each folder in the order of its names; complains of what it can't enter
/// and returns how often it did.
fn walk(root: &Path, files: &mut Vec<PathBuf>) -> usize {
    match fs::metadata(root) {
        Ok(root) if root.is_dir() => {}
        Ok(metadata) if metadata.is_file() => {
            files.push(root.to_path_buf());
            return 0;
        }
        // A terminal or a pipe may have no end.
        Ok(_) => {
            complain(&escape(root), &"not a regular file");
            return 1;
        }
        Err(error) => {
            complain(&escape(root), &error);
            return 1;
        }
    }
    let mut failures = 0;
    for entry in WalkDir::new(root).sort_by_file_name() {
        match entry {
            Ok(entry) if entry.file_type().is_file() => files.push(entry.into_path()),
            Ok(_) => {}
            Err(error) => {
                let path = escape(error.path().unwrap_or(root));
                match error.io_error() {
                    Some(reason) => complain(&path, reason),
                    None => complain(&path, &error),
                }
                failures += 1;
            }
        }
    }
    failures
}

/// The SHA-256 of one file's content. Moves `bar` on by each byte read.
fn digest(path: &Path, bar: &ProgressBar) -> Outcome {
    let mut file = File::open(path)?;
    let mut buffer = [0; BUFFER];
    let mut hasher = Sha256::new();
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bar.inc(read as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Runs `ROUNDS` rounds on this thread alone and on the pool, in turn, and reports the best of each to standard error.
fn compare(pool: &Pool, files: &[PathBuf]) -> Vec<Outcome> {
    let bar = ProgressBar::hidden();
    let serial = || files.iter().map(|file| digest(file, &bar)).collect();
    let parallel = || pool.map(files, |file| digest(file, &bar));

    // Unmeasured: from here on the files are in memory for both, as far as they fit.
    let mut outcomes: Vec<Outcome> = parallel();
    let (mut best_serial, mut best_parallel) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (took, expected): (_, Vec<Outcome>) = timed(serial);
        best_serial = best_serial.min(took);
        let (took, found) = timed(parallel);
        best_parallel = best_parallel.min(took);
        outcomes = found;

        for ((file, serial), parallel) in files.iter().zip(&expected).zip(&outcomes) {
            if serial.as_ref().ok() != parallel.as_ref().ok() {
                complain(&escape(file), &"changed between two runs");
            }
        }
    }

    let (one, all) = (best_serial.as_secs_f64(), best_parallel.as_secs_f64());
    let report = format!(
        "{} files\nserial    {:9.1} ms\n{:2} cores  {:9.1} ms\nratio     {:9.2}\n{}\n",
        files.len(),
        one * 1e3,
        pool.cores(),
        all * 1e3,
        one / all,
        pool.stats(),
    );
    // Nobody is left to tell if standard error is gone.
    let _ = io::stderr().write_all(report.as_bytes());
    outcomes
}

fn timed<R>(work: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// A line of `sha256sum`: digest, two spaces, name. A name that would break the line is escaped, which a backslash in front
/// of the line announces.
fn line(digest: &[u8; 32], path: &Path) -> Vec<u8> {
    let name = escape(path);
    let mut line = Vec::with_capacity(64 + name.len() + 4);
    if name.len() != path.as_os_str().len() {
        line.push(b'\\');
    }
    for byte in digest {
        line.extend([byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)]));
    }
    line.extend(b"  ");
    line.extend(name);
    line.push(b'\n');
    line
}

/// The name's own bytes, UTF-8 or not, with backslash, newline and carriage return written as `\\`, `\n` and `\r`.
fn escape(path: &Path) -> Vec<u8> {
    let mut name = Vec::with_capacity(path.as_os_str().len());
    for &byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'\\' => name.extend(b"\\\\"),
            b'\n' => name.extend(b"\\n"),
            b'\r' => name.extend(b"\\r"),
            _ => name.push(byte),
        }
    }
    name
}

/// A bar over all bytes on standard error if that is a terminal, else nothing.
fn progress_bar(files: &[PathBuf]) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bytes = files.iter().filter_map(|file| fs::metadata(file).ok()).map(|metadata| metadata.len()).sum();
    let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(bytes).with_style(style.expect("the template is well-formed"))
}

/// `digest: SUBJECT: REASON` on standard error.
fn complain(subject: &[u8], reason: &dyn std::fmt::Display) {
    let mut message = b"digest: ".to_vec();
    message.extend(subject);
    message.extend(format!(": {reason}\n").bytes());
    // Nobody is left to tell if standard error is gone.
    let _ = io::stderr().write_all(&message);
}

/// The sources that cargo has downloaded, since any Rust machine has them and they are many; else the current folder.
fn default_path() -> PathBuf {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .map(|home| home.join("registry").join("src"))
        .filter(|sources| sources.is_dir())
        .unwrap_or_else(|| PathBuf::from("."))
}
