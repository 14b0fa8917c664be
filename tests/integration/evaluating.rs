//! Systems on data sets: which pixels count, where the threshold comes from, and what the programs write of it.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;
use venule::candle_core::{DType, Device};
use venule::data::{FovPolicy, InMemory, Mask, Resize, Sample, mask_image, resize_mask, write_png};
use venule::report::{KeptMasks, ThresholdOrigin};
use venule::{
    Checkpoint, DatasetSummary, Evaluated, Protocol, Provenance, Purpose, RunConfig, Segmenter,
    VesselModel, evaluate,
};

use crate::programs::{dataset_info, evaluate as program};
use crate::support::{photograph, segmenter, tiny_checkpoint};

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
    let blank = InMemory::new(vec![blank]);
    let error = Protocol::default()
        .choose_threshold(&segmenter, &blank)
        .unwrap_err();
    assert!(error.to_string().contains("vessel pixels"), "{error}");
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

/// Weights of an untrained model that says it was trained on these images.
fn write_weights(path: &Path, trained_on: &[&str]) {
    let segmenter = segmenter();
    let mut checkpoint = segmenter.checkpoint().clone();
    checkpoint.provenance.data = trained_on.iter().map(|id| (*id).to_owned()).collect();
    checkpoint
        .save(path, segmenter.model(), DType::F32)
        .unwrap();
}

#[test]
fn the_program_tells_systems_and_sets_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for set in ["one", "two"] {
        write_set(&folder.path().join(set));
    }
    for weights in ["a", "b"] {
        fs::create_dir(folder.path().join(weights)).unwrap();
        write_weights(
            &folder.path().join(weights).join("best.safetensors"),
            &["0", "1"],
        );
    }
    let (a, b) = (path("a/best.safetensors"), path("b/best.safetensors"));
    let (one, two) = (
        format!("folder={}", path("one")),
        format!("folder={}", path("two")),
    );
    let (pictures, csv, json) = (path("pictures"), path("table.csv"), path("numbers.json"));
    let report = path("report");
    let arguments = [
        "evaluate",
        "--weights",
        &a,
        &b,
        "--dataset",
        &one,
        &two,
        "--pictures",
        &pictures,
        "--csv",
        &csv,
        "--json",
        &json,
        "--report",
        &report,
        "--choose-threshold",
        "train",
        "--full-frame",
    ];
    program::evaluate(&program::Args::parse_from(arguments)).unwrap();

    // Two systems on two sets of two images each: nothing is overwritten.
    let mut overlays = 0;
    for system in fs::read_dir(&pictures).unwrap() {
        for set in fs::read_dir(system.unwrap().path()).unwrap() {
            let files = fs::read_dir(set.unwrap().path()).unwrap();
            let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            overlays += names.filter(|name| name.ends_with("_overlay.png")).count();
        }
    }
    assert_eq!(overlays, 8);

    let numbers: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let entries = numbers.as_array().unwrap();
    assert_eq!(entries.len(), 4);
    for entry in entries {
        assert_eq!(entry["threshold_from"], "chosen on train");
        assert_eq!(
            (&entry["pixels"], &entry["split"]),
            (&"full frame".into(), &"test".into())
        );
        assert_eq!(entry["paired_tests"].as_array().unwrap().len(), 1);
        assert!(entry["per_image"][0]["seconds"].as_f64().unwrap() > 0.0);
    }
    let matrix = fs::read_to_string(path("table_matrix.csv")).unwrap();
    assert_eq!(matrix.lines().count(), 3);
    assert_eq!(
        fs::read_to_string(path("table_systems.csv"))
            .unwrap()
            .lines()
            .count(),
        5
    );
    let page = fs::read_to_string(folder.path().join("report/report.html")).unwrap();
    assert_eq!(page.matches("data:image/png;base64").count(), 8);

    let refused = |more: &[&str]| {
        let arguments = ["evaluate", "--weights", &a, "--dataset", &one];
        let arguments = program::Args::parse_from(arguments.iter().chain(more));
        program::evaluate(&arguments).unwrap_err().to_string()
    };
    // What is tested on may not choose the threshold; nothing is evaluated twice.
    let error = refused(&["--choose-threshold", "test"]);
    assert!(error.contains("may not choose"), "{error}");
    let error = refused(&["--dataset", &one]);
    assert!(error.contains("given twice"), "{error}");
    for more in [&["--weights", &a][..], &["--weights", &a, "--window", "2"]] {
        let error = refused(more);
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn the_origin_of_a_stored_threshold_is_told() {
    let explained = |change: fn(&mut Checkpoint), origin| {
        let mut checkpoint = tiny_checkpoint();
        checkpoint.provenance.data = ["drive_21", "drive_36"].map(str::to_owned).to_vec();
        change(&mut checkpoint);
        let model = VesselModel::new(&checkpoint.model, 1, &Device::Cpu).unwrap();
        program::explain(origin, &Segmenter::new(checkpoint, model).unwrap())
    };
    let trained = "they were trained on 2 images (drive_21 to drive_36) with seed 0 by version ";
    assert_eq!(
        explained(
            |c| c.provenance.threshold_images = vec!["drive_37".to_owned()],
            ThresholdOrigin::Stored
        ),
        format!("stored in the weights, where it was chosen on image drive_37; {trained}")
    );
    assert_eq!(
        explained(|_| (), ThresholdOrigin::Stored),
        format!("stored in the weights; {trained}")
    );
    assert_eq!(explained(|_| (), ThresholdOrigin::Given), "given");
}

#[test]
fn weights_from_before_a_threshold_named_its_images_are_read() {
    let old = r#"{"data":["21"],"pretrained":null,"seed":3,"version":"0.1.0"}"#;
    let provenance: Provenance = serde_json::from_str(old).unwrap();
    let expected = Provenance {
        data: vec!["21".to_owned()],
        seed: 3,
        version: "0.1.0".to_owned(),
        ..Provenance::default()
    };
    assert_eq!(provenance, expected);
}

#[test]
fn a_system_is_named_by_how_it_sees_photographs() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"));
    let weights = folder.path().join("weights.safetensors");
    write_weights(&weights, &[]);
    let weights = weights.display().to_string();
    let json = folder.path().join("numbers.json");
    let spec = format!("folder={}", folder.path().join("set").display());
    let names = |more: &[&str]| {
        let mut arguments = vec!["evaluate", "--weights", &weights, "--dataset", &spec];
        arguments.extend(["--json", json.to_str().unwrap()]);
        arguments.extend(more);
        program::evaluate(&program::Args::parse_from(arguments)).unwrap();
        let numbers: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
        let entries = numbers.as_array().unwrap().iter();
        entries
            .map(|entry| entry["system"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&[]), [weights.as_str()]);
    let seen = format!("{weights}, field of view of 48 pixels, windows of 2 patches");
    assert_eq!(
        names(&["--fov-diameter", "48", "--window", "2", "--flips"]),
        [seen.clone(), format!("{seen}, with flips")]
    );
    assert_eq!(
        names(&["--window", "0"]),
        [format!("{weights}, without windows")]
    );
}

#[cfg(feature = "bundled")]
#[test]
fn the_bundled_weights_are_evaluated_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"));
    let spec = format!("folder={}", folder.path().join("set").display());
    for (flag, system, encoder) in [
        (None, "bundled weights", true),
        (Some("--fast"), "fast bundled weights", false),
    ] {
        let mut arguments = vec!["evaluate", "--dataset", &spec];
        arguments.extend(flag);
        let args = program::Args::parse_from(arguments);
        let systems = program::systems(&args).unwrap();
        assert_eq!(systems[0].0, system);
        let has_encoder = systems[0].1.checkpoint().model.encoder.is_some();
        assert_eq!(has_encoder, encoder, "{system}");
    }
    let both = ["evaluate", "--dataset", &spec, "--fast", "--weights", "x"];
    assert!(program::Args::try_parse_from(both).is_err());
}

#[test]
fn a_fold_is_evaluated_by_name() {
    let folder = tempfile::tempdir().unwrap();
    write_set(&folder.path().join("set"));
    let weights = folder.path().join("weights.safetensors");
    write_weights(&weights, &[]);
    let json = folder.path().join("numbers.json");
    let spec = format!("folder={}", folder.path().join("set").display());
    let arguments = program::Args::parse_from([
        "evaluate",
        "--weights",
        weights.to_str().unwrap(),
        "--dataset",
        &spec,
        "--split",
        "fold:3",
        "--json",
        json.to_str().unwrap(),
    ]);
    program::evaluate(&arguments).unwrap();
    let numbers: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let images = numbers[0]["per_image"].as_array().unwrap();
    assert_eq!((images.len(), &images[0]["id"]), (1, &"test_2".into()));
    assert_eq!(numbers[0]["split"], "fold:3");
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
        text.parse::<RunConfig>()
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
    assert_eq!(ids(Purpose::Train), ["train_0", "train_1", "test_3"]);
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

fn info(root: &Path, more: &[&str]) -> (ExitCode, Value) {
    let json = root.with_extension("json");
    let spec = format!("folder={}", root.display());
    let json_path = json.display().to_string();
    let arguments = ["dataset_info", "--dataset", &spec, "--json", &json_path];
    let arguments = dataset_info::Args::parse_from(arguments.iter().chain(more));
    let code = dataset_info::run(arguments).unwrap();
    (
        code,
        serde_json::from_slice(&fs::read(json).unwrap()).unwrap(),
    )
}

#[test]
fn a_broken_split_is_told_by_the_exit_code_and_can_be_skipped_in_part() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("set");
    write_set(&root);
    let (code, rows) = info(&root, &[]);
    assert_eq!(
        (code, rows.as_array().unwrap().len()),
        (ExitCode::SUCCESS, 3)
    );
    // A damaged file breaks its split; the others are counted all the same.
    fs::write(root.join("test/images/3.png"), b"no image").unwrap();
    let (code, rows) = info(&root, &[]);
    assert_eq!(
        (code, rows.as_array().unwrap().len()),
        (ExitCode::FAILURE, 2)
    );
    let (code, rows) = info(&root, &["--skip-unreadable"]);
    assert_eq!(
        (code, rows.as_array().unwrap().len()),
        (ExitCode::SUCCESS, 3)
    );
    assert_eq!(
        (&rows[2]["unreadable"], &rows[2]["images"]),
        (&1.into(), &1.into())
    );
    // So does a folder of labels that is not there; a part that is not there at all is none.
    fs::remove_dir_all(root.join("train/masks")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, ExitCode::FAILURE);
    fs::remove_dir_all(root.join("train")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, ExitCode::SUCCESS);
    fs::remove_dir_all(root.join("test")).unwrap();
    assert_eq!(info(&root, &["--skip-unreadable"]).0, ExitCode::FAILURE);
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
        venule::evaluate_predictions(&files, 0.9).unwrap()
    };
    assert_eq!(f1(127).f1_at_half(), Some(0.0));
    let all = f1(128).f1_at_half().unwrap();
    let share = photo.label.as_ref().unwrap().count() as f64 / (64.0 * 64.0);
    // Everything is called vessel: precision is the share of vessel, recall 1.
    assert!((all - 2.0 * share / (share + 1.0)).abs() < 1e-12);
}
