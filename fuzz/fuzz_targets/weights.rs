//! Any bytes as a weights file: an error or a model, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use venule::Checkpoint;
use venule::candle_core::Device;

fuzz_target!(|bytes: &[u8]| {
    let _ = Checkpoint::parse("fuzzed", bytes, &Device::Cpu);
});
