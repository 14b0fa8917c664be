use std::fmt;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use venule_data::{Channel, FovPolicy, Plane, Planes, Preprocess, Resize, Sample};
use venule_onnx::OnnxNetwork;
use venule_seg::TiledInference;

use crate::checkpoint::Settings;
use crate::predict::seen_only;
use crate::segmenter::{check_threshold, mean_of_mirrored};
use crate::{Calibration, Predict, Prediction, Provenance, Result, Segmentation};

/// Sides of images of any size are filled up to multiples of this, as networks that halve them up to five times take them.
const MULTIPLE: usize = 32;

/// Most pixels that go through a network of any size at once, as through a [`VesselModel`](crate::VesselModel).
const WHOLE: usize = 1 << 20;

/// Tiles of larger images.
const TILES: TiledInference = TiledInference {
    tile: 768,
    overlap: 128,
};

/// How photographs are prepared for an ONNX file that does not say so itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OnnxOptions {
    /// The channels it takes. Default: what the file says, else green for one channel and red, green and blue for three.
    pub channel: Option<Channel>,
    /// Whether each channel is brought to mean 0 and deviation 1 in the field of view instead of being divided by 255. A file that says
    /// how its photographs are prepared goes before.
    pub standardize: bool,
    /// The size to which photographs are brought. Default: what the file says, else none.
    pub resize: Option<Resize>,
    /// The name of the output that gives the vessels. Default: the only one, or `probability`, or `logits`.
    pub output: Option<String>,
}

/// Finds vessels with a network of an ONNX file, of this project or of other makers, on the CPU.
///
/// A file that [`Checkpoint::save_onnx`](crate::Checkpoint::save_onnx) wrote says how photographs are prepared and which threshold it has; of another one
/// [`OnnxOptions`] say so, and its threshold is 0.5. Where the file takes images of one size, a photograph is cut into overlapping tiles of that size, and a smaller one filled up by zeros.
///
/// ```no_run
/// use venule::{OnnxOptions, OnnxSegmenter, Predict};
/// use venule::data::{Sample, read_image};
/// let network = OnnxSegmenter::from_file("w_net.onnx", &OnnxOptions::default())?;
/// let photo = Sample::unlabelled("photo", read_image("photo.jpg")?);
/// println!("{} vessel pixels", network.segment_sample(&photo)?.mask.count());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OnnxSegmenter {
    path: PathBuf,
    network: OnnxNetwork,
    settings: Settings,
    /// Whether the file says how photographs are prepared: it is of this project, and itself fills up its images.
    described: bool,
    flips: bool,
}

impl fmt::Debug for OnnxSegmenter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OnnxSegmenter")
            .field("path", &self.path)
            .field("settings", &self.settings)
            .field("flips", &self.flips)
            .finish_non_exhaustive()
    }
}

impl OnnxSegmenter {
    /// From an ONNX file.
    ///
    /// # Errors
    /// If the file is unreadable, damaged, or no network of one image and one or two maps; if it has unknown operators, or takes other
    /// channels than it or the options say.
    pub fn from_file(path: impl AsRef<Path>, options: &OnnxOptions) -> Result<Self> {
        let path = path.as_ref();
        let network = OnnxNetwork::load(path, options.output.as_deref())?;
        let taken = network.interface().channels;
        let own = Settings::of_onnx(path, network.metadata())?;
        let described = own.is_some();
        let mut settings = own.unwrap_or_else(|| Settings {
            preprocess: Preprocess {
                channel: match taken {
                    Some(3) => Channel::Rgb,
                    _ => Channel::Green,
                },
                standardize: options.standardize,
                ..Preprocess::default()
            },
            fov: FovPolicy::GivenOrDetect,
            threshold: 0.5,
            calibration: Calibration::default(),
            provenance: Provenance::default(),
        });
        if let Some(channel) = options.channel {
            settings.preprocess.channel = channel;
        }
        if options.resize.is_some() {
            settings.preprocess.resize = options.resize;
        }
        settings.preprocess.validate()?;
        crate::model::expect_channels(taken, &settings.preprocess)?;
        Ok(Self {
            path: path.to_owned(),
            network,
            settings,
            described,
            flips: false,
        })
    }

    /// Uses another threshold than the file's, and forgets which images that one was chosen on.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if it is not in [0, 1].
    pub fn with_threshold(mut self, threshold: f32) -> Result<Self> {
        check_threshold(threshold)?;
        self.settings.threshold = threshold;
        self.settings.provenance.threshold_images.clear();
        Ok(self)
    }

    /// Takes the field of view from elsewhere than the file says.
    pub fn with_fov_policy(mut self, fov: FovPolicy) -> Self {
        self.settings.fov = fov;
        self
    }

    /// Brings photographs to another size before the network sees them.
    ///
    /// # Errors
    /// If the size is out of range.
    pub fn with_resize(mut self, resize: Option<Resize>) -> Result<Self> {
        self.settings.preprocess.resize = resize;
        self.settings.preprocess.validate()?;
        Ok(self)
    }

    /// Whether to average over the photograph and its three mirror images, as [`Segmenter::with_flips`](crate::Segmenter::with_flips).
    pub fn with_flips(mut self, flips: bool) -> Self {
        self.flips = flips;
        self
    }

    /// Whether the file itself says how photographs are prepared, and its threshold.
    pub fn is_described(&self) -> bool {
        self.described
    }

    /// How photographs are prepared.
    pub fn preprocess(&self) -> &Preprocess {
        &self.settings.preprocess
    }

    /// Where the weights come from, as far as the file says.
    pub fn provenance(&self) -> &Provenance {
        &self.settings.provenance
    }

    /// Probabilities of one prepared image, at its size.
    fn map(&self, image: &Planes) -> Result<Plane> {
        let (width, height) = image.size();
        let interface = self.network.interface();
        let filled = |side: usize, fixed: Option<usize>| match fixed {
            Some(fixed) => side.max(fixed),
            None if self.described => side,
            None => side.next_multiple_of(MULTIPLE),
        };
        let (tall, wide) = (
            filled(height, interface.height),
            filled(width, interface.width),
        );
        let values = Tensor::from_slice(
            image.data(),
            (1, image.channels(), height, width),
            &Device::Cpu,
        )?;
        let values =
            values
                .pad_with_zeros(2, 0, tall - height)?
                .pad_with_zeros(3, 0, wide - width)?;
        let whole = tall * wide <= WHOLE;
        let tiles = |fixed: Option<usize>, side: usize| match fixed {
            Some(tile) => TiledInference {
                tile,
                overlap: TILES.overlap.min(tile / 4),
            },
            None if whole => TiledInference {
                tile: side,
                overlap: 0,
            },
            None => TILES,
        };
        let (rows, columns) = (tiles(interface.height, tall), tiles(interface.width, wide));
        // The network's own error, which says more than that of a tensor.
        let mut failure = None;
        let map = TiledInference::run_rectangles(rows, columns, &values, |tile| {
            let (_, channels, height, width) = tile.dims4()?;
            let values = tile.flatten_all()?.to_vec1::<f32>()?;
            let map = self
                .network
                .probabilities(&values, [channels, height, width]);
            let map = map.map_err(|error| {
                let text = error.to_string();
                failure = Some(error);
                candle_core::Error::Msg(text)
            })?;
            Tensor::from_vec(map, (1, 1, height, width), &Device::Cpu)
        });
        if let Some(error) = failure {
            return Err(error.into());
        }
        let map = map?.narrow(2, 0, height)?.narrow(3, 0, width)?;
        Ok(Plane::new(width, height, map.flatten_all()?.to_vec1()?)?)
    }
}

impl Predict for OnnxSegmenter {
    fn predict(&self, sample: &Sample) -> Result<Prediction> {
        sample.check_sizes()?;
        let fov = self.settings.fov.resolve(sample)?;
        let preprocess = self.settings.preprocess.for_sample(sample);
        let input = preprocess.apply_seen(&sample.image, &fov);
        let (input, seen) = input.map_err(|error| error.of_sample(&sample.id))?;
        let probability = match self.flips {
            false => self.map(&input)?,
            true => mean_of_mirrored(&input, |views| {
                views.iter().map(|view| self.map(view)).collect()
            })?,
        };
        let probability = seen_only(probability, &preprocess, &seen)?;
        let probability = self.settings.calibration.apply(probability, &fov)?;
        Ok(Prediction { probability, fov })
    }

    fn threshold(&self) -> f32 {
        self.settings.threshold
    }

    fn segment_sample(&self, sample: &Sample) -> Result<Segmentation> {
        let prediction = self.predict(sample)?;
        let found = prediction.segmentation(self.threshold())?;
        found.examined(&sample.image)
    }
}
