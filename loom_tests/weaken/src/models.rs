//! The models' tests: built once, and each run in a process of its own.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A test of the models' package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    pub binary: PathBuf,
    /// Module and test, as `cargo test` says them.
    pub name: String,
}

/// What a test was seen to do when nothing was weakened.
#[derive(Debug, Default, Clone)]
pub struct Trace {
    /// Place, role and ordering.
    pub sites: BTreeSet<(String, String, String)>,
    pub flaws: BTreeSet<String>,
    /// How long its models took.
    pub took: Duration,
    /// Whether one of its models is bounded, so that a higher bound makes a difference.
    pub bounded: bool,
}

/// How a test ended.
#[derive(Debug, Clone)]
pub enum Ended {
    Passed,
    /// In an execution of a model, with a failure of a model.
    Killed(Failure),
    /// In another way: says which.
    Otherwise(String),
    TimedOut,
}

/// What a model said.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    pub message: String,
    pub model: String,
    pub execution: usize,
}

/// Builds the tests and lists them. Copies of them are run, so that a build in the meantime changes nothing.
pub fn build(root: &Path, scratch: &Path) -> Result<Vec<Test>, String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["test", "--package", "purloin-loom", "--no-run", "--message-format=json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo can't be started: {error}"))?;
    if !built.status.success() {
        return Err("the models don't compile".into());
    }
    let messages = String::from_utf8_lossy(&built.stdout);
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut tests = Vec::new();
    for message in messages.filter(|message| message["profile"]["test"] == true) {
        let (Some(binary), Some(target)) = (message["executable"].as_str(), message["target"]["name"].as_str()) else {
            continue;
        };
        let listed = Command::new(binary).args(["--list", "--format=terse"]).output();
        let listed = listed.map_err(|error| format!("{binary}: {error}"))?;
        let copy = scratch.join(target);
        fs::copy(binary, &copy).map_err(|error| format!("{binary}: {error}"))?;
        for line in String::from_utf8_lossy(&listed.stdout).lines() {
            if let Some(name) = line.strip_suffix(": test") {
                tests.push(Test { binary: copy.clone(), name: name.to_owned() });
            }
        }
    }
    tests.sort();
    Ok(tests)
}

/// Reads what tests have appended to the file that `PURLOIN_SITES` named.
pub fn read_traces(path: &Path, tests: &[Test]) -> Result<BTreeMap<Test, Trace>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut traces: BTreeMap<Test, Trace> = BTreeMap::new();
    for line in text.lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let [name, kind, rest @ ..] = &parts[..] else { return Err(format!("not a trace: {line}")) };
        let Some(test) = tests.iter().find(|known| known.name == *name) else { continue };
        let trace = traces.entry(test.clone()).or_default();
        match (*kind, rest) {
            ("site", [place, role, order]) => {
                // Cargo may hand the path to the compiler by way of the package's folder.
                // Models have atomics of their own.
                let Some(start) = place.find("src/").filter(|_| !place.contains("tests/tests/")) else { continue };
                trace.sites.insert((place[start..].to_owned(), (*role).to_owned(), (*order).to_owned()));
            }
            ("flaw", [flaw]) => {
                trace.flaws.insert((*flaw).to_owned());
            }
            ("model", [_, _, millis, bound]) => {
                trace.took += Duration::from_millis(millis.parse().unwrap_or(0));
                trace.bounded |= *bound != "unbounded";
            }
            _ => return Err(format!("not a trace: {line}")),
        }
    }
    Ok(traces)
}

impl Test {
    /// Runs it, with these variables set.
    pub fn run(&self, scratch: &Path, variables: &[(&str, &str)], limit: Duration) -> Ended {
        let (said, printed) = (scratch.join("stderr"), scratch.join("stdout"));
        let file = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut child = Command::new(&self.binary)
            .args(["--exact", &self.name, "--nocapture", "--test-threads=1"])
            .env_remove("PURLOIN_SITES")
            .env_remove("PURLOIN_WEAKEN")
            .env("RUST_BACKTRACE", "0")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(file(&printed))
            .stderr(file(&said))
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        let start = Instant::now();
        let status = loop {
            match child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None if start.elapsed() > limit => {
                    end_group(&mut child);
                    return Ended::TimedOut;
                }
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        if status.success() {
            return Ended::Passed;
        }
        let said = String::from_utf8_lossy(&fs::read(&said).unwrap_or_default()).into_owned();
        judge(&said).unwrap_or_else(|| Ended::Otherwise(format!("{status}, without a word of a model")))
    }
}

/// Ends a test that takes too long, and the process of its own in which it is played.
fn end_group(leader: &mut Child) {
    let group = libc::pid_t::try_from(leader.id()).expect("an identifier of a process");
    // SAFETY: plain system call; the group is that of our child, which has not been waited for.
    unsafe { libc::killpg(group, libc::SIGKILL) };
    let _ = leader.wait();
}

/// What loom says, and the stand-ins, when a model is too large for them. That a weakened model goes on for ever does not
/// show that anybody looks.
const LIMITS: [&str; 4] =
    ["Model exceeded maximum number of branches", "the modelled deque is full", "the modelled injector", "MAX_THREADS"];

/// The first panic decides: what follows may come from destructors that run where loom is gone.
fn judge(said: &str) -> Option<Ended> {
    let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
    let place = lines.next()?;
    let message: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.starts_with("note: run with") && !line.starts_with("in execution "))
        .collect();
    let message = message.join("\n").trim().to_owned();
    let first = message.lines().next().unwrap_or_default().to_owned();
    let model = said.lines().find_map(|line| {
        let (execution, model) = line.strip_prefix("in execution ")?.split_once(" of model `")?;
        Some((execution.parse().ok()?, model.trim_end_matches('`').to_owned()))
    });
    let Some((execution, model)) = model else {
        return Some(Ended::Otherwise(format!("{first} ({place})")));
    };
    if LIMITS.iter().any(|limit| message.contains(limit)) {
        return Some(Ended::Otherwise(first));
    }
    Some(Ended::Killed(Failure { message: first, model, execution }))
}
