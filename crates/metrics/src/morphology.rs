use crate::Result;
use crate::scored_image::check_dimensions;

/// Erosion by a 3×3 square. Pixels outside the image do not erode, as in −max_pool2d(−x, 3, stride 1, padding 1) of PyTorch.
fn erode3x3(mask: &[bool], width: usize) -> Vec<bool> {
    filter3x3(mask, width, |a, b| a & b)
}

/// Dilation by a 3×3 square. Pixels outside the image do not dilate, as in max_pool2d(x, 3, stride 1, padding 1) of PyTorch.
fn dilate3x3(mask: &[bool], width: usize) -> Vec<bool> {
    filter3x3(mask, width, |a, b| a | b)
}

/// The thin vessels of a mask: the mask minus its opening (erosion, then dilation) by a 3×3 square.
///
/// Marks vessels less than 3 px wide, and the corners of wider ones that no 3×3 square inside reaches.
/// Pixels outside the image neither erode nor dilate, so a vessel that runs along the border counts as if it
/// went on outside.
///
/// Where pixels do not count, such as those outside a field of view, make them background first. A pixel of a wide vessel at their rim is
/// then thin if no 3×3 square of counted vessel pixels holds it. The metric ([`Comparison::thin_vessels`](crate::Comparison::thin_vessels)) and
/// the thin-vessel loss of `venule-loss` share this definition.
///
/// ```
/// use venule_metrics::thin_map;
/// // A 3 px wide trunk on the left, a 1 px branch on the right.
/// let mask = [
///     1, 1, 1, 0, 0, 0,
///     1, 1, 1, 1, 1, 1,
///     1, 1, 1, 0, 0, 0,
/// ].map(|v| v == 1);
/// let thin = [
///     0, 0, 0, 0, 0, 0,
///     0, 0, 0, 1, 1, 1,
///     0, 0, 0, 0, 0, 0,
/// ].map(|v| v == 1);
/// assert_eq!(thin_map(&mask, 6, 3)?, thin);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If `mask` has not `width * height` values.
pub fn thin_map(mask: &[bool], width: usize, height: usize) -> Result<Vec<bool>> {
    check_dimensions(width, height, mask.len())?;
    let mut opened = dilate3x3(&erode3x3(mask, width), width);
    for (opened, &mask) in opened.iter_mut().zip(mask) {
        *opened = mask & !*opened;
    }
    Ok(opened)
}

/// Joins each pixel with its neighbours in the image, rows first, then columns; both are plain loops over rows,
/// which vectorise.
fn filter3x3(mask: &[bool], width: usize, join: impl Fn(bool, bool) -> bool) -> Vec<bool> {
    if mask.is_empty() {
        return Vec::new();
    }
    let mut across = mask.to_vec();
    for (out, row) in across.chunks_exact_mut(width).zip(mask.chunks_exact(width)) {
        for (out, &left) in out[1..].iter_mut().zip(row) {
            *out = join(*out, left);
        }
        for (out, &right) in out.iter_mut().zip(&row[1..]) {
            *out = join(*out, right);
        }
    }
    let mut both = across.clone();
    for (out, &above) in both[width..].iter_mut().zip(&across) {
        *out = join(*out, above);
    }
    for (out, &below) in both.iter_mut().zip(&across[width..]) {
        *out = join(*out, below);
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix64;

    /// Is there such a value among a pixel and its neighbours in the image?
    fn near(mask: &[bool], width: usize, pixel: usize, value: bool) -> bool {
        let (x, y) = (pixel % width, pixel / width);
        let near = |a: usize, b: usize| a.abs_diff(b) <= 1;
        let pixels = mask.iter().enumerate();
        let mut around = pixels.filter(|(i, _)| near(i % width, x) && near(i / width, y));
        around.any(|(_, &m)| m == value)
    }

    #[test]
    fn erosion_and_dilation_are_those_of_a_plain_loop() {
        let mut random = SplitMix64::new(1);
        for _ in 0..200 {
            let [width, height] = [0; 2].map(|_| 1 + random.below(12) as usize);
            let density = random.below(101);
            let mask: Vec<bool> = (0..width * height)
                .map(|_| random.below(100) < density)
                .collect();
            let pixels = 0..mask.len();
            let eroded: Vec<bool> = pixels
                .clone()
                .map(|i| !near(&mask, width, i, false))
                .collect();
            let dilated: Vec<bool> = pixels.map(|i| near(&mask, width, i, true)).collect();
            assert_eq!(erode3x3(&mask, width), eroded);
            assert_eq!(dilate3x3(&mask, width), dilated);
        }
    }
}
