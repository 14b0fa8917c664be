//! Files of other makers: one that PyTorch exported, and those that are not what they should be.

use std::path::{Path, PathBuf};

use prost::Message;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension::Value};
use tract_onnx::pb::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, type_proto,
};
use venule_onnx::{Error, OnnxNetwork, Result};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn floats(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(fixture(name)).unwrap();
    let chunks = bytes.as_chunks::<4>().0.iter();
    chunks.map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[test]
fn a_w_net_of_pytorch_gives_what_pytorch_gives() {
    // fixtures/stranger.py: W-Net, image and probabilities, which onnxruntime gives too.
    let (image, expected) = (floats("w_net_image.bin"), floats("w_net_probability.bin"));
    for name in ["w_net.onnx", "w_net_fixed.onnx"] {
        let network = OnnxNetwork::load(fixture(name), None).unwrap();
        assert_eq!(network.interface().channels, Some(3));
        assert_eq!(
            network.interface().height.is_some(),
            name == "w_net_fixed.onnx"
        );
        let found = network.probabilities(&image, [3, 40, 48]).unwrap();
        let differences = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0f32, f32::max);
        assert!(
            found.len() == expected.len() && largest < 1e-4,
            "{name}: {largest}"
        );
    }
}

/// What loading these bytes comes to.
fn load(bytes: &[u8], output: Option<&str>) -> Result<OnnxNetwork> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strange.onnx");
    std::fs::write(&path, bytes).unwrap();
    OnnxNetwork::load(&path, output)
}

/// The message of a file that must be refused, which names it.
fn refused(bytes: &[u8]) -> String {
    let message = load(bytes, None).unwrap_err().to_string();
    assert!(message.contains("strange.onnx"), "{message}");
    message
}

#[test]
fn what_is_no_onnx_file_is_refused() {
    let safetensors = [&8u64.to_le_bytes()[..], b"{}      "].concat();
    for bytes in [
        &b""[..],
        b"hello, this is text",
        b"\x89PNG\r\n\x1a\n",
        &safetensors,
    ] {
        let message = refused(bytes);
        assert!(message.contains("damaged or no ONNX file"), "{message}");
    }
    let missing = OnnxNetwork::load("nowhere.onnx", None).unwrap_err();
    assert!(matches!(&missing, Error::Read { .. }), "{missing}");
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let bytes = std::fs::read(fixture("w_net.onnx")).unwrap();
    // All but the version of the operators, which stands last.
    for end in (1..bytes.len() - 16).step_by(97) {
        refused(&bytes[..end]);
    }
}

fn sides(sides: &[i64]) -> TypeProto {
    let dim = sides.iter().map(|&side| Dimension {
        value: Some(Value::DimValue(side)),
        ..Default::default()
    });
    TypeProto {
        value: Some(type_proto::Value::TensorType(type_proto::Tensor {
            elem_type: 1,
            shape: Some(TensorShapeProto { dim: dim.collect() }),
        })),
        ..Default::default()
    }
}

fn value(name: &str, shape: &[i64]) -> ValueInfoProto {
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(sides(shape)),
        ..Default::default()
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: operator.to_owned(),
        name: format!("the {operator}"),
        input: inputs.iter().map(|&name| name.to_owned()).collect(),
        output: vec![output.to_owned()],
        ..Default::default()
    }
}

fn constant(name: &str, dims: &[i64], values: &[f32]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: dims.to_vec(),
        data_type: 1,
        float_data: values.to_vec(),
        ..Default::default()
    }
}

fn integers(name: &str, values: &[i64]) -> TensorProto {
    TensorProto {
        name: name.to_owned(),
        dims: vec![values.len() as i64],
        data_type: 7,
        int64_data: values.to_vec(),
        ..Default::default()
    }
}

/// A 1×1 convolution of images (1, 1, 16, 16) to `maps` maps 'y' with weights 1, 2, … and these nodes behind it, the last of which
/// gives 'out'.
fn model(maps: usize, nodes: Vec<NodeProto>) -> ModelProto {
    let weights: Vec<f32> = (1..=maps).map(|weight| weight as f32).collect();
    let mut all = vec![node("Conv", &["x", "w"], "y")];
    all.extend(nodes);
    ModelProto {
        ir_version: 8,
        opset_import: vec![OperatorSetIdProto {
            domain: String::new(),
            version: 17,
        }],
        graph: Some(GraphProto {
            name: "strange".to_owned(),
            node: all,
            initializer: vec![constant("w", &[maps as i64, 1, 1, 1], &weights)],
            input: vec![value("x", &[1, 1, 16, 16])],
            output: vec![value("out", &[1, maps as i64, 16, 16])],
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn identity() -> Vec<NodeProto> {
    vec![node("Identity", &["y"], "out")]
}

/// Refuses a model with this change.
fn refused_with(change: impl FnOnce(&mut GraphProto)) -> String {
    let mut model = model(1, identity());
    change(model.graph.as_mut().unwrap());
    refused(&model.encode_to_vec())
}

fn run(model: &ModelProto) -> Result<Vec<f32>> {
    load(&model.encode_to_vec(), None)?.probabilities(&[0.5; 256], [1, 16, 16])
}

#[test]
fn an_unknown_operator_is_named() {
    let mut strange = node("Frobnicate", &["y"], "out");
    strange.domain = "com.example".to_owned();
    let error = load(&model(1, vec![strange]).encode_to_vec(), None).unwrap_err();
    assert!(matches!(&error, Error::Operators { .. }));
    let message = error.to_string();
    assert!(
        message.contains("'Frobnicate' of com.example (node 'the Frobnicate')"),
        "{message}"
    );
}

#[test]
fn inputs_that_are_no_images_are_refused() {
    let shapes: [&[i64]; 7] = [
        &[1, 16, 16],
        &[],
        &[1, 2, 16, 16],
        &[4, 1, 16, 16],
        &[1, 1, 8, 16],
        &[1, 1, 1 << 31, 1 << 31],
        &[1, 1, -5, 16],
    ];
    for shape in shapes {
        let message = refused_with(|graph| graph.input = vec![value("x", shape)]);
        let text: Vec<String> = shape.iter().map(i64::to_string).collect();
        let shown = format!("'x' is ({})", text.join(", "));
        assert!(
            message.contains(&shown) && message.contains("expected images"),
            "{message}"
        );
    }
    let message = refused_with(|graph| graph.input.push(value("z", &[1, 1, 16, 16])));
    assert!(message.contains("2 inputs"), "{message}");
    let message = refused_with(|graph| graph.input[0].r#type = None);
    assert!(message.contains("no tensor"), "{message}");
}

#[test]
fn graphs_that_do_not_hold_together_are_refused() {
    let message = refused_with(|graph| graph.output = vec![value("nothing", &[1])]);
    assert!(
        message.contains("nothing in it makes the value 'nothing'"),
        "{message}"
    );
    let message = refused_with(|graph| graph.node[0].input[1] = "lost".to_owned());
    assert!(message.contains("'lost'"), "{message}");
    let message = refused_with(|graph| graph.output.clear());
    assert!(message.contains("0 outputs"), "{message}");
    let message = refused_with(|graph| graph.initializer[0].data_location = Some(1));
    assert!(message.contains("in another file"), "{message}");
    let message = refused_with(|graph| graph.initializer[0].data_type = 14);
    assert!(message.contains("COMPLEX64"), "{message}");
    // A circle: the convolution waits for what comes of it.
    let circle = run(&{
        let mut model = model(1, identity());
        model.graph.as_mut().unwrap().node[0].input[0] = "out".to_owned();
        model
    });
    assert!(circle.is_err());
}

#[test]
fn what_says_that_it_is_immense_takes_no_memory() {
    let message = refused_with(|graph| graph.initializer[0].dims = vec![1 << 40, 1 << 40, 1, 1]);
    assert!(message.contains("holds 1 values"), "{message}");
    let grown = |operator: &str, inputs: &[&str], sizes: &[i64]| {
        let nodes = vec![
            node(operator, inputs, "large"),
            node("Add", &["y", "large"], "out"),
        ];
        let mut model = model(1, nodes);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.push(integers("sizes", sizes));
        run(&model).unwrap_err().to_string()
    };
    let message = grown("ConstantOfShape", &["sizes"], &[1 << 20, 1 << 20]);
    assert!(message.contains("the ConstantOfShape"), "{message}");
    let message = grown("Expand", &["y", "sizes"], &[1 << 20, 1, 1 << 10, 16]);
    assert!(message.contains("the Expand"), "{message}");
    let message = grown(
        "Tile",
        &["y", "sizes"],
        &[1 << 12, 1 << 12, 1 << 12, 1 << 12],
    );
    assert!(message.contains("the Tile"), "{message}");
}

#[test]
fn outputs_that_are_no_map_are_refused() {
    let message = run(&model(3, identity())).unwrap_err().to_string();
    assert!(
        message.contains("shape [1, 3, 16, 16]; expected [1, 1 or 2, 16, 16]"),
        "{message}"
    );
    let mut pooled = node("GlobalAveragePool", &["y"], "out");
    pooled.name = "pooled".to_owned();
    let mut model = model(1, vec![pooled]);
    model.graph.as_mut().unwrap().output = vec![value("out", &[1, 1, 1, 1])];
    let message = run(&model).unwrap_err().to_string();
    assert!(message.contains("[1, 1, 1, 1]"), "{message}");
}

#[test]
fn several_outputs_are_asked_about() {
    let mut model = model(
        1,
        vec![node("Sigmoid", &["y"], "a"), node("Neg", &["y"], "b")],
    );
    let shape = [1, 1, 16, 16];
    model.graph.as_mut().unwrap().output = vec![value("a", &shape), value("b", &shape)];
    let bytes = model.encode_to_vec();
    let message = refused(&bytes);
    assert!(
        message.contains("2 outputs, 'a' (1, 1, 16, 16)"),
        "{message}"
    );
    let network = load(&bytes, Some("b")).unwrap();
    let found = network.probabilities(&[0.5; 256], [1, 16, 16]).unwrap();
    // Logits of -0.5: 1 / (1 + exp(0.5)).
    assert!((found[0] - 0.377_540_67).abs() < 1e-6, "{}", found[0]);
}

#[test]
fn logits_and_probabilities_of_one_and_two_maps_are_told_apart() {
    let softmax = {
        let mut node = node("Softmax", &["y"], "out");
        node.attribute.push(tract_onnx::pb::AttributeProto {
            name: "axis".to_owned(),
            r#type: 2,
            i: 1,
            ..Default::default()
        });
        node
    };
    // The maps are 0.5 and, where there are two, 1.0.
    let sigmoid = 0.622_459_3; // 1 / (1 + exp(-0.5)), and of the difference of the two maps too
    let cases = [
        (1, node("Identity", &["y"], "out")),
        (1, node("Sigmoid", &["y"], "out")),
        (2, node("Identity", &["y"], "out")),
        (2, softmax),
    ];
    for (maps, last) in cases {
        let operator = last.op_type.clone();
        let found = run(&model(maps, vec![last])).unwrap();
        assert_eq!(found.len(), 256);
        let close = found.iter().all(|value| (value - sigmoid).abs() < 1e-6);
        assert!(close, "{maps} {operator}: {}", found[0]);
    }
}

#[test]
fn a_value_that_is_no_probability_is_an_error() {
    let network = load(&model(1, identity()).encode_to_vec(), None).unwrap();
    let error = network
        .probabilities(&[f32::NAN; 256], [1, 16, 16])
        .unwrap_err();
    assert!(matches!(&error, Error::Probability { .. }), "{error}");
}
