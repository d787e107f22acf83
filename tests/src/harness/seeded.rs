//! Randomness that can be had again.

/// The seed of this run: `GATEWAY_TEST_SEED`, or always the same one.
pub fn seed() -> u64 {
    match std::env::var("GATEWAY_TEST_SEED") {
        Ok(text) => match text.parse() {
            Ok(seed) => seed,
            Err(_) => panic!("GATEWAY_TEST_SEED: expected a number, not {text:?}"),
        },
        Err(std::env::VarError::NotPresent) => SEED,
        Err(error) => panic!("GATEWAY_TEST_SEED: {error}"),
    }
}

/// A stream of numbers (SplitMix64): good enough to test with, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The stream of one case of a run: streams have nothing in common.
    pub fn new(seed: u64, case: u64) -> Self {
        let mut random = Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        random.number();
        random
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.number() % bound as u64) as usize
    }

    /// A number below 2 to the power of `bits`, which is 1 to 64; small ones are as likely as large
    /// ones.
    pub fn magnitude(&mut self, bits: u64) -> u64 {
        let base = 1 << (self.number() % bits);
        base - 1 + self.number() % base
    }

    /// True once in `bound`.
    pub fn once_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    /// One of them.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

const SEED: u64 = 20_261_122;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_reproduces_its_streams_and_no_others() {
        let take = |seed, case| {
            let mut random = Random::new(seed, case);
            [(); 4].map(|()| random.number())
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
