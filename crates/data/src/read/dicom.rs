//! Photographs in DICOM files, which the feature `dicom` reads: uncompressed, or as baseline JPEG.
//!
//! The crates there are claim the memory that a length field names before a byte of it is read, up to 4 GiB for a file of 200 bytes;
//! here every length is held against the bytes there are.

use image::{DynamicImage, ImageBuffer};

use super::MAX_PIXELS;

/// Group and element number.
type Tag = (u16, u16);

const TRANSFER_SYNTAX: Tag = (0x0002, 0x0010);
const PIXEL_DATA: Tag = (0x7fe0, 0x0010);
const ITEM: Tag = (0xfffe, 0xe000);
const ITEM_END: Tag = (0xfffe, 0xe00d);
const SEQUENCE_END: Tag = (0xfffe, 0xe0dd);
const UNDEFINED: u32 = u32::MAX;

/// Why a file is not read.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// It is damaged, or says what cannot be.
    Damaged(String),
    /// Its pixels are stored in a way that is not read, such as `"JPEG 2000"`.
    Unread(String),
}

type Result<T> = std::result::Result<T, Refusal>;

fn damaged<T>(what: impl Into<String>) -> Result<T> {
    Err(Refusal::Damaged(what.into()))
}

fn unread<T>(what: impl Into<String>) -> Result<T> {
    Err(Refusal::Unread(what.into()))
}

/// What a file says of its pictures, and where their bytes are.
#[derive(Debug)]
pub(super) struct Dicom<'a> {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Number of pictures.
    pub(super) frames: usize,
    samples: u16,
    photometric: String,
    planar: bool,
    allocated: u16,
    stored: u16,
    pixels: Pixels<'a>,
}

#[derive(Debug)]
enum Pixels<'a> {
    Native(&'a [u8]),
    /// The fragments of baseline JPEG streams.
    Jpeg(Vec<&'a [u8]>),
}

/// One picture of a file.
pub(super) enum Picture {
    /// Its samples, and the greatest value that they can have.
    Samples(DynamicImage, u64),
    /// A JPEG stream.
    Jpeg(Vec<u8>),
}

/// Reads elements, in the way of writing them that a transfer syntax names.
struct Elements<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether each element names the kind of its value.
    explicit: bool,
}

impl<'a> Elements<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(length);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += length;
                Ok(bytes)
            }
            None => damaged(format!(
                "it ends at byte {}, within a value of {length} bytes that begins at {}",
                self.bytes.len(),
                self.at
            )),
        }
    }

    fn u16(&mut self) -> Result<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_le_bytes([bytes[0], bytes[1]]))
    }

    fn u32(&mut self) -> Result<u32> {
        let low = self.u16()?;
        Ok(u32::from(low) | u32::from(self.u16()?) << 16)
    }

    fn tag(&mut self) -> Result<Tag> {
        Ok((self.u16()?, self.u16()?))
    }

    /// The length of the value behind a tag.
    fn length(&mut self, tag: Tag) -> Result<u32> {
        // Items name no kind, in either way of writing.
        if !self.explicit || tag.0 == ITEM.0 {
            return self.u32();
        }
        let kind = self.take(2)?;
        const LONG: [&[u8; 2]; 13] = [
            b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT",
            b"UV",
        ];
        match LONG.iter().any(|long| kind == *long) {
            true => {
                self.take(2)?;
                self.u32()
            }
            false => Ok(u32::from(self.u16()?)),
        }
    }

    /// Passes over a sequence of no stated length, whose header was read, with all that is nested in it.
    fn pass_sequence(&mut self) -> Result<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            let tag = self.tag()?;
            let length = self.length(tag)?;
            match tag {
                ITEM_END | SEQUENCE_END => depth -= 1,
                _ if length == UNDEFINED => depth += 1,
                _ => drop(self.take(length as usize)?),
            }
        }
        Ok(())
    }
}

/// A text value without the blank or zero that fills it up.
fn text(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace())
        .to_owned()
}

impl<'a> Dicom<'a> {
    /// Reads what a file says, down to its pictures.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Self> {
        let mut file = Elements {
            bytes,
            at: 132,
            explicit: true,
        };
        let syntax = transfer_syntax(&mut file)?;
        let jpeg = match syntax.as_str() {
            "1.2.840.10008.1.2" => {
                file.explicit = false;
                false
            }
            "1.2.840.10008.1.2.1" => false,
            "1.2.840.10008.1.2.4.50" => true,
            other => return unread(syntax_name(other)),
        };
        let (mut width, mut height, mut frames) = (None, None, 1);
        let (mut samples, mut allocated, mut stored) = (1, 8, None);
        let (mut photometric, mut planar, mut signed) = (String::new(), false, false);
        let pixels = loop {
            if file.at >= bytes.len() {
                return damaged("it holds no picture");
            }
            let tag = file.tag()?;
            let length = file.length(tag)?;
            if tag == PIXEL_DATA {
                break match (jpeg, length) {
                    (true, UNDEFINED) => Pixels::Jpeg(fragments(&mut file)?),
                    (false, length) if length != UNDEFINED => {
                        Pixels::Native(file.take(length as usize)?)
                    }
                    _ => return damaged("its picture is not stored as its transfer syntax says"),
                };
            }
            if length == UNDEFINED {
                file.pass_sequence()?;
                continue;
            }
            let value = file.take(length as usize)?;
            let number = value
                .first_chunk()
                .map(|number| u16::from_le_bytes(*number));
            match tag {
                (0x0028, 0x0002) => samples = number.unwrap_or(samples),
                (0x0028, 0x0004) => photometric = text(value),
                (0x0028, 0x0006) => planar = number == Some(1),
                (0x0028, 0x0008) => match text(value).parse() {
                    Ok(count) if count > 0 => frames = count,
                    _ => return damaged(format!("its number of frames is '{}'", text(value))),
                },
                (0x0028, 0x0010) => height = number,
                (0x0028, 0x0011) => width = number,
                (0x0028, 0x0100) => allocated = number.unwrap_or(allocated),
                (0x0028, 0x0101) => stored = number,
                (0x0028, 0x0103) => signed = number == Some(1),
                _ => {}
            }
        };
        if signed {
            return unread("signed samples");
        }
        let (Some(width), Some(height)) = (width, height) else {
            return damaged("it does not say how large its picture is");
        };
        Ok(Self {
            width: u32::from(width),
            height: u32::from(height),
            frames,
            samples,
            photometric,
            planar,
            allocated,
            stored: stored.unwrap_or(allocated),
            pixels,
        })
    }

    /// A picture, counted from 0.
    pub(super) fn picture(&self, frame: usize) -> Result<Picture> {
        match &self.pixels {
            Pixels::Jpeg(fragments) => match (self.frames, fragments.len()) {
                (1, _) => Ok(Picture::Jpeg(fragments.concat())),
                (frames, count) if frames == count => Ok(Picture::Jpeg(fragments[frame].to_vec())),
                (frames, count) => unread(format!("{frames} frames in {count} fragments")),
            },
            Pixels::Native(bytes) => {
                let (image, greatest) = self.native(bytes, frame)?;
                Ok(Picture::Samples(image, greatest))
            }
        }
    }

    /// Uncompressed samples.
    fn native(&self, bytes: &[u8], frame: usize) -> Result<(DynamicImage, u64)> {
        let (width, height) = (self.width, self.height);
        let pixels = (width as usize) * (height as usize);
        // Its caller has looked at the number of pixels, so that this does not overflow.
        debug_assert!(pixels as u64 <= MAX_PIXELS);
        let (channels, depth) = match (self.samples, self.allocated) {
            (1 | 3, 8 | 16) => (usize::from(self.samples), usize::from(self.allocated / 8)),
            (samples, bits) => return unread(format!("{samples} samples of {bits} bits a pixel")),
        };
        let kind = match (self.photometric.as_str(), channels) {
            ("MONOCHROME1", 1) => Kind::WhiteIsZero,
            ("MONOCHROME2", 1) | ("RGB", 3) => Kind::AsTheyAre,
            ("YBR_FULL", 3) if depth == 1 => Kind::Ycbcr,
            (other, count) => {
                return unread(format!("'{other}' colours in {count} samples a pixel"));
            }
        };
        if !(1..=self.allocated).contains(&self.stored) {
            let (stored, allocated) = (self.stored, self.allocated);
            return damaged(format!("it stores {stored} bits in samples of {allocated}"));
        }
        let length = pixels * channels * depth;
        let start = length.checked_mul(frame);
        let frame = start.and_then(|start| bytes.get(start..)?.get(..length));
        let Some(frame) = frame else {
            return damaged(format!(
                "{} frames of {width}x{height} need {} bytes, and it holds {}",
                self.frames,
                length.saturating_mul(self.frames),
                bytes.len()
            ));
        };
        let greatest = (1_u32 << self.stored) - 1;
        let sample = |index: usize| match depth {
            1 => u16::from(frame[index]),
            _ => u16::from_le_bytes([frame[2 * index], frame[2 * index + 1]]),
        };
        // Bits above those stored may hold anything.
        let level = |index: usize| match kind {
            Kind::WhiteIsZero => greatest as u16 - (sample(index) & greatest as u16),
            _ => sample(index) & greatest as u16,
        };
        let index = |pixel: usize, channel: usize| match self.planar {
            true => channel * pixels + pixel,
            false => pixel * channels + channel,
        };
        let mut levels = Vec::with_capacity(pixels * channels);
        for pixel in 0..pixels {
            match kind {
                Kind::Ycbcr => levels.extend(rgb([0, 1, 2].map(|c| level(index(pixel, c))))),
                _ => levels.extend((0..channels).map(|c| level(index(pixel, c)))),
            }
        }
        let image = match (depth, channels) {
            (1, 1) => buffer(width, height, eight(&levels)).map(DynamicImage::ImageLuma8),
            (1, _) => buffer(width, height, eight(&levels)).map(DynamicImage::ImageRgb8),
            (_, 1) => buffer(width, height, levels).map(DynamicImage::ImageLuma16),
            (_, _) => buffer(width, height, levels).map(DynamicImage::ImageRgb16),
        };
        match image {
            Some(image) => Ok((image, u64::from(greatest))),
            None => damaged("its samples do not fill its picture"),
        }
    }
}

/// What samples mean.
#[derive(Clone, Copy)]
enum Kind {
    AsTheyAre,
    WhiteIsZero,
    Ycbcr,
}

fn buffer<P: image::Pixel>(
    width: u32,
    height: u32,
    levels: Vec<P::Subpixel>,
) -> Option<ImageBuffer<P, Vec<P::Subpixel>>> {
    ImageBuffer::from_raw(width, height, levels)
}

fn eight(levels: &[u16]) -> Vec<u8> {
    levels.iter().map(|&level| level as u8).collect()
}

/// Red, green and blue of luma and chroma (ITU-T T.871).
fn rgb([y, cb, cr]: [u16; 3]) -> [u16; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136 * cb - 0.714_136 * cr,
        y + 1.772 * cb,
    ]
    .map(|level| level.round().clamp(0.0, 255.0) as u16)
}

/// How the data set is written, which the group before it says; that group is always explicit.
fn transfer_syntax(file: &mut Elements<'_>) -> Result<String> {
    let mut syntax = None;
    loop {
        let at = file.at;
        let tag = file.tag()?;
        if tag.0 != TRANSFER_SYNTAX.0 {
            file.at = at;
            break;
        }
        let length = file.length(tag)?;
        let value = file.take(length as usize)?;
        if tag == TRANSFER_SYNTAX {
            syntax = Some(text(value));
        }
    }
    match syntax {
        Some(syntax) => Ok(syntax),
        None => damaged("it does not say how it is written (transfer syntax)"),
    }
}

/// What a transfer syntax that is not read is called.
fn syntax_name(uid: &str) -> String {
    let name = match uid.strip_prefix("1.2.840.10008.1.2.").unwrap_or_default() {
        "2" => "samples in big-endian order",
        "1.99" => "a deflated data set",
        "4.51" => "extended JPEG",
        "4.57" | "4.70" => "lossless JPEG",
        "4.80" | "4.81" => "JPEG-LS",
        "4.90" | "4.91" | "4.92" | "4.93" => "JPEG 2000",
        "4.201" | "4.202" | "4.203" => "high-throughput JPEG 2000",
        "4.110" | "4.111" | "4.112" => "JPEG XL",
        "5" => "run lengths",
        other if other.starts_with("4.10") => "a video",
        _ => return format!("transfer syntax {uid}"),
    };
    name.to_owned()
}

/// The fragments behind the table of offsets.
fn fragments<'a>(file: &mut Elements<'a>) -> Result<Vec<&'a [u8]>> {
    let mut items = Vec::new();
    loop {
        let tag = file.tag()?;
        let length = file.u32()?;
        match tag {
            ITEM if length != UNDEFINED => items.push(file.take(length as usize)?),
            SEQUENCE_END => break,
            _ => return damaged("its fragments are not items"),
        }
    }
    match items.len() {
        0 | 1 => damaged("it holds no picture"),
        _ => Ok(items.split_off(1)),
    }
}
