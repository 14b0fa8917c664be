//! What is checked of a graph before it is built: what a file says may not exhaust the memory.

use std::collections::{BTreeMap, BTreeSet};

use tract_onnx::Onnx;
use tract_onnx::pb::tensor_proto::{DataLocation, DataType};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto};

/// Most values of a tensor that a constant may ask for.
const MOST_VALUES: usize = 1 << 28;

/// Operators that make large tensors of small ones: the input that says how large.
const GROWING: [(&str, usize); 8] = [
    ("ConstantOfShape", 0),
    ("Expand", 1),
    ("Tile", 1),
    ("Range", 1),
    ("OneHot", 1),
    ("Resize", 3),
    ("Pad", 1),
    ("Reshape", 1),
];

/// Operators that the runtime does not know, each with the first node of it.
pub(super) fn unknown_operators(onnx: &Onnx, graph: &GraphProto) -> Vec<String> {
    let mut unknown = BTreeMap::new();
    every_node(graph, &mut |node| {
        if !onnx.op_register.0.contains_key(&node.op_type) {
            let domain = match node.domain.as_str() {
                "" => String::new(),
                domain => format!(" of {domain}"),
            };
            let text = format!("'{}'{domain} (node '{}')", node.op_type, node.name);
            unknown.entry(node.op_type.clone()).or_insert(text);
        }
    });
    unknown.into_values().collect()
}

fn every_node<'a>(graph: &'a GraphProto, see: &mut impl FnMut(&'a NodeProto)) {
    for node in &graph.node {
        see(node);
        for attribute in &node.attribute {
            for graph in attribute.g.iter().chain(&attribute.graphs) {
                every_node(graph, see);
            }
        }
    }
}

/// Checks constants, and that every node's input comes from somewhere.
pub(super) fn graph(graph: &GraphProto) -> Result<(), String> {
    let mut integers: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    let mut known: BTreeSet<&str> = graph
        .input
        .iter()
        .map(|input| input.name.as_str())
        .collect();
    for tensor in &graph.initializer {
        constant(tensor)?;
        known.insert(&tensor.name);
        integers.insert(&tensor.name, small_integers(tensor));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err("it has sparse constants, which are not read".to_owned());
    }
    let mut inner = Ok(());
    every_node(graph, &mut |node| {
        let tensors = node
            .attribute
            .iter()
            .flat_map(|a| a.t.iter().chain(&a.tensors));
        for tensor in tensors {
            if inner.is_ok() {
                inner = constant(tensor);
            }
            if let ("Constant", Some(output)) = (node.op_type.as_str(), node.output.first()) {
                integers.insert(output, small_integers(tensor));
            }
        }
        known.extend(node.output.iter().map(String::as_str));
    });
    inner?;
    let mut sizes = Ok(());
    every_node(graph, &mut |node| {
        if sizes.is_ok() {
            sizes = grows(node, &integers);
        }
    });
    sizes?;
    let mut wanted = graph
        .output
        .iter()
        .map(|output| &output.name)
        .chain(graph.node.iter().flat_map(|node| &node.input));
    match wanted.find(|name| !name.is_empty() && !known.contains(name.as_str())) {
        Some(name) => Err(format!("nothing in it makes the value '{name}'")),
        None => Ok(()),
    }
}

/// Checks that a constant holds as many values as it says, in the file itself.
fn constant(tensor: &TensorProto) -> Result<(), String> {
    let name = &tensor.name;
    if tensor.data_location == Some(DataLocation::External as i32)
        || !tensor.external_data.is_empty()
    {
        return Err(format!(
            "its constant '{name}' lies in another file; save the model with all weights inside"
        ));
    }
    let count = tensor.dims.iter().try_fold(1usize, |count, &side| {
        count.checked_mul(usize::try_from(side).ok()?)
    });
    let kind = DataType::try_from(tensor.data_type).unwrap_or(DataType::Undefined);
    let bytes = match kind {
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float16 | DataType::Int16 | DataType::Uint16 => 2,
        DataType::Int8 | DataType::Uint8 | DataType::Bool => 1,
        _ => {
            return Err(format!(
                "its constant '{name}' is of the type {}, which is not read",
                kind.as_str_name()
            ));
        }
    };
    let held = match tensor.raw_data.len() {
        0 => {
            tensor.float_data.len()
                + tensor.int32_data.len()
                + tensor.int64_data.len()
                + tensor.double_data.len()
                + tensor.uint64_data.len()
        }
        length if length % bytes == 0 => length / bytes,
        _ => usize::MAX,
    };
    match count {
        Some(count) if count == held => Ok(()),
        _ => Err(format!(
            "its constant '{name}' says shape {:?}, but holds {held} values",
            tensor.dims
        )),
    }
}

/// The values of a constant of a few integers.
fn small_integers(tensor: &TensorProto) -> Vec<i64> {
    const FEW: usize = 16;
    let kind = DataType::try_from(tensor.data_type);
    let raw = &tensor.raw_data;
    match kind {
        Ok(DataType::Int64) if raw.is_empty() => {
            tensor.int64_data.iter().copied().take(FEW).collect()
        }
        Ok(DataType::Int64) => {
            let parts = raw.as_chunks::<8>().0.iter().take(FEW);
            parts.map(|bytes| i64::from_le_bytes(*bytes)).collect()
        }
        Ok(DataType::Int32) if raw.is_empty() => tensor
            .int32_data
            .iter()
            .copied()
            .map(i64::from)
            .take(FEW)
            .collect(),
        Ok(DataType::Int32) => {
            let parts = raw.as_chunks::<4>().0.iter().take(FEW);
            parts
                .map(|bytes| i64::from(i32::from_le_bytes(*bytes)))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Refuses a node that a constant tells to make an immense tensor.
fn grows(node: &NodeProto, integers: &BTreeMap<&str, Vec<i64>>) -> Result<(), String> {
    let Some((_, input)) = GROWING
        .iter()
        .find(|(operator, _)| *operator == node.op_type)
    else {
        return Ok(());
    };
    let sizes = node
        .input
        .get(*input)
        .and_then(|name| integers.get(name.as_str()));
    let sizes = sizes.map_or(&[][..], Vec::as_slice);
    let product = sizes.iter().fold(1usize, |product, &size| {
        product.saturating_mul(
            usize::try_from(size.unsigned_abs())
                .unwrap_or(usize::MAX)
                .max(1),
        )
    });
    match product <= MOST_VALUES {
        true => Ok(()),
        false => Err(format!(
            "its node '{}' ({}) asks for a tensor of {sizes:?}, more than {MOST_VALUES} values",
            node.name, node.op_type
        )),
    }
}
