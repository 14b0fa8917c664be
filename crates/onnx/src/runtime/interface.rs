//! What a file takes and gives, and what its output means.

use std::collections::BTreeMap;

use tract_onnx::pb::tensor_shape_proto::dimension::Value;
use tract_onnx::pb::type_proto::Value::TensorType;
use tract_onnx::pb::{GraphProto, NodeProto, ValueInfoProto};

use crate::size::{LARGEST, LEAST};
use crate::{LOGITS, PROBABILITY};

/// Operators through which a value keeps its meaning.
const TRANSPARENT: [&str; 10] = [
    "Identity",
    "Slice",
    "Reshape",
    "Transpose",
    "Cast",
    "Squeeze",
    "Unsqueeze",
    "Pad",
    "Resize",
    "Flatten",
];

/// What an ONNX file takes: images (batch, channels, height, width) of 32-bit floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Interface {
    /// Channels of its images; `None` where the file leaves them open.
    pub channels: Option<usize>,
    /// Rows of its images; `None`: any number.
    pub height: Option<usize>,
    /// Columns of its images; `None`: any number.
    pub width: Option<usize>,
}

/// The sizes that a file declares of a value, as text.
fn shape_text(value: &ValueInfoProto) -> String {
    let Some(TensorType(tensor)) = value.r#type.as_ref().and_then(|kind| kind.value.as_ref())
    else {
        return "no tensor".to_owned();
    };
    let Some(shape) = &tensor.shape else {
        return "a tensor of any shape".to_owned();
    };
    let sides = shape.dim.iter().map(|side| match &side.value {
        Some(Value::DimValue(value)) => value.to_string(),
        Some(Value::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    });
    let sides: Vec<String> = sides.collect();
    format!("({}) of type {}", sides.join(", "), tensor.elem_type)
}

impl Interface {
    /// Of the graph's only input.
    pub(super) fn of(input: &ValueInfoProto) -> Result<Self, String> {
        let refuse = || {
            format!(
                "its input '{}' is {}; expected images (batch, 1 or 3 channels, height, width) of 32-bit floats (type 1), one at a time, of at least {LEAST} pixels a side and at most {LARGEST} in all",
                input.name,
                shape_text(input)
            )
        };
        let Some(TensorType(tensor)) = input.r#type.as_ref().and_then(|kind| kind.value.as_ref())
        else {
            return Err(refuse());
        };
        let sides = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
        let Some([batch, channels, height, width]) = sides else {
            return Err(refuse());
        };
        let number = |side: &Option<Value>| match side {
            Some(Value::DimValue(value)) if *value != 0 => Some(*value),
            _ => None,
        };
        let side = |side: &Option<Value>| match number(side) {
            None => Ok(None),
            Some(value) => match usize::try_from(value) {
                Ok(value) if value <= LARGEST => Ok(Some(value)),
                _ => Err(refuse()),
            },
        };
        let batch = side(&batch.value)?;
        let found = Self {
            channels: side(&channels.value)?,
            height: side(&height.value)?,
            width: side(&width.value)?,
        };
        let pixels = found
            .height
            .unwrap_or(1)
            .saturating_mul(found.width.unwrap_or(1));
        let fits = tensor.elem_type == crate::proto::FLOAT
            && matches!(batch, None | Some(1))
            && matches!(found.channels, None | Some(1 | 3))
            && found.height.is_none_or(|side| side >= LEAST)
            && found.width.is_none_or(|side| side >= LEAST)
            && pixels <= LARGEST;
        fits.then_some(found).ok_or_else(refuse)
    }
}

/// The output to take: the one that is asked for, the only one, or that of a name which says what it is.
pub(super) fn chosen<'a>(
    graph: &'a GraphProto,
    asked: Option<&str>,
) -> Result<&'a ValueInfoProto, String> {
    let named = |name: &str| graph.output.iter().find(|output| output.name == name);
    let found = match (asked, graph.output.as_slice()) {
        (Some(name), _) => named(name),
        (None, [only]) => Some(only),
        (None, _) => named(PROBABILITY).or_else(|| named(LOGITS)),
    };
    found.ok_or_else(|| {
        let names: Vec<String> = graph
            .output
            .iter()
            .map(|output| format!("'{}' {}", output.name, shape_text(output)))
            .collect();
        match asked {
            Some(name) => format!("it has no output '{name}', but {}", names.join(", ")),
            None => format!(
                "it has {} outputs, {}; say which one gives the vessels",
                names.len(),
                names.join(", ")
            ),
        }
    })
}

/// Whether an output is made by a sigmoid or softmax; otherwise its values are logits.
pub(super) fn gives_probabilities<'a>(graph: &'a GraphProto, output: &'a str) -> bool {
    let made = |node: &'a NodeProto| node.output.iter().map(move |name| (name.as_str(), node));
    let makers: BTreeMap<&str, &NodeProto> = graph.node.iter().flat_map(made).collect();
    let mut name = output;
    // No longer than the graph: a circle ends too.
    for _ in 0..graph.node.len() {
        let Some(node) = makers.get(name) else {
            return false;
        };
        let operator = node.op_type.as_str();
        match node.input.first() {
            Some(input) if TRANSPARENT.contains(&operator) => name = input,
            _ => return matches!(operator, "Sigmoid" | "HardSigmoid" | "Softmax"),
        }
    }
    false
}
