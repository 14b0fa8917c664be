//! The finished segmenter on photographs of any size and format.

use venule::candle_core::{DType, Device};
use venule::data::{FovPolicy, Mask, Plane, Sample, read_image};
use venule::image::{DynamicImage, Rgb, RgbImage, imageops};
use venule::metrics::Confusion;
use venule::{Checkpoint, Error, ImageRecord, Predict, Segmentation, Segmenter, VesselModel};

use crate::support::{darken_rim, photograph, preset, segmenter};

fn resized(width: u32, height: u32) -> RgbImage {
    let photo = photograph(128, 0).image;
    imageops::resize(&photo, width, height, imageops::FilterType::Triangle)
}

/// Every map has the photograph's size, probabilities are in [0, 1] and 0 outside the field of view.
fn assert_sound(found: &Segmentation, photo: &RgbImage) {
    let size = (photo.width() as usize, photo.height() as usize);
    assert_eq!(found.probability.size(), size);
    assert_eq!(found.mask.size(), size);
    assert_eq!(found.fov.size(), size);
    let pixels = found.probability.data().iter().zip(found.mask.data());
    for ((&p, &vessel), &inside) in pixels.zip(found.fov.data()) {
        assert!((0.0..=1.0).contains(&p) && (inside || p == 0.0), "{p}");
        assert_eq!(vessel, p > found.threshold);
    }
    let picture = found.overlay(photo, None).unwrap();
    assert_eq!(picture.dimensions(), photo.dimensions());
}

/// Whether the probabilities inside the field of view are not all one number.
fn varies(found: &Segmentation) -> bool {
    let pixels = found.probability.data().iter().zip(found.fov.data());
    let mut inside = pixels.filter(|(_, fov)| **fov).map(|(p, _)| *p);
    let first = inside.next().unwrap();
    inside.any(|p| p != first)
}

#[test]
fn photographs_of_any_size_are_segmented() {
    let segmenter = segmenter();
    for (width, height) in [(50, 50), (64, 97), (131, 70)] {
        let photo = resized(width, height);
        let found = segmenter.segment(&photo).unwrap();
        assert_sound(&found, &photo);
        assert!(varies(&found));
    }
}

#[test]
fn slivers_are_segmented_in_the_full_frame() {
    let segmenter = segmenter().with_fov_policy(FovPolicy::FullFrame);
    for (width, height) in [(1, 1), (1, 40), (300, 3), (17, 16)] {
        let photo = resized(width, height);
        let found = segmenter.segment(&photo).unwrap();
        assert_sound(&found, &photo);
        assert_eq!(found.fov.count(), (width * height) as usize);
    }
}

#[test]
fn common_formats_are_read_and_segmented() {
    let folder = tempfile::tempdir().unwrap();
    let segmenter = segmenter();
    let photo = DynamicImage::ImageRgb8(photograph(96, 1).image);
    let expected = segmenter.segment(&photo.to_rgb8()).unwrap();
    let write = |name: &str, image: DynamicImage| {
        let path = folder.path().join(name);
        image.save(&path).unwrap();
        read_image(&path).unwrap()
    };
    for (name, image) in [
        ("rgba.png", photo.to_rgba8().into()),
        ("sixteen.png", photo.to_rgb16().into()),
        ("plain.tif", photo.to_rgb8().into()),
        ("plain.bmp", photo.to_rgb8().into()),
    ] {
        let read = write(name, image);
        assert_eq!(read, photo.to_rgb8(), "{name}");
        let found = segmenter.segment(&read).unwrap();
        assert_eq!(found.probability, expected.probability, "{name}");
    }
    for (name, image) in [
        ("gray.png", photo.to_luma8().into()),
        ("gray16.png", photo.to_luma16().into()),
        ("photo.jpg", photo.clone()),
    ] {
        let read = write(name, image);
        assert_sound(&segmenter.segment(&read).unwrap(), &read);
    }
}

#[test]
fn a_black_image_has_no_field_of_view() {
    let black = RgbImage::new(80, 60);
    let segmenter = segmenter();
    let error = segmenter.segment(&black).unwrap_err();
    assert!(matches!(
        error,
        Error::Data(venule::data::Error::Sample { .. })
    ));
    let text = error.to_string();
    assert!(
        text.contains("the photograph: no field of view") && text.contains("full frame"),
        "{text}"
    );
    let found = segmenter
        .with_fov_policy(FovPolicy::FullFrame)
        .segment(&black)
        .unwrap();
    assert_sound(&found, &black);
}

#[test]
fn a_given_field_of_view_is_used_and_checked() {
    let photo = photograph(96, 2).image;
    let segmenter = segmenter();
    let half = Mask::from_fn(96, 96, |x, _| x < 48);
    let found = segmenter.segment_within(&photo, &half).unwrap();
    assert_sound(&found, &photo);
    assert_eq!(found.fov, half);
    for policy in [FovPolicy::Given, FovPolicy::Detect, FovPolicy::FullFrame] {
        let other = self::segmenter().with_fov_policy(policy);
        let again = other.segment_within(&photo, &half).unwrap();
        assert_eq!(
            (&again.fov, &again.mask),
            (&half, &found.mask),
            "{policy:?}"
        );
    }
    for wrong in [Mask::filled(96, 96, false), Mask::filled(95, 96, true)] {
        let error = segmenter.segment_within(&photo, &wrong).unwrap_err();
        assert!(error.to_string().contains("field of view"), "{error}");
    }
    let empty = RgbImage::new(0, 0);
    assert!(segmenter.segment(&empty).is_err());
    let full = segmenter.with_fov_policy(FovPolicy::FullFrame);
    assert!(full.segment(&empty).is_err());
}

#[test]
fn a_large_photograph_goes_through_in_tiles() {
    // 1.8 million pixels: more than the million that go through at once.
    let photo = resized(1500, 1200);
    let found = segmenter().segment(&photo).unwrap();
    assert_sound(&found, &photo);
    assert!(varies(&found));
}

/// The greatest difference of two maps.
fn distance(a: &Plane, b: &Plane) -> f32 {
    let pairs = a.data().iter().zip(b.data());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn averaged_over_mirror_images_a_prediction_turns_with_its_photograph() {
    // Sides that the patches do not divide, so that the padding must turn too.
    let photo = resized(67, 90);
    let fov = Mask::from_fn(67, 90, |x, y| x > 3 && y < 80);
    let plain = segmenter();
    let averaged = segmenter().with_flips(true);
    let upright = averaged.segment_within(&photo, &fov).unwrap();
    assert_sound(&upright, &photo);
    let probability = |segmenter: &Segmenter, photo: &RgbImage, fov: &Mask| {
        let found = segmenter.segment_within(photo, fov).unwrap();
        found.probability
    };
    let mirrored = imageops::flip_horizontal(&photo);
    let mirrored_fov = fov.flip_horizontal();
    let turned = imageops::rotate180(&photo);
    let turned_fov = fov.flip_horizontal().flip_vertical();
    let map = probability(&averaged, &mirrored, &mirrored_fov).flip_horizontal();
    assert!(distance(&map, &upright.probability) < 1e-5);
    let map = probability(&averaged, &turned, &turned_fov);
    let map = map.flip_vertical().flip_horizontal();
    assert!(distance(&map, &upright.probability) < 1e-5);
    // The mean is that of the four predictions, and a single one does not turn with the photograph.
    let straight = probability(&plain, &photo, &fov);
    let across = probability(&plain, &mirrored, &mirrored_fov).flip_horizontal();
    assert!(distance(&straight, &across) > 1e-3);
    let down = probability(
        &plain,
        &imageops::flip_vertical(&photo),
        &fov.flip_vertical(),
    );
    let both = probability(&plain, &turned, &turned_fov);
    let (down, both) = (down.flip_vertical(), both.flip_vertical().flip_horizontal());
    let mean = Plane::from_fn(67, 90, |x, y| {
        let at = |map: &Plane| *map.get(x, y).unwrap();
        (at(&straight) + at(&across) + at(&down) + at(&both)) / 4.0
    });
    assert!(distance(&mean, &upright.probability) < 1e-5);
    // Asked not to, it does not.
    let off = segmenter().with_flips(true).with_flips(false);
    assert_eq!(probability(&off, &photo, &fov), straight);
}

#[test]
fn a_batch_gives_what_single_photographs_give() {
    // Two of one size together, one alone, and again two that are not neighbours.
    let sizes = [(64, 64), (64, 64), (80, 50), (64, 64)];
    let photos = sizes.map(|(width, height)| resized(width, height));
    let samples = photos
        .each_ref()
        .map(|photo| Sample::unlabelled("photo", photo.clone()));
    for segmenter in [segmenter(), segmenter().with_flips(true)] {
        let together = segmenter.segment_batch(&samples).unwrap();
        assert_eq!(together.len(), photos.len());
        for (found, photo) in together.iter().zip(&photos) {
            assert_sound(found, photo);
            let alone = segmenter.segment(photo).unwrap();
            assert!(distance(&found.probability, &alone.probability) < 1e-6);
        }
    }
    assert!(segmenter().segment_batch(&[]).unwrap().is_empty());
}

#[test]
fn no_vessels_are_found_in_a_dark_rim_that_is_left_out() {
    let mut sample = photograph(128, 0);
    let depth = darken_rim(&mut sample);
    let fov = sample.fov.clone().unwrap();
    let with = |share: f32| segmenter().with_dark_rim(share).unwrap();
    let in_rim = |found: &Segmentation| {
        let pixels = found.probability.data().iter().zip(depth.data());
        let rim = pixels.filter(|(_, depth)| (1.0..=2.0).contains(*depth));
        rim.map(|(&p, _)| p).fold(0f32, f32::max)
    };
    let all = with(0.0).segment_sample(&sample).unwrap();
    assert!(in_rim(&all) > 0.0);
    let found = with(0.6).segment_sample(&sample).unwrap();
    assert_eq!(in_rim(&found), 0.0);
    // It is still part of the field of view, further inside it is the same retina, and a batch does the same.
    assert_eq!(found.fov, fov);
    assert!(varies(&found));
    let batch = with(0.6).segment_batch(&[sample.clone()]).unwrap();
    assert_eq!(batch[0].probability, found.probability);
    // A rim that is not dark is seen.
    let bright = photograph(128, 0);
    let [whole, part] =
        [0.0, 0.6].map(|share| with(share).segment_sample(&bright).unwrap().probability);
    assert_eq!(whole, part);
    for (bundled, share) in [
        (Segmenter::bundled(), 0.6),
        (Segmenter::bundled_fast(), 0.6),
    ] {
        assert_eq!(bundled.unwrap().checkpoint().preprocess.dark_rim, share);
    }
    for share in [-0.1, 1.1, f32::NAN] {
        let error = segmenter().with_dark_rim(share).unwrap_err().to_string();
        assert!(error.contains("dark_rim"), "{error}");
    }
}

/// The process's largest resident memory in MiB so far, where the system tells it.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(feature = "bundled")]
#[test]
fn the_bundled_weights_take_any_photograph_in_bounded_memory() {
    let segmenter = Segmenter::bundled().unwrap();
    for (width, height) in [(50, 50), (300, 200), (1500, 1200)] {
        let photo = resized(width, height);
        assert_sound(&segmenter.segment(&photo).unwrap(), &photo);
    }
    // 24 million pixels: brought to the scale of training, not computed at full size.
    let photo = resized(6000, 4000);
    let found = segmenter.segment(&photo).unwrap();
    assert_eq!(found.mask.size(), (6000, 4000));
    if let Some(peak) = peak_memory() {
        // The photograph, its maps and the intermediate ones of every step; other tests of this program share the figure.
        assert!(peak < 4096.0, "{peak} MiB");
    }
    // No fundus: colourful noise in every corner has no round field of view, but may be taken whole if one asks for it.
    let noise = RgbImage::from_fn(400, 300, |x, y| {
        let v = (x * 7919 + y * 104_729) % 251;
        Rgb([v as u8, (v * 3 % 251) as u8, (v * 7 % 251) as u8])
    });
    match segmenter.segment(&noise) {
        Ok(found) => assert_sound(&found, &noise),
        Err(error) => assert!(error.to_string().contains("field of view"), "{error}"),
    }
}

#[cfg(feature = "bundled")]
#[test]
fn the_bundled_weights_find_vessels() {
    for segmenter in [Segmenter::bundled(), Segmenter::bundled_fast()] {
        let segmenter = segmenter.unwrap();
        let mut counts = Confusion::default();
        for index in 0..3 {
            let sample = photograph(384, index);
            let found = segmenter.segment(&sample.image).unwrap();
            let label = sample.label.unwrap();
            let inside = Some(found.fov.data());
            let scores = found.probability.data();
            counts
                .update(scores, label.data(), inside, found.threshold)
                .unwrap();
        }
        // Far above what a mask of chance or of all pixels comes to.
        assert!(counts.f1().unwrap() > 0.5, "{counts:?}");
    }
}

#[test]
fn one_segmenter_serves_many_threads() {
    fn assert_shareable<T: Send + Sync>() {}
    assert_shareable::<Segmenter>();
    let segmenter = segmenter();
    let photos = [0, 1, 2, 3].map(|index| photograph(64, index).image);
    let alone = photos.each_ref().map(|p| segmenter.segment(p).unwrap());
    std::thread::scope(|scope| {
        let threads = photos
            .each_ref()
            .map(|p| scope.spawn(|| segmenter.segment(p).unwrap()));
        for (thread, alone) in threads.into_iter().zip(&alone) {
            assert_eq!(thread.join().unwrap().probability, alone.probability);
        }
    });
}

#[test]
fn thresholds_outside_the_unit_interval_are_refused() {
    for wrong in [-0.1, 1.1, f32::NAN] {
        let error = segmenter().with_threshold(wrong).err().unwrap();
        assert!(matches!(
            error,
            Error::Config {
                field: "threshold",
                ..
            }
        ));
    }
    let strict = segmenter().with_threshold(1.0).unwrap();
    let photo = RgbImage::from_pixel(70, 70, Rgb([120, 70, 20]));
    let strict = strict.with_fov_policy(FovPolicy::FullFrame);
    assert_eq!(strict.segment(&photo).unwrap().mask.count(), 0);
}

#[test]
fn windows_change_what_the_encoder_sees_and_nothing_else() {
    let photo = photograph(128, 0).image;
    let whole = segmenter().segment(&photo).unwrap();
    let windowed = segmenter().with_window(Some(4)).unwrap();
    let found = windowed.segment(&photo).unwrap();
    assert_sound(&found, &photo);
    assert_ne!(found.probability, whole.probability);
    assert!(windowed.model().store().trainable().is_empty());

    // Stored and read again, and taken back.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("windowed.safetensors");
    let (checkpoint, model) = (windowed.checkpoint(), windowed.model());
    checkpoint.save(&path, model, DType::F32).unwrap();
    let read = Segmenter::from_file(&path).unwrap();
    assert_eq!(read.checkpoint().model.encoder.config["window"], 4);
    assert_eq!(read.segment(&photo).unwrap().probability, found.probability);
    let again = read.with_window(None).unwrap().segment(&photo).unwrap();
    assert_eq!(again.probability, whole.probability);

    for window in [0, 4097] {
        let error = segmenter().with_window(Some(window)).err().unwrap();
        assert!(matches!(error, Error::Part { .. }), "{error}");
        assert!(error.to_string().contains("window"), "{error}");
    }
}

#[test]
fn a_threshold_of_ones_own_was_chosen_on_no_image() {
    let mut checkpoint = segmenter().checkpoint().clone();
    checkpoint.provenance.threshold_images = vec![ImageRecord {
        name: "drive_37".to_owned(),
        checksum: None,
    }];
    let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu).unwrap();
    let segmenter = Segmenter::new(checkpoint, model).unwrap();
    let own = segmenter.with_threshold(0.7).unwrap();
    assert_eq!(own.checkpoint().threshold, 0.7);
    assert!(own.checkpoint().provenance.threshold_images.is_empty());
    let shown = format!("{own:?}");
    assert!(shown.contains("threshold: 0.7"), "{shown}");
}

#[test]
fn a_model_without_an_encoder_has_no_windows() {
    let checkpoint = Checkpoint {
        model: preset("unet"),
        ..segmenter().checkpoint().clone()
    };
    let unet = || {
        let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu).unwrap();
        Segmenter::new(checkpoint.clone(), model).unwrap()
    };
    assert!(unet().with_window(None).is_ok());
    let error = unet().with_window(Some(16)).err().unwrap();
    assert!(matches!(
        error,
        Error::Config {
            field: "window",
            ..
        }
    ));
}
