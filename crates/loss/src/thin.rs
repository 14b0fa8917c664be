//! Where a target's vessels are thin.

use crate::maps::planes;
use candle_core::{DType, Result, Tensor, bail};
use rayon::prelude::*;

/// The pixels of vessels narrower than 3 pixels: the target minus its morphological opening by a
/// 3×3 square, 0 outside `valid`.
///
/// `target` is (…, H, W) with values in [0, 1], `valid` of the same shape (above ½ is inside, `None`
/// is all); the result has that shape, the target's float type (`f32` for integers) and device, and no
/// gradient. The image border does not thin a vessel: what lies beyond it is left out of the opening's
/// minima and maxima.
///
/// The target outside `valid` counts as background: at the rim of a field of view a pixel is thin
/// unless a 3×3 square that lies in both the vessel and the field of view covers it. This is the thin
/// map of `venule-metrics`, so that a loss weighs the pixels that the metrics count.
///
/// # Errors
/// If `target` has fewer than two dimensions or no pixel, or `valid` another shape or device.
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
/// let thin = thin_vessel_map(&target, None)?.to_vec2::<f32>()?;
/// assert_eq!(thin[1], [0., 0., 0., 0., 0., 0., 0.]);
/// assert_eq!(thin[2], [0., 0., 0., 0., 1., 1., 1.]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn thin_vessel_map(target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
    let what = "thin vessel map";
    let (planes, rows, columns) = planes(what, target.dims())?;
    let dtype = match target.dtype() {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    let mut label = target.detach().to_dtype(dtype)?;
    if let Some(valid) = valid {
        if valid.dims() != target.dims() || !valid.device().same_device(target.device()) {
            bail!(
                "{what}: expected valid of the target's shape {:?} and device, got {:?}",
                target.dims(),
                valid.dims()
            )
        }
        let inside = valid.detach().to_dtype(dtype)?.gt(0.5)?;
        label = inside.where_cond(&label, &label.zeros_like()?)?;
    }
    let map = thin_map(&label.reshape((planes, 1, rows, columns))?)?.reshape(target.dims())?;
    if target.dtype().is_float() {
        map.to_dtype(target.dtype())
    } else {
        Ok(map)
    }
}

/// On a (N, 1, H, W) constant of a float type.
pub(crate) fn thin_map(target: &Tensor) -> Result<Tensor> {
    if target.device().is_cpu() && target.dtype() == DType::F32 {
        on_cpu(target)
    } else {
        composed(target)
    }
}

/// By max pooling, which is sound here since nothing is differentiated.
fn composed(target: &Tensor) -> Result<Tensor> {
    let maximum = |map: &Tensor| {
        // Repeating the border adds no value that the window does not hold already.
        map.pad_with_same(2, 1, 1)?
            .pad_with_same(3, 1, 1)?
            .max_pool2d_with_stride(3, 1)
    };
    let eroded = maximum(&target.neg()?)?.neg()?;
    target - maximum(&eroded)?
}

fn on_cpu(target: &Tensor) -> Result<Tensor> {
    let (_, _, rows, columns) = target.dims4()?;
    let source = target.flatten_all()?.to_vec1::<f32>()?;
    let mut thin = vec![0.0; source.len()];
    let size = rows * columns;
    thin.par_chunks_mut(size)
        .zip(source.par_chunks(size))
        .for_each(|(thin, plane)| top_hat(plane, columns, thin));
    Tensor::from_vec(thin, target.shape(), target.device())
}

/// One plane minus its opening. Separable: a square's minimum is that of columns, then of rows.
fn top_hat(plane: &[f32], width: usize, out: &mut [f32]) {
    let lower = |a: f32, b: f32| if b < a { b } else { a };
    let higher = |a: f32, b: f32| if b > a { b } else { a };
    let mut map = vec![0.0; plane.len()];
    across_rows(plane, width, lower, out);
    along_rows(out, width, lower, &mut map);
    across_rows(&map, width, higher, out);
    along_rows(out, width, higher, &mut map);
    for ((out, &value), &opened) in out.iter_mut().zip(plane).zip(&map) {
        *out = value - opened;
    }
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
            (rows, columns, values) in (1usize..9, 1usize..9)
                .prop_flat_map(|(h, w)| (Just(h), Just(w), proptest::collection::vec(0u8..5, 2 * h * w))),
        ) {
            let target: Vec<f32> = values.iter().map(|&v| f32::from(v) / 4.0).collect();
            let target = Tensor::from_vec(target, (2, 1, rows, columns), &Device::Cpu).unwrap();
            let values = |map: Tensor| map.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            prop_assert_eq!(values(on_cpu(&target).unwrap()), values(composed(&target).unwrap()));
        }
    }
}
