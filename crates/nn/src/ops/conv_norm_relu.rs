use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::conv::{self, Convolution, conv3x3, map_shape};
use super::group_norm::{self, group_norm_relu};
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::group_norm::{self as kernel, Groups, Moments};
use crate::cpu::map::channel_sums;

/// Group normalisation: the number of groups, weight (O), bias (O) and what is added to the variance.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Groups; a divisor of the channels.
    pub groups: usize,
    /// Factor of each channel.
    pub weight: &'a Tensor,
    /// Shift of each channel.
    pub bias: &'a Tensor,
    /// Added to the variance.
    pub eps: f64,
}

/// [`conv3x3`], then [`group_norm_relu`]: the same values and gradients with fewer passes over memory. The map between the two
/// never enters the gradient graph; where no gradient is wanted the result is written over it.
///
/// # Errors
/// As the two.
pub fn conv3x3_norm_relu(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    norm: Norm<'_>,
) -> Result<Tensor> {
    conv::check(x, weight, bias, 3)?;
    let operands = [
        Some(x),
        Some(weight),
        bias,
        Some(norm.weight),
        Some(norm.bias),
    ];
    let mut operands = operands.into_iter().flatten();
    let empty = x.elem_count() == 0 || weight.elem_count() == 0;
    if !operands.all(has_kernel) || empty {
        let y = conv3x3(x, weight, bias)?;
        return group_norm_relu(&y, norm.groups, norm.weight, norm.bias, norm.eps);
    }
    let (_, _, height, width) = x.dims4()?;
    let outputs = weight.dim(0)?;
    let groups = Groups {
        channels: outputs,
        plane: height * width,
        groups: norm.groups,
        relu: true,
    };
    group_norm::check(outputs, norm.groups, norm.weight, norm.bias)?;
    // An op has three operands at the most: the vectors of a value per channel go as one.
    let vectors = [Some(norm.weight), Some(norm.bias), bias];
    let vectors: Vec<&Tensor> = vectors.into_iter().flatten().collect();
    let vectors = Tensor::cat(&vectors, 0)?;
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let keep = [&x, &weight, &vectors].iter().any(|t| t.track_op());
    x.apply_op3(
        &weight,
        &vectors,
        ConvNormRelu {
            groups,
            eps: norm.eps,
            keep,
            between: OnceLock::new(),
        },
    )
}

struct ConvNormRelu {
    groups: Groups,
    eps: f64,
    /// Whether a gradient will need what lies between convolution and normalisation.
    keep: bool,
    between: OnceLock<(Vec<f32>, Vec<Moments>)>,
}

impl ConvNormRelu {
    /// Weight and bias of the normalisation, and the convolution's bias.
    fn vectors<'a>(&self, all: &'a [f32]) -> (&'a [f32], &'a [f32], Option<&'a [f32]>) {
        let (weight, rest) = all.split_at(self.groups.channels);
        let (bias, rest) = rest.split_at(self.groups.channels);
        (weight, bias, (!rest.is_empty()).then_some(rest))
    }
}

impl CustomOp3 for ConvNormRelu {
    fn name(&self) -> &'static str {
        "conv3x3_norm_relu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        vectors: &CpuStorage,
        vectors_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = map_shape(x_layout.shape())?;
        let outputs = self.groups.channels;
        let (norm_weight, norm_bias, bias) = self.vectors(values(vectors, vectors_layout)?);
        let (x, weight) = (values(x, x_layout)?, values(weight, weight_layout)?);
        let mut y = conv::forward(x, shape, weight, outputs, bias);
        let y = if self.keep {
            let (z, moments) =
                kernel::group_norm(&y, self.groups, norm_weight, norm_bias, self.eps);
            // An op made for one call runs forward once.
            self.between.get_or_init(|| (y, moments));
            z
        } else {
            kernel::group_norm_in_place(&mut y, self.groups, norm_weight, norm_bias, self.eps);
            y
        };
        let shape = (shape.batch, outputs, shape.height, shape.width);
        Ok((CpuStorage::F32(y), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        vectors: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some((between, moments)) = self.between.get() else {
            bail!("the gradient of conv3x3_norm_relu needs its forward pass first");
        };
        let outputs = map_shape(grad.shape())?;
        let grad = grad.contiguous()?;
        let (grad, of_vectors) = with_values(vectors, |vectors| {
            let (weight, bias, conv_bias) = self.vectors(vectors);
            with_values(&grad, |grad| {
                let (grad, mut of_weight, of_bias) =
                    kernel::group_norm_backward(between, self.groups, weight, bias, moments, grad);
                of_weight.extend(of_bias);
                if conv_bias.is_some() {
                    let mut sums = vec![0f32; outputs.channels];
                    channel_sums(&grad, outputs, &mut sums);
                    of_weight.extend(sums);
                }
                Ok((grad, of_weight))
            })
        })?;
        let [of_x, of_weight] = Convolution::ThreeByThree.gradients(x, weight, &grad)?;
        let of_vectors = if_wanted(vectors, || Ok(of_vectors))?;
        Ok((of_x, of_weight, of_vectors))
    }
}
