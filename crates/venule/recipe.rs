use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use venule_data::{Augment, ColorJitter, Preprocess, Resize};
use venule_loss::{Bce, Composite, Dice, Focal, Loss, ThinBce, Tversky};
use venule_train::{EmaConfig, PlateauConfig, Schedule, Span, TrainConfig, Warmup};

use crate::{Error, ModelConfig, Result};

/// Which loss a segmentation model is trained with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossChoice {
    /// BCE + ½ Dice, the Dice pooled over the batch.
    BceDice,
    /// ½ BCE + Dice + 2.5 thin-vessel BCE + focal.
    ThinVessels,
    /// ½ BCE + Dice + 2.5 Tversky + 2.5 thin-vessel BCE + focal.
    Reference,
    /// The terms of `Reference` with weights of one's choice.
    Terms(LossTerms),
}

/// Weights of the terms of a loss; a term of weight 0, the default, is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LossTerms {
    /// Binary cross-entropy.
    pub bce: f64,
    /// Soft Dice, per image.
    pub dice: f64,
    /// Tversky, α 0.2 on false positives and β 0.8 on false negatives.
    pub tversky: f64,
    /// Thin-vessel BCE, weight 4 on vessels narrower than 3 pixels.
    pub thin: f64,
    /// Focal, γ 2 and α 0.25.
    pub focal: f64,
}

impl LossTerms {
    fn build(self) -> Result<Composite> {
        let terms: [(f64, Box<dyn Loss>); 5] = [
            (self.bce, Box::new(Bce::new())),
            (self.dice, Box::new(Dice::new())),
            (self.tversky, Box::new(Tversky::default())),
            (self.thin, Box::new(ThinBce::default())),
            (self.focal, Box::new(Focal::default())),
        ];
        let terms = terms.into_iter().filter(|(weight, _)| *weight != 0.0);
        Ok(Composite::new(terms.collect())?)
    }
}

impl LossChoice {
    /// The loss itself.
    ///
    /// # Errors
    /// If [`LossTerms`] has no weight above 0, or one that is negative or not finite.
    pub fn build(self) -> Result<Composite> {
        match self {
            Self::BceDice => Ok(Composite::preset("bce-dice")?),
            Self::ThinVessels => Ok(Composite::preset("thin-vessels")?),
            Self::Reference => Ok(Composite::preset("reference")?),
            Self::Terms(terms) => terms.build(),
        }
    }
}

impl fmt::Display for LossChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BceDice => "bce-dice",
            Self::ThinVessels => "thin-vessels",
            Self::Reference => "reference",
            Self::Terms(_) => "terms",
        })
    }
}

impl FromStr for LossChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "bce-dice" => Ok(Self::BceDice),
            "thin-vessels" => Ok(Self::ThinVessels),
            "reference" => Ok(Self::Reference),
            _ => Err(Error::Config {
                field: "loss",
                value: text.to_owned(),
                expected: "choose thin-vessels, bce-dice or reference",
            }),
        }
    }
}

/// How a preset is fine-tuned: model, input, loss and schedule together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The architecture.
    pub model: ModelConfig,
    /// How a photograph becomes the network's input.
    pub preprocess: Preprocess,
    /// How the colours of a training photograph change before the channel is taken. Default: not at all; else each crop's
    /// photograph is prepared anew.
    #[serde(default)]
    pub color: ColorJitter,
    /// What happens to a prepared training image.
    pub augment: Augment,
    /// Side of the square crops.
    pub crop: usize,
    /// Crops taken from each image in an epoch.
    pub crops_per_image: usize,
    /// Crops in a batch.
    pub batch_size: usize,
    /// The loss.
    pub loss: LossChoice,
    /// Optimiser, schedule and checkpoints.
    pub train: TrainConfig,
}

/// Diameter in pixels of DRIVE's fields of view: the scale at which `compact` sees every photograph.
const DRIVE_DIAMETER: f32 = 535.0;

impl Recipe {
    /// The recipe of a preset.
    ///
    /// - `compact`: every photograph at the scale of DRIVE (field of view 535 pixels wide); crops of 256², any rotation, scale,
    ///   contrast; ½ BCE + Dice + 2.5 thin-vessel BCE + focal; AdamW 3e-3, weight decay 0.02, 200 steps of warm-up, cosine; averaged
    ///   weights (decay 0.998).
    /// - `unet`: as `compact`.
    /// - `seed` and its variants: the reference's: photographs resized to 512², its five-term loss, AdamW 1e-4, weight decay 0.01, learning
    ///   rate halved after ten epochs without a better F1.
    /// - `tiny`: `compact` at crops of 128², AdamW 1e-3, without averaging.
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        let model = ModelConfig::preset(name)?;
        let compact = |model, resize, crop, train| Self {
            model,
            preprocess: Preprocess {
                resize,
                ..Preprocess::default()
            },
            color: ColorJitter::none(),
            augment: Augment::standard(),
            crop,
            crops_per_image: 10,
            batch_size: 4,
            loss: LossChoice::ThinVessels,
            train,
        };
        let train = |learning_rate, warmup, ema| TrainConfig {
            epochs: 86,
            learning_rate,
            weight_decay: 0.02,
            schedule: Schedule::Cosine { min_lr: 5e-6 },
            warmup: Warmup {
                length: Span::Steps(warmup),
                ..Warmup::default()
            },
            ema,
            ..TrainConfig::default()
        };
        let averaged = EmaConfig {
            decay: 0.998,
            ..EmaConfig::default()
        };
        Ok(match name {
            _ if name.starts_with("seed") => Self {
                model,
                preprocess: Preprocess {
                    resize: Some(Resize::Square(512)),
                    ..Preprocess::default()
                },
                color: ColorJitter::none(),
                augment: Augment::standard(),
                crop: 512,
                crops_per_image: 1,
                batch_size: 4,
                loss: LossChoice::Reference,
                train: TrainConfig {
                    schedule: Schedule::ReduceOnPlateau(PlateauConfig::default()),
                    ..TrainConfig::default()
                },
            },
            "tiny" => compact(model, None, 128, train(1e-3, 50, None)),
            _ => compact(
                model,
                Some(Resize::FovDiameter(DRIVE_DIAMETER)),
                256,
                train(3e-3, 200, Some(averaged)),
            ),
        })
    }
}
