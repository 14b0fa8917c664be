use std::path::Path;

use flate2::Crc;
use serde_json::json;
use venule_data::{FolderSet, write_atomic};
use venule_train::{BoxError, Callback, StartInfo};

use crate::{Result, RunConfig};

/// Writes into the run folder what a run is made of, when it starts and before its first step:
///
/// - `run.toml`: the whole configuration; `finetune --config run.toml` repeats the run;
/// - `data.tsv`: a line for each image used, with its purpose, id, file and the CRC-32 of the file's bytes and its label's;
/// - `machine.json`: version of this crate, operating system, processor and threads.
///
/// On resuming, what is there stays.
#[derive(Clone, Debug)]
pub struct RunRecord {
    run: String,
    data: String,
}

impl RunRecord {
    /// Of a run on these images.
    ///
    /// # Errors
    /// If a file cannot be read, or the configuration not be written as TOML.
    pub fn new(run: &RunConfig, train: &FolderSet, validation: &FolderSet) -> Result<Self> {
        let mut data = String::from("purpose\tid\timage\timage_crc32\tlabel\tlabel_crc32\n");
        for (purpose, set) in [("train", train), ("validation", validation)] {
            for files in set.files() {
                let mut cells = vec![purpose.to_owned(), files.id.clone()];
                cells.extend(named_sum(&files.image)?);
                match &files.label {
                    Some(label) => cells.extend(named_sum(label)?),
                    None => cells.extend([String::new(), String::new()]),
                }
                data.push_str(&cells.join("\t"));
                data.push('\n');
            }
        }
        Ok(Self {
            run: run.to_toml()?,
            data,
        })
    }
}

/// A file's path and the CRC-32 of its bytes.
fn named_sum(path: &Path) -> Result<[String; 2]> {
    let bytes = std::fs::read(path).map_err(|source| venule_data::Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    Ok([path.display().to_string(), format!("{:08x}", crc.sum())])
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

impl Callback for RunRecord {
    fn name(&self) -> &str {
        "run_record"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> std::result::Result<(), BoxError> {
        let Some(folder) = info.directory else {
            return Ok(());
        };
        let machine = serde_json::to_string_pretty(&json!({
            "venule": env!("CARGO_PKG_VERSION"),
            "system": std::env::consts::OS,
            "architecture": std::env::consts::ARCH,
            "processor": processor(),
            "threads": rayon::current_num_threads(),
            "debug_build": cfg!(debug_assertions),
        }))?;
        let files = [
            ("run.toml", &self.run),
            ("data.tsv", &self.data),
            ("machine.json", &machine),
        ];
        for (name, text) in files {
            let path = folder.join(name);
            if !path.exists() {
                write_atomic(path, text.as_bytes())?;
            }
        }
        Ok(())
    }
}
