use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::conv::{self, Convolution, conv3x3, map_shape};
use super::group_norm::{self, group_norm_relu};
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::group_norm::{self as kernel, Groups, Moments};
use crate::cpu::map::{MapShape, channel_sums};

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
    if !fused(&[x], weight, bias, norm) {
        let y = conv3x3(x, weight, bias)?;
        return group_norm_relu(&y, norm.groups, norm.weight, norm.bias, norm.eps);
    }
    let (_, _, height, width) = x.dims4()?;
    let mut op = ConvNormRelu::new(weight.dim(0)?, height * width, norm)?;
    let (x, weight, vectors) = (x.contiguous()?, weight.contiguous()?, vectors(bias, norm)?);
    op.keep = [&x, &weight, &vectors].iter().any(|t| t.track_op());
    x.apply_op3(&weight, &vectors, op)
}

/// Whether the kernels take all operands and none is empty.
pub(super) fn fused(
    maps: &[&Tensor],
    weight: &Tensor,
    bias: Option<&Tensor>,
    norm: Norm<'_>,
) -> bool {
    let all = [Some(weight), bias, Some(norm.weight), Some(norm.bias)];
    let mut all = maps.iter().copied().chain(all.into_iter().flatten());
    all.all(|operand| has_kernel(operand) && operand.elem_count() > 0)
}

/// The vectors of a value per channel as one, since an op has three operands at the most.
pub(super) fn vectors(bias: Option<&Tensor>, norm: Norm<'_>) -> Result<Tensor> {
    let vectors = [Some(norm.weight), Some(norm.bias), bias];
    let vectors: Vec<&Tensor> = vectors.into_iter().flatten().collect();
    Tensor::cat(&vectors, 0)
}

/// The op, without what its operands hold.
pub(super) struct ConvNormRelu {
    pub(super) groups: Groups,
    eps: f64,
    /// Whether a gradient will need what lies between convolution and normalisation.
    pub(super) keep: bool,
    between: OnceLock<(Vec<f32>, Vec<Moments>)>,
}

impl ConvNormRelu {
    /// An op that keeps nothing yet, for maps of so many pixels.
    pub(super) fn new(outputs: usize, plane: usize, norm: Norm<'_>) -> Result<Self> {
        group_norm::check(outputs, norm.groups, norm.weight, norm.bias)?;
        Ok(Self {
            groups: Groups {
                channels: outputs,
                plane,
                groups: norm.groups,
                relu: true,
            },
            eps: norm.eps,
            keep: false,
            between: OnceLock::new(),
        })
    }

    /// Weight and bias of the normalisation, and the convolution's bias.
    fn vectors<'a>(&self, all: &'a [f32]) -> (&'a [f32], &'a [f32], Option<&'a [f32]>) {
        let (weight, rest) = all.split_at(self.groups.channels);
        let (bias, rest) = rest.split_at(self.groups.channels);
        (weight, bias, (!rest.is_empty()).then_some(rest))
    }

    /// The result for a map of this shape.
    pub(super) fn forward(
        &self,
        input: &[f32],
        shape: MapShape,
        weight: &[f32],
        vectors: &[f32],
    ) -> (CpuStorage, Shape) {
        let (norm_weight, norm_bias, bias) = self.vectors(vectors);
        let outputs = self.groups.channels;
        let mut y = conv::forward(input, shape, weight, outputs, bias);
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
        (CpuStorage::F32(y), shape.into())
    }

    /// The gradients of the convolution's result and of the vectors.
    pub(super) fn backward(&self, vectors: &[f32], grad: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
        let Some((between, moments)) = self.between.get() else {
            bail!("the gradient of a normalised convolution needs its forward pass first");
        };
        let (weight, bias, conv_bias) = self.vectors(vectors);
        let outputs = map_shape(grad.shape())?;
        with_values(&grad.contiguous()?, |grad| {
            let (grad, mut of_vectors, of_bias) =
                kernel::group_norm_backward(between, self.groups, weight, bias, moments, grad);
            of_vectors.extend(of_bias);
            if conv_bias.is_some() {
                let mut sums = vec![0f32; outputs.channels];
                channel_sums(&grad, outputs, &mut sums);
                of_vectors.extend(sums);
            }
            Ok((grad, of_vectors))
        })
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
        let (weight, vectors) = (
            values(weight, weight_layout)?,
            values(vectors, vectors_layout)?,
        );
        Ok(self.forward(values(x, x_layout)?, shape, weight, vectors))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        vectors: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (grad, of_vectors) = with_values(vectors, |vectors| self.backward(vectors, grad))?;
        let [of_x, of_weight] = Convolution::ThreeByThree.gradients(x, weight, &grad)?;
        let of_vectors = if_wanted(vectors, || Ok(of_vectors))?;
        Ok((of_x, of_weight, of_vectors))
    }
}
