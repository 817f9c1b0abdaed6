//! The table.

use crate::allowed::Allowed;
use crate::models::{Failure, Test, Trace};
use crate::mutant::Mutant;
use crate::source::Site;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What became of a weakened ordering.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A model failed.
    Killed { test: String, failure: Failure, at_higher_bound: bool, seconds: f64 },
    /// All that came by passed, or failed in a way that shows nothing.
    Survived { tests: usize, otherwise: Vec<String>, seconds: f64 },
    /// Neither within what a sample may take.
    Undecided { seconds: f64 },
}

/// A line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    site: String,
    place: String,
    mutant: String,
    outcome: Outcome,
    /// From the allow-list.
    reason: Option<String>,
}

impl Row {
    /// The line for `mutant`.
    pub fn new(mutant: &Mutant, outcome: Outcome, reason: Option<&str>) -> Self {
        let (site, place, mutant) = (mutant.site.name.clone(), mutant.site.place(), mutant.to_string());
        Row { site, place, mutant, outcome, reason: reason.map(str::to_owned) }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "| {} | {} | ", self.site, self.mutant)?;
        match (&self.outcome, &self.reason) {
            (Outcome::Killed { test, failure, at_higher_bound, seconds }, _) => {
                let bound = if *at_higher_bound { ", at the higher bound" } else { "" };
                let Failure { message, model, execution } = failure;
                let message: String = message.chars().take(80).collect();
                write!(f, "{test}, `{model}`: {message} | {execution}{bound}, {seconds:.1} s |")
            }
            (Outcome::Undecided { seconds }, _) => write!(f, "left to the whole run | {seconds:.1} s |"),
            (Outcome::Survived { tests, otherwise, seconds }, reason) => {
                match reason {
                    Some(reason) => write!(f, "survives: {reason}")?,
                    None => f.write_str("SURVIVES")?,
                }
                if !otherwise.is_empty() {
                    write!(f, " [{}]", otherwise.join("; "))?;
                }
                write!(f, " | {tests} tests, {seconds:.1} s |")
            }
        }
    }
}

/// Everything that came out.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    rows: Vec<Row>,
    /// Which tests play each mistake that can be seeded, and so find it.
    flaws: BTreeMap<String, Vec<String>>,
    /// The orderings of the stand-ins, which are those of crossbeam and parking_lot.
    stand_ins: Vec<String>,
    sites: usize,
    /// Executed by no model.
    unexecuted: Vec<String>,
    errors: Vec<String>,
}

impl Report {
    /// Notes the mistakes that can be seeded, with what the tests were seen to play. They all passed, so what they played they
    /// found.
    pub fn flaws(&mut self, flaws: Vec<String>, traces: &BTreeMap<Test, Trace>) {
        for flaw in flaws {
            let players = traces.iter().filter(|(_, trace)| trace.flaws.contains(&flaw));
            let players: Vec<String> = players.map(|(test, _)| test.name.clone()).collect();
            if players.is_empty() {
                self.errors.push(format!("no model plays the mistake {flaw}"));
            }
            self.flaws.insert(flaw, players);
        }
    }

    /// Notes a site.
    pub fn site(&mut self, site: &Site, executed: bool) {
        if site.is_stand_in() {
            let orders: Vec<String> = site
                .orders
                .iter()
                .map(|order| order.map_or_else(|| "computed".into(), |order| format!("{order:?}")))
                .collect();
            self.stand_ins.push(format!("{} ({})", site.name, orders.join(", ")));
        } else {
            self.sites += 1;
        }
        if !executed {
            self.errors.push(format!("no model executes {} ({})", site.name, site.place()));
            self.unexecuted.push(site.name.clone());
        }
    }

    /// Notes a weakened ordering.
    pub fn row(&mut self, row: Row) {
        match (&row.outcome, &row.reason) {
            (Outcome::Survived { .. }, None) => {
                self.errors.push(format!("no model notices {}, {} ({})", row.site, row.mutant, row.place));
            }
            (Outcome::Killed { test, .. }, Some(_)) => {
                self.errors.push(format!("weaken.toml lets {}, {} survive: {test} notices it", row.site, row.mutant));
            }
            _ => {}
        }
        self.rows.push(row);
    }

    /// Looks for entries of the allow-list that stand for nothing.
    pub fn stale(&mut self, allowed: &Allowed) {
        for entry in &allowed.survivor {
            if !self.rows.iter().any(|row| row.site == entry.site && row.mutant == entry.mutant) {
                self.errors
                    .push(format!("weaken.toml has {}, {}: there is no such ordering", entry.site, entry.mutant));
            }
        }
    }

    /// Whether all is as it should be.
    pub fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Prints what was not printed yet. (Rows are, as they come.)
    pub fn print(&self) {
        println!();
        for (flaw, players) in &self.flaws {
            println!("| mistake {flaw} | seeded | {} |", players.join(", "));
        }
        println!();
        if !self.stand_ins.is_empty() {
            println!(
                "{} operations of the stand-ins have the orderings of crossbeam and parking_lot, which are trusted.",
                self.stand_ins.len()
            );
        }
        let killed = self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Killed { .. })).count();
        let survive = self.rows.iter().filter(|row| matches!(row.outcome, Outcome::Survived { .. })).count();
        println!(
            "{} sites, {} not executed; {} weakened orderings, {killed} killed, {} survive; {} mistakes, {} not played",
            self.sites,
            self.unexecuted.len(),
            self.rows.len(),
            survive,
            self.flaws.len(),
            self.flaws.values().filter(|players| players.is_empty()).count(),
        );
        for error in &self.errors {
            println!("ERROR: {error}");
        }
    }
}

/// Prints the sites.
pub fn list(sites: &[Site]) {
    for site in sites {
        let orders: Vec<String> = site
            .orders
            .iter()
            .map(|order| order.map_or_else(|| "computed".into(), |order| format!("{order:?}")))
            .collect();
        let stand_in = if site.is_stand_in() { " [stand-in]" } else { "" };
        println!("{} ({}) {}{stand_in}", site.name, orders.join(", "), site.place());
    }
}
