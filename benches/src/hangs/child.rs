//! A program in a process of its own: this binary again, with a part to play, and killed when its time is up.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::side::{Purloin, Rayon, Side};
use super::{Outcome, Program};

/// What a child's line of output begins with that holds its figure.
const FIGURE: &str = "figure: ";

/// Plays the part of the child: runs the program on one side and says its figure.
///
/// # Panics
///
/// If the program fails, or the side has no such name.
pub fn play(program: &Program, side: &str, cores: usize) {
    let figure = match side {
        Purloin::NAME => (program.on.purloin)(Purloin::start(cores), cores),
        Rayon::NAME => (program.on.rayon)(Rayon::start(cores), cores),
        _ => panic!("no side is called {side}"),
    };
    if let Some(figure) = figure {
        println!("{FIGURE}{figure}");
    }
}

/// Runs the program on one side in a child, for no longer than `limit`.
///
/// # Errors
///
/// If the child can't be started or watched.
pub fn run(program: &Program, side: &str, cores: usize, limit: Duration) -> io::Result<Outcome> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--play", program.name, "--side", side, "--cores", &cores.to_string()])
        // Some programs panic on purpose, and to look up the names of a backtrace takes long.
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A group of its own, so that what it forks ends with it.
        .process_group(0)
        .spawn()?;
    let streams = (child.stdout.take(), child.stderr.take());
    let (sender, output) = mpsc::channel();
    // The streams end when the child does, or is killed.
    let reader = thread::spawn(move || {
        let (mut out, mut error) = (String::new(), String::new());
        let read = streams.0.map(|mut stream| stream.read_to_string(&mut out));
        let also = streams.1.map(|mut stream| stream.read_to_string(&mut error));
        drop(sender.send((out, error)));
        drop((read, also));
    });
    let mut late = false;
    let (out, error) = output.recv_timeout(limit).or_else(|_| {
        late = true;
        kill_group(child.id());
        output.recv().map_err(|_| io::Error::other("a child's output can't be read"))
    })?;
    let status = child.wait()?;
    drop(reader.join());
    if late {
        return Ok(Outcome::Hangs);
    }
    if status.success() {
        let figure = out.lines().find_map(|line| line.strip_prefix(FIGURE)).map(str::to_owned);
        return Ok(Outcome::Works(figure));
    }
    // What matters of a panic is the line after the one that names the place; an abort often says more in its last line.
    let message = error.lines().find(|line| !line.is_empty() && !line.starts_with("thread '"));
    Ok(Outcome::Fails(message.map_or_else(|| status.to_string(), str::to_owned)))
}

/// Ends the process of that id, and those of its group.
fn kill_group(id: u32) {
    // SAFETY: a plain system call; the group is that of a child which has not been waited for, so its id is still its own.
    unsafe { libc::kill(-(id as libc::pid_t), libc::SIGKILL) };
}
