//! Numbers that a seed reproduces.

use std::time::{SystemTime, UNIX_EPOCH};

/// splitmix64: small, and good enough to choose by.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The stream of that number, of a seed: streams have nothing in common.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xd6e8_feb8_6659_fd93));
        random.next();
        random
    }

    /// Any number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below that, which must not be 0.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number below 2 to that power; small ones are as likely as large ones.
    pub(crate) fn magnitude(&mut self, bits: u64) -> u64 {
        let power = self.below(bits);
        let base = 1 << power;
        base - 1 + self.below(base)
    }
}

/// A seed that differs from run to run.
pub(crate) fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("it is after 1970").as_nanos() as u64 >> 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_streams_and_no_others() {
        let take = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [(); 4].map(|()| random.next())
        };
        assert_eq!(take(1, 1), take(1, 1));
        assert_ne!(take(1, 1), take(1, 2));
        assert_ne!(take(1, 1), take(2, 1));
    }

    #[test]
    fn magnitudes_are_small_and_large() {
        let mut random = Random::new(1, 1);
        let drawn: Vec<_> = (0..1000).map(|_| random.magnitude(20)).collect();
        assert!(drawn.iter().all(|&number| number < 1 << 20));
        assert!(drawn.iter().filter(|&&number| number < 1 << 5).count() > 100);
        assert!(drawn.iter().filter(|&&number| number > 1 << 15).count() > 100);
    }
}
