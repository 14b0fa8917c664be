use crate::Result;
use crate::scored_image::check_dimensions;

/// Erosion by a 3×3 square: true where all of the 3×3 neighbourhood is.
///
/// Pixels outside the image do not erode, as in −max_pool2d(−x, 3, stride 1, padding 1) of PyTorch.
///
/// # Errors
/// If `mask` has not `width * height` values.
pub fn erode3x3(mask: &[bool], width: usize, height: usize) -> Result<Vec<bool>> {
    check_dimensions(width, height, mask.len())?;
    Ok(filter3x3(mask, width, |a, b| a & b))
}

/// Dilation by a 3×3 square: true where any of the 3×3 neighbourhood is.
///
/// Pixels outside the image do not dilate, as in max_pool2d(x, 3, stride 1, padding 1) of PyTorch.
///
/// # Errors
/// If `mask` has not `width * height` values.
pub fn dilate3x3(mask: &[bool], width: usize, height: usize) -> Result<Vec<bool>> {
    check_dimensions(width, height, mask.len())?;
    Ok(filter3x3(mask, width, |a, b| a | b))
}

/// The thin vessels of a mask: the mask minus its opening (erosion, then dilation) by a 3×3 square.
///
/// Marks vessels less than 3 px wide, and the corners of wider ones that no 3×3 square inside reaches.
/// Pixels outside the image neither erode nor dilate, so a vessel that runs along the border counts as if it
/// went on outside.
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
    let mut opened = dilate3x3(&erode3x3(mask, width, height)?, width, height)?;
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
