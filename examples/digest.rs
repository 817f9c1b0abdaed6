//! SHA-256 of every file under the given paths, in parallel, in the format of coreutils' `sha256sum`.
//!
//! ```text
//! cargo run --release --example digest -- src tests > SUMS && sha256sum --check SUMS
//! cargo run --release --example digest -- --compare
//! ```
//!
//! The whole of the parallelism is one line, the `imap` in `run`: it takes files from the walk as results are written, so no
//! list of all files is ever in memory, but of the folders on the way, and each is begun as soon as the walk has come to it. Files differ in size by orders
//! of magnitude; while a large one is read, the results of others wait, as many as the buffer holds.
//!
//! What could not be read is named, and counted at the end. Ctrl-C stops it between two blocks of a file, and says how far it came.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use purloin::{CancelToken, Options, Pool, blocking, is_cancelled};
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

/// Bytes read at a time: all the memory that a file takes, however large it is.
const BUFFER: usize = 64 * 1024;

/// A read that takes longer had to wait for the disk.
const PATIENCE: Duration = Duration::from_micros(200);

/// Files that the walk may be ahead of the output: a large one shall not keep the cores from those after it.
const AHEAD: usize = 1024;

/// The exit code of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// How often `--compare` runs each way. The best run counts: noise only ever adds time.
const ROUNDS: usize = 3;

/// What is known of one file after it was read.
type Outcome = io::Result<[u8; 32]>;

/// What the walk came to: a file, or something that it can't enter.
type Found = Result<PathBuf, Complaint>;

/// A name, as it is to be shown, and what is wrong with it.
struct Complaint(Vec<u8>, String);

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
        Ok(code) => code,
        // The reader has seen enough (`digest | head`): nothing is wrong.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            complain(b"standard output", &error);
            ExitCode::FAILURE
        }
    }
}

/// Digests everything; returns the exit code, or the error that writing met.
fn run(args: &Args, pool: &Pool) -> io::Result<ExitCode> {
    let token = CancelToken::new();
    let on_signal = token.clone();
    if let Err(error) = ctrlc::set_handler(move || on_signal.cancel()) {
        complain(b"Ctrl-C", &error);
    }

    let with = pool.with(Options::new().token(&token));
    let found = args.paths.clone().into_iter().flat_map(walk);
    let found: Box<dyn Iterator<Item = Found>> = match args.compare {
        true => {
            let all: Vec<Found> = found.collect();
            // As a region of the token, so that Ctrl-C ends it as well. If it came before, there is nothing to report.
            let _ = with.install(|| compare(pool, &all));
            Box::new(all.into_iter())
        }
        false => Box::new(found),
    };
    let bar = progress_bar();
    let counter = bar.clone();
    let digests = with.imap(found, move |found| {
        let file = found?;
        let outcome = digest(&file, &counter);
        Ok((file, outcome))
    });

    let mut out = BufWriter::new(io::stdout().lock());
    let (mut done, mut failures) = (0, 0);
    for result in digests.buffer(AHEAD) {
        let complaint = match result {
            Ok(Ok((file, Ok(digest)))) => {
                out.write_all(&line(&digest, &file))?;
                done += 1;
                continue;
            }
            Ok(Ok((file, Err(error)))) => Complaint(escape(&file), error.to_string()),
            Ok(Err(complaint)) => complaint,
            Err(_) => {
                out.flush()?;
                bar.finish_and_clear();
                complain(b"interrupted", &format!("{done} files are done"));
                return Ok(ExitCode::from(INTERRUPTED));
            }
        };
        // On a terminal the two streams meet: what came before the complaint is shown before it.
        out.flush()?;
        bar.suspend(|| complain(&complaint.0, &complaint.1));
        failures += 1;
    }
    out.flush()?;
    bar.finish_and_clear();
    if failures > 0 {
        complain(b"WARNING", &format!("{failures} could not be read"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// The regular files under `root`, each folder in the order of its names, and what can't be entered.
fn walk(root: PathBuf) -> Box<dyn Iterator<Item = Found>> {
    let complaint = |reason: &dyn Display| -> Box<dyn Iterator<Item = Found>> {
        Box::new(std::iter::once(Err(Complaint(escape(&root), reason.to_string()))))
    };
    match fs::metadata(&root) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(metadata) if metadata.is_file() => return Box::new(std::iter::once(Ok(root))),
        // A terminal or a pipe may have no end.
        Ok(_) => return complaint(&"not a regular file"),
        Err(error) => return complaint(&error),
    }
    Box::new(WalkDir::new(&root).sort_by_file_name().into_iter().filter_map(move |entry| match entry {
        Ok(entry) => entry.file_type().is_file().then(|| Ok(entry.into_path())),
        Err(error) => {
            let path = escape(error.path().unwrap_or(&root));
            let reason = error.io_error().map_or_else(|| error.to_string(), io::Error::to_string);
            Some(Err(Complaint(path, reason)))
        }
    }))
}

/// Calls `read`, which may have to wait for a disk. If the last such call did, by whichever file, another file gets the core
/// meanwhile. To hand the core over costs more than to read what is in memory already.
fn patiently<R>(read: impl FnOnce() -> R) -> R {
    static SLOW: AtomicBool = AtomicBool::new(false);
    let timed = || {
        let begun = Instant::now();
        let result = read();
        SLOW.store(begun.elapsed() > PATIENCE, Ordering::Relaxed);
        result
    };
    if SLOW.load(Ordering::Relaxed) { blocking(timed) } else { timed() }
}

/// The SHA-256 of one file's content, or an error if the operation is cancelled. Moves `bar` on by each byte read.
fn digest(path: &Path, bar: &ProgressBar) -> Outcome {
    let stopped = || if is_cancelled() { Err(io::Error::from(ErrorKind::Interrupted)) } else { Ok(()) };
    stopped()?;
    let mut file = patiently(|| File::open(path))?;
    let mut buffer = [0; BUFFER];
    let mut hasher = Sha256::new();
    loop {
        stopped()?;
        match patiently(|| file.read(&mut buffer)) {
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

/// Runs `ROUNDS` rounds on this thread alone and on the pool, in turn, and reports the best of each to standard error. Here
/// all files are known in advance.
fn compare(pool: &Pool, found: &[Found]) {
    let files: Vec<&Path> = found.iter().flatten().map(PathBuf::as_path).collect();
    let bar = ProgressBar::hidden();
    let serial = || files.iter().map(|file| digest(file, &bar)).collect();
    let parallel = || pool.map(&files, |file| digest(file, &bar));

    // Unmeasured: from here on the files are in memory for both, as far as they fit.
    drop(parallel());
    let (mut best_serial, mut best_parallel) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let (took, expected): (_, Vec<Outcome>) = timed(serial);
        best_serial = best_serial.min(took);
        let (took, outcomes) = timed(parallel);
        best_parallel = best_parallel.min(took);
        if is_cancelled() {
            return;
        }

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

/// The bytes so far on standard error, if that is a terminal. How many there will be is known when the walk is over.
fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {bytes} {bytes_per_sec} {elapsed}");
    ProgressBar::new_spinner().with_style(style.expect("the template is well-formed"))
}

/// `digest: SUBJECT: REASON` on standard error.
fn complain(subject: &[u8], reason: &dyn Display) {
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
