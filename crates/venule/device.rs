use std::num::NonZeroUsize;

use candle_core::Device;

use crate::{Error, Result};

/// The device named on a command line: `cpu`, `cuda`, `cuda:N` or `metal`.
///
/// # Errors
/// [`Error::Device`] for other names, for a device whose feature this build lacks, and for one that does not start.
///
/// ```
/// assert!(venule::parse_device("cpu")?.is_cpu());
/// # #[cfg(not(feature = "cuda"))]
/// assert!(venule::parse_device("cuda").unwrap_err().to_string().contains("--features cuda"));
/// # Ok::<(), venule::Error>(())
/// ```
pub fn parse_device(name: &str) -> Result<Device> {
    let error = |reason: String| Error::Device {
        name: name.to_owned(),
        reason,
    };
    let (kind, number) = match name.split_once(':') {
        Some((kind, number)) => {
            let number = number.parse::<usize>();
            (
                kind,
                number.map_err(|_| error("the number behind ':' must be 0, 1, …".to_owned()))?,
            )
        }
        None => (name, 0),
    };
    let needs = |feature: &str| {
        error(format!(
            "this build has no {feature} support; build with `--features {feature}`"
        ))
    };
    let started = |device: candle_core::Result<Device>| device.map_err(|e| error(e.to_string()));
    match kind {
        "cpu" => Ok(Device::Cpu),
        "cuda" if !candle_core::utils::cuda_is_available() => Err(needs("cuda")),
        "cuda" => started(Device::new_cuda(number)),
        "metal" if !candle_core::utils::metal_is_available() => Err(needs("metal")),
        "metal" => started(Device::new_metal(number)),
        _ => Err(error("choose cpu, cuda, cuda:N or metal".to_owned())),
    }
}

/// Most threads on a machine that has fewer.
const MOST_THREADS: usize = 256;

/// Sets how many CPU threads all computation of this process uses; 0 leaves the choice to the machine. To be called at the start
/// of a program, before the first tensor operation and the first thread: candle's own threads, beside those of the kernels, are
/// [bounded](venule_nn::bound_candle_threads) and [sleep](venule_nn::let_candle_threads_sleep) only then.
///
/// # Errors
/// [`Error::Config`] if the threads were started before, or are more than 256 and than the machine has: so many would wait for each other.
pub fn set_threads(threads: usize) -> Result<()> {
    let of_machine = std::thread::available_parallelism().map_or(1, usize::from);
    if threads > MOST_THREADS.max(of_machine) {
        return Err(Error::Config {
            field: "threads",
            value: threads.to_string(),
            expected: "more than 256, and than the machine has, only wait for each other; 0 takes as many as it has",
        });
    }
    venule_nn::let_candle_threads_sleep();
    if let Some(threads) = NonZeroUsize::new(threads) {
        venule_nn::bound_candle_threads(threads);
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build_global().map_err(|_| Error::Config {
        field: "threads",
        value: threads.to_string(),
        expected: "the number of threads can only be set once, before any computation",
    })
}

/// How many CPU threads computation uses.
pub fn threads() -> usize {
    rayon::current_num_threads()
}
