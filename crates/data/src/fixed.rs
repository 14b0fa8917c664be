//! Property tests that draw the same cases every time.

use proptest::test_runner::{Config, RngSeed};

/// So many cases from `PROPTEST_RNG_SEED`, or where it is not set from one fixed seed; a failure is told, not stored.
pub(crate) fn fixed_seed(cases: u32) -> Config {
    let mut config = Config {
        failure_persistence: None,
        ..Config::with_cases(cases)
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_261_129);
    }
    config
}
