//! Where all random numbers come from.

use std::thread;
use std::time::Duration;

/// A seed from which any number of others follow (Steele, Lea, Flood 2014: SplitMix).
#[derive(Clone, Copy)]
pub struct Seed(pub u64);

impl Seed {
    /// The seed of a part: the same number in whichever order the parts are done.
    pub fn part(self, index: u64) -> Seed {
        let mut z = self.0.wrapping_add((index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Seed(z ^ (z >> 31))
    }

    /// A number below `limit`.
    pub fn below(self, limit: u64) -> u64 {
        self.part(1 << 40).0 % limit
    }

    /// True once in so many times.
    pub fn once_in(self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time up to so many microseconds.
    pub fn moment(self, most: u64) -> Duration {
        Duration::from_micros(self.below(most + 1))
    }

    /// Takes some time, or none, in one of the ways in which user code does.
    pub fn dawdle(self) {
        let n = self.part(1 << 32).0;
        let moment = |most| Duration::from_micros(n / 64 % most);
        match n % 64 {
            0..32 => {}
            32..52 => (0..n / 64 % 2_000).for_each(|_| std::hint::spin_loop()),
            52..60 => (0..n / 64 % 4).for_each(|_| thread::yield_now()),
            60..62 => thread::sleep(moment(60)),
            62 => purloin::blocking(|| thread::sleep(moment(200))),
            _ => thread::sleep(moment(400)),
        }
    }
}
