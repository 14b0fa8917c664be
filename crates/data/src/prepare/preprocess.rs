use std::borrow::Cow;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::channel::Channel;
use super::clahe::Clahe;
use super::dark_rim::without_dark_rim;
use super::resize::{resize_mask, resize_plane};
use super::scale::Resize;
use super::wiener::{check_window, wiener};
use crate::{Error, Mask, Plane, Planes, Result, Sample, equivalent_diameter};

/// Relative difference in diameter below which resampling costs more detail than the scale is worth.
const DIAMETER_TOLERANCE: f64 = 0.05;

/// Most that [`Resize::FovDiameter`] enlarges a photograph: a tiny field of view must not exhaust the memory.
const LARGEST_SCALE: f64 = 16.0;

/// Most pixels of an enlarged photograph, for the same reason.
const LARGEST_ENLARGED: usize = 1 << 26;

/// How a photograph becomes the network's input. Stored in checkpoints, so that inference repeats training.
///
/// The steps, in this order: one channel or red, green and blue; resize; Wiener filter; CLAHE; standardise (or normalise by given
/// numbers, or divide by 255); zero outside the field of view and in its dark rim. The filters come after the resize, so they see the size
/// the network sees; they act on one channel alone.
///
/// The default is the green channel at native size, standardised. The published square protocol is
/// `Preprocess { resize: Some(Resize::Square(512)), ..Preprocess::default() }`.
///
/// ```
/// use venule_data::{Channel, Mask, Preprocess};
/// let photo = image::RgbImage::from_fn(8, 6, |x, y| image::Rgb([90, (x * 20 + y) as u8, 10]));
/// let fov = Mask::from_fn(8, 6, |x, _| x > 1);
/// let input = Preprocess::default().apply(&photo, &fov)?;
/// let inside: Vec<f32> = input.data().iter().zip(fov.data()).filter(|p| *p.1).map(|p| *p.0).collect();
/// let mean = inside.iter().sum::<f32>() / inside.len() as f32;
/// assert!(mean.abs() < 1e-5);
/// assert_eq!((input.channels(), input.data()[0]), (1, 0.0));
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocess {
    /// The channels to take. Default: green.
    pub channel: Channel,
    /// The size to resize to. Default: none, the native size.
    pub resize: Option<Resize>,
    /// Window side in pixels of the [Wiener filter](wiener), odd, e.g. 5. Default: none.
    pub wiener: Option<usize>,
    /// [Contrast-limited histogram equalisation](Clahe) of the whole frame, rounded to 8 bits. Default: none.
    pub clahe: Option<Clahe>,
    /// Whether to shift and scale each channel to mean 0 and (population) standard deviation 1 over the pixels that are seen;
    /// otherwise values are levels / 255. Default: true. A channel that is constant there becomes all zero.
    /// [`Channel::NormalizedRgb`] has numbers of its own instead.
    pub standardize: bool,
    /// Whether the dark rim along the border of the field of view is left out, and how dark it is. From the border on, rings one pixel
    /// wide are not seen while their mean level is below this share, 0–1, of that between 2 % and 3 % of the diameter inside; where that
    /// would be more than 2 %, none is left out. The light fades there, and a mask drawn around it encloses a ring that looks like a
    /// vessel. Default: 0, all is seen.
    pub dark_rim: f32,
}

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            channel: Channel::Green,
            resize: None,
            wiener: None,
            clahe: None,
            standardize: true,
            dark_rim: 0.0,
        }
    }
}

/// Share of a new pixel's neighbourhood, weighted as bilinear shrinking does, that vessel must cover to mark the pixel.
const COVERED: f32 = 1.0 / 3.0;

impl Preprocess {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] that names the first setting out of range.
    pub fn validate(&self) -> Result<()> {
        self.channel.validate()?;
        self.resize.map_or(Ok(()), Resize::validate)?;
        if self.channel.count() > 1 && (self.wiener.is_some() || self.clahe.is_some()) {
            return Err(Error::InvalidConfig {
                field: match self.wiener {
                    Some(_) => "Preprocess::wiener",
                    None => "Preprocess::clahe",
                },
                found: format!("set beside the channel '{}'", self.channel.name()),
                expected: "unset for three channels, whose colours a filter of each would shift; or take the channel 'green' or 'gray'",
            });
        }
        if let Some(window) = self.wiener {
            check_window(window)?;
        }
        // NaN is not within.
        if !(0.0..=1.0).contains(&self.dark_rim) {
            return Err(Error::InvalidConfig {
                field: "Preprocess::dark_rim",
                found: self.dark_rim.to_string(),
                expected: "a share of the level further inside, between 0 and 1",
            });
        }
        self.clahe.map_or(Ok(()), |clahe| clahe.validate())
    }

    /// The same for a sample: at its own [`fov_diameter`](Sample::fov_diameter), if it has one.
    ///
    /// ```
    /// use venule_data::{Preprocess, Resize, Sample};
    /// let mut sample = Sample::unlabelled("01", image::RgbImage::new(8, 8));
    /// assert_eq!(Preprocess::default().for_sample(&sample).resize, None);
    /// sample.fov_diameter = Some(535);
    /// assert_eq!(Preprocess::default().for_sample(&sample).resize, Some(Resize::FovDiameter(535.0)));
    /// ```
    pub fn for_sample(&self, sample: &Sample) -> Cow<'_, Self> {
        match sample.fov_diameter {
            None => Cow::Borrowed(self),
            Some(diameter) => Cow::Owned(Self {
                resize: Some(Resize::FovDiameter(diameter as f32)),
                ..self.clone()
            }),
        }
    }

    /// (width, height) of the result for a photograph with this field of view (native size).
    pub fn output_size(&self, fov: &Mask) -> (usize, usize) {
        let native = fov.size();
        match self.resize {
            None => native,
            Some(Resize::Square(side)) => (side, side),
            Some(Resize::FovDiameter(diameter)) => {
                let scale = f64::from(diameter) / equivalent_diameter(fov).max(1.0);
                if (scale - 1.0).abs() <= DIAMETER_TOLERANCE {
                    return native;
                }
                let side = |side: usize| ((side as f64 * scale).round() as usize).max(1);
                (side(native.0), side(native.1))
            }
        }
    }

    /// A mask at the size of [`apply`](Self::apply)'s result, by nearest neighbour; `fov` is the native field of view.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for an empty mask or a side out of range.
    pub fn fit_mask(&self, mask: &Mask, fov: &Mask) -> Result<Mask> {
        resize_mask(mask, self.output_size(fov))
    }

    /// A label at the size of [`apply`](Self::apply)'s result; `fov` is the native field of view.
    ///
    /// As [`fit_mask`](Self::fit_mask), but where [`Resize::FovDiameter`] shrinks the photograph: a pixel is then marked if vessel
    /// covers more than a third of the neighbourhood that bilinear shrinking averages (a triangle two new pixels wide), so that
    /// vessels narrower than the new pixels stay connected.
    ///
    /// # Errors
    /// As [`fit_mask`](Self::fit_mask).
    pub fn fit_label(&self, label: &Mask, fov: &Mask) -> Result<Mask> {
        let size = self.output_size(fov);
        let shrinks = size.0 < label.width() && size.1 < label.height();
        match self.resize {
            Some(Resize::FovDiameter(_)) if shrinks => {
                let cover = resize_plane(&label.map(|&vessel| f32::from(u8::from(vessel))), size)?;
                Ok(cover.map(|&share| share > COVERED))
            }
            _ => resize_mask(label, size),
        }
    }

    /// The network's input for a photograph and its field of view (both native size), of [`Channel::count`] channels; 0 outside the
    /// field of view and in its [dark rim](Self::dark_rim).
    ///
    /// # Errors
    /// [`Error::SizeMismatch`] if the field of view has another size, [`Error::EmptyFieldOfView`] if it holds no
    /// pixel, [`Error::SmallFieldOfView`] if it would have to be enlarged more than 16 times or the photograph beyond 67 million
    /// pixels, [`Error::InvalidConfig`] for settings out of range.
    pub fn apply(&self, image: &RgbImage, fov: &Mask) -> Result<Planes> {
        Ok(self.apply_seen(image, fov)?.0)
    }

    /// As [`apply`](Self::apply), and beside the input the pixels that are seen, at its size: the field of view without its
    /// [dark rim](Self::dark_rim). What a network says elsewhere means nothing.
    ///
    /// ```
    /// use venule_data::{Mask, Preprocess};
    /// // Two pixels beside the border are dark.
    /// let level = |x| if x < 12 { 20 } else { 90 };
    /// let photo = image::RgbImage::from_fn(100, 80, |x, _| image::Rgb([90, level(x), 10]));
    /// let fov = Mask::from_fn(100, 80, |x, _| x >= 10);
    /// let preprocess = Preprocess { dark_rim: 0.7, ..Preprocess::default() };
    /// let (input, seen) = preprocess.apply_seen(&photo, &fov)?;
    /// assert_eq!(input.size(), (100, 80));
    /// assert_eq!(seen, Mask::from_fn(100, 80, |x, _| x >= 12));
    /// # Ok::<(), venule_data::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_seen(&self, image: &RgbImage, fov: &Mask) -> Result<(Planes, Mask)> {
        self.validate()?;
        let size = (image.width() as usize, image.height() as usize);
        fov.expect_size("the field of view", size)?;
        if fov.count() == 0 {
            return Err(no_field_of_view());
        }
        let target = self.output_size(fov);
        if let Some(Resize::FovDiameter(wanted)) = self.resize {
            let diameter = equivalent_diameter(fov);
            let pixels = target.0.saturating_mul(target.1);
            let enlarged = pixels > size.0 * size.1 && pixels > LARGEST_ENLARGED;
            if f64::from(wanted) > LARGEST_SCALE * diameter || enlarged {
                return Err(Error::SmallFieldOfView { diameter, wanted });
            }
        }
        let mut planes = self.channel.extract(image);
        if target != size {
            for plane in &mut planes {
                *plane = resize_plane(plane, target)?;
            }
        }
        let mut seen = match target == size {
            true => fov.clone(),
            false => resize_mask(fov, target)?,
        };
        if self.dark_rim > 0.0 {
            seen = without_dark_rim(seen, &planes, self.dark_rim);
        }
        for (place, plane) in planes.iter_mut().enumerate() {
            if let Some(window) = self.wiener {
                *plane = wiener(plane, window)?;
            }
            if let Some(clahe) = self.clahe {
                *plane = equalize(plane, &clahe)?;
            }
            let (shift, scale) = self.shift_and_scale(place, plane, &seen)?;
            for (value, &inside) in plane.data_mut().iter_mut().zip(seen.data()) {
                *value = match inside {
                    true => ((f64::from(*value) - shift) * scale) as f32,
                    false => 0.0,
                };
            }
        }
        Ok((Planes::new(planes)?, seen))
    }

    /// What is taken from each value of the channel at this place, and what the rest is multiplied by.
    fn shift_and_scale(&self, place: usize, plane: &Plane, fov: &Mask) -> Result<(f64, f64)> {
        if let Channel::NormalizedRgb { mean, deviation } = self.channel {
            let level = |number: [f32; 3]| 255.0 * f64::from(number[place]);
            return Ok((level(mean), 1.0 / level(deviation)));
        }
        let (mean, deviation) = moments(plane, fov).ok_or_else(no_field_of_view)?;
        Ok(match self.standardize {
            true if deviation > MIN_DEVIATION => (mean, 1.0 / deviation),
            true => (mean, 0.0),
            false => (0.0, 1.0 / 255.0),
        })
    }
}

fn no_field_of_view() -> Error {
    Error::EmptyFieldOfView {
        id: "the image".to_owned(),
    }
}

/// Gray levels below which an image counts as constant: rounding noise must not be blown up to variance 1.
const MIN_DEVIATION: f64 = 1e-4;

/// CLAHE of a plane of gray levels, rounded to 8 bits first.
pub(crate) fn equalize(plane: &Plane, clahe: &Clahe) -> Result<Plane> {
    let levels = plane.map(|v| v.clamp(0.0, 255.0).round_ties_even() as u8);
    Ok(clahe.apply(&levels)?.map(|&v| f32::from(v)))
}

/// Mean and population standard deviation inside a mask; `None` if it is empty.
pub(crate) fn moments(plane: &Plane, mask: &Mask) -> Option<(f64, f64)> {
    let inside = || {
        let pixels = plane.data().iter().zip(mask.data());
        pixels.filter(|p| *p.1).map(|p| f64::from(*p.0))
    };
    let count = mask.count();
    if count == 0 {
        return None;
    }
    let mean = inside().sum::<f64>() / count as f64;
    let variance = inside().map(|v| (v - mean) * (v - mean)).sum::<f64>() / count as f64;
    Some((mean, variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn standardised_values_are_the_arithmetic() {
        // green 10, 20, 30 inside: mean 20, population variance 200/3
        let image = RgbImage::from_fn(4, 1, |x, _| Rgb([0, 10 * (x as u8 + 1), 0]));
        let fov = Mask::new(4, 1, vec![true, true, true, false]).unwrap();
        let plane = Preprocess::default().apply(&image, &fov).unwrap();
        let z = 10.0 / (200.0f32 / 3.0).sqrt();
        for (found, expected) in plane.data().iter().zip([-z, 0.0, z, 0.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        let raw = Preprocess {
            standardize: false,
            ..Preprocess::default()
        };
        let plane = raw.apply(&image, &fov).unwrap();
        assert_eq!(plane.data()[2], (30.0f64 / 255.0) as f32);
        assert_eq!(plane.data()[3], 0.0);
    }

    #[test]
    fn rgb_is_the_arithmetic_of_each_channel() {
        let image = RgbImage::from_fn(4, 1, |x, _| Rgb([10 * (x as u8 + 1), 7, 255 - x as u8]));
        let fov = Mask::new(4, 1, vec![true, true, true, false]).unwrap();
        let apply = |channel, standardize| {
            let preprocess = Preprocess {
                channel,
                standardize,
                ..Preprocess::default()
            };
            preprocess.apply(&image, &fov).unwrap()
        };
        let close = |found: &[f32], expected: [f64; 4]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (f64::from(*found) - expected).abs() < 1e-6,
                    "{found} {expected}"
                );
            }
        };
        // red 10, 20, 30: as green in the test above; green is constant; blue falls by 1, of variance 2/3
        let own = apply(Channel::Rgb, true);
        let (red, blue) = (10.0 / (200.0f64 / 3.0).sqrt(), 1.0 / (2.0f64 / 3.0).sqrt());
        assert_eq!((own.channels(), own.size()), (3, (4, 1)));
        close(own.channel(0), [-red, 0.0, red, 0.0]);
        close(own.channel(1), [0.0; 4]);
        close(own.channel(2), [blue, 0.0, -blue, 0.0]);
        let raw = apply(Channel::Rgb, false);
        close(raw.channel(2), [1.0, 254.0 / 255.0, 253.0 / 255.0, 0.0]);
        // (x / 255 - mean) / deviation with the numbers of ImageNet, whatever `standardize` says
        let channel = Channel::NormalizedRgb {
            mean: [0.485, 0.456, 0.406],
            deviation: [0.229, 0.224, 0.225],
        };
        let imagenet = apply(channel, true);
        assert_eq!(imagenet, apply(channel, false));
        let normalized = |x: f64, mean: f64, deviation: f64| (x / 255.0 - mean) / deviation;
        let red = [10.0, 20.0, 30.0].map(|x| normalized(x, 0.485, 0.229));
        close(imagenet.channel(0), [red[0], red[1], red[2], 0.0]);
        let green = normalized(7.0, 0.456, 0.224);
        close(imagenet.channel(1), [green, green, green, 0.0]);
        let blue = [255.0, 254.0, 253.0].map(|x| normalized(x, 0.406, 0.225));
        close(imagenet.channel(2), [blue[0], blue[1], blue[2], 0.0]);
    }

    #[test]
    fn each_colour_is_resized_as_it_would_be_alone() {
        let image = RgbImage::from_fn(40, 30, |x, y| {
            Rgb([(3 * x) as u8, (x * y % 251) as u8, (5 * y) as u8])
        });
        let fov = Mask::from_fn(40, 30, |x, _| x > 3);
        let apply = |channel, image: &RgbImage| {
            let preprocess = Preprocess {
                channel,
                resize: Some(Resize::Square(17)),
                ..Preprocess::default()
            };
            preprocess.apply(image, &fov).unwrap()
        };
        let all = apply(Channel::Rgb, &image);
        for channel in 0..3 {
            let alone =
                RgbImage::from_fn(40, 30, |x, y| Rgb([0, image.get_pixel(x, y).0[channel], 0]));
            let alone = apply(Channel::Green, &alone);
            assert_eq!(all.channel(channel), alone.data(), "channel {channel}");
        }
    }

    #[test]
    fn a_constant_image_becomes_zero_with_every_option() {
        let image = RgbImage::from_pixel(20, 20, Rgb([9, 77, 3]));
        let fov = Mask::from_fn(20, 20, |x, _| (5..15).contains(&x));
        for channel in [Channel::Gray, Channel::Green] {
            for resize in [
                None,
                Some(Resize::Square(13)),
                Some(Resize::FovDiameter(20.0)),
            ] {
                let preprocess = Preprocess {
                    channel,
                    resize,
                    clahe: Some(Clahe::default()),
                    ..Preprocess::default()
                };
                let plane = preprocess.apply(&image, &fov).unwrap();
                assert!(plane.data().iter().all(|&v| v == 0.0), "{preprocess:?}");
            }
        }
    }

    #[test]
    fn a_field_of_view_is_brought_to_its_diameter() {
        // a disc of diameter 40 in 60 x 50 pixels, to diameter 20: half of each side
        let disc = Mask::from_fn(60, 50, |x, y| {
            (x as f64 - 29.5).hypot(y as f64 - 24.5) < 20.0
        });
        let to = |diameter| Preprocess {
            resize: Some(Resize::FovDiameter(diameter)),
            ..Preprocess::default()
        };
        assert_eq!(to(20.0).output_size(&disc), (30, 25));
        let small = to(20.0).fit_mask(&disc, &disc).unwrap();
        assert!((equivalent_diameter(&small) - 20.0).abs() < 0.5);
        // within five per cent it stays
        assert_eq!(to(41.5).output_size(&disc), (60, 50));
        assert_eq!(to(42.5).output_size(&disc), (64, 53));
        for diameter in [0.0, f32::NAN, 1e9] {
            assert!(matches!(
                to(diameter).validate(),
                Err(Error::InvalidConfig {
                    field: "Resize::FovDiameter",
                    ..
                })
            ));
        }
    }

    #[test]
    fn a_tiny_field_of_view_is_not_blown_up() {
        let preprocess = Preprocess {
            resize: Some(Resize::FovDiameter(535.0)),
            ..Preprocess::default()
        };
        let image = RgbImage::from_fn(50, 50, |x, y| Rgb([0, (x * y % 90) as u8, 0]));
        let square = |side: usize| Mask::from_fn(50, 50, |x, y| x < side && y < side);
        let error = preprocess.apply(&image, &square(3)).unwrap_err();
        assert!(matches!(error, Error::SmallFieldOfView { .. }), "{error}");
        let nothing = preprocess.apply(&image, &square(0)).unwrap_err();
        assert!(
            matches!(nothing, Error::EmptyFieldOfView { .. }),
            "{nothing}"
        );
        // 2 √(60² / π) = 67.7 pixels across, enlarged 7.9 times: 98 million pixels
        let large = RgbImage::new(1250, 1250);
        let small = Mask::from_fn(1250, 1250, |x, y| x < 60 && y < 60);
        let error = preprocess.apply(&large, &small).unwrap_err();
        assert!(matches!(error, Error::SmallFieldOfView { .. }), "{error}");
        // 2 √(30² / π) = 33.9 pixels across: enlarged 15.8 times
        let plane = preprocess.apply(&image, &square(30)).unwrap();
        assert_eq!(plane.size(), (790, 790));
    }

    #[test]
    fn a_thin_vessel_stays_connected_when_a_photograph_shrinks() {
        // a slanted line 3 pixels wide, brought to a fifth: narrower than a pixel
        let fov = Mask::filled(200, 200, true);
        let line = Mask::from_fn(200, 200, |x, y| (x + y / 3) / 3 == 30);
        let preprocess = Preprocess {
            resize: Some(Resize::FovDiameter(
                (equivalent_diameter(&fov) / 5.0) as f32,
            )),
            ..Preprocess::default()
        };
        let small = preprocess.fit_label(&line, &fov).unwrap();
        assert_eq!(small.size(), (40, 40));
        let marked = |y: usize| (0..40).filter(|&x| *small.get(x, y).unwrap()).collect();
        let rows: Vec<Vec<usize>> = (0..40).map(marked).collect();
        for pair in rows.windows(2) {
            let touches = |a: usize| pair[1].iter().any(|&b| a.abs_diff(b) <= 1);
            assert!(pair[0].iter().any(|&a| touches(a)), "{pair:?}");
        }
        let nearest = resize_mask(&line, (40, 40)).unwrap();
        let gaps = (0..40).filter(|&y| !nearest.row(y).contains(&true));
        assert!(gaps.count() > 0);
    }

    #[test]
    fn wrong_input_is_an_error() {
        let image = RgbImage::new(4, 4);
        let preprocess = Preprocess::default();
        let empty = preprocess.apply(&image, &Mask::filled(4, 4, false));
        assert!(matches!(empty, Err(Error::EmptyFieldOfView { .. })));
        let other = preprocess.apply(&image, &Mask::filled(4, 5, true));
        assert!(matches!(other, Err(Error::SizeMismatch { .. })));
        let coloured = |channel| Preprocess {
            channel,
            ..Preprocess::default()
        };
        let normalized = |mean, deviation| {
            coloured(Channel::NormalizedRgb {
                mean: [0.5, 0.5, mean],
                deviation: [0.2, deviation, 0.2],
            })
        };
        normalized(0.5, 0.2).validate().unwrap();
        for wrong in [
            normalized(124.0, 0.2),
            normalized(f32::NAN, 0.2),
            normalized(0.5, 0.0),
            normalized(0.5, 58.0),
            Preprocess {
                wiener: Some(5),
                ..coloured(Channel::Rgb)
            },
            Preprocess {
                clahe: Some(Clahe::default()),
                ..coloured(Channel::Rgb)
            },
            Preprocess {
                wiener: Some(4),
                ..Preprocess::default()
            },
            Preprocess {
                dark_rim: 1.5,
                ..Preprocess::default()
            },
            Preprocess {
                resize: Some(Resize::Square(0)),
                ..Preprocess::default()
            },
            Preprocess {
                resize: Some(Resize::Square(usize::MAX)),
                ..Preprocess::default()
            },
        ] {
            let result = wrong.apply(&image, &Mask::filled(4, 4, true));
            assert!(
                matches!(result, Err(Error::InvalidConfig { .. })),
                "{wrong:?}"
            );
        }
        let none = preprocess.apply(&RgbImage::new(0, 0), &Mask::filled(0, 0, true));
        assert!(none.is_err());
    }

    #[test]
    fn settings_survive_json_and_unknown_ones_are_refused() {
        let all = Preprocess {
            channel: Channel::Gray,
            resize: Some(Resize::Square(512)),
            wiener: Some(5),
            clahe: Some(Clahe::default()),
            standardize: false,
            dark_rim: 0.7,
        };
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Preprocess>(&text).unwrap(), all);
        assert_eq!(
            serde_json::from_str::<Preprocess>("{}").unwrap(),
            Preprocess::default()
        );
        assert!(serde_json::from_str::<Preprocess>(r#"{"chanel":"gray"}"#).is_err());
        let numbers = r#"{"normalized_rgb":{"mean":[0.5,0.25,0.5],"deviation":[0.25,0.5,0.25]}}"#;
        let channel: Channel = serde_json::from_str(numbers).unwrap();
        let expected = Channel::NormalizedRgb {
            mean: [0.5, 0.25, 0.5],
            deviation: [0.25, 0.5, 0.25],
        };
        assert_eq!(channel, expected);
        assert_eq!(serde_json::to_string(&channel).unwrap(), numbers);
        assert!(serde_json::from_str::<Channel>(&numbers.replace("mean", "means")).is_err());
        assert_eq!(
            serde_json::from_str::<Channel>("\"rgb\"").unwrap(),
            Channel::Rgb
        );
    }
}
