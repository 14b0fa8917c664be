//! Files that are damaged, of another kind or not finite.

use std::io::{Cursor, Read, Write};

use super::*;

#[test]
fn a_value_that_is_not_finite_is_found_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.safetensors");
    let tensors = read("timm_vit.pth", &options()).tensors().clone();
    for (value, name, refused) in [
        (f32::NAN, "blocks.0.mlp.fc1.weight", true),
        (f32::INFINITY, "pos_embed", true),
        // Of no influence on the features.
        (f32::NAN, "head.weight", false),
    ] {
        let mut tensors = tensors.clone();
        let sound = &tensors[name];
        let mut values = values(sound);
        values[5] = value;
        let damaged = Tensor::from_vec(values, sound.dims(), &Device::Cpu).unwrap();
        tensors.insert(name.to_owned(), damaged);
        let named: Vec<_> = tensors
            .into_iter()
            .map(|(name, tensor)| (format!("module.{name}"), tensor))
            .collect();
        save_weights(&path, &named, &BTreeMap::new()).unwrap();
        match PretrainedWeights::read(&path) {
            Err(error @ Error::NotFinite { place: 5, .. }) if refused => {
                assert_says(
                    &error.to_string(),
                    &[
                        "damaged.safetensors",
                        &format!("module.{name}"),
                        &value.to_string(),
                    ],
                );
            }
            Ok(_) if !refused => {}
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn files_of_other_kinds_are_named_with_the_remedy() {
    let message = |name: &str| {
        PretrainedWeights::read(fixture(name))
            .unwrap_err()
            .to_string()
    };
    assert_says(
        &message("legacy.pth"),
        &["legacy.pth", "before 1.6", "torch.save"],
    );
    assert_says(
        &message("module.pth"),
        &[
            "module.pth",
            "torch.nn.modules.linear.Linear",
            "state_dict()",
        ],
    );
    assert_says(&message("program.pth"), &["program.pth", "TorchScript"]);

    let whole = std::fs::read(fixture("mae.pth")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.pth");
    let message = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        let message = PretrainedWeights::read(&path).unwrap_err().to_string();
        assert_says(&message, &["odd.pth"]);
        message
    };
    for length in [10, whole.len() / 2, whole.len() - 30] {
        assert_says(
            &message(&whole[..length]),
            &["the file is cut off", "fetch it again"],
        );
    }
    assert_says(&message(b""), &["empty"]);
    assert_says(
        &message(b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        &["git lfs pull"],
    );
    assert_says(
        &message(b"\n<!DOCTYPE html><html>"),
        &["page", "fetch it again"],
    );
    assert_says(&message(b"\x89HDF\r\n\x1a\n"), &["HDF5", ".safetensors"]);
    assert_says(&message(b"\x1f\x8b\x08\0"), &["gzip"]);
    let mut tar = vec![0u8; 512];
    tar[257..262].copy_from_slice(b"ustar");
    assert_says(&message(&tar), &["tar", "torch.save"]);
}

#[test]
fn a_safetensors_file_whose_header_begins_like_a_pickle_is_read() {
    // A header of 0x0280 bytes: the first two bytes are those of a pickle of protocol 2.
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut header = r#"{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#.to_owned();
    header += &" ".repeat(0x280 - header.len());
    let mut bytes = 0x280u64.to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(1f32.to_le_bytes());
    std::fs::write(path.path(), bytes).unwrap();
    assert_eq!(
        values(&PretrainedWeights::read(path.path()).unwrap().tensors()["w"]),
        [1.0]
    );
}

/// The entries of an archive of `torch.save`.
pub(super) fn entries(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let all = 0..archive.len();
    all.map(|i| {
        let mut entry = archive.by_index(i).unwrap();
        let name = entry.name().unwrap().into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    })
    .collect()
}

/// A sound archive, checksums and all, of these entries.
pub(super) fn archive(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    let options = options.compression_method(zip::CompressionMethod::Stored);
    for (name, content) in entries {
        writer.start_file(name.as_str(), options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Random numbers below a bound, and bytes changed by them.
struct Damage(Noise);

impl Damage {
    fn below(&mut self, count: usize) -> usize {
        (f64::from(self.0.uniform()) * count as f64) as usize % count.max(1)
    }

    fn apply(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(6) {
            let place = self.below(bytes.len());
            bytes[place] = match self.below(4) {
                0 => 0xff,
                1 => bytes[place] ^ (1 << self.below(8)),
                _ => self.below(256) as u8,
            };
        }
        if self.below(8) == 0 {
            bytes.truncate(1 + self.below(bytes.len()));
        }
    }
}

#[test]
fn two_thousand_damaged_files_are_errors_or_weights() {
    let files = ["timm_vit.pth", "mae.pth", "dino.pth", "dinov2.pth"];
    let files = files.map(|name| std::fs::read(fixture(name)).unwrap());
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut damage = Damage(Noise::keyed(&[18]));
    let (mut refused, mut read) = (0, 0);
    for round in 0..2000 {
        let mut bytes = files[round % 4].clone();
        if round % 8 < 4 {
            damage.apply(&mut bytes);
        } else {
            // The description of tensors in a sound archive, whose checksums would find the damage first.
            let mut entries = entries(&bytes);
            let pickle = entries
                .iter_mut()
                .find(|(name, _)| name.ends_with("data.pkl"));
            damage.apply(&mut pickle.unwrap().1);
            bytes = archive(&entries);
        }
        std::fs::write(path.path(), bytes).unwrap();
        match PretrainedWeights::read_with(path.path(), &options()) {
            Ok(weights) => {
                read += 1;
                let _ = weights.describe();
            }
            Err(_) => refused += 1,
        }
    }
    assert!(
        refused > 500 && read > 100,
        "{refused} refused, {read} read"
    );
}

#[test]
fn a_small_file_asks_for_no_more_memory_than_a_multiple_of_its_length() {
    let mut entries = entries(&std::fs::read(fixture("timm_vit.pth")).unwrap());
    let place = entries
        .iter()
        .position(|(name, _)| name.ends_with("data.pkl"))
        .unwrap();
    let folder = entries[place].0.replace("data.pkl", "");
    entries.retain(|(name, _)| !name.contains("data/"));
    let path = tempfile::NamedTempFile::new().unwrap();
    // {"w": torch.zeros(1).expand(side, side)} at protocol 2: one value under a shape of any size.
    let read = |side: u32| {
        let text = |text: &str| {
            [
                b"X",
                &(text.len() as u32).to_le_bytes()[..],
                text.as_bytes(),
            ]
            .concat()
        };
        let number = |number: u32| [b"J", &number.to_le_bytes()[..]].concat();
        let pickle = [
            b"\x80\x02}(",
            &text("w")[..],
            b"ctorch._utils\n_rebuild_tensor_v2\n((",
            &text("storage"),
            b"ctorch\nFloatStorage\n",
            &text("0"),
            &text("cpu"),
            b"K\x01tQK\x00",
            &number(side),
            &number(side),
            b"\x86K\x00K\x00\x86\x89NtRu.",
        ]
        .concat();
        let mut entries = entries.clone();
        for (name, content) in &mut entries {
            if name.ends_with("data.pkl") {
                *content = pickle.clone();
            }
        }
        entries.push((format!("{folder}data/0"), 2f32.to_le_bytes().to_vec()));
        std::fs::write(path.path(), archive(&entries)).unwrap();
        PretrainedWeights::read(path.path())
    };
    assert_eq!(values(&read(3).unwrap().tensors()["w"]), [2.0; 9]);
    for side in [1000, 1 << 20, i32::MAX as u32] {
        let message = read(side).unwrap_err().to_string();
        assert_says(&message, &["tensor `w`", "many times the file's length"]);
    }
}
