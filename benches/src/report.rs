//! What a line found, as a table for people and as JSON for programs.

use std::io::{self, Write};
use std::time::Instant;

use serde::Serialize;

use crate::contest::{Options, Outcome, median};
use crate::lines::{Bar, Limit, Line};
use crate::usage::{machine_cpu, process_cpu};

/// What a line's code hands back: the samples, and one value for each of the line's bars.
#[derive(Debug)]
pub struct Figures {
    /// The unit of the samples.
    pub unit: &'static str,
    /// The samples.
    pub outcome: Outcome,
    /// The values that are held against the bars, in their order.
    pub values: Vec<f64>,
}

/// A line's figures, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Report {
    name: &'static str,
    work: &'static str,
    unit: &'static str,
    rows: Vec<Row>,
    bars: Vec<Verdict>,
    /// Cores that other processes kept busy meanwhile, on average.
    disturbance: f64,
}

#[derive(Debug, Serialize)]
struct Row {
    contender: String,
    median: f64,
    best: f64,
    /// Missing where there is nothing to divide by.
    of_serial: Option<f64>,
    purloin_of_it: Option<f64>,
    samples: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Verdict {
    what: &'static str,
    value: f64,
    bar: Limit,
    /// Missing for a figure that is shown for comparison only.
    met: Option<bool>,
}

impl Report {
    /// Runs `line`, and puts its figures beside its bars.
    ///
    /// # Panics
    ///
    /// If the line's code did not give one value for each bar.
    #[must_use]
    pub fn of(line: &Line, options: Options) -> Self {
        let (start, others) = (Instant::now(), others_cpu());
        let Figures { unit, outcome, values } = (line.run)(options);
        let disturbance = (others_cpu() - others).max(0.0) / start.elapsed().as_secs_f64();
        assert_eq!(values.len(), line.bars.len(), "{}: a value for each bar", line.name);
        let rows = outcome
            .rows()
            .map(|(label, samples)| Row {
                contender: label.to_owned(),
                median: median(samples.to_vec()),
                best: samples.iter().copied().fold(f64::INFINITY, f64::min),
                of_serial: known(outcome.ratio(label, "serial")),
                purloin_of_it: known(outcome.ratio("purloin", label)),
                samples: samples.to_vec(),
            })
            .collect();
        let bars = line.bars.iter().zip(values).map(|(bar, value)| Verdict::new(bar, value)).collect();
        Report { name: line.name, work: line.work, unit, rows, bars, disturbance }
    }

    /// Writes the table.
    ///
    /// # Errors
    ///
    /// If `out` cannot be written.
    pub fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "\n{}: {}", self.name, self.work)?;
        writeln!(out, "  {:<14}{:>12}{:>12}{:>12}{:>12}", self.unit, "median", "best", "of serial", "purloin/it")?;
        for row in &self.rows {
            let ratio = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.3}"));
            let (serial, purloin) = (ratio(row.of_serial), ratio(row.purloin_of_it));
            writeln!(
                out,
                "  {:<14}{:>12}{:>12}{serial:>12}{purloin:>12}",
                row.contender,
                short(row.median),
                short(row.best)
            )?;
        }
        for bar in &self.bars {
            let verdict = bar.met.map_or("", |met| if met { "met" } else { "missed" });
            writeln!(out, "  {:<38}{:>12}  {:<16}{verdict}", bar.what, short(bar.value), bar.bar)?;
        }
        if self.disturbance > DISTURBED {
            writeln!(out, "  disturbed: other processes kept {:.2} cores busy", self.disturbance)?;
        }
        out.flush()
    }
}

impl Verdict {
    fn new(bar: &Bar, value: f64) -> Self {
        let met = match bar.limit {
            Limit::AtMost(limit) => Some(value <= limit),
            Limit::AtLeast(limit) => Some(value >= limit),
            Limit::None => None,
        };
        Verdict { what: bar.what, value, bar: bar.limit, met }
    }
}

/// Cores that others may keep busy before the table says so: the clocks behind it are coarse.
const DISTURBED: f64 = 0.1;

/// Seconds of CPU time that other processes have used.
fn others_cpu() -> f64 {
    machine_cpu().as_secs_f64() - process_cpu().as_secs_f64()
}

fn known(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Four digits that count.
fn short(value: f64) -> String {
    let digits = if value == 0.0 || !value.is_finite() { 0.0 } else { value.abs().log10().floor() };
    format!("{value:.*}", (3.0 - digits).clamp(0.0, 6.0) as usize)
}
