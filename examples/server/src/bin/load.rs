//! Posts a photograph to a server again and again, by one client and by several at once, and says how long that takes.
//!
//! `load 127.0.0.1:8080 photo.png --clients 1,8 --requests 64 --pid $(pidof venule-server)`

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

/// Posts a photograph to a server again and again, and says how long that takes.
#[derive(Parser)]
struct Args {
    /// The server
    address: String,
    /// The photograph
    photograph: PathBuf,
    /// How many clients post at once; each number is a measurement
    #[arg(long, value_delimiter = ',', default_values_t = [1, 8])]
    clients: Vec<usize>,
    /// Requests of a measurement, shared by its clients
    #[arg(long, default_value_t = 64)]
    requests: usize,
    /// The server's process, whose peak memory is to be read on Linux
    #[arg(long)]
    pid: Option<u32>,
}

type Any<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Any<()> {
    let photograph = std::fs::read(&args.photograph)
        .map_err(|error| format!("{}: {error}", args.photograph.display()))?;
    // The first takes longer: the program's pages are read.
    post(&args.address, &photograph)?;
    println!(
        "| clients | photographs/s | latency p50 | p95 | greatest | slowest client / fastest | peak memory |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for &clients in &args.clients {
        let each = args.requests / clients.max(1);
        let begun = Instant::now();
        let times = std::thread::scope(|scope| {
            let client = || -> Any<Vec<Duration>> {
                (0..each)
                    .map(|_| post(&args.address, &photograph))
                    .collect()
            };
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Any<Vec<Duration>>>| {
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a client failed".into()))
            };
            threads.into_iter().map(join).collect::<Any<Vec<_>>>()
        })?;
        let rate = (each * clients) as f64 / begun.elapsed().as_secs_f64();
        let sums = times
            .iter()
            .map(|times| times.iter().sum::<Duration>().as_secs_f64());
        let (least, most) = sums.fold((f64::MAX, 0f64), |(least, most), sum| {
            (least.min(sum), most.max(sum))
        });
        let mut all: Vec<f64> = times.iter().flatten().map(Duration::as_secs_f64).collect();
        all.sort_by(f64::total_cmp);
        let Some(last) = all.len().checked_sub(1) else {
            return Err("there are fewer requests than clients".into());
        };
        let at = |share: f64| all[(last as f64 * share).round() as usize];
        let memory = args
            .pid
            .and_then(peak_mib)
            .map_or("–".to_owned(), |peak| format!("{peak:.0} MiB"));
        println!(
            "| {clients} | {rate:.2} | {:.3} s | {:.3} s | {:.3} s | {:.2} | {memory} |",
            at(0.5),
            at(0.95),
            at(1.0),
            most / least
        );
    }
    Ok(())
}

/// The time of one request.
fn post(address: &str, photograph: &[u8]) -> Any<Duration> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let head = format!(
        "POST /segment HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        photograph.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(photograph)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(begun.elapsed()),
        false => Err(String::from_utf8_lossy(&answer).into_owned().into()),
    }
}

/// The largest resident memory of a process so far.
fn peak_mib(pid: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}
