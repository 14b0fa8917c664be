//! Files for `tests/fixtures/compare.py`, which runs them by onnxruntime.

use std::path::{Path, PathBuf};

use venule_onnx::InputSize;

use crate::networks::{Network, SIZES, networks, presets};

fn write_floats(path: &Path, values: &[f32]) {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    std::fs::write(path, bytes).unwrap();
}

/// A file, and beside it images of these sizes, logits, and the table of them.
fn write(folder: &Path, network: &Network, size: InputSize, sizes: &[(usize, usize)]) {
    let name = format!("{}_{size}", network.name);
    let bytes = network.export().with_size(size).to_bytes().unwrap();
    std::fs::write(folder.join(format!("{name}.onnx")), bytes).unwrap();
    let rows = sizes.iter().map(|&(height, width)| {
        let image = network.image(2, (height, width));
        let (images, logits) = (
            format!("{name}_{height}x{width}_images.bin"),
            format!("{name}_{height}x{width}_logits.bin"),
        );
        let values = image.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        write_floats(&folder.join(&images), &values);
        write_floats(&folder.join(&logits), &network.logits(&image));
        format!(
            r#"{{"image": "{images}", "logits": "{logits}", "shape": {:?}}}"#,
            image.dims()
        )
    });
    let table = format!("[{}]", rows.collect::<Vec<_>>().join(", "));
    std::fs::write(folder.join(format!("{name}.json")), table).unwrap();
}

#[test]
#[ignore = "writes the files that tests/fixtures/compare.py compares; needs VENULE_ONNX, a folder for them"]
fn files_for_onnxruntime() {
    let folder = PathBuf::from(std::env::var("VENULE_ONNX").unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    for network in networks() {
        write(&folder, &network, InputSize::Dynamic, &SIZES);
        for (height, width) in SIZES {
            let size = InputSize::fixed(height, width).unwrap();
            write(&folder, &network, size, &[(height, width)]);
        }
    }
    for network in presets() {
        let size = InputSize::fixed(50, 61).unwrap();
        write(&folder, &network, size, &[(50, 61)]);
        // The last in two windows, where there are windows.
        write(
            &folder,
            &network,
            InputSize::Dynamic,
            &[(50, 61), (40, 280)],
        );
    }
}
