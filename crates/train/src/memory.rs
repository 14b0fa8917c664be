//! How much memory a run takes.

/// The process's largest resident memory so far in MiB, where the system tells it (Linux).
///
/// ```
/// if let Some(peak) = venule_train::peak_memory_mb() {
///     assert!(peak > 0.0);
/// }
/// ```
pub fn peak_memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes / 1024.0)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_covers_what_was_written() {
        let before = peak_memory_mb().unwrap();
        // 64 MiB of non-zero pages are resident once written.
        let block = vec![1u8; 64 << 20];
        let after = peak_memory_mb().unwrap();
        assert!(after >= before.max(64.0), "{before} {after}");
        assert_eq!(block[block.len() - 1], 1);
    }
}
