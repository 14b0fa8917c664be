//! A graph in the making: nodes, constants, and sizes that are numbers or are computed when the model runs.

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Tensor};
use venule_nn::ParamStore;

use crate::proto::{Attribute, FLOAT, GraphProto, INT64, Node, TensorProto};
use crate::{Error, Result};

/// A value of the graph, by name.
pub(crate) type Value = String;

/// A length: a number, or an integer tensor of one element.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Known(i64),
    Computed(Value),
}

/// A map (B, `channels`, `height`, `width`).
#[derive(Clone, Debug)]
pub(crate) struct Map {
    pub(crate) value: Value,
    pub(crate) channels: usize,
    pub(crate) height: Side,
    pub(crate) width: Side,
}

/// A setting of a node.
pub(crate) enum Set<'a> {
    Int(i64),
    Ints(&'a [i64]),
    Float(f32),
    Word(&'a str),
}

fn attribute(name: &str, set: &Set<'_>) -> Attribute {
    let mut attribute = Attribute {
        name: name.to_owned(),
        ..Attribute::default()
    };
    match *set {
        Set::Float(f) => (attribute.f, attribute.kind) = (Some(f), 1),
        Set::Int(i) => (attribute.i, attribute.kind) = (Some(i), 2),
        Set::Word(s) => (attribute.s, attribute.kind) = (Some(s.as_bytes().to_vec()), 3),
        Set::Ints(ints) => (attribute.ints, attribute.kind) = (ints.to_vec(), 7),
    }
    attribute
}

/// The graph, and the parameters that it takes.
pub(crate) struct Graph<'a> {
    store: &'a ParamStore,
    taken: BTreeSet<String>,
    proto: GraphProto,
    /// Names of constants by content, so that none is written twice.
    integers: BTreeMap<(Vec<i64>, Vec<i64>), Value>,
    /// Names of computed values by what they are computed of, likewise.
    computed: BTreeMap<Vec<String>, Value>,
    /// How many values have a name that begins alike.
    names: BTreeMap<String, usize>,
}

impl<'a> Graph<'a> {
    pub(crate) fn new(name: &str, store: &'a ParamStore) -> Self {
        Self {
            store,
            taken: BTreeSet::new(),
            proto: GraphProto {
                name: name.to_owned(),
                ..GraphProto::default()
            },
            integers: BTreeMap::new(),
            computed: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// The graph, once every parameter of the store but those `for training` has its place.
    pub(crate) fn finish(self, of_training: &[String]) -> Result<GraphProto> {
        let names = self.store.tensors().into_iter().map(|(name, _)| name);
        let left = names.filter(|name| {
            let training = of_training.iter().any(|prefix| name.starts_with(prefix));
            !training && !self.taken.contains(name)
        });
        let names: Vec<String> = left.collect();
        match names.is_empty() {
            true => Ok(self.proto),
            false => Err(Error::Unused { names }),
        }
    }

    /// A name that no other value has.
    fn fresh(&mut self, stem: &str) -> Value {
        let count = self.names.entry(stem.to_owned()).or_default();
        *count += 1;
        match *count {
            1 => stem.to_owned(),
            count => format!("{stem}_{count}"),
        }
    }

    /// A node of one result, named by `place`, where in the model it stands.
    pub(crate) fn node(
        &mut self,
        operator: &str,
        place: &str,
        inputs: &[&str],
        settings: &[(&str, Set<'_>)],
    ) -> Value {
        let output = self.fresh(&format!("{place}/{operator}"));
        self.named_node(operator, &output, inputs, settings);
        output
    }

    /// A node whose result has this name.
    pub(crate) fn named_node(
        &mut self,
        operator: &str,
        output: &str,
        inputs: &[&str],
        settings: &[(&str, Set<'_>)],
    ) {
        let settings = settings.iter().map(|(name, set)| attribute(name, set));
        self.proto.node.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            attribute: settings.collect(),
        });
    }

    /// A constant of integers.
    pub(crate) fn integers(&mut self, values: &[i64], shape: &[usize]) -> Value {
        let dims: Vec<i64> = shape.iter().map(|&side| side as i64).collect();
        let key = (dims.clone(), values.to_vec());
        if let Some(name) = self.integers.get(&key) {
            return name.clone();
        }
        let name = self.fresh("constant");
        self.proto.initializer.push(TensorProto {
            dims,
            data_type: INT64,
            name: name.clone(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
        self.integers.insert(key, name.clone());
        name
    }

    /// A constant of numbers.
    pub(crate) fn tensor(&mut self, stem: &str, tensor: &Tensor) -> Result<Value> {
        let name = self.fresh(stem);
        let values = tensor
            .to_dtype(DType::F32)?
            .flatten_all()?
            .to_vec1::<f32>()?;
        self.proto.initializer.push(TensorProto {
            dims: tensor.dims().iter().map(|&side| side as i64).collect(),
            data_type: FLOAT,
            name: name.clone(),
            raw_data: values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect(),
        });
        Ok(name)
    }

    /// A single number.
    pub(crate) fn number(&mut self, place: &str, value: f32) -> Result<Value> {
        let tensor = Tensor::new(value, &candle_core::Device::Cpu)?;
        self.tensor(&format!("{place}/number"), &tensor)
    }

    /// A parameter of the store, of this shape.
    pub(crate) fn parameter(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let wrong = |reason: String| Error::Variable {
            name: name.to_owned(),
            reason,
        };
        let parameter = self.store.get(name);
        let parameter = parameter.ok_or_else(|| wrong("is missing".to_owned()))?;
        let tensor = parameter.tensor().detach();
        if tensor.dims() != shape {
            return Err(wrong(format!(
                "is of shape {:?}, not {shape:?}",
                tensor.dims()
            )));
        }
        self.taken.insert(name.to_owned());
        Ok(tensor)
    }

    /// A parameter as a constant of the graph, under its own name.
    pub(crate) fn weight(&mut self, name: &str, shape: &[usize]) -> Result<Value> {
        let tensor = self.parameter(name, shape)?;
        self.tensor(name, &tensor)
    }

    /// A shape or another list of lengths, as an integer tensor.
    pub(crate) fn sides(&mut self, sides: &[Side]) -> Value {
        let known: Option<Vec<i64>> = sides.iter().map(Side::known).collect();
        if let Some(known) = known {
            return self.integers(&known, &[known.len()]);
        }
        let parts: Vec<Value> = sides.iter().map(|side| self.side(side)).collect();
        self.shared("Concat", "size", &parts, &[("axis", Set::Int(0))])
    }

    /// A length as an integer tensor of one element.
    pub(crate) fn side(&mut self, side: &Side) -> Value {
        match side {
            Side::Known(value) => self.integers(&[*value], &[1]),
            Side::Computed(value) => value.clone(),
        }
    }

    /// A node of settings that follow from the operator and its inputs: one for all who ask.
    fn shared(
        &mut self,
        operator: &str,
        place: &str,
        inputs: &[Value],
        settings: &[(&str, Set<'_>)],
    ) -> Value {
        let mut key = vec![operator.to_owned()];
        key.extend_from_slice(inputs);
        if let Some(value) = self.computed.get(&key) {
            return value.clone();
        }
        let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let value = self.node(operator, place, &names, settings);
        self.computed.insert(key, value.clone());
        value
    }

    /// `a` and `b` joined by an operator on integers, at once where both are numbers.
    fn arithmetic(&mut self, operator: &str, a: &Side, b: &Side) -> Side {
        if let (Side::Known(a), Side::Known(b)) = (a, b) {
            return Side::Known(match operator {
                "Add" => a + b,
                "Sub" => a - b,
                "Mul" => a * b,
                "Max" => *a.max(b),
                // Lengths are positive, and so are those that they are divided by.
                _ => a / b,
            });
        }
        let inputs = [self.side(a), self.side(b)];
        Side::Computed(self.shared(operator, "size", &inputs, &[]))
    }

    pub(crate) fn add(&mut self, a: &Side, b: &Side) -> Side {
        self.arithmetic("Add", a, b)
    }

    pub(crate) fn subtract(&mut self, a: &Side, b: &Side) -> Side {
        self.arithmetic("Sub", a, b)
    }

    pub(crate) fn multiply(&mut self, a: &Side, b: &Side) -> Side {
        self.arithmetic("Mul", a, b)
    }

    pub(crate) fn larger(&mut self, a: &Side, b: &Side) -> Side {
        self.arithmetic("Max", a, b)
    }

    /// a / b, rounded down.
    pub(crate) fn divide(&mut self, a: &Side, b: &Side) -> Side {
        self.arithmetic("Div", a, b)
    }

    /// a / b, rounded up.
    pub(crate) fn divide_up(&mut self, a: &Side, b: &Side) -> Side {
        let more = self.subtract(b, &Side::Known(1));
        let sum = self.add(a, &more);
        self.divide(&sum, b)
    }

    /// The integers from 0 to below `count`, in one dimension.
    pub(crate) fn range(&mut self, count: &Side) -> Value {
        match count {
            Side::Known(count) => {
                let values: Vec<i64> = (0..*count).collect();
                self.integers(&values, &[values.len()])
            }
            Side::Computed(count) => {
                let first = self.integers(&[0], &[1]);
                let count = self.shared("Squeeze", "size", &[count.clone(), first], &[]);
                let (start, step) = (self.integers(&[0], &[]), self.integers(&[1], &[]));
                self.shared("Range", "size", &[start, count, step], &[])
            }
        }
    }
}

impl Side {
    pub(crate) fn known(&self) -> Option<i64> {
        match self {
            Self::Known(value) => Some(*value),
            Self::Computed(_) => None,
        }
    }
}
