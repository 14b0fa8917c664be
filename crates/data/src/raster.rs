use crate::{Error, Result};

/// A row-major two-dimensional array: pixel (x, y) is `data[y * width + x]`.
///
/// ```
/// use venule_data::Raster;
/// let raster = Raster::new(3, 2, vec![1, 2, 3, 4, 5, 6])?;
/// assert_eq!(raster.get(2, 1), Some(&6));
/// assert_eq!(raster.get(3, 1), None);
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Raster<T> {
    width: usize,
    height: usize,
    data: Vec<T>,
}

/// One channel of an image as `f32`; its range depends on the preprocessing.
pub type Plane = Raster<f32>;

/// A yes/no map: `true` is a vessel pixel in a label, a valid pixel in a field of view.
pub type Mask = Raster<bool>;

/// Pixels of a raster that is about to be allocated.
fn area(width: usize, height: usize) -> usize {
    let area = width.checked_mul(height);
    assert!(area.is_some(), "a raster of {width}x{height} pixels");
    area.unwrap_or_default()
}

impl<T> Raster<T> {
    /// Wraps row-major data.
    ///
    /// # Errors
    /// [`Error::RasterLength`] unless `data.len() == width * height`.
    pub fn new(width: usize, height: usize, data: Vec<T>) -> Result<Self> {
        if width.checked_mul(height) != Some(data.len()) {
            return Err(Error::RasterLength {
                width,
                height,
                length: data.len(),
            });
        }
        Ok(Self {
            width,
            height,
            data,
        })
    }

    /// Of data whose length is known to fit.
    pub(crate) fn from_parts(width: usize, height: usize, data: Vec<T>) -> Self {
        debug_assert_eq!(width * height, data.len());
        Self {
            width,
            height,
            data,
        }
    }

    /// Calls `value(x, y)` for every pixel, row by row.
    ///
    /// # Panics
    /// If there are more pixels than memory can have addresses.
    pub fn from_fn(width: usize, height: usize, mut value: impl FnMut(usize, usize) -> T) -> Self {
        let mut data = Vec::with_capacity(area(width, height));
        for y in 0..height {
            for x in 0..width {
                data.push(value(x, y));
            }
        }
        Self {
            width,
            height,
            data,
        }
    }

    /// Pixels per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// (width, height).
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// All pixels, row by row.
    pub fn data(&self) -> &[T] {
        &self.data
    }

    /// All pixels, row by row, to change in place.
    pub fn data_mut(&mut self) -> &mut [T] {
        &mut self.data
    }

    /// Gives the pixels back.
    pub fn into_data(self) -> Vec<T> {
        self.data
    }

    /// The pixel at column `x` and row `y`, or `None` outside.
    pub fn get(&self, x: usize, y: usize) -> Option<&T> {
        (x < self.width && y < self.height).then(|| &self.data[y * self.width + x])
    }

    /// Row `y`; empty if `y` is outside.
    pub fn row(&self, y: usize) -> &[T] {
        if y < self.height {
            &self.data[y * self.width..(y + 1) * self.width]
        } else {
            &[]
        }
    }

    /// A raster of the same size with every pixel mapped.
    pub fn map<U>(&self, value: impl FnMut(&T) -> U) -> Raster<U> {
        Raster {
            width: self.width,
            height: self.height,
            data: self.data.iter().map(value).collect(),
        }
    }

    /// Checks that another raster has this one's size.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], naming `what`, otherwise.
    pub fn expect_size(&self, what: &str, size: (usize, usize)) -> Result<()> {
        if self.size() == size {
            Ok(())
        } else {
            Err(Error::SizeMismatch {
                what: what.to_owned(),
                expected: size,
                found: self.size(),
            })
        }
    }
}

impl<T: Clone> Raster<T> {
    /// A raster filled with one value.
    ///
    /// # Panics
    /// If there are more pixels than memory can have addresses.
    pub fn filled(width: usize, height: usize, value: T) -> Self {
        Self {
            width,
            height,
            data: vec![value; area(width, height)],
        }
    }
}

impl<T: Clone> Raster<T> {
    /// The mirror image, left and right exchanged.
    ///
    /// ```
    /// use venule_data::Raster;
    /// let raster = Raster::new(3, 2, vec![1, 2, 3, 4, 5, 6])?;
    /// assert_eq!(raster.flip_horizontal().data(), [3, 2, 1, 6, 5, 4]);
    /// assert_eq!(raster.flip_vertical().data(), [4, 5, 6, 1, 2, 3]);
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    pub fn flip_horizontal(&self) -> Self {
        let mut flipped = self.clone();
        if self.width > 0 {
            flipped
                .data
                .chunks_exact_mut(self.width)
                .for_each(|row| row.reverse());
        }
        flipped
    }

    /// The mirror image, top and bottom exchanged.
    pub fn flip_vertical(&self) -> Self {
        let rows = (0..self.height).rev().map(|y| self.row(y));
        Self {
            width: self.width,
            height: self.height,
            data: rows.flatten().cloned().collect(),
        }
    }
}

impl Mask {
    /// Number of `true` pixels.
    pub fn count(&self) -> usize {
        self.data.iter().filter(|&&on| on).count()
    }
}
