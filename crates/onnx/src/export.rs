use std::collections::BTreeMap;

use prost::Message;
use venule_mae::VitConfig;
use venule_nn::ParamStore;
use venule_seg::{MultiScaleConfig, ProgressiveConfig};

use crate::decoders::{JOIN, OF_TRAINING, multi_scale, probabilities, progressive};
use crate::graph::{Graph, Map, Side};
use crate::proto::{
    Dimension, Entry, FLOAT, Model, OperatorSet, Shape, TensorType, Type, ValueInfo,
};
use crate::vit::encode;
use crate::{Error, InputSize, Result};

/// The name of a written model's input: images (N, C, H, W).
pub const INPUT: &str = "image";
/// The name of a written model's first output: logits (N, 1, H, W).
pub const LOGITS: &str = "logits";
/// The name of a written model's second output: probabilities (N, 1, H, W) of a vessel.
pub const PROBABILITY: &str = "probability";

/// The operators' version: the first with LayerNormalization.
const OPERATOR_SET: i64 = 17;
/// The version of the format that goes with it.
const IR_VERSION: i64 = 8;

/// Protobuf's readers take no more than a signed number of 32 bits.
const LARGEST_FILE: usize = i32::MAX as usize;

/// The encoder of a model to be written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EncoderSettings {
    /// None: the decoder sees the image alone.
    None,
    /// A [`VitEncoder`](venule_mae::VitEncoder) in evaluation, with its windows.
    Vit(VitConfig),
}

/// The decoder of a model to be written.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum DecoderSettings {
    /// A [`MultiScaleDecoder`](venule_seg::MultiScaleDecoder).
    MultiScale(MultiScaleConfig),
    /// A [`ProgressiveDecoder`](venule_seg::ProgressiveDecoder).
    Progressive(ProgressiveConfig),
}

/// A segmentation model to be written as an ONNX file: settings, parameters, and what is said of them.
///
/// The file's function is that of a [`SegmentationModel`](venule_seg::SegmentationModel) in evaluation: [`INPUT`] →
/// [`LOGITS`] and [`PROBABILITY`]. The number of images is free.
///
/// ```
/// use candle_core::Device;
/// use venule_nn::{Encoder, NoEncoder, ParamStore};
/// use venule_onnx::{DecoderSettings, EncoderSettings, Export, InputSize};
/// use venule_seg::{MultiScaleConfig, MultiScaleDecoder};
///
/// let (store, config) = (ParamStore::new(1, &Device::Cpu), MultiScaleConfig::tiny());
/// MultiScaleDecoder::new(&config, &NoEncoder.outputs(), &store.root().pp("decoder"))?;
/// let export = Export::new(EncoderSettings::None, DecoderSettings::MultiScale(config), &store);
/// let bytes = export.with_size(InputSize::fixed(100, 120)?).to_bytes()?;
/// // No name of an operator is compressed.
/// assert!(bytes.windows(7).any(|word| word == b"MaxPool"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Export<'a> {
    encoder: EncoderSettings,
    decoder: DecoderSettings,
    store: &'a ParamStore,
    size: InputSize,
    metadata: BTreeMap<String, String>,
    description: String,
}

impl<'a> Export<'a> {
    /// The model of these settings whose variables lie in `store`, under `encoder.` and `decoder.`, for images of any size.
    pub fn new(encoder: EncoderSettings, decoder: DecoderSettings, store: &'a ParamStore) -> Self {
        Self {
            encoder,
            decoder,
            store,
            size: InputSize::Dynamic,
            metadata: BTreeMap::new(),
            description: String::new(),
        }
    }

    /// For images of this size.
    pub fn with_size(self, size: InputSize) -> Self {
        Self { size, ..self }
    }

    /// With these key and value pairs in the file's `metadata_props`.
    pub fn with_metadata(self, metadata: BTreeMap<String, String>) -> Self {
        Self { metadata, ..self }
    }

    /// With this text as the file's documentation, which viewers show.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }

    /// The file's bytes. Equal models give equal bytes.
    ///
    /// # Errors
    /// [`Error::Variable`] or [`Error::Unused`] if the settings are not those of the parameters, [`Error::TooLarge`] for a model of
    /// two gigabytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut graph = Graph::new("vessels", self.store);
        let (height, width) = match self.size {
            InputSize::Dynamic => (None, None),
            InputSize::Fixed { height, width } => (Some(height), Some(width)),
        };
        let image = self.image(&mut graph, (height, width));
        let padded = self.padded(&mut graph, &image);
        let logits = self.network(&mut graph, &padded)?;
        cropped(&mut graph, &logits, &padded, &image);
        probabilities(&mut graph, LOGITS, PROBABILITY);

        let mut proto = graph.finish(&OF_TRAINING.map(str::to_owned))?;
        let about = |name: &str, channels: usize, text: &str| ValueInfo {
            name: name.to_owned(),
            kind: Some(image_type(channels, (height, width))),
            doc_string: text.to_owned(),
        };
        proto.input = vec![about(INPUT, image.channels, "prepared photographs")];
        proto.output = vec![
            about(LOGITS, 1, "logits of a vessel"),
            about(
                PROBABILITY,
                1,
                "probability of a vessel, 1 / (1 + exp(-logit))",
            ),
        ];
        let entries = self.metadata.iter().map(|(key, value)| Entry {
            key: key.clone(),
            value: value.clone(),
        });
        let model = Model {
            ir_version: IR_VERSION,
            producer_name: "venule".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: self.description.clone(),
            graph: Some(proto),
            opset_import: vec![OperatorSet {
                domain: String::new(),
                version: OPERATOR_SET,
            }],
            metadata_props: entries.collect(),
        };
        match model.encoded_len() {
            bytes if bytes > LARGEST_FILE => Err(Error::TooLarge {
                bytes,
                limit: LARGEST_FILE,
            }),
            _ => Ok(model.encode_to_vec()),
        }
    }

    /// The input.
    fn image(&self, graph: &mut Graph<'_>, sides: (Option<usize>, Option<usize>)) -> Map {
        let mut side = |known: Option<usize>, axis: i64| match known {
            Some(side) => Side::Known(side as i64),
            None => {
                let shape = graph.node("Shape", "size", &[INPUT], &[]);
                let ends = [axis, axis + 1].map(|end| graph.integers(&[end], &[1]));
                let first = graph.integers(&[0], &[1]);
                Side::Computed(graph.node(
                    "Slice",
                    "size",
                    &[&shape, &ends[0], &ends[1], &first],
                    &[],
                ))
            }
        };
        Map {
            value: INPUT.to_owned(),
            channels: self.channels(),
            height: side(sides.0, 2),
            width: side(sides.1, 3),
        }
    }

    /// Channels of the images.
    fn channels(&self) -> usize {
        match (&self.encoder, &self.decoder) {
            (EncoderSettings::Vit(vit), _) => vit.in_channels,
            (_, DecoderSettings::MultiScale(decoder)) => decoder.in_channels,
            (EncoderSettings::None, DecoderSettings::Progressive(_)) => 1,
        }
    }

    /// Encoder and decoder take sides that are multiples of this.
    fn multiple(&self) -> usize {
        let decoder = match self.decoder {
            DecoderSettings::MultiScale(_) => JOIN,
            DecoderSettings::Progressive(_) => 1,
        };
        let encoder = match &self.encoder {
            EncoderSettings::None => 1,
            EncoderSettings::Vit(vit) => vit.patch_size.max(1),
        };
        let mut multiple = encoder;
        while !multiple.is_multiple_of(decoder) {
            multiple += encoder;
        }
        multiple
    }

    /// The image with zeros on the right and at the bottom, up to sides that the network takes.
    fn padded(&self, graph: &mut Graph<'_>, image: &Map) -> Map {
        let multiple = Side::Known(self.multiple() as i64);
        let mut grown = |side: &Side| {
            let parts = graph.divide_up(side, &multiple);
            graph.multiply(&parts, &multiple)
        };
        let (height, width) = (grown(&image.height), grown(&image.width));
        if (&height, &width) == (&image.height, &image.width) {
            return image.clone();
        }
        let mut ends = vec![Side::Known(0); 6];
        ends.push(graph.subtract(&height, &image.height));
        ends.push(graph.subtract(&width, &image.width));
        let ends = graph.sides(&ends);
        Map {
            value: graph.node("Pad", "padded", &[INPUT, &ends], &[]),
            channels: image.channels,
            height,
            width,
        }
    }

    fn network(&self, graph: &mut Graph<'_>, image: &Map) -> Result<Map> {
        let maps = match &self.encoder {
            EncoderSettings::None => Vec::new(),
            EncoderSettings::Vit(config) => {
                let maps = encode(graph, config, image)?.into_iter();
                maps.map(|map| (map, config.patch_size)).collect()
            }
        };
        match &self.decoder {
            DecoderSettings::MultiScale(config) => multi_scale(graph, config, &maps, image),
            DecoderSettings::Progressive(config) => match maps.as_slice() {
                [(map, _)] => progressive(graph, config, map),
                _ => Err(Error::Parts { maps: maps.len() }),
            },
        }
    }
}

/// The part of the logits that lies over the image, as the output.
fn cropped(graph: &mut Graph<'_>, logits: &Map, padded: &Map, image: &Map) {
    if (&padded.height, &padded.width) == (&image.height, &image.width) {
        graph.named_node("Identity", LOGITS, &[&logits.value], &[]);
        return;
    }
    let starts = graph.integers(&[0, 0], &[2]);
    let ends = graph.sides(&[image.height.clone(), image.width.clone()]);
    let axes = graph.integers(&[2, 3], &[2]);
    graph.named_node(
        "Slice",
        LOGITS,
        &[&logits.value, &starts, &ends, &axes],
        &[],
    );
}

fn image_type(channels: usize, (height, width): (Option<usize>, Option<usize>)) -> Type {
    let known = |side: usize| Dimension {
        value: Some(side as i64),
        param: None,
    };
    let side = |side: Option<usize>, name: &str| match side {
        Some(side) => known(side),
        None => Dimension {
            value: None,
            param: Some(name.to_owned()),
        },
    };
    Type {
        tensor: Some(TensorType {
            elem_type: FLOAT,
            shape: Some(Shape {
                dim: vec![
                    side(None, "batch"),
                    known(channels),
                    side(height, "height"),
                    side(width, "width"),
                ],
            }),
        }),
    }
}
