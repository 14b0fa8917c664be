use std::path::PathBuf;
use std::process::ExitCode;

use venule::data::{DatasetSpec, Error, FolderSet, FovPolicy, Reading, Split};
use venule::file::write_atomic;
use venule_lab::DatasetSummary;

use crate::output::{AnyResult, check_tables, number, say};
use crate::reading::{ReadingArgs, say_left_out, say_notes};

/// Say what data sets hold: images, labels, fields of view, sizes, vessel pixels and annotator agreement of every split.
///
/// The exit code is not 0 if a split is broken: a file is missing or damaged, or files do not pair.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule data --dataset drive=data/DRIVE chase_db1=data/CHASE_DB1"
)]
pub struct Args {
    /// Data set as NAME=PATH (drive, chase_db1, stare, hrf, fives, retina_blood_vessel, folder, unlabelled)
    #[arg(long, required = true, num_args = 1..)]
    dataset: Vec<DatasetSpec>,
    /// Leave out images whose files cannot be read, and say how many; else they break their split
    #[arg(long)]
    skip_unreadable: bool,
    /// Write all numbers to this JSON file
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Prints what the data sets hold; the exit code says whether a split is broken.
pub fn run(args: Args) -> AnyResult<ExitCode> {
    let _places = check_tables([], args.json.as_deref())?;
    let reading = args.reading.reading();
    let mut rows = Vec::new();
    let mut broken = 0;
    for spec in &args.dataset {
        say!("{spec}");
        let before = broken;
        let mut found: Option<FolderSet> = None;
        for split in [Split::Train, Split::Validation, Split::Test] {
            match summary(spec, split, &reading, args.skip_unreadable) {
                Ok((summary, files, skipped)) => {
                    print(split, &summary, skipped);
                    let notes = files.notes().into_iter();
                    let notes: Vec<String> = notes.map(|note| note.to_string()).collect();
                    let mut row = serde_json::to_value(&summary)?;
                    row["dataset"] = spec.to_string().into();
                    row["split"] = split.name().into();
                    row["unreadable"] = skipped.into();
                    row["notes"] = notes.into();
                    rows.push(row);
                    found = Some(match found {
                        Some(all) => all.join(files),
                        None => files,
                    });
                }
                Err(venule_lab::Error::Venule(venule::Error::Data(error)))
                    if is_absent(spec, &error) =>
                {
                    say!("  {split}: {error}");
                }
                Err(error) => {
                    broken += 1;
                    eprintln!("error: {spec}, {split}: {error}");
                }
            }
        }
        if let Some(files) = &found {
            say_left_out("  ", files);
            say_notes("  ", files);
        } else if broken == before {
            broken += 1;
            eprintln!("error: {spec} holds no split");
        }
    }
    if let Some(path) = &args.json {
        write_atomic(path, &serde_json::to_vec_pretty(&rows)?)?;
        say!("all numbers: {}", path.display());
    }
    Ok(match broken {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Whether a split is not there at all, as the test images of a set that one has not downloaded, rather than in part.
fn is_absent(spec: &DatasetSpec, error: &Error) -> bool {
    match error {
        Error::EmptySplit { .. } => true,
        Error::MissingFolder { path, .. } => {
            let mut below = path.strip_prefix(&spec.path).ok().into_iter().flatten();
            below
                .next()
                .is_some_and(|part| !spec.path.join(part).is_dir())
        }
        _ => false,
    }
}

/// What a split holds, its files, and how many of its images were left out.
fn summary(
    spec: &DatasetSpec,
    split: Split,
    reading: &Reading,
    skip_unreadable: bool,
) -> venule_lab::Result<(DatasetSummary, FolderSet, usize)> {
    let mut files = spec.files(split)?.with_reading(reading);
    let mut errors = Vec::new();
    if skip_unreadable {
        (files, errors) = files.without_unreadable();
    }
    for error in &errors {
        say!("  {split}: left out: {error}");
    }
    let summary = DatasetSummary::of(&files, FovPolicy::GivenOrDetect)?;
    Ok((summary, files, errors.len()))
}

fn print(split: Split, summary: &DatasetSummary, skipped: usize) {
    let sizes = summary.sizes.iter();
    let sizes: Vec<String> = sizes
        .map(|(size, count)| format!("{count} of {size}"))
        .collect();
    say!(
        "  {split}: {} images ({}), {} labels, {} second labels, {} fields of view given",
        summary.images,
        sizes.join(", "),
        summary.labels,
        summary.second_labels,
        summary.fovs
    );
    if skipped > 0 {
        say!("    {skipped} unreadable images left out");
    }
    if let Some(share) = summary.vessel_share() {
        say!(
            "    {} pixels in the fields of view, {} of them vessel ({:.2} %)",
            summary.fov_pixels,
            summary.vessel_pixels,
            100.0 * share
        );
    }
    if let Some(agreement) = &summary.agreement {
        say!(
            "    second annotator against the first on {} images: F1 {} pooled, {} as mean over images",
            agreement.images,
            number(agreement.f1),
            number(agreement.mean_f1)
        );
    }
    if !summary.fov_not_found.is_empty() {
        say!(
            "    no field of view found in {} images, whose pixels are not counted: {}",
            summary.fov_not_found.len(),
            summary.fov_not_found.join(", ")
        );
    }
}
