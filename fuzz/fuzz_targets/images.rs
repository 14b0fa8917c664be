//! Any bytes as a photograph, a label and a map of probabilities: an error or an image, never a panic.
#![no_main]

use std::cell::RefCell;
use std::io::{Seek, Write};

use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use venule::data::{read_image, read_mask, read_probability};

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new().unwrap());
}

fuzz_target!(|bytes: &[u8]| {
    FILE.with_borrow_mut(|file| {
        file.as_file_mut().set_len(0).unwrap();
        file.as_file_mut().rewind().unwrap();
        file.write_all(bytes).unwrap();
        if let Ok(image) = read_image(file.path()) {
            let size = (image.width() as usize, image.height() as usize);
            if let Ok(mask) = read_mask(file.path()) {
                assert_eq!(mask.size(), size);
            }
            if let Ok(map) = read_probability(file.path()) {
                assert_eq!(map.size(), size);
                assert!(map.data().iter().all(|value| (0.0..=1.0).contains(value)));
            }
        }
    });
});
