use std::path::Path;

use crate::{Error, Mask, Result};

/// Which oddities of a label are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LabelCheck {
    /// Whether a label may mark no pixel: of a photograph that shows no vessel.
    pub allow_empty: bool,
    /// Whether a label may mark more than half of the field of view, or all of it.
    pub allow_majority: bool,
}

impl LabelCheck {
    /// With labels that mark nothing.
    pub fn allow_empty(mut self) -> Self {
        self.allow_empty = true;
        self
    }

    /// With labels that mark most.
    pub fn allow_majority(mut self) -> Self {
        self.allow_majority = true;
        self
    }

    /// Whether a label may mark so many of so many pixels.
    pub(crate) fn accepts(self, vessels: usize, pixels: usize) -> bool {
        (vessels > 0 || self.allow_empty) && (2 * vessels <= pixels || self.allow_majority)
    }
}

/// How many pixels of a field of view a label of its size marks.
pub(crate) fn marked(label: &Mask, fov: &Mask) -> usize {
    let pairs = label.data().iter().zip(fov.data());
    pairs
        .filter(|(marked, inside)| **marked && **inside)
        .count()
}

/// Checks that a label marks some pixels of the field of view, and not more than half of them: vessels cover 8 to 14 %.
///
/// Without a field of view the whole frame is taken. A mask of another size is none of this check's business.
///
/// ```
/// use venule_data::{LabelCheck, Mask, check_label};
/// let inverted = Mask::from_fn(10, 10, |x, _| x != 4);
/// let message = check_label(&inverted, None, "a.png", LabelCheck::default()).unwrap_err().to_string();
/// assert!(message.contains("marks 90 of 100 pixels"));
/// assert!(message.contains("are black and white exchanged?"));
/// assert!(check_label(&inverted, None, "a.png", LabelCheck::default().allow_majority()).is_ok());
/// ```
///
/// # Errors
/// [`Error::EmptyLabel`] and [`Error::MajorityLabel`], naming the file, unless `allowed`.
pub fn check_label(
    label: &Mask,
    fov: Option<&Mask>,
    path: impl AsRef<Path>,
    allowed: LabelCheck,
) -> Result<()> {
    let fov = fov.filter(|fov| fov.size() == label.size() && fov.count() > 0);
    let (pixels, vessels) = match fov {
        Some(fov) => (fov.count(), marked(label, fov)),
        None => (label.data().len(), label.count()),
    };
    let path = path.as_ref().to_owned();
    match (allowed.accepts(vessels, pixels), vessels) {
        (true, _) => Ok(()),
        (false, 0) => Err(Error::EmptyLabel { path, pixels }),
        (false, _) => Err(Error::MajorityLabel {
            path,
            vessels,
            pixels,
        }),
    }
}

/// Checks that a mask of the field of view marks the retina and not the border around it.
///
/// ```
/// use venule_data::{Mask, check_fov};
/// let disc = |x: usize, y: usize| (x as f64 - 19.5).hypot(y as f64 - 19.5) < 18.0;
/// assert!(check_fov(&Mask::from_fn(40, 40, disc), "fov.png").is_ok());
/// assert!(check_fov(&Mask::filled(40, 40, true), "fov.png").is_ok());
/// let inverted = Mask::from_fn(40, 40, |x, y| !disc(x, y));
/// let message = check_fov(&inverted, "fov.png").unwrap_err().to_string();
/// assert!(message.contains("fov.png holds the four corners and not the centre"));
/// ```
///
/// # Errors
/// [`Error::InvertedFieldOfView`] if it holds the four corners and less than half of the middle, [`Error::EmptyFieldOfViewMask`] if
/// it marks nothing. Who means it takes no part in the check.
pub fn check_fov(mask: &Mask, path: impl AsRef<Path>) -> Result<()> {
    let (width, height) = mask.size();
    let path = path.as_ref().to_owned();
    if mask.count() == 0 {
        return Err(Error::EmptyFieldOfViewMask { path });
    }
    let side = (width.min(height) / 40).clamp(1, 16);
    let share = |left: usize, top: usize, wide: usize, high: usize| {
        let rows = (top..top + high).map(|y| &mask.row(y)[left..left + wide]);
        let marked: usize = rows.map(|row| row.iter().filter(|&&on| on).count()).sum();
        marked as f64 / (wide * high).max(1) as f64
    };
    let (right, bottom) = (width - side, height - side);
    let corners = [(0, 0), (right, 0), (0, bottom), (right, bottom)];
    let at_corners = corners.iter().all(|&(x, y)| share(x, y, side, side) > 0.5);
    let middle = share(
        width / 4,
        height / 4,
        (width - width / 2).min(width - width / 4),
        (height - height / 2).min(height - height / 4),
    );
    match at_corners && middle < 0.5 {
        true => Err(Error::InvertedFieldOfView {
            path,
            marked: mask.count(),
            pixels: width * height,
        }),
        false => Ok(()),
    }
}
