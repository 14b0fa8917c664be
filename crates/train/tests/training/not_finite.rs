//! Losses, gradients and terms that are not finite, and what is said of them.

use std::sync::{Arc, Mutex};

use venule_train::*;

use crate::loop_runs::{Recorder, config};
use crate::toy::{Toy, fit};

#[test]
fn a_loss_that_is_not_finite_is_skipped_then_fatal() {
    let recorder = Recorder::default();
    let mut task = Toy::new();
    task.poisoned = vec![(0, 1), (0, 3)];
    let two = TrainConfig {
        max_non_finite: 2,
        ..config(2)
    };
    let trainer = Trainer::new(two).unwrap().with_callback(recorder.clone());
    let report = trainer.fit(&mut task).unwrap();
    assert_eq!((report.skipped, report.steps), (2, 10));
    assert!(report.loss.unwrap().is_finite());
    assert!(recorder.events().contains(&"step 2 skipped".to_string()));
    assert!(recorder.events().iter().any(|event| {
        event.starts_with("notice the loss is not finite in epoch 1, batch 2: step 2")
    }));
    assert!(
        task.values()
            .iter()
            .flatten()
            .all(|value| value.is_finite())
    );

    let one = TrainConfig {
        max_non_finite: 1,
        ..config(2)
    };
    let mut task = Toy::new();
    task.poisoned = vec![(0, 1), (0, 3)];
    let error = fit(&mut task, &one).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                what: "loss",
                epoch: 0,
                batch: 3,
                step: 3,
                count: 2,
                limit: 1,
            }
        ),
        "{error:?}"
    );
    // In words as progress lines count, from 1.
    let said = error.to_string();
    assert!(said.contains("epoch 1, batch 4 (step 4;"), "{said}");
}

/// √x: at 0 the value is 0 and the slope infinite; elsewhere both are finite.
pub struct Steep {
    var: candle_core::Var,
    batches: usize,
    /// The batch that shifts x by −x, if any.
    poisoned: Option<usize>,
    saved: Vec<usize>,
}

impl Steep {
    pub fn at(x: f32) -> Self {
        Self {
            var: candle_core::Var::new(x, &candle_core::Device::Cpu).unwrap(),
            batches: 1,
            poisoned: None,
            saved: Vec::new(),
        }
    }
}

impl Task for Steep {
    fn name(&self) -> &str {
        "steep"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("x", self.var.clone())]
    }
    fn batches_per_epoch(&self) -> usize {
        self.batches
    }
    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let shift = match self.poisoned {
            Some(batch) if batch == at.batch => -f64::from(self.var.to_scalar::<f32>()?),
            _ => 0.0,
        };
        Ok(StepOutput {
            loss: (self.var.as_tensor() + shift)?.sqrt()?,
            terms: vec![],
            samples: 1,
        })
    }
    fn on_non_finite(&mut self, at: Position, _: Option<&std::path::Path>) -> Result<(), BoxError> {
        self.saved.push(at.batch);
        Ok(())
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_noticed() {
    let config = TrainConfig {
        max_non_finite: 0,
        ..config(1)
    };
    let mut task = Steep::at(0.0);
    let result = fit(&mut task, &config);
    assert!(
        matches!(
            result,
            Err(Error::NonFinite {
                what: "gradient",
                ..
            })
        ),
        "{result:?}"
    );
    assert_eq!(task.var.to_scalar::<f32>().unwrap(), 0.0);
}

#[test]
fn every_batch_behind_a_gradient_that_is_not_finite_is_saved() {
    let recorder = Recorder::default();
    let mut task = Steep::at(4.0);
    (task.batches, task.poisoned) = (6, Some(3));
    let config = TrainConfig {
        accumulation: 2,
        ..config(1)
    };
    let trainer = Trainer::new(config).unwrap();
    let report = trainer
        .with_callback(recorder.clone())
        .fit(&mut task)
        .unwrap();
    // Of three steps the second is skipped: either of its batches may be the cause.
    assert_eq!((report.steps, report.skipped), (3, 1));
    assert_eq!(task.saved, [2, 3]);
    let said = |event: &String| event.contains("one of the batches 3 to 4");
    assert!(recorder.events().iter().any(said));
}

/// What steps and epochs say of loss and terms.
#[derive(Clone, Default)]
struct Numbers(Arc<Mutex<Vec<Said>>>);

/// Loss and terms.
type Said = (Option<f64>, Vec<(String, f64)>);

impl Callback for Numbers {
    fn name(&self) -> &str {
        "numbers"
    }
    fn on_step(&mut self, info: &StepInfo<'_>) -> Result<(), BoxError> {
        self.0
            .lock()
            .unwrap()
            .push((info.loss, info.terms.to_vec()));
        Ok(())
    }
    fn on_epoch(&mut self, info: &EpochInfo<'_>) -> Result<(), BoxError> {
        self.0
            .lock()
            .unwrap()
            .push((info.loss, info.terms.to_vec()));
        Ok(())
    }
}

#[test]
fn a_step_whose_last_batch_has_no_finite_loss_has_none() {
    let numbers = Numbers::default();
    let mut task = Toy::new();
    task.poisoned = vec![(0, 2)];
    let config = TrainConfig {
        accumulation: 3,
        ..config(1)
    };
    let trainer = Trainer::new(config).unwrap();
    trainer
        .with_callback(numbers.clone())
        .fit(&mut task)
        .unwrap();
    let given: Vec<bool> = numbers
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|(loss, _)| loss.is_some())
        .collect();
    // The first step is skipped; the second, of the last two batches, is all that the epoch's mean is of.
    assert_eq!(given, [false, true, true]);

    // A gradient that is not finite leaves the loss as it is.
    let numbers = Numbers::default();
    let trainer = Trainer::new(self::config(1)).unwrap();
    let mut task = Steep::at(0.0);
    trainer
        .with_callback(numbers.clone())
        .fit(&mut task)
        .unwrap();
    assert_eq!(numbers.0.lock().unwrap()[0].0, Some(0.0));
}

/// A term that only some batches have, and that is not finite in one of them.
struct Sometimes(candle_core::Var);

impl Task for Sometimes {
    fn name(&self) -> &str {
        "sometimes"
    }
    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("x", self.0.clone())]
    }
    fn batches_per_epoch(&self) -> usize {
        4
    }
    fn step(&mut self, at: Position) -> Result<StepOutput, BoxError> {
        let rare = [Some(6.0), None, Some(f64::NAN), Some(3.0)][at.batch];
        let mut terms = vec![("always".to_string(), at.batch as f64)];
        terms.extend(rare.map(|value| ("rare".to_string(), value)));
        Ok(StepOutput {
            loss: self.0.sqr()?,
            terms,
            samples: if at.batch == 3 { 2 } else { 1 },
        })
    }
}

#[test]
fn a_term_is_the_mean_of_the_batches_that_have_it() {
    let numbers = Numbers::default();
    let var = candle_core::Var::new(1f32, &candle_core::Device::Cpu).unwrap();
    let config = TrainConfig {
        accumulation: 4,
        ..config(1)
    };
    let trainer = Trainer::new(config).unwrap();
    trainer
        .with_callback(numbers.clone())
        .fit(&mut Sometimes(var))
        .unwrap();
    // always: (0 + 1 + 2 + 2·3) / 5; rare: (6 + 2·3) / 3. Of the step and of the epoch alike.
    let expected = [("always".to_string(), 1.8), ("rare".to_string(), 4.0)];
    let numbers = numbers.0.lock().unwrap();
    assert_eq!(numbers.len(), 2);
    for (_, terms) in numbers.iter() {
        assert_eq!(terms, &expected);
    }
}
