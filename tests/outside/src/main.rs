//! Parts of one's own from outside the workspace, to the end: an encoder of candle-nn layers, a loss and a data set are trained for 30
//! steps and saved by one process (`outside train DIR`), loaded and evaluated by another (`outside evaluate DIR`); an encoder with a
//! layer that cuts the graph is refused by name (`outside planted`).

mod encoder;
mod photographs;

use std::error::Error;
use std::path::{Path, PathBuf};

use candle_core::{Device, Result as TensorResult, Tensor};
use venule::data::FovPolicy;
use venule::loss::{Loss, LossTable};
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::{Error as TrainError, RunOptions, Trainer};
use venule::{Checkpoint, ModelConfig, PartConfig, Protocol, Recipe, Registry, Segmenter};

use encoder::{Candle, CandleConfig};
use photographs::Discs;

type Any<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Mean squared error of the probabilities over the valid pixels.
struct Brier;

impl Loss for Brier {
    fn name(&self) -> &str {
        "brier"
    }

    fn forward(&self, logits: &Tensor, target: &Tensor, valid: Option<&Tensor>) -> TensorResult<Tensor> {
        let error = (candle_nn::ops::sigmoid(logits)? - target)?.sqr()?;
        match valid {
            Some(valid) => (error * valid)?.sum_all()? / valid.sum_all()?.maximum(1.0)?,
            None => error.mean_all(),
        }
    }
}

fn registry() -> Any<Registry> {
    let mut losses = LossTable::built_in();
    losses.register("brier", |()| Ok(Brier))?;
    Ok(Registry::built_in().with_encoder("candle", Candle::new)?.with_losses(losses))
}

fn recipe(cut: bool) -> Any<Recipe> {
    let tiny = Recipe::preset("tiny")?;
    let mut recipe = Recipe {
        model: ModelConfig {
            encoder: PartConfig::new("candle", &CandleConfig { channels: 16, cut })?,
            decoder: tiny.model.decoder.clone(),
        },
        loss: r#"{"terms": [{"kind": "bce"}, {"kind": "brier", "weight": 4.0}]}"#.parse()?,
        crop: 64,
        ..tiny
    };
    recipe.train.max_steps = Some(30);
    recipe.train.learning_rate = 3e-3;
    Ok(recipe)
}

fn task(recipe: &Recipe) -> Any<Finetuning> {
    let data = FinetuningData {
        unlabelled: None,
        train: Box::new(Discs { first: 0, count: 6 }),
        validation: Box::new(Discs { first: 6, count: 2 }),
        fov: FovPolicy::FullFrame,
        workers: 1,
        cache_bytes: 1 << 28,
    };
    Ok(Finetuning::from_registry(&registry()?, recipe, data, &Device::Cpu)?)
}

fn weights(folder: &Path) -> PathBuf {
    folder.join("best.safetensors")
}

fn train(folder: &Path) -> Any<()> {
    let recipe = recipe(false)?;
    let mut task = task(&recipe)?;
    let report = Trainer::new(recipe.train)?
        .with_options(RunOptions::in_folder(folder))?
        .fit(&mut task)?;
    println!("{} steps, loss {:.3}", report.steps, report.loss.unwrap_or(f64::NAN));
    match report.steps == 30 && weights(folder).is_file() {
        true => Ok(()),
        false => Err("30 steps and best weights were expected".into()),
    }
}

fn test(folder: &Path) -> Any<()> {
    // Without the registration the file is refused, by name.
    let error = Checkpoint::load(weights(folder), &Device::Cpu).err().ok_or("it loads unregistered")?;
    let text = error.to_string();
    if !(text.contains("'candle'") && text.contains("vit") && text.contains("Registry")) {
        return Err(format!("not helpful: {text}").into());
    }
    let (checkpoint, model) = Checkpoint::load_with(&registry()?, weights(folder), &Device::Cpu)?;
    let segmenter = Segmenter::new(checkpoint, model)?;
    // Its photographs have no dark border.
    let whole = Protocol { fov: FovPolicy::FullFrame, ..Protocol::default() };
    let evaluated = whole.evaluate(&segmenter, &Discs { first: 8, count: 2 }, |_, _| Ok(()))?;
    let f1 = evaluated.report.pooled.get("f1").unwrap_or(0.0);
    println!("F1 {f1:.3}");
    match f1 > 0.5 {
        true => Ok(()),
        false => Err("lines on a plain ground should be found".into()),
    }
}

fn planted() -> Any<()> {
    let recipe = recipe(true)?;
    let mut task = task(&recipe)?;
    let error = Trainer::new(recipe.train)?.fit(&mut task).err().ok_or("the cut was not found")?;
    println!("{error}");
    let text = error.to_string();
    // What lies before the layer norm gets no gradient, and it itself neither.
    let named = ["encoder.0.weight", "encoder.norm.weight"].iter().all(|name| text.contains(name));
    match matches!(error, TrainError::NoGradient { .. }) && named && !text.contains("decoder.") {
        true => Ok(()),
        false => Err("the variables without a gradient were not named".into()),
    }
}

fn main() -> Any<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["train", folder] => train(Path::new(folder)),
        ["evaluate", folder] => test(Path::new(folder)),
        ["planted"] => planted(),
        _ => Err("outside train DIR | evaluate DIR | planted".into()),
    }
}
