//! Work of a given length: integer mixing, calibrated when first asked for.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

/// The finaliser of splitmix64: the unit of busy work, the hash behind the unbalanced tree, and the seeded generator.
#[must_use]
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Numbers from a seed, the same on every run.
pub struct Seeded(u64);

impl Seeded {
    /// The sequence that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Seeded(mix(seed))
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = mix(self.0);
        self.0
    }

    /// The next number in `low..high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.draw() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Each round needs the one before it, so neither vectors nor wide issue shorten it.
#[inline(never)]
fn churn(rounds: u64) -> u64 {
    (0..rounds).fold(rounds, |x, _| mix(x))
}

/// The best of many short trials: a trial that was interrupted would make every piece of work too short.
static ROUNDS_A_MICROSECOND: LazyLock<f64> = LazyLock::new(|| {
    const ROUNDS: u64 = 50_000;
    (0..100)
        .map(|_| {
            let start = Instant::now();
            black_box(churn(black_box(ROUNDS)));
            ROUNDS as f64 / (start.elapsed().as_secs_f64() * 1e6)
        })
        .fold(0.0, f64::max)
});

/// Measures the machine now, so that no timed region does it.
pub fn calibrate() {
    LazyLock::force(&ROUNDS_A_MICROSECOND);
}

/// Keeps the processor busy for about `micros` microseconds of its own time.
#[inline]
pub fn busy(micros: f64) {
    let rounds = (micros * *ROUNDS_A_MICROSECOND).round() as u64;
    black_box(churn(black_box(rounds)));
}
