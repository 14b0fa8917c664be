use serde::{Deserialize, Serialize};

use super::jitter::probability;
use crate::draw::Draw;
use crate::{Error, Mask, PixelBox, Prepared, Result};

/// Where a view is centred in its source image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CropCentre {
    /// In the middle of the frame, always. The default.
    #[default]
    Middle,
    /// Uniformly in the field of view's bounding box, shrunk about its middle to this fraction (0..=1). At 0.7 it
    /// lies just inside a round field of view, so that few views are half empty.
    Inner {
        /// Side of the shrunk box over that of the whole.
        fraction: f32,
    },
    /// On any pixel of the field of view, all equally likely.
    FieldOfView,
    /// On a vessel pixel in the field of view with this probability, otherwise (or without a vessel) on any of its
    /// pixels: foreground-balanced crops.
    Vessel {
        /// How often the centre is a vessel pixel.
        probability: f32,
    },
}

impl CropCentre {
    pub(super) fn validate(&self) -> Result<()> {
        match *self {
            Self::Middle | Self::FieldOfView => Ok(()),
            Self::Vessel { probability: p } => probability("CropCentre::Vessel", p),
            Self::Inner { fraction } if (0.0..=1.0).contains(&fraction) => Ok(()),
            Self::Inner { fraction } => Err(Error::InvalidConfig {
                field: "CropCentre::Inner",
                found: fraction.to_string(),
                expected: "a fraction between 0 and 1, e.g. 0.7",
            }),
        }
    }

    /// The centre in continuous pixel coordinates, moved by up to half a pixel so that an unturned view falls on
    /// whole pixels and need not be interpolated.
    pub(super) fn choose(
        &self,
        prepared: &Prepared,
        crop: (usize, usize),
        draw: &mut Draw,
    ) -> (f32, f32) {
        let (width, height) = prepared.size();
        let middle = (width as f32 / 2.0, height as f32 / 2.0);
        let any = |draw: &mut Draw| pick(&prepared.fov, None, draw);
        let chosen = match *self {
            Self::Middle => None,
            Self::Inner { fraction } => PixelBox::around(&prepared.fov).map(|part| {
                let mut along = |start: usize, length: usize| {
                    let half = length as f32 / 2.0;
                    start as f32 + half + fraction * half * draw.between(-1.0, 1.0)
                };
                let x = along(part.left, part.width);
                (x, along(part.top, part.height))
            }),
            Self::FieldOfView => any(draw),
            Self::Vessel { probability } => {
                let vessel = draw.unit() < probability;
                let label = prepared.label.as_ref().filter(|_| vessel);
                let on = label.and_then(|label| pick(&prepared.fov, Some(label), draw));
                on.or_else(|| any(draw))
            }
        };
        let (x, y) = chosen.unwrap_or(middle);
        let snap = |centre: f32, side: usize| {
            let half = side as f32 / 2.0;
            (centre - half).floor() + half
        };
        (snap(x, crop.0), snap(y, crop.1))
    }
}

/// The middle of a random pixel that is set in the mask (and in the other, if given); `None` if there is none.
fn pick(mask: &Mask, also: Option<&Mask>, draw: &mut Draw) -> Option<(f32, f32)> {
    let data = mask.data();
    let is_set = |&at: &usize| data[at] && also.is_none_or(|also| also.data()[at]);
    let place = |at: usize| {
        let (x, y) = (at % mask.width(), at / mask.width());
        (x as f32 + 0.5, y as f32 + 0.5)
    };
    // Guessing finds a vessel (a tenth of the pixels) at once; only sparse masks need the scan, as likely for all.
    for _ in 0..64 {
        let at = draw.below(data.len());
        if is_set(&at) {
            return Some(place(at));
        }
    }
    let all: Vec<usize> = (0..data.len()).filter(is_set).collect();
    (!all.is_empty()).then(|| place(all[draw.below(all.len())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plane;
    use crate::draw::Purpose;

    fn prepared() -> Prepared {
        Prepared {
            id: String::new(),
            image: Plane::filled(60, 40, 0.0).into(),
            label: Some(Mask::from_fn(60, 40, |x, y| x == 20 && y % 7 == 3)),
            fov: Mask::from_fn(60, 40, |x, y| {
                (x as f32 - 25.0).hypot(y as f32 - 20.0) < 14.0
            }),
            weights: None,
        }
    }

    #[test]
    fn centres_lie_where_they_should() {
        let prepared = prepared();
        let mut draw = Draw::new(1, 0, 0, Purpose::Centre);
        let at = |mask: &Mask, (x, y): (f32, f32)| mask.data()[y as usize * 60 + x as usize];
        let label = prepared.label.clone().unwrap();
        for _ in 0..300 {
            // an odd crop puts the centre in the middle of a pixel
            let on = |centre: CropCentre, draw: &mut Draw| centre.choose(&prepared, (9, 9), draw);
            assert!(at(&prepared.fov, on(CropCentre::FieldOfView, &mut draw)));
            assert!(at(
                &prepared.fov,
                on(CropCentre::Inner { fraction: 0.7 }, &mut draw)
            ));
            assert!(at(
                &label,
                on(CropCentre::Vessel { probability: 1.0 }, &mut draw)
            ));
        }
    }

    #[test]
    fn empty_masks_fall_back_to_the_middle() {
        let mut prepared = prepared();
        prepared.fov = Mask::filled(60, 40, false);
        let mut draw = Draw::new(1, 0, 0, Purpose::Centre);
        for centre in [
            CropCentre::Middle,
            CropCentre::Inner { fraction: 1.0 },
            CropCentre::FieldOfView,
            CropCentre::Vessel { probability: 1.0 },
        ] {
            assert_eq!(centre.choose(&prepared, (10, 10), &mut draw), (30.0, 20.0));
        }
    }
}
