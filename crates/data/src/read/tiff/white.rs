use image::DynamicImage;

/// Inverts a gray image of 16 bits, which the decoder inverted against all of them, against the depth of its samples instead.
///
/// `max_sample` is the greatest sample that the file says it has, or 0; `bits` is the depth that the caller knows. The answer is the
/// greatest sample of that depth, or `max_sample` where samples have all of 16 bits.
pub(in crate::read) fn invert(image: &mut DynamicImage, max_sample: u64, bits: Option<u32>) -> u64 {
    let DynamicImage::ImageLuma16(gray) = image else {
        return max_sample;
    };
    let stored = || gray.iter().map(|&value| u16::MAX - value);
    let greatest = stored().max().unwrap_or(0);
    let fits = |bits: &u32| greatest >> bits == 0;
    let bits = bits.filter(|bits| (8..16).contains(bits)).or_else(|| {
        let said = [14, 12, 10, 8]
            .into_iter()
            .find(|&bits| max_sample == (1 << bits) - 1);
        let upper =
            stored().all(|value| value % 256 == 0) || stored().all(|value| value % 257 == 0);
        match said.filter(fits) {
            Some(bits) => Some(bits),
            None if upper => None,
            None => [8, 10, 12, 14].into_iter().find(fits),
        }
    });
    let Some(bits) = bits else {
        return max_sample;
    };
    let most = u16::MAX >> (16 - bits);
    for value in gray.iter_mut() {
        *value = most.saturating_sub(u16::MAX - *value);
    }
    u64::from(most)
}
