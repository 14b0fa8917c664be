//! Where a target's vessels are thin.

use crate::maps::planes;
use candle_core::{DType, Result, Tensor, bail};
use rayon::prelude::*;

/// The pixels of vessels narrower than 3 pixels: the target minus its morphological opening by a
/// 3×3 square.
///
/// `target` is (…, H, W) with values in [0, 1]; the result has its shape, its float type (`f32` for
/// integers) and its device, and no gradient. The image border does not thin a vessel: what lies
/// beyond it is left out of the opening's minima and maxima.
///
/// # Errors
/// If `target` has fewer than two dimensions or no pixel.
///
/// ```
/// use venule_loss::{thin_vessel_map, candle_core::{Device, Tensor}};
///
/// let target = Tensor::new(
///     &[
///         [0u8, 0, 0, 0, 0, 0, 0],
///         [0, 1, 1, 1, 0, 0, 0],
///         [0, 1, 1, 1, 1, 1, 1], // a branch of one pixel leaves a block of three
///         [0, 1, 1, 1, 0, 0, 0],
///         [0, 0, 0, 0, 0, 0, 0],
///     ],
///     &Device::Cpu,
/// )?;
/// let thin = thin_vessel_map(&target)?.to_vec2::<f32>()?;
/// assert_eq!(thin[1], [0., 0., 0., 0., 0., 0., 0.]);
/// assert_eq!(thin[2], [0., 0., 0., 0., 1., 1., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn thin_vessel_map(target: &Tensor) -> Result<Tensor> {
    thin_vessel_map_within(target, None)
}

/// As [`thin_vessel_map`], with everything outside `valid` (1 inside, 0 outside, of the target's
/// shape) treated like what lies beyond the image border; the result is 0 there.
///
/// So a wide vessel that leaves the field of view is not thin at the rim. The thin-vessel metrics of
/// `venule-metrics` differ there: they see background outside, so that a pixel of such a vessel is
/// thin for them if no 3×3 square inside both vessel and field of view holds it.
///
/// # Errors
/// As [`thin_vessel_map`], and if `valid` has another shape or device.
pub fn thin_vessel_map_within(target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
    let what = "thin vessel map";
    let (planes, rows, columns) = planes(what, target.dims())?;
    let dtype = match target.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    let prepare = |map: &Tensor| -> Result<Tensor> {
        if map.dims() != target.dims() || !map.device().same_device(target.device()) {
            bail!(
                "{what}: expected valid of the target's shape {:?} and device, got {:?}",
                target.dims(),
                map.dims()
            )
        }
        let map = map.detach().to_dtype(dtype)?;
        map.reshape((planes, 1, rows, columns))
    };
    let valid = valid.map(prepare).transpose()?;
    let map = thin_map(&prepare(target)?, valid.as_ref())?.reshape(target.dims())?;
    if target.dtype().is_float() {
        map.to_dtype(target.dtype())
    } else {
        Ok(map)
    }
}

/// On (N, 1, H, W) constants of one float type.
pub(crate) fn thin_map(target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
    if target.device().is_cpu() && target.dtype() == DType::F32 {
        on_cpu(target, valid)
    } else {
        composed(target, valid)
    }
}

/// By max pooling, which is sound here since nothing is differentiated.
fn composed(target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
    let maximum = |map: &Tensor| {
        // Repeating the border adds no value that the window does not hold already.
        map.pad_with_same(2, 1, 1)?
            .pad_with_same(3, 1, 1)?
            .max_pool2d_with_stride(3, 1)
    };
    let choose = |map: &Tensor, outside: f64| match valid {
        None => Ok(map.clone()),
        Some(valid) => {
            let outside = map.ones_like()?.affine(outside, 0.0)?;
            valid.gt(0.5)?.where_cond(map, &outside)
        }
    };
    let eroded = maximum(&choose(target, 1.0)?.neg()?)?.neg()?;
    let opened = maximum(&choose(&eroded, 0.0)?)?;
    choose(&(target - opened)?, 0.0)
}

fn on_cpu(target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
    let (_, _, rows, columns) = target.dims4()?;
    let source = target.flatten_all()?.to_vec1::<f32>()?;
    let valid = valid
        .map(|v| v.flatten_all()?.to_vec1::<f32>())
        .transpose()?;
    let mut thin = vec![0.0; source.len()];
    let size = rows * columns;
    thin.par_chunks_mut(size)
        .enumerate()
        .for_each(|(plane, thin)| {
            let here = plane * size..(plane + 1) * size;
            let valid = valid.as_ref().map(|v| &v[here.clone()]);
            top_hat(&source[here], valid, columns, thin);
        });
    Tensor::from_vec(thin, target.shape(), target.device())
}

/// One plane minus its opening. Separable: a square's minimum is that of columns, then of rows.
fn top_hat(plane: &[f32], valid: Option<&[f32]>, width: usize, out: &mut [f32]) {
    let fill = |map: &mut [f32], outside: f32| {
        for (value, &valid) in map.iter_mut().zip(valid.unwrap_or_default()) {
            *value = if valid > 0.5 { *value } else { outside };
        }
    };
    let lower = |a: f32, b: f32| if b < a { b } else { a };
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let mut map = plane.to_vec();
    let mut between = vec![0.0; plane.len()];
    fill(&mut map, 1.0);
    across_rows(&map, width, lower, &mut between);
    along_rows(&between, width, lower, &mut map);
    fill(&mut map, 0.0);
    across_rows(&map, width, higher, &mut between);
    along_rows(&between, width, higher, &mut map);
    for ((out, &value), &opened) in out.iter_mut().zip(plane).zip(&map) {
        *out = value - opened;
    }
    fill(out, 0.0);
}

fn across_rows(map: &[f32], width: usize, pick: impl Fn(f32, f32) -> f32, out: &mut [f32]) {
    let height = map.len() / width;
    let row = |y: usize| &map[y * width..(y + 1) * width];
    for (y, out) in out.chunks_exact_mut(width).enumerate() {
        let (up, here, down) = (
            row(y.saturating_sub(1)),
            row(y),
            row((y + 1).min(height - 1)),
        );
        for (((out, &a), &b), &c) in out.iter_mut().zip(up).zip(here).zip(down) {
            *out = pick(pick(a, b), c);
        }
    }
}

fn along_rows(map: &[f32], width: usize, pick: impl Fn(f32, f32) -> f32, out: &mut [f32]) {
    for (row, out) in map.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
        out[0] = pick(row[0], row[1.min(width - 1)]);
        out[width - 1] = pick(row[width - 1], row[width.saturating_sub(2)]);
        for (out, three) in out[1..].iter_mut().zip(row.windows(3)) {
            *out = pick(pick(three[0], three[1]), three[2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cpu_kernel_equals_pooling(
            (rows, columns, values) in (1usize..9, 1usize..9).prop_flat_map(|(h, w)| {
                let pixels = proptest::collection::vec((0u8..5, any::<bool>()), 2 * h * w);
                (Just(h), Just(w), pixels)
            }),
            masked: bool,
        ) {
            let shape = (2, 1, rows, columns);
            let target: Vec<f32> = values.iter().map(|v| f32::from(v.0) / 4.0).collect();
            let valid: Vec<f32> = values.iter().map(|v| f32::from(u8::from(v.1))).collect();
            let target = Tensor::from_vec(target, shape, &Device::Cpu).unwrap();
            let valid = Tensor::from_vec(valid, shape, &Device::Cpu).unwrap();
            let valid = masked.then_some(&valid);
            let values = |map: Tensor| map.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let fast = values(on_cpu(&target, valid).unwrap());
            let slow = values(composed(&target, valid).unwrap());
            prop_assert_eq!(fast, slow);
        }
    }
}
