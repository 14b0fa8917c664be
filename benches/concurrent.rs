//! One `Segmenter` shared by threads, as a server shares it: photographs a second, the time of a photograph, how equally callers are
//! served, and the peak memory, as one JSON line.
//!
//! `cargo bench --bench concurrent -- --callers 8`

use std::error::Error;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use clap::Parser;
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::train::peak_memory_mb;
use venule::{Segmenter, set_threads};

/// Times photographs that several threads give to one segmenter.
#[derive(Parser)]
struct Args {
    /// Threads that call it at once
    #[arg(long, default_value_t = 8)]
    callers: usize,
    /// Photographs in all, shared by the callers
    #[arg(long, default_value_t = 64)]
    photographs: usize,
    /// Side of the photograph
    #[arg(long, default_value_t = 584)]
    side: usize,
    /// The fast bundled weights
    #[arg(long)]
    fast: bool,
    /// CPU threads, shared by the callers; 0 takes all
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> AnyResult<()> {
    let args = Args::parse();
    set_threads(args.threads)?;
    let segmenter = match args.fast {
        true => Segmenter::bundled_fast()?,
        false => Segmenter::bundled()?,
    };
    let photo = synthetic_fundus(&SyntheticFundus::square(args.side), 1, 0)?.image;
    let timed = || -> AnyResult<Duration> {
        let begun = Instant::now();
        segmenter.segment(&photo)?;
        Ok(begun.elapsed())
    };
    timed()?;
    let callers = args.callers.max(1);
    let each = (args.photographs / callers).max(1);
    let begun = Instant::now();
    let times = std::thread::scope(|scope| {
        let caller = || (0..each).map(|_| timed()).collect::<AnyResult<Vec<_>>>();
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        let join = |thread: ScopedJoinHandle<'_, AnyResult<Vec<Duration>>>| {
            let failed = |_| Err("a caller failed".into());
            thread.join().unwrap_or_else(failed)
        };
        threads.into_iter().map(join).collect::<AnyResult<Vec<_>>>()
    })?;
    let seconds = begun.elapsed().as_secs_f64();
    let sum = |times: &Vec<Duration>| times.iter().sum::<Duration>().as_secs_f64();
    let sums: Vec<f64> = times.iter().map(sum).collect();
    let fastest = sums.iter().copied().fold(f64::MAX, f64::min);
    let slowest = sums.iter().copied().fold(0.0, f64::max);
    let mut all: Vec<f64> = times.iter().flatten().map(Duration::as_secs_f64).collect();
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share).round() as usize];
    let line = serde_json::json!({
        "engine": concat!("venule ", env!("CARGO_PKG_VERSION")),
        "callers": callers,
        "photographs": all.len(),
        "side": args.side,
        "fast": args.fast,
        "threads": args.threads,
        "photographs_per_s": all.len() as f64 / seconds,
        "p50_s": at(0.5),
        "p95_s": at(0.95),
        "max_s": at(1.0),
        "slowest_over_fastest_caller": slowest / fastest,
        "peak_rss_mb": peak_memory_mb(),
    });
    println!("{line}");
    Ok(())
}
