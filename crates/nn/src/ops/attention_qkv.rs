use candle_core::{D, Result, Tensor, bail};

/// Multi-head self-attention softmax(q kᵀ / √D) v (Vaswani et al. 2017) from one joint projection.
///
/// `qkv` is (B, T, 3C), its last dimension laid out [q|k|v][head][D] with D = C / heads; the result is (B, T, C), [head][D].
/// On the CPU no T×T matrix is stored, neither forward nor for the gradient.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// // Equal keys: every token gets the mean of the values 1 and 3.
/// let qkv = Tensor::new(&[[[5f32, 1.0, 1.0], [7.0, 1.0, 3.0]]], &Device::Cpu)?;
/// let y = venule_nn::attention_qkv(&qkv, 1)?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[2.0], [2.0]]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the tensor does not have three dimensions or its last is not a multiple of 3 · heads.
pub fn attention_qkv(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (_, _, width) = qkv.dims3()?;
    if heads == 0 || width == 0 || width % (3 * heads) != 0 {
        bail!("attention takes (B, T, 3 · heads · D), not {width} values for {heads} heads");
    }
    attention_qkv_composed(qkv, heads)
}

pub(crate) fn attention_qkv_composed(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, width) = qkv.dims3()?;
    let depth = width / 3 / heads;
    let part = |index: usize| -> Result<Tensor> {
        qkv.narrow(2, index * heads * depth, heads * depth)?
            .reshape((b, t, heads, depth))?
            .transpose(1, 2)?
            .contiguous()
    };
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let scores = (q.matmul(&k.t()?)? * (1.0 / (depth as f64).sqrt()))?;
    // The maximum only guards against overflow; the softmax does not depend on it.
    let largest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
    let y = weights.matmul(&v)?.transpose(1, 2)?;
    y.reshape((b, t, heads * depth))
}
