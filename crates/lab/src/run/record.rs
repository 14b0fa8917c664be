use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use flate2::Crc;
use serde_json::json;
use toml::Table;
use venule::candle_core::{Device, DeviceLocation};
use venule::data::FolderSet;
use venule::file::{crc32c, write_atomic};
use venule::train::{BoxError, Callback, StartInfo};

use super::run_file::{RunFile, unread};
use super::start::{explained, is_built_in, weights_checksum};
use crate::Result;

/// The configuration of a run, in its folder.
pub const RUN_FILE: &str = "run.toml";
/// Where a program writes the numbers of a finished run's test, in its folder.
pub const TEST_FILE: &str = "test.json";
const DATA_FILE: &str = "data.tsv";
const MACHINE_FILE: &str = "machine.json";

/// The settings of what a run starts from.
const START: [&str; 4] = ["from", "from_parts", "pretrained", "import"];

/// The name of this callback.
pub(super) const RECORD: &str = "run_record";

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

/// Rows that a run which goes on must still have; test images and the weights it started from are not among them.
const TRAINED_ON: [&str; 4] = ["train", "validation", UNLABELLED, TEACHER];
/// The purpose of photographs that a fine-tuning learns from without labels.
pub(super) const UNLABELLED: &str = "unlabelled";
/// The purpose of the weights of a trained teacher, which is asked to the end.
const TEACHER: &str = "teacher";
/// The purpose of the weights that a run starts from.
const PRETRAINED: &str = "pretrained";

/// Writes into the run folder what a run is made of, when it starts and before its first step:
///
/// - `run.toml`: the whole configuration; `--config run.toml` repeats the run;
/// - `data.tsv`: a line for each image and for the weights it starts from or learns from, with purpose, id, files and their CRC-32;
/// - `machine.json`: version and build of this crate, operating system, processor, threads, device.
///
/// A run that is resumed must have the images it was begun with; else the error names the first that differs. The weights it
/// started from stay those of the record: a checkpoint holds all. A file that is there and says something else, of an earlier
/// session or one's own, is kept beside the new one, as `run.1.toml` and so on; so is `test.json`, where a program writes the numbers
/// of a run's end, when the run goes beyond that end.
#[derive(Clone, Debug)]
pub struct RunRecord {
    run: String,
    data: String,
    machine: String,
    /// The purpose and the file of each photograph, by its checksum.
    photographs: BTreeMap<String, (String, PathBuf)>,
}

impl RunRecord {
    /// Of the configuration and the images, for processes that must have the same.
    pub(super) fn checksum(&self) -> u32 {
        crc32c(format!("{}\n{}", self.run, self.data).as_bytes())
    }

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
            "threads": venule::threads(),
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
            photographs: BTreeMap::new(),
        })
    }

    /// Adds images, and what they are for: `train`, `validation`, `test` or `unlabelled`.
    ///
    /// # Errors
    /// If a file cannot be read, or a photograph serves another purpose already, under whatever name: what was trained on proves
    /// nothing in a test.
    pub fn with_images(mut self, purpose: &str, set: &FolderSet) -> Result<Self> {
        for files in set.files() {
            let parts = [
                Some(files.image.as_path()),
                files.label.as_deref(),
                files.fov.as_deref(),
            ];
            let sum = self.add(purpose, &files.id, parts)?;
            self.expect_one_purpose(purpose, &files.image, sum)?;
        }
        Ok(self)
    }

    /// Adds the weights that the run starts from.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn with_weights(mut self, path: &Path) -> Result<Self> {
        self.add_weights(PRETRAINED, path)?;
        Ok(self)
    }

    /// Adds the weights of a trained teacher: a file, or built-in weights by their name.
    ///
    /// # Errors
    /// If there are no such weights.
    pub fn with_teacher(mut self, weights: &Path) -> Result<Self> {
        if is_built_in(weights) {
            let (name, sum) = (weights.display(), weights_checksum(weights)?);
            self.data += &format!("{TEACHER}\t{name}\t\t{sum}\t\t\t\t\n");
        } else {
            self.add_weights(TEACHER, weights)?;
        }
        Ok(self)
    }

    /// The first difference between the run recorded in a folder and this one, in words: of an image for any purpose, a label, a
    /// field of view or the weights it starts from. Files may have moved. None too where nothing is recorded.
    pub fn difference_from(&self, folder: &Path) -> Option<String> {
        let saved = fs::read_to_string(folder.join(DATA_FILE)).ok()?;
        // A table of before fields of view were recorded says nothing of other rows either.
        let header = saved.lines().next().unwrap_or_default();
        let whole = COLUMNS.iter().all(|column| header.contains(column));
        let wanted = |purpose: &str| whole || TRAINED_ON.contains(&purpose);
        difference(&saved, &self.data, wanted)
    }

    fn expect_one_purpose(&mut self, purpose: &str, image: &Path, sum: String) -> Result<()> {
        match self.photographs.get(&sum) {
            // Different photographs may have one checksum.
            Some((other, twin)) if other != purpose && read(image)? == read(twin)? => {
                Err(unread(format!(
                    "{} serves {other}, and {}, the same photograph, serves {purpose}; each image may serve once",
                    twin.display(),
                    image.display(),
                )))
            }
            Some(_) => Ok(()),
            None => {
                let first = (purpose.to_owned(), image.to_owned());
                self.photographs.insert(sum, first);
                Ok(())
            }
        }
    }

    fn add_weights(&mut self, purpose: &str, path: &Path) -> Result<()> {
        let added = self.add(purpose, "", [Some(path), None, None]);
        added.map(drop).map_err(|error| explained(path, error))
    }

    /// Adds a row; the checksum of its first file.
    fn add(&mut self, purpose: &str, id: &str, files: [Option<&Path>; 3]) -> Result<String> {
        let mut cells = vec![purpose.to_owned(), id.to_owned()];
        for file in files {
            match file {
                Some(path) => cells.extend([path.display().to_string(), checksum(path)?]),
                None => cells.extend([String::new(), String::new()]),
            }
        }
        self.data.push_str(&cells.join("\t"));
        self.data.push('\n');
        Ok(cells.swap_remove(3))
    }

    /// Takes the settings of what a run started from out of its saved configuration, in place of those given now: it is not read again.
    fn keep_start(&mut self, saved: &Table) -> Result<(), toml::de::Error> {
        let mut run: Table = self.run.parse()?;
        for key in START {
            match saved.get(key) {
                Some(value) => run.insert(key.to_owned(), value.clone()),
                None => run.remove(key),
            };
        }
        self.run = run.to_string();
        Ok(())
    }

    /// Takes the weights that a run started from out of its saved table, in place of those that settings name now.
    fn keep_pretrained(&mut self, saved: &str) {
        let pretrained = |line: &&str| line.split('\t').next() == Some(PRETRAINED);
        let own = self.data.lines().filter(|line| !pretrained(line));
        let lines = own.chain(saved.lines().filter(pretrained));
        self.data = lines.map(|line| format!("{line}\n")).collect();
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(|source| venule::data::Error::Io {
        path: path.to_owned(),
        source,
    })?;
    Ok(bytes)
}

/// The CRC-32 of a file's bytes.
fn checksum(path: &Path) -> Result<String> {
    let mut crc = Crc::new();
    crc.update(&read(path)?);
    Ok(format!("{:08x}", crc.sum()))
}

/// The processor's name, where the system tells it.
fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The first difference between the rows of some purposes in a saved data table and in this run's, in words. Files may have moved,
/// and ids may be others for the same bytes; an older table may lack columns.
fn difference(saved: &str, now: &str, wanted: impl Fn(&str) -> bool) -> Option<String> {
    fn rows(table: &str) -> impl Iterator<Item = Vec<(&str, &str)>> {
        let header = table.lines().next().unwrap_or_default();
        let rows = table.lines().skip(1);
        rows.map(move |line| header.split('\t').zip(line.split('\t')).collect())
    }
    fn cell<'a>(row: &[(&str, &'a str)], column: &str) -> &'a str {
        let found = row.iter().find(|(name, _)| *name == column);
        found.map_or("", |(_, value)| value)
    }
    fn name(row: &[(&str, &str)]) -> String {
        match cell(row, "purpose") {
            PRETRAINED => "the weights it starts from".to_owned(),
            TEACHER if cell(row, "id").is_empty() => "the file of a teacher".to_owned(),
            TEACHER => format!("the teacher {}", cell(row, "id")),
            purpose => format!("{purpose} image '{}'", cell(row, "id")),
        }
    }
    fn same_image(a: &[(&str, &str)], b: &[(&str, &str)]) -> bool {
        let same = |column| cell(a, column) == cell(b, column);
        same("purpose") && (same("id") || same("image_crc32"))
    }
    let wanted = |row: &Vec<(&str, &str)>| wanted(cell(row, "purpose"));
    let (mut saved, mut now) = (rows(saved).filter(wanted), rows(now).filter(wanted));
    loop {
        match (saved.next(), now.next()) {
            (None, None) => return None,
            (Some(old), None) => return Some(format!("{} is not there any more", name(&old))),
            (None, Some(new)) => return Some(format!("{} is new", name(&new))),
            (Some(old), Some(new)) if !same_image(&old, &new) => {
                return Some(format!("{} stands where {} was", name(&new), name(&old)));
            }
            (Some(old), Some(new)) => {
                for column in ["image", "label", "fov"] {
                    let sum = format!("{column}_crc32");
                    let known = old.iter().any(|(name, _)| *name == sum);
                    let (was, is) = (cell(&old, &sum), cell(&new, &sum));
                    if known && was != is {
                        let what = match cell(&new, "purpose") {
                            PRETRAINED => name(&new),
                            _ => format!("the {column} of {}", name(&new)),
                        };
                        let file = cell(&new, column);
                        return Some(format!(
                            "{what}, {file}, has the checksum '{is}', where it was '{was}'"
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
        RECORD
    }

    fn on_start(&mut self, info: &StartInfo<'_>) -> std::result::Result<(), BoxError> {
        let Some(folder) = info.directory else {
            return Ok(());
        };
        let saved = |file: &str| fs::read_to_string(folder.join(file)).ok();
        if let Some(text) = saved(DATA_FILE).filter(|_| info.resumed) {
            let trained_on = |purpose: &str| TRAINED_ON.contains(&purpose);
            if let Some(difference) = difference(&text, &self.data, trained_on) {
                return Err(format!(
                    "the images are not those of the saved run: {difference}; restore them, or train anew in another folder"
                )
                .into());
            }
            self.keep_pretrained(&text);
            if let Some(saved) = saved(RUN_FILE).and_then(|text| text.parse().ok()) {
                self.keep_start(&saved)?;
            }
        }
        for (file, text) in [
            (RUN_FILE, &self.run),
            (DATA_FILE, &self.data),
            (MACHINE_FILE, &self.machine),
        ] {
            let path = folder.join(file);
            match saved(file) {
                Some(old) if old == *text => continue,
                Some(old) => write_atomic(numbered(&path), old.as_bytes())?,
                None => {}
            }
            write_atomic(path, text.as_bytes())?;
        }
        let test = folder.join(TEST_FILE);
        if info.step < info.total_steps && test.exists() {
            fs::rename(&test, numbered(&test))?;
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
        let difference = |saved: &str, now: &str| {
            super::difference(saved, now, |purpose| TRAINED_ON.contains(&purpose))
        };
        assert_eq!(difference(&saved, &moved), None);
        // Nor is another name for the same bytes.
        let renamed = table(&[&a.replace("train\ta", "train\ttest_a"), b]);
        assert_eq!(difference(&saved, &renamed), None);
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
