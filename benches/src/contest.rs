//! How samples are taken: in each round every entrant gives one sample, so that whatever drifts hits all alike, and
//! ratios are taken within a round before their median is.

use std::time::Duration;

use crate::contenders::{ForEach, Runtime, Workload, for_each, time};

/// How thorough to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Rounds that count, for lines whose rounds are short.
    pub rounds: usize,
    /// Tiny sizes: a smoke run, whose figures mean nothing.
    pub quick: bool,
}

impl Options {
    /// The size for this run.
    pub fn size<T>(self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Fewer rounds, for a line whose rounds are long.
    pub fn at_most(self, rounds: usize) -> Options {
        Options { rounds: self.rounds.min(rounds), ..self }
    }
}

/// One timed run of a workload on one contender.
pub type Run<'r> = &'r mut dyn FnMut() -> Duration;

/// One sample is one run, in milliseconds.
pub fn milliseconds(run: Run) -> f64 {
    run().as_secs_f64() * 1e3
}

struct Entrant<'a> {
    label: String,
    sample: Box<dyn FnMut() -> f64 + 'a>,
}

/// The entrants of one line.
pub struct Contest<'a> {
    options: Options,
    entrants: Vec<Entrant<'a>>,
}

impl<'a> Contest<'a> {
    /// Nobody yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Contest { options, entrants: Vec::new() }
    }

    /// One more, which gives its samples by `sample`.
    pub fn enter(&mut self, label: impl Into<String>, sample: impl FnMut() -> f64 + 'a) {
        self.entrants.push(Entrant { label: label.into(), sample: Box::new(sample) });
    }

    /// `work` on one runtime that is kept from sample to sample.
    pub fn enter_runtime<R, W, S>(&mut self, label: impl Into<String>, runtime: R, work: &'a W, sampler: S)
    where
        R: Runtime + 'a,
        W: Workload,
        S: Fn(Run) -> f64 + 'a,
    {
        self.enter(label, move || sampler(&mut || time(&runtime, work)));
    }

    /// `work` on every fork-join runtime, each of `threads` threads and kept from sample to sample.
    pub fn enter_all<W, S>(&mut self, threads: usize, work: &'a W, sampler: S)
    where
        W: Workload,
        S: Fn(Run) -> f64 + Copy + 'a,
    {
        for_each(&mut Entry { contest: self, threads, work, sampler, alone: false });
    }

    /// The same, but each runtime is started for the sample and ended after it, so that no other is there to be
    /// charged for.
    pub fn enter_all_alone<W, S>(&mut self, threads: usize, work: &'a W, sampler: S)
    where
        W: Workload,
        S: Fn(Run) -> f64 + Copy + 'a,
    {
        for_each(&mut Entry { contest: self, threads, work, sampler, alone: true });
    }

    /// Holds one round that does not count, then those that do; each begins with another entrant.
    #[must_use]
    pub fn hold(self) -> Outcome {
        self.rounds(1)
    }

    /// Holds the rounds that count and none before, where a sample is long and settles by itself.
    #[must_use]
    pub fn hold_cold(self) -> Outcome {
        self.rounds(0)
    }

    fn rounds(mut self, warm_ups: usize) -> Outcome {
        let entrants = self.entrants.len();
        let mut samples = vec![Vec::new(); entrants];
        for round in 0..warm_ups + self.options.rounds {
            for turn in 0..entrants {
                let index = (round + turn) % entrants;
                let sample = (self.entrants[index].sample)();
                if round >= warm_ups {
                    samples[index].push(sample);
                }
            }
        }
        Outcome { rows: self.entrants.into_iter().map(|entrant| entrant.label).zip(samples).collect() }
    }
}

/// The visitor that enters one runtime after the other.
struct Entry<'c, 'a, W, S> {
    contest: &'c mut Contest<'a>,
    threads: usize,
    work: &'a W,
    sampler: S,
    alone: bool,
}

impl<'a, W: Workload, S: Fn(Run) -> f64 + Copy + 'a> ForEach for Entry<'_, 'a, W, S> {
    fn runtime<R: Runtime + 'static>(&mut self) {
        let (threads, work, sampler) = (self.threads, self.work, self.sampler);
        if self.alone {
            self.contest.enter(R::NAME, move || {
                let runtime = R::start(threads);
                sampler(&mut || time(&runtime, work))
            });
        } else {
            self.contest.enter_runtime(R::NAME, R::start(threads), work, sampler);
        }
    }
}

/// The samples of a line, by entrant; those of one index come from one round.
#[derive(Debug)]
pub struct Outcome {
    rows: Vec<(String, Vec<f64>)>,
}

impl Outcome {
    /// Label and samples of each entrant, in order of entry.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &[f64])> {
        self.rows.iter().map(|(label, samples)| (label.as_str(), samples.as_slice()))
    }

    /// The median of one entrant's samples.
    #[must_use]
    pub fn median(&self, label: &str) -> f64 {
        median(self.samples(label).to_vec())
    }

    /// How `one` compares to `other`: the median of the ratios within the rounds.
    #[must_use]
    pub fn ratio(&self, one: &str, other: &str) -> f64 {
        self.compare([one, other], |[one, other]| one / other)
    }

    /// The median over the rounds of a figure made of several entrants' samples of one round.
    pub fn compare<const N: usize>(&self, labels: [&str; N], figure: impl Fn([f64; N]) -> f64) -> f64 {
        let columns = labels.map(|label| self.samples(label));
        let rounds = columns.iter().map(|column| column.len()).min().unwrap_or(0);
        median((0..rounds).map(|round| figure(columns.map(|column| column[round]))).collect())
    }

    /// The ratio of purloin to the rival that it does worst against.
    #[must_use]
    pub fn ratio_to_best_rival(&self) -> f64 {
        self.rows()
            .filter(|(label, _)| !["serial", "purloin"].contains(label))
            .map(|(label, _)| self.ratio("purloin", label))
            .fold(f64::NAN, f64::max)
    }

    fn samples(&self, label: &str) -> &[f64] {
        let found = self.rows().find(|&(name, _)| name == label);
        found.unwrap_or_else(|| panic!("no entrant {label}")).1
    }
}

/// The middle of `values`, or the mean of the two in the middle.
#[must_use]
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}
