use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A server that finds the vessels in photographs that are posted to it.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "venule-server")]
pub struct Options {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    pub address: SocketAddr,
    /// Weights that `venule finetune` wrote [default: the bundled ones]
    #[arg(long, conflicts_with = "fast")]
    pub weights: Option<PathBuf>,
    /// The fast bundled weights
    #[arg(long)]
    pub fast: bool,
    /// Photographs worked on at once; each takes memory of its own
    #[arg(long, default_value_t = 2)]
    pub workers: usize,
    /// Photographs that may wait beside them; further ones are refused with 503
    #[arg(long, default_value_t = 16)]
    pub waiting: usize,
    /// CPU threads, shared by all photographs; 0 takes all
    #[arg(long, default_value_t = 0)]
    pub threads: usize,
    /// Most bytes of an upload, in MiB
    #[arg(long, default_value_t = 32)]
    pub upload_mib: usize,
    /// Seconds within which an upload must have come
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub upload_time: Duration,
    /// Seconds within which the head of a request must have come, on a connection that waits for its next one too
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub head_time: Duration,
    /// Most connections at once; further ones wait
    #[arg(long, default_value_t = 256)]
    pub connections: usize,
    /// Seconds that answers may take once the server is stopped
    #[arg(long, default_value = "30", value_parser = seconds)]
    pub grace: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().map_err(|error| error.to_string())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

impl Options {
    /// Refuses what would serve nobody.
    ///
    /// # Errors
    /// If there is no worker, no connection or no upload.
    pub fn validate(&self) -> Result<(), String> {
        let most = tokio::sync::Semaphore::MAX_PERMITS / 4;
        for (flag, value) in [
            ("--workers", self.workers),
            ("--connections", self.connections),
            ("--upload-mib", self.upload_mib),
        ] {
            if value == 0 || value > most {
                return Err(format!(
                    "{flag} is {value}, but must be at least 1 and at most {most}"
                ));
            }
        }
        match self.waiting > most || self.upload_mib > usize::MAX >> 20 {
            true => Err("--waiting or --upload-mib is far too large".to_owned()),
            false => Ok(()),
        }
    }
}
