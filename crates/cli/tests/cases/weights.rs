//! K: weights as others publish them.

use std::path::Path;

use venule::candle_core::{DType, Device, Tensor};
use venule::file::{load_weights, save_weights};
use venule::mae::{VitConfig, VitEncoder, export_encoder};
use venule::nn::ParamStore;

use super::{FINETUNE, Set, refuse, says, succeed};

// K: weights as others publish them.

const ENCODER: &str = "--freeze-encoder all --pretrained-mae";

/// An encoder of the preset `tiny` in the public layout, changed.
fn weights(path: &Path, change: impl FnOnce(&mut Vec<(String, Tensor)>)) {
    let device = Device::Cpu;
    let config = VitConfig::tiny();
    let store = ParamStore::new(1, &device);
    VitEncoder::new(&config, &store.root().pp("encoder")).unwrap();
    export_encoder(&store, "encoder", &config, path).unwrap();
    let loaded = load_weights(path).unwrap();
    let mut tensors: Vec<_> = loaded.tensors.into_iter().collect();
    change(&mut tensors);
    save_weights(path, &tensors, &loaded.metadata).unwrap();
}

#[test]
fn weights_are_taken_in_full_or_refused_and_the_report_is_printed() {
    let set = Set::plain();
    let path = set.path().join("vit.safetensors");
    weights(&path, |_| ());
    let command = format!("{FINETUNE} {ENCODER} vit.safetensors");
    let preset = succeed(set.path(), &command);
    says(&command, &preset, &["encoder from vit.safetensors"]);
    // Without a preset the file decides, and says what it is.
    let free = command.replace("--preset tiny ", "--set recipe.crop=64 ");
    says(
        &free,
        &succeed(set.path(), &free),
        &["encoder as in vit.safetensors: weights of", "depth="],
    );
    refuse(
        set.path(),
        &command.replace("tiny", "compact"),
        &["vit.safetensors", "depth"],
    );

    let device = Device::Cpu;
    let ones = Tensor::ones(8, DType::F32, &device).unwrap();
    weights(&path, |tensors| {
        tensors.push(("blocks.0.attn.unknown".to_owned(), ones.clone()))
    });
    refuse(
        set.path(),
        &command,
        &["vit.safetensors", "blocks.0.attn.unknown"],
    );
    let said = succeed(set.path(), &format!("{command} --allow-unused"));
    says(&command, &said, &["blocks.0.attn.unknown"]);

    weights(&path, |tensors| {
        let (name, tensor) = tensors
            .iter_mut()
            .find(|(name, _)| name == "blocks.0.mlp.fc1.weight")
            .unwrap();
        assert_eq!(name, "blocks.0.mlp.fc1.weight");
        *tensor = (tensor.zeros_like().unwrap() / 0.0).unwrap();
    });
    refuse(
        set.path(),
        &command,
        &["vit.safetensors", "blocks.0.mlp.fc1.weight"],
    );

    weights(&path, |tensors| {
        tensors.retain(|(name, _)| !name.starts_with("norm."))
    });
    refuse(set.path(), &command, &["vit.safetensors", "norm"]);
    succeed(set.path(), &format!("{command} --missing-norm fresh"));
}

#[test]
fn an_encoder_is_exported_in_the_public_layout_and_comes_back() {
    let set = Set::plain();
    succeed(set.path(), FINETUNE);
    let export = "export --weights runs/a/best.safetensors --encoder --out new/vit.safetensors";
    says(
        export,
        &succeed(set.path(), export),
        &["new/vit.safetensors", "the encoder alone"],
    );
    let names = load_weights(&set.path().join("new/vit.safetensors"))
        .unwrap()
        .tensors;
    assert!(names.contains_key("pos_embed") && names.contains_key("blocks.0.attn.qkv.weight"));
    let back = format!("{FINETUNE} {ENCODER} new/vit.safetensors").replace("runs/a", "runs/b");
    succeed(set.path(), &back);
}
