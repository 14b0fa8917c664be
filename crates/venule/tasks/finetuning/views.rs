//! What the loader draws of labelled photographs.

use std::sync::Arc;

use venule_data::{
    AugmentedSet, ColorJitter, Dataset, FovPolicy, Prepared, PreparedSet, RecoloredSet, Source,
};

use crate::{Error, Recipe, Result};

/// Random crops of labelled photographs. Every image is read before training starts, so that a bad one is told at once; those that are
/// drawn as the epochs come are not.
pub(super) fn training_views(
    recipe: &Recipe,
    train: Box<dyn Dataset>,
    fov: FovPolicy,
    cache_bytes: usize,
    seed: u64,
) -> Result<Arc<dyn Source>> {
    let crop = (recipe.crop, recipe.crop);
    let (preprocess, augment) = (recipe.preprocess.clone(), recipe.augment.clone());
    let stay = |set: &dyn Dataset| -> Vec<usize> {
        let indices = 0..set.len();
        indices.filter(|&i| set.drawn(i).is_none()).collect()
    };
    let labelled = |prepared: &Prepared| match prepared.label {
        Some(_) => Ok(()),
        None => Err(Error::Unlabelled {
            id: prepared.id.clone(),
        }),
    };
    if recipe.color == ColorJitter::none() {
        let set = PreparedSet::new(train, preprocess, fov).with_cache_limit(cache_bytes);
        for index in stay(set.dataset()) {
            labelled(&*set.get(index)?)?;
        }
        return Ok(Arc::new(AugmentedSet::new(
            Arc::new(set),
            augment,
            crop,
            seed,
        )?));
    }
    for index in stay(&train) {
        labelled(&Prepared::from_sample(
            &train.load(index)?,
            &preprocess,
            fov,
        )?)?;
    }
    let views = RecoloredSet::new(train, preprocess, fov, recipe.color, augment, crop, seed)?;
    Ok(Arc::new(views.with_cache_limit(cache_bytes)))
}
