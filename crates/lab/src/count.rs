//! How far a long work over many things is, on standard error.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressDrawTarget, ProgressStyle};
use venule::train::peak_memory_mb;

use crate::progress::{LINE_EVERY, readable};

/// Shows how many of many things are done, how many a second, and the time left, on standard error; plain lines, at most one every few
/// seconds, when that is no terminal.
///
/// ```
/// let mut count = venule_lab::Count::new("photographs", 3);
/// for done in 1..=3 {
///     count.show(done, "");
/// }
/// count.line("all photographs are done");
/// ```
#[derive(Debug)]
pub struct Count {
    bar: Option<indicatif::ProgressBar>,
    what: &'static str,
    total: usize,
    begun: Instant,
    last_line: Duration,
}

impl Count {
    /// Of `total` things, such as `photographs`, none of which is done.
    pub fn new(what: &'static str, total: usize) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let target = ProgressDrawTarget::stderr();
            let bar = indicatif::ProgressBar::with_draw_target(Some(total as u64), target);
            let style = "{bar:30} {pos}/{len} [{elapsed} < {eta}] {msg}";
            match ProgressStyle::with_template(style) {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        Self {
            bar,
            what,
            total,
            begun: Instant::now(),
            last_line: Duration::ZERO,
        }
    }

    /// Says that so many are done, with a remark.
    pub fn show(&mut self, done: usize, remark: &str) {
        let elapsed = self.begun.elapsed();
        if let Some(bar) = &self.bar {
            bar.set_message(self.pace(done, elapsed, remark));
            bar.set_position(done as u64);
        } else if elapsed.saturating_sub(self.last_line) >= LINE_EVERY {
            self.last_line = elapsed;
            let left = self.total.saturating_sub(done) as f64;
            let left = readable(elapsed.as_secs_f64() * left / done.max(1) as f64);
            let pace = self.pace(done, elapsed, remark);
            self.line(&format!("{done}/{} {pace} eta {left}", self.total));
        }
    }

    fn pace(&self, done: usize, elapsed: Duration, remark: &str) -> String {
        let rate = done as f64 / elapsed.as_secs_f64().max(1e-9);
        let memory = peak_memory_mb().map_or(String::new(), |peak| format!(" {peak:.0} MiB"));
        let blank = if remark.is_empty() { "" } else { " " };
        format!("{rate:.1} {}/s{memory}{blank}{remark}", self.what)
    }

    /// Writes a line beside the bar.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            // Losing standard error is no reason to lose the work.
            None => drop(writeln!(std::io::stderr(), "{text}")),
        }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_counts_what_is_done() {
        let count = Count::new("photographs", 10);
        // Six in two seconds.
        let text = count.pace(6, Duration::from_secs(2), "1 failed");
        assert!(text.starts_with("3.0 photographs/s"), "{text}");
        assert!(text.ends_with(" 1 failed"), "{text}");
        let text = count.pace(6, Duration::from_secs(2), "");
        assert!(!text.ends_with(' '), "{text}");
    }
}
