use std::collections::HashMap;
use std::sync::Arc;

use crate::{Checksum, Error, Result, Sample};

/// An ordered, indexable collection of samples; pixels are read on [`load`](Dataset::load), not before.
///
/// Implementations are shared between loader threads, so `load` takes `&self`.
///
/// ```
/// use venule_data::{Dataset, Error, Result, Sample};
/// struct Black(Vec<String>);
/// impl Dataset for Black {
///     fn len(&self) -> usize {
///         self.0.len()
///     }
///     fn id(&self, index: usize) -> &str {
///         self.0.get(index).map_or("", |id| id)
///     }
///     fn load(&self, index: usize) -> Result<Sample> {
///         let id = self.0.get(index).ok_or(Error::IndexOutOfRange { index, len: self.len() })?;
///         Ok(Sample::unlabelled(id, image::RgbImage::new(8, 8)))
///     }
/// }
/// let set = Black(vec!["a".into(), "b".into()]);
/// assert_eq!((set.len(), set.id(1)), (2, "b"));
/// assert!(set.load(2).is_err());
/// # Ok::<(), Error>(())
/// ```
pub trait Dataset: Send + Sync {
    /// Number of samples.
    fn len(&self) -> usize;

    /// The name of sample `index`; empty if there is no such sample.
    fn id(&self, index: usize) -> &str;

    /// Reads sample `index`.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] if there is no such sample; otherwise whatever reading its files gives.
    fn load(&self, index: usize) -> Result<Sample>;

    /// What draws sample `index` anew for every epoch, in words for records; `None`, the default, for a photograph that stays.
    ///
    /// A drawn sample is no image that weights could be tested on by mistake, so records name what draws it instead.
    fn drawn(&self, _index: usize) -> Option<&str> {
        None
    }

    /// Sample `index` of an epoch: what [`load`](Self::load) gives, but for samples that are [`drawn`](Self::drawn), of which every
    /// epoch has its own. The same `epoch` and `index` must give the same sample.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    fn load_in(&self, _epoch: u64, index: usize) -> Result<Sample> {
        self.load(index)
    }

    /// What tells photograph `index` from others, whatever it is called: weights name by it what they were trained on.
    ///
    /// A set of files gives the checksum of the file as it is stored, so that a renamed copy is recognised. This default gives
    /// that of the pixels, for which it loads the sample. The two never agree: compare sets of one kind.
    ///
    /// # Errors
    /// [`Error::IndexOutOfRange`] if there is no such sample; otherwise whatever reading its photograph gives.
    fn checksum(&self, index: usize) -> Result<Checksum> {
        Ok(Checksum::of_pixels(&self.load(index)?.image))
    }

    /// Checks that no two samples have one id: results, records and messages name samples by it.
    ///
    /// # Errors
    /// [`Error::DuplicateId`], with the id and both places.
    fn check_ids(&self) -> Result<()> {
        let mut seen = HashMap::new();
        for index in 0..self.len() {
            let id = self.id(index);
            if let Some(first) = seen.insert(id, index) {
                return Err(Error::DuplicateId {
                    id: id.to_owned(),
                    first,
                    second: index,
                });
            }
        }
        Ok(())
    }

    /// Whether there is no sample at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

macro_rules! forward_dataset {
    ($($pointer:ty),*) => {$(
        impl<D: Dataset + ?Sized> Dataset for $pointer {
            fn len(&self) -> usize {
                (**self).len()
            }
            fn id(&self, index: usize) -> &str {
                (**self).id(index)
            }
            fn load(&self, index: usize) -> Result<Sample> {
                (**self).load(index)
            }
            fn drawn(&self, index: usize) -> Option<&str> {
                (**self).drawn(index)
            }
            fn load_in(&self, epoch: u64, index: usize) -> Result<Sample> {
                (**self).load_in(epoch, index)
            }
            fn checksum(&self, index: usize) -> Result<Checksum> {
                (**self).checksum(index)
            }
        }
    )*};
}
forward_dataset!(&D, Box<D>, Arc<D>);

/// Samples held in memory: for tests, for small sets read once, for images made by the caller.
///
/// Their checksums are of their pixels, even of samples [read](Self::read) from files.
#[derive(Clone, Debug)]
pub struct InMemory {
    samples: Vec<Sample>,
}

impl InMemory {
    /// Wraps samples the caller has.
    pub fn new(samples: Vec<Sample>) -> Self {
        Self { samples }
    }

    /// Reads a whole data set once.
    ///
    /// # Errors
    /// The first error of [`Dataset::load`].
    pub fn read(set: &dyn Dataset) -> Result<Self> {
        let samples = (0..set.len()).map(|index| set.load(index));
        Ok(Self::new(samples.collect::<Result<_>>()?))
    }

    /// The samples.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Dataset for InMemory {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn id(&self, index: usize) -> &str {
        self.samples.get(index).map_or("", |sample| &sample.id)
    }

    fn load(&self, index: usize) -> Result<Sample> {
        self.samples
            .get(index)
            .cloned()
            .ok_or(Error::IndexOutOfRange {
                index,
                len: self.len(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[&str]) -> InMemory {
        let sample = |(at, id): (usize, &&str)| {
            Sample::unlabelled(
                *id,
                image::RgbImage::from_pixel(2, 2, image::Rgb([at as u8; 3])),
            )
        };
        InMemory::new(ids.iter().enumerate().map(sample).collect())
    }

    #[test]
    fn an_id_that_comes_twice_is_named_with_both_places() {
        set(&["a", "b", "c"]).check_ids().unwrap();
        let error = set(&["a", "b", "c", "b"]).check_ids().unwrap_err();
        let expected =
            matches!(&error, Error::DuplicateId { id, first: 1, second: 3 } if id == "b");
        assert!(expected, "{error}");
    }

    #[test]
    fn checksums_are_of_pixels_and_pass_through_pointers() {
        let (one, other) = (set(&["a", "b"]), set(&["renamed"]));
        let boxed: Box<dyn Dataset> = Box::new(other);
        assert_eq!(one.checksum(0).unwrap(), boxed.checksum(0).unwrap());
        assert_ne!(one.checksum(0).unwrap(), one.checksum(1).unwrap());
        assert!(one.checksum(2).is_err());
    }
}
