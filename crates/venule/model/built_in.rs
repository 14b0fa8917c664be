//! The kinds of parts that are there from the start: one row each.

use venule_mae::{VitConfig, VitEncoder};
use venule_nn::NoEncoder;
use venule_seg::{MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder};

use super::kind::{DecoderKind, EncoderKind};

/// The kind of the Vision Transformer.
pub(crate) const VIT: &str = "vit";
/// The kind of no encoder at all.
pub(crate) const NO_ENCODER: &str = "none";

/// The kind of the decoder that sees the image.
pub(crate) const MULTI_SCALE: &str = "multi_scale";
/// The kind of the decoder that doubles one map.
pub(crate) const PROGRESSIVE: &str = "progressive";

/// The kind `none` has no settings.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

pub(super) fn encoders() -> [(&'static str, EncoderKind); 2] {
    [
        (
            NO_ENCODER,
            EncoderKind::plain(|_: &NoSettings, _| Ok(NoEncoder)),
        ),
        (
            VIT,
            EncoderKind::masked(|config: &VitConfig, params| Ok(VitEncoder::new(config, params)?)),
        ),
    ]
}

pub(super) fn decoders() -> [(&'static str, DecoderKind); 2] {
    [
        (
            PROGRESSIVE,
            DecoderKind::new(|config: &ProgressiveConfig, maps, params| {
                Ok(ProgressiveDecoder::new(config, maps, params)?)
            }),
        ),
        (
            MULTI_SCALE,
            DecoderKind::new(|config: &MultiScaleConfig, maps, params| {
                Ok(MultiScaleDecoder::new(config, maps, params)?)
            }),
        ),
    ]
}
