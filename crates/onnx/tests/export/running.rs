//! In the runtime of this crate, written files give what the networks give.

use venule_onnx::{InputSize, OnnxNetwork};

use crate::networks::{Network, SIZES, networks};

/// Largest difference of probabilities that is allowed.
const CLOSE: f32 = 1e-4;

fn agree(network: &Network, size: InputSize, sizes: &[(usize, usize)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, network.export().with_size(size).to_bytes().unwrap()).unwrap();
    let file = OnnxNetwork::load(&path, None).unwrap();
    assert_eq!(file.interface().channels, Some(network.channels));
    for &(height, width) in sizes {
        let image = network.image(1, (height, width));
        let values = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let found = file
            .probabilities(&values, [network.channels, height, width])
            .unwrap();
        let expected = network.logits(&image);
        let expected: Vec<f32> = expected
            .iter()
            .map(|logit| 1.0 / (1.0 + (-logit).exp()))
            .collect();
        let spread = expected
            .iter()
            .fold((1f32, 0f32), |(low, high), &p| (low.min(p), high.max(p)));
        assert!(
            spread.1 - spread.0 > 0.05,
            "a flat map shows nothing: {spread:?}"
        );
        let differences = expected.iter().zip(&found).map(|(a, b)| (a - b).abs());
        let largest = differences.fold(0f32, f32::max);
        assert!(
            found.len() == expected.len() && largest <= CLOSE,
            "{} {size} {height}x{width}: {largest}",
            network.name
        );
    }
}

#[test]
fn any_size_gives_what_the_network_gives() {
    for network in networks() {
        agree(&network, InputSize::Dynamic, &SIZES);
    }
}

#[test]
fn one_size_gives_what_the_network_gives() {
    for network in networks() {
        for (height, width) in SIZES {
            let size = InputSize::fixed(height, width).unwrap();
            agree(&network, size, &[(height, width)]);
        }
    }
}

#[test]
fn another_size_or_channel_is_an_error() {
    let network = &networks()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let size = InputSize::fixed(32, 40).unwrap();
    std::fs::write(&path, network.export().with_size(size).to_bytes().unwrap()).unwrap();
    let file = OnnxNetwork::load(&path, None).unwrap();
    assert_eq!(
        (file.interface().height, file.interface().width),
        (Some(32), Some(40))
    );
    for sizes in [[1, 32, 32], [3, 32, 40], [1, 0, 40]] {
        let values = vec![0.0; sizes.iter().product()];
        let error = file.probabilities(&values, sizes).unwrap_err().to_string();
        assert!(
            error.contains("network.onnx cannot be run on an image of"),
            "{error}"
        );
    }
    let error = file
        .probabilities(&[0.0; 5], [1, 32, 40])
        .unwrap_err()
        .to_string();
    assert!(error.contains("has 5 values"), "{error}");
    assert!(file.probabilities(&[0.0; 32 * 40], [1, 32, 40]).is_ok());
}

#[test]
fn metadata_come_back() {
    let network = &networks()[0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.onnx");
    let metadata = [("threshold".to_owned(), "0.25".to_owned())].into();
    let export = network
        .export()
        .with_metadata(metadata)
        .with_description("for tests");
    std::fs::write(&path, export.to_bytes().unwrap()).unwrap();
    let file = OnnxNetwork::load(&path, Some("logits")).unwrap();
    assert_eq!(file.metadata()["threshold"], "0.25");
    let error = OnnxNetwork::load(&path, Some("mask"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no output 'mask', but 'logits' (batch, 1, height, width)"),
        "{error}"
    );
}
