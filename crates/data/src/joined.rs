use crate::{Checksum, Dataset, Error, Result, Sample};

/// Data sets one behind the other, as one.
///
/// ```
/// use venule_data::{Dataset, InMemory, JoinedSet, Sample};
/// let set = |id: &str| InMemory::new(vec![Sample::unlabelled(id, image::RgbImage::new(8, 8))]);
/// let both = JoinedSet::new(vec![Box::new(set("a")), Box::new(set("b"))]);
/// assert_eq!((both.len(), both.id(1)), (2, "b"));
/// assert_eq!(both.load(1)?.id, "b");
/// assert!(both.load(2).is_err());
/// # Ok::<(), venule_data::Error>(())
/// ```
pub struct JoinedSet {
    sets: Vec<Box<dyn Dataset>>,
}

impl JoinedSet {
    /// Joins data sets. That no two samples have one id is for [`Dataset::check_ids`] to tell.
    pub fn new(sets: Vec<Box<dyn Dataset>>) -> Self {
        Self { sets }
    }

    /// The set that holds sample `index`, and its place there.
    fn place(&self, index: usize) -> Option<(&dyn Dataset, usize)> {
        let mut left = index;
        for set in &self.sets {
            match left.checked_sub(set.len()) {
                Some(beyond) => left = beyond,
                None => return Some((&**set, left)),
            }
        }
        None
    }

    fn found(&self, index: usize) -> Result<(&dyn Dataset, usize)> {
        self.place(index).ok_or(Error::IndexOutOfRange {
            index,
            len: self.len(),
        })
    }
}

impl Dataset for JoinedSet {
    fn len(&self) -> usize {
        self.sets.iter().map(|set| set.len()).sum()
    }

    fn id(&self, index: usize) -> &str {
        self.place(index).map_or("", |(set, at)| set.id(at))
    }

    fn load(&self, index: usize) -> Result<Sample> {
        let (set, at) = self.found(index)?;
        set.load(at)
    }

    fn drawn(&self, index: usize) -> Option<&str> {
        let (set, at) = self.place(index)?;
        set.drawn(at)
    }

    fn load_in(&self, epoch: u64, index: usize) -> Result<Sample> {
        let (set, at) = self.found(index)?;
        set.load_in(epoch, at)
    }

    fn checksum(&self, index: usize) -> Result<Checksum> {
        let (set, at) = self.found(index)?;
        set.checksum(at)
    }
}
