//! Trains and tests every variant of a run with several seeds, and makes the table.
//!
//! `cargo run --release --example ablation -- --grid configs/ablation.toml --save-dir runs/ablation`

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde::Deserialize;
use support::training::{
    Place, finetune, finetuning_record, pretrain, pretraining_record, test_images,
};
use venule::candle_core::Device;
use venule::file::write_atomic;
use venule::metrics::summarize;
use venule::train::{FINAL_FILE, Report};
use venule::{PretrainConfig, RUN_FILE, RunConfig, RunFile, RunRecord, TEST_FILE, set_threads};

/// Trains and tests every variant of a run with several seeds, one after the other, and makes the table.
#[derive(Parser)]
struct Args {
    /// TOML file with the run, its seeds and its variants
    #[arg(long)]
    grid: PathBuf,
    /// Folder of the runs and of table.md and table.csv; what is finished there is not done again
    #[arg(long, default_value = "runs/ablation")]
    save_dir: PathBuf,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grid {
    /// A run configuration beside this file, which every variant starts from.
    run: PathBuf,
    /// A pretraining beside this file, run once with every seed.
    pretrain: Option<PathBuf>,
    seeds: Vec<u64>,
    variant: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    name: String,
    /// Whether it starts from the pretraining of its seed. Default: if there is one.
    pretrained: Option<bool>,
    /// Dotted paths of settings and their values as TOML.
    #[serde(default)]
    set: BTreeMap<String, String>,
}

/// A run of the grid and its folder.
struct Planned<'a, R> {
    name: &'a str,
    run: R,
    folder: PathBuf,
}

/// Columns of the table.
const METRICS: [&str; 6] = [
    "f1",
    "f1_at_0.5",
    "recall",
    "thin_recall",
    "cl_dice",
    "roc_auc",
];

fn main() -> ExitCode {
    support::exit(run(Args::parse()))
}

fn run(args: Args) -> support::AnyResult<ExitCode> {
    set_threads(args.threads)?;
    let text = std::fs::read_to_string(&args.grid)
        .map_err(|error| format!("{}: {error}", args.grid.display()))?;
    let grid: Grid =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", args.grid.display()))?;
    // Every run is understood, and every folder looked at, before the first one is trained.
    let pretrainings = plan_pretrainings(&args, &grid)?;
    let runs = plan_runs(&args, &grid)?;
    let pretraining_folders = pretrainings.iter().map(|planned| &planned.folder);
    expect_distinct(pretraining_folders.chain(runs.iter().map(|planned| &planned.folder)))?;

    let stop = support::stop_flag()?;
    let place = |folder| Place {
        folder,
        device: &Device::Cpu,
        tensorboard: false,
        stop: stop.clone(),
    };
    for planned in &pretrainings {
        support::say!("pretraining: {}", planned.folder.display());
        if planned.folder.is_dir() {
            let (photographs, _) = planned.run.files()?;
            let record = pretraining_record(&planned.run, &photographs, &Device::Cpu)?;
            expect_same_files(&record, &planned.folder)?;
        }
        if !planned.folder.join(FINAL_FILE).is_file() {
            let report = pretrain(&planned.run, &place(&planned.folder))?;
            if let Some(code) = stopped(&report) {
                return Ok(code);
            }
        }
    }
    let mut results: Vec<(&str, BTreeMap<String, f64>)> = Vec::new();
    for (index, planned) in runs.iter().enumerate() {
        let folder = &planned.folder;
        support::say!("{} of {}: {}", index + 1, runs.len(), folder.display());
        if folder.is_dir() {
            expect_same_files(&record_of(&planned.run)?, folder)?;
        }
        let scores = folder.join(TEST_FILE);
        if !scores.is_file() || !folder.join(FINAL_FILE).is_file() {
            let report = finetune(&planned.run, &place(folder))?;
            if let Some(code) = stopped(&report) {
                return Ok(code);
            }
        }
        let scores: serde_json::Value = serde_json::from_slice(&std::fs::read(&scores)?)?;
        let value = |key: &str| match key {
            "f1_at_0.5" => scores[key].as_f64(),
            key => scores["pooled"][key].as_f64(),
        };
        let values = METRICS
            .iter()
            .filter_map(|&key| Some((key.to_owned(), value(key)?)));
        results.push((planned.name, values.collect()));
        write_tables(&args.save_dir, &grid, &results)?;
    }
    let table = std::fs::read_to_string(args.save_dir.join("table.md"))?;
    support::say!("{}", table.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The exit code, if a run did not come to its end.
fn stopped(report: &Report) -> Option<ExitCode> {
    let (text, status) = unfinished(report)?;
    support::say!("{text}");
    Some(ExitCode::from(status))
}

/// What is said of a run that did not come to its end, and the exit status.
fn unfinished(report: &Report) -> Option<(String, u8)> {
    let (why, status) = support::training::stopped(report.outcome)?;
    let text = format!(
        "{why} after step {}; the grid is not finished: the same command goes on, within this run too",
        report.steps
    );
    Some((text, status))
}

fn pretraining_folder(args: &Args, seed: u64) -> PathBuf {
    args.save_dir.join(format!("pretrain_{seed}"))
}

/// One pretraining for each seed, if a variant wants it.
fn plan_pretrainings<'a>(
    args: &Args,
    grid: &'a Grid,
) -> support::AnyResult<Vec<Planned<'a, PretrainConfig>>> {
    let Some(file) = &grid.pretrain else {
        return Ok(Vec::new());
    };
    let base = PretrainConfig::load(args.grid.with_file_name(file))?;
    let wanted = grid.variant.iter().any(|v| v.pretrained != Some(false));
    let seeds = grid.seeds.iter().filter(|_| wanted);
    let planned = seeds.map(|&seed| {
        let mut run = base.clone();
        run.recipe.train.seed = seed;
        run.run.resume = true;
        let folder = pretraining_folder(args, seed);
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
fn plan_runs<'a>(args: &Args, grid: &'a Grid) -> support::AnyResult<Vec<Planned<'a, RunConfig>>> {
    let base = RunConfig::load(args.grid.with_file_name(&grid.run))?;
    let mut planned = Vec::new();
    for variant in &grid.variant {
        let name = variant.name.as_str();
        if variant.pretrained == Some(true) && grid.pretrain.is_none() {
            return Err(format!(
                "variant '{name}' is pretrained, but the grid names no file to `pretrain` with"
            )
            .into());
        }
        for &seed in &grid.seeds {
            let mut run = base.clone();
            if grid.pretrain.is_some() && variant.pretrained != Some(false) {
                run.pretrained = Some(pretraining_folder(args, seed).join(FINAL_FILE));
            }
            let settings = variant.set.iter();
            run = run.with_all(settings.map(|(key, value)| (key.as_str(), value.as_str())))?;
            run.recipe.train.seed = seed;
            run.run.resume = true;
            if test_images(&run)?.is_none() {
                return Err(format!("variant '{name}' has no labelled data to test on").into());
            }
            let folder = args.save_dir.join(format!(
                "{}_{seed}",
                name.replace(|c: char| !c.is_alphanumeric() && !"-.+".contains(c), "_")
            ));
            expect_same(&run, &folder)?;
            planned.push(Planned { name, run, folder });
        }
    }
    Ok(planned)
}

/// What lies in a folder is gone on with, or its numbers taken, only if it is the same run.
fn expect_same(run: &impl RunFile, folder: &Path) -> support::AnyResult<()> {
    let path = folder.join(RUN_FILE);
    let begun = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(_) => return Ok(()),
    };
    match begun == run.repeatable().to_toml()? {
        true => Ok(()),
        false => Err(format!(
            "{} is another run than the grid says now; choose another --save-dir, or remove the folder",
            path.display()
        )
        .into()),
    }
}

/// What a run is made of, the weights that it starts from included.
fn record_of(run: &RunConfig) -> support::AnyResult<RunRecord> {
    let record = finetuning_record(run, test_images(run)?.as_ref(), &Device::Cpu)?;
    Ok(match &run.pretrained {
        Some(path) => record.with_weights(path)?,
        None => record,
    })
}

/// As [`expect_same`] for what lies in the files that a configuration only names.
fn expect_same_files(record: &RunRecord, folder: &Path) -> support::AnyResult<()> {
    match record.difference_from(folder) {
        None => Ok(()),
        Some(difference) => Err(format!(
            "{} was made of other files: {difference}; restore them, choose another --save-dir, or remove the folder",
            folder.display()
        )
        .into()),
    }
}

fn expect_distinct<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> support::AnyResult<()> {
    let mut seen = std::collections::BTreeSet::new();
    for folder in folders {
        // Some file systems do not tell A from a.
        if !seen.insert(folder.to_string_lossy().to_lowercase()) {
            return Err(format!(
                "two runs would share the folder {}; give the variants names that differ in letters or digits, and each seed once",
                folder.display()
            )
            .into());
        }
    }
    Ok(())
}

/// Mean and standard deviation over the seeds that are done, as table.md and table.csv.
fn write_tables(
    folder: &Path,
    grid: &Grid,
    results: &[(&str, BTreeMap<String, f64>)],
) -> support::AnyResult<()> {
    let mut markdown = format!("| variant | seeds | {} |\n", METRICS.join(" | "));
    markdown.push_str(&format!("|{}\n", " --- |".repeat(METRICS.len() + 2)));
    let mut csv = format!("variant,metric,{}\n", ["seeds", "mean", "std"].join(","));
    for variant in &grid.variant {
        let own: Vec<_> = results
            .iter()
            .filter(|(name, _)| *name == variant.name)
            .collect();
        markdown.push_str(&format!("| {} | {} |", variant.name, own.len()));
        for metric in METRICS {
            let values = own.iter().map(|(_, scores)| scores.get(metric).copied());
            let cell = match summarize(values)? {
                Some(summary) => {
                    let std = summary.std.map_or(String::new(), |std| format!("{std}"));
                    csv.push_str(&format!(
                        "\"{}\",{metric},{},{},{std}\n",
                        variant.name.replace('"', "\"\""),
                        own.len(),
                        summary.mean
                    ));
                    match summary.std {
                        Some(std) => format!("{:.4} ± {std:.4}", summary.mean),
                        None => format!("{:.4}", summary.mean),
                    }
                }
                None => "–".to_owned(),
            };
            markdown.push_str(&format!(" {cell} |"));
        }
        markdown.push('\n');
    }
    write_atomic(folder.join("table.md"), markdown.as_bytes())?;
    write_atomic(folder.join("table.csv"), csv.as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use venule::train::{Callback, Outcome, StartInfo};

    /// Plans a grid of runs of the preset `tiny` that are tested on a folder of two photographs.
    fn plan(root: &Path, grid: &str) -> support::AnyResult<Vec<(String, RunConfig, PathBuf)>> {
        for kind in ["images", "masks"] {
            std::fs::create_dir_all(root.join("test").join(kind))?;
            image::GrayImage::new(8, 8).save(root.join("test").join(kind).join("a.png"))?;
        }
        let data = format!("preset = 'tiny'\n[[data]]\npath = {root:?}\n");
        std::fs::write(root.join("run.toml"), &data)?;
        std::fs::write(root.join("mae.toml"), &data)?;
        let args = Args {
            grid: root.join("grid.toml"),
            save_dir: root.join("out"),
            threads: 0,
        };
        let grid: Grid = toml::from_str(grid)?;
        let pretrainings = plan_pretrainings(&args, &grid)?;
        let runs = plan_runs(&args, &grid)?;
        let folders = pretrainings.iter().map(|planned| &planned.folder);
        expect_distinct(folders.chain(runs.iter().map(|planned| &planned.folder)))?;
        let runs = runs.into_iter();
        Ok(runs.map(|p| (p.name.to_owned(), p.run, p.folder)).collect())
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
                let grey = image::Luma([grey * name.as_bytes()[0]]);
                let picture = image::GrayImage::from_pixel(8, 8, grey);
                picture.save(folder.join(name)).unwrap();
            }
        }
        let (_, run, folder) = plan(root.path(), GRID).unwrap().remove(0);
        let encoder = run.pretrained.clone().unwrap();
        std::fs::create_dir_all(encoder.parent().unwrap()).unwrap();
        std::fs::write(&encoder, "an encoder").unwrap();
        let check = || expect_same_files(&record_of(&run)?, &folder);
        begin(&record_of(&run).unwrap(), &folder);
        check().unwrap();

        // Another pretraining under the same name.
        std::fs::write(&encoder, "another one").unwrap();
        let said = check().unwrap_err().to_string();
        for part in ["full_3", "the pretrained encoder", "pretrain_3", "remove"] {
            assert!(said.contains(part), "{said}");
        }
        std::fs::write(&encoder, "an encoder").unwrap();
        check().unwrap();

        let image = root.path().join("test/images/a.png");
        image::GrayImage::new(9, 8).save(image).unwrap();
        let said = check().unwrap_err().to_string();
        assert!(said.contains("the image of test image 'a'"), "{said}");
        // Older folders have no record.
        std::fs::remove_file(folder.join("data.tsv")).unwrap();
        check().unwrap();
    }

    #[test]
    fn a_stopped_grid_names_no_flag_that_it_lacks() {
        let report = |outcome| Report {
            outcome,
            steps: 3,
            epochs: 0,
            best: None,
            loss: None,
            skipped: 0,
            best_path: None,
            final_path: None,
        };
        let (said, status) = unfinished(&report(Outcome::Interrupted)).unwrap();
        assert!(said.contains("interrupted after step 3") && said.contains("same command goes on"));
        assert!(!said.contains("--resume"), "{said}");
        assert_eq!(status, support::INTERRUPTED);
        assert_eq!(unfinished(&report(Outcome::Completed)), None);
    }
}
