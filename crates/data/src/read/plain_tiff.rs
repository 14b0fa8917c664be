use std::io::Cursor;

use image::{DynamicImage, GrayImage, RgbImage};
use tiff::ColorType;
use tiff::decoder::Decoder;
use tiff::tags::{CompressionMethod, PhotometricInterpretation, PlanarConfiguration, Tag};

use super::MAX_PIXELS;
use super::lzw::Lzw;

/// An upright 8-bit gray or RGB image in strips of plain LZW, as DRIVE's photographs and HRF's fields of view are, decoded without the
/// crate `tiff`, whose LZW takes most of the time that reading DRIVE takes.
///
/// `None` for any other kind, and for a damaged file: that crate reads those, or says what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let mut file = Decoder::new(Cursor::new(bytes)).ok()?;
    let (width, height) = file.dimensions().ok()?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return None;
    }
    let (samples, photometric) = match file.colortype().ok()? {
        ColorType::Gray(8) => (1, PhotometricInterpretation::BlackIsZero),
        ColorType::RGB(8) => (3, PhotometricInterpretation::RGB),
        _ => return None,
    };
    let mut is = |tag, expected: u16, when_absent| match file.find_tag_unsigned::<u16>(tag) {
        Ok(Some(value)) => value == expected,
        Ok(None) => when_absent,
        Err(_) => false,
    };
    let plain = is(Tag::Compression, CompressionMethod::LZW.to_u16(), false)
        && is(Tag::PhotometricInterpretation, photometric.to_u16(), false)
        && is(
            Tag::PlanarConfiguration,
            PlanarConfiguration::Chunky.to_u16(),
            true,
        )
        && is(Tag::Predictor, 1, true)
        && is(Tag::Orientation, 1, true)
        && is(Tag::FillOrder, 1, true);
    if !plain {
        return None;
    }
    let mut list = |tag| file.find_tag_unsigned_vec::<u64>(tag).ok().flatten();
    let one = |format: &u64| *format == 1;
    if !list(Tag::SampleFormat).is_none_or(|formats| formats.iter().all(one)) {
        return None;
    }
    let (offsets, lengths) = (list(Tag::StripOffsets)?, list(Tag::StripByteCounts)?);
    let rows =
        list(Tag::RowsPerStrip).map_or(Some(u64::from(height)), |rows| rows.first().copied())?;
    let rows = rows.min(u64::from(height)) as usize;

    let row = width as usize * samples;
    let mut pixels = vec![0; row * height as usize];
    if rows == 0
        || offsets.len() != lengths.len()
        || offsets.len() != (height as usize).div_ceil(rows)
    {
        return None;
    }
    let mut lzw = Lzw::new();
    let strips = offsets.iter().zip(&lengths);
    for (out, (&offset, &length)) in pixels.chunks_mut(rows * row).zip(strips) {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        lzw.unpack(bytes.get(start..end)?, out)?;
    }
    match samples {
        1 => GrayImage::from_raw(width, height, pixels).map(DynamicImage::from),
        _ => RgbImage::from_raw(width, height, pixels).map(DynamicImage::from),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tiff::encoder::colortype::{Gray8, Gray16, RGB8};
    use tiff::encoder::{Compression, Predictor, TiffEncoder};

    use super::*;

    /// An image file of the given pixels, its strips of `rows` rows each.
    fn file(
        (width, height): (u32, u32),
        pixels: &[u8],
        rows: u32,
        compression: Compression,
        predictor: Predictor,
    ) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        let encoder = TiffEncoder::new(&mut out).unwrap();
        let encoder = encoder.with_compression(compression);
        let mut encoder = encoder.with_predictor(predictor);
        if pixels.len() == (width * height) as usize {
            let mut image = encoder.new_image::<Gray8>(width, height).unwrap();
            image.rows_per_strip(rows).unwrap();
            image.write_data(pixels).unwrap();
        } else {
            let mut image = encoder.new_image::<RGB8>(width, height).unwrap();
            image.rows_per_strip(rows).unwrap();
            image.write_data(pixels).unwrap();
        }
        out.into_inner()
    }

    fn plain(size: (u32, u32), pixels: &[u8], rows: u32) -> Vec<u8> {
        file(size, pixels, rows, Compression::Lzw, Predictor::None)
    }

    proptest! {
        #[test]
        fn what_the_crate_packs_comes_back(
            width in 1u32..150, height in 1u32..90, rows in 1u32..90, colour: bool, levels in 1u32..=256, seed: u32,
        ) {
            let samples = width * height * if colour { 3 } else { 1 };
            let level = |i: u32| {
                let mixed = (i ^ seed).wrapping_mul(0x9E37_79B1);
                ((mixed ^ (mixed >> 15)).wrapping_mul(0x85EB_CA77) >> 16) % levels
            };
            let pixels: Vec<u8> = (0..samples).map(|i| level(i) as u8).collect();
            let bytes = plain((width, height), &pixels, rows);
            let image = decode(&bytes).unwrap();
            prop_assert_eq!((image.width(), image.height()), (width, height));
            prop_assert_eq!(image.color().has_color(), colour);
            prop_assert_eq!(image.as_bytes(), &pixels[..]);
        }

        #[test]
        fn of_a_damaged_file_no_more_is_read_than_the_crate_reads(at in 0usize..4000, value: u8, cut in 0usize..4000) {
            let pixels: Vec<u8> = (0..60 * 40u32).map(|i| (i * i / 7) as u8).collect();
            let mut bytes = plain((60, 40), &pixels, 7);
            let (at, cut) = (at % bytes.len(), cut % bytes.len());
            prop_assert!(decode(&bytes[..cut]).is_none());
            bytes[at] = value;
            if let Some(image) = decode(&bytes) {
                prop_assert_eq!(Some(image), image::load_from_memory(&bytes).ok());
            }
        }
    }

    #[test]
    fn other_kinds_are_left_to_the_crate() {
        let pixels: Vec<u8> = (0..=255).collect();
        let with =
            |compression, predictor| decode(&file((16, 16), &pixels, 4, compression, predictor));
        assert!(with(Compression::Lzw, Predictor::None).is_some());
        assert!(with(Compression::Lzw, Predictor::Horizontal).is_none());
        assert!(with(Compression::Packbits, Predictor::None).is_none());
        let mut wide = Cursor::new(Vec::new());
        let encoder = TiffEncoder::new(&mut wide).unwrap();
        encoder
            .with_compression(Compression::Lzw)
            .write_image::<Gray16>(2, 1, &[1, 2])
            .unwrap();
        assert!(decode(wide.get_ref()).is_none());
        assert!(decode(b"II*\0").is_none());
    }
}
