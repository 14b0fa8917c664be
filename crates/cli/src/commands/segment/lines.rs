//! Files of lines, read one line at a time.

use std::io::{self, BufRead, Read};

/// Most bytes of a line: far more than any path or record has.
const LONGEST: u64 = 1 << 20;

/// A line of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Its bytes, without the line feed that ends it.
    Whole(Vec<u8>),
    /// The last one, which no line feed ends.
    Open(Vec<u8>),
    /// A line of more than [`LONGEST`] bytes, which is passed over.
    TooLong,
}

/// The next line, unless there is none; whatever the file holds, no more than [`LONGEST`] bytes are in memory.
pub fn next_line(from: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    from.take(LONGEST + 1).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
        return Ok(Some(Line::Whole(line)));
    }
    if line.len() as u64 <= LONGEST {
        return Ok(Some(Line::Open(line)));
    }
    // The rest of it.
    loop {
        line.clear();
        from.take(LONGEST).read_until(b'\n', &mut line)?;
        if line.is_empty() || line.last() == Some(&b'\n') {
            return Ok(Some(Line::TooLong));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_open_or_too_long() {
        let long = vec![b'x'; LONGEST as usize + 1];
        let text = [b"one\n\n", long.as_slice(), b"\ntwo"].concat();
        let mut from = text.as_slice();
        let mut next = || next_line(&mut from).unwrap();
        assert_eq!(next(), Some(Line::Whole(b"one".to_vec())));
        assert_eq!(next(), Some(Line::Whole(Vec::new())));
        assert_eq!(next(), Some(Line::TooLong));
        assert_eq!(next(), Some(Line::Open(b"two".to_vec())));
        assert_eq!(next(), None);
        let mut endless = long.as_slice();
        assert_eq!(next_line(&mut endless).unwrap(), Some(Line::TooLong));
    }
}
