//! Presets: model, recipe of fine-tuning and recipe of pretraining under one name, a file each.

mod compact;
mod pretrain_recipe;
mod recipe;
mod seed;
mod self_training;
mod tiny;
mod unet;
mod vit;

pub use pretrain_recipe::PretrainRecipe;
pub use recipe::Recipe;
pub use self_training::SelfTraining;

use crate::{Error, ModelConfig, Result};

/// A preset: everything of a training but its photographs.
#[derive(Clone, Copy, Debug)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub summary: &'static str,
    finetuning: fn() -> Result<Recipe>,
    pretraining: Option<fn() -> Result<PretrainRecipe>>,
}

/// All presets: one row each.
const PRESETS: [Preset; 15] = [
    compact::PRESET,
    unet::PRESET,
    tiny::PRESET,
    seed::SEED,
    seed::SEED_4,
    seed::SEED_6,
    seed::SEED_12,
    seed::SEED_MULTISCALE,
    seed::SEED_4_MULTISCALE,
    seed::SEED_6_MULTISCALE,
    seed::SEED_12_MULTISCALE,
    vit::TINY,
    vit::SMALL,
    vit::BASE,
    vit::LARGE,
];

impl Preset {
    /// All presets.
    pub fn all() -> &'static [Self] {
        &PRESETS
    }

    /// The preset of this name.
    ///
    /// ```
    /// use venule::Preset;
    /// let unet = Preset::named("unet")?;
    /// assert_eq!(unet.recipe()?.crop, 256);
    /// assert!(unet.pretraining().is_err());
    /// # Ok::<(), venule::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn named(name: &str) -> Result<Self> {
        let found = PRESETS.iter().find(|preset| preset.name == name);
        found.copied().ok_or_else(|| Error::Preset {
            name: name.to_owned(),
            known: PRESETS.map(|preset| preset.name).join(", "),
        })
    }

    /// How it is fine-tuned.
    ///
    /// # Errors
    /// None for the presets there are.
    pub fn recipe(&self) -> Result<Recipe> {
        (self.finetuning)()
    }

    /// How it is pretrained.
    ///
    /// # Errors
    /// [`Error::Preset`] for a preset whose encoder is none, or is pretrained under another name; it lists those that are.
    pub fn pretraining(&self) -> Result<PretrainRecipe> {
        match self.pretraining {
            Some(pretraining) => pretraining(),
            None => {
                let known = PRESETS.iter().filter(|preset| preset.pretraining.is_some());
                let known: Vec<_> = known.map(|preset| preset.name).collect();
                Err(Error::Preset {
                    name: format!("{} of pretraining", self.name),
                    known: known.join(", "),
                })
            }
        }
    }
}

impl ModelConfig {
    /// The architecture of the [preset](Preset) of this name.
    ///
    /// # Errors
    /// [`Error::Preset`] that lists the names.
    pub fn preset(name: &str) -> Result<Self> {
        Ok(Preset::named(name)?.recipe()?.model)
    }
}
