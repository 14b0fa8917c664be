//! Systems on data sets: which pixels count, where the threshold comes from, and what they were trained on.

use std::fs;
use std::path::Path;

use venule::candle_core::{DType, Device};
use venule::data::{
    Dataset, FovPolicy, InMemory, LabelCheck, Mask, Resize, Sample, mask_image, resize_mask,
    write_png,
};
use venule::image;
use venule::{
    Bundled, Calibration, Checkpoint, Evaluated, ImageRecord, Protocol, Provenance, Seen,
    Segmenter, evaluate, evaluate_predictions,
};
use venule_lab::report::KeptMasks;
use venule_lab::{DatasetSummary, FinetuneConfig, Purpose};

use crate::support::{photograph, segmenter};

/// Photographs whose given field of view is not the whole frame.
fn set(count: usize) -> InMemory {
    InMemory::new((0..count).map(|index| photograph(64, index)).collect())
}

fn fov(sample: &Sample) -> &Mask {
    sample.fov.as_ref().unwrap()
}

/// Label pixels that a mask covers.
fn both(a: &Mask, b: &Mask) -> u64 {
    a.data()
        .iter()
        .zip(b.data())
        .filter(|(a, b)| **a && **b)
        .count() as u64
}

fn whole() -> Protocol {
    Protocol {
        full_frame: true,
        ..Protocol::default()
    }
}

#[test]
fn the_full_frame_changes_what_counts_and_not_what_the_network_sees() {
    let (set, segmenter) = (set(2), segmenter().with_threshold(0.05).unwrap());
    let run = |protocol: Protocol| {
        let mut maps = Vec::new();
        let evaluated = protocol.evaluate(&segmenter, &set, |_, result| {
            maps.push((result.probability.clone(), result.fov.clone()));
            Ok(())
        });
        (evaluated.unwrap(), maps)
    };
    let (inside, maps) = run(Protocol::default());
    let (all, maps_of_all) = run(whole());
    assert_eq!(maps, maps_of_all);
    let pixels = |sample: &Sample| fov(sample).count() as u64;
    let counted: u64 = set.samples().iter().map(pixels).sum();
    assert!(counted < 2 * 64 * 64);
    let (inside, all) = (inside.report.confusion, all.report.confusion);
    assert_eq!((inside.total(), all.total()), (counted, 2 * 64 * 64));
    // Outside the probability is 0, whatever the threshold, and the label background.
    assert_eq!((all.tp, all.fp), (inside.tp, inside.fp));
    assert!(inside.tp > 0 && all.tn - inside.tn == 2 * 64 * 64 - counted);
}

#[test]
fn the_field_of_view_that_counts_is_not_that_of_the_weights() {
    let set = set(1);
    let expected = fov(&set.samples()[0]).count() as u64;
    for policy in [
        FovPolicy::FullFrame,
        FovPolicy::Detect,
        FovPolicy::GivenOrDetect,
    ] {
        let segmenter = segmenter().with_fov_policy(policy);
        let evaluated = evaluate(&segmenter, &set, |_, _| Ok(())).unwrap();
        assert_eq!(evaluated.report.confusion.total(), expected, "{policy:?}");
        // Of the frame outside, nothing that such a network finds there counts either.
        let segmenter = segmenter.with_threshold(0.0).unwrap();
        let counts = whole().evaluate(&segmenter, &set, |_, _| Ok(())).unwrap();
        let counts = counts.report.confusion;
        assert!(counts.tp + counts.fp <= expected, "{policy:?}: {counts:?}");
    }
    // A set without masks is evaluated where its photographs show a retina.
    let mut bare = set.samples()[0].clone();
    bare.fov = None;
    let detected = FovPolicy::Detect.resolve(&bare).unwrap().count() as u64;
    let bare = InMemory::new(vec![bare]);
    let segmenter = segmenter().with_fov_policy(FovPolicy::FullFrame);
    let evaluated = evaluate(&segmenter, &bare, |_, _| Ok(())).unwrap();
    assert_eq!(evaluated.report.confusion.total(), detected);
}

#[test]
fn the_square_protocol_compares_with_labels_resampled_to_the_nearest_pixel() {
    let (set, side) = (set(2), 48);
    let protocol = Protocol {
        square: Some(side),
        ..Protocol::default()
    };
    let segmenter = segmenter().with_resize(Some(Resize::Square(side))).unwrap();
    let evaluated = protocol.evaluate(&segmenter, &set, |sample, result| {
        assert_eq!(result.probability.size(), sample.size());
        Ok(())
    });
    let counts = evaluated.unwrap().report.confusion;
    let (mut pixels, mut vessels) = (0, 0);
    for sample in set.samples() {
        let small = |mask: &Mask| resize_mask(mask, (side, side)).unwrap();
        let (label, fov) = (small(sample.label.as_ref().unwrap()), small(fov(sample)));
        pixels += fov.count() as u64;
        vessels += both(&label, &fov);
    }
    assert_eq!((counts.total(), counts.tp + counts.fn_), (pixels, vessels));
    // At native size the same network is compared with other pixels.
    let one = InMemory::new(vec![set.samples()[0].clone()]);
    let square = protocol.evaluate(&segmenter, &one, |_, _| Ok(())).unwrap();
    let native = evaluate(&segmenter, &one, |_, _| Ok(())).unwrap();
    assert_ne!(square.report.confusion, native.report.confusion);
}

#[test]
fn a_second_annotator_is_scored_on_the_images_that_have_one() {
    let mut samples: Vec<Sample> = (0..3).map(|index| photograph(64, index)).collect();
    let none = Protocol::default().evaluate_second_annotator(&InMemory::new(samples.clone()));
    assert!(none.unwrap().is_none());
    samples[1].second_label = samples[1].label.clone();
    let pixels = fov(&samples[1]).count() as u64;
    let set = InMemory::new(samples);
    let evaluated = Protocol::default().evaluate_second_annotator(&set).unwrap();
    let evaluated = evaluated.unwrap();
    assert_eq!((evaluated.rows.len(), evaluated.set_size), (1, 3));
    assert_eq!(evaluated.rows[0].id, set.samples()[1].id);
    assert_eq!(evaluated.report.pooled.get("f1"), Some(1.0));
    assert_eq!(evaluated.report.confusion.total(), pixels);
    let evaluated = whole().evaluate_second_annotator(&set).unwrap().unwrap();
    assert_eq!(evaluated.report.confusion.total(), 64 * 64);
}

#[test]
fn the_chosen_threshold_has_the_highest_f1() {
    let (set, segmenter) = (set(2), segmenter());
    for protocol in [
        Protocol::default(),
        whole(),
        Protocol {
            square: Some(32),
            ..Protocol::default()
        },
    ] {
        let best = protocol.choose_threshold(&segmenter, &set).unwrap();
        let f1_at = |threshold: f32| {
            let segmenter = self::segmenter().with_threshold(threshold).unwrap();
            let evaluated = protocol.evaluate(&segmenter, &set, |_, _| Ok(())).unwrap();
            evaluated.report.pooled.get("f1").unwrap()
        };
        assert!((f1_at(best.threshold) - best.f1).abs() < 1e-12);
        // Thresholds of the grid that is searched.
        for step in [-80.0, -20.0, 20.0, 80.0] {
            let threshold = ((best.threshold * 4096.0).floor() + step).clamp(0.0, 4096.0) / 4096.0;
            assert!(f1_at(threshold) <= best.f1, "{threshold}");
        }
    }
    let mut blank = photograph(64, 0);
    blank.label = Some(Mask::filled(64, 64, false));
    let refused = |blank: &Sample, part: &str| {
        let blank = InMemory::new(vec![blank.clone()]);
        let error = Protocol::default().choose_threshold(&segmenter, &blank);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&blank, "marks 0 of");
    // Whoever means it is told that nothing can be chosen by it.
    blank.allowed = LabelCheck::default().allow_empty();
    refused(&blank, "vessel pixels");
    // What marks most is refused of any data set, before anything is scored.
    blank.label = Some(Mask::filled(64, 64, true));
    refused(&blank, "black and white are not exchanged");
}

#[test]
fn kept_masks_draw_what_the_segmentation_drew() {
    let (set, segmenter) = (set(4), segmenter());
    let mut kept = KeptMasks::default();
    let mut drawn = Vec::new();
    let evaluated = evaluate(&segmenter, &set, |sample, result| {
        kept.keep(result);
        drawn.push((
            sample.id.clone(),
            result.overlay(&sample.image, sample.label.as_ref())?,
        ));
        Ok(())
    });
    let evaluated = evaluated.unwrap();
    let pictures = kept.pictures("system", "set", &set, &evaluated).unwrap();
    assert_eq!(pictures.len(), 3);
    for picture in pictures {
        let (_, expected) = drawn
            .iter()
            .find(|(id, _)| picture.caption.contains(&format!(": {id}, F1")))
            .unwrap();
        let found = image::load_from_memory(&picture.png).unwrap().to_rgb8();
        assert_eq!(&found, expected, "{}", picture.caption);
    }
}

/// A folder data set: two photographs for training, of which one is for validation, and two for testing.
fn write_set(root: &Path) {
    for (part, first) in [("train", 0), ("test", 2)] {
        let root = root.join(part);
        for folder in ["images", "masks", "fovs"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for index in first..first + 2 {
            let sample = photograph(64, index);
            let name = format!("{index}.png");
            let mask = |mask: &Option<Mask>| mask_image(mask.as_ref().unwrap()).unwrap();
            write_png(root.join("masks").join(&name), mask(&sample.label)).unwrap();
            write_png(root.join("fovs").join(&name), mask(&sample.fov)).unwrap();
            write_png(root.join("images").join(&name), sample.image).unwrap();
        }
    }
}

#[test]
fn a_training_image_is_known_by_its_content_under_whatever_name() {
    let trained = set(2);
    let records = ImageRecord::of(&trained, "drive_").unwrap();
    assert_eq!(records[0].name, format!("drive_{}", trained.id(0)));
    let provenance = Provenance::new(records, None, 0);
    let mut renamed = photograph(64, 1);
    renamed.id = "another name".to_owned();
    // Of another photograph, with the id of a training image, as images of two parts of DRIVE have one number.
    let mut stranger = photograph(64, 2);
    stranger.id = trained.id(0).to_owned();
    let images = InMemory::new(vec![renamed, stranger]);
    let images = ImageRecord::of(&images, "drive_").unwrap();
    let seen = |index: usize| provenance.trained_on(&images[index]);
    assert_eq!((seen(0), seen(1)), (Seen::Yes, Seen::No));
    assert_eq!(provenance.chose_threshold_on(&images[0]), Seen::No);
}

#[test]
fn a_photograph_on_disk_is_known_after_it_was_renamed_and_its_label_changed() {
    let folder = tempfile::tempdir().unwrap();
    write_set(folder.path());
    let open = |part: &str| {
        let kind = |kind: &str| folder.path().join(part).join(kind);
        venule::data::FolderSet::new(kind("images"), Some(kind("masks")), None).unwrap()
    };
    let records = ImageRecord::of(&open("train"), "").unwrap();
    let provenance = Provenance::new(records, None, 0);
    for kind in ["images", "masks"] {
        let from = folder.path().join("train").join(kind).join("0.png");
        fs::rename(from, folder.path().join("test").join(kind).join("9.png")).unwrap();
    }
    let test = open("test");
    let images = ImageRecord::of(&test, "").unwrap();
    let seen = images.iter();
    let seen = seen.map(|image| (image.name.as_str(), provenance.trained_on(image)));
    let expected = [("2", Seen::No), ("3", Seen::No), ("9", Seen::Yes)];
    assert_eq!(seen.collect::<Vec<_>>(), expected);
}

#[test]
fn a_run_file_trains_on_all_but_a_fold() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"));
    let run = |train: &str, test: &str| {
        let path = folder.path().join("set");
        let text = format!(
            "[[data]]\npath = {path:?}\ntrain = [\"{train}\"]\nvalidation = []\ntest = [\"{test}\"]"
        );
        text.parse::<FinetuneConfig>()
    };
    let fold = run("without_fold:3", "fold:3").unwrap();
    let ids = |purpose| {
        let files = fold.files(purpose).unwrap();
        files
            .files()
            .iter()
            .map(|files| files.id.clone())
            .collect::<Vec<_>>()
    };
    let trained_on = ["folder_train_0", "folder_train_1", "folder_test_3"];
    assert_eq!(ids(Purpose::Train), trained_on);
    assert_eq!(ids(Purpose::Test), ["test_2"]);
    for (train, test) in [
        ("without_fold:3", "fold:2"),
        ("train", "fold:1"),
        ("all", "fold:1"),
    ] {
        let error = run(train, test).unwrap_err().to_string();
        assert!(
            error.contains("each image may serve once"),
            "{train}, {test}: {error}"
        );
    }
}

#[test]
fn a_summary_goes_on_where_no_field_of_view_is_found_and_compares_the_annotators() {
    let mut samples: Vec<Sample> = (0..3).map(|index| photograph(64, index)).collect();
    // No dark border, no mask.
    samples[0].fov = None;
    samples[0].image = image::RgbImage::from_pixel(64, 64, image::Rgb([90, 60, 30]));
    let fov = fov(&samples[1]).clone();
    let first = samples[1].label.clone().unwrap();
    // The second annotator leaves out the left half.
    let second = Mask::from_fn(64, 64, |x, y| x >= 32 && *first.get(x, y).unwrap());
    let (hits, vessels) = (both(&second, &fov), both(&first, &fov));
    samples[1].second_label = Some(second);
    let summary = DatasetSummary::of(&InMemory::new(samples.clone()), FovPolicy::GivenOrDetect);
    let summary = summary.unwrap();
    assert_eq!(summary.fov_not_found, [samples[0].id.clone()]);
    assert_eq!((summary.images, summary.labels), (3, 3));
    let agreement = summary.agreement.unwrap();
    let f1 = 2.0 * hits as f64 / (hits + vessels) as f64;
    assert!(f1 > 0.0 && f1 < 1.0);
    assert_eq!((agreement.images, agreement.f1), (1, Some(f1)));
    assert_eq!(agreement.mean_f1, Some(f1));
}

#[test]
fn nothing_above_one_half_is_an_f1_of_zero() {
    // Probabilities of exactly 0.5 do not pass; those of a model that finds nothing neither.
    let photo = photograph(64, 0);
    let f1 = |level: u8| -> Evaluated {
        let folder = tempfile::tempdir().unwrap();
        for part in ["map", "truth"] {
            fs::create_dir(folder.path().join(part)).unwrap();
        }
        let map = image::GrayImage::from_pixel(64, 64, image::Luma([level]));
        write_png(folder.path().join("map/1.png"), map).unwrap();
        let truth = mask_image(photo.label.as_ref().unwrap()).unwrap();
        write_png(folder.path().join("truth/1.png"), truth).unwrap();
        let truth = Some(folder.path().join("truth"));
        let files = venule::data::FolderSet::new(folder.path().join("map"), truth, None).unwrap();
        evaluate_predictions(&files, 0.9).unwrap()
    };
    assert_eq!(f1(127).f1_at_half(), Some(0.0));
    let all = f1(128).f1_at_half().unwrap();
    let share = photo.label.as_ref().unwrap().count() as f64 / (64.0 * 64.0);
    // Everything is called vessel: precision is the share of vessel, recall 1.
    assert!((all - 2.0 * share / (share + 1.0)).abs() < 1e-12);
}

/// The photographs of a set at twenty times their size: fields of view of more than twice DRIVE's.
fn enlarged(set: &InMemory) -> InMemory {
    let enlarge = |sample: &Sample| {
        let (width, height) = (64 * 20, 64 * 20);
        let mut large = Sample::unlabelled(
            format!("large {}", sample.id),
            image::RgbImage::from_fn(width, height, |x, y| {
                *sample.image.get_pixel(x / 20, y / 20)
            }),
        );
        let grown = |mask: &Mask| resize_mask(mask, (width as usize, height as usize)).unwrap();
        // A narrower vessel than the small photograph's label has.
        let label = grown(sample.label.as_ref().unwrap());
        large.label = Some(Mask::from_fn(width as usize, height as usize, |x, y| {
            x % 20 < 10 && label.data()[y * width as usize + x]
        }));
        large.fov = sample.fov.as_ref().map(grown);
        large
    };
    InMemory::new(set.samples().iter().map(enlarge).collect())
}

#[test]
fn a_common_threshold_has_the_highest_mean_f1_and_may_go_by_size() {
    let small = set(2);
    let large = enlarged(&small);
    let sets: [&dyn Dataset; 2] = [&small, &large];
    let with = |threshold: f32, calibration: Calibration| {
        let parsed = Checkpoint::parse("weights", Bundled::Unet.bytes(), &Device::Cpu);
        let (mut checkpoint, model) = parsed.unwrap();
        checkpoint.preprocess.resize = Some(Resize::FovDiameter(60.0));
        (checkpoint.threshold, checkpoint.calibration) = (threshold, calibration);
        Segmenter::new(checkpoint, model).unwrap()
    };
    let f1 = |segmenter: &Segmenter| {
        sets.map(|set| {
            let evaluated = evaluate(segmenter, set, |_, _| Ok(())).unwrap();
            evaluated.report.pooled.get("f1").unwrap()
        })
    };
    let protocol = Protocol::default();
    let own = Calibration {
        offset: 1.0,
        per_doubling: 1.0,
    };
    let mut means = Vec::new();
    for by_size in [false, true] {
        // What the weights carry already does not matter.
        let found = protocol
            .choose_common_threshold(&with(0.5, own), &sets, by_size)
            .unwrap();
        let reached = f1(&with(found.threshold, found.calibration));
        for ((f1, (said, best)), set) in reached.iter().zip(&found.sets).zip(["small", "large"]) {
            // Thresholds are told apart by 1/4096, sizes by 1/64 of a doubling.
            assert!((f1 - said).abs() < 0.001, "{set}: {f1} for {said}");
            assert!(best.f1 >= said - 1e-12, "{set}");
        }
        assert_eq!(found.calibration.is_identity(), !by_size);
        means.push(found.mean_f1);
        let lower = Calibration {
            offset: found.calibration.offset - 0.5,
            ..found.calibration
        };
        let worse = f1(&with(found.threshold, lower));
        assert!(worse.iter().sum::<f64>() / 2.0 <= found.mean_f1 + 0.005);
    }
    assert!(means[1] >= means[0], "{means:?}");
    // Of one set it is that set's own threshold, and photographs of one size tell nothing of others.
    let alone = protocol.choose_common_threshold(&with(0.5, own), &sets[..1], false);
    let alone = alone.unwrap();
    let best = protocol.choose_threshold(&with(0.5, Calibration::default()), &small);
    let best = best.unwrap();
    assert_eq!((alone.threshold, alone.mean_f1), (best.threshold, best.f1));
    let one_size = protocol.choose_common_threshold(&with(0.5, own), &sets[..1], true);
    assert!(one_size.unwrap_err().to_string().contains("by_size"));
    let none = protocol.choose_common_threshold(&with(0.5, own), &[], true);
    assert!(none.unwrap_err().to_string().contains("vessel pixels"));

    // A file keeps it, and one without has the bytes that it always had.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let segmenter = with(0.4, own);
    let checkpoint = segmenter.checkpoint();
    checkpoint
        .save(&path, segmenter.model(), DType::F32)
        .unwrap();
    assert_eq!(
        Segmenter::from_file(&path)
            .unwrap()
            .checkpoint()
            .calibration,
        own
    );
    assert!(
        !crate::support::tiny_checkpoint()
            .metadata()
            .contains_key("calibration")
    );
    let mut wrong = checkpoint.clone();
    wrong.calibration.offset = f32::NAN;
    let error = wrong
        .save(&path, segmenter.model(), DType::F32)
        .unwrap_err();
    assert!(error.to_string().contains("calibration.offset"), "{error}");
}
