use std::collections::BTreeSet;
use std::ops::Range;

/// Most pages that are looked at, and most entries of one: bounds on the time that a hostile file takes.
const MOST: usize = 4096;

const NEW_SUBFILE_TYPE: u16 = 254;
const SUBFILE_TYPE: u16 = 255;
const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const DESCRIPTION: u16 = 270;
const STRIP_OFFSETS: u16 = 273;
const ORIENTATION: u16 = 274;
const SAMPLES: u16 = 277;
const STRIP_LENGTHS: u16 = 279;
const MAX_SAMPLE: u16 = 281;
const PLANES: u16 = 284;
const COLOR_MAP: u16 = 320;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const SUB_IFDS: u16 = 330;
const EXTRA_SAMPLES: u16 = 338;
const SAMPLE_FORMAT: u16 = 339;
const DNG_VERSION: u16 = 50_706;

/// The pages of a TIFF, and where in its bytes things lie.
pub(super) struct Pages<'a> {
    file: Reader<'a>,
    /// The main chain, in order.
    pub(super) list: Vec<Page>,
}

/// One image file directory.
#[derive(Clone, Debug)]
pub(super) struct Page {
    /// Where it begins.
    pub(super) offset: u64,
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) samples: u64,
    pub(super) bits: u64,
    pub(super) photometric: u64,
    /// Whether samples are floating point.
    pub(super) float: bool,
    /// The greatest sample value that the file says, or 0.
    pub(super) max_sample: u64,
    /// Whether the first extra sample is alpha.
    pub(super) alpha: bool,
    pub(super) orientation: u8,
    /// Whether the bits of each byte of its pixels come from the lowest on, which decoders do not know.
    pub(super) mirrored: bool,
    is_planar: bool,
    is_raw: bool,
    reduced: bool,
    mask: bool,
    /// Where the value of the photometric interpretation lies.
    photometric_at: Option<usize>,
    color_map: Option<Range<usize>>,
    description: Option<Range<usize>>,
    sub: Vec<u64>,
    strips: Parts,
    tiles: Parts,
}

/// Where the offsets and the lengths of strips or tiles stand.
#[derive(Clone, Debug, Default)]
struct Parts {
    offsets: Option<Numbers>,
    lengths: Option<Numbers>,
}

/// Numbers of `size` bytes each.
#[derive(Clone, Debug)]
struct Numbers {
    at: usize,
    size: usize,
    count: usize,
}

impl Page {
    /// Whether 0 is white in samples whose depth is not told by their width.
    pub(super) fn inverts(&self) -> bool {
        self.photometric == 0 && self.samples == 1 && !self.float && matches!(self.bits, 16 | 32)
    }

    /// Whether it is of tiles, each of one colour.
    pub(super) fn is_tiled_planar(&self) -> bool {
        self.is_planar && self.samples > 1 && self.tiles.offsets.is_some()
    }

    /// What it is, if it is no photograph of its own.
    pub(super) fn besides(&self) -> Option<String> {
        let size = format!("{}x{}", self.width, self.height);
        match self {
            Self { mask: true, .. } => Some(format!("a transparency mask of {size}")),
            Self { reduced: true, .. } => Some(format!("a reduced copy of {size}")),
            _ => None,
        }
    }
}

impl<'a> Pages<'a> {
    /// Follows the chain of directories; what is damaged ends it.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let file = Reader {
            bytes,
            little: bytes.starts_with(b"II"),
            big: super::kind::is_big_tiff(bytes),
        };
        let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
        let mut next = match file.big {
            true => file.number(8, 8),
            false => file.number(4, 4),
        };
        while let Some(offset) = next
            && offset != 0
            && list.len() < MOST
            && seen.insert(offset)
        {
            let Some((page, after)) = file.page(offset) else {
                break;
            };
            list.push(page);
            next = after;
        }
        Self { file, list }
    }

    /// Pages of full size that hang below others, as in digital negatives.
    pub(super) fn below(&self) -> Vec<Page> {
        let offsets = self.list.iter().flat_map(|page| &page.sub).take(MOST / 64);
        let pages = offsets.filter_map(|&offset| Some(self.file.page(offset)?.0));
        pages.filter(|page| page.besides().is_none()).collect()
    }

    /// Whether it is a camera's raw photograph.
    pub(super) fn is_raw(&self) -> bool {
        // 32803 is a colour filter array, 34892 linear raw.
        let raw = |page: &Page| page.is_raw || matches!(page.photometric, 32_803 | 34_892);
        self.list.iter().any(raw) || self.below().iter().any(raw)
    }

    /// Whether the gray pages `among` are the three channels of one photograph, as ImageJ and OME write of it in the first page.
    pub(super) fn are_channels(&self, among: &[usize]) -> bool {
        let [first, ..] = among else { return false };
        let first = &self.list[*first];
        let alike = among.iter().map(|&index| &self.list[index]).all(|page| {
            (page.width, page.height, page.bits) == (first.width, first.height, first.bits)
                && page.samples == 1
                && page.photometric == 1
        });
        let text = first.description.clone();
        let text = text.and_then(|range| self.file.bytes.get(range));
        let text = String::from_utf8_lossy(text.unwrap_or_default());
        let image_j = text.starts_with("ImageJ=")
            && text.lines().any(|line| line.trim() == "channels=3")
            && !text.contains("slices=")
            && !text.contains("frames=");
        let one = |name: &str| text.contains(&format!("{name}=\"1\""));
        let ome =
            text.contains("<OME") && text.contains("SizeC=\"3\"") && one("SizeZ") && one("SizeT");
        among.len() == 3 && alike && (image_j || ome)
    }

    /// The colours of a palette page, as 16-bit red, green and blue of each index.
    pub(super) fn palette(&self, page: &Page) -> Option<Vec<[u16; 3]>> {
        let range = page.color_map.clone()?;
        let count = 1usize.checked_shl(u32::try_from(page.bits).ok()?)?;
        (range.len() >= 6 * count).then_some(())?;
        let value = |at: usize| Some(self.file.number(range.start + 2 * at, 2)? as u16);
        (0..count)
            .map(|i| Some([value(i)?, value(count + i)?, value(2 * count + i)?]))
            .collect()
    }

    /// Where the pixels of a page lie, as they are packed: in order, none twice.
    fn packed(&self, page: &Page) -> Vec<Range<usize>> {
        /// More parts than any picture has that is read.
        const PARTS: usize = 1 << 20;
        let mut ranges = Vec::new();
        for Parts { offsets, lengths } in [&page.strips, &page.tiles] {
            let (Some(offsets), Some(lengths)) = (offsets, lengths) else {
                continue;
            };
            let number = |numbers: &Numbers, index: usize| {
                let at = numbers.at.checked_add(index.checked_mul(numbers.size)?)?;
                usize::try_from(self.file.number(at, numbers.size)?).ok()
            };
            let range = |index: usize| {
                let start = number(offsets, index)?;
                let end = start.saturating_add(number(lengths, index)?);
                Some(start..end.min(self.file.bytes.len()))
            };
            let parts = offsets.count.min(lengths.count).min(PARTS);
            ranges.extend((0..parts).map_while(range));
        }
        ranges.sort_by_key(|range| range.start);
        let mut done = 0;
        for range in &mut ranges {
            range.start = range.start.max(done).min(range.end);
            done = done.max(range.end);
        }
        ranges
    }

    /// The same file with this page in front, for decoders that read the first; with a palette as gray indices if `indices`, and
    /// with the bits of its pixels in the order that decoders know.
    pub(super) fn with_first(&self, page: &Page, indices: bool) -> Vec<u8> {
        let mut bytes = self.file.bytes.to_vec();
        let (at, width) = if self.file.big { (8, 8) } else { (4, 4) };
        let put = |bytes: &mut Vec<u8>, at: usize, width: usize, value: u64| {
            let all = value.to_le_bytes();
            for (index, place) in bytes[at..at + width].iter_mut().enumerate() {
                *place = all[if self.file.little {
                    index
                } else {
                    width - 1 - index
                }];
            }
        };
        put(&mut bytes, at, width, page.offset);
        if let (true, Some(at)) = (indices, page.photometric_at) {
            put(&mut bytes, at, 2, 1);
        }
        if page.mirrored {
            for range in self.packed(page) {
                for byte in bytes.get_mut(range).into_iter().flatten() {
                    *byte = byte.reverse_bits();
                }
            }
        }
        bytes
    }
}

/// Numbers in either byte order, of either width of offsets.
struct Reader<'a> {
    bytes: &'a [u8],
    little: bool,
    big: bool,
}

impl Reader<'_> {
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(width)?)?;
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        Some(match self.little {
            true => bytes.iter().rev().fold(0, add),
            false => bytes.iter().fold(0, add),
        })
    }

    /// A directory, and where the next one begins.
    fn page(&self, offset: u64) -> Option<(Page, Option<u64>)> {
        let (count_width, entry, word) = if self.big { (8, 20, 8) } else { (2, 12, 4) };
        let start = usize::try_from(offset).ok()?;
        let count = usize::try_from(self.number(start, count_width)?).ok()?;
        let entries = start.checked_add(count_width)?;
        let end = entries.checked_add(count.checked_mul(entry)?)?;
        if count == 0 || count > MOST || end > self.bytes.len() {
            return None;
        }
        let mut page = Page {
            offset,
            width: 0,
            height: 0,
            samples: 1,
            bits: 1,
            photometric: 0,
            float: false,
            max_sample: 0,
            alpha: false,
            orientation: 1,
            mirrored: false,
            is_planar: false,
            is_raw: false,
            reduced: false,
            mask: false,
            photometric_at: None,
            color_map: None,
            description: None,
            sub: Vec::new(),
            strips: Parts::default(),
            tiles: Parts::default(),
        };
        let (mut lowest_first, mut is_jpeg) = (false, false);
        for at in (entries..end).step_by(entry) {
            let tag = self.number(at, 2)? as u16;
            let size = match self.number(at + 2, 2)? {
                1 | 2 | 6 | 7 => 1,
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 | 16..=18 => 8,
                _ => continue,
            };
            let count = usize::try_from(self.number(at + 4, word)?).ok()?;
            let Some(length) = count.checked_mul(size) else {
                continue;
            };
            let value = at + 4 + word;
            let place = match length <= word {
                true => value,
                false => usize::try_from(self.number(value, word)?).ok()?,
            };
            let range = place..place.saturating_add(length);
            let Some(first) = self.number(place, size) else {
                continue;
            };
            let numbers = || {
                Some(Numbers {
                    at: place,
                    size,
                    count,
                })
            };
            match tag {
                NEW_SUBFILE_TYPE => {
                    page.reduced |= first & 1 != 0;
                    page.mask |= first & 4 != 0;
                }
                SUBFILE_TYPE => page.reduced |= first == 2,
                WIDTH => page.width = first,
                HEIGHT => page.height = first,
                BITS => page.bits = first,
                COMPRESSION => is_jpeg = matches!(first, 6 | 7),
                FILL_ORDER => lowest_first = first == 2,
                STRIP_OFFSETS => page.strips.offsets = numbers(),
                STRIP_LENGTHS => page.strips.lengths = numbers(),
                PLANES => page.is_planar = first == 2,
                TILE_OFFSETS => page.tiles.offsets = numbers(),
                TILE_LENGTHS => page.tiles.lengths = numbers(),
                PHOTOMETRIC => {
                    page.photometric = first;
                    page.mask |= first == 4;
                    page.photometric_at = (size == 2).then_some(place);
                }
                DESCRIPTION => page.description = Some(range),
                ORIENTATION => page.orientation = u8::try_from(first).unwrap_or(1),
                SAMPLES => page.samples = first,
                MAX_SAMPLE => page.max_sample = first,
                COLOR_MAP if size == 2 => page.color_map = Some(range),
                SUB_IFDS if matches!(size, 4 | 8) => {
                    let offset = |index: usize| self.number(place + index * size, size);
                    page.sub = (0..count.min(64)).map_while(offset).collect();
                }
                EXTRA_SAMPLES => page.alpha = matches!(first, 1 | 2),
                SAMPLE_FORMAT => page.float = first == 3,
                DNG_VERSION => page.is_raw = true,
                _ => {}
            }
        }
        // The bytes of JPEG have an order of their own.
        page.mirrored = lowest_first && !is_jpeg;
        Some((page, self.number(end, word)))
    }
}
