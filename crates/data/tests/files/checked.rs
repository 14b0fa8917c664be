//! What a data set checks of its files as it reads them, and what it says of them.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use venule_data::{Dataset, Error, FolderSet, LabelValue, Reading, Split, Understood};

/// Ten photographs and labels, of which column 3 of ten is marked.
fn set(root: &Path, off: [u8; 3], on: [u8; 3]) -> FolderSet {
    for part in ["images", "masks"] {
        fs::create_dir_all(root.join(part)).unwrap();
    }
    for number in 0..10 {
        let name = format!("{number}.png");
        let photograph = RgbImage::from_pixel(10, 4, Rgb([number, 60, 20]));
        photograph.save(root.join("images").join(&name)).unwrap();
        let label = RgbImage::from_fn(10, 4, |x, _| Rgb(if x == 3 { on } else { off }));
        label.save(root.join("masks").join(&name)).unwrap();
    }
    FolderSet::folder(root, Split::All).unwrap()
}

fn words(set: &FolderSet) -> Vec<String> {
    set.notes().iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_understood_is_said_once_a_folder_by_every_part_of_a_set() {
    let folder = tempfile::tempdir().unwrap();
    let all = set(folder.path(), [0; 3], [255, 0, 0]);
    assert!(all.notes().is_empty());
    let (first, last) = all.clone().split_last(4);
    for index in 0..first.len() {
        // As often as an epoch comes.
        assert_eq!(first.load(index).unwrap().label.unwrap().count(), 4);
        first.load(index).unwrap();
    }
    let said = |files: usize| {
        let masks = folder.path().join("masks");
        format!(
            "labels hold 0 and 255,0,0 (red); 255,0,0 (red) counts as vessel ({files} files in {})",
            masks.display()
        )
    };
    assert_eq!(words(&last), [said(6)]);
    last.load(0).unwrap();
    assert_eq!(words(&all), [said(7)]);
    let joined = FolderSet::from_files(Vec::new()).join(all);
    assert_eq!(words(&joined), [said(7)]);
    assert!(matches!(joined.notes()[0].understood, Understood::Label(_)));
    // Black and white goes without saying.
    let plain = tempfile::tempdir().unwrap();
    let plain = set(plain.path(), [0; 3], [255; 3]);
    plain.load(0).unwrap();
    assert!(plain.notes().is_empty());
}

#[test]
fn notes_of_photographs_name_the_first_and_count_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let all = set(folder.path(), [0; 3], [255; 3]);
    for number in [4, 5] {
        // 12-bit samples.
        let deep = image::ImageBuffer::<Luma<u16>, _>::from_pixel(10, 4, Luma([4000 + number]));
        let path = folder.path().join(format!("images/{number}.png"));
        deep.save(path).unwrap();
    }
    let (all, errors) = all.without_unreadable();
    assert!(errors.is_empty());
    let said = words(&all);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("4.png: its brightest sample is 4004 of 65535"),
        "{said:?}"
    );
    assert!(said[0].ends_with("; 1 more beside it alike"), "{said:?}");
}

#[test]
fn labels_that_mark_nothing_or_most_are_refused_unless_meant() {
    let folder = tempfile::tempdir().unwrap();
    let all = set(folder.path(), [255; 3], [0; 3]);
    let error = all.load(2).unwrap_err();
    assert!(
        matches!(&error, Error::MajorityLabel { path, vessels: 36, pixels: 40 } if path.ends_with("masks/2.png")),
        "{error}"
    );
    let meant = all
        .clone()
        .with_reading(&Reading::default().allow_majority(true));
    assert_eq!(meant.load(2).unwrap().label.unwrap().count(), 36);

    GrayImage::new(10, 4)
        .save(folder.path().join("masks/2.png"))
        .unwrap();
    assert!(matches!(all.load(2), Err(Error::EmptyLabel { .. })));
    let meant = all.with_reading(&Reading::default().allow_empty(true));
    let sample = meant.load(2).unwrap();
    assert_eq!(sample.label.unwrap().count(), 0);
    assert!(sample.allowed.allow_empty);
}

#[test]
fn a_label_counts_in_the_field_of_view_that_came_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    set(root, [0; 3], [255; 3]);
    fs::create_dir(root.join("fovs")).unwrap();
    for number in 0..10 {
        // Seven columns of the frame, of which the label marks four.
        let fov = GrayImage::from_fn(10, 4, |x, _| Luma([if x < 7 { 255 } else { 0 }]));
        fov.save(root.join(format!("fovs/{number}.png"))).unwrap();
        let label = GrayImage::from_fn(10, 4, |x, _| Luma([if x < 4 { 255 } else { 0 }]));
        label
            .save(root.join(format!("masks/{number}.png")))
            .unwrap();
    }
    let all = FolderSet::folder(root, Split::All).unwrap();
    let error = all.load(0).unwrap_err();
    // 16 of 40 pixels of the frame are no majority, 16 of 28 are.
    let expected = matches!(
        error,
        Error::MajorityLabel {
            vessels: 16,
            pixels: 28,
            ..
        }
    );
    assert!(expected, "{error}");
}

#[test]
fn values_of_classes_count_as_told() {
    let folder = tempfile::tempdir().unwrap();
    let all = set(folder.path(), [0; 3], [255; 3]);
    let classes = GrayImage::from_fn(10, 4, |x, _| Luma([(x % 4) as u8]));
    classes.save(folder.path().join("masks/0.png")).unwrap();
    let error = all.load(0).unwrap_err().to_string();
    assert!(
        error.contains("masks/0.png") && error.contains("--label-value"),
        "{error}"
    );
    let reading = Reading::default().label_values(vec![LabelValue::Gray(1), LabelValue::Gray(3)]);
    let told = all.with_reading(&reading);
    // Columns 1, 3, 5, 7 and 9.
    assert_eq!(told.load(0).unwrap().label.unwrap().count(), 20);
    let maps = told.load_maps(0, (10, 4)).unwrap();
    assert_eq!(maps.label.unwrap().count(), 20);
    let error = told.load_maps(0, (4, 10)).unwrap_err().to_string();
    assert!(error.contains("masks/0.png of prediction"), "{error}");
    assert!(told.load_maps(10, (10, 4)).is_err());
}
