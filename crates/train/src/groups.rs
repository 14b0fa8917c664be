//! Parameter groups: which variables decay, and how fast each learns.

use candle_core::Var;

use crate::Parameter;

/// Variables that share weight decay and a learning-rate factor.
///
/// Names are those of the checkpoint; their order is the order of the optimizer's state.
#[derive(Debug, Clone)]
pub struct ParamGroup {
    /// The variables with their names.
    pub params: Vec<(String, Var)>,
    /// Decoupled weight decay λ: each step multiplies the weights by 1 − lr·λ.
    pub weight_decay: f64,
    /// Factor on the step's learning rate.
    pub lr_scale: f64,
}

/// Parameters in groups: `weight_decay` for those that decay, none for the others; the learning rate falls towards the input by
/// the factor `layer_decay`^depth. With a `layer_decay` of 1 all learn alike.
///
/// Layer-wise rates are those of BEiT (Bao 2022) and of the fine-tuning code of *Masked Autoencoders Are Scalable Vision
/// Learners* (He 2022).
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use venule_train::{Parameter, decay_groups};
/// let zeros = |shape: &[usize]| Var::zeros(shape, DType::F32, &Device::Cpu);
/// let params = [
///     Parameter::new("fc.weight", zeros(&[3, 2])?),
///     Parameter::new("fc.bias", zeros(&[3])?),
///     Parameter { depth: 2, ..Parameter::new("embed.weight", zeros(&[3, 2])?) },
/// ];
/// let groups = decay_groups(&params, 0.05, 0.5);
/// let of = |i: usize| (groups[i].params[0].0.as_str(), groups[i].weight_decay, groups[i].lr_scale);
/// assert_eq!(of(0), ("fc.weight", 0.05, 1.0));
/// assert_eq!(of(1), ("fc.bias", 0.0, 1.0));
/// assert_eq!(of(2), ("embed.weight", 0.05, 0.25));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn decay_groups(params: &[Parameter], weight_decay: f64, layer_decay: f64) -> Vec<ParamGroup> {
    let mut groups: Vec<((usize, bool), ParamGroup)> = Vec::new();
    for param in params {
        let key = (param.depth, param.decays);
        let index = match groups.iter().position(|(existing, _)| *existing == key) {
            Some(index) => index,
            None => {
                let exponent = i32::try_from(param.depth).unwrap_or(i32::MAX);
                let group = ParamGroup {
                    params: Vec::new(),
                    weight_decay: if param.decays { weight_decay } else { 0.0 },
                    lr_scale: layer_decay.powi(exponent),
                };
                groups.push((key, group));
                groups.len() - 1
            }
        };
        let pair = (param.name.clone(), param.var.clone());
        groups[index].1.params.push(pair);
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
