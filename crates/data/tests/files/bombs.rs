//! Files that unpack to far more than they hold, and images as large as they may be: the memory that reading them takes.

use std::path::Path;

use venule_data::{Error, read_image, read_mask};

use crate::build::{DEFLATE, GRAY, LZW, RGBA, gif, lzw_zeros, png, tiff, zlib, zlib_zeros};
use crate::memory::peak;
use crate::read::fixture;

const MIB: u64 = 1 << 20;
/// What unpacks far beyond what its header promises.
const TOO_MUCH: usize = 400 << 20;
/// The side of the largest square image, 2²⁶ pixels.
const SIDE: u32 = 8192;

/// What should become of a file.
#[derive(Debug, PartialEq)]
enum Fate {
    Read,
    TooLarge,
    Damaged,
    /// Either, depending on whether the decoder looks at the surplus.
    ReadOrDamaged,
}

struct Case {
    name: &'static str,
    bytes: fn() -> Vec<u8>,
    fate: Fate,
    /// Most MiB that reading may add.
    limit: u64,
}

/// Small images: whatever else the file holds must not cost more than this.
const SMALL: u64 = 64;
/// What docs/datasets.md states for any file.
const ANY: u64 = 1536;

const CASES: [Case; 18] = [
    case(
        "a PNG pixel with 400 MiB",
        || png((1, 1), 8, GRAY, &[], &zlib_zeros(TOO_MUCH)),
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a PNG whose profile unpacks to 400 MiB",
        || {
            let profile = [b"p\0\0".as_slice(), &zlib_zeros(TOO_MUCH)].concat();
            png((1, 1), 8, GRAY, &[(b"iCCP", profile)], &zlib(&[0, 7]))
        },
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a PNG whose text unpacks to 400 MiB",
        || {
            let text = [b"Comment\0\0".as_slice(), &zlib_zeros(TOO_MUCH)].concat();
            png((1, 1), 8, GRAY, &[(b"zTXt", text)], &zlib(&[0, 7]))
        },
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a PNG whose international text unpacks to 400 MiB",
        || {
            let text = [
                b"XML:com.adobe.xmp\0\x01\0\0\0".as_slice(),
                &zlib_zeros(TOO_MUCH),
            ]
            .concat();
            png((1, 1), 8, GRAY, &[(b"iTXt", text)], &zlib(&[0, 7]))
        },
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a PNG of a pixel too many",
        || png((SIDE, SIDE + 1), 8, GRAY, &[], &zlib_zeros(1 << 26)),
        Fate::TooLarge,
        SMALL,
    ),
    case(
        "a PNG of 2^31 - 1 by 2^31 - 1",
        || png(((1 << 31) - 1, (1 << 31) - 1), 8, GRAY, &[], &zlib(&[0, 7])),
        Fate::Damaged,
        SMALL,
    ),
    case(
        "the largest PNG, deep and with alpha",
        || {
            png(
                (SIDE, SIDE),
                16,
                RGBA,
                &[],
                &zlib_zeros((8 * SIDE as usize + 1) * SIDE as usize),
            )
        },
        Fate::Read,
        ANY,
    ),
    case(
        "the largest PNG, lying on its side",
        || {
            let turned =
                b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0".to_vec();
            let packed = zlib_zeros((8 * SIDE as usize + 1) * SIDE as usize);
            png((SIDE, SIDE), 16, RGBA, &[(b"eXIf", turned)], &packed)
        },
        Fate::Read,
        ANY,
    ),
    case(
        "a TIFF pixel with 400 MiB, deflate",
        || tiff((1, 1), DEFLATE, 1, &zlib_zeros(TOO_MUCH)),
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a TIFF pixel with 400 MiB, LZW",
        || tiff((1, 1), LZW, 1, &lzw_zeros(TOO_MUCH, false)),
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a TIFF of 2^16 by 2^16",
        || tiff((1 << 16, 1 << 16), DEFLATE, 1, &zlib_zeros(1 << 20)),
        Fate::TooLarge,
        SMALL,
    ),
    case(
        "the largest TIFF, deflate",
        || tiff((SIDE, SIDE), DEFLATE, 1, &zlib_zeros(1 << 26)),
        Fate::Read,
        ANY,
    ),
    case(
        "the largest TIFF, LZW",
        || tiff((SIDE, SIDE), LZW, 1, &lzw_zeros(1 << 26, false)),
        Fate::Read,
        ANY,
    ),
    case(
        "a GIF pixel with 400 MiB",
        || gif((1, 1), (1, 1), &lzw_zeros(TOO_MUCH, true)),
        Fate::ReadOrDamaged,
        SMALL,
    ),
    case(
        "a GIF of 65535 by 65535",
        || gif((65_535, 65_535), (1, 1), &lzw_zeros(1, true)),
        Fate::TooLarge,
        SMALL,
    ),
    case(
        "the largest GIF",
        || {
            gif(
                (SIDE as u16, SIDE as u16),
                (SIDE as u16, SIDE as u16),
                &lzw_zeros(1 << 26, true),
            )
        },
        Fate::Read,
        ANY,
    ),
    case(
        "a GIF pixel with a frame of 65535 by 65535",
        || gif((1, 1), (65_535, 65_535), &lzw_zeros(1 << 20, true)),
        Fate::ReadOrDamaged,
        SMALL,
    ),
    // A progressive JPEG holds all its coefficients until the last scan; this one's scans soon end.
    case(
        "a progressive JPEG of 8192 by 8192 in half a kilobyte",
        || {
            let mut bytes = std::fs::read(fixture("progressive.jpg")).unwrap();
            let start = bytes
                .windows(2)
                .position(|pair| pair == [0xff, 0xc2])
                .unwrap();
            bytes[start + 5..start + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
            bytes
        },
        Fate::ReadOrDamaged,
        ANY,
    ),
];

const fn case(name: &'static str, bytes: fn() -> Vec<u8>, fate: Fate, limit: u64) -> Case {
    Case {
        name,
        bytes,
        fate,
        limit,
    }
}

fn fate(path: &Path, expected: &Fate) -> Fate {
    let read = read_image(path);
    // A label of the same bytes must not cost more; a dark or a turned one is none.
    match (&read, read_mask(path)) {
        (Ok(_), Err(error)) => assert!(
            matches!(error, Error::AmbiguousMask { .. } | Error::TurnedMap { .. }),
            "{error}"
        ),
        (read, mask) => assert_eq!(read.is_ok(), mask.is_ok()),
    }
    match read {
        Ok(image) => {
            let black = image.iter().step_by(997).all(|&value| value == 0);
            assert!(
                black || *expected != Fate::Read,
                "what was read is not what was packed"
            );
            Fate::Read
        }
        Err(Error::PixelCount { .. }) => Fate::TooLarge,
        Err(Error::Decode { .. }) => Fate::Damaged,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_a_file_claims_does_not_decide_how_much_memory_it_gets() {
    const TEST: &str = "bombs::what_a_file_claims_does_not_decide_how_much_memory_it_gets";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb");
    let mut above = Vec::new();
    for case in &CASES {
        if std::env::var_os("VENULE_MEASURED_INPUT").is_none() {
            std::fs::write(&path, (case.bytes)()).unwrap();
        }
        let input = format!("{}\n{}", path.display(), case.name);
        let bytes = peak(TEST, &input, |input| {
            let (path, name) = input.split_once('\n').unwrap();
            let expected = &CASES.iter().find(|case| case.name == name).unwrap().fate;
            let found = fate(Path::new(path), expected);
            let either = *expected == Fate::ReadOrDamaged && found != Fate::TooLarge;
            assert!(found == *expected || either, "{name}: {found:?}");
        });
        let Some(bytes) = bytes else { return };
        println!("{}: {} MiB of {}", case.name, bytes / MIB, case.limit);
        if bytes > case.limit * MIB {
            above.push(case.name);
        }
    }
    assert!(above.is_empty(), "too much memory for {above:?}");
}
