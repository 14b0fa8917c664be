//! The pickle inside a `.pth` file, read without running anything: of protocols 2 to 5 the instructions that Python writes. Objects lie in one arena and name each other by number, so that memory grows with the pickle alone, however often it
//! refers to an object or nests one.

use std::collections::HashMap;

use candle_core::DType;

/// Instructions that are read at most: a ViT-H with its optimizer needs a twentieth of it.
const MOST_STEPS: usize = 4 << 20;
/// Longest name of a tensor or dictionary, in bytes.
const LONGEST_NAME: usize = 256;

/// Number of an object.
pub(crate) type Id = usize;

/// None, a truth value, a float, bytes or a set: nothing that describes a tensor.
const OTHER: Id = 0;

#[derive(Debug)]
enum Node<'a> {
    Other,
    Int(i64),
    Text(&'a str),
    Global {
        module: &'a str,
        name: &'a str,
    },
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// What a function, or a class, would make of its arguments.
    Call {
        callable: Id,
        args: Id,
    },
    /// What lies beside the pickle: a storage.
    Persistent(Id),
}

/// Where a tensor's values lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    /// Name of its storage.
    pub storage: &'a str,
    /// Type of the storage's values; None for integers, truth values and types without a name here.
    pub dtype: Option<DType>,
    /// The class of its storage, or that type's name in PyTorch.
    pub class: &'a str,
    /// Place of the first value, in values.
    pub offset: usize,
    pub dims: Vec<usize>,
    /// Steps from one value to the next along each dimension, in values.
    pub strides: Vec<usize>,
}

/// A pickle that was read.
#[derive(Debug)]
pub(crate) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    root: Id,
}

fn damaged() -> String {
    "its description of tensors is damaged; fetch it again".to_owned()
}

impl<'a> Pickle<'a> {
    /// Reads `bytes` up to their stop instruction.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut reader = Reader {
            rest: bytes,
            nodes: vec![Node::Other],
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        };
        for _ in 0..MOST_STEPS {
            let [code] = reader.take().ok_or_else(damaged)?;
            if code == b'.' {
                let root = reader.pop().ok_or_else(damaged)?;
                let nodes = reader.nodes;
                return Ok(Self { nodes, root });
            }
            if !INSTRUCTIONS.contains(&code) {
                let what = match bytes {
                    [0x80, protocol, ..] if *protocol > NEWEST => {
                        format!("is a pickle of protocol {protocol}, but 2 to {NEWEST} are read")
                    }
                    [first, ..] if *first != 0x80 && OLD.contains(&code) => {
                        // Protocol 0 names what it remembers by text, with an instruction that is not known here.
                        let protocol = i32::from(!reader.memo.is_empty());
                        format!("is a pickle of protocol {protocol}, but 2 to {NEWEST} are read")
                    }
                    _ => format!("has the unknown instruction {code:#04x}"),
                };
                return Err(format!(
                    "its description of tensors {what}; load it in PyTorch and write it again with torch.save(model.state_dict(), path)"
                ));
            }
            reader.step(code).ok_or_else(damaged)?;
        }
        Err(format!(
            "its description of tensors has more than {MOST_STEPS} instructions; no state dict has"
        ))
    }

    /// The outermost object.
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    /// The entries of a dictionary, in the file's order.
    pub(crate) fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match &self.nodes[id] {
            Node::Dict(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// A text short enough for a name: what is made of names then grows with the pickle, however often it refers to one.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match self.nodes[id] {
            Node::Text(text) => (text.len() <= LONGEST_NAME).then_some(text),
            _ => None,
        }
    }

    /// Module and name of the class that an object is of, where it is no plain container.
    pub(crate) fn class(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.nodes[id] {
            Node::Call { callable, .. } => self.global(callable),
            _ => None,
        }
    }

    fn global(&self, id: Id) -> Option<(&'a str, &'a str)> {
        match self.nodes[id] {
            Node::Global { module, name } => Some((module, name)),
            _ => None,
        }
    }

    fn list(&self, id: Id) -> Option<&[Id]> {
        match &self.nodes[id] {
            Node::List(items) => Some(items),
            _ => None,
        }
    }

    fn number(&self, id: Id) -> Option<usize> {
        match self.nodes[id] {
            Node::Int(value) => value.try_into().ok(),
            _ => None,
        }
    }

    /// At most 16: no weight has more dimensions.
    fn numbers(&self, id: Id) -> Option<Vec<usize>> {
        let list = self.list(id).filter(|list| list.len() <= 16)?;
        list.iter().map(|&id| self.number(id)).collect()
    }

    /// The tensor that an object is; None for any other object, an error if its description makes no sense.
    pub(crate) fn tensor(&self, mut id: Id) -> Option<Result<Stored<'a>, String>> {
        // A parameter around a tensor around a tensor of a subclass; no file needs more.
        for _ in 0..4 {
            let Node::Call { callable, args } = self.nodes[id] else {
                return None;
            };
            let args = self.list(args)?;
            match self.global(callable)? {
                ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                    id = *args.first()?;
                }
                ("torch._tensor", "_rebuild_from_type_v2") => {
                    let (&callable, &args) = (args.first()?, args.get(2)?);
                    return self.rebuilt(self.global(callable)?, self.list(args)?);
                }
                function => return self.rebuilt(function, args),
            }
        }
        None
    }

    fn rebuilt(&self, function: (&str, &str), args: &[Id]) -> Option<Result<Stored<'a>, String>> {
        let typed = match function {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => None,
            ("torch._utils", "_rebuild_tensor_v3") => Some(6),
            _ => return None,
        };
        Some(self.stored(args, typed).ok_or_else(damaged))
    }

    /// (storage, offset, size, stride, …), the type at place `typed` where the storage has none.
    fn stored(&self, args: &[Id], typed: Option<usize>) -> Option<Stored<'a>> {
        let &[storage, offset, size, stride] = args.first_chunk()?;
        let Node::Persistent(storage) = self.nodes[storage] else {
            return None;
        };
        let &[_, class, storage, ..] = self.list(storage)? else {
            return None;
        };
        let name = match typed {
            None => self.global(class)?.1,
            Some(place) => self.global(*args.get(place)?)?.1,
        };
        let (dims, strides) = (self.numbers(size)?, self.numbers(stride)?);
        (dims.len() == strides.len()).then_some(Stored {
            storage: self.text(storage)?,
            dtype: match name {
                "FloatStorage" | "float32" => Some(DType::F32),
                "DoubleStorage" | "float64" => Some(DType::F64),
                "HalfStorage" | "float16" => Some(DType::F16),
                "BFloat16Storage" | "bfloat16" => Some(DType::BF16),
                _ => None,
            },
            class: name,
            offset: self.number(offset)?,
            dims,
            strides,
        })
    }
}

/// Instructions of protocols 0 and 1 alone, which are text, or find classes by text.
const OLD: &[u8] = b"FILPSVgiop";

/// Newest protocol there is.
const NEWEST: u8 = 5;

/// Those that [`Reader::step`] knows.
const INSTRUCTIONS: &[u8] = b"(012NKMJG\x8a\x8bXUTBC\x8c\x8d\x8e\x96\x88\x89)tl]}d\x85\x86\x87\x8faesu\x90\x91c\x93R\x81\x92bQhjqr\x94\x80\x95";

struct Reader<'a> {
    rest: &'a [u8],
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at each mark.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Reader<'a> {
    /// One instruction, or nothing where it makes no sense.
    fn step(&mut self, code: u8) -> Option<()> {
        match code {
            0x80 => self.take::<1>().map(drop)?,
            // A frame's length: only a hint for buffering.
            0x95 => self.take::<8>().map(drop)?,
            b'(' => self.marks.push(self.stack.len()),
            b'0' => self.pop().map(drop)?,
            b'1' => self.pop_to_mark().map(drop)?,
            b'2' => self.stack.push(*self.stack.last()?),
            b'N' | 0x88 | 0x89 => self.stack.push(OTHER),
            b'K' => {
                let [value] = self.take()?;
                self.push(Node::Int(value.into()));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Node::Int(value.into()));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Node::Int(value.into()));
            }
            b'G' => {
                self.take::<8>()?;
                self.stack.push(OTHER);
            }
            0x8a => self.long::<1>()?,
            0x8b => self.long::<4>()?,
            0x8c => self.unicode::<1>()?,
            b'X' => self.unicode::<4>()?,
            0x8d => self.unicode::<8>()?,
            b'U' | b'C' => self.bytes::<1>()?,
            b'T' | b'B' => self.bytes::<4>()?,
            0x8e | 0x96 => self.bytes::<8>()?,
            b')' | b']' => self.push(Node::List(Vec::new())),
            b'}' => self.push(Node::Dict(Vec::new())),
            0x8f => self.stack.push(OTHER),
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' | b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Node::List(items));
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = pairs(&items)?;
                self.push(Node::Dict(pairs));
            }
            0x91 => {
                self.pop_to_mark()?;
                self.stack.push(OTHER);
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.extend(&items)?;
            }
            0x90 => self.pop_to_mark().map(drop)?,
            b's' => {
                let items = self.pop_many(2)?;
                self.set(&items)?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Node::Global { module, name });
            }
            0x93 => {
                let names = self.pop_many(2)?;
                let text = |id: Id| match self.nodes[id] {
                    Node::Text(text) => Some(text),
                    _ => None,
                };
                let (module, name) = (text(names[0])?, text(names[1])?);
                self.push(Node::Global { module, name });
            }
            b'R' | 0x81 => {
                let parts = self.pop_many(2)?;
                self.call(parts[0], parts[1])?;
            }
            0x92 => {
                let parts = self.pop_many(3)?;
                self.call(parts[0], parts[1])?;
            }
            // An object's further state: a dictionary of tensors has none that matters.
            b'b' => {
                self.pop()?;
                self.stack.last()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Node::Persistent(id));
            }
            b'h' => {
                let [id] = self.take()?;
                self.stack.push(*self.memo.get(&id.into())?);
            }
            b'j' => {
                let id = u32::from_le_bytes(self.take()?);
                self.stack.push(*self.memo.get(&id)?);
            }
            b'q' => {
                let [id] = self.take()?;
                self.memo.insert(id.into(), *self.stack.last()?);
            }
            b'r' => {
                let id = u32::from_le_bytes(self.take()?);
                self.memo.insert(id, *self.stack.last()?);
            }
            0x94 => {
                let id = self.memo.len().try_into().ok()?;
                self.memo.insert(id, *self.stack.last()?);
            }
            _ => return None,
        }
        Some(())
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    /// Bytes whose number, of N bytes, stands before them.
    fn counted<const N: usize>(&mut self) -> Option<&'a [u8]> {
        let mut length = [0; 8];
        length[..N].copy_from_slice(&self.take::<N>()?);
        let (bytes, rest) = self
            .rest
            .split_at_checked(u64::from_le_bytes(length).try_into().ok()?)?;
        self.rest = rest;
        Some(bytes)
    }

    fn unicode<const N: usize>(&mut self) -> Option<()> {
        let text = str::from_utf8(self.counted::<N>()?).ok()?;
        self.push(Node::Text(text));
        Some(())
    }

    fn bytes<const N: usize>(&mut self) -> Option<()> {
        self.counted::<N>()?;
        self.stack.push(OTHER);
        Some(())
    }

    /// An integer of any length; one beyond 64 bits is no size.
    fn long<const N: usize>(&mut self) -> Option<()> {
        let bytes = self.counted::<N>()?;
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut value = if negative { [0xff; 8] } else { [0; 8] };
        match value.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                self.push(Node::Int(i64::from_le_bytes(value)));
            }
            None => self.stack.push(OTHER),
        }
        Some(())
    }

    fn line(&mut self) -> Option<&'a str> {
        let end = self.rest.iter().position(|&byte| byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        str::from_utf8(line).ok()
    }

    fn push(&mut self, node: Node<'a>) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    /// Objects above the last mark only.
    fn pop_many(&mut self, count: usize) -> Option<Vec<Id>> {
        let first = self.stack.len().checked_sub(count)?;
        (first >= self.marks.last().copied().unwrap_or(0)).then(|| self.stack.split_off(first))
    }

    fn pop(&mut self) -> Option<Id> {
        self.pop_many(1)?.pop()
    }

    fn pop_to_mark(&mut self) -> Option<Vec<Id>> {
        let mark = self.marks.pop()?;
        (mark <= self.stack.len()).then(|| self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Option<()> {
        let items = self.pop_many(count)?;
        self.push(Node::List(items));
        Some(())
    }

    /// Adds to the list on top; another object's items are not kept.
    fn extend(&mut self, items: &[Id]) -> Option<()> {
        if let Node::List(list) = &mut self.nodes[*self.stack.last()?] {
            list.extend(items);
        }
        Some(())
    }

    /// Adds to the dictionary on top.
    fn set(&mut self, items: &[Id]) -> Option<()> {
        let pairs = pairs(items)?;
        if let Node::Dict(dict) = &mut self.nodes[*self.stack.last()?] {
            dict.extend(pairs);
        }
        Some(())
    }

    fn call(&mut self, callable: Id, args: Id) -> Option<()> {
        let dictionary = matches!(
            self.nodes[callable],
            Node::Global {
                module: "collections",
                name: "OrderedDict" | "defaultdict"
            }
        );
        self.push(match dictionary {
            true => Node::Dict(Vec::new()),
            false => Node::Call { callable, args },
        });
        Some(())
    }
}

/// Keys and values in turn.
fn pairs(items: &[Id]) -> Option<Vec<(Id, Id)>> {
    let (pairs, rest) = items.as_chunks::<2>();
    rest.is_empty()
        .then(|| pairs.iter().map(|&[key, value]| (key, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Pickle<'_>, String> {
        Pickle::read(bytes)
    }

    #[test]
    fn a_pickle_that_doubles_at_every_step_takes_no_more_than_its_own_length() {
        let mut pickle = b"\x80\x02)q\x00".to_vec();
        for _ in 0..40 {
            pickle.extend(b"h\x00h\x00\x86q\x00");
        }
        pickle.push(b'.');
        assert_eq!(read(&pickle).unwrap().nodes.len(), 42);
    }

    #[test]
    fn a_pickle_that_nests_deeper_than_any_stack_is_read_and_dropped() {
        let mut pickle = b"\x80\x02)".to_vec();
        pickle.extend(vec![0x85; 1_000_000]);
        pickle.push(b'.');
        let read = read(&pickle).unwrap();
        assert!(read.dict(read.root()).is_none() && read.tensor(read.root()).is_none());
    }

    #[test]
    fn a_pickle_of_too_many_instructions_is_refused() {
        let mut pickle = vec![b'N'; MOST_STEPS + 1];
        pickle.push(b'.');
        assert!(
            read(&pickle)
                .unwrap_err()
                .contains("more than 4194304 instructions")
        );
    }

    #[test]
    fn a_dictionary_of_protocol_2_and_one_of_protocol_4() {
        // pickle.dumps({"a": (1, 2)}, 2) and pickle.dumps({"a": (1, 2)}, 4)
        let old = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01K\x02\x86q\x02s.";
        let new = b"\x80\x04\x95\x0e\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01K\x02\x86\x94s.";
        for bytes in [&old[..], new] {
            let pickle = read(bytes).unwrap();
            let &[(key, value)] = pickle.dict(pickle.root()).unwrap() else {
                panic!("one entry");
            };
            assert_eq!(pickle.text(key), Some("a"));
            assert_eq!(pickle.numbers(value), Some(vec![1, 2]));
        }
    }

    #[test]
    fn integers_of_any_length() {
        // pickle.dumps of (-1, 2**40, -2**31 - 1, 2**70) at protocol 2
        let bytes = b"\x80\x02(J\xff\xff\xff\xff\x8a\x06\0\0\0\0\0\x01\x8a\x05\xff\xff\xff\x7f\xff\x8a\x09\0\0\0\0\0\0\0\0\x40tq\0.";
        let pickle = read(bytes).unwrap();
        let numbers: Vec<_> = pickle.list(pickle.root()).unwrap().to_vec();
        let value = |i: usize| match pickle.nodes[numbers[i]] {
            Node::Int(value) => Some(value),
            _ => None,
        };
        assert_eq!(
            [0, 1, 2, 3].map(value),
            [Some(-1), Some(1 << 40), Some(-(1 << 31) - 1), None]
        );
    }

    #[test]
    fn what_is_no_pickle_is_damaged() {
        let text_beyond_the_end = b"\x80\x02X\xff\xff\xff\xffa.";
        let longer_than_memory = b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xffa.";
        for pickle in [
            &b""[..],
            b"\x80",
            b"t",
            b"h\x07",
            b".",
            b"N(.",
            b"N(K\x01R.",
            b"(K\x01u.",
            text_beyond_the_end,
            longer_than_memory,
        ] {
            assert!(read(pickle).unwrap_err().contains("damaged"), "{pickle:?}");
        }
        assert!(
            read(b"\xff")
                .unwrap_err()
                .contains("unknown instruction 0xff")
        );
    }

    #[test]
    fn a_list_that_holds_itself_ends() {
        let pickle = read(b"]q\0h\0a.").unwrap();
        assert!(pickle.tensor(pickle.root()).is_none());
    }
}
