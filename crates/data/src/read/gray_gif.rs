use gif::{ColorOutput, DecodeOptions};
use image::{DynamicImage, GrayImage};

/// The first frame of a GIF as gray levels, if it fills the screen, hides no pixel, and its colours are gray, as in DRIVE's
/// labels and fields of view; the crate `image` would unpack four bytes a pixel.
///
/// `None` for any other GIF, and for a damaged one: that crate reads those, or says what is wrong.
pub(super) fn decode(bytes: &[u8]) -> Option<DynamicImage> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    let mut file = options.read_info(bytes).ok()?;
    let (width, height) = (file.width(), file.height());
    let frame = file.next_frame_info().ok()??;
    let fills = (frame.left, frame.top, frame.width, frame.height) == (0, 0, width, height);
    if !fills || frame.transparent.is_some() {
        return None;
    }
    let mut pixels = vec![0; usize::from(width) * usize::from(height)];
    file.read_into_buffer(&mut pixels).ok()?;

    let greatest = usize::from(pixels.iter().copied().max()?);
    let colours = file.palette().ok()?.as_chunks::<3>().0;
    let mut levels = [0; 256];
    for (level, &[r, g, b]) in levels.iter_mut().zip(colours.get(..=greatest)?) {
        if r != g || g != b {
            return None;
        }
        *level = g;
    }
    for pixel in &mut pixels {
        *pixel = levels[usize::from(*pixel)];
    }
    GrayImage::from_raw(width.into(), height.into(), pixels).map(DynamicImage::from)
}

#[cfg(test)]
mod tests {
    use gif::{Encoder, Frame};

    use super::*;

    /// A file of one frame on a screen of 20×12 pixels, whose three colours are dark gray, white and one of choice.
    fn file(third: [u8; 3], change: impl FnOnce(&mut Frame<'static>)) -> Vec<u8> {
        let mut frame = Frame {
            width: 20,
            height: 12,
            buffer: (0..240).map(|i| u8::from(i % 7 == 0)).collect(),
            ..Frame::default()
        };
        change(&mut frame);
        let mut bytes = Vec::new();
        let palette = [&[3; 3], &[255; 3], &third]
            .map(|colour| &colour[..])
            .concat();
        let mut encoder = Encoder::new(&mut bytes, 20, 12, &palette).unwrap();
        encoder.write_frame(&frame).unwrap();
        drop(encoder);
        bytes
    }

    #[test]
    fn gray_frames_equal_what_the_crate_image_reads() {
        let changes: [fn(&mut Frame<'static>); 4] = [
            |_| {},
            |frame| frame.interlaced = true,
            |frame| frame.palette = Some(vec![9, 9, 9, 0, 0, 0]),
            |frame| frame.buffer.to_mut()[5] = 2,
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let bytes = file([128; 3], change);
            let found = decode(&bytes).unwrap();
            assert!(matches!(found, DynamicImage::ImageLuma8(_)));
            let expected = image::load_from_memory(&bytes).unwrap();
            assert_eq!(found.into_rgb8(), expected.into_rgb8(), "change {index}");
        }
        // A colour behind those that the pixels have does not matter.
        assert!(decode(&file([200, 0, 0], |_| {})).is_some());
    }

    #[test]
    fn other_kinds_and_damaged_files_are_left_to_the_crate() {
        let third = |frame: &mut Frame<'static>| frame.buffer.to_mut()[5] = 2;
        assert!(decode(&file([200, 0, 0], third)).is_none(), "a colour");
        let none = |change: fn(&mut Frame<'static>)| decode(&file([9; 3], change)).is_none();
        assert!(none(|frame| frame.transparent = Some(1)));
        assert!(none(|frame| {
            frame.width = 10;
            frame.buffer.to_mut().truncate(120);
        }));
        assert!(
            none(|frame| frame.buffer.to_mut()[7] = 200),
            "no such colour"
        );
        let whole = file([9; 3], |_| {});
        for length in 0..whole.len() - 4 {
            assert!(decode(&whole[..length]).is_none(), "{length} bytes");
        }
    }
}
