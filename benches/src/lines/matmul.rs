//! Matrix multiplication by quadrants: few forks, each heavy.

use super::{Bar, Line};
use crate::busy::Seeded;
use crate::contenders::{Runtime, Workload};
use crate::contest::{Contest, Options, milliseconds};
use crate::report::Figures;

pub const LINES: &[Line] = &[Line {
    name: "matmul",
    work: "product of two matrices of 1024 x 1024, by quadrants down to 32 x 32, 2 threads",
    bars: &[Bar::at_most(1.03, "purloin's time over the best rival's")],
    run,
}];

/// Side of the blocks that are multiplied in one loop nest.
const BLOCK: usize = 32;

/// Matrices lie as four quadrants one after the other, each laid out likewise, down to blocks row by row: so a
/// quadrant is a slice, and threads can be given theirs by `split_at_mut`.
fn place(side: usize, row: usize, column: usize) -> usize {
    if side == BLOCK {
        return row * BLOCK + column;
    }
    let half = side / 2;
    let quadrant = row / half * 2 + column / half;
    quadrant * half * half + place(half, row % half, column % half)
}

fn quadrants(matrix: &[f32]) -> [&[f32]; 4] {
    let quarter = matrix.len() / 4;
    std::array::from_fn(|i| &matrix[i * quarter..][..quarter])
}

/// Adds the product of `a` and `b` to `c`.
fn multiply<R: Runtime>(context: &mut R::Context<'_>, c: &mut [f32], a: &[f32], b: &[f32]) {
    if c.len() == BLOCK * BLOCK {
        return multiply_block(c, a, b);
    }
    let ([a11, a12, a21, a22], [b11, b12, b21, b22]) = (quadrants(a), quadrants(b));
    let (top, bottom) = c.split_at_mut(c.len() / 2);
    let (c11, c12) = top.split_at_mut(top.len() / 2);
    let (c21, c22) = bottom.split_at_mut(bottom.len() / 2);
    R::fork(
        context,
        |context| {
            R::fork(
                context,
                |context| two::<R>(context, c11, [a11, b11, a12, b21]),
                |context| two::<R>(context, c12, [a11, b12, a12, b22]),
            )
        },
        |context| {
            R::fork(
                context,
                |context| two::<R>(context, c21, [a21, b11, a22, b21]),
                |context| two::<R>(context, c22, [a21, b12, a22, b22]),
            )
        },
    );
}

/// The two products of one quadrant, one after the other: they add to the same numbers.
fn two<R: Runtime>(context: &mut R::Context<'_>, c: &mut [f32], [a, b, d, e]: [&[f32]; 4]) {
    multiply::<R>(context, c, a, b);
    multiply::<R>(context, c, d, e);
}

fn multiply_block(c: &mut [f32], a: &[f32], b: &[f32]) {
    for (c, a) in c.chunks_exact_mut(BLOCK).zip(a.chunks_exact(BLOCK)) {
        for (b, &a) in b.chunks_exact(BLOCK).zip(a) {
            for (c, &b) in c.iter_mut().zip(b) {
                *c += a * b;
            }
        }
    }
}

struct Product {
    side: usize,
    a: Vec<f32>,
    b: Vec<f32>,
}

impl Workload for Product {
    type State = Vec<f32>;

    fn state(&self) -> Vec<f32> {
        vec![0.0; self.a.len()]
    }

    fn run<R: Runtime>(&self, context: &mut R::Context<'_>, c: &mut Vec<f32>) {
        multiply::<R>(context, c, &self.a, &self.b);
    }

    /// A few of the numbers; they are small integers, so the sums are exact in any order.
    fn check(&self, c: &Vec<f32>) {
        let at = |matrix: &[f32], row, column| matrix[place(self.side, row, column)];
        for (row, column) in [(0, 0), (1, self.side - 1), (self.side / 2, self.side / 3)] {
            let expected: f32 = (0..self.side).map(|k| at(&self.a, row, k) * at(&self.b, k, column)).sum();
            assert_eq!(at(c, row, column), expected);
        }
    }
}

fn run(options: Options) -> Figures {
    let side = options.size(1024, 64);
    let mut numbers = Seeded::new(32);
    let mut matrix = || (0..side * side).map(|_| (numbers.draw() % 8) as f32).collect();
    let work = Product { side, a: matrix(), b: matrix() };
    let mut contest = Contest::new(options);
    contest.enter_all(2, &work, milliseconds);
    let outcome = contest.hold();
    let values = vec![outcome.ratio_to_best_rival()];
    Figures { unit: "ms", outcome, values }
}
