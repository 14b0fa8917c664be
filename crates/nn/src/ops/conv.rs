use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::with_gradient::with_gradient;
use super::{has_kernel, if_wanted, values, with_values};
use crate::cpu::map::{Kernel, MapShape, channel_sums};
use crate::cpu::{conv1x1, conv3x3, winograd};

/// 3×3 convolution of (B, C, H, W) with weight (O, C, 3, 3) and optional bias (O): stride 1, zero padding 1, so that H and W
/// stay.
///
/// # Errors
/// If the shapes do not fit together.
pub fn conv3x3(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias, 3)?;
    if !has_kernel(x) {
        return with_bias(conv3x3_composed(x, weight)?, bias);
    }
    Convolution::ThreeByThree.apply(x, weight, bias)
}

/// 1×1 convolution of (B, C, H, W) with weight (O, C, 1, 1) and optional bias (O): a matrix product over the channels.
///
/// # Errors
/// If the shapes do not fit together.
pub fn conv1x1(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    check(x, weight, bias, 1)?;
    if !has_kernel(x) || x.elem_count() == 0 || weight.elem_count() == 0 {
        return conv1x1_elsewhere(x, weight, bias);
    }
    Convolution::OneByOne.apply(x, weight, bias)
}

/// 3×3 convolution of the values of a map.
pub(super) fn forward(
    x: &[f32],
    shape: MapShape,
    weight: &[f32],
    outputs: usize,
    bias: Option<&[f32]>,
) -> Vec<f32> {
    convolve(x, shape, Kernel::new(weight, outputs, shape.channels), bias)
}

/// The gradient for the convolution's input of so many `channels` from that of its output.
pub(super) fn input_gradient(
    grad: &[f32],
    shape: MapShape,
    weight: &[f32],
    channels: usize,
) -> Vec<f32> {
    let kernel = Kernel::new(weight, shape.channels, channels);
    convolve(grad, shape, kernel.transposed(), None)
}

fn convolve(x: &[f32], shape: MapShape, kernel: Kernel<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    if tiles_pay(kernel.inputs, kernel.outputs) {
        winograd::convolve(x, shape, &winograd::pack(kernel), bias)
    } else {
        conv3x3::convolve(x, shape, &conv3x3::pack(kernel), bias)
    }
}

/// The gradient for the weight from the input and the output's gradient.
pub(super) fn weight_gradient(
    x: &[f32],
    shape: MapShape,
    grad: &[f32],
    outputs: usize,
) -> Vec<f32> {
    let mut output = vec![0f32; outputs * shape.channels * 9];
    if tiles_pay(shape.channels, outputs) {
        winograd::weight_gradient(x, shape, grad, outputs, &mut output);
    } else {
        conv3x3::weight_gradient(x, shape, grad, outputs, &mut output);
    }
    output
}

/// Whether the products that tiles save outweigh their transforms, which are for each channel and not for each pair.
fn tiles_pay(inputs: usize, outputs: usize) -> bool {
    inputs * outputs >= 10 * (inputs + outputs)
}

/// A convolution that keeps height and width.
pub(super) enum Convolution {
    OneByOne,
    ThreeByThree,
}

impl Convolution {
    fn apply(self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (x, weight) = (x.contiguous()?, weight.contiguous()?);
        match bias {
            Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, self),
            None => x.apply_op2(&weight, self),
        }
    }

    fn forward(
        &self,
        x: (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = map_shape(x.1.shape())?;
        let outputs = weight.1.shape().dims4()?.0;
        let (x, weight) = (values(x.0, x.1)?, values(weight.0, weight.1)?);
        let output = match self {
            Self::OneByOne => conv1x1::convolve(x, shape, weight, outputs, bias),
            Self::ThreeByThree => forward(x, shape, weight, outputs, bias),
        };
        Ok((
            CpuStorage::F32(output),
            (shape.batch, outputs, shape.height, shape.width).into(),
        ))
    }

    /// Gradients of input and weight from that of the result, each only if its operand needs one.
    pub(super) fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        grad: &[f32],
    ) -> Result<[Option<Tensor>; 2]> {
        let inputs = map_shape(x.shape())?;
        let outputs = MapShape {
            channels: weight.dim(0)?,
            ..inputs
        };
        let of_input = |weight: &[f32]| match self {
            Self::OneByOne => conv1x1::input_gradient(grad, outputs, weight, inputs.channels),
            Self::ThreeByThree => input_gradient(grad, outputs, weight, inputs.channels),
        };
        let of_weight = |x: &[f32]| match self {
            Self::OneByOne => conv1x1::weight_gradient(x, inputs, grad, outputs.channels),
            Self::ThreeByThree => weight_gradient(x, inputs, grad, outputs.channels),
        };
        Ok([
            if_wanted(x, || with_values(weight, |weight| Ok(of_input(weight))))?,
            if_wanted(weight, || with_values(x, |x| Ok(of_weight(x))))?,
        ])
    }
}

pub(super) fn map_shape(shape: &Shape) -> Result<MapShape> {
    let (batch, channels, height, width) = shape.dims4()?;
    Ok(MapShape {
        batch,
        channels,
        height,
        width,
    })
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
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
        let grad = grad.contiguous()?;
        let [x, weight] = with_values(&grad, |grad| self.gradients(x, weight, grad))?;
        Ok((x, weight))
    }
}

impl CustomOp3 for Convolution {
    fn name(&self) -> &'static str {
        "convolution with bias"
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
        let bias = values(bias, bias_layout)?;
        self.forward((x, x_layout), (weight, weight_layout), Some(bias))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let of_bias = if_wanted(bias, || {
            let mut sums = vec![0f32; bias.elem_count()];
            let shape = map_shape(grad.shape())?;
            with_values(&grad, |grad| {
                channel_sums(grad, shape, &mut sums);
                Ok(())
            })?;
            Ok(sums)
        })?;
        let [x, weight] = with_values(&grad, |grad| self.gradients(x, weight, grad))?;
        Ok((x, weight, of_bias))
    }
}

pub(super) fn check(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, side: usize) -> Result<()> {
    check_sizes(x.dims4()?, weight, bias, side)
}

/// Checks weight and bias of a convolution of a map (B, C, H, W).
pub(super) fn check_sizes(
    (b, c, h, w): (usize, usize, usize, usize),
    weight: &Tensor,
    bias: Option<&Tensor>,
    side: usize,
) -> Result<()> {
    let (o, inputs, kh, kw) = weight.dims4()?;
    // A weight of no channels has no values, however many outputs it names.
    let values = [b, o, h, w].into_iter().try_fold(4, usize::checked_mul);
    if values.is_none_or(|bytes| bytes > isize::MAX as usize) {
        bail!("a map of {b}x{o}x{h}x{w} values is more than memory has addresses for");
    }
    if inputs != c || (kh, kw) != (side, side) || bias.is_some_and(|bias| bias.dims() != [o]) {
        bail!(
            "a {side}x{side} convolution of {c} channels needs a weight (O, {c}, {side}, {side}) and a bias (O), not {:?} and {:?}",
            weight.shape(),
            bias.map(Tensor::shape)
        );
    }
    Ok(())
}

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    match bias {
        Some(bias) => y.broadcast_add(&bias.reshape((1, bias.dim(0)?, 1, 1))?),
        None => Ok(y),
    }
}

/// On a device or of types without a kernel.
fn conv1x1_elsewhere(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let o = weight.dim(0)?;
    let pixels = x.detach().contiguous()?.reshape((b, c, h * w))?;
    let matrix = weight.detach().reshape((o, c))?;
    let y = for_each(&matrix, b)?
        .matmul(&pixels)?
        .reshape((b, o, h, w))?;
    let value = with_bias(y, bias.map(Tensor::detach).as_ref())?;
    // Of x and weight, and the gradient as (B, O, H·W).
    let backward = move |grad: &Tensor| -> Result<(Tensor, Tensor, Tensor)> {
        let grad = grad.reshape((b, o, h * w))?;
        let of_x = for_each(&matrix.t()?, b)?.matmul(&grad)?;
        let of_weight = grad.matmul(&pixels.t()?)?.sum(0)?;
        Ok((
            of_x.reshape((b, c, h, w))?,
            of_weight.reshape((o, c, 1, 1))?,
            grad,
        ))
    };
    match bias {
        Some(bias) => with_gradient([x, weight, bias], value, move |grad, _| {
            let (of_x, of_weight, grad) = backward(grad)?;
            Ok([of_x, of_weight, grad.sum((0, 2))?])
        }),
        None => with_gradient([x, weight], value, move |grad, _| {
            let (of_x, of_weight, _) = backward(grad)?;
            Ok([of_x, of_weight])
        }),
    }
}

/// A matrix for each of `batch` images.
fn for_each(matrix: &Tensor, batch: usize) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    matrix
        .unsqueeze(0)?
        .broadcast_as((batch, rows, columns))?
        .contiguous()
}

pub(crate) fn conv3x3_composed(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    if !x.device().is_metal() {
        return x.contiguous()?.conv2d(&weight.contiguous()?, 1, 1, 1, 1);
    }
    // candle's Metal convolution has wrong weight gradients for batches.
    conv3x3_shifted(x, weight)
}

/// The convolution as nine shifted 1×1 convolutions.
pub(super) fn conv3x3_shifted(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    let (b, c, h, w) = x.dims4()?;
    let o = weight.dim(0)?;
    let padded = x.pad_with_zeros(2, 1, 1)?.pad_with_zeros(3, 1, 1)?;
    let mut sum: Option<Tensor> = None;
    for ky in 0..3 {
        for kx in 0..3 {
            let view = padded.narrow(2, ky, h)?.narrow(3, kx, w)?;
            let view = view.contiguous()?.reshape((b, c, h * w))?;
            let part = weight.narrow(2, ky, 1)?.narrow(3, kx, 1)?;
            let part = part.reshape((1, o, c))?.broadcast_as((b, o, c))?;
            let product = part.contiguous()?.matmul(&view)?;
            sum = Some(match sum {
                Some(sum) => (sum + product)?,
                None => product,
            });
        }
    }
    match sum {
        Some(sum) => sum.reshape((b, o, h, w)),
        None => bail!("a 3x3 kernel has nine parts"),
    }
}
