//! Safetensors files: what is written reads back, and what is damaged is noticed.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use proptest::prelude::*;
use venule_file::{
    Entry, Error, Weights, load_weights, parse_weights, restore_weights, save_weights,
    stage_archive,
};

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::ones(shape, DType::F32, &Device::Cpu).unwrap()
}

fn sample(path: &Path, note: &str) -> String {
    let a = Tensor::new(&[[1.0f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
    let b = Tensor::new(7i64, &Device::Cpu).unwrap();
    let entries = vec![
        Entry::tensor("a".into(), &a).unwrap(),
        Entry::tensor("b".into(), &b).unwrap(),
        Entry::slice("c \"q\"".into(), &[3], &[5.0, 6.0, 7.0]).unwrap(),
    ];
    let metadata = BTreeMap::from([
        ("note".to_string(), note.to_string()),
        // A decoy: the checksum's own pattern inside a string.
        (
            "decoy".to_string(),
            "\"checksum\":\"crc32c:ffffffff\"".to_string(),
        ),
    ]);
    let (staged, checksum) = stage_archive(path, entries, &metadata).unwrap();
    staged.place().unwrap();
    checksum
}

#[test]
fn round_trip_and_equal_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let checksum = sample(&one, "x");
    sample(&two, "x");
    assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
    let weights = load_weights(&one).unwrap();
    assert_eq!(weights.checksum.as_deref(), Some(checksum.as_str()));
    assert_eq!(weights.metadata["note"], "x");
    assert!(!weights.metadata.contains_key("checksum"));
    assert_eq!(weights.tensors["b"].to_scalar::<i64>().unwrap(), 7);
    let c = weights.tensors["c \"q\""].to_vec1::<f32>().unwrap();
    assert_eq!(c, [5.0, 6.0, 7.0]);
    // An independent reader takes the file too.
    let map = candle_core::safetensors::load(&one, &Device::Cpu).unwrap();
    assert_eq!(map["a"].to_vec2::<f32>().unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
}

/// The bytes of version 0.1: header by hand, the widest type first, then names, then values.
#[test]
fn the_bytes_are_those_of_the_format() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let tensors = [
        (
            "w".to_string(),
            Tensor::new(&[1.0f32], &Device::Cpu).unwrap(),
        ),
        ("n".to_string(), Tensor::new(2i64, &Device::Cpu).unwrap()),
    ];
    save_weights(&path, &tensors, &BTreeMap::new()).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    let (start, rest) = header.split_once("crc32c:").unwrap();
    assert_eq!(start, r#"{"__metadata__":{"checksum":""#);
    assert_eq!(
        rest[8..].trim_end(),
        r#""},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}"#
    );
    assert!(length.is_multiple_of(8));
    let values = [&2i64.to_le_bytes()[..], &1f32.to_le_bytes()].concat();
    assert_eq!(bytes[8 + length..], values);
}

#[test]
fn every_truncation_and_every_flipped_byte_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.safetensors");
    sample(&path, "x");
    let whole = std::fs::read(&path).unwrap();
    for length in 0..whole.len() {
        let result = parse_weights(&path, &whole[..length]);
        let cut = matches!(result, Err(Error::Truncated { .. }));
        assert!(cut, "cut to {length}: {result:?}");
    }
    for index in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[index] ^= 0x10;
        let result = parse_weights(&path, &damaged);
        // A flip in the checksum's own key or algorithm leaves a file without one: still seen,
        // because such a file is not taken for a checkpoint.
        let unsigned = matches!(&result, Ok(weights) if weights.checksum.is_none());
        assert!(result.is_err() || unsigned, "byte {index}");
    }
}

#[test]
fn other_files_are_named_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notes.txt");
    std::fs::write(&path, "These are no weights, only a text.").unwrap();
    let error = load_weights(&path).unwrap_err();
    assert!(matches!(error, Error::NotSafetensors { .. }), "{error}");
    let missing = dir.path().join("missing.safetensors");
    let text = load_weights(&missing).unwrap_err().to_string();
    let start = format!("cannot read {}: ", missing.display());
    assert!(
        text.starts_with(&start) && text.ends_with("check the path"),
        "{text}"
    );
}

#[test]
fn bad_entries_are_refused_and_nothing_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file.safetensors");
    let metadata = BTreeMap::from([("checksum".to_string(), "mine".to_string())]);
    let result = save_weights(&path, &[], &metadata);
    assert!(matches!(result, Err(Error::ReservedMetadata { .. })));
    let result = save_weights(
        &path,
        &[("__metadata__".into(), tensor(&[1]))],
        &BTreeMap::new(),
    );
    assert!(matches!(result, Err(Error::ReservedMetadata { .. })));
    let twice = [
        ("a".to_string(), tensor(&[1])),
        ("a".to_string(), tensor(&[2])),
    ];
    let result = save_weights(&path, &twice, &BTreeMap::new());
    assert!(matches!(result, Err(Error::DuplicateName { name }) if name == "a"));
    let scale = Tensor::from_raw_buffer(&[1], DType::F8E8M0, &[1], &Device::Cpu).unwrap();
    let result = save_weights(&path, &[("scale".into(), scale)], &BTreeMap::new());
    assert!(matches!(
        result,
        Err(Error::DType { name, dtype, .. }) if name == "scale" && dtype == "F8_E8M0"
    ));
    assert!(Entry::slice("a".into(), &[2, 2], &[1.0; 3]).is_err());
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}

/// A safetensors file of one value 1 in `F32` and, after it, one tensor of a single byte of this type.
fn file_with(dtype: &str, metadata: &str) -> Vec<u8> {
    let header = format!(
        r#"{{{metadata}"weight":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},"odd":{{"dtype":"{dtype}","shape":[1],"data_offsets":[4,5]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1f32.to_le_bytes());
    bytes.push(1);
    bytes
}

#[test]
fn a_tensor_of_a_type_that_cannot_be_held_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.safetensors");
    for dtype in ["BOOL", "I8", "F8_E5M2", "F8_E8M0"] {
        std::fs::write(&path, file_with(dtype, "")).unwrap();
        let error = load_weights(&path).unwrap_err();
        assert!(matches!(
            &error,
            Error::DType { name, dtype: found, .. } if name == "odd" && found == dtype
        ));
        assert!(error.to_string().contains("odd.safetensors: tensor `odd`"));
        let file = Weights::read(&path).unwrap();
        let ones = file.tensors["weight"].to_vec1::<f32>().unwrap();
        assert_eq!((file.tensors.len(), ones), (1, vec![1.0]));
        assert_eq!(file.unsupported["odd"], dtype);
    }
}

#[test]
fn a_checksum_of_another_program_is_metadata() {
    let bytes = file_with("U8", r#""__metadata__":{"checksum":"sha256:00"},"#);
    let weights = parse_weights(Path::new("theirs"), &bytes).unwrap();
    assert_eq!(weights.metadata["checksum"], "sha256:00");
    assert_eq!(weights.checksum, None);
}

#[test]
fn another_architecture_is_described_and_nothing_is_set() {
    let path = Path::new("model.safetensors");
    let saved = BTreeMap::from([
        ("a".to_string(), tensor(&[2])),
        ("old".to_string(), tensor(&[1])),
        ("r".to_string(), tensor(&[2, 3])),
    ]);
    let var = |shape: &[usize]| Var::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let params = [
        ("a".to_string(), var(&[2])),
        ("new".to_string(), var(&[1])),
        ("r".to_string(), var(&[3, 2])),
    ];
    let text = restore_weights(path, &saved, &params)
        .unwrap_err()
        .to_string();
    for part in [
        "model.safetensors",
        "missing new",
        "unexpected old",
        "r is [2, 3] in the file, [3, 2] in the model",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(params[0].1.to_vec1::<f32>().unwrap(), [0.0, 0.0]);
}

proptest! {

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_weights(Path::new("any"), &bytes).is_err());
    }

    #[test]
    fn values_and_texts_read_back(values in prop::collection::vec(any::<f32>(), 1..40), name in ".{1,12}", text in ".*") {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let tensor = Tensor::from_vec(values.clone(), values.len(), &Device::Cpu).unwrap();
        let metadata = BTreeMap::from([(format!("m{name}"), text)]);
        save_weights(&path, &[(name.clone(), tensor)], &metadata).unwrap();
        let read = load_weights(&path).unwrap();
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        let back = read.tensors[&name].to_vec1::<f32>().unwrap();
        prop_assert_eq!(bits(&back), bits(&values));
        prop_assert_eq!(read.metadata, metadata);
    }
}
