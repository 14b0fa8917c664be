use super::resize::check_size;
use crate::{Error, Mask, Raster, Result};

/// A box of pixels: columns `left..left + width`, rows `top..top + height`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBox {
    /// First column.
    pub left: usize,
    /// First row.
    pub top: usize,
    /// Number of columns.
    pub width: usize,
    /// Number of rows.
    pub height: usize,
}

impl PixelBox {
    /// The smallest box that holds every `true` pixel, or `None` if there is none. This is how an image is
    /// cropped to its field of view.
    ///
    /// ```
    /// use venule_data::{Mask, PixelBox};
    /// let mask = Mask::from_fn(6, 5, |x, y| (2..4).contains(&x) && y == 3);
    /// assert_eq!(PixelBox::around(&mask), Some(PixelBox { left: 2, top: 3, width: 2, height: 1 }));
    /// ```
    pub fn around(mask: &Mask) -> Option<Self> {
        let holds = |&y: &usize| mask.row(y).contains(&true);
        let top = (0..mask.height()).find(holds)?;
        let bottom = (top..mask.height()).rev().find(holds)?;
        // Only the columns that could widen the box are looked at, so a full disc costs little.
        let (mut left, mut right) = (mask.width(), 0);
        for y in top..=bottom {
            let row = mask.row(y);
            if let Some(x) = row[..left].iter().position(|&on| on) {
                left = x;
            }
            if let Some(x) = row[right..].iter().rposition(|&on| on) {
                right += x + 1;
            }
        }
        Some(Self {
            left,
            top,
            width: right - left,
            height: bottom - top + 1,
        })
    }
}

impl<T: Copy> Raster<T> {
    /// The pixels inside a box.
    ///
    /// ```
    /// use venule_data::{PixelBox, Raster};
    /// let raster = Raster::new(3, 2, vec![1, 2, 3, 4, 5, 6])?;
    /// let part = raster.crop(PixelBox { left: 1, top: 0, width: 2, height: 2 })?;
    /// assert_eq!(part.data(), &[2, 3, 5, 6]);
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the box leaves the raster.
    pub fn crop(&self, part: PixelBox) -> Result<Self> {
        let end = |start: usize, length: usize, limit: usize| {
            start.checked_add(length).filter(|&end| end <= limit)
        };
        let (Some(right), Some(bottom)) = (
            end(part.left, part.width, self.width()),
            end(part.top, part.height, self.height()),
        ) else {
            return Err(Error::InvalidConfig {
                field: "the box to crop to",
                found: format!("{part:?} of {}x{} pixels", self.width(), self.height()),
                expected: "inside the raster",
            });
        };
        let mut data = Vec::with_capacity(part.width * part.height);
        for y in part.top..bottom {
            data.extend_from_slice(&self.row(y)[part.left..right]);
        }
        Self::new(part.width, part.height, data)
    }

    /// This raster with borders of `value` around it; `crop` with the same offsets undoes it.
    ///
    /// ```
    /// use venule_data::Raster;
    /// let padded = Raster::new(1, 1, vec![7])?.pad((1, 0), (0, 1), 0)?;
    /// assert_eq!(padded.size(), (2, 2));
    /// assert_eq!(padded.data(), &[0, 7, 0, 0]);
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// `before` is (left, top), `after` is (right, bottom), in pixels.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the result is empty or has more than 2^28 pixels.
    pub fn pad(&self, before: (usize, usize), after: (usize, usize), value: T) -> Result<Self> {
        let (left, top) = before;
        let grow = |length: usize, a: usize, b: usize| length.saturating_add(a).saturating_add(b);
        let width = grow(self.width(), left, after.0);
        let height = grow(self.height(), top, after.1);
        check_size("the padded size", (width, height))?;
        let mut out = Self::filled(width, height, value);
        for y in 0..self.height() {
            let start = (top + y) * width + left;
            out.data_mut()[start..start + self.width()].copy_from_slice(self.row(y));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn the_box_is_the_smallest(points in prop::collection::vec((0usize..12, 0usize..9), 0..6)) {
            let mask = Mask::from_fn(12, 9, |x, y| points.contains(&(x, y)));
            let found = PixelBox::around(&mask);
            let slow = points.iter().map(|p| p.0).min().map(|left| {
                let right = points.iter().map(|p| p.0).max().unwrap();
                let top = points.iter().map(|p| p.1).min().unwrap();
                let bottom = points.iter().map(|p| p.1).max().unwrap();
                PixelBox { left, top, width: right - left + 1, height: bottom - top + 1 }
            });
            prop_assert_eq!(found, slow);
        }

        #[test]
        fn cropping_undoes_padding(w in 1usize..6, h in 1usize..6, before in (0usize..4, 0usize..4), after in (0usize..4, 0usize..4)) {
            let raster = Raster::from_fn(w, h, |x, y| x * 10 + y);
            let padded = raster.pad(before, after, 99).unwrap();
            let back = padded.crop(PixelBox { left: before.0, top: before.1, width: w, height: h }).unwrap();
            prop_assert_eq!(back, raster);
        }
    }

    #[test]
    fn impossible_boxes_and_borders_are_errors() {
        let raster = Raster::filled(4, 4, 0);
        let outside = PixelBox {
            left: usize::MAX,
            top: 0,
            width: 2,
            height: 2,
        };
        assert!(raster.crop(outside).is_err());
        assert!(raster.pad((usize::MAX, 0), (1, 0), 0).is_err());
    }
}
