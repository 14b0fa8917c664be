//! Finite differences in `f64` and golden values of the convolution-side ops.

use candle_core::{DType, Device, Result, Tensor};

use super::conv::{conv3x3_composed, conv3x3_shifted};
use super::testing::{agrees, gradients_agree, noise, slopes_agree};
use super::*;

#[test]
fn convolution_gradients_are_slopes() -> Result<()> {
    let inputs = [
        noise(&[2, 2, 3, 4], 1, 1.0)?,
        noise(&[3, 2, 3, 3], 2, 1.0)?,
        noise(&[3], 3, 1.0)?,
    ];
    slopes_agree(&inputs, |t| conv3x3(&t[0], &t[1], Some(&t[2])))?;
    slopes_agree(&inputs[..2], |t| conv3x3_shifted(&t[0], &t[1]))?;
    let inputs = [
        inputs[0].clone(),
        noise(&[3, 2, 1, 1], 2, 1.0)?,
        inputs[2].clone(),
    ];
    slopes_agree(&inputs, |t| conv1x1(&t[0], &t[1], Some(&t[2])))
}

#[test]
fn the_shifted_convolution_is_the_convolution() -> Result<()> {
    let inputs = [noise(&[2, 3, 5, 7], 1, 1.0)?, noise(&[4, 3, 3, 3], 2, 1.0)?];
    let [x, weight] = &inputs;
    agrees(
        &conv3x3_shifted(x, weight)?,
        &conv3x3_composed(x, weight)?,
        1e-5,
    )?;
    let composed = |t: &[Tensor]| conv3x3_composed(&t[0], &t[1]);
    gradients_agree(&inputs, |t| conv3x3_shifted(&t[0], &t[1]), composed, 1e-5)
}

#[test]
fn normalisation_gradients_are_slopes() -> Result<()> {
    let inputs = [
        noise(&[2, 4, 2, 3], 1, 1.0)?,
        noise(&[4], 2, 1.0)?,
        noise(&[4], 3, 1.0)?,
    ];
    slopes_agree(&inputs, |t| group_norm(&t[0], 2, &t[1], &t[2], 1e-5))?;
    slopes_agree(&inputs, |t| group_norm_relu(&t[0], 2, &t[1], &t[2], 1e-5))
}

/// What is not a number shows in the result, whatever computes it.
#[test]
fn normalisation_hides_no_nan() -> Result<()> {
    let x = noise(&[1, 4, 2, 3], 1, 1.0)?;
    let weight = Tensor::new(&[1f32, f32::NAN, 1.0, 1.0], &Device::Cpu)?;
    let bias = noise(&[4], 3, 1.0)?;
    for dtype in [DType::F32, DType::F64] {
        let [x, weight, bias] = [&x, &weight, &bias].map(|t| t.to_dtype(dtype));
        let y = group_norm_relu(&x?, 2, &weight?, &bias?, 1e-5)?;
        let values = y.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        assert_eq!(values.iter().filter(|value| value.is_nan()).count(), 6);
    }
    Ok(())
}

#[test]
fn normalised_convolution_gradients_are_slopes() -> Result<()> {
    let inputs = [
        noise(&[2, 2, 4, 6], 1, 1.0)?,
        noise(&[4, 2, 3, 3], 2, 1.0)?,
        noise(&[4], 3, 1.0)?,
        noise(&[4], 4, 1.0)?,
        noise(&[2, 1, 2, 3], 5, 1.0)?,
        noise(&[4, 3, 3, 3], 6, 1.0)?,
    ];
    fn norm<'a>(t: &'a [Tensor]) -> Norm<'a> {
        Norm {
            groups: 2,
            weight: &t[2],
            bias: &t[3],
            eps: 1e-5,
        }
    }
    slopes_agree(&inputs[..4], |t| {
        conv3x3_norm_relu(&t[0], &t[1], None, norm(t))
    })?;
    let [fine, _, weight, bias, coarse, joined] = inputs;
    slopes_agree(&[fine, joined, weight, bias, coarse], |t| {
        upsample2x_cat_conv3x3_norm_relu(&t[4], &t[0], &t[1], None, norm(t))
    })
}

#[test]
fn resampling_gradients_are_slopes() -> Result<()> {
    let x = noise(&[2, 2, 4, 6], 1, 1.0)?;
    slopes_agree(std::slice::from_ref(&x), |t| max_pool2x2(&t[0]))?;
    slopes_agree(std::slice::from_ref(&x), |t| upsample2x(&t[0]))?;
    let pair = [noise(&[2, 2, 2, 3], 3, 1.0)?, x.clone()];
    slopes_agree(&pair, |t| upsample2x_cat(&t[0], &t[1]))?;
    slopes_agree(std::slice::from_ref(&x), |t| patchify(&t[0], 2))?;
    slopes_agree(&[noise(&[1, 6, 2], 2, 1.0)?], |t| {
        resample_grid(&t[0], (2, 3), (3, 5))
    })
}

#[test]
fn patches_come_back_whole() -> Result<()> {
    let x = noise(&[2, 3, 6, 4], 1, 1.0)?;
    let back = unpatchify(&patchify(&x, 2)?, 3, 2, (3, 2))?;
    assert_eq!(
        back.flatten_all()?.to_vec1::<f32>()?,
        x.flatten_all()?.to_vec1::<f32>()?
    );
    assert!(patchify(&x, 4).is_err() && patchify(&x, 0).is_err());
    Ok(())
}

/// Expected values: `torch.nn.functional.interpolate(x, size=…, mode="bicubic", align_corners=False)`, PyTorch 2.15.
#[test]
fn bicubic_resampling_equals_torch() -> Result<()> {
    let check = |values: Vec<f32>,
                 from: (usize, usize),
                 to: (usize, usize),
                 expected: &[f32]|
     -> Result<()> {
        let positions = Tensor::from_vec(values, (1, from.0 * from.1, 1), &Device::Cpu)?;
        let found = resample_grid(&positions, from, to)?;
        let expected = Tensor::from_slice(expected, (1, to.0 * to.1, 1), &Device::Cpu)?;
        agrees(&found, &expected, 1e-6)
    };
    // x = [[0, 1, 4], [2, 8, 3]], size=(3, 5)
    let larger = [
        -0.227_944_5,
        -0.220_013_1,
        0.392_361_16,
        2.694_111_8,
        4.441_474,
        0.664_000_3,
        2.430_000_8,
        4.5,
        4.139_999_4,
        3.404_000_5,
        1.555_944_8,
        5.080_014,
        8.607_638,
        5.585_887_4,
        2.366_529_2,
    ];
    check(vec![0., 1., 4., 2., 8., 3.], (2, 3), (3, 5), &larger)?;
    // x = arange(16).reshape(4, 4) ** 2, size=(2, 3)
    let smaller = [4.001_446_7, 10.5, 21.174_48, 111.209_21, 141.75, 176.466_77];
    let squares = (0..16).map(|i| (i * i) as f32).collect();
    check(squares, (4, 4), (2, 3), &smaller)
}

/// Expected values: `interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)`, PyTorch 2.15.
#[test]
fn bilinear_doubling_equals_torch() -> Result<()> {
    let x = Tensor::new(&[[[[0f32, 1., 4.], [2., 8., 3.]]]], &Device::Cpu)?;
    let expected = [
        [0.0f32, 0.25, 0.75, 1.75, 3.25, 4.0],
        [0.5, 1.0625, 2.1875, 3.0, 3.5, 3.75],
        [1.5, 2.6875, 5.0625, 5.5, 4.0, 3.25],
        [2.0, 3.5, 6.5, 6.75, 4.25, 3.0],
    ];
    let found = upsample2x(&x)?.squeeze(0)?.squeeze(0)?.to_vec2::<f32>()?;
    assert_eq!(found, expected);
    Ok(())
}
