//! Late hunger: the other core runs dry only after this one has forked its last coarse job and gone into a long leaf,
//! where it can answer no request. What it did not share ahead of need stays out of reach until the leaf ends.

use super::{Bar, Line};
use crate::busy::{Seeded, busy};
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "hunger",
    work: "20 shapes of join(a few coarse forks and a long leaf, a shorter job), 2 threads",
    bars: &[
        Bar::at_most(1.1, "purloin's time over the ideal"),
        Bar::beside("rayon's time over the ideal"),
        Bar::beside("chili's time over the ideal"),
    ],
    run,
}];

const SHAPES: usize = 20;
const JOBS: usize = 5;

/// All times in microseconds.
#[derive(Clone, Copy, Debug)]
struct Shape {
    /// What the other core begins with.
    short: f64,
    /// What this core forks, one inside the other, before it goes into its leaf.
    jobs: [f64; JOBS],
    count: usize,
    leaf: f64,
}

impl Shape {
    fn random(numbers: &mut Seeded) -> Self {
        let short = numbers.between(500.0, 2000.0);
        let count = 2 + numbers.draw() as usize % (JOBS - 1);
        let jobs = std::array::from_fn(|_| numbers.between(500.0, 3000.0));
        Shape { short, jobs, count, leaf: numbers.between(short + 500.0, 8000.0) }
    }

    fn jobs(&self) -> &[f64] {
        &self.jobs[..self.count]
    }

    fn total(&self) -> f64 {
        self.short + self.leaf + self.jobs().iter().sum::<f64>()
    }

    /// No schedule on two cores ends sooner.
    fn ideal(&self) -> f64 {
        self.jobs().iter().copied().fold(self.leaf, f64::max).max(self.total() / 2.0)
    }

    /// When a work-stealing runtime ends that hides nothing and knows no durations: the owner takes its newest job, the
    /// thief the oldest.
    fn greedy(&self) -> f64 {
        let (mut owner, mut thief) = (self.leaf, self.short);
        let mut left = self.jobs();
        loop {
            left = match left {
                [] => return f64::max(owner, thief),
                [oldest, rest @ ..] if thief <= owner => {
                    thief += oldest;
                    rest
                }
                [rest @ .., newest] => {
                    owner += newest;
                    rest
                }
            };
        }
    }

    /// Whether the ideal is within reach without knowing the durations, so that what a runtime loses is its own doing.
    fn is_fair(&self) -> bool {
        self.greedy() <= 1.02 * self.ideal()
    }

    fn scaled(self, by: f64) -> Self {
        Shape { short: self.short * by, jobs: self.jobs.map(|job| job * by), leaf: self.leaf * by, ..self }
    }
}

fn long<R: Runtime>(context: &mut R::Context<'_>, jobs: &[f64], leaf: f64) {
    match jobs {
        [] => busy(leaf),
        [job, rest @ ..] => {
            R::fork(context, |context| long::<R>(context, rest, leaf), |_| busy(*job));
        }
    }
}

struct Hunger(Vec<Shape>);

impl Workload for Hunger {
    type State = ();

    fn state(&self) {}

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, (): &mut ()) {
        for shape in &self.0 {
            R::fork(context, |context| long::<R>(context, shape.jobs(), shape.leaf), |_| busy(shape.short));
        }
    }

    fn check(&self, (): &()) {}
}

fn run(options: Options) -> Figures {
    let mut numbers = Seeded::new(2024);
    let fair = std::iter::repeat_with(|| Shape::random(&mut numbers)).filter(Shape::is_fair);
    let work = Hunger(fair.take(SHAPES).map(|shape| shape.scaled(options.size(1.0, 0.02))).collect());
    let [ideal, total] = [Shape::ideal, Shape::total].map(|of| work.0.iter().map(of).sum::<f64>());
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    // Against the serial run of the same round, so that a slow moment of the machine is not charged to anybody.
    let over_ideal = |label| outcome.ratio(label, "serial") * total / ideal;
    let values = ["purloin", "rayon", "chili"].map(over_ideal).into();
    Figures { unit: "ms", outcome, values }
}
