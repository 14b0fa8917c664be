/// Empties the table of strings.
const CLEAR: usize = 256;

/// Ends a strip.
const END: usize = 257;

/// The first code that stands for a string of earlier bytes.
const FIRST: usize = 258;

/// Codes of the widest kind, 12 bits.
const CODES: usize = 4096;

/// Bytes of a string that lie in the table itself.
const HEAD: usize = 8;

/// What a code stands for: a stretch of what was unpacked, since every string is that of the code before it and one byte more.
#[derive(Clone, Copy)]
struct Text {
    /// Its first bytes, the first one lowest. Nearly all strings of a photograph end here, and reading back bytes that were
    /// just written would stall.
    head: u64,
    start: u32,
    length: u32,
}

/// Unpacks strips of TIFF's LZW: codes of 9 to 12 bits, highest bit first, widened one code early.
pub(super) struct Lzw {
    texts: Box<[Text; CODES]>,
}

impl Lzw {
    pub(super) fn new() -> Self {
        let text = |code| Text {
            head: code as u64,
            start: 0,
            length: 1,
        };
        Self {
            texts: Box::new(std::array::from_fn(text)),
        }
    }

    /// Fills `out`, of at most 2^32 bytes, from a strip.
    ///
    /// `None` if the strip does not begin by clearing the table, ends before `out` is full, or holds a code without a meaning.
    pub(super) fn unpack(&mut self, packed: &[u8], out: &mut [u8]) -> Option<()> {
        let mut bits = Bits::new(packed);
        let (mut next, mut width) = (FIRST, 9);
        if bits.take(width)? != CLEAR {
            return None;
        }
        let mut previous: Option<Text> = None;
        let mut at = 0;
        while at < out.len() {
            let code = bits.take(width)?;
            if code == CLEAR {
                (next, width, previous) = (FIRST, 9, None);
                continue;
            }
            if let Some(text) = previous
                && next < CODES
            {
                // The newest string ends with the byte that the next one begins with, which may be that string itself.
                let begins = if code < next { self.texts[code] } else { text };
                self.texts[next] = text.and(begins.head as u8);
                next += 1;
                if next + 1 == 1 << width && width < 12 {
                    width += 1;
                }
            }
            if code >= next || code == END {
                return None;
            }
            let mut text = self.texts[code];
            text.write(out, at);
            text.start = at as u32;
            previous = Some(text);
            at += text.length as usize;
        }
        Some(())
    }
}

impl Text {
    /// With one byte more.
    #[inline]
    fn and(self, byte: u8) -> Self {
        let within = (self.length as usize) < HEAD;
        let shift = if within { 8 * self.length } else { 0 };
        let more = if within { u64::from(byte) << shift } else { 0 };
        Self {
            head: self.head | more,
            length: self.length + 1,
            ..self
        }
    }

    /// Writes it to `out` from `at` on, as far as there is room. May change the bytes behind it.
    #[inline]
    fn write(&self, out: &mut [u8], at: usize) {
        let head = self.head.to_le_bytes();
        match out.get_mut(at..at + HEAD) {
            Some(room) => room.copy_from_slice(&head),
            None => {
                let room = &mut out[at..];
                room.copy_from_slice(&head[..room.len()]);
                return;
            }
        }
        let length = (self.length as usize).min(out.len() - at);
        if length > HEAD {
            // The last byte read may be the first one written above.
            let start = self.start as usize;
            out.copy_within(start + HEAD..start + length, at + HEAD);
        }
    }
}

/// Codes from bytes, highest bit first.
struct Bits<'a> {
    bytes: &'a [u8],
    /// Bits not yet taken, from the highest on. Those below the `held` ones are 0 or what comes next.
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

    #[inline]
    fn fill(&mut self) {
        if let Some(eight) = self.bytes.first_chunk() {
            self.buffer |= u64::from_be_bytes(*eight) >> self.held;
            let whole = (u64::BITS - self.held) / 8;
            self.held += 8 * whole;
            self.bytes = &self.bytes[whole as usize..];
            return;
        }
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

    fn unpack(packed: &[u8], out: &mut [u8]) -> Option<()> {
        Lzw::new().unpack(packed, out)
    }

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
