use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::conv::{self, Convolution, conv3x3, map_shape};
use super::group_norm::{self, group_norm_relu};
use super::upsample::{joint, upsample2x_cat};
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::group_norm::{self as kernel, Groups, Moments};
use crate::cpu::map::{MapShape, channel_sums};
use crate::cpu::upsample;

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
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    let vectors = vectors(bias, norm)?;
    let keep = [&x, &weight, &vectors].iter().any(|t| t.track_op());
    let op = ConvNormRelu::new(weight.dim(0)?, height * width, norm, keep)?;
    x.apply_op3(&weight, &vectors, op)
}

/// [`upsample2x_cat`] of `x` and `others`, then [`conv3x3_norm_relu`]: the same values and gradients, but the joined map, the
/// largest of a decoder, never enters the gradient graph.
///
/// # Errors
/// As the two.
pub fn upsample2x_cat_conv3x3_norm_relu(
    x: &Tensor,
    others: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    norm: Norm<'_>,
) -> Result<Tensor> {
    let (_, _, height, width) = others.dims4()?;
    if !fused(&[x, others], weight, bias, norm) {
        return conv3x3_norm_relu(&upsample2x_cat(x, others)?, weight, bias, norm);
    }
    super::upsample::check(x, others)?;
    let channels = x.dim(1)? + others.dim(1)?;
    conv::check_sizes((x.dim(0)?, channels, height, width), weight, bias, 3)?;
    let (x, others) = (x.contiguous()?, others.contiguous()?);
    // The op has no place for another operand.
    let parameters = Tensor::cat(&[weight.flatten_all()?, vectors(bias, norm)?], 0)?;
    let keep = [&x, &others, &parameters].iter().any(|t| t.track_op());
    let op = ConvNormRelu::new(weight.dim(0)?, height * width, norm, keep)?;
    x.apply_op3(&others, &parameters, Joined(op))
}

/// Whether the kernels take all operands and none is empty.
fn fused(maps: &[&Tensor], weight: &Tensor, bias: Option<&Tensor>, norm: Norm<'_>) -> bool {
    let all = [Some(weight), bias, Some(norm.weight), Some(norm.bias)];
    let mut all = maps.iter().copied().chain(all.into_iter().flatten());
    all.all(|operand| has_kernel(operand) && operand.elem_count() > 0)
}

/// The vectors of a value per channel as one, since an op has three operands at the most.
fn vectors(bias: Option<&Tensor>, norm: Norm<'_>) -> Result<Tensor> {
    let vectors = [Some(norm.weight), Some(norm.bias), bias];
    let vectors: Vec<&Tensor> = vectors.into_iter().flatten().collect();
    Tensor::cat(&vectors, 0)
}

/// What a gradient needs of the forward pass.
struct Kept {
    /// The joined map, if the op made one.
    joined: Vec<f32>,
    /// What lies between convolution and normalisation.
    between: Vec<f32>,
    moments: Vec<Moments>,
}

struct ConvNormRelu {
    groups: Groups,
    eps: f64,
    /// Whether a gradient will be asked for.
    keep: bool,
    kept: OnceLock<Kept>,
}

impl ConvNormRelu {
    fn new(outputs: usize, plane: usize, norm: Norm<'_>, keep: bool) -> Result<Self> {
        group_norm::check(outputs, norm.groups, norm.weight, norm.bias)?;
        Ok(Self {
            groups: Groups {
                channels: outputs,
                plane,
                groups: norm.groups,
                relu: true,
            },
            eps: norm.eps,
            keep,
            kept: OnceLock::new(),
        })
    }

    /// Weight and bias of the normalisation, and the convolution's bias.
    fn vectors<'a>(&self, all: &'a [f32]) -> (&'a [f32], &'a [f32], Option<&'a [f32]>) {
        let (weight, rest) = all.split_at(self.groups.channels);
        let (bias, rest) = rest.split_at(self.groups.channels);
        (weight, bias, (!rest.is_empty()).then_some(rest))
    }

    fn forward(
        &self,
        input: &[f32],
        shape: MapShape,
        weight: &[f32],
        vectors: &[f32],
    ) -> (Vec<f32>, Option<(Vec<f32>, Vec<Moments>)>) {
        let (norm_weight, norm_bias, bias) = self.vectors(vectors);
        let mut y = conv::forward(input, shape, weight, self.groups.channels, bias);
        if self.keep {
            let (z, moments) =
                kernel::group_norm(&y, self.groups, norm_weight, norm_bias, self.eps);
            (z, Some((y, moments)))
        } else {
            kernel::group_norm_in_place(&mut y, self.groups, norm_weight, norm_bias, self.eps);
            (y, None)
        }
    }

    fn result(&self, y: Vec<f32>, shape: MapShape) -> (CpuStorage, Shape) {
        let shape = (shape.batch, self.groups.channels, shape.height, shape.width);
        (CpuStorage::F32(y), shape.into())
    }

    fn kept(&self) -> Result<&Kept> {
        match self.kept.get() {
            Some(kept) => Ok(kept),
            None => bail!("the gradient of conv3x3_norm_relu needs its forward pass first"),
        }
    }

    /// The gradients of the convolution's result and of the vectors.
    fn backward(&self, vectors: &[f32], grad: &Tensor) -> Result<(Vec<f32>, Vec<f32>)> {
        let Kept {
            between, moments, ..
        } = self.kept()?;
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
        let (y, kept) = self.forward(values(x, x_layout)?, shape, weight, vectors);
        if let Some((between, moments)) = kept {
            // An op made for one call runs forward once.
            self.kept.get_or_init(|| Kept {
                joined: Vec::new(),
                between,
                moments,
            });
        }
        Ok(self.result(y, shape))
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

/// The operands are the map to double, the map to join it with, and the convolution's weight with the vectors behind it.
struct Joined(ConvNormRelu);

impl Joined {
    /// The weight, and the vectors behind it.
    fn split<'a>(&self, parameters: &'a [f32], channels: usize) -> (&'a [f32], &'a [f32]) {
        parameters.split_at(self.0.groups.channels * channels * 9)
    }
}

impl CustomOp3 for Joined {
    fn name(&self) -> &'static str {
        "upsample2x_cat_conv3x3_norm_relu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        others: &CpuStorage,
        others_layout: &Layout,
        parameters: &CpuStorage,
        parameters_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mut shape = map_shape(others_layout.shape())?;
        let sizes = joint(x_layout.shape(), shape.channels)?;
        shape.channels += sizes.channels;
        let (x, others) = (values(x, x_layout)?, values(others, others_layout)?);
        let joined = upsample::upsample2x_cat(x, others, sizes);
        let parameters = values(parameters, parameters_layout)?;
        let (weight, vectors) = self.split(parameters, shape.channels);
        let (y, kept) = self.0.forward(&joined, shape, weight, vectors);
        if let Some((between, moments)) = kept {
            self.0.kept.get_or_init(|| Kept {
                joined,
                between,
                moments,
            });
        }
        Ok(self.0.result(y, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        others: &Tensor,
        parameters: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let sizes = joint(x.shape(), others.dim(1)?)?;
        let channels = sizes.channels + sizes.others;
        let outputs = map_shape(grad.shape())?;
        with_values(parameters, |values| {
            let (weight, vectors) = self.split(values, channels);
            let (grad, of_vectors) = self.0.backward(vectors, grad)?;
            let of_parameters = if_wanted(parameters, || {
                let inputs = MapShape {
                    channels,
                    ..outputs
                };
                let joined = &self.0.kept()?.joined;
                let mut all = conv::weight_gradient(joined, inputs, &grad, outputs.channels);
                all.extend(of_vectors);
                Ok(all)
            })?;
            if !x.track_op() && !others.track_op() {
                return Ok((None, None, of_parameters));
            }
            let of_joined = conv::input_gradient(&grad, outputs, weight, channels);
            Ok((
                if_wanted(x, || {
                    Ok(upsample::upsample2x_cat_backward(&of_joined, sizes))
                })?,
                if_wanted(others, || Ok(upsample::others_of(&of_joined, sizes)))?,
                of_parameters,
            ))
        })
    }
}
