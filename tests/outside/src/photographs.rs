use venule::data::{Dataset, Error, Mask, Result, Sample};
use venule::image::{Rgb, RgbImage};

/// Photographs of 96×96 pixels with dark lines, drawn when they are asked for.
pub struct Discs {
    pub first: usize,
    pub count: usize,
}

const SIDE: u32 = 96;
const IDS: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

impl Dataset for Discs {
    fn len(&self) -> usize {
        self.count
    }

    fn id(&self, index: usize) -> &str {
        IDS.get(self.first + index).copied().unwrap_or("")
    }

    fn load(&self, index: usize) -> Result<Sample> {
        if index >= self.count {
            return Err(Error::IndexOutOfRange { index, len: self.count });
        }
        let shift = 5 * (self.first + index) as u32;
        let is_vessel = |x: u32, y: u32| (x + y / 2 + shift) % 24 < 3;
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let ground = 150 + ((x * 7 + y * 3 + shift) % 11) as u8;
            let green = if is_vessel(x, y) { ground - 70 } else { ground };
            Rgb([200, green, 60])
        });
        let label = (0..SIDE * SIDE).map(|at| is_vessel(at % SIDE, at / SIDE)).collect();
        let mut sample = Sample::unlabelled(self.id(index), image);
        sample.label = Some(Mask::new(SIDE as usize, SIDE as usize, label)?);
        Ok(sample)
    }
}
