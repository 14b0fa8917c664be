//! Any text as a run configuration: an error, or a run that reads back as itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use venule::RunConfig;

fuzz_target!(|text: &str| {
    if let Ok(run) = text.parse::<RunConfig>() {
        if let Ok(written) = run.to_toml() {
            // NaN is not equal to itself.
            if !written.contains("nan") {
                assert_eq!(written.parse::<RunConfig>().unwrap(), run);
            }
        }
    }
});
