/// Empties the table of strings.
const CLEAR: usize = 256;

/// The first code that stands for a string of earlier bytes.
const FIRST: usize = 258;

/// Codes of the widest kind, 12 bits.
const CODES: usize = 4096;

/// Fills `out` from a strip packed by TIFF's LZW: codes of 9 to 12 bits, highest bit first, widened one code early.
///
/// Each string of the table is a stretch of `out` itself, since every entry is what the code before it gave and one byte more.
/// `None` if the strip does not begin by clearing the table, ends before `out` is full, or holds a code without a meaning.
pub(super) fn unpack(packed: &[u8], out: &mut [u8]) -> Option<()> {
    let mut bits = Bits::new(packed);
    // (start in `out`, length) by code.
    let mut strings = [(0, 0); CODES];
    let mut next = FIRST;
    let mut width = 9;
    if bits.take(width)? != CLEAR {
        return None;
    }
    let mut previous = None;
    let mut at = 0;
    while at < out.len() {
        let code = bits.take(width)?;
        if code == CLEAR {
            (next, width, previous) = (FIRST, 9, None);
            continue;
        }
        if let Some((start, length)) = previous
            && next < CODES
        {
            strings[next] = (start, length + 1);
            next += 1;
            if next + 1 == 1 << width && width < 12 {
                width += 1;
            }
        }
        let length = match code {
            0..CLEAR => {
                out[at] = code as u8;
                1
            }
            FIRST.. if code < next => {
                let (start, length) = strings[code];
                let length = length.min(out.len() - at);
                copy(out, start, at, length);
                length
            }
            // The end of the strip, or a string not yet known.
            _ => return None,
        };
        previous = Some((at, length));
        at += length;
    }
    Some(())
}

/// Copies `length` bytes of `out` from `start` to `at`, which lies after it. Of a string that ends with the byte it begins at `at`,
/// the last byte is its first. May change bytes behind the copy.
#[inline]
fn copy(out: &mut [u8], start: usize, at: usize, length: usize) {
    // Strings are short: eight bytes at once, more than needed, cost less than an exact copy.
    const STEP: usize = 8;
    let mut done = 0;
    while done < length {
        let from = start + done;
        let to = at + done;
        match out.get(from..from + STEP) {
            Some(bytes) if to + STEP <= out.len() => {
                let bytes: [u8; STEP] = std::array::from_fn(|i| bytes[i]);
                out[to..to + STEP].copy_from_slice(&bytes);
            }
            _ => out.copy_within(from..from + (length - done).min(STEP), to),
        }
        done += STEP;
    }
    if start + length > at {
        out[at + length - 1] = out[start];
    }
}

/// Codes from bytes, highest bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits not yet taken, from the highest on; zero below them.
    buffer: u64,
    held: u32,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            buffer: 0,
            held: 0,
        }
    }

    #[inline]
    fn take(&mut self, width: u32) -> Option<usize> {
        if self.held < width {
            self.fill();
            if self.held < width {
                return None;
            }
        }
        let code = self.buffer >> (u64::BITS - width);
        self.buffer <<= width;
        self.held -= width;
        Some(code as usize)
    }

    fn fill(&mut self) {
        while self.held <= u64::BITS - 8
            && let Some((&byte, rest)) = self.bytes.split_first()
        {
            self.buffer |= u64::from(byte) << (u64::BITS - 8 - self.held);
            self.held += 8;
            self.bytes = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a strip.
    const END: usize = 257;

    /// Packs codes of the given widths, highest bit first.
    fn packed(codes: &[(usize, u32)]) -> Vec<u8> {
        let bits = codes
            .iter()
            .flat_map(|&(code, width)| (0..width).rev().map(move |bit| (code >> bit & 1) as u8));
        let bits: Vec<u8> = bits.collect();
        let byte = |eight: &[u8]| {
            let shifted = eight.iter().enumerate().map(|(i, bit)| bit << (7 - i));
            shifted.sum()
        };
        bits.chunks(8).map(byte).collect()
    }

    #[test]
    fn the_example_of_the_specification() {
        // TIFF 6.0, section 13: 7 7 7 8 8 7 7 6 6
        let codes = [256, 7, 258, 8, 8, 258, 6, 6, 257].map(|code| (code, 9));
        let mut out = [0; 9];
        assert_eq!(unpack(&packed(&codes), &mut out), Some(()));
        assert_eq!(out, [7, 7, 7, 8, 8, 7, 7, 6, 6]);
    }

    #[test]
    fn damaged_strips_are_refused() {
        let fails = |codes: &[usize]| {
            let codes: Vec<_> = codes.iter().map(|&code| (code, 9)).collect();
            unpack(&packed(&codes), &mut [0; 4]).is_none()
        };
        assert!(fails(&[]));
        assert!(fails(&[1, 2, 3, 4]), "no clearing first");
        assert!(fails(&[CLEAR, 1, 2, END]), "ends early");
        assert!(fails(&[CLEAR, 1, 2]), "truncated");
        assert!(
            fails(&[CLEAR, FIRST, 1, 2, 3]),
            "a string before any is known"
        );
        assert!(fails(&[CLEAR, 1, FIRST + 1, 2]), "a string not yet known");
        assert!(!fails(&[CLEAR, 1, CLEAR, 2, 3, 4]));
        // A string longer than what is left fills it.
        assert!(!fails(&[CLEAR, 1, FIRST, FIRST + 1]));
    }

    #[test]
    fn an_empty_strip_needs_no_more_than_its_beginning() {
        assert_eq!(unpack(&packed(&[(CLEAR, 9)]), &mut []), Some(()));
    }
}
