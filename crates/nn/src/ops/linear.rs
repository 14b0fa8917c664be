use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::gelu::{gelu_composed, gelu_slope};
use super::with_gradient::with_gradient;
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu;

/// x Wᵀ + b over the last dimension: x (…, I), weight (O, I), bias (O) → (…, O).
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?;
/// let weight = Tensor::new(&[[3f32, 4.0], [5.0, 6.0], [7.0, 8.0]], &Device::Cpu)?;
/// let bias = Tensor::new(&[0.5f32, 0.5, 0.5], &Device::Cpu)?;
/// let y = venule_nn::linear(&x, &weight, Some(&bias))?;
/// assert_eq!(y.to_vec2::<f32>()?, [[11.5, 17.5, 23.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If the shapes, types or devices do not fit together.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias)?;
    match apply(x, weight, bias, false)? {
        Some(y) => Ok(y),
        None => linear_elsewhere(x, weight, bias, false),
    }
}

/// GELU ([`gelu`](crate::gelu)) of [`linear`] with fewer passes over memory: the first half of a transformer's MLP.
///
/// # Errors
/// As [`linear`].
pub fn linear_gelu(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias)?;
    match apply(x, weight, bias, true)? {
        Some(y) => Ok(y),
        None => linear_elsewhere(x, weight, bias, true),
    }
}

fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<()> {
    let (o, i) = weight.dims2()?;
    let fits = x.dims().last() == Some(&i);
    if !fits || bias.is_some_and(|bias| bias.dims() != [o]) {
        bail!(
            "linear takes x (…, I), weight (O, I) and bias (O), not {:?}, {:?} and {:?}",
            x.shape(),
            weight.shape(),
            bias.map(Tensor::shape)
        );
    }
    Ok(())
}

/// The kernel's result, if it takes these tensors.
fn apply(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    with_gelu: bool,
) -> Result<Option<Tensor>> {
    let all = [Some(x), Some(weight), bias];
    let mut all = all.into_iter().flatten();
    if !all.all(|t| has_kernel(t) && t.elem_count() > 0) {
        return Ok(None);
    }
    let tracked = x.track_op() || weight.track_op() || bias.is_some_and(Tensor::track_op);
    let op = Linear {
        with_gelu,
        keep: with_gelu && tracked,
        before: OnceLock::new(),
    };
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    Ok(Some(match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op)?,
        None => x.apply_op2(&weight, op)?,
    }))
}

pub(crate) fn linear_composed(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor> {
    let (o, i) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let rows = dims.iter().rev().skip(1).product::<usize>();
    if let Some(last) = dims.last_mut() {
        *last = o;
    }
    let y = x.reshape((rows, i))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    y.reshape(dims)
}

/// On a device or of types without a kernel.
fn linear_elsewhere(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    with_gelu: bool,
) -> Result<Tensor> {
    let (plain_x, plain_weight) = (x.detach(), weight.detach());
    let before = linear_composed(&plain_x, &plain_weight, bias.map(Tensor::detach).as_ref())?;
    let value = match with_gelu {
        true => gelu_composed(&before)?,
        false => before.clone(),
    };
    let before = with_gelu.then_some(before);
    // Of x, weight and bias.
    let backward = move |grad: &Tensor| -> Result<(Tensor, Tensor, Tensor)> {
        let (outputs, inputs) = plain_weight.dims2()?;
        let grad = match &before {
            Some(before) => (grad * gelu_slope(before)?)?,
            None => grad.clone(),
        };
        let grad = grad.reshape(((), outputs))?;
        let of_x = grad.matmul(&plain_weight)?.reshape(plain_x.shape())?;
        let of_weight = grad.t()?.matmul(&plain_x.reshape(((), inputs))?)?;
        Ok((of_x, of_weight, grad))
    };
    match bias {
        Some(bias) => with_gradient([x, weight, bias], value, move |grad, _| {
            let (of_x, of_weight, grad) = backward(grad)?;
            Ok([of_x, of_weight, grad.sum(0)?])
        }),
        None => with_gradient([x, weight], value, move |grad, _| {
            let (of_x, of_weight, _) = backward(grad)?;
            Ok([of_x, of_weight])
        }),
    }
}

struct Linear {
    with_gelu: bool,
    /// Whether a gradient will need the value before the GELU.
    keep: bool,
    before: OnceLock<Vec<f32>>,
}

type Operand<'a> = (&'a CpuStorage, &'a Layout);

impl Linear {
    fn forward(
        &self,
        (x, x_layout): Operand<'_>,
        (weight, weight_layout): Operand<'_>,
        bias: Option<Operand<'_>>,
    ) -> Result<(CpuStorage, Shape)> {
        let outputs = weight_layout.shape().dims2()?.0;
        let mut dims = x_layout.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = outputs;
        }
        let (x, weight) = (values(x, x_layout)?, values(weight, weight_layout)?);
        let bias = bias
            .map(|(bias, layout)| values(bias, layout))
            .transpose()?;
        let y = if self.with_gelu {
            let (y, before) = cpu::linear::linear_gelu(x, weight, bias, outputs, self.keep);
            if let Some(before) = before {
                self.before.get_or_init(|| before);
            }
            y
        } else {
            cpu::linear::linear(x, weight, bias, outputs)
        };
        Ok((CpuStorage::F32(y), Shape::from(dims)))
    }

    /// Gradients for x, weight and bias, each only if it is part of the graph.
    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        grad: &Tensor,
    ) -> Result<[Option<Tensor>; 3]> {
        let grad = grad.contiguous()?;
        with_values(&grad, |grad| {
            if !self.with_gelu {
                return self.affine_backward(x, weight, bias, grad);
            }
            let Some(before) = self.before.get() else {
                bail!("the gradient of linear_gelu needs its forward pass first");
            };
            let grad = cpu::gelu::gelu_backward(before, grad);
            self.affine_backward(x, weight, bias, &grad)
        })
    }

    fn affine_backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        grad: &[f32],
    ) -> Result<[Option<Tensor>; 3]> {
        let outputs = weight.dim(0)?;
        let of_x = || {
            with_values(weight, |w| {
                Ok(cpu::linear::input_gradient(grad, w, outputs))
            })
        };
        let of_weight = || with_values(x, |x| Ok(cpu::linear::weight_gradient(grad, x, outputs)));
        let of_bias = || Ok(cpu::layer_norm::column_sums(grad, outputs));
        Ok([
            if_wanted(x, of_x)?,
            if_wanted(weight, of_weight)?,
            bias.map_or(Ok(None), |bias| if_wanted(bias, of_bias))?,
        ])
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward((x, x_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dweight, _] = self.backward(x, weight, None, grad)?;
        Ok((dx, dweight))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let bias = Some((bias, bias_layout));
        self.forward((x, x_layout), (weight, weight_layout), bias)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dweight, dbias] = self.backward(x, weight, Some(bias), grad)?;
        Ok((dx, dweight, dbias))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};
    use proptest::prelude::*;

    use super::*;
    use crate::ops::testing::{agrees, gradients_agree, noise, slopes_agree, thread_counts_agree};

    type Op = fn(&Tensor, &Tensor, Option<&Tensor>) -> Result<Tensor>;

    fn gelu_of_composed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        gelu_composed(&linear_composed(x, weight, bias)?)
    }

    const PAIRS: [(Op, Op); 2] = [(linear, linear_composed), (linear_gelu, gelu_of_composed)];

    fn inputs(rows: &[usize], i: usize, o: usize) -> Result<[Tensor; 3]> {
        let x = noise(&[rows, &[i]].concat(), 1, 1.0)?;
        let size = 1.7 / (i as f32).sqrt();
        Ok([x, noise(&[o, i], 2, size)?, noise(&[o], 3, 1.0)?])
    }

    fn both_agree(inputs: &[Tensor]) -> Result<()> {
        for (op, composed) in PAIRS {
            for with_bias in [false, true] {
                let inputs = &inputs[..2 + usize::from(with_bias)];
                let op = |t: &[Tensor]| op(&t[0], &t[1], t.get(2));
                let composed = |t: &[Tensor]| composed(&t[0], &t[1], t.get(2));
                agrees(&op(inputs)?, &composed(inputs)?, 1e-5)?;
                gradients_agree(inputs, op, composed, 1e-4)?;
            }
        }
        Ok(())
    }

    #[test]
    fn takes_views() -> Result<()> {
        let [x, weight, bias] = inputs(&[11, 5], 30, 26)?;
        let x = x.transpose(0, 1)?.narrow(2, 2, 17)?;
        both_agree(&[x, weight.narrow(1, 5, 17)?, bias])?;
        let [x, weight, bias] = inputs(&[6], 7, 7)?;
        both_agree(&[x, weight.t()?, bias.narrow(0, 0, 7)?])
    }

    #[test]
    fn a_vector_is_a_single_row() -> Result<()> {
        both_agree(&inputs(&[], 9, 4)?)
    }

    #[test]
    fn composed_gradients_are_the_slopes() -> Result<()> {
        for (op, _) in PAIRS {
            slopes_agree(&inputs(&[2, 3], 4, 5)?, |t| op(&t[0], &t[1], t.get(2)))?;
        }
        Ok(())
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() -> Result<()> {
        for (op, _) in PAIRS {
            let inputs = inputs(&[307], 192, 301)?;
            thread_counts_agree(&inputs, |t| op(&t[0], &t[1], t.get(2)))?;
        }
        Ok(())
    }

    #[test]
    fn only_operands_of_the_graph_get_gradients() -> Result<()> {
        let [x, weight, bias] = inputs(&[3], 4, 2)?;
        let bias = Var::from_tensor(&bias)?;
        let grads = linear_gelu(&x, &weight, Some(&bias))?
            .sum_all()?
            .backward()?;
        assert!(
            grads.get(&bias).is_some() && grads.get(&x).is_none() && grads.get(&weight).is_none()
        );
        Ok(())
    }

    #[test]
    fn no_rows_are_no_rows() -> Result<()> {
        let [_, weight, bias] = inputs(&[1], 4, 2)?;
        let x = Tensor::zeros((0, 4), weight.dtype(), &Device::Cpu)?;
        assert_eq!(linear(&x, &weight, Some(&bias))?.dims(), [0, 2]);
        Ok(())
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() -> Result<()> {
        let [x, weight, bias] = inputs(&[3], 4, 2)?;
        assert!(linear(&x, &weight.t()?, None).is_err());
        assert!(linear(&x, &weight, Some(&bias.narrow(0, 0, 1)?)).is_err());
        assert!(linear_gelu(&x.narrow(1, 0, 3)?, &weight, None).is_err());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn kernel_agrees_with_the_composed_op(
            batch in 1usize..4, rows in 1usize..80, i in 1usize..200, o in 1usize..200,
        ) {
            both_agree(&inputs(&[batch, rows], i, o).unwrap()).unwrap();
        }
    }
}
