//! PyTorch's numbers, made by `fixtures/golden.py`.

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor, Var};
use serde_json::Value;
use venule_train::*;

const STEPS: usize = 50;

fn golden() -> Value {
    serde_json::from_str(include_str!("../fixtures/golden.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    let array = value.as_array().unwrap();
    array
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64, floor: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (index, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance * b.abs().max(floor),
            "{what}[{index}]: {a}, expected {b}"
        );
    }
}

/// The generator's values: the fractional part of multiples of the golden ratio, in [-1, 1).
fn series(n: usize, offset: usize) -> Vec<f32> {
    (0..n)
        .map(|i| (((i + offset) as f64 * 0.618_033_988_749_894_9).fract() * 2.0 - 1.0) as f32)
        .collect()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    let tensor = tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
    tensor.to_vec1().unwrap()
}

/// 50 steps as in the generator, in f32 (the fused path) or f64 (the composed one).
fn optimizer_steps(expected: &Value, clip: bool, dtype: DType, tolerance: f64) {
    let device = Device::Cpu;
    let var = |values: Vec<f32>, shape: (usize, usize)| {
        let tensor = Tensor::from_vec(values, shape, &device).unwrap();
        Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
    };
    let weight = var(series(12, 0), (3, 4));
    let bias = {
        let tensor = Tensor::from_vec(series(4, 100), 4, &device).unwrap();
        Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap()
    };
    let deep = var(series(6, 200), (2, 3));
    let params = vec![
        ("weight".to_string(), weight.clone()),
        ("bias".to_string(), bias.clone()),
        ("deep".to_string(), deep.clone()),
    ];
    let mut groups = decay_groups(params[..2].to_vec(), 0.05);
    groups.push(ParamGroup {
        params: params[2..].to_vec(),
        weight_decay: 0.05,
        lr_scale: 0.1,
    });
    let config = AdamWConfig {
        beta2: 0.95,
        ..Default::default()
    };
    let mut optimizer = AdamW::new(groups, config).unwrap();
    let plain = EmaConfig {
        decay: 0.9,
        warmup: false,
    };
    let mut average = Ema::new(&params, plain).unwrap();
    let schedule = Schedule::Cosine { min_lr: 0.0 };
    let schedule = schedule.build(1e-2, Warmup::default(), Per::Step).unwrap();
    let mut norms = Vec::new();
    for step in 0..STEPS {
        let mut grads = GradStore::default();
        for (index, (_, var)) in params.iter().enumerate() {
            let values = series(var.elem_count(), 1000 * step + 17 * index);
            let grad = Tensor::from_vec(values, var.shape(), &device).unwrap();
            grads.insert(var.as_tensor(), grad.to_dtype(dtype).unwrap());
        }
        if clip {
            norms.push(clip_gradients(&mut grads, &params, 1.5).unwrap());
        }
        let lr = schedule.lr(&Progress {
            step,
            total_steps: STEPS,
            steps_per_epoch: 10,
        });
        optimizer.step(&grads, lr).unwrap();
        average.update().unwrap();
    }
    let state: std::collections::BTreeMap<_, _> = optimizer.state().unwrap().into_iter().collect();
    let averages = average.tensors();
    for (index, (name, var)) in params.iter().enumerate() {
        let check = |found: Vec<f64>, key: &str| {
            let expected = numbers(&expected[key][index]);
            // Values near zero are differences of larger ones.
            assert_close(
                &found,
                &expected,
                tolerance,
                0.1,
                &format!("{key} of {name}"),
            );
        };
        check(flat(var), "params");
        check(flat(&state[&format!("{name}.exp_avg")]), "exp_avg");
        check(flat(&state[&format!("{name}.exp_avg_sq")]), "exp_avg_sq");
        check(flat(&averages[index].1), "average");
    }
    assert_close(
        &norms,
        &numbers(&expected["norms"]),
        tolerance,
        0.1,
        "norms",
    );
}

#[test]
fn adamw_groups_and_average_equal_torch() {
    optimizer_steps(&golden()["adamw"], false, DType::F32, 1e-5);
    optimizer_steps(&golden()["adamw"], false, DType::F64, 1e-5);
}

#[test]
fn clipping_equals_torch() {
    optimizer_steps(&golden()["adamw_clipped"], true, DType::F32, 1e-5);
    optimizer_steps(&golden()["adamw_clipped"], true, DType::F64, 1e-5);
}

#[test]
fn clipping_inside_the_step_is_the_same() {
    let device = Device::Cpu;
    let run = |fused: bool| {
        let var = Var::from_vec(series(12, 0), (3, 4), &device).unwrap();
        let params = vec![("w".to_string(), var.clone())];
        let groups = decay_groups(params.clone(), 0.1);
        let mut optimizer = AdamW::new(groups, AdamWConfig::default()).unwrap();
        for step in 0..5 {
            let mut grads = GradStore::default();
            let grad = Tensor::from_vec(series(12, 9 * step), (3, 4), &device).unwrap();
            grads.insert(var.as_tensor(), grad);
            if fused {
                let norm = gradient_norm(&grads, &params).unwrap();
                let factor = clip_factor(norm, 0.5);
                optimizer.step_scaled(&grads, 0.01, factor).unwrap();
            } else {
                clip_gradients(&mut grads, &params, 0.5).unwrap();
                optimizer.step(&grads, 0.01).unwrap();
            }
        }
        var.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(run(true), run(false));
}

/// The learning rates of 50 steps, five to an epoch.
fn rates(schedule: &Schedule, warmup: Warmup, per: Per) -> Vec<f64> {
    let schedule = schedule.build(0.1, warmup, per).unwrap();
    let steps = 0..STEPS;
    let progress = |step| Progress {
        step,
        total_steps: STEPS,
        steps_per_epoch: 5,
    };
    steps.map(|step| schedule.lr(&progress(step))).collect()
}

#[test]
fn schedules_equal_torch() {
    let golden = golden();
    let warm = Warmup {
        length: Span::Steps(8),
        start: 0.2,
    };
    let none = Warmup::default();
    let cyclic = |cycle, multiplier, min_lr| Schedule::CyclicCosine {
        cycle: Span::Steps(cycle),
        multiplier,
        min_lr,
    };
    let cosine = Schedule::Cosine { min_lr: 0.001 };
    let mae = Warmup {
        length: Span::Epochs(2.0),
        start: 0.0,
    };
    let step = Schedule::Step {
        // Three epochs of five steps: 15 steps, as in the generator.
        every: Span::Epochs(3.0),
        factor: 0.3,
    };
    let polynomial = Schedule::Polynomial {
        power: 0.9,
        min_lr: 0.0,
    };
    for (name, schedule, warmup) in [
        ("step", step.clone(), none),
        ("step_warm", step.clone(), warm),
        ("cyclic_warm", cyclic(6, 2, 0.001), warm),
        ("polynomial_warm", polynomial.clone(), warm),
        ("cosine", cosine.clone(), none),
        ("cosine_warm", cosine.clone(), warm),
        ("cyclic", cyclic(6, 2, 0.001), none),
        ("cyclic_equal", cyclic(7, 1, 0.0), none),
        ("polynomial", polynomial.clone(), none),
        ("constant_warm", Schedule::Constant, warm),
        ("mae", cosine.clone(), mae),
    ] {
        let found = rates(&schedule, warmup, Per::Step);
        let expected = numbers(&golden["schedules"][name]);
        assert_close(&found, &expected, 1e-10, 1e-3, name);
    }
    let two_epochs = Warmup {
        length: Span::Epochs(2.0),
        start: 0.2,
    };
    for (name, schedule, warmup) in [
        ("step", step, none),
        ("cosine", cosine.clone(), none),
        // Three epochs.
        ("cyclic", cyclic(15, 2, 0.001), none),
        ("polynomial", polynomial, none),
        ("cosine_warm", cosine, two_epochs),
    ] {
        let found = rates(&schedule, warmup, Per::Epoch);
        let expected = numbers(&golden["epoch_schedules"][name]);
        let what = format!("{name}, once an epoch");
        assert_close(&found, &expected, 1e-10, 1e-3, &what);
    }
}

/// The generator's chain of layers, in f64, under names of a Vision Transformer.
struct Layers(Vec<(String, Var)>);

impl Layers {
    fn new() -> Self {
        let var = |name: &str, shape: &[usize], offset| {
            let values = series(shape.iter().product(), offset);
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            let var = Var::from_tensor(&tensor.to_dtype(DType::F64).unwrap()).unwrap();
            (name.to_string(), var)
        };
        let params = vec![
            var("patch_embed.weight", &[4, 3], 0),
            var("blocks.0.weight", &[3, 3], 100),
            var("blocks.0.bias", &[3], 200),
            var("blocks.1.weight", &[3, 3], 300),
            var("head.weight", &[3, 1], 400),
        ];
        Self(params)
    }
}

impl Task for Layers {
    fn name(&self) -> &str {
        "layers"
    }

    fn parameters(&self) -> Vec<(String, Var)> {
        self.0.clone()
    }

    fn batches_per_epoch(&self) -> usize {
        20
    }

    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let (key, samples) = (
            20 * at.epoch + at.batch,
            if at.batch.is_multiple_of(2) { 3 } else { 1 },
        );
        let tensor = |values: Vec<f32>, width| {
            let tensor = Tensor::from_vec(values, (samples, width), &Device::Cpu)?;
            tensor.to_dtype(DType::F64)
        };
        let x = tensor(series(4 * samples, 31 * key), 4)?;
        let target = tensor(series(samples, 77 * key + 5), 1)?;
        let [embed, first, bias, second, head] = [0, 1, 2, 3, 4].map(|i| self.0[i].1.as_tensor());
        let hidden = x.matmul(embed)?.tanh()?;
        let hidden = hidden.matmul(first)?.broadcast_add(bias)?.tanh()?;
        let hidden = hidden.matmul(second)?.tanh()?;
        let loss = (hidden.matmul(head)? - target)?.sqr()?.mean_all()?;
        Ok(StepOutput {
            loss,
            terms: Vec::new(),
            samples,
        })
    }
}

/// Collects the losses of the steps.
struct Losses(std::sync::Arc<std::sync::Mutex<Vec<f64>>>);

impl Callback for Losses {
    fn name(&self) -> &str {
        "losses"
    }

    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        self.0.lock().unwrap().extend(info.loss);
        Ok(())
    }
}

/// Whole runs of the trainer: layer-wise rates, two micro-batches of unequal size to a step, a schedule with warm-up.
#[test]
fn layer_decay_and_accumulation_equal_torch() {
    let golden = golden();
    let warm = Warmup {
        length: Span::Steps(8),
        start: 0.2,
    };
    let step = Schedule::Step {
        every: Span::Steps(15),
        factor: 0.3,
    };
    let cyclic = Schedule::CyclicCosine {
        cycle: Span::Steps(6),
        multiplier: 2,
        min_lr: 0.0,
    };
    let polynomial = Schedule::Polynomial {
        power: 0.9,
        min_lr: 0.0,
    };
    for (name, schedule, warmup, schedule_per) in [
        ("step_warm", step, warm, Per::Step),
        ("cyclic_warm", cyclic, warm, Per::Step),
        (
            "polynomial_epoch",
            polynomial,
            Warmup::default(),
            Per::Epoch,
        ),
    ] {
        let config = TrainConfig {
            epochs: 5,
            learning_rate: 1e-2,
            weight_decay: 0.05,
            layer_decay: Some(0.5),
            accumulation: 2,
            clip_norm: None,
            schedule,
            schedule_per,
            warmup,
            ..Default::default()
        };
        let mut task = Layers::new();
        let losses = std::sync::Arc::default();
        let watch = Losses(std::sync::Arc::clone(&losses));
        let report = fit(&mut task, &config, vec![Box::new(watch)]).unwrap();
        assert_eq!(report.steps, STEPS);
        let expected = &golden["layers"][name];
        let found = losses.lock().unwrap().clone();
        assert_close(&found, &numbers(&expected["losses"]), 1e-5, 1e-3, name);
        for (param, var) in &task.0 {
            let what = format!("{name}: {param}");
            let expected = numbers(&expected["params"][param]);
            assert_close(&flat(var), &expected, 1e-5, 1e-3, &what);
        }
    }
}

#[test]
fn plateau_equals_torch() {
    let golden = golden();
    let scores = numbers(&golden["scores"]);
    for (name, mode, threshold_mode, cooldown, patience) in [
        ("max_rel", PlateauMode::Max, ThresholdMode::Relative, 0, 2),
        ("max_abs", PlateauMode::Max, ThresholdMode::Absolute, 3, 1),
        ("min_rel", PlateauMode::Min, ThresholdMode::Relative, 2, 3),
        ("min_abs", PlateauMode::Min, ThresholdMode::Absolute, 0, 0),
    ] {
        let config = PlateauConfig {
            mode,
            factor: 0.5,
            patience,
            threshold: 0.02,
            threshold_mode,
            cooldown,
            min_lr: 0.004,
        };
        let mut plateau = Plateau::new(config, 0.1).unwrap();
        let found: Vec<f64> = scores
            .iter()
            .map(|score| {
                plateau.observe(*score);
                plateau.lr()
            })
            .collect();
        let expected = numbers(&golden["plateau"][name]);
        assert_close(&found, &expected, 1e-12, 1e-3, name);
        // The fixture is worth something only if the rate was lowered at all.
        assert!(expected[STEPS - 1] < 0.1, "{name}");
    }
}

#[test]
fn what_does_not_improve_is_no_improvement_below_zero_either() {
    // The negative of a loss is observed where nothing is validated. Constant, and rising by less than the threshold.
    for values in [[-0.5; 3], [-0.5, -0.50001, -0.50002]] {
        let config = PlateauConfig {
            patience: 1,
            ..Default::default()
        };
        let mut plateau = Plateau::new(config, 0.1).unwrap();
        values.iter().for_each(|value| plateau.observe(*value));
        assert_eq!(plateau.lr(), 0.05, "{values:?}");
        // A real improvement counts: 0.4 for 0.5 twice.
        let best = plateau.state()["best"].as_f64();
        assert_eq!(best, Some(-0.5));
        plateau.observe(-0.4);
        assert_eq!(plateau.state()["best"].as_f64(), Some(-0.4));
    }
    let config = PlateauConfig {
        mode: PlateauMode::Min,
        patience: 1,
        ..Default::default()
    };
    let mut plateau = Plateau::new(config, 0.1).unwrap();
    [-0.5; 3].iter().for_each(|value| plateau.observe(*value));
    assert_eq!(plateau.lr(), 0.05);
}
