//! Trainable parameters that get no gradient are found in the first step.

use candle_core::{DType, Device, Tensor, Var};
use venule_train::*;

use crate::loop_runs::config;
use crate::toy::fit;

/// y = head · norm(body · x), where the norm cuts the graph as candle's own LayerNorm does: the loss still falls.
struct Chain {
    params: Vec<Parameter>,
    /// Batches whose graph is cut between body and head.
    cut: Vec<usize>,
    /// Whether frozen layers hold their variables, as candle's do, or detach them.
    holds: bool,
    /// The epoch from which the body is trainable.
    body_from: usize,
    batches: usize,
}

impl Chain {
    fn new(cut: &[usize]) -> Self {
        let params = ["body.weight", "body.bias", "head.weight"].map(|name| {
            let var = Var::ones((1, 1), DType::F32, &Device::Cpu).unwrap();
            Parameter::new(name, var)
        });
        Self {
            params: params.into(),
            cut: cut.to_vec(),
            holds: false,
            body_from: 0,
            batches: 2,
        }
    }

    fn value(&self, name: &str) -> f32 {
        let param = self.params.iter().find(|param| param.name == name).unwrap();
        param.var.to_vec2::<f32>().unwrap()[0][0]
    }
}

impl Task for Chain {
    fn name(&self) -> &str {
        "chain"
    }
    fn parameters(&self) -> Vec<Parameter> {
        self.params.clone()
    }
    fn batches_per_epoch(&self) -> usize {
        self.batches
    }
    fn start_epoch(&mut self, position: Position) -> Result<(), BoxError> {
        for param in &mut self.params[..2] {
            param.trainable = position.epoch >= self.body_from;
        }
        Ok(())
    }
    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let [weight, bias, head] = [0, 1, 2].map(|i| {
            let param = &self.params[i];
            match param.trainable || self.holds {
                true => param.var.as_tensor().clone(),
                false => param.var.as_detached_tensor(),
            }
        });
        let x = Tensor::new(&[[2f32]], &Device::Cpu)?;
        let mut hidden = (x.matmul(&weight)? + bias)?;
        if self.cut.contains(&at.batch) {
            hidden = hidden.detach();
        }
        Ok(StepOutput {
            loss: hidden.matmul(&head)?.sqr()?.mean_all()?,
            terms: Vec::new(),
            samples: 1,
        })
    }
}

#[test]
fn frozen_variables_rest_though_the_graph_reaches_them() {
    for accumulation in [1, 2] {
        let mut chain = Chain::new(&[]);
        (chain.holds, chain.body_from) = (true, 1);
        let config = TrainConfig {
            accumulation,
            ..config(1)
        };
        fit(&mut chain, &config).unwrap();
        assert_eq!(
            [chain.value("body.weight"), chain.value("body.bias")],
            [1.0; 2]
        );
        assert_ne!(chain.value("head.weight"), 1.0);
    }
}

fn unreached(result: Result<Report>) -> (usize, Vec<String>) {
    match result {
        Err(Error::NoGradient { epoch, names, .. }) => (epoch, names),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_cut_graph_is_an_error_that_names_what_it_misses() {
    let mut task = Chain::new(&[0, 1]);
    let result = fit(&mut task, &config(1));
    let said = result.as_ref().unwrap_err().to_string();
    for part in [
        "`chain`",
        "epoch 1",
        "body.weight, body.bias;",
        "LayerNorm",
        "allow_unused",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let names = ["body.weight", "body.bias"].map(str::to_string);
    assert_eq!(unreached(result), (0, names.into()));
    // Found before anything was changed.
    assert_eq!(task.value("head.weight"), 1.0);
}

#[test]
fn an_uncut_graph_is_trained() {
    let mut task = Chain::new(&[]);
    assert_eq!(fit(&mut task, &config(2)).unwrap().steps, 4);
    assert!(task.value("body.weight") < 1.0);
}

#[test]
fn one_batch_of_a_step_that_reaches_a_parameter_is_enough() {
    let accumulated = TrainConfig {
        accumulation: 2,
        ..config(1)
    };
    for cut in [0, 1] {
        let report = fit(&mut Chain::new(&[cut]), &accumulated).unwrap();
        assert_eq!(report.steps, 1);
    }
    let (_, names) = unreached(fit(&mut Chain::new(&[0, 1]), &accumulated));
    assert_eq!(names.len(), 2);
    // Without accumulation the first batch is the whole step; later ones are not looked at.
    assert_eq!(unreached(fit(&mut Chain::new(&[0]), &config(1))).1.len(), 2);
    fit(&mut Chain::new(&[1]), &config(1)).unwrap();
}

#[test]
fn frozen_parameters_may_rest_until_they_are_thawed() {
    let mut task = Chain::new(&[]);
    task.body_from = 2;
    assert_eq!(fit(&mut task, &config(3)).unwrap().steps, 6);
    assert!(task.value("body.weight") < 1.0);
    let mut task = Chain::new(&[0, 1]);
    task.body_from = 2;
    assert_eq!(unreached(fit(&mut task, &config(3))).0, 2);
    task.body_from = 9;
    fit(&mut task, &config(3)).unwrap();
}

#[test]
fn the_option_lets_parameters_rest() {
    let mut task = Chain::new(&[0, 1]);
    let options = RunOptions {
        allow_unused: true,
        ..RunOptions::default()
    };
    let trainer = Trainer::new(config(1))
        .unwrap()
        .with_options(options)
        .unwrap();
    assert_eq!(trainer.fit(&mut task).unwrap().steps, 2);
    assert_eq!(task.value("body.weight"), 1.0);
    assert!(task.value("head.weight") < 1.0);
}

#[test]
fn resuming_looks_again_and_changes_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let run = |task: &mut Chain, epochs, resume| {
        let options = RunOptions {
            resume,
            ..RunOptions::in_folder(dir.path())
        };
        let trainer = Trainer::new(config(epochs)).unwrap();
        trainer.with_options(options).unwrap().fit(task)
    };
    run(&mut Chain::new(&[]), 1, false).unwrap();
    // The saved run is left as it is by one that is refused.
    assert_eq!(unreached(run(&mut Chain::new(&[0, 1]), 2, true)).0, 1);
    let mut task = Chain::new(&[]);
    assert_eq!(run(&mut task, 2, true).unwrap().steps, 4);
    let mut whole = Chain::new(&[]);
    fit(&mut whole, &config(2)).unwrap();
    assert_eq!(task.value("body.weight"), whole.value("body.weight"));
}
