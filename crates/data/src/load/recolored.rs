use std::sync::Arc;

use crate::kept::Kept;
use crate::prepare::check_size;
use crate::{
    ColorJitter, Dataset, FovPolicy, Prepared, Preprocess, Result, Sample, Source, Transform,
};

/// Random views of photographs whose colours change before channels are taken: what
/// [`AugmentedSet`](crate::AugmentedSet) is, with a [`ColorJitter`] before preparation.
///
/// Since every view has colours of its own, a photograph is prepared anew for each of them; what is kept, up to a limit of
/// bytes, are the decoded photographs with their fields of view. The view is cut as `AugmentedSet` would cut it, and
/// without any jitter it is the same to the bit.
///
/// ```
/// use venule_data::{Augment, AugmentedSet, ColorJitter, FovPolicy, InMemory, Jitter, PreparedSet, Preprocess};
/// use venule_data::{RecoloredSet, Sample, Source};
/// let photo = image::RgbImage::from_fn(32, 32, |x, y| image::Rgb([180, (90 + x) as u8, (3 * y) as u8]));
/// let set = || InMemory::new(vec![Sample::unlabelled("a", photo.clone())]);
/// let (fov, crop) = (FovPolicy::FullFrame, (16, 16));
/// let prepared = PreparedSet::new(set(), Preprocess::default(), fov);
/// let plain = AugmentedSet::new(prepared.into(), Augment::none(), crop, 7)?.example(0, 0, 0)?;
///
/// let hue = ColorJitter { hue: Jitter::always(-30.0, 30.0), ..ColorJitter::none() };
/// let views = |color| RecoloredSet::new(set(), Preprocess::default(), fov, color, Augment::none(), crop, 7);
/// assert_eq!(views(ColorJitter::none())?.example(0, 0, 0)?, plain);
/// assert_ne!(views(hue)?.example(0, 0, 0)?, plain);
/// # Ok::<(), venule_data::Error>(())
/// ```
pub struct RecoloredSet<D, T> {
    dataset: D,
    preprocess: Preprocess,
    fov: FovPolicy,
    color: ColorJitter,
    transform: T,
    crop: (usize, usize),
    seed: u64,
    kept: Kept<Sample>,
}

impl<D: Dataset, T: Transform> RecoloredSet<D, T> {
    /// Views of `crop` = (width, height) pixels of a data set's photographs: recoloured by `color`, prepared by `preprocess`
    /// and `fov`, cut by `transform`, both keyed by `seed`. Keeps up to 512 MiB of photographs.
    ///
    /// The field of view is found in the photograph as it is.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) for an empty or huge crop or a jitter out of range.
    pub fn new(
        dataset: D,
        preprocess: Preprocess,
        fov: FovPolicy,
        color: ColorJitter,
        transform: T,
        crop: (usize, usize),
        seed: u64,
    ) -> Result<Self> {
        check_size("the crop", crop)?;
        color.validate()?;
        Ok(Self {
            dataset,
            preprocess,
            fov,
            color,
            transform,
            crop,
            seed,
            kept: Kept::default(),
        })
    }

    /// Keeps at most this many bytes of photographs; 0 keeps nothing. What is returned does not depend on it.
    pub fn with_cache_limit(mut self, bytes: usize) -> Self {
        self.kept = Kept::up_to(bytes);
        self
    }

    /// Bytes kept at present; at most the limit.
    pub fn cached_bytes(&self) -> usize {
        self.kept.bytes()
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// Photograph `index` of an epoch with the field of view to prepare it by.
    fn sample(&self, epoch: u64, index: usize) -> Result<Arc<Sample>> {
        let bytes = |sample: &Sample| {
            let maps = [&sample.label, &sample.fov];
            let masks = maps.into_iter().flatten().map(|mask| mask.data().len());
            sample.image.as_raw().len() + masks.sum::<usize>()
        };
        let version = self.dataset.drawn(index).map_or(0, |_| epoch);
        self.kept.get((index, version), bytes, || {
            let mut sample = self.dataset.load_in(epoch, index)?;
            sample.check_sizes()?;
            sample.fov = Some(self.fov.resolve(&sample)?);
            // The second annotator plays no part in training.
            sample.second_label = None;
            Ok(sample)
        })
    }
}

impl<D: Dataset, T: Transform> Source for RecoloredSet<D, T> {
    fn len(&self) -> usize {
        self.dataset.len()
    }

    fn example(&self, epoch: u64, index: usize, draw: u64) -> Result<Prepared> {
        let kept = self.sample(epoch, index)?;
        let sample = Sample {
            id: kept.id.clone(),
            image: self.color.apply(&kept.image, self.seed, epoch, draw)?,
            label: kept.label.clone(),
            second_label: None,
            fov: kept.fov.clone(),
            fov_diameter: kept.fov_diameter,
            allowed: kept.allowed,
        };
        let prepared = Prepared::from_sample(&sample, &self.preprocess, FovPolicy::Given)?;
        self.transform
            .transform(&prepared, self.crop, self.seed, epoch, draw)
    }
}
