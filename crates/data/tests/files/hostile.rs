use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageFormat, Rgb, RgbImage};
use proptest::prelude::*;
use venule_data::{Error, MAX_PIXELS, read_image, read_mask};

use crate::read::fixture;

/// Reads bytes as a file; the message of an error must name it.
fn read(folder: &Path, bytes: &[u8]) -> Result<RgbImage, Error> {
    let path = folder.join("hostile.bin");
    std::fs::write(&path, bytes).unwrap();
    let mask = read_mask(&path);
    let image = read_image(&path);
    match (&image, &mask) {
        (Ok(image), Ok(mask)) => {
            assert_eq!(
                (image.width() as usize, image.height() as usize),
                mask.size()
            );
        }
        (Err(error), _) => assert!(error.to_string().contains("hostile.bin"), "{error}"),
        (Ok(_), Err(error)) => assert!(
            matches!(error, Error::AmbiguousMask { .. } | Error::TurnedMap { .. }),
            "{error}"
        ),
    }
    image
}

/// One file of each format, of 40 x 30 noisy pixels.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let image = RgbImage::from_fn(40, 30, |x, y| {
        Rgb([x * 37 + y * 11, x * y, y * 53].map(|value| value as u8))
    });
    let mut files = Vec::new();
    for (name, format) in [
        ("PNG", ImageFormat::Png),
        ("JPEG", ImageFormat::Jpeg),
        ("TIFF", ImageFormat::Tiff),
        ("GIF", ImageFormat::Gif),
        ("BMP", ImageFormat::Bmp),
        ("PNM", ImageFormat::Pnm),
    ] {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        files.push((name, bytes.into_inner()));
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&files[5].1).unwrap();
    files.push(("gzip", gzip.finish().unwrap()));
    for name in [
        "lzw.tif",
        "packbits.tif",
        "cmyk.jpg",
        "progressive.jpg",
        "turned.jpg",
        "palette.png",
    ] {
        files.push((name, std::fs::read(fixture(name)).unwrap()));
    }
    files
}

#[test]
fn a_truncated_file_is_an_error_or_still_whole() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files() {
        let whole = read(folder.path(), &bytes).unwrap();
        let step = (bytes.len() / 60).max(1);
        // The last bytes one by one: that is where checksums and end markers lie.
        let lengths = (0..bytes.len())
            .step_by(step)
            .chain(bytes.len().saturating_sub(20)..bytes.len());
        for length in lengths {
            if let Ok(image) = read(folder.path(), &bytes[..length]) {
                assert!(
                    image == whole,
                    "{name} cut to {length} of {} bytes gave another image",
                    bytes.len()
                );
            }
        }
    }
}

#[test]
fn a_progressive_jpeg_without_its_last_scans_is_no_image() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(fixture("progressive.jpg")).unwrap();
    assert!(read(folder.path(), &bytes).is_ok());
    let scan = |pair: &[u8]| pair == [0xff, 0xda];
    let pairs = bytes.windows(2).enumerate();
    let scans: Vec<usize> = pairs.filter(|(_, p)| scan(p)).map(|(at, _)| at).collect();
    assert!(scans.len() > 5, "{scans:?}");
    // Cut before each scan, and closed as a tool that repairs a download does.
    for &at in &scans {
        let closed = [&bytes[..at], &[0xff, 0xd9]].concat();
        let error = read(folder.path(), &closed).unwrap_err().to_string();
        assert!(error.contains("scans of a progressive image"), "{error}");
    }
}

#[test]
fn headers_that_promise_too_much_or_nothing_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let error_of = |bytes: &[u8]| read(folder.path(), bytes).unwrap_err();
    // 100,000 x 100,000 pixels would take 30 GB.
    let error = error_of(b"P6 100000 100000 255\n");
    assert!(
        matches!(
            error,
            Error::PixelCount {
                width: 100_000,
                limit: MAX_PIXELS,
                ..
            }
        ),
        "{error}"
    );
    for zero in ["P5 0 0 255\n", "P5 0 7 255\n", "P6 7 0 255\n"] {
        assert!(matches!(
            error_of(zero.as_bytes()),
            Error::PixelCount { .. } | Error::Decode { .. }
        ));
    }
    // The size fields of each header, overwritten with large numbers and with 0.
    let places: [(usize, usize, &[u8]); 4] = [
        (0, 16, &[0, 1, 0, 0, 0, 1, 0, 0]),
        (0, 16, &[0; 8]),
        (3, 6, &[0xff; 4]),
        (3, 6, &[0; 4]),
    ];
    let files = files();
    for (file, at, size) in places {
        let mut bytes = files[file].1.clone();
        bytes[at..at + size.len()].copy_from_slice(size);
        if let Ok(image) = read(folder.path(), &bytes) {
            panic!(
                "{} of {:?} pixels was read",
                files[file].0,
                image.dimensions()
            );
        }
    }
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    // 600 MiB of zeros pack into 600 KiB.
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0u8; 1 << 20];
    for _ in 0..600 {
        gzip.write_all(&zeros).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path(), &gzip.finish().unwrap()).unwrap_err();
    assert!(matches!(error, Error::FileTooLarge { .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn random_bytes_never_panic(head in 0usize..8, tail in prop::collection::vec(any::<u8>(), 0..300)) {
        // Half of the cases begin like a format, else hardly any would get past its signature.
        let heads: [&[u8]; 8] = [
            b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF89a", b"BM", b"P6 ",
        ];
        let folder = tempfile::tempdir().unwrap();
        let _ = read(folder.path(), &[heads[head], &tail].concat());
    }

    #[test]
    fn flipped_bytes_never_panic(
        file in 0usize..13,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = files().swap_remove(file).1;
        for (place, value) in changes {
            // Two of three changes fall into the first 64 bytes, where the header is.
            let range = if value % 3 == 0 { bytes.len() } else { bytes.len().min(64) };
            bytes[place.index(range)] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        let _ = read(folder.path(), &bytes);
    }
}
