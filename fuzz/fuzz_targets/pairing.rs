//! Any file names in a folder of images and a folder of labels: every image gets one label and every label one image, or an
//! error tells why not.
#![no_main]

use std::collections::BTreeSet;
use std::fs;

use libfuzzer_sys::fuzz_target;
use venule::data::{FolderSet, NamePattern};

fuzz_target!(|text: &str| {
    let folder = tempfile::tempdir().unwrap();
    let mut counts = [0, 0];
    for (index, name) in text.lines().take(12).enumerate() {
        let part = folder.path().join(["images", "labels"][index % 2]);
        fs::create_dir_all(&part).unwrap();
        let name = name.replace(['/', '\0'], "");
        // Names the system refuses are no part of the question.
        if fs::write(part.join(format!("{name}.png")), b"").is_ok() {
            counts[index % 2] = fs::read_dir(&part).unwrap().count();
        }
    }
    let [images, labels] = ["images", "labels"].map(|part| folder.path().join(part));
    if let Ok(set) = FolderSet::new(&images, Some(labels.clone()), None) {
        let partners: BTreeSet<_> = set.files().iter().map(|files| files.label.clone()).collect();
        assert_eq!(partners.len(), set.files().len());
        assert!(set.files().len() <= counts[0] && partners.len() <= counts[1]);
    }
    if let Some(Ok(pattern)) = text.lines().next().map(str::parse::<NamePattern>) {
        if let Ok(set) = FolderSet::by_patterns((&images, &pattern), (&labels, &pattern), None) {
            assert!(set.files().len() <= counts[0]);
        }
    }
});
