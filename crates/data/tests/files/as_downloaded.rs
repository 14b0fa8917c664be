//! The oddities of the published files: gzip, gray files that are called colour, colour labels, blanks and upper case.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{Rgb, RgbImage, Rgba, RgbaImage};
use venule_data::{Dataset, Error, FolderSet, NamePattern, Reading, Split};

fn write(root: &Path, name: &str, bytes: &[u8]) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bytes = match name.to_lowercase().ends_with(".gz") {
        true => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        }
        false => bytes.to_vec(),
    };
    std::fs::write(path, bytes).unwrap();
}

/// A photograph of 3 x 2 pixels whose first red value tells it from others.
fn photograph(red: u8) -> Vec<u8> {
    let pixels = [
        red, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
    ];
    [b"P6\n3 2\n255\n".as_slice(), &pixels].concat()
}

/// A gray label, with the comment line that the published ones have; its first `count` pixels are vessel.
fn label(count: usize) -> Vec<u8> {
    let pixels: Vec<u8> = (0..6).map(|at| if at < count { 255 } else { 0 }).collect();
    [b"P5\n# CREATOR: XV\n3 2\n255\n".as_slice(), &pixels].concat()
}

#[test]
fn stare_reads_gray_labels_in_files_called_colour_packed_or_not() {
    for (extension, label_extension) in [("ppm.gz", "ppm.gz"), ("ppm", "ppm"), ("PPM.GZ", "ppm.GZ")]
    {
        let folder = tempfile::tempdir().unwrap();
        for (number, id) in ["im0001", "im0082", "im0162"].into_iter().enumerate() {
            let image = format!("stare-images/{id}.{extension}");
            write(folder.path(), &image, &photograph(100 + number as u8));
            let first = format!("labels-ah/{id}.ah.{label_extension}");
            write(folder.path(), &first, &label(1 + number));
            let second = format!("labels-vk/{id}.vk.{label_extension}");
            write(folder.path(), &second, &label(3 + number));
        }
        for (number, split) in [Split::Train, Split::Validation, Split::Test]
            .into_iter()
            .enumerate()
        {
            let set = FolderSet::stare(folder.path(), split).unwrap();
            // Of six pixels the second labels mark up to five.
            let set = set.with_reading(&Reading::default().allow_majority(true));
            assert_eq!(set.len(), 1, "{split} of .{extension}");
            let sample = set.load(0).unwrap();
            assert_eq!(sample.id, ["im0001", "im0082", "im0162"][number]);
            assert_eq!(sample.image.get_pixel(0, 0).0, [100 + number as u8, 1, 2]);
            assert_eq!(sample.label.unwrap().count(), 1 + number);
            assert_eq!(sample.second_label.unwrap().count(), 3 + number);
            assert!(sample.fov.is_none());
        }
    }
}

#[test]
fn fives_reads_colour_labels_with_and_without_alpha_below_folders_with_blanks() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("FIVES A Fundus Image Dataset");
    for part in ["train", "test"] {
        for folder in ["Original", "Ground truth"] {
            std::fs::create_dir_all(root.join(part).join(folder)).unwrap();
        }
    }
    for (part, numbers) in [("train", 1..=2u8), ("test", 1..=2)] {
        for number in numbers {
            let name = format!("{number}_A.png");
            let photograph = RgbImage::from_pixel(4, 3, Rgb([number, 60, 20]));
            photograph
                .save(root.join(part).join("Original").join(&name))
                .unwrap();
            let path = root.join(part).join("Ground truth").join(&name);
            let vessel = |x: u32, y: u32| x + y < u32::from(number);
            match number {
                // Anti-aliased edges: gray 128 is vessel, 127 is not.
                1 => RgbImage::from_fn(4, 3, |x, y| match (x, y) {
                    (0, 0) => Rgb([255; 3]),
                    (1, 0) => Rgb([128; 3]),
                    (2, 0) => Rgb([127; 3]),
                    _ => Rgb([0; 3]),
                })
                .save(path)
                .unwrap(),
                // Opaque throughout: alpha says nothing about vessels.
                _ => RgbaImage::from_fn(4, 3, |x, y| {
                    let level = if vessel(x, y) { 255 } else { 0 };
                    Rgba([level, level, level, 255])
                })
                .save(path)
                .unwrap(),
            }
        }
    }
    let set = FolderSet::fives(&root, Split::Test).unwrap();
    let counts: Vec<usize> = (0..set.len())
        .map(|index| set.load(index).unwrap().label.unwrap().count())
        .collect();
    // Of the second, (0, 0), (1, 0) and (0, 1).
    assert_eq!(counts, [2, 3]);
    let held_out = FolderSet::fives(&root, Split::Validation).unwrap();
    assert_eq!((held_out.len(), held_out.id(0)), (1, "2_A"));
    let all = FolderSet::fives(&root, Split::All).unwrap();
    let ids: Vec<&str> = (0..all.len()).map(|index| all.id(index)).collect();
    assert_eq!(ids, ["train_1_A", "train_2_A", "test_1_A", "test_2_A"]);
}

#[test]
fn gz_is_no_part_of_an_id_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    for (name, red) in [("images/a.ppm.GZ", 1), ("images/B.PPM.gz", 2)] {
        write(folder.path(), name, &photograph(red));
    }
    for (name, count) in [("masks/a.pgm.Gz", 1), ("masks/B.pgm", 2)] {
        write(folder.path(), name, &label(count));
    }
    let set = FolderSet::folder(folder.path(), Split::All).unwrap();
    for (index, id) in ["B", "a"].into_iter().enumerate() {
        let sample = set.load(index).unwrap();
        assert_eq!(sample.id, id);
        let red = usize::from(sample.image.get_pixel(0, 0).0[0]);
        assert_eq!(red, sample.label.unwrap().count());
    }
    let loose = FolderSet::unlabelled(folder.path().join("images")).unwrap();
    assert_eq!((loose.id(0), loose.id(1)), ("B", "a"));
}

#[test]
fn a_pattern_holds_its_place_once() {
    for wrong in ["", "id", "{id", "{id}{id}", "{id}_of_{id}"] {
        let error = wrong.parse::<NamePattern>().unwrap_err();
        assert!(matches!(error, Error::InvalidConfig { .. }));
        let text = error.to_string();
        assert!(text.contains("holds {id} once"), "{text}");
    }
    let pattern: NamePattern = "pred_{id}".parse().unwrap();
    assert_eq!((pattern.id("pred_7"), pattern.id("7")), (Some("7"), None));
}

#[test]
fn an_extension_twice_makes_no_id_twice() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "a.jpg", "a.png.jpg", "b.png.jpg", "c"] {
        write(folder.path(), name, &photograph(1));
    }
    let set = FolderSet::unlabelled(folder.path()).unwrap();
    let mut ids: Vec<&str> = (0..set.len()).map(|index| set.id(index)).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["a.jpg", "a.png", "a.png.jpg", "b.png", "c"]);
}

#[test]
fn a_photograph_in_both_parts_of_drive_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for (part, word) in [("training", "training"), ("test", "test")] {
        write(
            folder.path(),
            &format!("{part}/images/21_{word}.tif"),
            &photograph(1),
        );
        for map in ["1st_manual", "mask"] {
            write(folder.path(), &format!("{part}/{map}/21.gif"), &label(1));
        }
    }
    assert_eq!(
        FolderSet::drive(folder.path(), Split::Train).unwrap().len(),
        1
    );
    let error = FolderSet::drive(folder.path(), Split::All).unwrap_err();
    assert!(
        matches!(&error, Error::AmbiguousId { id, .. } if id == "21"),
        "{error}"
    );
}
