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
    let mut marked: Vec<Parameter> = params
        .iter()
        .map(|(name, var)| Parameter::new(name.as_str(), var.clone()))
        .collect();
    // The generator's third group learns at a tenth of the rate.
    marked[2].depth = 1;
    let groups = decay_groups(&marked, 0.05, 0.1);
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
        let mut factor = 1.0;
        if clip {
            let norm = gradient_norm(&grads, &params).unwrap();
            factor = clip_factor(norm, 1.5);
            norms.push(norm);
        }
        let lr = schedule.lr(&Progress {
            step,
            total_steps: STEPS,
            steps_per_epoch: 10,
        });
        optimizer.step_scaled(&grads, lr, factor).unwrap();
        average.update().unwrap();
    }
    let state: std::collections::BTreeMap<_, _> = optimizer.state().unwrap().into_iter().collect();
    let averages = average.tensors().unwrap();
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
    let cosine = Schedule::Cosine { min_lr: 0.001 };
    let mae = Warmup {
        length: Span::Epochs(2.0),
        start: 0.0,
    };
    let polynomial = Schedule::Polynomial {
        power: 0.9,
        min_lr: 0.0,
    };
    for (name, schedule, warmup) in [
        ("polynomial_warm", polynomial.clone(), warm),
        ("cosine", cosine.clone(), none),
        ("cosine_warm", cosine.clone(), warm),
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
        ("cosine", cosine.clone(), none),
        ("polynomial", polynomial, none),
        ("cosine_warm", cosine, two_epochs),
    ] {
        let found = rates(&schedule, warmup, Per::Epoch);
        let expected = numbers(&golden["epoch_schedules"][name]);
        let what = format!("{name}, once an epoch");
        assert_close(&found, &expected, 1e-10, 1e-3, &what);
    }
}

/// The generator's chain of layers, in f64, under names of a Vision Transformer; the head lies after the encoder's end.
struct Layers(Vec<Parameter>);

impl Layers {
    fn new() -> Self {
        let var = |name: &str, shape: &[usize], offset, depth| {
            let values = series(shape.iter().product(), offset);
            let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            let var = Var::from_tensor(&tensor.to_dtype(DType::F64).unwrap()).unwrap();
            Parameter {
                depth,
                ..Parameter::new(name, var)
            }
        };
        let params = vec![
            var("patch_embed.weight", &[4, 3], 0, 3),
            var("blocks.0.weight", &[3, 3], 100, 2),
            var("blocks.0.bias", &[3], 200, 2),
            var("blocks.1.weight", &[3, 3], 300, 1),
            var("head.weight", &[3, 1], 400, 0),
        ];
        Self(params)
    }
}

impl Task for Layers {
    fn name(&self) -> &str {
        "layers"
    }

    fn parameters(&self) -> Vec<Parameter> {
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
        let [embed, first, bias, second, head] = [0, 1, 2, 3, 4].map(|i| self.0[i].var.as_tensor());
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

/// A schedule of one's own: the generator's warm-up over 8 steps, then stairs of 15.
struct WarmStairs;

impl LrSchedule for WarmStairs {
    fn lr(&self, at: &Progress) -> f64 {
        match at.step.checked_sub(8) {
            None => 1e-2 * (0.2 + 0.8 * at.step as f64 / 8.0),
            Some(after) => 1e-2 * 0.3f64.powi((after / 15) as i32),
        }
    }
}

/// Whole runs of the trainer: layer-wise rates, two micro-batches of unequal size to a step, two schedules.
#[test]
fn layer_decay_and_accumulation_equal_torch() {
    let golden = golden();
    for (name, own) in [("step_warm", true), ("polynomial_epoch", false)] {
        let config = TrainConfig {
            epochs: 5,
            learning_rate: 1e-2,
            weight_decay: 0.05,
            layer_decay: Some(0.5),
            accumulation: 2,
            clip_norm: None,
            schedule: Schedule::Polynomial {
                power: 0.9,
                min_lr: 0.0,
            },
            schedule_per: Per::Epoch,
            ..Default::default()
        };
        let mut task = Layers::new();
        let losses = std::sync::Arc::default();
        let watch = Losses(std::sync::Arc::clone(&losses));
        let mut trainer = Trainer::new(config).unwrap().with_callback(watch);
        if own {
            trainer = trainer.with_schedule(WarmStairs);
        }
        let report = trainer.fit(&mut task).unwrap();
        assert_eq!(report.steps, STEPS);
        let expected = &golden["layers"][name];
        let found = losses.lock().unwrap().clone();
        assert_close(&found, &numbers(&expected["losses"]), 1e-5, 1e-3, name);
        for param in &task.0 {
            let what = format!("{name}: {}", param.name);
            let expected = numbers(&expected["params"][&param.name]);
            assert_close(&flat(&param.var), &expected, 1e-5, 1e-3, &what);
        }
    }
}
