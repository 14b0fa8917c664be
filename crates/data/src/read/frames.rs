use gif::DecodeOptions;
use image::ImageFormat;

/// Most pictures that are counted.
const MOST: usize = 1000;

/// Number of pictures in a file that is decoded to its first: an animation's, at most 1000; otherwise 1.
pub(super) fn count(format: ImageFormat, bytes: &[u8]) -> usize {
    match format {
        ImageFormat::Gif => in_gif(bytes),
        ImageFormat::Png => in_png(bytes).unwrap_or(1),
        _ => 1,
    }
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

/// What an animation control chunk, which stands before the pixels, says.
fn in_png(bytes: &[u8]) -> Option<usize> {
    let mut at = 8;
    loop {
        let length = u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?);
        match bytes.get(at + 4..at + 8)? {
            b"acTL" => {
                let frames = u32::from_be_bytes(*bytes.get(at + 8..)?.first_chunk()?);
                return Some((frames as usize).min(MOST));
            }
            b"IDAT" | b"IEND" => return None,
            _ => at = at.checked_add(length as usize)?.checked_add(12)?,
        }
    }
}
