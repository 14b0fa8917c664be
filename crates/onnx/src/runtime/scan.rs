//! How much memory a file's messages would take, before they are taken apart: an empty message of two bytes becomes hundreds.

/// Most messages and texts of a file: far more than a network has, and far less than would exhaust the memory.
const MOST: usize = 1 << 18;

/// The kinds of messages that hold others.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Training,
    Function,
    /// Anything else: its parts are counted, but not looked into.
    Leaf,
}

impl Kind {
    /// What lies in a field of this message, by the numbers of `onnx.proto3`.
    fn within(self, field: u64) -> Self {
        match (self, field) {
            (Self::Model, 7) | (Self::Attribute, 6 | 11) | (Self::Training, 1 | 2) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) => Self::Tensor,
            (Self::Graph, 11..=15) | (Self::Value, _) => Self::Value,
            (Self::Attribute, 14 | 15 | 22 | 23) => Self::Value,
            (Self::Node, 5) => Self::Attribute,
            _ => Self::Leaf,
        }
    }

    /// Whether the content of the field is bytes or text, not a message.
    fn is_text(self) -> bool {
        matches!(self, Self::Leaf)
    }
}

/// Checks that a file is a sequence of fields as protobuf has them, and counts those that take memory of their own.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let mut count = 0;
    message(bytes, Kind::Model, 0, &mut count)
}

fn message(mut bytes: &[u8], kind: Kind, depth: usize, count: &mut usize) -> Result<(), String> {
    if depth > 64 {
        return Err("its messages lie more than 64 deep in each other".to_owned());
    }
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let size = match tag & 7 {
            0 => {
                varint(&mut bytes)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut bytes)?).unwrap_or(usize::MAX),
            5 => 4,
            other => return Err(format!("it has a field of the unknown wire type {other}")),
        };
        let Some((content, rest)) = bytes.split_at_checked(size) else {
            return Err("it ends in the middle of a field; it may be truncated".to_owned());
        };
        bytes = rest;
        if tag & 7 != 2 {
            continue;
        }
        *count += 1;
        if *count > MOST {
            return Err(format!("it holds more than {MOST} messages and texts"));
        }
        let inner = kind.within(tag >> 3);
        // A value's own fields may be texts: a message that is none is no fault here.
        match kind {
            _ if inner.is_text() => {}
            Kind::Value => drop(message(content, inner, depth + 1, count)),
            _ => message(content, inner, depth + 1, count)?,
        }
    }
    Ok(())
}

fn varint(bytes: &mut &[u8]) -> Result<u64, String> {
    let mut value = 0u64;
    for place in 0..10 {
        let Some((&byte, rest)) = bytes.split_first() else {
            return Err("it ends in the middle of a number; it may be truncated".to_owned());
        };
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err("it has a number of more than 64 bits".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_messages_are_counted() {
        // A graph (field 7) of 10 empty nodes (field 1), of as many as there may be, and of one more.
        let graph = |nodes: usize| {
            let nodes = [0x0a, 0x00].repeat(nodes);
            let mut size = nodes.len();
            let mut bytes = vec![0x3a];
            while size >= 0x80 {
                bytes.push((size & 0x7f) as u8 | 0x80);
                size >>= 7;
            }
            bytes.push(size as u8);
            [bytes, nodes].concat()
        };
        assert_eq!(check(&graph(10)), Ok(()));
        assert_eq!(check(&graph(MOST - 1)), Ok(()));
        assert!(check(&graph(MOST)).unwrap_err().contains("more than"));
    }

    #[test]
    fn what_ends_too_early_is_said() {
        for bytes in [&[0x3a, 0x05, 0x0a][..], &[0x08], &[0x3a, 0x80]] {
            assert!(check(bytes).unwrap_err().contains("truncated"));
        }
        assert!(check(b"\x07text").unwrap_err().contains("wire type 7"));
        assert!(check(&[0xff; 11]).unwrap_err().contains("64 bits"));
    }
}
