use std::fmt;
use std::path::Path;

use image::{DynamicImage, ImageFormat};

use super::pixels::{Pixels, chroma, light};
use super::{LabelValue, Note, ReadOptions, decode, source};
use crate::{Error, Mask, Result};

/// Which pixels of a label, a field of view or another mask count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaskRule {
    /// Whatever is meant where that is unambiguous; see [`read_mask_with`].
    #[default]
    AsMeant,
    /// Pixels of exactly these values, such as arteries and veins.
    Values(Vec<LabelValue>),
}

/// The two values of a label that is not black and white, and which of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct LabelReading {
    /// The value that does not count.
    pub background: LabelValue,
    /// The value that counts as vessel.
    pub vessel: LabelValue,
}

impl fmt::Display for LabelReading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { background, vessel } = self;
        write!(
            f,
            "labels hold {background} and {vessel}; {vessel} counts as vessel"
        )
    }
}

/// A mask that was read.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReadMask {
    /// `true` where a pixel is marked.
    pub mask: Mask,
    /// How it was read, unless its file holds black and white, or shades of gray between them.
    pub reading: Option<LabelReading>,
    /// What of its file was passed over: pages, or pictures of an animation.
    pub notes: Vec<Note>,
    /// The orientation that was applied, 1 to 8; 1 is none. Only [`Photograph::read_mask`](crate::Photograph::read_mask) applies one.
    pub orientation: u8,
}

/// Reads a map of vessels or of a field of view: `true` where a pixel is marked.
///
/// As [`read_mask_with`] by the rule [`MaskRule::AsMeant`].
///
/// ```
/// let path = std::env::temp_dir().join("venule_doc_read_mask.png");
/// image::GrayImage::from_raw(3, 1, vec![0, 255, 0]).unwrap().save(&path)?;
/// assert_eq!(venule_data::read_mask(&path)?.data(), [false, true, false]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_mask_with`].
pub fn read_mask(path: impl AsRef<Path>) -> Result<Mask> {
    Ok(read_mask_with(path, &MaskRule::default())?.mask)
}

/// Reads a map of vessels or of a field of view by a rule. Formats are those of [`read_photograph`](crate::read_photograph), and
/// floating-point TIFFs of values in 0 to 1.
///
/// By [`MaskRule::AsMeant`] the values that the file holds decide:
///
/// - **Two values:** the one beside black counts, whatever its colour or level. Without black the lighter counts: of two grays if
///   they lie on both sides of half of white, or if it is the rarer; of two colours if it is far lighter and the rarer.
///   Where some pixels are transparent, the opaque ones count.
/// - **Shades of gray up to white,** as of JPEG or smooth edges: gray levels above half of white count.
/// - **Shades of one colour on black:** levels above half of that colour count.
/// - **One value:** black is an empty mask, white a full one; see [`check_label`](crate::check_label).
/// - Anything else is an error: several classes, colours on white, a picture without a level above half of white.
///
/// ```
/// use venule_data::{LabelValue, MaskRule, read_mask_with};
/// let path = std::env::temp_dir().join("venule_doc_read_mask_with.png");
/// let red = image::RgbImage::from_raw(2, 1, vec![0, 0, 0, 255, 0, 0]).unwrap();
/// red.save(&path)?;
/// let read = read_mask_with(&path, &MaskRule::AsMeant)?;
/// assert_eq!(read.mask.data(), [false, true]);
/// let said = read.reading.unwrap().to_string();
/// assert_eq!(said, "labels hold 0 and 255,0,0 (red); 255,0,0 (red) counts as vessel");
///
/// // Arteries are 1, veins 2.
/// let classes = image::GrayImage::from_raw(4, 1, vec![0, 1, 2, 0]).unwrap();
/// classes.save(&path)?;
/// assert!(read_mask_with(&path, &MaskRule::AsMeant).is_err());
/// let both = MaskRule::Values(vec![LabelValue::Gray(1), LabelValue::Gray(2)]);
/// assert_eq!(read_mask_with(&path, &both)?.mask.data(), [false, true, true, false]);
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Those of [`read_image`](crate::read_image); [`Error::AmbiguousMask`]; [`Error::LabelValueAbsent`] if pixels have none of the
/// values asked for, unless all are black; [`Error::TurnedMap`] if the file carries an orientation.
pub fn read_mask_with(path: impl AsRef<Path>, rule: &MaskRule) -> Result<ReadMask> {
    read_beside(path.as_ref(), rule, None)
}

/// Reads a mask beside a photograph, its path with its orientation: an orientation that both carry turns both.
pub(super) fn read_beside(
    path: &Path,
    rule: &MaskRule,
    photograph: Option<(&Path, u8)>,
) -> Result<ReadMask> {
    let bytes = source::read(path)?;
    let decoded = decode::decode(path, bytes, &ReadOptions::default(), true)?;
    let orientation = decoded.orientation;
    if orientation != 1 && photograph.is_none_or(|(_, shared)| shared != orientation) {
        return Err(Error::TurnedMap {
            map: path.to_owned(),
            orientation,
            photograph: photograph.map(|(path, _)| path.to_owned()),
        });
    }
    let size = (
        decoded.image.width() as usize,
        decoded.image.height() as usize,
    );
    let of = |data: Vec<bool>, reading: Option<LabelReading>, notes: Vec<Note>| {
        Ok(ReadMask {
            mask: Mask::new(size.0, size.1, data)?,
            reading,
            notes,
            orientation,
        })
    };
    if *rule == MaskRule::AsMeant
        && let Some(data) = black_and_white(&decoded.image)
    {
        return of(data, None, decoded.notes);
    }
    let Some(pixels) = Pixels::of(&decoded.image) else {
        return Err(ambiguous(
            path,
            "its samples are not whole numbers",
            String::new(),
        ));
    };
    let judged = match rule {
        MaskRule::AsMeant => judge(&pixels, decoded.format == ImageFormat::Jpeg),
        MaskRule::Values(wanted) => {
            let marked = |pixel: [u16; 4]| wanted.contains(&LabelValue::of(pixel));
            let black = |pixel: [u16; 4]| pixel[..3] == [0; 3];
            if !pixels.iter().any(marked) && !pixels.iter().all(black) {
                let wanted: Vec<String> = wanted.iter().map(LabelValue::to_string).collect();
                return Err(Error::LabelValueAbsent {
                    path: path.to_owned(),
                    wanted: wanted.join(", "),
                    values: pixels.described(),
                });
            }
            Ok((pixels.iter().map(marked).collect(), None))
        }
    };
    match judged {
        Ok((data, reading)) => of(data, reading, decoded.notes),
        Err(reason) => Err(ambiguous(path, reason, pixels.described())),
    }
}

/// The mask of an image of nothing but opaque black and white, as most sets come: faster than by looking at its values.
fn black_and_white(image: &DynamicImage) -> Option<Vec<bool>> {
    fn marked<const N: usize>(samples: &[u8], alpha: usize) -> Option<Vec<bool>> {
        let colours = N - alpha;
        let value = |pixel: &[u8; N]| {
            let (first, opaque) = (pixel[0], pixel[colours..] == [255; 1][..alpha]);
            let plain = matches!(first, 0 | 255) && pixel[..colours].iter().all(|&v| v == first);
            (plain && opaque).then_some(first == 255)
        };
        samples.as_chunks::<N>().0.iter().map(value).collect()
    }
    match image {
        DynamicImage::ImageLuma8(image) => marked::<1>(image.as_raw(), 0),
        DynamicImage::ImageRgb8(image) => marked::<3>(image.as_raw(), 0),
        DynamicImage::ImageRgba8(image) => marked::<4>(image.as_raw(), 1),
        _ => None,
    }
}

fn ambiguous(path: &Path, reason: &'static str, values: String) -> Error {
    Error::AmbiguousMask {
        path: path.to_owned(),
        reason,
        values,
    }
}

/// The mask with how it was read, or why it cannot be told.
type Judged = std::result::Result<(Vec<bool>, Option<LabelReading>), &'static str>;

const CLASSES: &str = "it holds several classes";
const DARK: &str = "no pixel is as bright as half of white";
const COLOURS: &str = "it holds colours that are not on black";
const HIDDEN: &str = "pixels are bright where they are transparent, and dark where they are not";

fn judge(pixels: &Pixels<'_>, is_jpeg: bool) -> Judged {
    match pixels.values().as_deref() {
        Some([]) => Ok((Vec::new(), None)),
        Some([(only, count)]) => one_value(pixels, *only, *count),
        Some([dark, light]) => two_values(pixels, *dark, *light, is_jpeg),
        Some(values) => several_values(pixels, values, is_jpeg),
        None => shades(pixels),
    }
}

fn near_black(pixels: &Pixels<'_>, [r, g, b, _]: [u16; 4]) -> bool {
    r.max(g).max(b) <= pixels.most / 8
}

fn near_white(pixels: &Pixels<'_>, [r, g, b, _]: [u16; 4]) -> bool {
    r.min(g).min(b) >= pixels.most - pixels.most / 8
}

fn one_value(pixels: &Pixels<'_>, value: [u16; 4], count: usize) -> Judged {
    match (near_black(pixels, value), near_white(pixels, value)) {
        (true, _) if value[..3] == [0; 3] => Ok((vec![false; count], None)),
        (_, true) => Ok((vec![true; count], None)),
        _ => Err("all its pixels have one value, neither black nor white"),
    }
}

/// `dark` and `bright` with their numbers of pixels.
fn two_values(
    pixels: &Pixels<'_>,
    (dark, darks): ([u16; 4], usize),
    (bright, brights): ([u16; 4], usize),
    is_jpeg: bool,
) -> Judged {
    let read = |background: [u16; 4], vessel: [u16; 4]| {
        let [from, to] = [background, vessel].map(LabelValue::of);
        let plain = near_black(pixels, background)
            && background[3] > 0
            && chroma(vessel) <= pixels.most / 8
            && near_white(pixels, vessel);
        let reading = LabelReading {
            background: from,
            vessel: to,
        };
        let marked = pixels.iter().map(|pixel| pixel == vessel).collect();
        Ok((marked, (!plain).then_some(reading)))
    };
    let half = u32::from(pixels.most / 2);
    let gray = |value: [u16; 4]| chroma(value) <= pixels.most / 8;
    if dark[3] == 0 || bright[3] == 0 {
        let visible = if dark[3] == 0 { bright } else { dark };
        return match near_black(pixels, visible) && pixels.hides_brightness() {
            true => Err(HIDDEN),
            false => read([0; 4], visible),
        };
    }
    if near_black(pixels, bright) && is_jpeg {
        // The noise of an empty one.
        return Ok((vec![false; pixels.len()], None));
    }
    if near_white(pixels, dark) {
        return Ok((vec![true; pixels.len()], None));
    }
    if near_black(pixels, dark) {
        return read(dark, bright);
    }
    let rarer = brights < darks;
    match (gray(dark) && gray(bright), light(dark), light(bright)) {
        (true, low, high) if low <= half && high > half => read(dark, bright),
        (true, ..) if rarer => read(dark, bright),
        (false, low, high) if rarer && 10 * low <= 7 * half && 10 * high >= 12 * half => {
            read(dark, bright)
        }
        (true, ..) => Err("it holds two grays, and which is meant cannot be told"),
        (false, ..) => Err(COLOURS),
    }
}

/// Three to eight values: a few shades, or classes.
fn several_values(pixels: &Pixels<'_>, values: &[([u16; 4], usize)], is_jpeg: bool) -> Judged {
    let coloured = |value: [u16; 4]| chroma(value) > pixels.most / 8;
    if values.iter().any(|&(value, _)| coloured(value)) {
        return shades(pixels);
    }
    let extremes = values.first().zip(values.last());
    let Some((&(lowest, _), &(highest, _))) = extremes else {
        return Ok((Vec::new(), None));
    };
    if is_jpeg && near_black(pixels, highest) {
        return Ok((vec![false; pixels.len()], None));
    }
    if !pixels.is_bright(highest) {
        return Err(if near_black(pixels, highest) || values.len() <= 4 {
            CLASSES
        } else {
            DARK
        });
    }
    let noise = if is_jpeg { pixels.most / 8 } else { 0 };
    for &(value, count) in values {
        let [level, ..] = value;
        let [low, high] = [lowest, highest].map(|extreme| level.abs_diff(extreme[0]) <= noise);
        // A few pixels, or one in two thousand, are a blemish.
        if low || high || count < 4 || count * 2000 < pixels.len() {
            continue;
        }
        let shape = Shape::of(pixels, value, highest);
        // Half-sized drawings have five levels, seldom two alike in both directions; of three or four most are classes.
        let is_class = match values.len() {
            ..=4 => shape.in_blocks * 10 >= count || shape.apart * 2 >= count,
            _ => shape.inside * 20 >= count,
        };
        if is_class {
            return Err(CLASSES);
        }
    }
    threshold(pixels)
}

fn threshold(pixels: &Pixels<'_>) -> Judged {
    let marked = pixels.iter().map(|pixel| pixels.is_bright(pixel));
    Ok((marked.collect(), None))
}

/// How pixels of a value between the extremes lie: side by side as a class does, or between dark and bright as an edge does.
struct Shape {
    /// In a block of 2x2 of the value.
    in_blocks: usize,
    /// Amid a block of 3x3 of it.
    inside: usize,
    /// Beside no pixel of the highest value.
    apart: usize,
}

impl Shape {
    fn of(pixels: &Pixels<'_>, value: [u16; 4], highest: [u16; 4]) -> Self {
        let (width, height) = (pixels.width, pixels.height);
        let mut shape = Self {
            in_blocks: 0,
            inside: 0,
            apart: 0,
        };
        let is = |x: isize, y: isize, value: [u16; 4]| {
            let (x, y) = (x as usize, y as usize);
            x < width && y < height && pixels.at(y * width + x) == value
        };
        for index in (0..pixels.len()).filter(|&index| pixels.at(index) == value) {
            let (x, y) = ((index % width) as isize, (index / width) as isize);
            let block = |&(dx, dy): &(isize, isize)| {
                is(x + dx, y, value) && is(x, y + dy, value) && is(x + dx, y + dy, value)
            };
            let mut around = (-1..=1).flat_map(|dx| (-1..=1).map(move |dy| (dx, dy)));
            let mut blocks = [(1, 1), (-1, 1), (1, -1), (-1, -1)].iter();
            shape.in_blocks += usize::from(blocks.clone().any(block));
            shape.inside += usize::from(blocks.all(block));
            shape.apart += usize::from(!around.any(|(dx, dy)| is(x + dx, y + dy, highest)));
        }
        shape
    }
}

/// Many values: shades from black to white, or to one colour.
fn shades(pixels: &Pixels<'_>) -> Judged {
    let (mut drawn, mut between, mut coloured, mut brightest) = (0usize, 0usize, 0usize, 0);
    for pixel in pixels.iter() {
        let [r, g, b, _] = pixel;
        brightest = brightest.max(r.max(g).max(b));
        drawn += usize::from(r.max(g).max(b) > pixels.most / 4);
        between += usize::from(!near_black(pixels, pixel) && !near_white(pixels, pixel));
        coloured += usize::from(chroma(pixel) > pixels.most / 4);
    }
    if coloured * 4 >= between && coloured * 2000 >= pixels.len() && coloured > 0 {
        return shades_of_colour(pixels, brightest, drawn);
    }
    if brightest <= pixels.most / 2 {
        return Err(DARK);
    }
    let (middle, flat) = plateaus(pixels);
    // Smooth edges are steep; a class has an inside.
    if middle * 20 >= drawn && flat * 20 >= middle && flat > 0 {
        return Err(CLASSES);
    }
    threshold(pixels)
}

/// Pixels between a quarter and three quarters of white, and those of them all of whose neighbours are nearly alike.
fn plateaus(pixels: &Pixels<'_>) -> (usize, usize) {
    let (width, height) = (pixels.width, pixels.height);
    let (low, high) = (pixels.most / 4, pixels.most - pixels.most / 4);
    let near = pixels.most / 21;
    let (mut middle, mut flat) = (0, 0);
    for y in 0..height {
        for x in 0..width {
            let level = pixels.at(y * width + x)[1];
            if !(low..=high).contains(&level) {
                continue;
            }
            middle += 1;
            let inside = x > 0 && y > 0 && x + 1 < width && y + 1 < height;
            flat += usize::from(
                inside
                    && (y - 1..=y + 1).all(|y| {
                        (x - 1..=x + 1).all(|x| pixels.at(y * width + x)[1].abs_diff(level) <= near)
                    }),
            );
        }
    }
    (middle, flat)
}

/// A drawing in one colour on black with smooth or noisy edges: levels above half of the colour count.
fn shades_of_colour(pixels: &Pixels<'_>, brightest: u16, drawn: usize) -> Judged {
    let most = f64::from(pixels.most);
    let strong = |pixel: &[u16; 4]| {
        let [r, g, b, _] = *pixel;
        chroma(*pixel) > pixels.most / 4
            && 10 * u32::from(r.max(g).max(b)) >= 6 * u32::from(brightest)
    };
    let (mut sum, mut count) = ([0.0; 3], 0.0f64);
    for [r, g, b, _] in pixels.iter().filter(strong) {
        for (sum, value) in sum.iter_mut().zip([r, g, b]) {
            *sum += f64::from(value);
        }
        count += 1.0;
    }
    let colour = sum.map(|sum| sum / count.max(1.0));
    let length = colour.iter().map(|value| value * value).sum::<f64>().sqrt();
    if length == 0.0 {
        return Err(COLOURS);
    }
    // How far along the colour, as a share of it, and how far beside it.
    let place = |[r, g, b, _]: [u16; 4]| {
        let value = [r, g, b].map(f64::from);
        let along: f64 = value.iter().zip(colour).map(|(v, c)| v * c / length).sum();
        let square: f64 = value.iter().map(|v| v * v).sum();
        (along / length, (square - along * along).max(0.0).sqrt())
    };
    let beside = pixels
        .iter()
        .filter(|&pixel| place(pixel).1 > 0.3 * most)
        .count();
    if beside * 20 > drawn {
        return Err(
            match pixels.iter().filter(|&p| near_white(pixels, p)).count() * 2 > pixels.len() {
                true => COLOURS,
                false => CLASSES,
            },
        );
    }
    let marked = pixels.iter().map(|pixel| place(pixel).0 > 0.5).collect();
    let reading = LabelReading {
        background: LabelValue::Gray(0),
        vessel: LabelValue::of(
            [colour[0], colour[1], colour[2], most].map(|value| value.round() as u16),
        ),
    };
    Ok((marked, Some(reading)))
}
