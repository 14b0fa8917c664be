//! Exponential moving average of the weights.

use std::collections::BTreeMap;

use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::joined::{alike, join, split};
use crate::{Error, Result};

/// The settings of [`Ema`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmaConfig {
    /// The share d of the old average kept at each step, in [0, 1). Default 0.999.
    pub decay: f64,
    /// Use min(d, (1 + n)/(10 + n)) at the n-th update, so that a short run is not dominated by its
    /// first weights. Default true.
    pub warmup: bool,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self {
            decay: 0.999,
            warmup: true,
        }
    }
}

impl EmaConfig {
    /// Checks the decay.
    ///
    /// # Errors
    /// [`Error::Config`] for a decay outside [0, 1).
    pub(crate) fn validate(&self) -> Result<()> {
        match (0.0..1.0).contains(&self.decay) {
            true => Ok(()),
            false => Err(Error::Config {
                field: "ema.decay",
                value: self.decay.to_string(),
                expected: "a number in [0, 1)",
            }),
        }
    }
}

/// An exponential moving average of variables: a ← d·a + (1 − d)·θ after every step
/// (Polyak & Juditsky 1992; Tarvainen & Valpola 2017), starting from the variables' values.
///
/// ```
/// use candle_core::{Device, Var};
/// use venule_train::{Ema, EmaConfig};
/// let w = Var::new(0.0f32, &Device::Cpu)?;
/// let mut ema = Ema::new(&[("w".into(), w.clone())], EmaConfig { decay: 0.9, warmup: false })?;
/// w.set(&candle_core::Tensor::new(1.0f32, &Device::Cpu)?)?;
/// ema.update()?;
/// assert!((ema.tensors()?[0].1.to_scalar::<f32>()? - 0.1).abs() < 1e-7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ema {
    config: EmaConfig,
    updates: u64,
    /// Of each variable its average, but where that is a part of `joined`.
    averages: Vec<(String, Var, Option<Tensor>)>,
    /// Averages of several variables as one vector, with the places of the variables.
    joined: Vec<(Vec<usize>, Tensor)>,
}

impl Ema {
    /// An average that starts at the present values of `params`.
    ///
    /// # Errors
    /// [`Error::Config`] for a decay outside [0, 1), or a tensor error.
    pub fn new(params: &[(String, Var)], config: EmaConfig) -> Result<Self> {
        config.validate()?;
        let averages = params
            .iter()
            .map(|(name, var)| {
                Ok((
                    name.clone(),
                    var.clone(),
                    Some(var.as_detached_tensor().force_contiguous()?),
                ))
            })
            .collect::<candle_core::Result<_>>()?;
        Ok(Self {
            config,
            updates: 0,
            averages,
            joined: Vec::new(),
        })
    }

    /// Takes the present values of the variables into the average.
    ///
    /// # Errors
    /// A tensor error.
    pub fn update(&mut self) -> candle_core::Result<()> {
        self.updates += 1;
        let n = self.updates as f64;
        let decay = if self.config.warmup {
            self.config.decay.min((1.0 + n) / (10.0 + n))
        } else {
            self.config.decay
        };
        for (_, var, average) in &self.averages {
            if let Some(average) = average.as_ref().filter(|_| is_fused(var)) {
                average.inplace_op2(var, &Lerp(1.0 - decay))?;
            }
        }
        if self.joined.is_empty() {
            self.join()?;
        }
        for (members, average) in &mut self.joined {
            let vars = members.iter().map(|&index| &self.averages[index].1);
            let values = join(vars.map(|var| var.as_tensor()))?;
            let step = ((values - &*average)? * (1.0 - decay))?;
            *average = (&*average + step)?;
        }
        Ok(())
    }

    /// Joins the averages that have no kernel.
    fn join(&mut self) -> candle_core::Result<()> {
        let places = self.averages.iter().enumerate();
        let joined = places.filter(|(_, (_, var, _))| !is_fused(var));
        let joined = joined.map(|(place, (_, var, _))| (place, var.as_tensor(), ()));
        let joined = alike(joined).into_iter().map(|((), members)| {
            let own = members.iter();
            let own = own.filter_map(|&place| self.averages[place].2.as_ref());
            Ok((members.clone(), join(own)?))
        });
        self.joined = joined.collect::<candle_core::Result<_>>()?;
        // Storages of their own would be a copy beside it.
        for &place in self.joined.iter().flat_map(|(members, _)| members) {
            self.averages[place].2 = None;
        }
        Ok(())
    }

    /// The average of each variable.
    fn views(&self) -> candle_core::Result<Vec<Tensor>> {
        let averages = self.averages.iter();
        let mut views: Vec<_> = averages.map(|(.., average)| average.clone()).collect();
        for (members, average) in &self.joined {
            let shapes = members.iter().map(|&index| self.averages[index].1.shape());
            for (&index, view) in members.iter().zip(split(average, shapes)?) {
                views[index] = Some(view);
            }
        }
        // Each is its own or a part.
        Ok(views.into_iter().flatten().collect())
    }

    /// Exchanges the variables' values with the average; a second call undoes it exactly.
    ///
    /// So the model is validated and saved with averaged weights and trained on with its own.
    ///
    /// # Errors
    /// A tensor error.
    pub fn swap(&mut self) -> candle_core::Result<()> {
        let views = self.views()?;
        self.joined.clear();
        for ((_, var, average), view) in self.averages.iter_mut().zip(views) {
            let present = var.as_detached_tensor().force_contiguous()?;
            var.set(&view)?;
            *average = Some(present);
        }
        Ok(())
    }

    /// The averages with their names.
    ///
    /// # Errors
    /// A tensor error.
    pub fn tensors(&self) -> candle_core::Result<Vec<(String, Tensor)>> {
        let names = self.averages.iter().map(|(name, ..)| name.clone());
        Ok(names.zip(self.views()?).collect())
    }

    /// The number of updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Restores averages and count, as given by [`Ema::tensors`] and [`Ema::updates`].
    ///
    /// # Errors
    /// [`Error::Restore`] if a tensor is missing or of another shape or type.
    pub fn load(&mut self, tensors: &BTreeMap<String, Tensor>, updates: u64) -> Result<()> {
        let mut restored = Vec::with_capacity(self.averages.len());
        for (name, var, _) in &self.averages {
            let fits = |t: &&Tensor| t.dims() == var.dims() && t.dtype() == var.dtype();
            let Some(tensor) = tensors.get(name).filter(fits) else {
                return Err(Error::Restore {
                    what: "weight average",
                    reason: format!("`{name}` is missing or not {:?}", var.dims()),
                });
            };
            restored.push(
                tensor
                    .to_device(var.device())?
                    .detach()
                    .force_contiguous()?,
            );
        }
        self.joined.clear();
        for ((_, _, average), tensor) in self.averages.iter_mut().zip(restored) {
            *average = Some(tensor);
        }
        self.updates = updates;
        Ok(())
    }
}

/// Whether the kernel takes it.
fn is_fused(var: &Var) -> bool {
    var.device().is_cpu() && var.dtype() == DType::F32
}

/// average += weight · (value − average), in place.
struct Lerp(f64);

impl InplaceOp2 for Lerp {
    fn name(&self) -> &'static str {
        "ema-lerp"
    }

    fn cpu_fwd(
        &self,
        average: &mut CpuStorage,
        average_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> candle_core::Result<()> {
        const CHUNK: usize = 32 * 1024;
        let CpuStorage::F32(average) = average else {
            candle_core::bail!("ema-lerp expects f32 variables");
        };
        let (Some((a0, a1)), Some((v0, v1))) = (
            average_layout.contiguous_offsets(),
            value_layout.contiguous_offsets(),
        ) else {
            candle_core::bail!("ema-lerp expects contiguous tensors");
        };
        let value = &value.as_slice::<f32>()?[v0..v1];
        let weight = self.0 as f32;
        average[a0..a1]
            .par_chunks_mut(CHUNK)
            .zip(value.par_chunks(CHUNK))
            .for_each(|(averages, values)| {
                for (a, v) in averages.iter_mut().zip(values) {
                    *a += weight * (v - *a);
                }
            });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn swapping_twice_changes_nothing() {
        let w = Var::new(&[1.0f32, 2.0], &Device::Cpu).unwrap();
        let config = EmaConfig {
            decay: 0.5,
            warmup: false,
        };
        let mut ema = Ema::new(&[("w".into(), w.clone())], config).unwrap();
        w.set(&Tensor::new(&[3.0f32, 6.0], &Device::Cpu).unwrap())
            .unwrap();
        ema.update().unwrap();
        ema.swap().unwrap();
        // Halfway between (1, 2) and (3, 6).
        assert_eq!(w.to_vec1::<f32>().unwrap(), [2.0, 4.0]);
        ema.swap().unwrap();
        assert_eq!(w.to_vec1::<f32>().unwrap(), [3.0, 6.0]);
        assert_eq!(
            ema.tensors().unwrap()[0].1.to_vec1::<f32>().unwrap(),
            [2.0, 4.0]
        );
    }

    #[test]
    fn warm_up_lets_early_weights_go() {
        let w = Var::new(0.0f32, &Device::Cpu).unwrap();
        let mut ema = Ema::new(&[("w".into(), w.clone())], EmaConfig::default()).unwrap();
        w.set(&Tensor::new(11.0f32, &Device::Cpu).unwrap()).unwrap();
        ema.update().unwrap();
        // First update: decay 2/11, so 9/11 of the new weight.
        let average = ema.tensors().unwrap()[0].1.to_scalar::<f32>().unwrap();
        assert!((average - 9.0).abs() < 1e-5, "{average}");
    }

    #[test]
    fn joined_averages_are_each_of_its_variable() {
        let vars = [
            Var::new(&[[1.0f64, 2.0]], &Device::Cpu),
            Var::new(3.0f64, &Device::Cpu),
        ];
        let vars = vars.map(Result::unwrap);
        let named = |(i, var): (usize, &Var)| (i.to_string(), var.clone());
        let named: Vec<_> = vars.iter().enumerate().map(named).collect();
        let config = EmaConfig {
            decay: 0.5,
            warmup: false,
        };
        let mut ema = Ema::new(&named, config).unwrap();
        let double = || {
            for var in &vars {
                var.set(&(var.as_detached_tensor() * 2.0).unwrap()).unwrap();
            }
        };
        double();
        ema.update().unwrap();
        ema.swap().unwrap();
        assert_eq!(vars[0].to_vec2::<f64>().unwrap(), [[1.5, 3.0]]);
        assert_eq!(vars[1].to_scalar::<f64>().unwrap(), 4.5);
        ema.swap().unwrap();
        assert_eq!(vars[1].to_scalar::<f64>().unwrap(), 6.0);
        double();
        ema.update().unwrap();
        let averages = ema.tensors().unwrap();
        assert_eq!(averages[0].1.to_vec2::<f64>().unwrap(), [[2.75, 5.5]]);
        assert_eq!(averages[1].1.to_scalar::<f64>().unwrap(), 8.25);
    }

    #[test]
    fn f64_variables_take_the_composed_path() {
        let w = Var::new(0.0f64, &Device::Cpu).unwrap();
        let config = EmaConfig {
            decay: 0.75,
            warmup: false,
        };
        let mut ema = Ema::new(&[("w".into(), w.clone())], config).unwrap();
        w.set(&Tensor::new(8.0f64, &Device::Cpu).unwrap()).unwrap();
        ema.update().unwrap();
        assert_eq!(ema.tensors().unwrap()[0].1.to_scalar::<f64>().unwrap(), 2.0);
    }
}
