use std::path::{Path, PathBuf};
use std::process::ExitCode;

use venule::candle_core::DType;
use venule::data::{DatasetSpec, Resize, Split};
use venule::mae::{VitConfig, export_encoder};
use venule::{ImageRecord, Protocol, Segmenter};

use crate::output::{AnyResult, check_places, expect_no_input, say};
use crate::support;

/// Write weights in half precision, with all that is needed to use them: a file to give away. Or the encoder alone, for others.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  venule export --weights best.safetensors --out vessels.safetensors\n  venule export --weights best.safetensors --encoder --out vit.safetensors"
)]
pub struct Args {
    /// Weights that `finetune` wrote
    #[arg(long)]
    weights: PathBuf,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
    /// Store the threshold that maximises F1 on this data set, NAME=PATH, instead of the one chosen in training: for use on
    /// other cameras, take photographs of a camera that was not trained on
    #[arg(long)]
    threshold_on: Option<DatasetSpec>,
    /// The split of that data set: train, validation, test or all
    #[arg(long, default_value = "validation", requires = "threshold_on")]
    threshold_split: Split,
    /// In use, bring photographs to this diameter of the field of view in pixels, instead of that of training: a smaller one is
    /// faster
    #[arg(long)]
    fov_diameter: Option<f32>,
    /// In use, let the encoder see windows of at most this many patches a side, such as the side of its training crops: faster
    /// on large photographs; 0: each photograph at once [default: what the weights say]
    #[arg(long)]
    window: Option<usize>,
    /// Write the encoder alone, in the layout of timm and MAE, which both load as it is
    #[arg(long, conflicts_with_all = ["threshold_on", "fov_diameter", "window"])]
    encoder: bool,
}

pub fn run(args: Args) -> AnyResult<ExitCode> {
    let _places = check_places([], [args.out.as_path()])?;
    expect_no_input(&args.out, [args.weights.as_path()])?;
    let mut segmenter = Segmenter::from_file(&args.weights)?;
    if args.encoder {
        return encoder(&segmenter, &args.out);
    }
    if let Some(diameter) = args.fov_diameter {
        segmenter = segmenter.with_resize(Some(Resize::FovDiameter(diameter)))?;
    }
    segmenter = support::with_window(segmenter, args.window)?;
    let mut checkpoint = segmenter.checkpoint().clone();
    if let Some(spec) = &args.threshold_on {
        let set = spec.open(args.threshold_split)?;
        let best = Protocol::default().choose_threshold(&segmenter, set.as_ref())?;
        say!(
            "threshold {:.4} instead of {:.4}: F1 {:.4} on {} images",
            best.threshold,
            checkpoint.threshold,
            best.f1,
            set.len()
        );
        checkpoint.threshold = best.threshold;
        let prefix = format!("{}_", spec.layout);
        checkpoint.provenance.threshold_images = ImageRecord::of(set.as_ref(), &prefix)?;
    }
    if let Some(path) = checkpoint.provenance.pretrained.take() {
        // The folders of the machine it was trained on are nobody's concern.
        let name = Path::new(&path).file_name().unwrap_or_default();
        checkpoint.provenance.pretrained = Some(name.to_string_lossy().into_owned());
    }
    checkpoint.save(&args.out, segmenter.model(), DType::F16)?;
    let provenance = &checkpoint.provenance;
    let drawn = provenance.drawn.iter().map(|name| format!(" and {name}"));
    let unlabelled = match provenance.unlabelled.len() {
        0 => String::new(),
        count => format!(" and {count} without labels"),
    };
    say!(
        "{}: {} bytes, trained on {} images{unlabelled}{}",
        args.out.display(),
        std::fs::metadata(&args.out)?.len(),
        provenance.images.len(),
        drawn.collect::<String>()
    );
    Ok(ExitCode::SUCCESS)
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
