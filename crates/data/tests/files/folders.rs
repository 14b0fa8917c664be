//! What is taken of a folder, what is left out of it, and what is said of that.

use std::fs;
use std::path::Path;

use image::{GrayImage, Luma, Rgb, RgbImage};
use venule_data::{
    Checksum, Dataset, Error, FolderSet, LeftOut, LeftOutReason, NamePattern, Split,
};

/// A photograph of 40 × 40 pixels unlike others.
/// The beginning of a WebP picture.
const WEBP: &[u8] = b"RIFF\x24\0\0\0WEBPVP8 ";

fn photo(root: &Path, name: &str, red: u8) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = RgbImage::from_fn(40, 40, |x, y| Rgb([red, (x + y) as u8, (3 * x) as u8]));
    image.save(path).unwrap();
}

/// A label of two values.
fn label(root: &Path, name: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let image = GrayImage::from_fn(40, 40, |x, _| Luma([if x % 9 == 0 { 255 } else { 0 }]));
    image::DynamicImage::from(image)
        .into_rgb8()
        .save(path)
        .unwrap();
}

fn ids(set: &FolderSet) -> Vec<&str> {
    (0..set.len()).map(|index| set.id(index)).collect()
}

fn names(left_out: &[LeftOut], reason: LeftOutReason) -> Vec<String> {
    let of = left_out.iter().filter(|left| left.reason == reason);
    of.map(|left| {
        left.path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .into_owned()
    })
    .collect()
}

#[test]
fn formats_that_are_not_read_are_counted_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for number in 0..3 {
        photo(root, &format!("photo{number}.png"), number);
    }
    // The content tells, whatever the name.
    let dicom = [&[0; 128][..], b"DICM"].concat();
    let unread: [(&str, &[u8]); 5] = [
        ("photo3.webp", WEBP),
        ("photo4.bin", WEBP),
        ("photo5.jp2", b"\0\0\0\x0cjP  \r\n\x87\n"),
        ("photo6", &dicom),
        ("photo7.webp", b"\0\0\0\0 nothing"),
    ];
    for (name, bytes) in unread {
        fs::write(root.join(name), bytes).unwrap();
    }
    for litter in ["Thumbs.db", ".DS_Store", "._photo0.png", "desktop.ini"] {
        fs::write(root.join(litter), b"litter").unwrap();
    }
    let line = "3 photographs; 5 left out: photo3.webp (WebP), photo4.bin (WebP), photo5.jp2 (JPEG 2000), photo6 (DICOM)";
    let set = FolderSet::unlabelled(root).unwrap();
    assert_eq!(set.to_string(), format!("{line} and 1 more"));
    assert_eq!(
        format!("{set:#}"),
        format!("{line}, photo7.webp (not an image); 4 files of the system passed over")
    );
    let plain = FolderSet::new(root, None, None).unwrap();
    assert_eq!(plain.to_string(), set.to_string());
    // Any part of the set says the same.
    assert_eq!(set.split_last(1).1.left_out().len(), 9);

    let alone = tempfile::tempdir().unwrap();
    fs::write(alone.path().join("a.webp"), WEBP).unwrap();
    let error = FolderSet::unlabelled(alone.path()).unwrap_err().to_string();
    assert!(error.contains("1 left out: a.webp (WebP)"), "{error}");
}

#[test]
fn labels_that_are_not_read_are_named_where_pairing_fails() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for id in ["a", "b"] {
        photo(root, &format!("images/{id}.png"), 9);
    }
    label(root, "masks/a.png");
    fs::write(root.join("masks/b.webp"), WEBP).unwrap();
    let error = FolderSet::folder(root, Split::All).unwrap_err().to_string();
    assert!(
        error.contains("'b.png' has no partner") && error.contains("b.webp (WebP)"),
        "{error}"
    );
}

#[test]
fn masks_among_photographs_are_no_photographs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for (part, first) in [("test", 1), ("training", 21)] {
        for number in first..first + 3 {
            photo(
                root,
                &format!("{part}/images/{number:02}_{part}.tif"),
                number,
            );
            label(root, &format!("{part}/1st_manual/{number:02}_manual1.gif"));
            label(root, &format!("{part}/mask/{number:02}_{part}_mask.gif"));
        }
    }
    let test = FolderSet::unlabelled(root.join("test")).unwrap();
    assert_eq!(
        ids(&test),
        ["images/01_test", "images/02_test", "images/03_test"]
    );
    assert_eq!(
        test.to_string(),
        "3 photographs; 6 left out: 1st_manual/ (3 files: masks, labels or fields of view), mask/ (3 files: masks, labels or fields of view)"
    );
    let all = FolderSet::unlabelled(root).unwrap();
    assert_eq!(all.len(), 6);
    let folders = names(all.left_out(), LeftOutReason::MaskFolder);
    assert_eq!(folders, ["1st_manual", "mask", "1st_manual", "mask"]);

    let error = FolderSet::unlabelled(root.join("test/mask")).unwrap_err();
    assert!(matches!(error, Error::NoImages { .. }), "{error}");
    let error = error.to_string();
    assert!(
        error.contains("no photograph") && error.contains("01_test_mask.gif (a mask"),
        "{error}"
    );
}

#[test]
#[ignore = "needs the published data sets: set VENULE_DATA and pass --include-ignored"]
fn drive_as_it_is_unpacked_holds_forty_photographs() {
    let root = crate::real::data("DRIVE");
    let test = FolderSet::unlabelled(root.join("test")).unwrap();
    assert_eq!(test.len(), 20, "{test}");
    assert_eq!(FolderSet::unlabelled(&root).unwrap().len(), 40);
}

#[test]
fn masks_are_told_by_name_and_by_content_where_the_folder_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    // As CHASE_DB1, with a label that has more than two values.
    photo(root, "Image_01L.jpg", 1);
    photo(root, "Image_01L_1stHO.png", 2);
    // Of its own name, with two values.
    label(root, "drawn/x7.png");
    photo(root, "drawn/x8.png", 3);
    // A name that only sounds like a mask's.
    photo(root, "other/3_mask.png", 4);
    // Folders without images are searched whatever they are called.
    photo(root, "segmentation/clinic/1.png", 5);
    let set = FolderSet::unlabelled(root).unwrap();
    assert_eq!(
        ids(&set),
        [
            "Image_01L",
            "drawn/x8",
            "other/3_mask",
            "segmentation/clinic/1"
        ]
    );
    let masks = names(set.left_out(), LeftOutReason::Mask);
    assert_eq!(masks, ["Image_01L_1stHO.png", "x7.png"]);
}

#[test]
fn layouts_and_patterns_name_what_they_do_not_take() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for id in ["Image_01L", "Image_05L"] {
        photo(root, &format!("{id}.jpg"), 7);
        label(root, &format!("{id}_1stHO.png"));
    }
    label(root, "Image_09R_2ndHO.png");
    photo(root, "cover.png", 8);
    fs::write(root.join("readme.txt"), "text").unwrap();
    for split in [Split::Train, Split::Test] {
        let set = FolderSet::chase_db1(root, split).unwrap();
        assert_eq!(
            set.to_string(),
            "1 photograph; 3 left out: Image_09R_2ndHO.png (not part of the data set by its name), cover.png (not part of the data set by its name), readme.txt (not an image)"
        );
    }
    let (image, mask): (NamePattern, NamePattern) = (
        "Image_{id}L".parse().unwrap(),
        "Image_{id}L_1stHO".parse().unwrap(),
    );
    let set = FolderSet::by_patterns((root, &image), (root, &mask), None).unwrap();
    assert_eq!(ids(&set), ["01", "05"]);
    assert_eq!(
        names(set.left_out(), LeftOutReason::NotOfSet),
        ["Image_09R_2ndHO.png", "cover.png"]
    );
}

#[test]
fn names_pair_in_any_unicode_form() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let composed = ["M\u{fc}ller_\u{e9}0.png", "M\u{fc}ller_\u{e9}1.png"];
    let decomposed = ["Mu\u{308}ller_e\u{301}0.png", "Mu\u{308}ller_e\u{301}1.png"];
    for (photograph, mask) in composed.iter().zip(decomposed) {
        photo(root, &format!("images/{photograph}"), 1);
        label(root, &format!("masks/{mask}"));
    }
    let set = FolderSet::folder(root, Split::All).unwrap();
    assert_eq!(ids(&set), ["M\u{fc}ller_\u{e9}0", "M\u{fc}ller_\u{e9}1"]);
    assert!(
        set.files()[0]
            .label
            .as_ref()
            .unwrap()
            .ends_with(decomposed[0])
    );
    // Both forms in one folder of photographs alone: two photographs, two ids.
    photo(root, &format!("images/{}", decomposed[0]), 2);
    let photographs = FolderSet::unlabelled(root.join("images")).unwrap();
    photographs.check_ids().unwrap();
    if fs::read_dir(root.join("images")).unwrap().count() == 3 {
        assert_eq!(photographs.len(), 3);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_not_utf_8_stay_apart() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("masks")).unwrap();
    photo(root, "photo.png", 1);
    label(root, "mask.png");
    for name in [&b"p\xe8_1.png"[..], b"p\xe9_1.png", b"q_1.png"] {
        let name = OsStr::from_bytes(name);
        fs::copy(root.join("photo.png"), root.join("images").join(name)).unwrap();
        fs::copy(root.join("mask.png"), root.join("masks").join(name)).unwrap();
    }
    let set = FolderSet::folder(root, Split::All).unwrap();
    set.check_ids().unwrap();
    assert_eq!(set.len(), 3);
    for files in set.files() {
        assert_eq!(
            files.image.file_name(),
            files.label.as_ref().unwrap().file_name()
        );
    }
    assert!(
        ids(&set).contains(&r"p\xe8_1") && ids(&set).contains(&r"p\xe9_1"),
        "{:?}",
        ids(&set)
    );
}

#[test]
fn a_renamed_copy_has_its_checksum_and_another_file_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    photo(root, "a.png", 1);
    photo(root, "b.png", 2);
    fs::copy(root.join("a.png"), root.join("renamed.png")).unwrap();
    let set = FolderSet::new(root, None, None).unwrap();
    let of = |index| set.checksum(index).unwrap();
    assert_eq!(ids(&set), ["a", "b", "renamed"]);
    assert_eq!(of(0), of(2));
    assert_ne!(of(0), of(1));
    assert_eq!(of(0), Checksum::of_file(root.join("a.png")).unwrap());
    // Names of data sets before ids change nothing.
    let named = set.clone().with_id_prefix("clinic_");
    assert_eq!(named.checksum(2).unwrap(), of(2));
    assert!(set.checksum(3).is_err());
}

#[test]
fn folders_that_systems_make_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    photo(root, "p0.png", 1);
    photo(root, "clinic/p1.png", 2);
    for (number, name) in [
        "@eaDir/p0.png/SYNOPHOTO_THUMB_XL.png",
        "clinic/@eaDir/p1.png/SYNOPHOTO_THUMB_M.png",
        "$RECYCLE.BIN/p9.png",
        "#recycle/p8.png",
        "@Recycle/p7.png",
        "System Volume Information/p6.png",
        ".Trash-1000/files/p5.png",
        "lost+found/p4.png",
        "__MACOSX/p3.png",
        ".ipynb_checkpoints/p0-checkpoint.png",
        ".git/p2.png",
    ]
    .into_iter()
    .enumerate()
    {
        photo(root, name, 10 + number as u8);
    }
    let set = FolderSet::unlabelled(root).unwrap();
    assert_eq!(ids(&set), ["clinic/p1", "p0"]);
    assert_eq!(set.to_string(), "2 photographs");
    assert_eq!(
        format!("{set:#}"),
        "2 photographs; 11 files of the system passed over"
    );
    let plain = FolderSet::new(root, None, None).unwrap();
    assert_eq!(
        plain.to_string(),
        "1 photograph; 1 left out: clinic/ (1 file: a subfolder)"
    );
    // What the user asks for by name is taken.
    let asked = FolderSet::unlabelled(root.join("lost+found")).unwrap();
    assert_eq!(asked.len(), 1);
}

#[test]
fn masks_with_smooth_edges_and_masks_in_jpeg_are_no_photographs() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for number in 0..6 {
        photo(root, &format!("jpeg/eye{number}.jpg"), number);
        photo(root, &format!("smooth/eye{number}.png"), number);
        let hard = GrayImage::from_fn(120, 120, |x, y| {
            let x = (x + 20 * number as u32 + 120 - y / 3) % 60;
            Luma([if x < 9 { 255 } else { 0 }])
        });
        hard.save(root.join(format!("jpeg/vessels{number}.jpg")))
            .unwrap();
        let filter = image::imageops::FilterType::CatmullRom;
        image::imageops::resize(&hard, 80, 80, filter)
            .save(root.join(format!("smooth/vessels{number}.png")))
            .unwrap();
    }
    // A red-free photograph: gray, dark, with a black border and a white disc.
    let red_free = GrayImage::from_fn(120, 120, |x, y| {
        let middle = (f64::from(x) - 60.0).hypot(f64::from(y) - 60.0);
        Luma([match middle {
            _ if middle > 50.0 => 0,
            _ if middle < 10.0 => 255,
            _ => (60.0 + middle + f64::from(x % 7)) as u8,
        }])
    });
    red_free.save(root.join("jpeg/redfree.jpg")).unwrap();
    red_free.save(root.join("smooth/redfree.png")).unwrap();
    for (part, masks) in [("jpeg", "jpg"), ("smooth", "png")] {
        let set = FolderSet::unlabelled(root.join(part)).unwrap();
        assert_eq!(
            ids(&set),
            ["eye0", "eye1", "eye2", "eye3", "eye4", "eye5", "redfree"]
        );
        let found = names(set.left_out(), LeftOutReason::Mask);
        let expected: Vec<_> = (0..6).map(|i| format!("vessels{i}.{masks}")).collect();
        assert_eq!(found, expected);
    }
}
