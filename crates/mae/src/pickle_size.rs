//! How large a pickle becomes when it is read. candle's reader copies an object whenever the pickle refers to it again, so that a
//! few hundred bytes may ask for more than any memory holds, or nest deeper than the stack is.

use std::collections::HashMap;

/// Objects that a reading may hold at once: those of a ViT-H with its optimizer are a twentieth of it.
const MOST_NODES: u64 = 4 << 20;

/// Depth to which objects may be nested: a state dict has about ten levels.
const MOST_LEVELS: u64 = 128;

/// Bytes of text that count as one object.
const TEXT: u64 = 64;

/// Objects below one, itself included, and the levels they are nested in.
#[derive(Clone, Copy)]
struct Size {
    nodes: u64,
    levels: u64,
}

impl Size {
    fn leaf(bytes: usize) -> Self {
        Self {
            nodes: 1 + bytes as u64 / TEXT,
            levels: 1,
        }
    }

    /// One object around `parts`.
    fn around(parts: &[Self]) -> Self {
        let all = parts.iter().fold(Self::leaf(0), |all, part| Self {
            nodes: all.nodes.saturating_add(part.nodes),
            levels: all.levels.max(part.levels),
        });
        Self {
            levels: all.levels + 1,
            ..all
        }
    }
}

/// Checks that reading `pickle` to its end stays within bounds.
pub(crate) fn check(pickle: &[u8]) -> Result<(), String> {
    let mut scan = Scan {
        rest: pickle,
        stack: Vec::new(),
        memo: HashMap::new(),
        made: 0,
    };
    loop {
        match scan.step() {
            Some(true) => {}
            Some(false) => return Ok(()),
            None => return Err("its description of tensors is damaged; fetch it again".to_owned()),
        }
        // Only what is on top has just changed.
        let levels = scan
            .stack
            .last()
            .map_or(0, |top| top.map_or(0, |top| top.levels));
        if scan.made > MOST_NODES || levels > MOST_LEVELS {
            return Err(format!(
                "its description of tensors unfolds to more than {MOST_NODES} objects or {MOST_LEVELS} levels; no state dict does"
            ));
        }
    }
}

struct Scan<'a> {
    rest: &'a [u8],
    /// None is a mark.
    stack: Vec<Option<Size>>,
    /// Marks too, as the reader keeps them.
    memo: HashMap<u32, Option<Size>>,
    /// Objects made so far: by an instruction each, and copied into the memo or out of it.
    made: u64,
}

impl Scan<'_> {
    /// One instruction: whether another follows, or nothing where the reader fails.
    fn step(&mut self) -> Option<bool> {
        let [code] = self.take()?;
        self.made += 1;
        match code {
            0x80 => self.take::<1>().map(drop)?,
            b'c' => {
                let length = self.line()? + self.line()?;
                self.push(Size::leaf(length));
            }
            b'K' => self.number::<1>()?,
            b'M' => self.number::<2>()?,
            b'J' => self.number::<4>()?,
            b'G' => self.number::<8>()?,
            0x8a => {
                let [length] = self.take()?;
                self.skip(length.into())?;
                self.push(Size::leaf(0));
            }
            b'X' => {
                let length = u32::from_le_bytes(self.take()?) as usize;
                self.skip(length)?;
                self.push(Size::leaf(length));
            }
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' | b'd' => self.push(Size::leaf(0)),
            b'(' => self.stack.push(None),
            b'Q' | 0x85 => self.wrap(1)?,
            // Two dictionaries that are built become one, anything else a pair.
            0x86 | b'R' | 0x81 | b'b' => self.wrap(2)?,
            0x87 => self.wrap(3)?,
            b't' => {
                let parts = self.pop_to_mark()?;
                self.push(Size::around(&parts));
            }
            b'a' => self.grow(1)?,
            b's' => self.grow(2)?,
            b'e' | b'u' => {
                let parts = self.pop_to_mark()?;
                self.grow_by(&parts)?;
            }
            b'h' => {
                let [id] = self.take()?;
                self.recall(id.into())?;
            }
            b'j' => {
                let id = u32::from_le_bytes(self.take()?);
                self.recall(id)?;
            }
            b'q' => {
                let [id] = self.take()?;
                self.remember(id.into())?;
            }
            b'r' => {
                let id = u32::from_le_bytes(self.take()?);
                self.remember(id)?;
            }
            b'.' => return Some(false),
            _ => return None,
        }
        Some(true)
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    /// Length of a line, which is passed over.
    fn line(&mut self) -> Option<usize> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        self.skip(end + 1)?;
        Some(end)
    }

    fn number<const N: usize>(&mut self) -> Option<()> {
        self.take::<N>()?;
        self.push(Size::leaf(0));
        Some(())
    }

    fn push(&mut self, size: Size) {
        self.stack.push(Some(size));
    }

    /// The last `count` objects; a mark among them counts as one, as it does for the reader.
    fn pop(&mut self, count: usize) -> Option<Vec<Size>> {
        let first = self.stack.len().checked_sub(count)?;
        let parts = self.stack.drain(first..);
        Some(parts.map(|part| part.unwrap_or(Size::leaf(0))).collect())
    }

    fn wrap(&mut self, count: usize) -> Option<()> {
        let parts = self.pop(count)?;
        self.push(Size::around(&parts));
        Some(())
    }

    fn pop_to_mark(&mut self) -> Option<Vec<Size>> {
        let mark = self.stack.iter().rposition(Option::is_none)?;
        let parts = self.pop(self.stack.len() - mark - 1)?;
        self.stack.pop();
        Some(parts)
    }

    fn grow(&mut self, count: usize) -> Option<()> {
        let parts = self.pop(count)?;
        self.grow_by(&parts)
    }

    /// Adds `parts` to the object before them.
    fn grow_by(&mut self, parts: &[Size]) -> Option<()> {
        let parts = Size::around(parts);
        let whole = self.stack.last_mut()?.as_mut()?;
        whole.nodes = whole.nodes.saturating_add(parts.nodes);
        whole.levels = whole.levels.max(parts.levels);
        Some(())
    }

    fn recall(&mut self, id: u32) -> Option<()> {
        let size = *self.memo.get(&id)?;
        self.made = self.made.saturating_add(size.map_or(1, |size| size.nodes));
        self.stack.push(size);
        Some(())
    }

    fn remember(&mut self, id: u32) -> Option<()> {
        let size = *self.stack.last()?;
        self.made = self.made.saturating_add(size.map_or(1, |size| size.nodes));
        self.memo.insert(id, size);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_that_doubles_at_every_step_is_refused() {
        let mut pickle = b"\x80\x02)q\x00".to_vec();
        for _ in 0..40 {
            pickle.extend(b"h\x00h\x00\x86q\x00");
        }
        pickle.push(b'.');
        assert!(check(&pickle).unwrap_err().contains("unfolds"));
    }

    #[test]
    fn a_pickle_that_nests_without_end_is_refused() {
        let mut pickle = b"\x80\x02)".to_vec();
        pickle.extend([0x85; 100_000]);
        pickle.push(b'.');
        assert!(check(&pickle).unwrap_err().contains("levels"));
    }

    #[test]
    fn a_mark_out_of_the_memo_does_not_hide_what_follows() {
        let mut pickle = b"\x80\x02(q\x00th\x00t)q\x00".to_vec();
        for _ in 0..40 {
            pickle.extend(b"h\x00h\x00\x86q\x00");
        }
        pickle.push(b'.');
        assert!(check(&pickle).unwrap_err().contains("unfolds"));
    }

    #[test]
    fn a_dictionary_passes_and_what_is_no_pickle_does_not() {
        // {"a": (1, 2)}
        let dictionary = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01K\x02\x86q\x02s.";
        assert_eq!(check(dictionary), Ok(()));
        let text_beyond_the_end = b"\x80\x02X\xff\xff\xff\xffa.";
        for pickle in [
            &b""[..],
            b"\x80",
            b"t",
            b"h\x07",
            b"\xff",
            text_beyond_the_end,
        ] {
            assert!(check(pickle).unwrap_err().contains("damaged"));
        }
    }
}
