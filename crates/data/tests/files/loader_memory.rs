//! The loader's memory on HRF's photographs of 8 megapixels, against the bound it states.

use std::sync::Arc;

use venule_data::{
    Augment, AugmentedSet, Clahe, FolderSet, FovPolicy, Loader, LoaderConfig, PreparedSet,
    Preprocess, Split,
};

use crate::memory::peak;
use crate::real::data;

const CROP: (usize, usize) = (256, 256);
const PIXELS: usize = 3504 * 2336;
/// Room for two prepared photographs of fifteen.
const CACHE: usize = 100 << 20;

fn config() -> LoaderConfig {
    LoaderConfig {
        workers: 2,
        ..LoaderConfig::default()
    }
}

/// The bound of docs/datasets.md: cached + w · 64 · pixels + ((p + 1) · b + w) · 10 · crop.
fn bound(config: &LoaderConfig) -> u64 {
    let (workers, ahead) = (config.workers, config.prefetch + 1);
    let examples = ahead * config.batch_size + workers;
    (CACHE + workers * 64 * PIXELS + examples * 10 * CROP.0 * CROP.1) as u64
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn an_epoch_over_hrf_stays_below_the_stated_bound() {
    const TEST: &str = "loader_memory::an_epoch_over_hrf_stays_below_the_stated_bound";
    let root = data("HRF");
    for filters in ["none", "all"] {
        let bytes = peak(TEST, filters, |filters| {
            let all = filters == "all";
            let preprocess = Preprocess {
                wiener: all.then_some(5),
                clahe: all.then(Clahe::default),
                ..Preprocess::default()
            };
            let mut files = FolderSet::hrf(&root, Split::All).unwrap();
            if all {
                // The filters take their time; four photographs keep both workers busy as well as fifteen.
                files = files.split_last(4).1;
            }
            let mut set = PreparedSet::new(files, preprocess, FovPolicy::GivenOrDetect)
                .with_cache_limit(CACHE);
            if all {
                set = set.with_vesselness();
            }
            let views = AugmentedSet::new(Arc::new(set), Augment::standard(), CROP, 0).unwrap();
            let loader = Loader::new(Arc::new(views), config()).unwrap();
            for batch in loader.epoch(0) {
                batch.unwrap();
            }
        });
        let Some(bytes) = bytes else { return };
        let bound = bound(&config());
        println!(
            "filters {filters}: {} MiB, bound {} MiB",
            bytes >> 20,
            bound >> 20
        );
        assert!(bytes <= bound, "{bytes} bytes, more than {bound}");
    }
}
