//! Hard skeletons of targets.

use crate::maps::planes;
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

/// The tubed skeleton of a target (Kirchhoff et al., ECCV 2024): its skeleton, widened by `radius`
/// pixels (dilations by a cross), and cut to the target again.
///
/// `target` is (…, H, W); above ½ counts as vessel. The result has its shape and device, `f32`
/// values 0 and 1, NaN where the target is NaN, and no gradient. The skeleton is that of scikit-image's
/// `skeletonize`, pixel for pixel, as in the authors' code: the thinning of Zhang and Suen (CACM 1984)
/// with corner cases of its own. What lies beyond the image border counts as background. It is made on
/// the CPU: a target elsewhere is copied to and fro.
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
/// assert_eq!(skeleton[1], [0., 0., 0., 0., 1., 0., 0.]);
/// assert_eq!(skeleton[2], [0., 1., 1., 1., 0., 0., 0.]);
/// assert_eq!(skeleton[3], [0.; 7]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn tubed_skeleton(target: &Tensor, radius: usize) -> Result<Tensor> {
    let (_, rows, columns) = planes("tubed skeleton", target.dims())?;
    let values = target.detach().to_dtype(DType::F32)?.flatten_all()?;
    let mut values = values.to_vec1::<f32>()?;
    values.par_chunks_mut(rows * columns).for_each(|plane| {
        let vessel: Vec<bool> = plane.iter().map(|&value| value > 0.5).collect();
        let mut tube = skeleton(&vessel, columns);
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

/// Removes border pixels, from the south-east and the north-west in turn, until nothing changes.
fn skeleton(vessel: &[bool], width: usize) -> Vec<bool> {
    // A frame of background spares every border case.
    let stride = width + 2;
    let mut map = vec![false; stride * (vessel.len() / width + 2)];
    for (y, row) in vessel.chunks_exact(width).enumerate() {
        map[(y + 1) * stride + 1..][..width].copy_from_slice(row);
    }
    let mut left: Vec<usize> = (0..map.len()).filter(|&at| map[at]).collect();
    loop {
        let before = left.len();
        for pass in [FIRST, SECOND] {
            // All of a pass are chosen on the same state.
            let gone: Vec<usize> = left
                .iter()
                .copied()
                .filter(|&at| REMOVABLE[usize::from(ring(&map, at, stride))] & pass != 0)
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

/// The eight neighbours as bits, clockwise from north.
fn ring(map: &[bool], at: usize, stride: usize) -> u8 {
    let (up, down) = (at - stride, at + stride);
    [up, up + 1, at + 1, down + 1, down, down - 1, at - 1, up - 1]
        .iter()
        .rfold(0, |ring, &neighbour| ring << 1 | u8::from(map[neighbour]))
}

const FIRST: u8 = 1;
const SECOND: u8 = 2;

/// For every ring of neighbours the passes in which such a pixel goes.
const REMOVABLE: [u8; 256] = {
    let mut table = [0; 256];
    let mut ring = 0;
    while ring < 256 {
        table[ring] = zhang_suen(ring as u8);
        ring += 1;
    }
    // Where scikit-image departs from the paper: it removes the corner of a staircase of one pixel, and
    // takes the ends of lines two pixels wide from one side only, so that they do not vanish.
    let departures: [(&[u8], u8); 4] = [
        (&[0x05, 0x14, 0x41, 0x50], FIRST | SECOND),
        (
            &[0x85, 0x43, 0xd0, 0x61, 0x63, 0x81, 0x03, 0x06, 0x07, 0xc1],
            FIRST,
        ),
        (
            &[0x0d, 0x34, 0x36, 0x58, 0x0c, 0x1c, 0x30, 0x60, 0x70],
            SECOND,
        ),
        (&[0x18, 0xc0], 0),
    ];
    let mut group = 0;
    while group < departures.len() {
        let (rings, passes) = departures[group];
        let mut at = 0;
        while at < rings.len() {
            table[rings[at] as usize] = passes;
            at += 1;
        }
        group += 1;
    }
    table
};

/// The paper's conditions: 2 to 6 neighbours, one step from background to vessel around the ring, and a
/// gap among N, E, S and among E, S, W in the first pass, among N, E, W and among N, S, W in the second.
const fn zhang_suen(ring: u8) -> u8 {
    let neighbours = ring.count_ones();
    let rises = (!ring & ring.rotate_right(1)).count_ones();
    if neighbours < 2 || neighbours > 6 || rises != 1 {
        return 0;
    }
    let (n, e, s, w) = (1, 1 << 2, 1 << 4, 1 << 6);
    let first = ring & (n | e | s) != n | e | s && ring & (e | s | w) != e | s | w;
    let second = ring & (n | e | w) != n | e | w && ring & (n | s | w) != n | s | w;
    (if first { FIRST } else { 0 }) | (if second { SECOND } else { 0 })
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
