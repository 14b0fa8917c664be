use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use venule::candle_core::{DType, Device};
use venule::data::{Dataset, DatasetSpec, Resize, Split};
use venule::mae::{VitConfig, export_encoder};
use venule::onnx::InputSize;
use venule::{Checkpoint, ImageRecord, Protocol, Segmenter};
use venule_lab::known_images;
use venule_lab::report::distinct_names;

use crate::output::{AnyResult, check_places, expect_no_input, say};
use crate::reading::say_left_out;
use crate::support;

/// Write weights in half precision, with all that is needed to use them: a file to give away. Or the encoder alone, or the model as
/// ONNX, for others.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule export --weights best.safetensors --out vessels.safetensors\n  venule export --weights best.safetensors --encoder --out vit.safetensors\n  venule export --weights best.safetensors --onnx vessels.onnx --size 584x565"
)]
pub struct Args {
    /// Weights that `finetune` wrote, or bundled, bundled-fast or label-free
    #[arg(long)]
    weights: PathBuf,
    /// The file to write
    #[arg(long, required_unless_present = "onnx", conflicts_with = "onnx")]
    out: Option<PathBuf>,
    /// Write the model to this file as ONNX instead, which other programs run
    #[arg(long)]
    onnx: Option<PathBuf>,
    /// The images that the ONNX file takes: of one size, as HEIGHTxWIDTH in pixels, or of any
    #[arg(long, default_value = "dynamic", requires = "onnx")]
    size: InputSize,
    /// Store the threshold that maximises F1 on this data set, NAME=PATH, instead of the one chosen in training: for use on
    /// other cameras, take photographs of a camera that was not trained on. Of several the mean of their F1 counts
    #[arg(long, num_args = 1..)]
    threshold_on: Vec<DatasetSpec>,
    /// The split of that data set: train, validation, test or all; one for all of them, or one for each
    #[arg(long, num_args = 1.., default_value = "validation", requires = "threshold_on")]
    threshold_split: Vec<Split>,
    /// Let the threshold depend on the size of the photograph: labels drawn on small ones draw vessels wider. Needs data sets of
    /// several sizes
    #[arg(long, requires = "threshold_on")]
    by_size: bool,
    /// In use, bring photographs to this diameter of the field of view in pixels, instead of that of training: a smaller one is
    /// faster
    #[arg(long)]
    fov_diameter: Option<f32>,
    /// In use, leave out the dark rim along the border of the field of view, as long as its level is below this share of that further
    /// inside, such as 0.7, and find no vessels in it; 0: see all
    #[arg(long)]
    dark_rim: Option<f32>,
    /// In use, let the encoder see windows of at most this many patches a side, such as the side of its training crops: faster
    /// on large photographs; 0: each photograph at once [default: what the weights say]
    #[arg(long)]
    window: Option<usize>,
    /// Write the encoder alone, in the layout of timm and MAE, which both load as it is
    #[arg(long, conflicts_with_all = ["threshold_on", "fov_diameter", "dark_rim", "window", "onnx"])]
    encoder: bool,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    let Some(out) = args.onnx.as_ref().or(args.out.as_ref()) else {
        return Err("give the file to write with --out or --onnx".into());
    };
    let _places = check_places([], [out.as_path()])?;
    expect_no_input(out, [args.weights.as_path()])?;
    if args.onnx.is_none() && out.extension().is_some_and(|ending| ending == "onnx") {
        return Err(format!(
            "{}: --out writes safetensors, whatever the name; --onnx writes ONNX",
            out.display()
        )
        .into());
    }
    let mut segmenter = support::segmenter(Some(&args.weights), false, &Device::Cpu)?;
    if args.encoder {
        return encoder(&segmenter, out);
    }
    if let Some(diameter) = args.fov_diameter {
        segmenter = segmenter.with_resize(Some(Resize::FovDiameter(diameter)))?;
    }
    if let Some(share) = args.dark_rim {
        segmenter = segmenter.with_dark_rim(share)?;
    }
    segmenter = support::with_window(segmenter, args.window)?;
    let mut checkpoint = segmenter.checkpoint().clone();
    if !args.threshold_on.is_empty() {
        choose_threshold(&args, &segmenter, &mut checkpoint)?;
    }
    let provenance = &mut checkpoint.provenance;
    for path in provenance
        .pretrained
        .iter_mut()
        .chain(&mut provenance.teachers)
    {
        // The folders of the machine it was trained on are nobody's concern.
        let name = Path::new(path).file_name().unwrap_or_default();
        *path = name.to_string_lossy().into_owned();
    }
    match args.onnx {
        None => checkpoint.save(out, segmenter.model(), DType::F16)?,
        Some(_) => checkpoint.save_onnx(out, segmenter.model(), args.size)?,
    }
    let provenance = &checkpoint.provenance;
    let drawn = provenance.drawn.iter().map(|name| format!(" and {name}"));
    let unlabelled = match provenance.unlabelled.len() {
        0 => String::new(),
        count => format!(" and {count} without labels"),
    };
    say!(
        "{}: {} bytes, trained on {} images{unlabelled}{}",
        out.display(),
        std::fs::metadata(out)?.len(),
        provenance.images.len(),
        drawn.collect::<String>()
    );
    Ok(ExitCode::SUCCESS)
}

/// Stores the threshold of the highest mean F1 over the data sets, and names their images.
fn choose_threshold(
    args: &Args,
    segmenter: &Segmenter,
    checkpoint: &mut Checkpoint,
) -> AnyResult<()> {
    let splits = match args.threshold_split.as_slice() {
        [one] => vec![*one; args.threshold_on.len()],
        each if each.len() == args.threshold_on.len() => each.to_vec(),
        each => {
            return Err(format!(
                "--threshold-split has {} splits for {} data sets; give one for all, or one for each",
                each.len(),
                args.threshold_on.len()
            )
            .into());
        }
    };
    let names = distinct_names(args.threshold_on.iter().map(short_name));
    let mut images = Vec::new();
    let mut sets = Vec::new();
    for ((spec, split), name) in args.threshold_on.iter().zip(splits).zip(&names) {
        let set = spec.files(split)?;
        say_left_out(&format!("{name}: "), &set);
        let records = ImageRecord::of(&set, &format!("{name}_"))?;
        for note in known_images(&checkpoint.provenance, &records, name, false) {
            let weights = args.weights.display();
            say!(
                "note: {weights} {note}; a threshold chosen there is none for photographs never seen"
            );
        }
        images.extend(records);
        sets.push(set);
    }
    expect_distinct(&images)?;
    let sets: Vec<&dyn Dataset> = sets.iter().map(|set| set as &dyn Dataset).collect();
    if !args.by_size && !checkpoint.calibration.is_identity() {
        say!("the calibration by size of these weights is left out; --by-size finds a new one");
    }
    let best = Protocol::default().choose_common_threshold(segmenter, &sets, args.by_size)?;
    say!(
        "threshold {:.4} instead of {:.4}: F1 {:.4} on {} images",
        best.threshold,
        checkpoint.threshold,
        best.mean_f1,
        images.len()
    );
    if args.by_size {
        say!(
            "logits are moved by {:+.2}, and by {:+.2} more for photographs of twice DRIVE's size",
            best.calibration.offset,
            best.calibration.per_doubling
        );
    }
    for (name, (f1, own)) in names.iter().zip(&best.sets) {
        say!(
            "  {name}: F1 {f1:.4}; with a threshold of its own {:.4}",
            own.f1
        );
    }
    checkpoint.threshold = best.threshold;
    checkpoint.calibration = best.calibration;
    checkpoint.provenance.threshold_images = images;
    Ok(())
}

/// Refuses a photograph that stands in two data sets, or in one that is given twice: it would count twice.
fn expect_distinct(images: &[ImageRecord]) -> AnyResult<()> {
    let mut seen = BTreeMap::new();
    for image in images {
        if let Some(checksum) = &image.checksum
            && let Some(first) = seen.insert(checksum.to_string(), &image.name)
        {
            return Err(format!(
                "{first} and {} are the same photograph, which would count twice; leave one of the data sets out",
                image.name
            )
            .into());
        }
    }
    Ok(())
}

/// What a data set is called in its images' records: its layout, or the folder where that is plain.
fn short_name(spec: &DatasetSpec) -> String {
    match spec.path.file_name() {
        Some(folder) if spec.layout.name == "folder" => folder.to_string_lossy().to_lowercase(),
        _ => spec.layout.name.to_string(),
    }
}

/// Writes the encoder in the layout of public weights.
fn encoder(segmenter: &Segmenter, out: &Path) -> AnyResult<ExitCode> {
    let encoder = &segmenter.checkpoint().model.encoder;
    if encoder.kind != "vit" {
        return Err(format!(
            "--encoder writes encoders of the kind 'vit', which these weights have not ('{}'); leave it out to export the whole model",
            encoder.kind
        )
        .into());
    }
    let config: VitConfig = encoder.settings()?;
    export_encoder(segmenter.model().store(), "encoder", &config, out)?;
    let bytes = std::fs::metadata(out)?.len();
    say!("{}: {bytes} bytes, the encoder alone", out.display());
    Ok(ExitCode::SUCCESS)
}
