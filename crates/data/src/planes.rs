use crate::{Error, Plane, Result};

/// The network's input: one plane a channel, all of one size, the channels one behind the other.
///
/// A [`Plane`] is an image of one channel.
///
/// ```
/// use venule_data::{Plane, Planes};
/// let ramp = Plane::from_fn(3, 2, |x, _| x as f32);
/// let planes = Planes::new(vec![ramp.clone(), Plane::filled(3, 2, 9.0)])?;
/// assert_eq!((planes.channels(), planes.size()), (2, (3, 2)));
/// assert_eq!(planes.channel(1), [9.0; 6]);
/// assert_eq!(Planes::from(ramp).data(), planes.channel(0));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Planes {
    width: usize,
    height: usize,
    channels: usize,
    data: Vec<f32>,
}

impl Planes {
    /// Joins the channels of an image.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] without any plane, [`Error::SizeMismatch`] if two differ in size.
    pub fn new(planes: Vec<Plane>) -> Result<Self> {
        let channels = planes.len();
        let mut planes = planes.into_iter();
        let Some(first) = planes.next() else {
            return Err(Error::InvalidConfig {
                field: "the number of channels of an image",
                found: "0".to_owned(),
                expected: "at least 1",
            });
        };
        let mut joined = Self::from(first);
        for plane in planes {
            plane.expect_size("a channel of an image", joined.size())?;
            joined.data.extend_from_slice(plane.data());
        }
        Ok(Self { channels, ..joined })
    }

    /// An image of as many channels as another, filled with one value.
    pub(crate) fn filled_like(other: &Self, (width, height): (usize, usize), value: f32) -> Self {
        let channels = other.channels;
        Self {
            width,
            height,
            channels,
            data: vec![value; width * height * channels],
        }
    }

    /// (width, height) in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Number of channels, at least 1.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// All values: channel by channel, each row by row.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// All values, to change in place.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// One channel, row by row; empty if there is no such channel.
    pub fn channel(&self, channel: usize) -> &[f32] {
        self.each().nth(channel).unwrap_or_default()
    }

    /// The channels in order.
    pub(crate) fn each(&self) -> impl Iterator<Item = &[f32]> {
        // An image of no pixel has channels of none.
        self.data.chunks_exact((self.width * self.height).max(1))
    }

    /// The channels in order, to change in place.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut [f32]> {
        let pixels = (self.width * self.height).max(1);
        self.data.chunks_exact_mut(pixels)
    }

    /// The channels as planes of their own.
    pub fn into_channels(self) -> Vec<Plane> {
        let (width, height) = self.size();
        let mut data = self.data;
        let mut channels = Vec::with_capacity(self.channels);
        for _ in 1..self.channels {
            let rest = data.split_off(width * height);
            channels.push(Plane::from_parts(width, height, data));
            data = rest;
        }
        channels.push(Plane::from_parts(width, height, data));
        channels
    }

    /// What `change` makes of each channel by itself, as the channels of one image.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] if it makes planes of different sizes.
    pub fn map(self, change: impl FnMut(Plane) -> Plane) -> Result<Self> {
        Self::new(self.into_channels().into_iter().map(change).collect())
    }

    /// Checks that the image has this size.
    ///
    /// # Errors
    /// [`Error::SizeMismatch`], naming `what`, otherwise.
    pub(crate) fn expect_size(&self, what: &str, size: (usize, usize)) -> Result<()> {
        match self.size() == size {
            true => Ok(()),
            false => Err(Error::SizeMismatch {
                what: what.to_owned(),
                expected: size,
                found: self.size(),
            }),
        }
    }
}

impl From<Plane> for Planes {
    fn from(plane: Plane) -> Self {
        let (width, height) = plane.size();
        Self {
            width,
            height,
            channels: 1,
            data: plane.into_data(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_lie_one_behind_the_other() {
        let mut planes = Planes::new(vec![
            Plane::from_fn(2, 2, |x, y| (x + 2 * y) as f32),
            Plane::filled(2, 2, 7.0),
        ])
        .unwrap();
        assert_eq!(planes.data(), [0.0, 1.0, 2.0, 3.0, 7.0, 7.0, 7.0, 7.0]);
        let mirrored = planes.clone().map(|plane| plane.flip_horizontal()).unwrap();
        assert_eq!(mirrored.data(), [1.0, 0.0, 3.0, 2.0, 7.0, 7.0, 7.0, 7.0]);
        planes.each_mut().for_each(|channel| channel[0] = -1.0);
        assert_eq!(planes.channel(1), [-1.0, 7.0, 7.0, 7.0]);
        assert!(planes.channel(2).is_empty());
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert!(matches!(
            Planes::new(Vec::new()),
            Err(Error::InvalidConfig { .. })
        ));
        let odd = Planes::new(vec![Plane::filled(2, 2, 0.0), Plane::filled(2, 3, 0.0)]);
        assert!(matches!(odd, Err(Error::SizeMismatch { .. })));
        let nothing = Planes::from(Plane::filled(0, 4, 0.0));
        assert_eq!((nothing.channels(), nothing.channel(0).len()), (1, 0));
    }
}
