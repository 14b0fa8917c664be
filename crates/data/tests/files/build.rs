//! Image files put together by hand: what encoders do not write, and bombs.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// `count` zeros, packed by zlib: a thousandth of them.
pub fn zlib_zeros(count: usize) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    for _ in 0..count >> 20 {
        zlib.write_all(&block).unwrap();
    }
    zlib.write_all(&block[..count % (1 << 20)]).unwrap();
    zlib.finish().unwrap()
}

pub fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    zlib.finish().unwrap()
}

/// PNG colour types.
pub const GRAY: u8 = 0;
pub const RGBA: u8 = 6;

/// A PNG of this size, bit depth and colour type with further chunks before the packed pixels.
pub fn png(
    (width, height): (u32, u32),
    depth: u8,
    color: u8,
    chunks: &[(&[u8; 4], Vec<u8>)],
    packed: &[u8],
) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], body: &[u8]| {
        file.extend((body.len() as u32).to_be_bytes());
        let body = [name, body].concat();
        let mut crc = Crc::new();
        crc.update(&body);
        file.extend(body);
        file.extend(crc.sum().to_be_bytes());
    };
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(b"IHDR", &[size, vec![depth, color, 0, 0, 0]].concat());
    for (name, body) in chunks {
        chunk(name, body);
    }
    chunk(b"IDAT", packed);
    chunk(b"IEND", &[]);
    file
}

/// TIFF compressions.
pub const PLAIN: u32 = 1;
pub const LZW: u32 = 5;
pub const DEFLATE: u32 = 8;

/// A gray 8-bit TIFF in one strip.
pub fn tiff(
    (width, height): (u32, u32),
    compression: u32,
    orientation: u32,
    strip: &[u8],
) -> Vec<u8> {
    const SHORT: u16 = 3;
    const LONG: u16 = 4;
    const TAGS: usize = 10;
    let start = 8 + 2 + TAGS * 12 + 4;
    let entries: [(u16, u16, u32); TAGS] = [
        (256, LONG, width),
        (257, LONG, height),
        (258, SHORT, 8),
        (259, SHORT, compression),
        (262, SHORT, 1),
        (273, LONG, start as u32),
        (274, SHORT, orientation),
        (277, SHORT, 1),
        (278, LONG, height),
        (279, LONG, strip.len() as u32),
    ];
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    file.extend((TAGS as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([1u32.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend(0u32.to_le_bytes());
    file.extend(strip);
    file
}

/// A gray GIF: a screen of one size with one frame, from the upper left, of another.
pub fn gif(screen: (u16, u16), frame: (u16, u16), packed: &[u8]) -> Vec<u8> {
    let size = |(width, height): (u16, u16)| [width.to_le_bytes(), height.to_le_bytes()].concat();
    let mut file = b"GIF89a".to_vec();
    file.extend(size(screen));
    file.extend([0xf7, 0, 0]);
    file.extend((0..=255u8).flat_map(|level| [level; 3]));
    file.extend([0x2c, 0, 0, 0, 0]);
    file.extend(size(frame));
    file.extend([0, 8]);
    for block in packed.chunks(255) {
        file.push(block.len() as u8);
        file.extend(block);
    }
    file.extend([0, 0x3b]);
    file
}

/// At least `count` zeros packed by LZW with codes of 9 to 12 bits, as in TIFF or in GIF.
pub fn lzw_zeros(count: usize, in_gif: bool) -> Vec<u8> {
    const CLEAR: u32 = 256;
    const END: u32 = 257;
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0u64);
    // TIFF fills bytes from their highest bit, GIF from their lowest.
    let mut put = |code: u32, width: u32| {
        match in_gif {
            true => held |= u64::from(code) << bits,
            false => held = held << width | u64::from(code),
        }
        bits += width;
        while bits >= 8 {
            bits -= 8;
            match in_gif {
                true => {
                    bytes.push(held as u8);
                    held >>= 8;
                }
                false => bytes.push((held >> bits) as u8),
            }
        }
    };
    let mut written = 0;
    let (mut next, mut width) = (0, 0);
    while written < count {
        if next == 0 {
            (next, width) = (258, 9);
            put(CLEAR, width);
            put(0, width);
            written += 1;
        }
        // The newest code stands for one zero more than the one before it.
        put(next, width);
        written += next as usize - 256;
        next += 1;
        // TIFF widens its codes one code earlier than it must.
        if next + u32::from(!in_gif) == 1 << width {
            width += 1;
        }
        if next == 4093 {
            put(CLEAR, width.min(12));
            next = 0;
        }
    }
    put(END, if next == 0 { 9 } else { width.min(12) });
    put(0, 7);
    bytes
}

/// One page of a TIFF: its tags beside those of size and strip, and the bytes of its one strip.
#[derive(Clone, Default)]
pub struct TiffPage {
    pub size: (u32, u32),
    pub tags: Vec<(u16, TiffValue)>,
    pub strip: Vec<u8>,
}

#[derive(Clone)]
pub enum TiffValue {
    Shorts(Vec<u16>),
    Long(u32),
    Text(&'static str),
}

/// An uncompressed TIFF, or BigTIFF, of these pages.
pub fn tiff_of(big: bool, pages: &[TiffPage]) -> Vec<u8> {
    let word = if big { 8 } else { 4 };
    let number = |value: u64, width: usize| value.to_le_bytes()[..width].to_vec();
    let mut file = match big {
        true => b"II\x2b\0\x08\0\0\0".to_vec(),
        false => b"II*\0".to_vec(),
    };
    // Where the offset of the next directory goes.
    let mut link = file.len();
    file.extend(number(0, word));
    for page in pages {
        let strip = file.len() as u64;
        file.extend(&page.strip);
        let mut tags = page.tags.clone();
        tags.push((256, TiffValue::Long(page.size.0)));
        tags.push((257, TiffValue::Long(page.size.1)));
        tags.push((259, TiffValue::Shorts(vec![1])));
        tags.push((273, TiffValue::Long(strip as u32)));
        tags.push((278, TiffValue::Long(page.size.1)));
        tags.push((279, TiffValue::Long(page.strip.len() as u32)));
        tags.sort_by_key(|(tag, _)| *tag);
        let mut entries = Vec::new();
        for (tag, value) in &tags {
            let (kind, count, bytes) = match value {
                TiffValue::Shorts(values) => {
                    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
                    (3, values.len(), bytes)
                }
                TiffValue::Long(value) => (4, 1, value.to_le_bytes().to_vec()),
                TiffValue::Text(text) => (2, text.len() + 1, [text.as_bytes(), &[0]].concat()),
            };
            entries.extend(number(u64::from(*tag), 2));
            entries.extend(number(kind, 2));
            entries.extend(number(count as u64, word));
            let mut place: Vec<u8> = bytes;
            if place.len() > word {
                let at = file.len() as u64;
                file.extend(&place);
                place = number(at, word);
            }
            place.resize(word, 0);
            entries.extend(place);
        }
        let at = file.len() as u64;
        file[link..link + word].copy_from_slice(&number(at, word));
        file.extend(number(tags.len() as u64, if big { 8 } else { 2 }));
        file.extend(entries);
        link = file.len();
        file.extend(number(0, word));
    }
    file
}

/// A gray or RGB page of 8-bit samples.
pub fn page(size: (u32, u32), samples: &[u8]) -> TiffPage {
    let channels = samples.len() as u32 / (size.0 * size.1);
    let photometric = if channels == 1 { 1 } else { 2 };
    TiffPage {
        size,
        tags: vec![
            (258, TiffValue::Shorts(vec![8; channels as usize])),
            (262, TiffValue::Shorts(vec![photometric])),
            (277, TiffValue::Shorts(vec![channels as u16])),
        ],
        strip: samples.to_vec(),
    }
}
