use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::conv::{self, map_shape};
use super::conv_norm_relu::{ConvNormRelu, fused, vectors};
use super::upsample::{self, joint};
use super::{Norm, conv3x3_norm_relu, if_wanted, upsample2x_cat, values, with_values};
use crate::cpu::map::MapShape;
use crate::cpu::upsample as kernel;

/// [`upsample2x_cat`] of `x` (B, C, H, W) and `others` (B, S, 2H, 2W), then [`conv3x3_norm_relu`] with weight (O, C + S, 3, 3) and
/// optional bias (O): (B, O, 2H, 2W). The same values and gradients as the two, but the joined map, the largest of a decoder, never enters
/// the gradient graph.
///
/// ```
/// use candle_core::{DType, Device, Tensor};
/// use venule_nn::{Norm, upsample2x_cat_conv3x3_norm_relu};
/// let ones = |shape: &[usize]| Tensor::ones(shape, DType::F32, &Device::Cpu);
/// let (coarse, fine, weight) = (ones(&[1, 3, 4, 5])?, ones(&[1, 2, 8, 10])?, ones(&[6, 5, 3, 3])?);
/// let norm = Norm { groups: 2, weight: &ones(&[6])?, bias: &ones(&[6])?, eps: 1e-5 };
/// let y = upsample2x_cat_conv3x3_norm_relu(&coarse, &fine, &weight, None, norm)?;
/// assert_eq!(y.dims(), [1, 6, 8, 10]);
/// # Ok::<(), candle_core::Error>(())
/// ```
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
    if !fused(&[x, others], weight, bias, norm) {
        return conv3x3_norm_relu(&upsample2x_cat(x, others)?, weight, bias, norm);
    }
    upsample::check(x, others)?;
    let (batch, _, height, width) = others.dims4()?;
    let channels = x.dim(1)? + others.dim(1)?;
    conv::check_sizes((batch, channels, height, width), weight, bias, 3)?;
    let mut conv = ConvNormRelu::new(weight.dim(0)?, height * width, norm)?;
    let (x, others) = (x.contiguous()?, others.contiguous()?);
    // The op has no place for another operand. A part of it that is frozen costs its gradient all the same.
    let parameters = Tensor::cat(&[weight.flatten_all()?, vectors(bias, norm)?], 0)?;
    conv.keep = [&x, &others, &parameters].iter().any(|t| t.track_op());
    let op = Joined {
        conv,
        keep_map: parameters.track_op(),
        map: OnceLock::new(),
    };
    x.apply_op3(&others, &parameters, op)
}

/// The operands are the map to double, the map to join it with, and the convolution's weight with the vectors behind it.
struct Joined {
    conv: ConvNormRelu,
    /// Whether the parameters' gradient will need the joined map.
    keep_map: bool,
    map: OnceLock<Vec<f32>>,
}

impl Joined {
    /// The weight for so many input channels, and the vectors.
    fn split<'a>(&self, parameters: &'a [f32], channels: usize) -> (&'a [f32], &'a [f32]) {
        parameters.split_at(self.conv.groups.channels * channels * 9)
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
        let map = kernel::upsample2x_cat(x, others, sizes);
        let parameters = values(parameters, parameters_layout)?;
        let (weight, vectors) = self.split(parameters, shape.channels);
        let result = self.conv.forward(&map, shape, weight, vectors);
        if self.keep_map {
            // An op made for one call runs forward once.
            self.map.get_or_init(|| map);
        }
        Ok(result)
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
        let outputs = map_shape(grad.shape())?;
        let inputs = MapShape {
            channels: sizes.channels + sizes.others,
            ..outputs
        };
        with_values(parameters, |values| {
            let (weight, vectors) = self.split(values, inputs.channels);
            let (grad, of_vectors) = self.conv.backward(vectors, grad)?;
            let of_parameters = match self.map.get() {
                Some(map) => if_wanted(parameters, || {
                    let mut all = conv::weight_gradient(map, inputs, &grad, outputs.channels);
                    all.extend(of_vectors);
                    Ok(all)
                })?,
                None if self.keep_map => {
                    bail!("the gradient of a convolution needs its forward pass first")
                }
                None => None,
            };
            if !x.track_op() && !others.track_op() {
                return Ok((None, None, of_parameters));
            }
            let of_map = conv::input_gradient(&grad, outputs, weight, inputs.channels);
            Ok((
                if_wanted(x, || Ok(kernel::upsample2x_cat_backward(&of_map, sizes)))?,
                if_wanted(others, || Ok(kernel::others_of(&of_map, sizes)))?,
                of_parameters,
            ))
        })
    }
}
