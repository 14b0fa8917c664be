use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, values, with_values};
use crate::cpu::attention::{Sizes, attention, attention_backward};

/// Multi-head self-attention softmax(q kᵀ / √D) v (Vaswani et al. 2017) from one joint projection.
///
/// `qkv` is (B, T, 3C), its last dimension laid out `[q|k|v][head][D]` with D = C / heads; the result is (B, T, C),
/// `[head][D]`.
/// On the CPU no T×T matrix is stored, neither forward nor for the gradient.
///
/// ```
/// use candle_core::{Device, Tensor};
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
    let (batch, tokens, width) = qkv.dims3()?;
    if heads == 0 || width == 0 || width % (3 * heads) != 0 {
        bail!("attention takes (B, T, 3 · heads · D), not {width} values for {heads} heads");
    }
    if has_kernel(qkv) && qkv.elem_count() > 0 {
        let sizes = Sizes {
            batch,
            tokens,
            heads,
            depth: width / 3 / heads,
        };
        return qkv.contiguous()?.apply_op1(Attention {
            sizes,
            log_sums: OnceLock::new(),
        });
    }
    attention_qkv_elsewhere(qkv, heads)
}

/// On a device or of a type without a kernel.
fn attention_qkv_elsewhere(qkv: &Tensor, heads: usize) -> Result<Tensor> {
    let (b, t, width) = qkv.dims3()?;
    let depth = width / 3 / heads;
    let scale = 1.0 / (depth as f64).sqrt();
    let apart = qkv.detach().reshape((b, t, 3, heads, depth))?;
    let apart = apart.permute((2, 0, 3, 1, 4))?.contiguous()?;
    let part = |index: usize| apart.narrow(0, index, 1)?.squeeze(0);
    let (q, k, v) = (part(0)?, part(1)?, part(2)?);
    let scores = q.matmul(&k.t()?)?.affine(scale, 0.0)?;
    let weights = softmax(&scores)?;
    let value = weights.matmul(&v)?.transpose(1, 2)?;
    let value = value.reshape((b, t, heads * depth))?;
    with_gradient([qkv], value, move |grad, _| {
        let grad = grad.reshape((b, t, heads, depth))?.transpose(1, 2)?;
        let grad = grad.contiguous()?;
        let of_v = weights.t()?.matmul(&grad)?;
        let of_weights = (grad.matmul(&v.t()?)? * &weights)?;
        let sums = of_weights.sum_keepdim(D::Minus1)?;
        let of_scores = (of_weights - weights.broadcast_mul(&sums)?)?.affine(scale, 0.0)?;
        let (of_q, of_k) = (of_scores.matmul(&k)?, of_scores.t()?.matmul(&q)?);
        let all = Tensor::stack(&[of_q, of_k, of_v], 0)?;
        Ok([all.permute((1, 3, 0, 2, 4))?.reshape((b, t, width))?])
    })
}

/// Over the last dimension. The largest only guards against overflow; the result does not depend on it.
fn softmax(scores: &Tensor) -> Result<Tensor> {
    let largest = scores.max_keepdim(D::Minus1)?.detach();
    let weights = scores.broadcast_sub(&largest)?.exp()?;
    weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)
}

#[cfg(test)]
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
    let y = softmax(&scores)?.matmul(&v)?.transpose(1, 2)?;
    y.reshape((b, t, heads * depth))
}

struct Attention {
    sizes: Sizes,
    /// From the forward pass, for the backward pass.
    log_sums: OnceLock<Vec<f32>>,
}

impl CustomOp1 for Attention {
    fn name(&self) -> &'static str {
        "attention-qkv"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let Sizes {
            batch,
            tokens,
            heads,
            depth,
        } = self.sizes;
        let (y, log_sums) = attention(values(storage, layout)?, self.sizes);
        self.log_sums.get_or_init(|| log_sums);
        let shape = Shape::from((batch, tokens, heads * depth));
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(&self, qkv: &Tensor, y: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Some(log_sums) = self.log_sums.get() else {
            bail!("attention's gradient needs its forward pass first");
        };
        let grad = grad.contiguous()?;
        let dqkv = with_values(qkv, |qkv| {
            with_values(y, |y| {
                with_values(&grad, |grad| {
                    Ok(attention_backward(qkv, y, log_sums, grad, self.sizes))
                })
            })
        })?;
        Ok(Some(Tensor::from_vec(dqkv, qkv.shape(), &Device::Cpu)?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{agrees, gradients_agree, noise, slopes_agree, thread_counts_agree};

    fn both_agree(qkv: Tensor, heads: usize) -> Result<()> {
        let op = |t: &[Tensor]| attention_qkv(&t[0], heads);
        let composed = |t: &[Tensor]| attention_qkv_composed(&t[0], heads);
        let inputs = [qkv];
        agrees(&op(&inputs)?, &composed(&inputs)?, 1e-5)?;
        gradients_agree(&inputs, op, composed, 1e-4)
    }

    #[test]
    fn agrees_at_model_sizes() -> Result<()> {
        // Several blocks of queries, the last of them short; and the depths of the presets.
        both_agree(noise(&[1, 577, 3 * 192], 1, 1.5)?, 6)?;
        both_agree(noise(&[2, 257, 3 * 128], 2, 1.5)?, 2)?;
        both_agree(noise(&[1, 1025, 3 * 96], 3, 1.5)?, 1)
    }

    #[test]
    fn long_sequences_shrink_the_block() -> Result<()> {
        both_agree(noise(&[1, 3000, 3 * 8], 4, 1.5)?, 1)
    }

    #[test]
    fn takes_views() -> Result<()> {
        let qkv = noise(&[40, 3, 72], 5, 1.5)?.transpose(0, 1)?;
        both_agree(qkv.narrow(2, 8, 48)?.narrow(1, 3, 33)?, 4)
    }

    #[test]
    fn large_scores_stay_finite() -> Result<()> {
        // Scores of ±10⁴, known to about 1e-3: the softmax becomes a choice of the largest.
        let qkv = noise(&[1, 50, 48], 6, 60.0)?;
        agrees(
            &attention_qkv(&qkv, 1)?,
            &attention_qkv_composed(&qkv, 1)?,
            1e-3,
        )
    }

    #[test]
    fn permuting_tokens_permutes_the_result() -> Result<()> {
        let qkv = noise(&[1, 21, 24], 7, 1.5)?;
        let order: Vec<u32> = (0..21).map(|i| (i * 8 + 3) % 21).collect();
        let order = Tensor::new(order, &Device::Cpu)?;
        let permuted = attention_qkv(&qkv.index_select(&order, 1)?, 2)?;
        agrees(
            &permuted,
            &attention_qkv(&qkv, 2)?.index_select(&order, 1)?,
            1e-5,
        )
    }

    #[test]
    fn composed_gradient_is_the_slope() -> Result<()> {
        slopes_agree(&[noise(&[2, 3, 12], 8, 1.0)?], |t| attention_qkv(&t[0], 2))
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() -> Result<()> {
        thread_counts_agree(&[noise(&[1, 401, 3 * 64], 9, 1.5)?], |t| {
            attention_qkv(&t[0], 1)
        })?;
        thread_counts_agree(&[noise(&[2, 211, 3 * 96], 10, 1.5)?], |t| {
            attention_qkv(&t[0], 3)
        })
    }

    #[test]
    fn refuses_widths_that_do_not_fit() -> Result<()> {
        let qkv = noise(&[1, 2, 24], 11, 1.0)?;
        assert!(attention_qkv(&qkv, 0).is_err());
        assert!(attention_qkv(&qkv, 5).is_err());
        assert!(attention_qkv(&qkv.squeeze(0)?, 1).is_err());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn kernel_agrees_with_the_composed_op(
            batch in 1usize..4, tokens in 1usize..260, heads in 1usize..4, depth in 1usize..70,
        ) {
            both_agree(noise(&[batch, tokens, 3 * heads * depth], 12, 1.5).unwrap(), heads).unwrap();
        }
    }
}
