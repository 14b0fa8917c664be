//! A task that is taught by the average of its own weights.

use candle_core::{Device, Tensor, Var};
use venule_train::{
    BoxError, EmaConfig, Error, Parameter, Position, StepOutput, Task, TrainConfig, Trainer,
};

/// One weight that goes to 1, and what it was whenever the task was asked.
struct Pupil {
    weight: Var,
    taught: Vec<(Position, f32)>,
    own: Vec<(Position, f32)>,
}

impl Pupil {
    fn new() -> Self {
        Self {
            weight: Var::new(0.0_f32, &Device::Cpu).unwrap(),
            taught: Vec::new(),
            own: Vec::new(),
        }
    }

    fn value(&self) -> Result<f32, BoxError> {
        Ok(self.weight.to_scalar()?)
    }
}

impl Task for Pupil {
    fn name(&self) -> &str {
        "pupil"
    }

    fn parameters(&self) -> Vec<Parameter> {
        vec![Parameter::new("weight", self.weight.clone())]
    }

    fn batches_per_epoch(&self) -> usize {
        4
    }

    fn has_teacher(&self) -> bool {
        true
    }

    fn teach(&mut self, position: Position) -> Result<(), BoxError> {
        let value = self.value()?;
        self.taught.push((position, value));
        Ok(())
    }

    fn step(&mut self, position: Position) -> Result<StepOutput, BoxError> {
        let value = self.value()?;
        self.own.push((position, value));
        let one = Tensor::new(1.0_f32, &Device::Cpu)?;
        Ok(StepOutput {
            loss: (self.weight.as_tensor() - one)?.sqr()?,
            terms: Vec::new(),
            samples: 1,
        })
    }
}

fn settings(accumulation: usize) -> TrainConfig {
    TrainConfig {
        epochs: 2,
        learning_rate: 0.1,
        accumulation,
        ema: Some(EmaConfig {
            decay: 0.75,
            warmup: false,
        }),
        ..TrainConfig::default()
    }
}

#[test]
fn each_step_is_taught_by_the_average_of_those_before() {
    let mut pupil = Pupil::new();
    Trainer::new(settings(1)).unwrap().fit(&mut pupil).unwrap();
    assert_eq!(pupil.own.len(), 8);
    let mut average = pupil.own[0].1;
    for (step, (taught, own)) in pupil.taught.iter().zip(&pupil.own).enumerate() {
        assert_eq!(taught.0, own.0);
        if step > 0 {
            average = 0.75 * average + 0.25 * own.1;
        }
        assert!((taught.1 - average).abs() < 1e-6, "{step}: {taught:?}");
    }
    // The teacher lags behind.
    assert!(pupil.taught[7].1 < pupil.own[7].1);
}

#[test]
fn every_batch_of_an_accumulated_step_has_its_lesson() {
    let mut pupil = Pupil::new();
    Trainer::new(settings(2)).unwrap().fit(&mut pupil).unwrap();
    let places = |asked: &[(Position, f32)]| asked.iter().map(|a| a.0).collect::<Vec<_>>();
    assert_eq!(places(&pupil.taught), places(&pupil.own));
    assert_eq!(pupil.taught[2].1, pupil.taught[3].1);
}

#[test]
fn there_is_no_teacher_without_an_average() {
    let settings = TrainConfig {
        ema: None,
        ..settings(1)
    };
    let error = Trainer::new(settings).unwrap().fit(&mut Pupil::new());
    let error = error.unwrap_err();
    assert!(
        matches!(error, Error::Config { field: "ema", .. }),
        "{error}"
    );
}
