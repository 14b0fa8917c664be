use std::fs;
use std::path::{Path, PathBuf};

use candle_core::{Device, DeviceLocation};
use flate2::Crc;
use serde_json::json;
use venule_data::{FolderSet, write_atomic};
use venule_train::{BoxError, Callback, StartInfo};

use crate::{Result, RunFile};

/// The configuration of a run, in its folder.
pub const RUN_FILE: &str = "run.toml";
const DATA_FILE: &str = "data.tsv";
const MACHINE_FILE: &str = "machine.json";

/// Columns of the data table; each file stands before the CRC-32 of its bytes.
const COLUMNS: [&str; 8] = [
    "purpose",
    "id",
    "image",
    "image_crc32",
    "label",
    "label_crc32",
    "fov",
    "fov_crc32",
];

/// Rows that the weights of a run depend on all the way; test images and the weights it started from are not among them.
const TRAINED_ON: [&str; 2] = ["train", "validation"];

/// Writes into the run folder what a run is made of, when it starts and before its first step:
///
/// - `run.toml`: the whole configuration; `--config run.toml` repeats the run;
/// - `data.tsv`: a line for each image and for the weights it starts from, with purpose, id, files and their CRC-32;
/// - `machine.json`: version and build of this crate, operating system, processor, threads, device.
///
/// A run that is resumed must have the images it was begun with; else the error names the first that differs. Where
/// settings or the machine have changed the old file is kept beside the new one, as `run.1.toml` and so on.
#[derive(Clone, Debug)]
pub struct RunRecord {
    run: String,
    data: String,
    machine: String,
}

impl RunRecord {
    /// Of a run with this configuration on this device; images are added by [`with_images`](Self::with_images).
    ///
    /// # Errors
    /// If the configuration cannot be written as TOML.
    pub fn new(run: &impl RunFile, device: &Device) -> Result<Self> {
        let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
        let library = match () {
            () if cfg!(target_env = "gnu") => "-gnu",
            () if cfg!(target_env = "musl") => "-musl",
            () if cfg!(target_env = "msvc") => "-msvc",
            () => "",
        };
        let profile = match cfg!(debug_assertions) {
            true => "debug",
            false => "release",
        };
        let machine = json!({
            "venule": env!("CARGO_PKG_VERSION"),
            "build": format!("{architecture}-{system}{library} {profile}"),
            "processor": processor(),
            "threads": rayon::current_num_threads(),
            "device": match device.location() {
                DeviceLocation::Cpu => "cpu".to_owned(),
                DeviceLocation::Cuda { gpu_id } => format!("cuda:{gpu_id}"),
                DeviceLocation::Metal { gpu_id } => format!("metal:{gpu_id}"),
            },
        });
        Ok(Self {
            run: run.repeatable().to_toml()?,
            data: COLUMNS.join("\t") + "\n",
            machine: format!("{machine:#}\n"),
        })
    }

    /// Adds images, and what they are for: `train`, `validation` or `test`.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn with_images(mut self, purpose: &str, set: &FolderSet) -> Result<Self> {
        for files in set.files() {
            let parts = [
                Some(files.image.as_path()),
                files.label.as_deref(),
                files.fov.as_deref(),
            ];
            self.add(purpose, &files.id, parts)?;
        }
        Ok(self)
    }

    /// Adds the weights that the run starts from.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn with_weights(mut self, path: &Path) -> Result<Self> {
        self.add("pretrained", "", [Some(path), None, None])?;
        Ok(self)
    }

    fn add(&mut self, purpose: &str, id: &str, files: [Option<&Path>; 3]) -> Result<()> {
        let mut cells = vec![purpose.to_owned(), id.to_owned()];
        for file in files {
            match file {
                Some(path) => cells.extend([path.display().to_string(), checksum(path)?]),
                None => cells.extend([String::new(), String::new()]),
            }
        }
        self.data.push_str(&cells.join("\t"));
        self.data.push('\n');
        Ok(())
    }
}

/// The CRC-32 of a file's bytes.
fn checksum(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|source| venule_data::Error::Io {
        path: path.to_owned(),
        source,
    })?;
    let mut crc = Crc::new();
    crc.update(&bytes);
    Ok(format!("{:08x}", crc.sum()))
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first difference between the images of a saved data table and of this run's, in words. Files may have moved; an
/// older table may lack columns.
fn difference(saved: &str, now: &str) -> Option<String> {
    fn rows(table: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
        let header = table.lines().next().unwrap_or_default();
        let rows = table.lines().skip(1);
        let rows = rows.map(move |line| header.split('\t').zip(line.split('\t')).collect());
        rows.filter(|row: &Vec<_>| TRAINED_ON.contains(&cell(row, "purpose")))
    }
    fn cell<'a>(row: &[(&str, &'a str)], column: &str) -> &'a str {
        let found = row.iter().find(|(name, _)| *name == column);
        found.map_or("", |(_, value)| value)
    }
    fn name(row: &[(&str, &str)]) -> String {
        format!("{} image '{}'", cell(row, "purpose"), cell(row, "id"))
    }
    let (mut saved, mut now) = (rows(saved), rows(now));
    loop {
        match (saved.next(), now.next()) {
            (None, None) => return None,
            (Some(old), None) => return Some(format!("{} is not there any more", name(&old))),
            (None, Some(new)) => return Some(format!("{} is new", name(&new))),
            (Some(old), Some(new)) if name(&old) != name(&new) => {
                return Some(format!("{} stands where {} was", name(&new), name(&old)));
            }
            (Some(old), Some(new)) => {
                for column in ["image", "label", "fov"] {
                    let sum = format!("{column}_crc32");
                    let known = old.iter().any(|(name, _)| *name == sum);
                    let (was, is) = (cell(&old, &sum), cell(&new, &sum));
                    if known && was != is {
                        return Some(format!(
                            "the {column} of {}, {}, has the checksum '{is}', where it was '{was}'",
                            name(&new),
                            cell(&new, column)
                        ));
                    }
                }
            }
        }
    }
}

/// The first name like `run.1.toml` that is free in the folder of `path`.
fn numbered(path: &Path) -> PathBuf {
    let part =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let (stem, extension) = (part(path.file_stem()), part(path.extension()));
    let mut number = 1;
    loop {
        let name = path.with_file_name(format!("{stem}.{number}.{extension}"));
        if !name.exists() {
            return name;
        }
        number += 1;
    }
}

impl Callback for RunRecord {
    fn name(&self) -> &str {
        "run_record"
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> std::result::Result<(), BoxError> {
        let Some(folder) = info.directory else {
            return Ok(());
        };
        let saved = |file: &str| fs::read_to_string(folder.join(file)).ok();
        if let Some(text) = saved(DATA_FILE).filter(|_| info.resumed)
            && let Some(difference) = difference(&text, &self.data)
        {
            return Err(format!(
                "the images are not those of the saved run: {difference}; restore them, or train anew in another folder"
            )
            .into());
        }
        for (file, text) in [
            (RUN_FILE, &self.run),
            (DATA_FILE, &self.data),
            (MACHINE_FILE, &self.machine),
        ] {
            let path = folder.join(file);
            match saved(file) {
                Some(old) if old == *text => continue,
                Some(old) if info.resumed => write_atomic(numbered(&path), old.as_bytes())?,
                _ => {}
            }
            write_atomic(path, text.as_bytes())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let header = COLUMNS.join("\t");
        let table = |rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
        let (a, b) = (
            "train\ta\ta.png\t01\tl.png\t02\t\t",
            "validation\tb\tb.png\t03\tm.png\t04\t\t",
        );
        let saved = table(&[a, b, "test\tc\tc.png\t05\t\t\t\t"]);
        // Moved files and other test images are no difference.
        let moved = table(&[
            &a.replace("a.png", "x/a.png"),
            b,
            "test\td\td.png\t06\t\t\t\t",
        ]);
        assert_eq!(difference(&saved, &moved), None);
        for (rows, said) in [
            (vec![a], "validation image 'b' is not there any more"),
            (vec![a, b, b], "validation image 'b' is new"),
            (
                vec![b, a],
                "validation image 'b' stands where train image 'a' was",
            ),
        ] {
            assert_eq!(difference(&saved, &table(&rows)).unwrap(), said);
        }
        let other = a.replace("\t02\t", "\t12\t");
        let said = difference(&saved, &table(&[&other, b])).unwrap();
        assert!(said.contains("label of train image 'a', l.png"), "{said}");
        // A table of six columns says nothing of fields of view.
        let older =
            "purpose\tid\timage\timage_crc32\tlabel\tlabel_crc32\ntrain\ta\ta.png\t01\tl.png\t02\n";
        let now = table(&["train\ta\ta.png\t01\tl.png\t02\tf.png\t07"]);
        assert_eq!(difference(older, &now), None);
    }
}
