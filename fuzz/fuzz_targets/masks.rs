//! Any bytes as a label: an error, or a mask of the photograph's size.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/data/tests/files/fuzzed.rs"]
#[allow(dead_code, reason = "each target calls its own check")]
mod fuzzed;

fuzz_target!(|bytes: &[u8]| {
    fuzzed::mask(bytes);
});
