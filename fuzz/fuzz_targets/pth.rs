//! Any bytes as a PyTorch archive: an error, or weights that describe themselves and load, never a panic.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use venule::candle_core::Device;
use venule::mae::{ImportOptions, PretrainedWeights, VitConfig, VitEncoder};
use venule::nn::ParamStore;

fuzz_target!(|bytes: &[u8]| {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    let mut options = ImportOptions::default();
    options.heads = Some(3);
    let Ok(weights) = PretrainedWeights::read_with(file.path(), &options) else {
        return;
    };
    let _ = weights.describe();
    let config = VitConfig {
        image_size: [16, 16],
        patch_size: 4,
        width: 12,
        depth: 2,
        heads: 3,
        ..VitConfig::vit_tiny()
    };
    let store = ParamStore::new(1, &Device::Cpu);
    VitEncoder::new(&config, &store.root()).unwrap();
    let _ = weights.load(&store, "", &config);
});
