use venule_data::{Dataset, Error, Result, Sample};

use crate::photograph::synthetic_id;
use crate::{SyntheticFundus, synthetic_fundus};

/// Most photographs of a set: their ids are in memory.
const MOST: usize = 1 << 26;

/// A data set of synthetic photographs, made when they are asked for.
///
/// ```
/// use venule_data::Dataset;
/// use venule_synthetic::{SyntheticFundus, SyntheticSet};
/// let set = SyntheticSet::new(SyntheticFundus::square(96), 42, 3)?;
/// assert_eq!((set.len(), set.id(2)), (3, "synthetic_42_0002"));
/// let sample = set.load(2)?;
/// assert!(sample.label.is_some() && sample.fov.is_some());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SyntheticSet {
    config: SyntheticFundus,
    seed: u64,
    ids: Vec<String>,
}

impl SyntheticSet {
    /// The first `count` photographs of `seed`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the configuration is out of range, or `count` above 2²⁶.
    pub fn new(config: SyntheticFundus, seed: u64, count: usize) -> Result<Self> {
        config.validate()?;
        if count > MOST {
            return Err(Error::InvalidConfig {
                field: "the number of synthetic photographs",
                found: count.to_string(),
                expected: "at most 2^26",
            });
        }
        let ids = (0..count).map(|index| synthetic_id(seed, index)).collect();
        Ok(Self { config, seed, ids })
    }
}

impl Dataset for SyntheticSet {
    fn len(&self) -> usize {
        self.ids.len()
    }

    fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        if index >= self.ids.len() {
            return Err(Error::IndexOutOfRange {
                index,
                len: self.ids.len(),
            });
        }
        synthetic_fundus(&self.config, self.seed, index)
    }
}
