//! The kinds of parts that are there from the start: one row each.

use venule_mae::{VitConfig, VitEncoder};
use venule_nn::NoEncoder;
use venule_seg::{MultiScaleConfig, MultiScaleDecoder, ProgressiveConfig, ProgressiveDecoder};

use super::registry::{DecoderKind, EncoderKind};
use crate::{Error, Result};

/// The kind of the Vision Transformer.
pub(crate) const VIT: &str = "vit";
/// The kind of no encoder at all.
pub(crate) const NO_ENCODER: &str = "none";

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
            EncoderKind::masked(|config: &VitConfig, params| {
                expect_gray(config.in_channels)?;
                Ok(VitEncoder::new(config, params)?)
            }),
        ),
    ]
}

pub(super) fn decoders() -> [(&'static str, DecoderKind); 2] {
    [
        (
            "progressive",
            DecoderKind::new(|config: &ProgressiveConfig, maps, params| {
                Ok(ProgressiveDecoder::new(config, maps, params)?)
            }),
        ),
        (
            "multi_scale",
            DecoderKind::new(|config: &MultiScaleConfig, maps, params| {
                expect_gray(config.in_channels)?;
                Ok(MultiScaleDecoder::new(config, maps, params)?)
            }),
        ),
    ]
}

/// A photograph comes to the network as one plane.
fn expect_gray(channels: usize) -> Result<()> {
    match channels {
        1 => Ok(()),
        channels => Err(one_channel(channels)),
    }
}

/// What is wrong with a network of several input channels: of a photograph one goes in ([`Preprocess`](venule_data::Preprocess)).
pub(crate) fn one_channel(channels: usize) -> Error {
    Error::Config {
        field: "in_channels",
        value: channels.to_string(),
        expected: "one channel of a photograph goes into the network; a model of several is built from the crates `mae` and `seg`",
    }
}
