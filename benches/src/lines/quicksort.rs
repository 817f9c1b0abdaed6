//! Quicksort with forks above a cut-off: coarse, memory-bound work, as most users have it.

use super::{Bar, Line};
use crate::busy::Seeded;
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "quicksort",
    work: "quicksort of 8 M numbers of 32 bits, serial below 2048, 2 threads",
    bars: &[Bar::at_most(1.03, "purloin's time over the best rival's")],
    run,
}];

const CUT_OFF: usize = 2048;

fn quicksort<R: Runtime>(context: &mut R::Context<'_>, numbers: &mut [u32]) {
    if numbers.len() <= CUT_OFF {
        numbers.sort_unstable();
        return;
    }
    let middle = partition(numbers);
    let (low, high) = numbers.split_at_mut(middle);
    R::fork(context, |context| quicksort::<R>(context, low), |context| quicksort::<R>(context, high));
}

/// Hoare's: no number before the returned place is greater than one after it, and neither side is empty.
fn partition(numbers: &mut [u32]) -> usize {
    let last = numbers.len() - 1;
    let mut three = [numbers[0], numbers[last / 2], numbers[last]];
    three.sort_unstable();
    let pivot = three[1];
    let (mut low, mut high) = (0, last);
    loop {
        while numbers[low] < pivot {
            low += 1;
        }
        while numbers[high] > pivot {
            high -= 1;
        }
        if low >= high {
            return low.max(1);
        }
        numbers.swap(low, high);
        low += 1;
        high -= 1;
    }
}

struct Quicksort {
    unsorted: Vec<u32>,
}

impl Workload for Quicksort {
    type State = Vec<u32>;

    fn state(&self) -> Vec<u32> {
        self.unsorted.clone()
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, numbers: &mut Vec<u32>) {
        quicksort::<R>(context, numbers);
    }

    fn check(&self, numbers: &Vec<u32>) {
        assert!(numbers.is_sorted());
    }
}

fn run(options: Options) -> Figures {
    let mut numbers = Seeded::new(8);
    let unsorted = (0..options.size(8_000_000, 20_000)).map(|_| numbers.draw() as u32).collect();
    let work = Quicksort { unsorted };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio_to_best_rival()];
    Figures { unit: "ms", outcome, values }
}
