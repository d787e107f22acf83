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
    /// The stream of one case of a run.
    pub fn new(seed: u64, case: u64) -> Self {
        // Mixed, so that neighbouring cases have nothing in common.
        let mut random = Self(seed ^ case.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
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
