//! A segmentation that is no longer wanted ends between two tiles or two mirror images.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value};
use venule::candle_core::{Device, Result as TensorResult, Tensor};
use venule::data::{FovPolicy, Sample};
use venule::image::{Rgb, RgbImage};
use venule::nn::{Encoder, FeatureInfo, Features, Mode};
use venule::{Cancel, Checkpoint, Error, PartConfig, Predict, Registry, Segmenter, VesselModel};

use crate::support::{photograph, preset, segmenter, tiny_checkpoint};

/// No encoder, but it counts how often it is called, and cancels in the second call.
struct Impatient {
    calls: Arc<AtomicUsize>,
    cancel: Cancel,
}

impl Encoder for Impatient {
    fn forward(&self, _: &Tensor, _: Mode) -> TensorResult<Features> {
        if self.calls.fetch_add(1, Ordering::SeqCst) == 1 {
            self.cancel.cancel();
        }
        Ok(Features { maps: Vec::new() })
    }

    fn outputs(&self) -> Vec<FeatureInfo> {
        Vec::new()
    }
}

/// A segmenter of the full frame, the word that it gives, and how often its network was called.
fn impatient() -> (Segmenter, Cancel, Arc<AtomicUsize>) {
    let (cancel, calls) = (Cancel::new(), Arc::new(AtomicUsize::new(0)));
    let parts = (calls.clone(), cancel.clone());
    let make = move |_: &Map<String, Value>, _: &_| {
        let (calls, cancel) = parts.clone();
        Ok(Impatient { calls, cancel })
    };
    let registry = Registry::built_in().with_encoder("impatient", make);
    let mut model = preset("unet");
    model.encoder = PartConfig::new("impatient", &Map::<String, Value>::new()).unwrap();
    let checkpoint = Checkpoint {
        model,
        fov: FovPolicy::FullFrame,
        ..tiny_checkpoint()
    };
    let model =
        VesselModel::from_registry(&registry.unwrap(), &checkpoint.model, 1, &Device::Cpu).unwrap();
    (Segmenter::new(checkpoint, model).unwrap(), cancel, calls)
}

fn sample(width: u32, height: u32) -> Sample {
    let level = |x, y| Rgb([120, (x % 50 + y % 70) as u8, 20]);
    Sample::unlabelled("photo", RgbImage::from_fn(width, height, level))
}

#[test]
fn it_ends_between_two_tiles() {
    let (segmenter, cancel, calls) = impatient();
    // More than 2²⁰ pixels: three columns of tiles of 768 pixels, and two rows.
    let result = segmenter.segment_until(&sample(1500, 1100), &cancel);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn it_ends_between_two_mirror_images() {
    let (segmenter, cancel, calls) = impatient();
    // 2²⁰ pixels, so that each of the four goes through alone.
    let sample = sample(1024, 1024);
    let result = segmenter.with_flips(true).segment_until(&sample, &cancel);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 2);
}

#[test]
fn what_is_cancelled_before_is_not_begun_and_what_is_wanted_is_as_ever() {
    let segmenter = segmenter();
    let sample = photograph(96, 0);
    let cancel = Cancel::new();
    let wanted = segmenter.segment_until(&sample, &cancel).unwrap();
    let expected = segmenter.segment_sample(&sample).unwrap();
    assert_eq!(wanted.probability, expected.probability);
    assert_eq!(wanted.warnings, expected.warnings);
    cancel.clone().cancel();
    let error = segmenter.segment_until(&sample, &cancel).unwrap_err();
    assert!(matches!(error, Error::Cancelled));
    assert!(error.to_string().contains("cancelled"), "{error}");
    // Another's word is another's.
    assert!(segmenter.segment_until(&sample, &Cancel::new()).is_ok());
}
