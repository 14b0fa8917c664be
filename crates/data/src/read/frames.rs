use gif::DecodeOptions;
use image::ImageFormat;

use super::Note;

/// Most pictures that are counted.
const MOST: usize = 1000;

/// What is to be said of an animation, of which one picture is decoded; at most 1000 are counted.
pub(super) fn note(format: ImageFormat, bytes: &[u8]) -> Option<Note> {
    let (frames, apart) = match format {
        ImageFormat::Gif => (in_gif(bytes), false),
        ImageFormat::Png => in_png(bytes)?,
        ImageFormat::WebP => (in_webp(bytes), false),
        _ => return None,
    };
    (frames > 1 || apart).then_some(Note::FirstFrame { frames, apart })
}

fn in_gif(bytes: &[u8]) -> usize {
    let mut options = DecodeOptions::new();
    options.skip_frame_decoding(true);
    let Ok(mut file) = options.read_info(bytes) else {
        return 1;
    };
    (0..MOST)
        .take_while(|_| matches!(file.next_frame_info(), Ok(Some(_))))
        .count()
}

/// How many frames there are among the chunks of a WebP file.
fn in_webp(bytes: &[u8]) -> usize {
    let (mut rest, mut frames) = (bytes.get(12..).unwrap_or_default(), 0);
    while let Some((name, &length)) = rest
        .split_at_checked(4)
        .and_then(|(name, rest)| Some((name, rest.first_chunk()?)))
    {
        frames += usize::from(name == b"ANMF");
        // Chunks are padded to even lengths.
        let length = (u32::from_le_bytes(length) as usize).next_multiple_of(2);
        match rest.get(8..).and_then(|data| data.get(length..)) {
            Some(next) if frames < MOST => rest = next,
            _ => break,
        }
    }
    frames
}

/// What an animation control chunk, which stands before the pixels, says; and whether the picture behind it, the one decoded, is
/// no part of the animation: then no frame control stands before it.
fn in_png(bytes: &[u8]) -> Option<(usize, bool)> {
    let (mut at, mut frames, mut apart) = (8, None, true);
    loop {
        let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => {
                let count = u32::from_be_bytes(*bytes.get(at + 8..)?.first_chunk()?);
                frames = Some((count as usize).min(MOST));
            }
            b"fcTL" => apart = false,
            b"IDAT" | b"IEND" => return Some((frames?, apart)),
            _ => {}
        }
        at = at.checked_add(length as usize)?.checked_add(12)?;
    }
}
