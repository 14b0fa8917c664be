use venule_data::{Dataset, Error, Result, Sample};

use crate::photograph::synthetic_id;
use crate::{SyntheticRange, synthetic_fundus};

/// Most photographs of an epoch: their ids are in memory.
const MOST: usize = 1 << 20;

/// An endless set of synthetic photographs, each of its own camera and eye: every epoch of a training has new ones.
///
/// Photograph `index` of an epoch depends on the range, the seed and its number `epoch · len + index` alone: neither on how many
/// threads draw nor on what was drawn before. No file is written.
///
/// ```
/// use venule_data::Dataset;
/// use venule_synthetic::{SyntheticRange, SyntheticStream};
/// let stream = SyntheticStream::new(SyntheticRange::any_camera(), 7, 2)?;
/// let (first, second) = (stream.load_in(0, 1)?, stream.load_in(1, 1)?);
/// assert_ne!(first.image, second.image);
/// assert_eq!(first, stream.load(1)?);
/// assert!(first.label.unwrap().count() > 0);
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SyntheticStream {
    range: SyntheticRange,
    seed: u64,
    said: String,
    ids: Vec<String>,
}

impl SyntheticStream {
    /// Photographs of `range`, `per_epoch` new ones for each epoch, keyed by `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the range is out of bounds, or `per_epoch` is 0 or above 2²⁰.
    pub fn new(range: SyntheticRange, seed: u64, per_epoch: usize) -> Result<Self> {
        range.validate()?;
        if !(1..=MOST).contains(&per_epoch) {
            return Err(Error::InvalidConfig {
                field: "the number of synthetic photographs in an epoch",
                found: per_epoch.to_string(),
                expected: "between 1 and 2^20",
            });
        }
        Ok(Self {
            said: format!("synthetic photographs ({}), seed {seed}", range.name()),
            ids: (0..per_epoch).map(|at| synthetic_id(seed, at)).collect(),
            range,
            seed,
        })
    }
}

impl Dataset for SyntheticStream {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.load_in(0, index)
    }

    fn drawn(&self, index: usize) -> Option<&str> {
        (index < self.ids.len()).then_some(&self.said)
    }

    fn load_in(&self, epoch: u64, index: usize) -> Result<Sample> {
        if index >= self.ids.len() {
            return Err(Error::IndexOutOfRange {
                index,
                len: self.ids.len(),
            });
        }
        let number = (epoch as usize)
            .wrapping_mul(self.ids.len())
            .wrapping_add(index);
        let look = self.range.draw(self.seed, number)?;
        synthetic_fundus(&look, self.seed, number)
    }
}
