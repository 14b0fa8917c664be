//! AdamW with parameter groups and readable state.

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use venule_file::Entry;

use crate::adamw_group::{Group, Moments, Slot};
use crate::adamw_kernel::Update;
use crate::groups::ParamGroup;
use crate::{Error, Result};

/// The constants of [`AdamW`]; learning rate and weight decay belong to the step and the group.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay β₁ of the first moment, in [0, 1). Default 0.9.
    pub beta1: f64,
    /// Decay β₂ of the second moment, in [0, 1). Default 0.999; the MAE paper pretrains with 0.95.
    pub beta2: f64,
    /// ε added to the root of the second moment, > 0. Default 1e-8.
    pub eps: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
        }
    }
}

impl AdamWConfig {
    pub(crate) fn validate(&self) -> Result<()> {
        let config = |field, value: f64, expected| Error::Config {
            field,
            value: value.to_string(),
            expected,
        };
        for (field, beta) in [("beta1", self.beta1), ("beta2", self.beta2)] {
            if !(0.0..1.0).contains(&beta) {
                return Err(config(field, beta, "a number in [0, 1)"));
            }
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(config("eps", self.eps, "a number above 0"));
        }
        Ok(())
    }
}

/// AdamW: Adam with decoupled weight decay (Loshchilov & Hutter 2019).
///
/// For each variable θ with gradient g, at its step t, with the group's rate η = lr · `lr_scale`:
/// θ ← θ(1 − ηλ); m ← m + (1−β₁)(g − m); v ← β₂v + (1−β₂)g²;
/// θ ← θ − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε). These are `torch.optim.AdamW`'s operations.
///
/// A variable without a gradient is left alone, moments and step count included. On the CPU, f32
/// variables are updated in one fused pass over parameter, gradient and both moments. On other
/// devices, and of other types, the variables of a group are updated as one vector, in a dozen operations beside its copies.
///
/// ```
/// use candle_core::{Device, Var};
/// use venule_train::{AdamW, AdamWConfig, Parameter, decay_groups};
/// let weight = Var::new(&[[1.0f32, -2.0]], &Device::Cpu)?;
/// let groups = decay_groups(&[Parameter::new("weight", weight.clone())], 0.0, 1.0);
/// let mut optimizer = AdamW::new(groups, AdamWConfig::default())?;
/// let loss = weight.sqr()?.sum_all()?;
/// optimizer.step(&loss.backward()?, 0.1)?;
/// // The first step of Adam has the length of the learning rate.
/// let weight = weight.to_vec2::<f32>()?;
/// assert!((weight[0][0] - 0.9).abs() < 1e-6 && (weight[0][1] + 1.9).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    groups: Vec<Group>,
}

impl AdamW {
    /// An optimizer with zero moments over `groups`.
    ///
    /// # Errors
    /// [`Error::Config`] for constants out of range, [`Error::DuplicateParameter`], or a tensor error.
    pub fn new(groups: Vec<ParamGroup>, config: AdamWConfig) -> Result<Self> {
        Self::build(groups, config, true)
    }

    fn build(groups: Vec<ParamGroup>, config: AdamWConfig, fuse: bool) -> Result<Self> {
        config.validate()?;
        let mut seen = std::collections::BTreeSet::new();
        let mut built = Vec::with_capacity(groups.len());
        for group in groups {
            let mut slots = Vec::with_capacity(group.params.len());
            for (name, var) in group.params {
                if !seen.insert(name.clone()) {
                    return Err(Error::DuplicateParameter { name });
                }
                slots.push(Slot {
                    fuse: fuse && var.device().is_cpu() && var.dtype() == DType::F32,
                    name,
                    var,
                    step: 0,
                    moments: Moments::Untouched,
                });
            }
            built.push(Group {
                weight_decay: group.weight_decay,
                lr_scale: group.lr_scale,
                slots,
                joined: Vec::new(),
            });
        }
        Ok(Self {
            config,
            groups: built,
        })
    }

    /// One step with learning rate `lr` (each group multiplies it by its `lr_scale`).
    ///
    /// # Errors
    /// A tensor error, e.g. a gradient of another shape.
    pub fn step(&mut self, grads: &GradStore, lr: f64) -> candle_core::Result<()> {
        self.step_scaled(grads, lr, 1.0)
    }

    /// [`AdamW::step`] on gradients multiplied by `grad_scale`: clipping without a pass of its own.
    ///
    /// # Errors
    /// A tensor error, e.g. a gradient of another shape.
    pub fn step_scaled(
        &mut self,
        grads: &GradStore,
        lr: f64,
        grad_scale: f64,
    ) -> candle_core::Result<()> {
        let AdamWConfig { beta1, beta2, eps } = self.config;
        for group in &mut self.groups {
            let rate = lr * group.lr_scale;
            let keep = 1.0 - rate * group.weight_decay;
            group.step(grads, |step| {
                let power = step as f64;
                Update {
                    grad_scale,
                    keep,
                    rate1: 1.0 - beta1,
                    beta2,
                    step_size: rate / (1.0 - beta1.powf(power)),
                    root_correction: (1.0 - beta2.powf(power)).sqrt(),
                    eps,
                }
            })?;
        }
        Ok(())
    }

    /// The names of the variables, group by group.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.slots().map(|slot| slot.name.as_str())
    }

    /// Moments and step counts: for each variable `NAME.step` (one i64) and, once it has had a
    /// gradient, `NAME.exp_avg` and `NAME.exp_avg_sq` of its shape.
    ///
    /// # Errors
    /// A tensor error.
    pub fn state(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        let views = self.views()?;
        for (slot, views) in self.slots().zip(views) {
            let moments = match &slot.moments {
                Moments::Host { first, second } => Some((
                    Tensor::from_slice(first, slot.var.shape(), &Device::Cpu)?,
                    Tensor::from_slice(second, slot.var.shape(), &Device::Cpu)?,
                )),
                _ => views,
            };
            if let Some((first, second)) = moments {
                state.push((format!("{}.exp_avg", slot.name), first));
                state.push((format!("{}.exp_avg_sq", slot.name), second));
            }
            let step = Tensor::new(slot.step as i64, &Device::Cpu)?;
            state.push((format!("{}.step", slot.name), step));
        }
        Ok(state)
    }

    /// [`AdamW::state`] without copying the moments, names prefixed, for the checkpoint writer.
    pub(crate) fn entries(&self, prefix: &str) -> candle_core::Result<Vec<Entry<'_>>> {
        let mut entries = Vec::new();
        for (slot, views) in self.slots().zip(self.views()?) {
            let (shape, name) = (slot.var.dims(), format!("{prefix}{}", slot.name));
            let (first_name, second_name) =
                (format!("{name}.exp_avg"), format!("{name}.exp_avg_sq"));
            if let Moments::Host { first, second } = &slot.moments {
                entries.push(Entry::slice(first_name, shape, first)?);
                entries.push(Entry::slice(second_name, shape, second)?);
            } else if let Some((first, second)) = views {
                entries.push(Entry::tensor(first_name, &first)?);
                entries.push(Entry::tensor(second_name, &second)?);
            }
            let step = Tensor::new(slot.step as i64, &Device::Cpu)?;
            entries.push(Entry::tensor(format!("{name}.step"), &step)?);
        }
        Ok(entries)
    }

    /// Restores what [`AdamW::state`] gave; tensors of other names are ignored.
    ///
    /// # Errors
    /// [`Error::Restore`] if a variable's moments are missing or of another shape or type; the
    /// optimizer is then unchanged.
    pub fn load_state(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let mut restored = Vec::new();
        for slot in self.slots() {
            let find = |suffix: &str| {
                let name = format!("{}.{suffix}", slot.name);
                state.get(&name).ok_or_else(|| Error::Restore {
                    what: "optimizer",
                    reason: format!("`{name}` is missing"),
                })
            };
            let moment = |suffix: &str| -> Result<&Tensor> {
                let tensor = find(suffix)?;
                if tensor.dims() != slot.var.dims() || tensor.dtype() != slot.var.dtype() {
                    return Err(Error::Restore {
                        what: "optimizer",
                        reason: format!(
                            "`{}.{suffix}` is {:?} {:?}, expected {:?} {:?}",
                            slot.name,
                            tensor.dtype(),
                            tensor.dims(),
                            slot.var.dtype(),
                            slot.var.dims()
                        ),
                    });
                }
                Ok(tensor)
            };
            let step = find("step")?
                .to_scalar::<i64>()
                .ok()
                .and_then(|step| u64::try_from(step).ok())
                .ok_or_else(|| Error::Restore {
                    what: "optimizer",
                    reason: format!("`{}.step` is no count", slot.name),
                })?;
            if step == 0 {
                restored.push((step, Moments::Untouched));
                continue;
            }
            let (first, second) = (moment("exp_avg")?, moment("exp_avg_sq")?);
            let moments = if slot.fuse {
                Moments::Host {
                    first: first.flatten_all()?.to_vec1()?,
                    second: second.flatten_all()?.to_vec1()?,
                }
            } else {
                Moments::Tensors {
                    first: first.to_device(slot.var.device())?,
                    second: second.to_device(slot.var.device())?,
                }
            };
            restored.push((step, moments));
        }
        for group in &mut self.groups {
            group.joined.clear();
        }
        let slots = self.groups.iter_mut().flat_map(|group| &mut group.slots);
        for (slot, (step, moments)) in slots.zip(restored) {
            slot.step = step;
            slot.moments = moments;
        }
        Ok(())
    }

    fn slots(&self) -> impl Iterator<Item = &Slot> {
        self.groups.iter().flat_map(|group| &group.slots)
    }

    /// The moments of each slot that are tensors.
    fn views(&self) -> candle_core::Result<Vec<Option<(Tensor, Tensor)>>> {
        let views = self.groups.iter().map(Group::views);
        Ok(views.collect::<candle_core::Result<Vec<_>>>()?.concat())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::*;
    use crate::{Parameter, decay_groups};

    /// Values in [−1, 1) without a generator: the fractional part of multiples of the golden ratio.
    fn series(n: usize, offset: usize) -> Vec<f32> {
        (0..n)
            .map(|i| (((i + offset) as f64 * 0.618_033_988_749_894_9).fract() * 2.0 - 1.0) as f32)
            .collect()
    }

    /// 50 steps on a variable of 40,000 elements, so that the parallel path runs.
    fn run(fuse: bool) -> (Vec<f32>, BTreeMap<String, Tensor>) {
        const N: usize = 40_000;
        let var = Var::from_vec(series(N, 7), (200, 200), &Device::Cpu).unwrap();
        let groups = decay_groups(&[Parameter::new("w", var.clone())], 0.1, 1.0);
        let mut optimizer = AdamW::build(groups, AdamWConfig::default(), fuse).unwrap();
        for step in 0..50 {
            let grad = Tensor::from_vec(series(N, 1000 * step), (200, 200), &Device::Cpu).unwrap();
            let mut grads = GradStore::default();
            // A transposed view: gradients need not be contiguous.
            grads.insert(&var, grad.t().unwrap());
            optimizer.step_scaled(&grads, 0.01, 0.5).unwrap();
        }
        let values = var.flatten_all().unwrap().to_vec1().unwrap();
        (values, optimizer.state().unwrap().into_iter().collect())
    }

    #[test]
    fn fused_equals_composed() {
        let (fused, fused_state) = run(true);
        let (composed, composed_state) = run(false);
        for (a, b) in fused.iter().zip(&composed) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(0.1), "{a} {b}");
        }
        for name in ["w.exp_avg", "w.exp_avg_sq"] {
            let a = fused_state[name]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let b = composed_state[name]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            for (a, b) in a.iter().zip(&b) {
                assert!((a - b).abs() <= 1e-5 * b.abs().max(1e-3), "{name}: {a} {b}");
            }
        }
    }

    /// Of several variables, that get gradients in turn, on the composed path: as each by itself.
    #[test]
    fn joined_variables_step_as_each_by_itself() {
        let vars = || {
            [(7, 3usize), (2, 4), (1, 5)].map(|(rows, columns)| {
                let values: Vec<f64> = series(rows * columns, rows)
                    .iter()
                    .map(|&v| v.into())
                    .collect();
                Var::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
            })
        };
        let optimizer = |vars: &[Var]| {
            let named = vars
                .iter()
                .enumerate()
                .map(|(i, var)| Parameter::new(format!("w{i}"), var.clone()));
            let groups = decay_groups(&named.collect::<Vec<_>>(), 0.1, 1.0);
            AdamW::new(groups, AdamWConfig::default()).unwrap()
        };
        let (together, apart) = (vars(), vars());
        let mut joined = optimizer(&together);
        let mut single: Vec<AdamW> = apart
            .iter()
            .map(|var| optimizer(std::slice::from_ref(var)))
            .collect();
        for (step, which) in [&[0, 1, 2][..], &[0, 1, 2], &[0, 2], &[1], &[], &[0, 1, 2]]
            .iter()
            .enumerate()
        {
            let mut grads = GradStore::default();
            for &i in *which {
                let grad = (together[i].as_detached_tensor() * (step + i + 1) as f64).unwrap();
                grads.insert(&together[i], grad.clone());
                grads.insert(&apart[i], grad);
            }
            joined.step_scaled(&grads, 0.01, 0.5).unwrap();
            for optimizer in &mut single {
                optimizer.step_scaled(&grads, 0.01, 0.5).unwrap();
            }
            if step == 3 {
                let state = joined.state().unwrap().into_iter().collect();
                joined.load_state(&state).unwrap();
            }
        }
        for (a, b) in together.iter().zip(&apart) {
            assert_eq!(a.to_vec2::<f64>().unwrap(), b.to_vec2::<f64>().unwrap());
        }
        let state = joined.state().unwrap();
        let expected: Vec<_> = single.iter().flat_map(|one| one.state().unwrap()).collect();
        assert_eq!(state.len(), 9);
        // Each of the single ones calls its variable by its place.
        for ((name, a), (_, b)) in state.iter().zip(&expected) {
            let values = |t: &Tensor| {
                t.to_dtype(DType::F64)
                    .unwrap()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f64>()
                    .unwrap()
            };
            assert_eq!(values(a), values(b), "{name}");
        }
    }

    #[test]
    fn state_round_trip_continues_bit_for_bit() {
        let start = series(6, 3);
        let gradient = |step: usize, var: &Var| {
            let mut grads = GradStore::default();
            grads.insert(
                var,
                Tensor::from_vec(series(6, 11 * step), (2, 3), &Device::Cpu).unwrap(),
            );
            grads
        };
        let build = |values: Vec<f32>| {
            let var = Var::from_vec(values, (2, 3), &Device::Cpu).unwrap();
            let groups = decay_groups(&[Parameter::new("w", var.clone())], 0.1, 1.0);
            (AdamW::new(groups, AdamWConfig::default()).unwrap(), var)
        };
        let (mut whole, whole_var) = build(start.clone());
        let (mut head, head_var) = build(start);
        for step in 0..5 {
            whole.step(&gradient(step, &whole_var), 0.01).unwrap();
            head.step(&gradient(step, &head_var), 0.01).unwrap();
        }
        let values = head_var.flatten_all().unwrap().to_vec1().unwrap();
        let (mut tail, tail_var) = build(values);
        tail.load_state(&head.state().unwrap().into_iter().collect())
            .unwrap();
        for step in 5..10 {
            whole.step(&gradient(step, &whole_var), 0.01).unwrap();
            tail.step(&gradient(step, &tail_var), 0.01).unwrap();
        }
        assert_eq!(
            whole_var.to_vec2::<f32>().unwrap(),
            tail_var.to_vec2::<f32>().unwrap()
        );
    }

    #[test]
    fn foreign_state_is_refused() {
        let var = Var::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let groups = decay_groups(&[Parameter::new("w", var.clone())], 0.1, 1.0);
        let mut optimizer = AdamW::new(groups, AdamWConfig::default()).unwrap();
        let mut grads = GradStore::default();
        grads.insert(&var, var.ones_like().unwrap());
        optimizer.step(&grads, 0.1).unwrap();
        let mut state: BTreeMap<_, _> = optimizer.state().unwrap().into_iter().collect();
        let wrong = Tensor::zeros((3, 2), DType::F32, &Device::Cpu).unwrap();
        state.insert("w.exp_avg".into(), wrong);
        assert!(matches!(
            optimizer.load_state(&state),
            Err(Error::Restore { .. })
        ));
        state.remove("w.exp_avg");
        assert!(matches!(
            optimizer.load_state(&state),
            Err(Error::Restore { .. })
        ));
    }

    #[test]
    fn a_variable_without_gradient_rests() {
        let var = Var::ones((2, 2), DType::F32, &Device::Cpu).unwrap();
        let groups = decay_groups(&[Parameter::new("w", var.clone())], 0.5, 1.0);
        let mut optimizer = AdamW::new(groups, AdamWConfig::default()).unwrap();
        optimizer.step(&GradStore::default(), 0.1).unwrap();
        assert_eq!(var.to_vec2::<f32>().unwrap(), vec![vec![1.0; 2]; 2]);
        let state: BTreeMap<_, _> = optimizer.state().unwrap().into_iter().collect();
        assert_eq!(state["w.step"].to_scalar::<i64>().unwrap(), 0);
    }
}
