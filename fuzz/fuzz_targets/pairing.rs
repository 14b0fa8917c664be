//! Any file names in folders of photographs, labels and fields of view: each photograph gets its own, or an error tells why not.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/data/tests/files/fuzzed.rs"]
#[allow(dead_code, reason = "each target calls its own check")]
mod fuzzed;

fuzz_target!(|text: &str| {
    fuzzed::pairing(text);
});
