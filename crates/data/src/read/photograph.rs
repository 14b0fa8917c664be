use std::path::Path;

use image::{DynamicImage, GrayImage, RgbImage};

use super::{MaskRule, Note, ReadMask, decode, label, source};
use crate::{Error, Result};

/// How to read a file that leaves a choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadOptions {
    /// The page of a TIFF, or the picture of a JPEG file that holds several, counted from 1; `None` for the one that is a photograph.
    pub page: Option<usize>,
    /// Bits that samples of a 16-bit file use, 8 to 16; `None` to tell by the brightest.
    pub bits: Option<u32>,
}

impl ReadOptions {
    /// With this page, counted from 1.
    pub fn page(mut self, page: usize) -> Self {
        self.page = Some(page);
        self
    }

    /// With samples of this many bits in a 16-bit file.
    pub fn bits(mut self, bits: u32) -> Self {
        self.bits = Some(bits);
        self
    }
}

/// A photograph, and what is worth saying of its file.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Photograph {
    /// The pixels, upright.
    pub image: RgbImage,
    /// What was passed over, stretched or turned.
    pub notes: Vec<Note>,
    /// The EXIF orientation that was applied, 1 to 8; 1 is none.
    pub orientation: u8,
}

/// Reads a photograph as 8-bit RGB.
///
/// The format (PNG, JPEG, TIFF, BigTIFF, GIF, BMP or PNM, plain or gzipped) is found by content; the file name's extension plays
/// no part. Gray and palette images are expanded, CMYK converted, alpha dropped, the EXIF orientation applied.
///
/// - **16-bit samples** are scaled to 8. Where the brightest is below 2¹⁴, 2¹², 2¹⁰ or 2⁸ they have 14, 12, 10 or 8 bits, and are
///   shifted by their own depth, unless all are multiples of 256 or 257 (8-bit samples in the upper byte).
/// - **Pages of a TIFF** marked as reduced copies or as masks are passed over. Three gray pages that ImageJ or OME wrote as
///   channels are one photograph. Several photographs are an error, unless [`ReadOptions::page`] chooses one.
/// - **Of an animation**, and of several JPEG pictures in one file, the first picture is taken.
///
/// Whatever of this happened is among the [`notes`](Photograph::notes).
///
/// ```
/// use venule_data::{Note, ReadOptions, read_photograph};
/// let path = std::env::temp_dir().join("venule_doc_read_photograph.png");
/// // 12-bit samples in a 16-bit file.
/// let gray = image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 1, vec![160, 4080]);
/// gray.unwrap().save(&path)?;
/// let photograph = read_photograph(&path, &ReadOptions::default())?;
/// assert_eq!(photograph.image.get_pixel(0, 0).0, [10; 3]);
/// assert_eq!(photograph.image.get_pixel(1, 0).0, [255; 3]);
/// assert_eq!(photograph.notes, [Note::Stretched { bits: 12, greatest: 4080 }]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`] or [`Error::FileTooLarge`] (512 MiB) if the file cannot be read;
/// [`Error::UnreadFormat`] or [`Error::UnknownFormat`] if it is no readable image; [`Error::Decode`] (damaged, truncated, or of an
/// unsupported kind such as floating-point samples); [`Error::PixelCount`] (none, or more than [`MAX_PIXELS`](crate::MAX_PIXELS));
/// [`Error::SeveralPages`], [`Error::NoPage`]; [`Error::InvalidConfig`] for bits out of range. All others name the file.
pub fn read_photograph(path: impl AsRef<Path>, options: &ReadOptions) -> Result<Photograph> {
    let path = path.as_ref();
    check_bits(options)?;
    from_bytes(path, source::read(path)?, options)
}

/// Reads a photograph from a file's bytes, where there is no file system or the file came over a network: as [`read_photograph`] in
/// all else. Errors call it `name`.
///
/// ```
/// use std::io::Cursor;
/// use venule_data::{ReadOptions, parse_photograph};
/// let mut png = Cursor::new(Vec::new());
/// image::GrayImage::from_pixel(3, 2, image::Luma([200])).write_to(&mut png, image::ImageFormat::Png)?;
/// let bytes = png.into_inner();
/// let photograph = parse_photograph("dropped.png", bytes.clone(), &ReadOptions::default())?;
/// assert_eq!(photograph.image.get_pixel(2, 1).0, [200, 200, 200]);
/// let error = parse_photograph("dropped.png", bytes[..20].to_vec(), &ReadOptions::default()).unwrap_err();
/// assert!(error.to_string().contains("dropped.png"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_photograph`] that are not of a file.
pub fn parse_photograph(
    name: impl AsRef<Path>,
    bytes: Vec<u8>,
    options: &ReadOptions,
) -> Result<Photograph> {
    let name = name.as_ref();
    check_bits(options)?;
    from_bytes(name, source::unpacked(name, bytes)?, options)
}

fn check_bits(options: &ReadOptions) -> Result<()> {
    match options.bits {
        Some(bits) if !(8..=16).contains(&bits) => Err(Error::InvalidConfig {
            field: "ReadOptions::bits",
            found: bits.to_string(),
            expected: "8 to 16",
        }),
        _ => Ok(()),
    }
}

fn from_bytes(path: &Path, bytes: Vec<u8>, options: &ReadOptions) -> Result<Photograph> {
    let decoded = decode::decode(path, bytes, options, false)?;
    let mut notes = decoded.notes;
    let (image, stretched) = to_eight_bits(decoded.image, options.bits, decoded.max_sample);
    notes.extend(stretched);
    if decoded.orientation != 1 {
        notes.push(Note::Turned {
            orientation: decoded.orientation,
        });
    }
    Ok(Photograph {
        image,
        notes,
        orientation: decoded.orientation,
    })
}

impl Photograph {
    /// Reads a mask that belongs to this photograph, which was read from `photograph_path`, as [`read_mask_with`] does.
    ///
    /// An orientation that both files carry turns both; a mask that carries none must pass [`check_orientation`].
    ///
    /// [`read_mask_with`]: crate::read_mask_with
    ///
    /// # Errors
    /// Those of [`read_mask_with`]; [`Error::TurnedMap`] if the mask carries an orientation that is not the photograph's, and
    /// [`Error::TurnedPhotograph`] of [`check_orientation`].
    pub fn read_mask(
        &self,
        photograph_path: impl AsRef<Path>,
        path: impl AsRef<Path>,
        rule: &MaskRule,
    ) -> Result<ReadMask> {
        let (photograph, path) = (photograph_path.as_ref(), path.as_ref());
        let read = label::read_beside(path, rule, Some((photograph, self.orientation)))?;
        if read.orientation == 1 {
            check_orientation(self, photograph, read.mask.size(), path)?;
        }
        Ok(read)
    }
}

/// Checks that a map that carries no orientation fits a photograph that its own turned or mirrored.
///
/// Whether such a map was drawn over the picture as it is shown or as it is stored cannot be told, unless
/// the two differ in size. A map of the size shown is accepted where that size is not the one stored.
///
/// # Errors
/// [`Error::TurnedPhotograph`], naming both files, unless the map is known to fit.
pub fn check_orientation(
    photograph: &Photograph,
    photograph_path: impl AsRef<Path>,
    map: (usize, usize),
    map_path: impl AsRef<Path>,
) -> Result<()> {
    let (width, height) = photograph.image.dimensions();
    let shown = (width as usize, height as usize);
    let swaps_sides = matches!(photograph.orientation, 5..=8);
    if photograph.orientation == 1 || (swaps_sides && shown.0 != shown.1 && map == shown) {
        return Ok(());
    }
    Err(Error::TurnedPhotograph {
        photograph: photograph_path.as_ref().to_owned(),
        orientation: photograph.orientation,
        map: map_path.as_ref().to_owned(),
    })
}

/// As 8-bit RGB, and whether samples were stretched by a depth below 16.
fn to_eight_bits(
    image: DynamicImage,
    bits: Option<u32>,
    max_sample: u64,
) -> (RgbImage, Option<Note>) {
    let samples = match &image {
        DynamicImage::ImageLuma16(image) => image.as_raw(),
        DynamicImage::ImageLumaA16(image) => image.as_raw(),
        DynamicImage::ImageRgb16(image) => image.as_raw(),
        DynamicImage::ImageRgba16(image) => image.as_raw(),
        _ => return (image.into_rgb8(), None),
    };
    // Alpha, which is opaque mostly, tells nothing of the depth.
    let channels = usize::from(image.color().channel_count());
    let colours = channels - usize::from(image.color().has_alpha());
    let values = || {
        samples
            .chunks_exact(channels)
            .flat_map(|pixel| &pixel[..colours])
    };
    let greatest = values().copied().max().unwrap_or(0);
    let bits = bits.unwrap_or_else(|| {
        let fits = |bits: &u32| greatest >> bits == 0;
        // 281: the greatest sample a TIFF says it has.
        let said = [14, 12, 10, 8]
            .into_iter()
            .find(|&bits| max_sample == (1 << bits) - 1);
        let upper =
            values().all(|value| value % 256 == 0) || values().all(|value| value % 257 == 0);
        match said.filter(fits) {
            Some(bits) => bits,
            None if greatest == 0 || upper => 16,
            None => [8, 10, 12, 14].into_iter().find(fits).unwrap_or(16),
        }
    });
    if bits == 16 {
        return (image.into_rgb8(), None);
    }
    let shift = bits - 8;
    let level = |value: u16| (value >> shift).min(255) as u8;
    let (width, height) = (image.width(), image.height());
    let pixels = samples.chunks_exact(channels);
    let stretched = match colours {
        1 => {
            let levels = pixels.map(|pixel| level(pixel[0])).collect();
            GrayImage::from_raw(width, height, levels)
                .map(|gray| DynamicImage::from(gray).into_rgb8())
        }
        _ => {
            let levels = pixels.flat_map(|pixel| [0, 1, 2].map(|c| level(pixel[c])));
            RgbImage::from_raw(width, height, levels.collect())
        }
    };
    let note = Note::Stretched {
        bits,
        greatest: u32::from(greatest),
    };
    match stretched {
        Some(stretched) => (stretched, Some(note)),
        None => (image.into_rgb8(), None),
    }
}
