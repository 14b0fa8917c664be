//! Any files below a folder, opened as each data set in each split: no photograph in two splits, no map of another photograph.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/data/tests/files/fuzzed.rs"]
#[allow(dead_code, reason = "each target calls its own check")]
mod fuzzed;

fuzz_target!(|text: &str| {
    fuzzed::layout(text);
});
