//! `cargo weaken`: checks the checks. It weakens one memory ordering at one place of the sources, or leaves one fence out,
//! and runs the models that come by there: one of them has to fail, as a model does. And so on for all orderings. It also
//! sees that each mistake that can be seeded is played by a model. DESIGN.md, section 6.6, says how to read the table.
//!
//! It fails if a place is executed by no model, or if a weakened ordering is noticed by none and `weaken.toml` does not say why.

mod allowed;
mod models;
mod mutant;
mod report;
mod source;

use allowed::Allowed;
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use models::{Ended, Test, Trace};
use mutant::{Mutant, Order};
use report::{Outcome, Report, Row};
use source::Site;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Weakens one memory ordering after the other, and sees whether a model notices.
#[derive(Debug, Parser)]
struct Options {
    /// Only files that have changed since this revision of git
    #[arg(long, value_name = "REV")]
    changed: Option<String>,
    /// Only so many weakened orderings, spread evenly over all; the same each time
    #[arg(long, value_name = "N")]
    sample: Option<usize>,
    /// Only files whose path contains this
    #[arg(long, value_name = "FILE")]
    only: Option<String>,
    /// Only the mistakes that can be seeded
    #[arg(long)]
    flaws: bool,
    /// List the sites and run nothing
    #[arg(long)]
    list: bool,
    /// Write the table as JSON, too
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// What the models execute, as `PURLOIN_SITES=FILE cargo test -p purloin-loom` leaves it, in place of running them first
    #[arg(long, value_name = "FILE")]
    traces: Option<PathBuf>,
    /// Weakened orderings that are tried at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
}

/// A bound above that of plain `cargo test`, for what survives there.
const HIGHER_BOUND: &str = "4";
/// Models that take longer at the ordinary bound are not tried at the higher one.
const CHEAP: Duration = Duration::from_secs(2);
/// What a test may take at the higher bound.
const LIMIT_AT_HIGHER_BOUND: Duration = Duration::from_secs(60);
/// What a sample spends on one weakened ordering; then it leaves it to the whole run.
const BUDGET_IN_SAMPLE: Duration = Duration::from_secs(15);
/// What any test may take before something is weakened.
const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("weaken: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool, String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package.ancestors().nth(2).ok_or("the package has no workspace")?;
    let all_sites = source::sites(root);
    let sites = chosen(options, root, &all_sites)?;
    if options.list {
        report::list(&sites);
        return Ok(true);
    }
    let allowed = Allowed::read(&package.join("weaken.toml"))?;
    let scratch = scratch()?;
    let tests = models::build(root, &scratch)?;
    let traces = match &options.traces {
        Some(file) => models::read_traces(file, &tests)?,
        None => trace(&tests, &scratch)?,
    };
    let executed = executed(&traces);
    if let Some(blind) = executed.keys().find(|place| !all_sites.iter().any(|site| site.place() == **place)) {
        return Err(format!("{blind} is executed, but is no site: the sources are not read well enough"));
    }

    let of_all_files = options.changed.is_none() && options.only.is_none();
    let mut report = Report::default();
    if of_all_files {
        report.flaws(source::flaws(root), &traces);
    }
    if !options.flaws {
        for site in &sites {
            report.site(site, executed.contains_key(&site.place()));
        }
        let mutants = sites.iter().filter(|site| !site.is_stand_in()).filter_map(|site| {
            let orders = executed.get(&site.place())?;
            Some(Mutant::all_of(site, orders))
        });
        let mutants = sampled(mutants.flatten().collect(), options.sample, &allowed);
        let budget = options.sample.map(|_| BUDGET_IN_SAMPLE);
        let trial = Trial { traces: &traces, allowed: &allowed, budget };
        for row in trial.try_all(&mutants, &scratch, options.jobs) {
            report.row(row);
        }
    }
    if of_all_files && options.sample.is_none() && !options.flaws {
        report.stale(&allowed);
    }
    let _ = fs::remove_dir_all(&scratch);
    report.print();
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(report.is_clean())
}

/// The sites that the options ask for.
fn chosen(options: &Options, root: &Path, sites: &[Site]) -> Result<Vec<Site>, String> {
    let changed = options.changed.as_deref().map(|revision| changed(root, revision)).transpose()?;
    let wanted = |site: &&Site| {
        options.only.as_ref().is_none_or(|part| site.file.contains(part.as_str()))
            && changed.as_ref().is_none_or(|files| files.contains(&site.file))
    };
    let chosen: Vec<Site> = sites.iter().filter(wanted).cloned().collect();
    match &options.only {
        Some(part) if chosen.is_empty() => Err(format!("no site lies in a file whose path contains {part:?}")),
        _ => Ok(chosen),
    }
}

/// The files that differ from that revision, committed or not.
fn changed(root: &Path, revision: &str) -> Result<BTreeSet<String>, String> {
    let mut git = Command::new("git");
    git.args(["diff", "--name-only", "--relative", revision, "--", "src"]).current_dir(root);
    let output = git.output().map_err(|error| format!("git can't be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("git knows no revision {revision:?}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn scratch() -> Result<PathBuf, String> {
    let folder = std::env::temp_dir().join(format!("purloin-weaken-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

fn progress(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {bar:40} {pos}/{len} {elapsed} {msg}").expect("a template");
    ProgressBar::new(length as u64).with_style(style).with_prefix(what)
}

/// Runs each test once, nothing weakened, and says what it did. All have to pass.
fn trace(tests: &[Test], scratch: &Path) -> Result<BTreeMap<Test, Trace>, String> {
    let list = scratch.join("sites");
    fs::write(&list, "").map_err(|error| format!("{}: {error}", list.display()))?;
    let bar = progress(tests.len(), "models ");
    let mut took = BTreeMap::new();
    for test in tests {
        bar.set_message(test.name.clone());
        let start = Instant::now();
        match test.run(scratch, &[("PURLOIN_SITES", &list.to_string_lossy())], LIMIT) {
            Ended::Passed => {}
            ended => return Err(format!("{} fails with nothing weakened: {ended:?}", test.name)),
        }
        took.insert(test.clone(), start.elapsed());
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut traces = models::read_traces(&list, tests)?;
    for (test, trace) in &mut traces {
        trace.took = took[test];
    }
    Ok(traces)
}

/// The strongest orderings with which each place was executed: that of success, and that of failure if it has one.
fn executed(traces: &BTreeMap<Test, Trace>) -> BTreeMap<String, Vec<Order>> {
    let mut executed: BTreeMap<String, Vec<Order>> = BTreeMap::new();
    // "failure" comes before "success" in the set: two passes.
    for role in ["success", "failure"] {
        let noted = traces.values().flat_map(|trace| &trace.sites).filter(|(_, noted, _)| noted == role);
        for (place, _, order) in noted {
            let order = Order::named(order).expect("one of the five");
            let orders = executed.entry(place.clone()).or_default();
            let index = usize::from(role == "failure");
            match orders.get_mut(index) {
                Some(known) => *known = (*known).max(order),
                None => orders.push(order),
            }
        }
    }
    executed
}

/// Every so manieth of those that have to be noticed: what may survive takes longest, and shows least.
fn sampled(mut mutants: Vec<Mutant>, sample: Option<usize>, allowed: &Allowed) -> Vec<Mutant> {
    let Some(sample) = sample else { return mutants };
    mutants.retain(|mutant| allowed.survivor(&mutant.site.name, &mutant.to_string()).is_none());
    let sample = sample.min(mutants.len());
    (0..sample).map(|index| mutants[index * mutants.len() / sample].clone()).collect()
}

/// What the weakened orderings are tried with.
struct Trial<'a> {
    traces: &'a BTreeMap<Test, Trace>,
    allowed: &'a Allowed,
    budget: Option<Duration>,
}

impl Trial<'_> {
    /// Tries all of them, some at the same time.
    fn try_all(&self, mutants: &[Mutant], scratch: &Path, jobs: u8) -> Vec<Row> {
        let bar = progress(mutants.len(), "mutants");
        let next = AtomicUsize::new(0);
        let rows = Mutex::new(Vec::new());
        std::thread::scope(|s| {
            for job in 0..jobs {
                let own = scratch.join(job.to_string());
                fs::create_dir_all(&own).expect("a folder below one of our own");
                let (next, rows, bar) = (&next, &rows, &bar);
                s.spawn(move || {
                    while let Some((index, mutant)) = next_of(mutants, next) {
                        bar.set_message(mutant.site.name.clone());
                        let reason = self.allowed.survivor(&mutant.site.name, &mutant.to_string());
                        let row = Row::new(mutant, self.try_one(mutant, reason.is_some(), &own), reason);
                        bar.suspend(|| println!("{row}"));
                        bar.inc(1);
                        rows.lock().expect("no job panics").push((index, row));
                    }
                });
            }
        });
        bar.finish_and_clear();
        let mut rows = rows.into_inner().expect("no job panics");
        rows.sort_by_key(|(index, _)| *index);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// Runs the tests that come by, the quickest first, until one fails as a model does. What may survive is not tried at the
    /// higher bound: that takes an hour or two for each.
    fn try_one(&self, mutant: &Mutant, may_survive: bool, scratch: &Path) -> Outcome {
        let role = if mutant.on_failure { "failure" } else { "success" };
        let key = (mutant.site.place(), role.to_owned(), format!("{:?}", mutant.from));
        let mut coming: Vec<(&Test, &Trace)> =
            self.traces.iter().filter(|(_, trace)| trace.sites.contains(&key)).collect();
        coming.sort_by_key(|(_, trace)| trace.took);
        let weaken = mutant.variable();
        let start = Instant::now();
        let mut otherwise = Vec::new();
        for &higher in if may_survive { &[false][..] } else { &[false, true] } {
            let mut variables = vec![("PURLOIN_WEAKEN", weaken.as_str())];
            if higher {
                variables.push(("PURLOIN_LOOM_PREEMPTIONS", HIGHER_BOUND));
            }
            for (test, trace) in &coming {
                if higher && (!trace.bounded || trace.took > CHEAP) {
                    continue;
                }
                if self.budget.is_some_and(|budget| start.elapsed() + trace.took > budget) {
                    return Outcome::Undecided { seconds: start.elapsed().as_secs_f64() };
                }
                let limit = if higher { LIMIT_AT_HIGHER_BOUND } else { trace.took * 10 + Duration::from_secs(20) };
                match test.run(scratch, &variables, limit) {
                    Ended::Passed => {}
                    Ended::Killed(failure) => {
                        let (test, took) = (test.name.clone(), start.elapsed());
                        return Outcome::Killed { test, failure, at_higher_bound: higher, seconds: took.as_secs_f64() };
                    }
                    Ended::TimedOut => otherwise.push(format!("{}: out of time", test.name)),
                    Ended::Otherwise(how) => otherwise.push(format!("{}: {how}", test.name)),
                }
            }
        }
        Outcome::Survived { tests: coming.len(), otherwise, seconds: start.elapsed().as_secs_f64() }
    }
}

fn next_of<'a>(mutants: &'a [Mutant], next: &AtomicUsize) -> Option<(usize, &'a Mutant)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, mutants.get(index)?))
}
