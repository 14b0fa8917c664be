//! The names that others give the parts of a Vision Transformer, brought to those of timm and MAE.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use candle_core::Tensor;

use crate::{Conversion, Error, Result};

/// Keys that are taken where several dictionaries, or parts of one, hold a Vision Transformer; the first first.
pub(crate) const PREFERRED_KEYS: [&str; 6] = [
    "model",
    "state_dict",
    "model_state_dict",
    "module",
    "teacher",
    "target_encoder",
];

/// The patch embedding's name, which tells where a Vision Transformer lies and whose names it has.
const LANDMARKS: [(&str, Naming); 2] = [
    ("patch_embed.proj.weight", Naming::Timm),
    (
        "embeddings.patch_embeddings.projection.weight",
        Naming::HuggingFace,
    ),
];

/// Whose names a file has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Naming {
    #[default]
    Timm,
    HuggingFace,
}

/// A Vision Transformer under the names of timm.
#[derive(Clone, Debug, Default)]
pub(crate) struct Named {
    pub tensors: HashMap<String, Tensor>,
    /// Name in the file of each tensor whose name was changed.
    pub origins: HashMap<String, String>,
    /// What lies outside of the transformer, by its name in the file.
    pub outside: Vec<String>,
    /// Tensors that were joined or multiplied into others.
    pub changed: Vec<Conversion>,
    pub naming: Naming,
    /// What stood before every name.
    pub prefix: String,
    /// What stands before the names of other transformers.
    pub others: Vec<String>,
}

/// Checks the values of the tensor of a name in the file.
pub(crate) type Check<'a> = &'a dyn Fn(&str, &Tensor) -> Result<()>;

fn landmark(name: &str) -> Option<(Naming, &str)> {
    LANDMARKS.iter().find_map(|(landmark, naming)| {
        let prefix = name.strip_suffix(landmark)?;
        (prefix.is_empty() || prefix.ends_with('.')).then_some((*naming, prefix))
    })
}

pub(crate) fn is_landmark(name: &str) -> bool {
    landmark(name).is_some()
}

/// The second class token of a distilled DeiT (Touvron et al. 2021).
pub(crate) const DISTILLATION: &str = "dist_token";

/// Whether a tensor may be left out: it belongs to the pretraining or to a classifier and changes no feature.
pub(crate) fn may_be_left_out(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or(name);
    first.starts_with("decoder")
        || matches!(
            first,
            "mask_token"
                | "head"
                | "head_dist"
                | "heads"
                | "fc_norm"
                | "fc"
                | "classifier"
                | "pooler"
                | "pre_logits"
                | "predictor"
                | "projector"
                | "dino_head"
                | "ibot_head"
        )
}

/// The place of the only transformer, of the one under `key`, or of the preferred one.
fn locate(
    names: &BTreeSet<&str>,
    key: Option<&str>,
) -> std::result::Result<(Naming, String, Vec<String>), Vec<String>> {
    let all: BTreeSet<_> = names.iter().filter_map(|name| landmark(name)).collect();
    let within = |prefix: &str, key: &str| prefix.split('.').any(|part| part == key);
    let wanted = |(_, prefix): &&(Naming, &str)| {
        key.is_none_or(|key| prefix.starts_with(&format!("{key}.")) || within(prefix, key))
    };
    let found: Vec<_> = all.iter().filter(wanted).collect();
    let chosen = match found[..] {
        [only] => Some(only),
        [] if key.is_none() => return Ok((Naming::Timm, String::new(), Vec::new())),
        _ => PREFERRED_KEYS.iter().find_map(|key| {
            found
                .iter()
                .copied()
                .find(|(_, prefix)| within(prefix, key))
        }),
    };
    let bare = |prefix: &str| prefix.trim_end_matches('.').to_owned();
    match chosen {
        Some(chosen) => {
            let others = all.iter().filter(|other| *other != chosen);
            let others = others.map(|(_, prefix)| bare(prefix)).collect();
            Ok((chosen.0, chosen.1.to_owned(), others))
        }
        None => Err(all.iter().map(|(_, prefix)| bare(prefix)).collect()),
    }
}

/// What stands before the first dot of each name.
fn beginnings(names: &BTreeSet<&str>) -> Vec<String> {
    let first = names
        .iter()
        .filter_map(|name| Some(name.split_once('.')?.0));
    first
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

impl Named {
    /// Names `tensors` as timm does. `key` begins the names of the wanted one of several transformers; `origin` is the file.
    pub(crate) fn new(
        tensors: HashMap<String, Tensor>,
        key: Option<&str>,
        origin: &Path,
        check: Check<'_>,
    ) -> Result<Self> {
        let names: BTreeSet<_> = tensors.keys().map(String::as_str).collect();
        let (naming, prefix, others) = locate(&names, key).map_err(|transformers| Error::Key {
            path: origin.to_owned(),
            wanted: key.map(str::to_owned),
            keys: beginnings(&names),
            transformers,
        })?;
        let mut named = Self {
            naming,
            prefix,
            others,
            ..Self::default()
        };
        // In the order of names: what is said of a file must not depend on a map's order.
        for (name, tensor) in tensors.into_iter().collect::<BTreeMap<_, _>>() {
            let Some(timm) = named.renamed(&name) else {
                named.outside.push(name);
                continue;
            };
            if !may_be_left_out(&timm) {
                check(&name, &tensor)?;
            }
            if let Some(other) = named.origins.insert(timm.clone(), name.clone()) {
                return Err(Error::Architecture {
                    reason: format!(
                        "`{other}` and `{name}` are both `{timm}`; leave one of them out"
                    ),
                });
            }
            named.tensors.insert(timm, tensor);
        }
        named.join()?;
        named.scale()?;
        Ok(named)
    }

    /// A name of the file as timm has it; None for what lies outside of the transformer.
    pub(crate) fn renamed(&self, name: &str) -> Option<String> {
        let short = name.strip_prefix(&self.prefix)?;
        Some(match self.naming {
            Naming::Timm => from_timm(short),
            Naming::HuggingFace => from_hugging_face(short).unwrap_or_else(|| short.to_owned()),
        })
    }

    /// Name in the file.
    pub(crate) fn origin<'a>(&'a self, name: &'a str) -> &'a str {
        self.origins.get(name).map_or(name, String::as_str)
    }

    /// Every N of the names `blocks.N.…`.
    fn blocks(&self) -> BTreeSet<String> {
        let number =
            |name: &String| Some(name.strip_prefix("blocks.")?.split('.').next()?.to_owned());
        self.tensors.keys().filter_map(number).collect()
    }

    /// Hugging Face's query, key and value become one matrix.
    fn join(&mut self) -> Result<()> {
        for block in self.blocks() {
            for kind in ["weight", "bias"] {
                let part = |part: &str| format!("blocks.{block}.attn.{part}.{kind}");
                let names = ["query", "key", "value"].map(part);
                let found: Option<Vec<_>> =
                    names.iter().map(|name| self.tensors.get(name)).collect();
                let Some(parts) = found.filter(|parts| {
                    parts
                        .iter()
                        .all(|part| part.rank() > 0 && part.dims() == parts[0].dims())
                }) else {
                    continue;
                };
                let (from, joined) = (parts[0].dims().to_vec(), Tensor::cat(&parts, 0)?);
                let name = format!("blocks.{block}.attn.qkv.{kind}");
                self.changed.push(Conversion {
                    name: name.clone(),
                    from,
                    to: joined.dims().to_vec(),
                    how: "query, key and value joined",
                });
                for name in &names {
                    self.tensors.remove(name);
                }
                let origin = self.origin(&names[0]).to_owned();
                self.origins.insert(name.clone(), origin);
                self.tensors.insert(name, joined);
            }
        }
        Ok(())
    }

    /// LayerScale (Touvron et al. 2021) is multiplied into the layers before it: γ · (W x + b) = (γ W) x + γ b.
    fn scale(&mut self) -> Result<()> {
        for block in self.blocks() {
            for (scale, layer) in [("ls1.gamma", "attn.proj"), ("ls2.gamma", "mlp.fc2")] {
                let full = |name: &str| format!("blocks.{block}.{name}");
                let gamma_name = full(scale);
                let names = ["weight", "bias"].map(|kind| full(&format!("{layer}.{kind}")));
                let gamma = self.tensors.get(&gamma_name);
                let fits = |name: &String| {
                    Some(self.tensors.get(name)?.dim(0).ok()? == gamma?.dim(0).ok()?)
                };
                if gamma.is_none_or(|gamma| gamma.rank() != 1)
                    || !names.iter().all(|name| fits(name) == Some(true))
                {
                    continue;
                }
                let Some(gamma) = self.tensors.remove(&gamma_name) else {
                    continue;
                };
                for name in names {
                    let Some(tensor) = self.tensors.get_mut(&name) else {
                        continue;
                    };
                    let gamma = if tensor.rank() == 2 {
                        gamma.unsqueeze(1)?
                    } else {
                        gamma.clone()
                    };
                    *tensor = tensor.broadcast_mul(&gamma)?;
                    let dims = tensor.dims().to_vec();
                    self.changed.push(Conversion {
                        name,
                        from: dims.clone(),
                        to: dims,
                        how: "LayerScale multiplied in",
                    });
                }
            }
        }
        Ok(())
    }
}

/// timm, MAE, DINO and DINOv2, BEiT's name of LayerScale.
fn from_timm(name: &str) -> String {
    let number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((block, rest)) = name
        .strip_prefix("blocks.")
        .and_then(|rest| rest.split_once('.'))
    else {
        return if name == "reg_token" {
            "register_tokens"
        } else {
            name
        }
        .to_owned();
    };
    // Blocks in chunks, as DINOv2 is trained: the inner number counts on.
    let (block, rest) = match rest.split_once('.') {
        Some((inner, rest)) if number(inner) => (inner, rest),
        _ => (block, rest),
    };
    let rest = match rest {
        "gamma_1" => "ls1.gamma",
        "gamma_2" => "ls2.gamma",
        rest => rest,
    };
    format!("blocks.{block}.{rest}")
}

/// Hugging Face's ViT, ViTMAE and DINOv2.
fn from_hugging_face(name: &str) -> Option<String> {
    if let Some(kind) = name.strip_prefix("embeddings.patch_embeddings.projection.") {
        return Some(format!("patch_embed.proj.{kind}"));
    }
    if let Some(kind) = name.strip_prefix("layernorm.") {
        return Some(format!("norm.{kind}"));
    }
    let rest = match name {
        "embeddings.cls_token" => return Some("cls_token".to_owned()),
        "embeddings.position_embeddings" => return Some("pos_embed".to_owned()),
        "embeddings.register_tokens" => return Some("register_tokens".to_owned()),
        "embeddings.mask_token" => return Some("mask_token".to_owned()),
        "embeddings.distillation_token" => return Some(DISTILLATION.to_owned()),
        name => ["encoder.layer.", "encoder.layers.", "layers."]
            .into_iter()
            .find_map(|prefix| name.strip_prefix(prefix))?,
    };
    let (block, rest) = rest.split_once('.')?;
    let (layer, kind) = rest.rsplit_once('.')?;
    let layer = match (layer, kind) {
        ("layernorm_before" | "norm1", _) => "norm1",
        ("layernorm_after" | "norm2", _) => "norm2",
        ("attention.attention.query" | "attention.q_proj", _) => "attn.query",
        ("attention.attention.key" | "attention.k_proj", _) => "attn.key",
        ("attention.attention.value" | "attention.v_proj", _) => "attn.value",
        ("attention.output.dense" | "attention.o_proj", _) => "attn.proj",
        ("intermediate.dense" | "mlp.fc1", _) => "mlp.fc1",
        ("output.dense" | "mlp.fc2", _) => "mlp.fc2",
        ("layer_scale1", "lambda1") => return Some(format!("blocks.{block}.ls1.gamma")),
        ("layer_scale2", "lambda1") => return Some(format!("blocks.{block}.ls2.gamma")),
        _ => return None,
    };
    Some(format!("blocks.{block}.{layer}.{kind}"))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn named(names: &[&str], key: Option<&str>) -> Result<Named> {
        let tensor = Tensor::zeros((2, 2), candle_core::DType::F32, &Device::Cpu)?;
        let tensors = names
            .iter()
            .map(|name| ((*name).to_owned(), tensor.clone()));
        Named::new(tensors.collect(), key, Path::new("file"), &|_, _| Ok(()))
    }

    #[test]
    fn each_family_s_names_become_those_of_timm() {
        for (name, expected) in [
            ("blocks.7.attn.qkv.weight", "blocks.7.attn.qkv.weight"),
            ("blocks.1.13.ls1.gamma", "blocks.13.ls1.gamma"),
            ("blocks.2.gamma_2", "blocks.2.ls2.gamma"),
            ("reg_token", "register_tokens"),
            ("blocks", "blocks"),
        ] {
            assert_eq!(from_timm(name), expected);
        }
        for (name, expected) in [
            ("embeddings.cls_token", Some("cls_token")),
            (
                "encoder.layer.3.attention.attention.key.bias",
                Some("blocks.3.attn.key.bias"),
            ),
            (
                "encoder.layer.3.attention.output.dense.weight",
                Some("blocks.3.attn.proj.weight"),
            ),
            (
                "encoder.layer.3.output.dense.weight",
                Some("blocks.3.mlp.fc2.weight"),
            ),
            (
                "layers.0.attention.o_proj.weight",
                Some("blocks.0.attn.proj.weight"),
            ),
            (
                "encoder.layer.0.layer_scale2.lambda1",
                Some("blocks.0.ls2.gamma"),
            ),
            ("layernorm.bias", Some("norm.bias")),
            ("encoder.layer.0.mlp.weights_in.weight", None),
            ("pooler.dense.bias", None),
        ] {
            assert_eq!(from_hugging_face(name).as_deref(), expected);
        }
    }

    #[test]
    fn a_prefix_is_taken_off_and_what_lies_outside_stays_outside() {
        let names = [
            "module.backbone.patch_embed.proj.weight",
            "module.backbone.norm.weight",
            "module.head.weight",
        ];
        let found = named(&names, None).unwrap();
        assert_eq!(found.prefix, "module.backbone.");
        assert_eq!(found.outside, ["module.head.weight"]);
        assert_eq!(found.origin("norm.weight"), "module.backbone.norm.weight");
        // No transformer of that name: its end alone is no patch embedding.
        let found = named(&["my_patch_embed.proj.weight"], None).unwrap();
        assert_eq!(found.prefix, "");
    }

    #[test]
    fn two_names_of_one_tensor_are_refused() {
        let names = [
            "patch_embed.proj.weight",
            "blocks.0.1.norm1.weight",
            "blocks.1.norm1.weight",
        ];
        let message = named(&names, None).unwrap_err().to_string();
        assert!(
            message.contains("`blocks.0.1.norm1.weight` and `blocks.1.norm1.weight`"),
            "{message}"
        );
    }

    #[test]
    fn a_key_that_begins_no_name_is_an_error() {
        let message = named(&["a.patch_embed.proj.weight"], Some("b"))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("`b`") && message.ends_with("choose one of a"),
            "{message}"
        );
    }
}
