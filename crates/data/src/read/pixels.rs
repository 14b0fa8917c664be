use image::DynamicImage;

use super::LabelValue;

/// The pixels of a map as they are stored: red, green, blue and alpha, up to [`Pixels::most`].
///
/// Alpha is 0 or `most`: pixels less than half opaque are transparent where others are not, and all are opaque where none is.
pub(super) struct Pixels<'a> {
    samples: Samples<'a>,
    channels: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    /// The greatest sample there can be.
    pub(super) most: u16,
    mixed: bool,
}

enum Samples<'a> {
    Eight(&'a [u8]),
    Sixteen(&'a [u16]),
}

impl<'a> Pixels<'a> {
    /// `None` for samples that are neither 8 nor 16 bits wide.
    pub(super) fn of(image: &'a DynamicImage) -> Option<Self> {
        use DynamicImage as Image;
        let samples = match image {
            Image::ImageLuma8(image) => Samples::Eight(image.as_raw()),
            Image::ImageLumaA8(image) => Samples::Eight(image.as_raw()),
            Image::ImageRgb8(image) => Samples::Eight(image.as_raw()),
            Image::ImageRgba8(image) => Samples::Eight(image.as_raw()),
            Image::ImageLuma16(image) => Samples::Sixteen(image.as_raw()),
            Image::ImageLumaA16(image) => Samples::Sixteen(image.as_raw()),
            Image::ImageRgb16(image) => Samples::Sixteen(image.as_raw()),
            Image::ImageRgba16(image) => Samples::Sixteen(image.as_raw()),
            _ => return None,
        };
        let mut pixels = Self {
            most: match samples {
                Samples::Eight(_) => u16::from(u8::MAX),
                Samples::Sixteen(_) => u16::MAX,
            },
            samples,
            channels: usize::from(image.color().channel_count()),
            width: image.width() as usize,
            height: image.height() as usize,
            mixed: false,
        };
        if image.color().has_alpha() {
            let half = pixels.most / 2;
            let mut opaque = (0..pixels.len()).map(|index| pixels.raw(index)[3] > half);
            let first = opaque.next();
            pixels.mixed = first.is_some_and(|first| opaque.any(|other| other != first));
        }
        Some(pixels)
    }

    pub(super) fn len(&self) -> usize {
        self.width * self.height
    }

    #[inline]
    fn raw(&self, index: usize) -> [u16; 4] {
        let at = index * self.channels;
        let sample = |channel: usize| match self.samples {
            Samples::Eight(samples) => u16::from(samples[at + channel]),
            Samples::Sixteen(samples) => samples[at + channel],
        };
        match self.channels {
            1 => [sample(0), sample(0), sample(0), self.most],
            2 => [sample(0), sample(0), sample(0), sample(1)],
            3 => [sample(0), sample(1), sample(2), self.most],
            _ => [sample(0), sample(1), sample(2), sample(3)],
        }
    }

    /// The pixel at `index`; a transparent one is all zeros.
    #[inline]
    pub(super) fn at(&self, index: usize) -> [u16; 4] {
        let [r, g, b, alpha] = self.raw(index);
        match self.mixed && alpha <= self.most / 2 {
            true => [0; 4],
            false => [r, g, b, self.most],
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = [u16; 4]> {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Whether some pixel is bright where it is transparent.
    pub(super) fn hides_brightness(&self) -> bool {
        let hidden = |index: usize| {
            let [r, g, b, alpha] = self.raw(index);
            alpha <= self.most / 2 && r.max(g).max(b) > self.most / 2
        };
        self.mixed && (0..self.len()).any(hidden)
    }

    /// Whether all three channels exceed half of white, and it shows.
    pub(super) fn is_bright(&self, [r, g, b, alpha]: [u16; 4]) -> bool {
        alpha > 0 && r.min(g).min(b) > self.most / 2
    }

    /// The distinct values with their numbers of pixels, from the darkest on; `None` if there are more than [`FEW`].
    pub(super) fn values(&self) -> Option<Vec<([u16; 4], usize)>> {
        let mut values: Vec<([u16; 4], usize)> = Vec::with_capacity(FEW);
        let mut last = 0;
        for pixel in self.iter() {
            // Neighbours are mostly alike.
            if values.get(last).is_some_and(|(value, _)| *value == pixel) {
                values[last].1 += 1;
                continue;
            }
            match values.iter().position(|(value, _)| *value == pixel) {
                Some(index) => {
                    values[index].1 += 1;
                    last = index;
                }
                None if values.len() == FEW => return None,
                None => {
                    last = values.len();
                    values.push((pixel, 1));
                }
            }
        }
        values.sort_by_key(|(value, _)| (light(*value), *value));
        Some(values)
    }

    /// What it holds in words: each value, or the commonest of many, rounded to sixteenths, with its number of pixels.
    pub(super) fn described(&self) -> String {
        let exact = self.values();
        let about = if exact.is_some() { "" } else { "about " };
        let mut values = exact.unwrap_or_else(|| self.rounded());
        values.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let words = |&(value, count): &([u16; 4], usize)| {
            let plural = if count == 1 { "pixel" } else { "pixels" };
            format!("{about}{}: {count} {plural}", LabelValue::of(value))
        };
        values
            .iter()
            .take(6)
            .map(words)
            .collect::<Vec<_>>()
            .join("; ")
    }

    fn rounded(&self) -> Vec<([u16; 4], usize)> {
        let step = u32::from(self.most) / 15;
        let mut counts = vec![0usize; 1 << 13];
        for [r, g, b, alpha] in self.iter() {
            let level = |value: u16| ((u32::from(value) + step / 2) / step) as usize;
            let index = level(r) << 8 | level(g) << 4 | level(b) | usize::from(alpha == 0) << 12;
            counts[index] += 1;
        }
        let value = |index: usize| {
            let level = |shift: usize| ((index >> shift & 15) as u32 * step) as u16;
            let alpha = if index >> 12 == 0 { self.most } else { 0 };
            [level(8), level(4), level(0), alpha]
        };
        let counts = counts.into_iter().enumerate();
        let some = counts.filter(|(_, count)| *count > 0);
        some.map(|(index, count)| (value(index), count)).collect()
    }
}

/// Most distinct values that are told apart one by one.
pub(super) const FEW: usize = 8;

/// How light a value is: green counts most, as to the eye (Rec. 601, in thousandths).
pub(super) fn light([r, g, b, _]: [u16; 4]) -> u32 {
    (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000
}

/// By how much the channels differ.
pub(super) fn chroma([r, g, b, _]: [u16; 4]) -> u16 {
    r.max(g).max(b) - r.min(g).min(b)
}
