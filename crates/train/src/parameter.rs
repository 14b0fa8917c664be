//! The variables of a task, and what the optimizer must know of each.

use candle_core::Var;

/// A variable of a task. Its fields say all that matters in training: nothing is read off its name.
///
/// ```
/// use candle_core::{DType, Device, Var};
/// use venule_train::Parameter;
/// let kernel = Parameter::new("conv.weight", Var::zeros((8, 1, 3, 3), DType::F32, &Device::Cpu)?);
/// assert!(kernel.trainable && kernel.decays && kernel.depth == 0);
/// let bias = Parameter::new("conv.bias", Var::zeros(8, DType::F32, &Device::Cpu)?);
/// assert!(!bias.decays);
/// // Of the encoder, three stages before its end.
/// let early = Parameter { depth: 3, ..kernel };
/// # let _ = early;
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Parameter {
    /// Its name in checkpoints, unique in the task.
    pub name: String,
    /// The variable.
    pub var: Var,
    /// Whether it is to be trained now. One that is must get a gradient (see [`crate::Error::NoGradient`]).
    pub trainable: bool,
    /// Whether weight decay applies to it.
    pub decays: bool,
    /// How many stages lie between it and the end of the encoder, by which layer-wise rates fall
    /// ([`crate::TrainConfig::layer_decay`]): 0 for decoder, head and whatever has no stage.
    pub depth: usize,
}

impl Parameter {
    /// A trainable parameter of depth 0. It decays if it is a matrix or a kernel (its rank is above 1): pulling biases and the
    /// weights of norms to zero costs accuracy and regularises nothing. Class tokens and position embeddings are of rank 3 and are
    /// commonly left alone too: set `decays` for them.
    pub fn new(name: impl Into<String>, var: Var) -> Self {
        Self {
            name: name.into(),
            trainable: true,
            decays: var.rank() > 1,
            depth: 0,
            var,
        }
    }
}
