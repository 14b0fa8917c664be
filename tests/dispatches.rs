//! How many operations a training step hands to a device that has none of the project's kernels, such as a GPU, which waits for each.
//!
//! Candle numbers all tensors of a process, and each operation makes one. Views have numbers too and cost a device nothing; the copies of a
//! concatenation have none, four or five a parameter in the update. With parameters of `f64` the CPU takes the operations that a
//! GPU takes. This is a process of its own, so that no other test makes tensors meanwhile.

use venule::candle_core::{DType, Device, Tensor};
use venule::nn::{Mode, ParamStore};
use venule::train::{
    AdamW, AdamWConfig, Ema, EmaConfig, Parameter, clip_factor, decay_groups, gradient_norm,
};
use venule::{ModelConfig, Recipe, Registry, VesselModel};

/// Tensors that this process has made so far.
fn made() -> usize {
    let next = Tensor::zeros(1, DType::U8, &Device::Cpu).unwrap();
    let id = format!("{:?}", next.id());
    let digits = id.trim_start_matches(|c: char| !c.is_ascii_digit());
    digits.trim_end_matches(')').parse().unwrap()
}

/// Tensors of the forward pass with the loss, the backward pass, norm and update, and weight average of a fine-tuning step.
fn step(preset: &str) -> [usize; 4] {
    let config = ModelConfig::preset(preset).unwrap();
    let recipe = Recipe::preset(preset).unwrap();
    let store = ParamStore::with_dtype(1, DType::F64, &Device::Cpu).unwrap();
    let registry = Registry::built_in();
    let model = VesselModel::with_store(&registry, &config, store, &Device::Cpu).unwrap();
    let params = model.store().params();
    let named = params
        .iter()
        .map(|p| (p.name().to_owned(), p.var().clone()));
    let vars: Vec<_> = named.collect();
    let named = vars
        .iter()
        .map(|(name, var)| Parameter::new(name, var.clone()));
    let groups = decay_groups(&named.collect::<Vec<_>>(), 0.05, 1.0);
    let mut optimizer = AdamW::new(groups, AdamWConfig::default()).unwrap();
    let mut average = Ema::new(&vars, EmaConfig::default()).unwrap();
    let loss = registry.losses().build(&recipe.loss).unwrap();
    let images = Tensor::zeros((1, 1, 64, 64), DType::F64, &Device::Cpu).unwrap();
    let valid = images.ones_like().unwrap();
    let mut counts = [0; 4];
    // The second step is as all later ones.
    for _ in 0..2 {
        let start = made();
        let mode = Mode::Train { seed: 1 };
        let (loss, _) = model
            .training_loss(&loss, (&images, &images), Some(&valid), mode)
            .unwrap();
        let forward = made();
        let grads = loss.backward().unwrap();
        let backward = made();
        let norm = gradient_norm(&grads, &vars).unwrap();
        let factor = clip_factor(norm, 1.0);
        optimizer.step_scaled(&grads, 1e-3, factor).unwrap();
        let update = made();
        average.update().unwrap();
        let end = made();
        counts = [
            forward - start,
            backward - forward,
            update - backward,
            end - update,
        ];
    }
    counts
}

#[test]
fn a_training_step_is_few_operations() {
    for (preset, most) in [("unet", 3100), ("compact", 5200)] {
        let counts = step(preset);
        let all: usize = counts.iter().sum();
        println!("{preset}: {counts:?}, together {all}");
        assert!(
            all <= most,
            "{preset} takes {counts:?}, together {all} of {most}"
        );
    }
}
