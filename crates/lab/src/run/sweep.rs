//! Every variant of a run with several seeds, and the table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Deserialize;
use venule::Registry;
use venule::candle_core::Device;
use venule::file::check_writable;
use venule::metrics::summarize;
use venule::train::{FINAL_FILE, Outcome, Report};

use super::hints::{read_text, with_hint};
use super::run_file::RunFile;
use super::sweep_table::{METRICS, SweepRow, SweepTable};
use super::training::{Place, finetuning_record, pretraining_record};
use super::{FinetuneConfig, PretrainConfig, RUN_FILE, RunRecord, TEST_FILE};
use crate::{Error, Result};

/// A grid of fine-tunings: every variant of a run with every seed, one after the other, and a table of them.
///
/// Runs that are finished in the folder are not done again; one that was begun is gone on with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// A run configuration beside this file, which every variant starts from.
    pub run: PathBuf,
    /// A pretraining beside this file, run once with every seed.
    pub pretrain: Option<PathBuf>,
    /// Every variant is trained with each.
    pub seeds: Vec<u64>,
    /// What differs.
    pub variant: Vec<Variant>,
    /// The file itself.
    #[serde(skip)]
    file: PathBuf,
}

/// What a variant of a sweep changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Its name in the table.
    pub name: String,
    /// Whether it starts from the pretraining of its seed. Default: if there is one.
    pub pretrained: Option<bool>,
    /// Dotted paths of settings and their values as TOML.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// A run of the grid and its folder.
struct Planned<'a, R> {
    name: &'a str,
    run: R,
    folder: PathBuf,
}

/// How a sweep ended.
#[derive(Debug)]
pub enum SweepEnd {
    /// All runs are done; the table lies in table.md and table.csv too.
    Done(SweepTable),
    /// A run was stopped before its end.
    Stopped(Report),
}

/// Where a sweep runs, but for the folders of its runs.
pub struct SweepPlace<'a> {
    /// Folder of the runs and of table.md and table.csv.
    pub folder: &'a Path,
    /// As that of [`Place`].
    pub registry: &'a Registry,
    /// As that of [`Place`].
    pub stop: Arc<AtomicBool>,
    /// As that of [`Place`].
    pub say: &'a dyn Fn(&str),
}

impl Sweep {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`Error::RunFile`] that names the file and what is wrong.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let failed = |reason: String| Error::RunFile {
            path: path.to_owned(),
            reason,
        };
        let text = read_text(path).map_err(failed)?;
        let sweep: Self =
            toml::from_str(&text).map_err(|error| failed(with_hint(&text, &error)))?;
        Ok(Self {
            file: path.to_owned(),
            ..sweep
        })
    }

    /// Trains and tests every variant with every seed. Every run is understood, and every folder looked at, before the first one is
    /// trained.
    ///
    /// # Errors
    /// If a file is not understood, a folder holds another run, a variant has nothing to test on, or a training fails.
    pub fn run(&self, place: &SweepPlace<'_>) -> Result<SweepEnd> {
        check_writable(place.folder)?;
        let pretrainings = self.plan_pretrainings(place.folder)?;
        let runs = self.plan_runs(place)?;
        let folders = pretrainings.iter().map(|planned| &planned.folder);
        expect_distinct(folders.chain(runs.iter().map(|planned| &planned.folder)))?;
        for planned in &pretrainings {
            (place.say)(&format!("pretraining: {}", planned.folder.display()));
            if planned.folder.is_dir() {
                let (photographs, _) = planned.run.files()?;
                let record = pretraining_record(&planned.run, &photographs, &Device::Cpu)?;
                expect_same_files(&record, &planned.folder)?;
            }
            if !planned.folder.join(FINAL_FILE).is_file() {
                let report = place.of(&planned.folder).pretrain(&planned.run)?;
                if is_stopped(&report) {
                    return Ok(SweepEnd::Stopped(report));
                }
            }
        }
        let mut results: Vec<(&str, BTreeMap<String, f64>)> = Vec::new();
        let mut table = self.table(&results)?;
        for (index, planned) in runs.iter().enumerate() {
            let folder = &planned.folder;
            let of = format!("{} of {}", index + 1, runs.len());
            (place.say)(&format!("{of}: {}", folder.display()));
            if folder.is_dir() {
                expect_same_files(&record_of(&planned.run, place)?, folder)?;
            }
            let scores = folder.join(TEST_FILE);
            if !scores.is_file() || !folder.join(FINAL_FILE).is_file() {
                let report = place.of(folder).finetune(&planned.run)?;
                if is_stopped(&report) {
                    return Ok(SweepEnd::Stopped(report));
                }
            }
            results.push((planned.name, read_scores(&scores)?));
            table = self.table(&results)?;
            table.write(place.folder)?;
        }
        Ok(SweepEnd::Done(table))
    }

    /// One pretraining for each seed, if a variant wants it.
    fn plan_pretrainings(&self, root: &Path) -> Result<Vec<Planned<'_, PretrainConfig>>> {
        let Some(file) = &self.pretrain else {
            return Ok(Vec::new());
        };
        let base = PretrainConfig::load(self.file.with_file_name(file))?;
        let wanted = self.variant.iter().any(|v| v.pretrained != Some(false));
        let seeds = self.seeds.iter().filter(|_| wanted);
        let planned = seeds.map(|&seed| {
            let mut run = base.clone();
            run.recipe.train.seed = seed;
            run.run.resume = true;
            let folder = pretraining_folder(root, seed);
            expect_same(&run, &folder)?;
            Ok(Planned {
                name: "pretraining",
                run,
                folder,
            })
        });
        planned.collect()
    }

    /// Every variant with every seed.
    fn plan_runs(&self, place: &SweepPlace<'_>) -> Result<Vec<Planned<'_, FinetuneConfig>>> {
        let base = FinetuneConfig::load(self.file.with_file_name(&self.run))?;
        let mut planned = Vec::new();
        for variant in &self.variant {
            let name = variant.name.as_str();
            if variant.pretrained == Some(true) && self.pretrain.is_none() {
                return Err(self.wrong(format!(
                    "variant '{name}' is pretrained, but the grid names no file to `pretrain` with"
                )));
            }
            for &seed in &self.seeds {
                let mut run = base.clone();
                if self.pretrain.is_some() && variant.pretrained != Some(false) {
                    run.pretrained = Some(pretraining_folder(place.folder, seed).join(FINAL_FILE));
                }
                let settings = variant.set.iter();
                run = run.with_all(settings.map(|(key, value)| (key.as_str(), value.as_str())))?;
                run.recipe.train.seed = seed;
                run.run.resume = true;
                if place.of(place.folder).test_images(&run)?.is_none() {
                    return Err(
                        self.wrong(format!("variant '{name}' has no labelled data to test on"))
                    );
                }
                let folder = place.folder.join(format!(
                    "{}_{seed}",
                    name.replace(|c: char| !c.is_alphanumeric() && !"-.+".contains(c), "_")
                ));
                expect_same(&run, &folder)?;
                planned.push(Planned { name, run, folder });
            }
        }
        Ok(planned)
    }

    fn wrong(&self, reason: String) -> Error {
        Error::RunFile {
            path: self.file.clone(),
            reason,
        }
    }

    /// Mean and standard deviation over the seeds that are done.
    fn table(&self, results: &[(&str, BTreeMap<String, f64>)]) -> Result<SweepTable> {
        let rows = self.variant.iter().map(|variant| {
            let own = results.iter().filter(|(name, _)| *name == variant.name);
            let own: Vec<_> = own.map(|(_, scores)| scores).collect();
            let summary = |metric| summarize(own.iter().map(|scores| scores.get(metric).copied()));
            let metrics = METRICS.map(|metric| Ok((metric, summary(metric)?)));
            let metrics: std::result::Result<_, venule::metrics::Error> =
                metrics.into_iter().collect();
            Ok(SweepRow {
                variant: variant.name.clone(),
                seeds: own.len(),
                metrics: metrics.map_err(venule::Error::from)?,
            })
        });
        Ok(SweepTable {
            rows: rows.collect::<Result<_>>()?,
        })
    }
}

impl<'a> SweepPlace<'a> {
    fn of(&'a self, folder: &'a Path) -> Place<'a> {
        Place {
            stop: self.stop.clone(),
            say: self.say,
            ..Place::new(folder, self.registry)
        }
    }
}

fn is_stopped(report: &Report) -> bool {
    matches!(report.outcome, Outcome::Interrupted | Outcome::TimeUp)
}

/// The columns of the table in a run's test.json.
fn read_scores(path: &Path) -> Result<BTreeMap<String, f64>> {
    let unreadable = |reason: String| Error::RunFile {
        path: path.to_owned(),
        reason,
    };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let scores: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let value = |key: &str| match key {
        "f1_at_0.5" => scores[key].as_f64(),
        key => scores["pooled"][key].as_f64(),
    };
    let values = METRICS
        .iter()
        .filter_map(|&key| Some((key.to_owned(), value(key)?)));
    Ok(values.collect())
}

fn pretraining_folder(root: &Path, seed: u64) -> PathBuf {
    root.join(format!("pretrain_{seed}"))
}

/// What lies in a folder is gone on with, or its numbers taken, only if it is the same run.
fn expect_same(run: &impl RunFile, folder: &Path) -> Result<()> {
    let path = folder.join(RUN_FILE);
    let begun = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) => return Ok(()),
    };
    match begun == run.repeatable().to_toml()? {
        true => Ok(()),
        false => Err(Error::OtherRun {
            path,
            difference: "it is another run than the grid says now".to_owned(),
        }),
    }
}

/// What a run is made of, the weights that it starts from included.
fn record_of(run: &FinetuneConfig, place: &SweepPlace<'_>) -> Result<RunRecord> {
    let test = place.of(place.folder).test_images(run)?;
    let record = finetuning_record(run, &run.training_files()?, test.as_ref(), &Device::Cpu)?;
    Ok(match run.weights_file() {
        Some(path) => record.with_weights(path)?,
        None => record,
    })
}

/// As [`expect_same`] for what lies in the files that a configuration only names.
fn expect_same_files(record: &RunRecord, folder: &Path) -> Result<()> {
    match record.difference_from(folder) {
        None => Ok(()),
        Some(difference) => Err(Error::OtherRun {
            path: folder.to_owned(),
            difference: format!("it was made of other files: {difference}"),
        }),
    }
}

fn expect_distinct<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for folder in folders {
        // Some file systems do not tell A from a.
        if !seen.insert(folder.to_string_lossy().to_lowercase()) {
            return Err(Error::SharedFolder {
                path: folder.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use venule::image::{GrayImage, Luma};
    use venule::train::{Callback, StartInfo};

    /// Does something where a sweep runs in the folder `out` of `root`.
    fn in_place<T>(root: &Path, act: impl FnOnce(&SweepPlace<'_>) -> T) -> T {
        act(&SweepPlace {
            folder: &root.join("out"),
            registry: &Registry::built_in(),
            stop: Arc::default(),
            say: &|_| {},
        })
    }

    /// Plans a grid of runs of the preset `tiny` that are tested on a folder of two photographs.
    fn plan(root: &Path, grid: &str) -> Result<Vec<(String, FinetuneConfig, PathBuf)>> {
        for kind in ["images", "masks"] {
            let folder = root.join("test").join(kind);
            std::fs::create_dir_all(&folder).unwrap();
            GrayImage::new(8, 8).save(folder.join("a.png")).unwrap();
        }
        let data = format!("preset = 'tiny'\n[[data]]\npath = {root:?}\n");
        std::fs::write(root.join("run.toml"), &data).unwrap();
        std::fs::write(root.join("mae.toml"), &data).unwrap();
        std::fs::write(root.join("grid.toml"), grid).unwrap();
        let sweep = Sweep::load(root.join("grid.toml"))?;
        in_place(root, |place| {
            let pretrainings = sweep.plan_pretrainings(place.folder)?;
            let runs = sweep.plan_runs(place)?;
            let folders = pretrainings.iter().map(|planned| &planned.folder);
            expect_distinct(folders.chain(runs.iter().map(|planned| &planned.folder)))?;
            let runs = runs.into_iter();
            Ok(runs.map(|p| (p.name.to_owned(), p.run, p.folder)).collect())
        })
    }

    fn refusal(root: &Path, grid: &str) -> String {
        plan(root, grid).unwrap_err().to_string()
    }

    const GRID: &str = "run = 'run.toml'\npretrain = 'mae.toml'\nseeds = [3, 4]\n[[variant]]\nname = 'full'\n\
        [[variant]]\nname = 'without MAE'\npretrained = false\nset = { 'recipe.batch_size' = '7' }\n";

    #[test]
    fn variants_start_from_the_pretraining_of_their_seed() {
        let root = tempfile::tempdir().unwrap();
        let runs = plan(root.path(), GRID).unwrap();
        let found: Vec<_> = runs
            .iter()
            .map(|(name, run, folder)| {
                let from = run
                    .pretrained
                    .as_ref()
                    .map(|path| path.strip_prefix(root.path()).unwrap().to_owned());
                (
                    name.as_str(),
                    run.recipe.train.seed,
                    from,
                    run.recipe.batch_size,
                    folder.file_name().unwrap(),
                )
            })
            .collect();
        let from = |seed| {
            Some(PathBuf::from(format!(
                "out/pretrain_{seed}/final.safetensors"
            )))
        };
        assert_eq!(
            found,
            [
                ("full", 3, from(3), 4, "full_3".as_ref()),
                ("full", 4, from(4), 4, "full_4".as_ref()),
                ("without MAE", 3, None, 7, "without_MAE_3".as_ref()),
                ("without MAE", 4, None, 7, "without_MAE_4".as_ref()),
            ]
        );
    }

    #[test]
    fn grids_that_contradict_themselves_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let alike = format!("{GRID}[[variant]]\nname = 'Full'\n");
        assert!(refusal(root.path(), &alike).contains("share the folder"));
        let alike = format!("{GRID}[[variant]]\nname = 'without/MAE'\n");
        assert!(refusal(root.path(), &alike).contains("share the folder"));
        let alike = format!("{GRID}[[variant]]\nname = 'pretrain'\n");
        assert!(refusal(root.path(), &alike).contains("share the folder"));
        let twice = GRID.replace("[3, 4]", "[3, 3]");
        assert!(refusal(root.path(), &twice).contains("share the folder"));
        let without = "run = 'run.toml'\nseeds = [1]\n[[variant]]\nname = 'a'\npretrained = true";
        assert!(refusal(root.path(), without).contains("names no file"));
    }

    #[test]
    fn a_folder_of_another_run_is_not_taken_for_this_one() {
        let root = tempfile::tempdir().unwrap();
        let (_, run, folder) = plan(root.path(), GRID).unwrap().remove(0);
        std::fs::create_dir_all(&folder).unwrap();
        run.repeatable().save(folder.join(RUN_FILE)).unwrap();
        plan(root.path(), GRID).unwrap();
        run.with("recipe.crop", "64")
            .unwrap()
            .repeatable()
            .save(folder.join(RUN_FILE))
            .unwrap();
        assert!(refusal(root.path(), GRID).contains("another run than the grid says"));
    }

    /// Writes the record of a run as its start does.
    fn begin(record: &RunRecord, folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        let info = StartInfo {
            task: "finetuning",
            directory: Some(folder),
            parameters: 1,
            epochs: 1,
            total_steps: 1,
            steps_per_epoch: 1,
            resumed: false,
            step: 0,
            epoch: 0,
        };
        record.clone().on_start(&info).unwrap();
    }

    #[test]
    fn a_folder_of_other_weights_or_images_is_not_taken_for_this_one() {
        let root = tempfile::tempdir().unwrap();
        for (kind, grey) in [("images", 1), ("masks", 0)] {
            let folder = root.path().join("train").join(kind);
            std::fs::create_dir_all(&folder).unwrap();
            for name in ["b.png", "c.png"] {
                let grey = Luma([grey * name.as_bytes()[0]]);
                let picture = GrayImage::from_pixel(8, 8, grey);
                picture.save(folder.join(name)).unwrap();
            }
        }
        let (_, run, folder) = plan(root.path(), GRID).unwrap().remove(0);
        let encoder = run.pretrained.clone().unwrap();
        std::fs::create_dir_all(encoder.parent().unwrap()).unwrap();
        std::fs::write(&encoder, "an encoder").unwrap();
        let record = || in_place(root.path(), |place| record_of(&run, place));
        let check = || expect_same_files(&record()?, &folder);
        begin(&record().unwrap(), &folder);
        check().unwrap();

        // Another pretraining under the same name.
        std::fs::write(&encoder, "another one").unwrap();
        let said = check().unwrap_err().to_string();
        for part in [
            "full_3",
            "the weights it starts from",
            "pretrain_3",
            "remove",
        ] {
            assert!(said.contains(part), "{said}");
        }
        std::fs::write(&encoder, "an encoder").unwrap();
        check().unwrap();

        // A whole model to start from is recorded as an encoder is.
        let mut of_model = run.clone();
        of_model.from = of_model
            .pretrained
            .take()
            .map(|path| path.display().to_string());
        in_place(root.path(), |place| {
            expect_same_files(&record_of(&of_model, place)?, &folder)
        })
        .unwrap();

        let image = root.path().join("test/images/a.png");
        GrayImage::new(9, 8).save(image).unwrap();
        let said = check().unwrap_err().to_string();
        assert!(said.contains("the image of test image 'a'"), "{said}");
        // Older folders have no record.
        std::fs::remove_file(folder.join("data.tsv")).unwrap();
        check().unwrap();
    }
}
