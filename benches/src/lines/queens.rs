//! The n queens: an irregular search with a fork between every two places for a queen.

use super::{Bar, Line};
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "queens",
    work: "all solutions for 13 queens, a fork between every two places, 2 threads",
    bars: &[Bar::at_most(1.03, "purloin's time over the best rival's")],
    run,
}];

/// What the queens so far attack in the next row: a bit for each column.
#[derive(Clone, Copy)]
struct Attacked {
    columns: u32,
    rising: u32,
    falling: u32,
}

impl Attacked {
    fn with(self, queen: u32) -> Self {
        Attacked {
            columns: self.columns | queen,
            rising: (self.rising | queen) << 1,
            falling: (self.falling | queen) >> 1,
        }
    }
}

fn row<R: Runtime>(context: &mut R::Context<'_>, board: u32, attacked: Attacked) -> u64 {
    if attacked.columns == board {
        return 1;
    }
    places::<R>(context, board, attacked, board & !(attacked.columns | attacked.rising | attacked.falling))
}

/// Solutions with the row's queen on one of `free`: the lowest now, the others offered.
fn places<R: Runtime>(context: &mut R::Context<'_>, board: u32, attacked: Attacked, free: u32) -> u64 {
    if free == 0 {
        return 0;
    }
    let (queen, others) = (free & free.wrapping_neg(), free & (free - 1));
    if others == 0 {
        return row::<R>(context, board, attacked.with(queen));
    }
    let (a, b) = R::fork(
        context,
        |context| row::<R>(context, board, attacked.with(queen)),
        |context| places::<R>(context, board, attacked, others),
    );
    a + b
}

struct Queens {
    size: u32,
    solutions: u64,
}

impl Workload for Queens {
    type State = u64;

    fn state(&self) -> u64 {
        0
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, result: &mut u64) {
        *result = row::<R>(context, (1 << self.size) - 1, Attacked { columns: 0, rising: 0, falling: 0 });
    }

    fn check(&self, &result: &u64) {
        assert_eq!(result, self.solutions);
    }
}

fn run(options: Options) -> Figures {
    let (size, solutions) = options.size((13, 73_712), (8, 92));
    let work = Queens { size, solutions };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio_to_best_rival()];
    Figures { unit: "ms", outcome, values }
}
