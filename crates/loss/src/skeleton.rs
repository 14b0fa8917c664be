//! Hard skeletons of targets.

use crate::maps::planes;
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

/// The tubed skeleton of a target (Kirchhoff et al., ECCV 2024): its skeleton, widened by `radius`
/// pixels (dilations by a cross), and cut to the target again.
///
/// `target` is (…, H, W); above ½ counts as vessel. The result has its shape and device, `f32`
/// values 0 and 1, NaN where the target is NaN, and no gradient. The skeleton is that of Guo and
/// Hall (CACM 1989), which keeps connections and does not erase diagonal lines of two pixels. It is
/// made on the CPU: for a target elsewhere this copies to and fro, so make it once per sample where
/// that matters.
///
/// # Errors
/// If `target` has fewer than two dimensions or no pixel.
///
/// ```
/// use venule_loss::{tubed_skeleton, candle_core::{Device, Tensor}};
///
/// let target = Tensor::new(
///     &[
///         [0u8, 0, 0, 0, 0, 0, 0],
///         [0, 1, 1, 1, 1, 1, 0],
///         [0, 1, 1, 1, 1, 1, 0],
///         [0, 1, 1, 1, 1, 1, 0],
///         [0, 0, 0, 0, 0, 0, 0],
///     ],
///     &Device::Cpu,
/// )?;
/// let skeleton = tubed_skeleton(&target, 0)?.to_vec2::<f32>()?;
/// assert_eq!(skeleton[1], [0.; 7]);
/// assert_eq!(skeleton[2], [0., 0., 1., 1., 1., 0., 0.]);
/// assert_eq!(skeleton[3], [0.; 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn tubed_skeleton(target: &Tensor, radius: usize) -> Result<Tensor> {
    let (_, rows, columns) = planes("tubed skeleton", target.dims())?;
    let values = target.detach().to_dtype(DType::F32)?.flatten_all()?;
    let mut values = values.to_vec1::<f32>()?;
    values.par_chunks_mut(rows * columns).for_each(|plane| {
        let vessel: Vec<bool> = plane.iter().map(|&value| value > 0.5).collect();
        let mut tube = thinned(&vessel, columns);
        for _ in 0..radius.min(rows + columns) {
            tube = widened(&tube, columns);
        }
        for ((value, tube), vessel) in plane.iter_mut().zip(tube).zip(vessel) {
            // A NaN is no vessel to the skeleton, but must not be hidden.
            if !value.is_nan() {
                *value = f32::from(u8::from(tube && vessel));
            }
        }
    });
    Tensor::from_vec(values, target.shape(), target.device())
}

/// Removes border pixels, from two sides in turn, until nothing changes.
fn thinned(vessel: &[bool], width: usize) -> Vec<bool> {
    // A frame of background spares every border case.
    let stride = width + 2;
    let mut map = vec![false; stride * (vessel.len() / width + 2)];
    for (y, row) in vessel.chunks_exact(width).enumerate() {
        map[(y + 1) * stride + 1..][..width].copy_from_slice(row);
    }
    let removable = [removable(false), removable(true)];
    let mut left: Vec<usize> = (0..map.len()).filter(|&at| map[at]).collect();
    loop {
        let before = left.len();
        for table in &removable {
            let gone: Vec<usize> = left
                .iter()
                .copied()
                .filter(|&at| table[neighbours(&map, at, stride)])
                .collect();
            for at in gone {
                map[at] = false;
            }
            left.retain(|&at| map[at]);
        }
        if left.len() == before {
            break;
        }
    }
    map.chunks_exact(stride)
        .skip(1)
        .take(vessel.len() / width)
        .flat_map(|row| row[1..=width].iter().copied())
        .collect()
}

/// The eight neighbours as bits, from the east counter-clockwise.
fn neighbours(map: &[bool], at: usize, stride: usize) -> usize {
    let (up, down) = (at - stride, at + stride);
    [at + 1, up + 1, up, up - 1, at - 1, down - 1, down, down + 1]
        .iter()
        .enumerate()
        .map(|(bit, &neighbour)| usize::from(map[neighbour]) << bit)
        .sum()
}

/// For each neighbourhood whether Guo and Hall's conditions remove the pixel, in the first or the
/// second half of an iteration.
fn removable(second_half: bool) -> Vec<bool> {
    let rule = |bits: usize| {
        // x(1) … x(8) of the paper's notation, x(9) = x(1).
        let x = |k: usize| bits >> ((k - 1) % 8) & 1 == 1;
        let crossings = (1..=4)
            .filter(|i| !x(2 * i - 1) && (x(2 * i) || x(2 * i + 1)))
            .count();
        let pairs = |shift: usize| {
            (1..=4)
                .filter(|k| x(2 * k - 1 + shift) || x(2 * k + shift))
                .count()
        };
        let neighbours = pairs(0).min(pairs(1));
        let side = if second_half {
            (x(6) || x(7) || !x(4)) && x(5)
        } else {
            (x(2) || x(3) || !x(8)) && x(1)
        };
        crossings == 1 && (2..=3).contains(&neighbours) && !side
    };
    (0..256).map(rule).collect()
}

/// Dilation by a cross.
fn widened(map: &[bool], width: usize) -> Vec<bool> {
    let mut wide = map.to_vec();
    for (at, _) in map.iter().enumerate().filter(|(_, set)| **set) {
        let column = at % width;
        if column > 0 {
            wide[at - 1] = true;
        }
        if column + 1 < width {
            wide[at + 1] = true;
        }
        if at >= width {
            wide[at - width] = true;
        }
        if at + width < map.len() {
            wide[at + width] = true;
        }
    }
    wide
}
