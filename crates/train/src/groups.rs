//! Parameter groups: which variables decay, and how fast each learns.

use candle_core::Var;

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

/// Whether weight decay applies to a variable of this name and rank.
///
/// Biases, norm weights (all 1-D), class and mask tokens and position embeddings are left alone,
/// as in the fine-tuning code of *Masked Autoencoders Are Scalable Vision Learners* (He 2022):
/// pulling them to zero costs accuracy and regularises nothing.
///
/// ```
/// assert!(venule_train::decays("blocks.0.attn.qkv.weight", 2));
/// assert!(!venule_train::decays("blocks.0.norm1.weight", 1));
/// assert!(!venule_train::decays("decoder_pos_embed", 3));
/// ```
pub fn decays(name: &str, rank: usize) -> bool {
    const EXEMPT: [&str; 4] = ["cls_token", "mask_token", "pos_embed", ".bias"];
    rank > 1 && name != "bias" && !EXEMPT.iter().any(|suffix| name.ends_with(suffix))
}

/// Two groups: `weight_decay` on matrices and kernels, none on what [`decays`] exempts.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// let params = vec![
///     ("fc.weight".to_string(), Var::zeros((3, 2), DType::F32, &Device::Cpu)?),
///     ("fc.bias".to_string(), Var::zeros(3, DType::F32, &Device::Cpu)?),
/// ];
/// let groups = venule_train::decay_groups(params, 0.05);
/// assert_eq!((groups[0].params[0].0.as_str(), groups[0].weight_decay), ("fc.weight", 0.05));
/// assert_eq!((groups[1].params[0].0.as_str(), groups[1].weight_decay), ("fc.bias", 0.0));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn decay_groups(params: Vec<(String, Var)>, weight_decay: f64) -> Vec<ParamGroup> {
    let (decayed, exempt): (Vec<_>, Vec<_>) = params
        .into_iter()
        .partition(|(name, var)| decays(name, var.rank()));
    [(decayed, weight_decay), (exempt, 0.0)]
        .into_iter()
        .filter(|(params, _)| !params.is_empty())
        .map(|(params, weight_decay)| ParamGroup {
            params,
            weight_decay,
            lr_scale: 1.0,
        })
        .collect()
}

/// [`decay_groups`] with the learning rate falling towards the input: the factor of layer *i* of
/// *L* is `layer_decay`^(L − i).
///
/// As in the MAE fine-tuning code (after BEiT, Bao 2022): L is the number of transformer blocks
/// plus one; tokens, positions and patch embedding are layer 0, `blocks.N` is layer N + 1,
/// everything else (final norm, decoder, head) is layer L with factor 1. Names may carry a prefix
/// (`encoder.blocks.3.…`); `decoder_blocks` is not `blocks`.
pub fn layer_decay_groups(
    params: Vec<(String, Var)>,
    weight_decay: f64,
    layer_decay: f64,
) -> Vec<ParamGroup> {
    let blocks = params.iter().filter_map(|(name, _)| block_index(name));
    let layers = blocks.max().map_or(1, |last| last + 2);
    let mut groups: Vec<((usize, bool), ParamGroup)> = Vec::new();
    for (name, var) in params {
        let layer = layer_of(&name, layers);
        let key = (layer, decays(&name, var.rank()));
        let index = match groups.iter().position(|(existing, _)| *existing == key) {
            Some(index) => index,
            None => {
                let exponent = i32::try_from(layers - layer).unwrap_or(i32::MAX);
                let group = ParamGroup {
                    params: Vec::new(),
                    weight_decay: if key.1 { weight_decay } else { 0.0 },
                    lr_scale: layer_decay.powi(exponent),
                };
                groups.push((key, group));
                groups.len() - 1
            }
        };
        groups[index].1.params.push((name, var));
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

fn block_index(name: &str) -> Option<usize> {
    let mut segments = name.split('.');
    segments.find(|segment| *segment == "blocks")?;
    // A number from a caller's name; more blocks than this is not a model.
    segments.next()?.parse().ok().filter(|n| *n < 100_000)
}

fn layer_of(name: &str, layers: usize) -> usize {
    if let Some(block) = block_index(name) {
        return block + 1;
    }
    let is_input = name
        .split('.')
        .any(|segment| matches!(segment, "cls_token" | "pos_embed" | "patch_embed"));
    if is_input { 0 } else { layers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device};

    fn param(name: &str, shape: &[usize]) -> (String, Var) {
        let var = Var::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        (name.to_string(), var)
    }

    #[test]
    fn layer_factors_follow_depth() {
        // Two blocks: L = 3, so 0.5^3 for the input, 0.5^2 and 0.5^1 for the blocks, 1 above.
        let params = vec![
            param("encoder.cls_token", &[1, 1, 4]),
            param("encoder.patch_embed.proj.weight", &[4, 1, 2, 2]),
            param("encoder.blocks.0.mlp.fc1.weight", &[8, 4]),
            param("encoder.blocks.0.mlp.fc1.bias", &[8]),
            param("encoder.blocks.1.mlp.fc1.weight", &[8, 4]),
            param("encoder.norm.weight", &[4]),
            param("decoder_blocks.0.mlp.fc1.weight", &[8, 4]),
        ];
        let groups = layer_decay_groups(params, 0.1, 0.5);
        let found: Vec<(String, f64, f64)> = groups
            .iter()
            .flat_map(|g| {
                g.params
                    .iter()
                    .map(|(n, _)| (n.clone(), g.lr_scale, g.weight_decay))
            })
            .collect();
        let expected = [
            ("encoder.cls_token", 0.125, 0.0),
            ("encoder.patch_embed.proj.weight", 0.125, 0.1),
            ("encoder.blocks.0.mlp.fc1.weight", 0.25, 0.1),
            ("encoder.blocks.0.mlp.fc1.bias", 0.25, 0.0),
            ("encoder.blocks.1.mlp.fc1.weight", 0.5, 0.1),
            ("encoder.norm.weight", 1.0, 0.0),
            ("decoder_blocks.0.mlp.fc1.weight", 1.0, 0.1),
        ];
        assert_eq!(found.len(), expected.len());
        for (name, scale, decay) in expected {
            assert!(
                found.contains(&(name.to_string(), scale, decay)),
                "{name}: {found:?}"
            );
        }
    }

    #[test]
    fn without_blocks_only_the_input_is_slowed() {
        let groups = layer_decay_groups(vec![param("head.weight", &[2, 2])], 0.1, 0.5);
        assert_eq!((groups.len(), groups[0].lr_scale), (1, 1.0));
    }
}
