//! `rivals`: runs the lines and shows the table.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::Parser;
use purloin_benches::busy::calibrate;
use purloin_benches::contest::Options;
use purloin_benches::lines::{self, Line};
use purloin_benches::report::Report;
use serde::Serialize;

/// purloin beside its rivals: the same work on all, in alternating rounds of one process.
///
/// Each line says what it must reach and whether it did; that is for information, and the exit code does not depend
/// on it.
#[derive(Parser)]
struct Arguments {
    /// Only the lines whose name contains NAME; may be given more than once
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Rounds that count, after one that does not; lines with long rounds take fewer [default: 11, with --quick 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Tiny sizes, to see that everything runs; the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Show the names of the lines, their work and their bars, and run nothing
    #[arg(long)]
    list: bool,
    /// Write everything, all samples too, to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Everything {
    processors: usize,
    quick: bool,
    rounds: usize,
    lines: Vec<Report>,
}

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let wanted = |line: &&Line| arguments.only.is_empty() || arguments.only.iter().any(|name| line.name.contains(name));
    let chosen: Vec<&Line> = lines::all().filter(wanted).collect();
    if chosen.is_empty() {
        return Err(io::Error::other("no line has such a name; --list shows them"));
    }
    let mut out = io::stdout().lock();
    if arguments.list {
        return chosen.iter().try_for_each(|line| write!(out, "{line}"));
    }

    let quick = arguments.quick;
    let rounds = arguments.rounds.map_or(if quick { 2 } else { 11 }, usize::from);
    let processors = available_parallelism()?.get();
    writeln!(out, "{processors} processors, up to {rounds} rounds{}", if quick { ", tiny sizes" } else { "" })?;
    calibrate();
    let mut reports = Vec::new();
    for line in chosen {
        let report = Report::of(line, Options { rounds, quick });
        report.print(&mut out)?;
        reports.push(report);
    }
    if let Some(path) = &arguments.json {
        let everything = Everything { processors, quick, rounds, lines: reports };
        serde_json::to_writer_pretty(File::create(path)?, &everything)?;
    }
    Ok(())
}
