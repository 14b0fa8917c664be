//! Any bytes as a photograph and a map of probabilities: an error, or pixels in range.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/data/tests/files/fuzzed.rs"]
#[allow(dead_code, reason = "each target calls its own check")]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| {
    fuzzed::image(bytes);
});
