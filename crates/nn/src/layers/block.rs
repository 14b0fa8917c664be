use candle_core::{Module, ModuleT, Result as TensorResult, Tensor};

use crate::{Attention, Error, LayerNorm, Mlp, Mode, Params, Result, drop_path};

/// Shape of a [`Block`].
#[derive(Clone, Debug, PartialEq)]
pub struct BlockConfig {
    /// Values per token.
    pub width: usize,
    /// Attention heads; must divide `width`.
    pub heads: usize,
    /// Hidden values of the MLP per value of `width`, usually 4.
    pub mlp_ratio: f64,
    /// Whether the joint q, k, v projection has a bias.
    pub qkv_bias: bool,
    /// Added to the variance in both layer norms, usually 1e-6.
    pub layer_norm_eps: f64,
    /// Probability that a sample skips each residual branch in training, in [0, 1).
    pub drop_path: f32,
}

/// A pre-norm Vision Transformer block (Dosovitskiy et al. 2021): x + attention(norm1(x)), then x + mlp(norm2(x)).
///
/// Variables: `norm1`, `attn.qkv`, `attn.proj`, `norm2`, `mlp.fc1`, `mlp.fc2`, each with `.weight` and `.bias`.
///
/// It is a `candle_nn::ModuleT` too. Drop path needs a seed, which a flag for training does not give: with drop path above 0,
/// `forward_t` in training is an error that names [`Block::forward`].
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use venule_nn::{Block, BlockConfig, Mode, ParamStore};
/// let config = BlockConfig {
///     width: 16,
///     heads: 4,
///     mlp_ratio: 4.0,
///     qkv_bias: true,
///     layer_norm_eps: 1e-6,
///     drop_path: 0.1,
/// };
/// let store = ParamStore::new(1, &Device::Cpu);
/// let block = Block::new(&config, &store.root().pp("blocks").pp(0))?;
/// let tokens = Tensor::zeros((2, 5, 16), DType::F32, &Device::Cpu)?;
/// assert_eq!(block.forward(&tokens, Mode::Train { seed: 3 })?.dims(), [2, 5, 16]);
/// # Ok::<(), venule_nn::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Block {
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    drop_path: f32,
}

impl Block {
    /// Takes its variables from `params`.
    ///
    /// # Errors
    /// [`Error::Config`] if a field of `config` is out of range; [`Error::Shape`] if the store holds other shapes.
    pub fn new(config: &BlockConfig, params: &Params) -> Result<Self> {
        let hidden = (config.width as f64 * config.mlp_ratio).round();
        if !(1.0..=1e6).contains(&hidden) {
            return Err(Error::Config {
                field: "mlp_ratio",
                value: config.mlp_ratio.to_string(),
                expected: "must give between 1 and a million hidden values (usually 4)",
            });
        }
        if !(0.0..1.0).contains(&config.drop_path) {
            return Err(Error::Config {
                field: "drop_path",
                value: config.drop_path.to_string(),
                expected: "must be a probability in [0, 1)",
            });
        }
        let (width, eps) = (config.width, config.layer_norm_eps);
        Ok(Self {
            norm1: LayerNorm::new(width, eps, &params.pp("norm1"))?,
            attn: Attention::new(width, config.heads, config.qkv_bias, &params.pp("attn"))?,
            norm2: LayerNorm::new(width, eps, &params.pp("norm2"))?,
            mlp: Mlp::new(width, hidden as usize, &params.pp("mlp"))?,
            drop_path: config.drop_path,
        })
    }

    /// Tokens (B, T, width) → (B, T, width).
    ///
    /// # Errors
    /// If the shape does not fit.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> TensorResult<Tensor> {
        let branch = self.attn.forward(&self.norm1.forward(x)?)?;
        let x = (x + drop_path(&branch, self.drop_path, mode.part(0))?)?;
        let branch = self.mlp.forward(&self.norm2.forward(&x)?)?;
        x + drop_path(&branch, self.drop_path, mode.part(1))?
    }
}

impl ModuleT for Block {
    fn forward_t(&self, x: &Tensor, train: bool) -> TensorResult<Tensor> {
        if train && self.drop_path > 0.0 {
            candle_core::bail!(
                "a block with a drop path of {} needs a seed in training: call Block::forward with Mode::Train, or build it with drop_path 0",
                self.drop_path
            );
        }
        self.forward(x, Mode::Eval)
    }
}
