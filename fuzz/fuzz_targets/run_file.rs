//! Any text as a run file: an error, or a run that reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use venule_lab::{FinetuneConfig, PretrainConfig, RunFile};

fn check<R: RunFile + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(run) = R::parse_toml(text) {
        if let Ok(written) = run.to_toml() {
            // NaN is not equal to itself.
            if !written.contains("nan") {
                assert_eq!(R::parse_toml(&written).unwrap(), run);
            }
        }
    }
}

fuzz_target!(|text: &str| {
    check::<FinetuneConfig>(text);
    check::<PretrainConfig>(text);
});
