//! `hangs`: runs small programs on purloin and on rayon, each in a process of its own, and prints which of them end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use purloin_benches::busy::calibrate;
use purloin_benches::hangs::side::{Purloin, Rayon, Side};
use purloin_benches::hangs::{Known, Outcome, Program, child, programs};
use serde::Serialize;

/// What hangs: small programs on purloin and on rayon, each in a process of its own with a limit of time, as a table in
/// Markdown.
///
/// The exit code is 1 if one of them does not work on purloin.
#[derive(Parser)]
struct Arguments {
    /// Only the programs whose name contains NAME; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// On purloin only: to check that all of them work there
    #[arg(long)]
    quick: bool,
    /// Show the names of the programs, and run nothing
    #[arg(long)]
    list: bool,
    /// Seconds after which a program counts as hung on rayon; those that end take some milliseconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// Write everything to FILE too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Be a child: run this program, on one side
    #[arg(long, hide = true, requires = "side", requires = "cores")]
    play: Option<String>,
    #[arg(long, hide = true)]
    side: Option<String>,
    #[arg(long, hide = true)]
    cores: Option<usize>,
}

/// Seconds after which a program counts as hung on purloin, where it should not: enough for a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Serialize)]
struct Row {
    name: &'static str,
    what: &'static str,
    reports: &'static str,
    why: &'static str,
    /// By the number of cores.
    purloin: BTreeMap<usize, Outcome>,
    /// By the number of threads.
    rayon: BTreeMap<usize, Outcome>,
}

impl Row {
    fn of(program: &Program, limit: Option<Duration>) -> io::Result<Row> {
        let mut row = Row {
            name: program.name,
            what: program.what,
            reports: program.reports,
            why: program.why,
            purloin: BTreeMap::new(),
            rayon: BTreeMap::new(),
        };
        for &cores in program.cores {
            row.purloin.insert(cores, child::run(program, Purloin::NAME, cores, PATIENCE)?);
        }
        if let Some(limit) = limit {
            row.rayon.insert(program.threads, child::run(program, Rayon::NAME, program.threads, limit)?);
        }
        Ok(row)
    }

    fn works_on_purloin(&self) -> bool {
        self.purloin.values().all(|outcome| outcome.kind() == Known::Works)
    }

    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let reports = if self.reports.is_empty() { String::new() } else { format!(" ({})", self.reports) };
        let (purloin, rayon) = (cell(&self.purloin), cell(&self.rayon));
        writeln!(out, "| {}{reports} | {purloin} | {rayon} | {} |", self.what, self.why)?;
        out.flush()
    }
}

/// The outcomes on one side. If it works everywhere, the figure is that of the second number of cores, if there are several.
fn cell(outcomes: &BTreeMap<usize, Outcome>) -> String {
    let all: Vec<_> = outcomes.iter().collect();
    match all.get(1).or(all.first()) {
        None => "-".to_owned(),
        Some((_, shown)) if all.len() == 1 || all.iter().all(|(_, outcome)| outcome.kind() == Known::Works) => {
            shown.to_string()
        }
        Some(_) => all.iter().map(|(cores, outcome)| format!("{cores}: {outcome}")).collect::<Vec<_>>().join(", "),
    }
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    if let (Some(name), Some(side), Some(cores)) = (&arguments.play, &arguments.side, arguments.cores) {
        let program = programs::ALL.iter().find(|program| program.name == name);
        calibrate();
        child::play(program.ok_or_else(|| io::Error::other("no program has this name"))?, side, cores);
        return Ok(ExitCode::SUCCESS);
    }

    let wanted =
        |program: &&Program| arguments.only.is_empty() || arguments.only.iter().any(|name| program.name.contains(name));
    let chosen: Vec<&Program> = programs::ALL.iter().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no program has such a name; --list shows them"));
    }
    let mut out = io::stdout().lock();
    if arguments.list {
        chosen.iter().try_for_each(|program| writeln!(out, "{:<26}{}", program.name, program.what))?;
        return Ok(ExitCode::SUCCESS);
    }

    let limit = (!arguments.quick).then(|| Duration::from_secs(arguments.limit));
    writeln!(out, "| program | purloin | rayon | why, on rayon |\n|---|---|---|---|")?;
    let mut rows = Vec::new();
    for program in chosen {
        let row = Row::of(program, limit)?;
        row.print(&mut out)?;
        for outcome in row.rayon.values().filter(|outcome| outcome.kind() != program.rayon) {
            // The reason given holds no more, or the machine was too busy for the limit.
            eprintln!("{}: {:?} was to be expected on rayon, and it {outcome}", row.name, program.rayon);
        }
        rows.push(row);
    }
    if let Some(path) = &arguments.json {
        serde_json::to_writer_pretty(File::create(path)?, &rows)?;
    }
    let failed: Vec<&str> = rows.iter().filter(|row| !row.works_on_purloin()).map(|row| row.name).collect();
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("on purloin these did not work: {}", failed.join(", "));
    Ok(ExitCode::FAILURE)
}
