//! Weights that are whole, but not such as an encoder takes: of other types, of other models, of other pickles.

use super::damaged::{archive, entries};
use super::*;

/// A fixture with the description of its tensors changed.
fn with_pickle(change: impl Fn(Vec<u8>) -> Vec<u8>) -> tempfile::NamedTempFile {
    let mut entries = entries(&std::fs::read(fixture("timm_vit.pth")).unwrap());
    for (name, content) in &mut entries {
        if name.ends_with("data.pkl") {
            *content = change(std::mem::take(content));
        }
    }
    let path = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(path.path(), archive(&entries)).unwrap();
    path
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|part| part == from);
    let at = at.expect("what is to be replaced");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

fn message(path: &Path) -> String {
    let config = read("timm_vit.pth", &options()).describe().unwrap().config;
    match PretrainedWeights::read_with(path, &options()) {
        Err(error) => error.to_string(),
        Ok(weights) => load(&weights, &config).map(drop).unwrap_err().to_string(),
    }
}

#[test]
fn tensors_of_other_types_are_named_with_their_type() {
    for (class, dtype) in [
        ("IntStorage", "(int32)"),
        ("CharStorage", "(int8)"),
        ("float8_e4m3fn", "(float8_e4m3fn)"),
    ] {
        let file = with_pickle(|pickle| replaced(&pickle, b"FloatStorage", class.as_bytes()));
        let said = message(file.path());
        assert_says(&said, &["none of the", "blocks.0.attn.proj.bias", dtype]);
        assert!(!said.contains("first are ;"), "{said}");
    }
}

#[test]
fn one_tensor_of_another_type_is_not_called_missing() {
    let weights = read("timm_vit.pth", &options());
    let config = weights.describe().unwrap().config;
    let name = "blocks.1.mlp.fc1.weight";
    let mut tensors = weights.tensors().clone();
    let integers = tensors[name].to_dtype(DType::U32).unwrap();
    tensors.insert(name.to_owned(), integers);
    let prefixed: HashMap<_, _> = tensors
        .into_iter()
        .map(|(name, tensor)| (format!("module.{name}"), tensor))
        .collect();
    let odd = PretrainedWeights::from_tensors(prefixed, &options()).unwrap();
    let found = differences(load(&odd, &config));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_says(
        &found[0],
        &[
            "not of floating-point numbers",
            "module.blocks.1.mlp.fc1.weight (u32)",
            "float()",
        ],
    );
}

#[test]
fn a_dictionary_without_keys_is_called_empty() {
    let file = with_pickle(|_| b"\x80\x02}.".to_vec());
    let said = message(file.path());
    assert_says(&said, &["empty dictionary", "torch.save"]);
    assert!(!said.contains("  "), "{said}");
}

#[test]
fn a_distillation_token_is_said_to_be_what_it_is() {
    let weights = read("timm_vit.pth", &options());
    let config = weights.describe().unwrap().config;
    let mut tensors = weights.tensors().clone();
    let token = tensors["cls_token"].clone();
    let table = &tensors["pos_embed"];
    let two = Tensor::cat(&[&table.narrow(1, 0, 1).unwrap(), table], 1).unwrap();
    tensors.insert("pos_embed".to_owned(), two);
    tensors.insert("dist_token".to_owned(), token);
    let head = Tensor::ones((3, 12), DType::F32, &Device::Cpu).unwrap();
    tensors.insert("head_dist.weight".to_owned(), head);
    for allow_unused in [false, true] {
        let mut options = options();
        options.allow_unused = allow_unused;
        let distilled = PretrainedWeights::from_tensors(tensors.clone(), &options).unwrap();
        let found = differences(load(&distilled, &config));
        assert_eq!(found.len(), 1, "{found:?}");
        assert_says(
            &found[0],
            &["`dist_token`", "distillation token", "not supported"],
        );
        assert!(!found[0].contains("--allow-unused"), "{}", found[0]);
        let said = distilled.describe().unwrap_err().to_string();
        assert_says(&said, &["distillation token", "not supported"]);
    }
}

#[test]
fn pickles_of_other_protocols_are_named() {
    let cases: [(&[u8], &str); 3] = [
        (
            b"ccollections\nOrderedDict\np0\n(lp1\ntp2\nRp3\n.",
            "protocol 0",
        ),
        (
            b"ccollections\nOrderedDict\nq\0)Rq\x01X\x01\0\0\0aI01\ns.",
            "protocol 1",
        ),
        (b"\x80\x06\xf0.", "protocol 6"),
    ];
    for (pickle, protocol) in cases {
        let file = with_pickle(|_| pickle.to_vec());
        let said = message(file.path());
        assert_says(&said, &[protocol, "2 to 5 are read", "torch.save"]);
    }
}
