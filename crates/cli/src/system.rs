//! What finds vessels: weights of this project, or an ONNX file.

use std::io::Read;
use std::path::Path;

use venule::candle_core::Device;
use venule::data::{FovPolicy, Resize, Sample};
#[cfg(feature = "onnx")]
use venule::{OnnxOptions, OnnxSegmenter};
use venule::{Predict, Prediction, Provenance, Segmentation, Segmenter};

use crate::output::AnyResult;
use crate::support;

/// Weights of this project, or an ONNX file.
pub enum System {
    Weights(Box<Segmenter>),
    #[cfg(feature = "onnx")]
    Onnx(Box<OnnxSegmenter>),
}

/// How photographs are prepared for ONNX files.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "ONNX files of other makers")]
pub struct OnnxArgs {
    /// The channels that the file takes: green, gray or rgb [default: green, or rgb for three]
    #[cfg(feature = "onnx")]
    #[arg(long, value_name = "CHANNEL", value_parser = ["green", "gray", "rgb"])]
    onnx_channel: Option<String>,
    /// Means of red, green and blue, of values in 0 to 1, such as 0.485,0.456,0.406; taken from them before they are divided by
    /// the deviations
    #[cfg(feature = "onnx")]
    #[arg(long, value_name = "R,G,B", value_parser = three, requires = "onnx_deviation")]
    onnx_mean: Option<[f32; 3]>,
    /// Deviations of red, green and blue, of values in 0 to 1
    #[cfg(feature = "onnx")]
    #[arg(long, value_name = "R,G,B", value_parser = three, requires = "onnx_mean")]
    onnx_deviation: Option<[f32; 3]>,
    /// Bring each channel to mean 0 and deviation 1 in the field of view, instead of dividing by 255
    #[cfg(feature = "onnx")]
    #[arg(long, conflicts_with = "onnx_mean")]
    onnx_standardize: bool,
    /// Bring photographs to a square of so many pixels a side before the network sees them [default: native size, in tiles]
    #[cfg(feature = "onnx")]
    #[arg(long, value_name = "SIDE")]
    onnx_resize: Option<usize>,
    /// The name of the output that gives the vessels, where the file has several
    #[cfg(feature = "onnx")]
    #[arg(long, value_name = "NAME")]
    onnx_output: Option<String>,
}

#[cfg(feature = "onnx")]
fn three(text: &str) -> Result<[f32; 3], String> {
    let numbers: Result<Vec<f32>, _> = text.split(',').map(str::parse).collect();
    let numbers = numbers.ok().and_then(|numbers| numbers.try_into().ok());
    numbers.ok_or_else(|| "give three numbers, such as 0.485,0.456,0.406".to_owned())
}

#[cfg(feature = "onnx")]
impl OnnxArgs {
    fn options(&self) -> AnyResult<OnnxOptions> {
        use venule::data::Channel;
        let normalized = self.onnx_mean.zip(self.onnx_deviation);
        let channel = match (self.onnx_channel.as_deref(), normalized) {
            (None | Some("rgb"), Some((mean, deviation))) => {
                Some(Channel::NormalizedRgb { mean, deviation })
            }
            (Some(channel), Some(_)) => {
                return Err(format!(
                    "--onnx-mean and --onnx-deviation are of red, green and blue, but --onnx-channel is {channel}"
                )
                .into());
            }
            (Some("green"), None) => Some(Channel::Green),
            (Some("gray"), None) => Some(Channel::Gray),
            (Some(_), None) => Some(Channel::Rgb),
            (None, None) => None,
        };
        Ok(OnnxOptions {
            channel,
            standardize: self.onnx_standardize,
            resize: self.onnx_resize.map(Resize::Square),
            output: self.onnx_output.clone(),
        })
    }

    /// What they say, for the record of a run; nothing where they say nothing.
    pub fn described(&self) -> Option<String> {
        let options = self.options().ok()?;
        (options != OnnxOptions::default()).then(|| format!("{options:?}"))
    }

    /// Refuses flags that no file is there for.
    pub fn expect_use(&self, systems: &[&System]) -> AnyResult<()> {
        let used = systems
            .iter()
            .any(|system| matches!(system, System::Onnx(_)));
        match used || self.options()? == OnnxOptions::default() {
            true => Ok(()),
            false => Err("--onnx-… flags are for ONNX files, but no weights are one".into()),
        }
    }
}

#[cfg(not(feature = "onnx"))]
impl OnnxArgs {
    /// There are no flags.
    pub fn described(&self) -> Option<String> {
        None
    }

    /// There are no flags.
    pub fn expect_use(&self, _: &[&System]) -> AnyResult<()> {
        Ok(())
    }
}

/// Whether a file is called ONNX, and is not weights of this project under that name.
fn is_onnx(path: &Path) -> bool {
    let named = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("onnx"));
    named && !begins_as_safetensors(path)
}

/// Eight bytes of length, then JSON; no ONNX file begins so.
fn begins_as_safetensors(path: &Path) -> bool {
    let mut start = [0; 9];
    let file = std::fs::File::open(path);
    file.is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start[8] == b'{'
}

impl System {
    /// Of a weights file, built-in weights or an ONNX file; without one that of the bundled weights, the `fast` ones or the others.
    pub fn open(
        given: Option<&Path>,
        fast: bool,
        device: &Device,
        onnx: &OnnxArgs,
    ) -> AnyResult<Self> {
        match given {
            Some(path) if is_onnx(path) => Self::onnx(path, device, onnx),
            _ => Ok(Self::Weights(Box::new(support::segmenter(
                given, fast, device,
            )?))),
        }
    }

    #[cfg(feature = "onnx")]
    fn onnx(path: &Path, device: &Device, args: &OnnxArgs) -> AnyResult<Self> {
        if !device.is_cpu() {
            return Err(format!("{} runs on the CPU; leave --device out", path.display()).into());
        }
        let system = OnnxSegmenter::from_file(path, &args.options()?)?;
        Ok(Self::Onnx(Box::new(system)))
    }

    #[cfg(not(feature = "onnx"))]
    fn onnx(path: &Path, _: &Device, _: &OnnxArgs) -> AnyResult<Self> {
        Err(format!(
            "{} is an ONNX file, which this build does not read; install with --features onnx",
            path.display()
        )
        .into())
    }

    pub fn with_threshold(self, threshold: f32) -> venule::Result<Self> {
        Ok(match self {
            Self::Weights(system) => Self::Weights(Box::new(system.with_threshold(threshold)?)),
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => Self::Onnx(Box::new(system.with_threshold(threshold)?)),
        })
    }

    pub fn with_fov_policy(self, fov: FovPolicy) -> Self {
        match self {
            Self::Weights(system) => Self::Weights(Box::new(system.with_fov_policy(fov))),
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => Self::Onnx(Box::new(system.with_fov_policy(fov))),
        }
    }

    pub fn with_resize(self, resize: Resize) -> venule::Result<Self> {
        Ok(match self {
            Self::Weights(system) => Self::Weights(Box::new(system.with_resize(Some(resize))?)),
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => Self::Onnx(Box::new(system.with_resize(Some(resize))?)),
        })
    }

    pub fn with_flips(self, flips: bool) -> Self {
        match self {
            Self::Weights(system) => Self::Weights(Box::new(system.with_flips(flips))),
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => Self::Onnx(Box::new(system.with_flips(flips))),
        }
    }

    /// With windows of at most so many patches a side, if that is said; 0: none.
    pub fn with_window(self, window: Option<usize>) -> AnyResult<Self> {
        match self {
            Self::Weights(system) => {
                let system = support::with_window(*system, window)?;
                Ok(Self::Weights(Box::new(system)))
            }
            #[cfg(feature = "onnx")]
            Self::Onnx(_) if window.is_some() => Err(
                "an ONNX file has its windows inside; leave --window out, or give it to export"
                    .into(),
            ),
            #[cfg(feature = "onnx")]
            onnx => Ok(onnx),
        }
    }

    pub fn provenance(&self) -> &Provenance {
        match self {
            Self::Weights(system) => &system.checkpoint().provenance,
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => system.provenance(),
        }
    }

    /// Whether it is weights of this project on the CPU.
    pub fn is_on_cpu(&self) -> bool {
        match self {
            Self::Weights(system) => system.model().device().is_cpu(),
            #[cfg(feature = "onnx")]
            Self::Onnx(_) => false,
        }
    }

    /// Whether its threshold was chosen in training; that of a file of other makers is 0.5.
    pub fn has_threshold(&self) -> bool {
        match self {
            Self::Weights(_) => true,
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => system.is_described(),
        }
    }

    fn system(&self) -> &dyn Predict {
        match self {
            Self::Weights(system) => system.as_ref(),
            #[cfg(feature = "onnx")]
            Self::Onnx(system) => system.as_ref(),
        }
    }
}

impl Predict for System {
    fn predict(&self, sample: &Sample) -> venule::Result<Prediction> {
        self.system().predict(sample)
    }

    fn threshold(&self) -> f32 {
        self.system().threshold()
    }

    fn segment_sample(&self, sample: &Sample) -> venule::Result<Segmentation> {
        self.system().segment_sample(sample)
    }
}
