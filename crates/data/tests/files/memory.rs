//! How much memory a call takes at its peak, measured in a process of its own.

use std::process::Command;

const INPUT: &str = "VENULE_MEASURED_INPUT";
const MARK: &str = "bytes at the peak:";

/// Runs `job` on `input` in a new process and returns the bytes of resident memory that it added at its peak.
///
/// `test` is the full name of the test that calls this, which the new process runs again, alone, up to this line: there
/// the result is `None` and the test must return.
pub fn peak(test: &str, input: &str, job: impl FnOnce(&str)) -> Option<u64> {
    if let Ok(input) = std::env::var(INPUT) {
        let before = resident("VmRSS:");
        job(&input);
        println!("{MARK} {}", resident("VmHWM:").saturating_sub(before));
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .args(["--test-threads", "1"])
        .env(INPUT, input)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{input}: {text}{errors}");
    let bytes = text.lines().find_map(|line| line.split_once(MARK));
    let (_, bytes) = bytes.unwrap_or_else(|| panic!("no measurement in: {text}"));
    Some(bytes.trim().parse().unwrap())
}

/// A line of /proc/self/status, which counts in KiB, in bytes.
fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    1024 * number.unwrap().parse::<u64>().unwrap()
}
