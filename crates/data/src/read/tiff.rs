use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, GrayAlphaImage, GrayImage, ImageBuffer, Luma, LumaA, Rgb, RgbImage};
use tiff::decoder::{Decoder, DecodingResult, Limits};

use super::pages::{Page, Pages};
use super::{MAX_PIXELS, Note, ReadOptions};
use crate::{Error, Result};

pub(super) mod white;

/// Which page of a TIFF to decode.
pub(super) enum Choice {
    /// The first, as it stands.
    First(Option<Note>),
    /// Another one.
    Page(Box<Page>, Option<Note>),
    /// Gray pages that are red, green and blue.
    Channels(Box<[Page; 3]>, Note),
}

/// Decides which of a TIFF's pages is the photograph.
///
/// Pages marked as reduced copies or as masks are passed over; of what is left there must be one.
///
/// # Errors
/// [`Error::SeveralPages`], [`Error::NoPage`], and [`Error::UnreadFormat`] for a camera's raw photograph.
pub(super) fn choose(
    path: &Path,
    pages: &Pages<'_>,
    options: &ReadOptions,
    is_map: bool,
) -> Result<Choice> {
    let list = &pages.list;
    if pages.is_raw() {
        return Err(Error::UnreadFormat {
            path: path.to_owned(),
            what: "a raw photograph (DNG, NEF or the like)".to_owned(),
            remedy: "develop it with a raw converter, and save it as PNG",
        });
    }
    if let Some(page) = options.page {
        let chosen = page.checked_sub(1).and_then(|index| list.get(index));
        let Some(chosen) = chosen else {
            return Err(Error::NoPage {
                path: path.to_owned(),
                page,
                pages: list.len(),
            });
        };
        let several = Note::PageChosen {
            page,
            pages: list.len(),
        };
        return Ok(Choice::Page(
            Box::new(chosen.clone()),
            (list.len() > 1).then_some(several),
        ));
    }
    if list.len() < 2 && list.iter().all(|page| page.besides().is_none()) {
        return Ok(Choice::First(None));
    }
    let photographs: Vec<usize> = (0..list.len())
        .filter(|&index| list[index].besides().is_none())
        .collect();
    let passed_over = |chosen: usize| {
        let others = (0..list.len()).filter(|&index| index != chosen);
        let others = others.map(|index| (index + 1, list[index].besides().unwrap_or_default()));
        let note = Note::PagesPassedOver {
            page: chosen + 1,
            pages: list.len(),
            others: others.collect(),
        };
        (list.len() > 1).then_some(note)
    };
    match photographs[..] {
        [only] => Ok(Choice::Page(
            Box::new(list[only].clone()),
            passed_over(only),
        )),
        [] => {
            // All are copies of something: of what hangs below them, or of nothing.
            let below = pages.below();
            if let Some(page) = below
                .into_iter()
                .max_by_key(|page| page.width.saturating_mul(page.height))
            {
                return Ok(Choice::Page(Box::new(page), None));
            }
            let largest =
                (0..list.len()).max_by_key(|&i| list[i].width.saturating_mul(list[i].height));
            Ok(match largest {
                Some(index) => Choice::Page(Box::new(list[index].clone()), passed_over(index)),
                None => Choice::First(None),
            })
        }
        _ if pages.are_channels(&photographs) => {
            let page = |index: usize| list[photographs[index]].clone();
            let note = Note::ChannelsJoined { pages: 3 };
            let channels = Box::new([page(0), page(1), page(2)]);
            Ok(Choice::Channels(channels, note))
        }
        _ => {
            let size = |&index: &usize| {
                let Page { width, height, .. } = list[index];
                format!("page {}: {width}x{height}", index + 1)
            };
            let mut sizes: Vec<String> = photographs.iter().take(4).map(size).collect();
            if photographs.len() > 4 {
                sizes.push("...".to_owned());
            }
            Err(Error::SeveralPages {
                path: path.to_owned(),
                photographs: photographs.len(),
                sizes: sizes.join(", "),
                is_map,
            })
        }
    }
}

/// Puts three gray images of one size together as red, green and blue.
pub(super) fn join(channels: [DynamicImage; 3]) -> Option<DynamicImage> {
    let [red, green, blue] = channels;
    let (width, height) = (red.width(), red.height());
    match (red, green, blue) {
        (
            DynamicImage::ImageLuma8(red),
            DynamicImage::ImageLuma8(green),
            DynamicImage::ImageLuma8(blue),
        ) => {
            let pixels = red.iter().zip(green.iter()).zip(blue.iter());
            let pixels = pixels.flat_map(|((&r, &g), &b)| [r, g, b]).collect();
            RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
        }
        (
            DynamicImage::ImageLuma16(red),
            DynamicImage::ImageLuma16(green),
            DynamicImage::ImageLuma16(blue),
        ) => {
            let pixels = red.iter().zip(green.iter()).zip(blue.iter());
            let pixels = pixels.flat_map(|((&r, &g), &b)| [r, g, b]).collect();
            ImageBuffer::<Rgb<u16>, Vec<u16>>::from_raw(width, height, pixels)
                .map(DynamicImage::from)
        }
        _ => None,
    }
}

/// Decodes kinds that the crate `image` does not know: palettes, gray of 2, 4 or 32 bits, gray with alpha.
///
/// Whole numbers of 32 bits become 16: as they are if all fit, else their upper half. Floating-point samples, which only maps may
/// have, must lie in 0 to 1. `None` for any other kind; an error is the decoder's text.
pub(super) fn unusual(
    pages: &Pages<'_>,
    page: &Page,
    is_map: bool,
    limit: u64,
) -> Option<std::result::Result<DynamicImage, String>> {
    let gray = matches!(page.photometric, 0 | 1);
    let known = match (page.samples, page.bits, page.photometric) {
        (1, 1 | 2 | 4 | 8, 3) => true,
        (1, 2 | 4, _) if gray => true,
        (1, 32, _) if gray => true,
        (2, 8 | 16, _) if gray && page.alpha => true,
        _ => false,
    };
    let pixels = page.width.saturating_mul(page.height);
    if !known || (page.float && !is_map) || pixels == 0 || pixels > MAX_PIXELS {
        return None;
    }
    Some(decode(pages, page, limit))
}

fn decode(pages: &Pages<'_>, page: &Page, limit: u64) -> std::result::Result<DynamicImage, String> {
    let is_palette = page.photometric == 3;
    let bytes = pages.with_first(page, is_palette);
    let mut limits = Limits::default();
    limits.decoding_buffer_size = usize::try_from(limit).unwrap_or(usize::MAX);
    limits.intermediate_buffer_size = limits.decoding_buffer_size;
    limits.ifd_value_size = limits.decoding_buffer_size;
    let said = |error: tiff::TiffError| error.to_string();
    let mut decoder = Decoder::new(Cursor::new(bytes))
        .map_err(said)?
        .with_limits(limits);
    let (width, height) = decoder.dimensions().map_err(said)?;
    let short = || "fewer samples than pixels".to_owned();
    Ok(match decoder.read_image().map_err(said)? {
        DecodingResult::U8(samples) if page.samples == 2 => {
            GrayAlphaImage::from_raw(width, height, samples)
                .ok_or_else(short)?
                .into()
        }
        DecodingResult::U16(samples) if page.samples == 2 => {
            let image = ImageBuffer::<LumaA<u16>, Vec<u16>>::from_raw(width, height, samples);
            image.ok_or_else(short)?.into()
        }
        DecodingResult::U8(samples) => {
            let indices = unpacked(&samples, width as usize, height as usize, page.bits);
            if is_palette {
                let palette = pages.palette(page).ok_or("its palette is damaged")?;
                // Some programs write palettes of 8 bits where 16 belong.
                let narrow = palette.iter().flatten().all(|&value| value < 256);
                let level = |value: u16| if narrow { value } else { value >> 8 } as u8;
                let colour = |index: u8| palette[usize::from(index)].map(level);
                let colours = indices.into_iter().flat_map(colour).collect();
                RgbImage::from_raw(width, height, colours)
                    .ok_or_else(short)?
                    .into()
            } else {
                // As for PNG: the greatest index is white.
                let greatest = (1u16 << page.bits) - 1;
                let level = |index: u8| (u16::from(index) * 255 / greatest) as u8;
                let levels = indices.into_iter().map(level).collect();
                GrayImage::from_raw(width, height, levels)
                    .ok_or_else(short)?
                    .into()
            }
        }
        DecodingResult::U32(mut samples) => {
            // As 16 bits would be: what the decoder inverts lies at the upper end, where it would lose its lower half.
            if page.inverts() && samples.iter().all(|&value| u16::try_from(!value).is_ok()) {
                for value in &mut samples {
                    *value &= u32::from(u16::MAX);
                }
            }
            let fits = samples.iter().all(|&value| value <= u32::from(u16::MAX));
            let upper = |value: u32| ((value >> 16) as u16).max(u16::from(value > 0));
            let level = |&value: &u32| if fits { value as u16 } else { upper(value) };
            let levels = samples.iter().map(level).collect();
            wide(width, height, levels).ok_or_else(short)?
        }
        DecodingResult::F32(samples) => {
            if !samples.iter().all(|value| (0.0..=1.0).contains(value)) {
                return Err("floating-point samples must lie in 0 to 1".to_owned());
            }
            let level = |value: &f32| (value * f32::from(u16::MAX)).round() as u16;
            wide(width, height, samples.iter().map(level).collect()).ok_or_else(short)?
        }
        _ => return Err("samples are of a kind that is not read".to_owned()),
    })
}

fn wide(width: u32, height: u32, levels: Vec<u16>) -> Option<DynamicImage> {
    ImageBuffer::<Luma<u16>, Vec<u16>>::from_raw(width, height, levels).map(DynamicImage::from)
}

/// Samples of 1 to 8 bits, whose rows begin on whole bytes, one a byte.
fn unpacked(packed: &[u8], width: usize, height: usize, bits: u64) -> Vec<u8> {
    let bits = bits.clamp(1, 8) as usize;
    let row = (width * bits).div_ceil(8);
    let mask = (0xffu16 >> (8 - bits)) as u8;
    let mut samples = Vec::with_capacity(width * height);
    for row in packed.chunks_exact(row.max(1)).take(height) {
        samples.extend((0..width).map(|x| {
            let bit = x * bits;
            row[bit / 8] >> (8 - bits - bit % 8) & mask
        }));
    }
    samples
}
