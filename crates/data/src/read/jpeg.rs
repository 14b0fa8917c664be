/// Whether a JPEG stream reaches its end-of-image marker.
///
/// Walks the segments by their lengths (so that a thumbnail inside one is not taken for the image) and the
/// entropy-coded data by its byte stuffing (ITU-T T.81, annex B).
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    let mut at = 2;
    loop {
        // Between segments, and at the end of entropy-coded data, the next marker is looked for.
        let Some(&[first, second]) = bytes
            .get(at..at + 2)
            .and_then(|pair| pair.first_chunk::<2>())
        else {
            return false;
        };
        match (first, second) {
            (0xff, 0xd9) => return true,
            // A fill byte, or a marker without a segment: TEM, a restart, a stuffed 0xff.
            (0xff, 0xff) => at += 1,
            (0xff, 0x00 | 0x01 | 0xd0..=0xd8) => at += 2,
            (0xff, _) => {
                let Some(length) = bytes
                    .get(at + 2..at + 4)
                    .and_then(|pair| pair.first_chunk::<2>())
                else {
                    return false;
                };
                at += 2 + usize::from(u16::from_be_bytes(*length)).max(2);
            }
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_complete;

    #[test]
    fn an_end_marker_inside_a_segment_does_not_count() {
        // Start, then APP1 of length 6 that holds an end marker, then a scan header of length 2, data, end.
        let whole = [
            0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 0, 0, 0xff, 0xda, 0, 2, 7, 0xff, 0, 8, 0xff,
            0xd9,
        ];
        assert!(is_complete(&whole));
        for length in 0..whole.len() {
            assert!(!is_complete(&whole[..length]), "complete at {length} bytes");
        }
    }
}
