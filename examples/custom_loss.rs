//! A loss of one's own: named in a run file beside the built-in ones, and trained with.
//!
//! `cargo run --release --example custom_loss`

use serde::{Deserialize, Serialize};
use venule::candle_core::{Device, Result as TensorResult, Tensor};
use venule::data::{FovPolicy, InMemory};
use venule::loss::{Loss, LossTable};
use venule::synthetic::{SyntheticFundus, SyntheticSet};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::Trainer;
use venule::{Recipe, Registry};

/// Mean |p − g|^exponent over the valid pixels.
struct PowerError {
    exponent: f64,
}

/// Its parameters, as a run file has them, and their defaults.
#[derive(Serialize, Deserialize)]
struct PowerParameters {
    exponent: f64,
}

impl Default for PowerParameters {
    fn default() -> Self {
        Self { exponent: 2.0 }
    }
}

impl Loss for PowerError {
    fn name(&self) -> &str {
        "power"
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> TensorResult<Tensor> {
        // By tanh: finite for every logit.
        let probability = logits.affine(0.5, 0.0)?.tanh()?.affine(0.5, 0.5)?;
        let error = (probability - target)?.abs()?.powf(self.exponent)?;
        match valid {
            Some(valid) => (error * valid)?.sum_all()? / valid.sum_all()?.maximum(1.0)?,
            None => error.mean_all(),
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut losses = LossTable::built_in();
    losses.register("power", |p: PowerParameters| {
        Ok(PowerError {
            exponent: p.exponent,
        })
    })?;
    let registry = Registry::built_in().with_losses(losses);

    let mut recipe = Recipe::preset("tiny")?;
    // In a run file: loss = { terms = [{ kind = "dice" }, { kind = "power", weight = 2.0, exponent = 1.5 }] }
    recipe.loss =
        r#"{"terms": [{"kind": "dice"}, {"kind": "power", "weight": 2.0, "exponent": 1.5}]}"#
            .parse()?;
    recipe.train.max_steps = Some(20);

    let set = SyntheticSet::new(SyntheticFundus::square(128), 1, 4)?;
    let data = FinetuningData {
        unlabelled: None,
        train: Box::new(InMemory::read(&set)?),
        validation: Box::new(InMemory::new(Vec::new())),
        fov: FovPolicy::GivenOrDetect,
        workers: 1,
        cache_bytes: 1 << 30,
    };
    let mut task = Finetuning::from_registry(&registry, &recipe, data, &Device::Cpu)?;
    let report = Trainer::new(recipe.train)?.fit(&mut task)?;
    println!(
        "{} steps, loss {:.3}",
        report.steps,
        report.loss.unwrap_or(f64::NAN)
    );
    Ok(())
}
