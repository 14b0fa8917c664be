use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use venule_mae::{MaeConfig, MaeDecoderConfig};

use super::{NO_ENCODER, PartConfig, VIT};
use crate::Result;

/// Everything that determines the architecture; stored in every checkpoint.
///
/// ```
/// use venule::{ModelConfig, PartConfig};
/// use venule::seg::MultiScaleConfig;
/// let unet = ModelConfig::preset("unet")?;
/// assert_eq!(unet.encoder, PartConfig::plain("none"));
/// assert!(unet.decoder.settings::<MultiScaleConfig>()?.deep_supervision);
/// assert!(ModelConfig::preset("compcat").is_err());
/// # Ok::<(), venule::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct ModelConfig {
    /// What makes feature maps of an image; the kind `none` leaves the image to the decoder alone.
    pub encoder: PartConfig,
    /// What makes logits of the maps.
    pub decoder: PartConfig,
}

/// The architecture of a masked autoencoder; stored in every checkpoint of a pretraining.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value")]
pub struct MaskedModelConfig {
    /// What makes tokens of the visible patches: a kind that is registered as masked.
    pub encoder: PartConfig,
    /// What paints all patches of them.
    pub decoder: MaeDecoderConfig,
}

impl MaskedModelConfig {
    /// That of a Vision Transformer.
    ///
    /// # Errors
    /// [`Error::Part`](crate::Error::Part) if a number of the settings is not finite.
    pub fn vit(config: &MaeConfig) -> Result<Self> {
        Ok(Self {
            encoder: PartConfig::new(VIT, &config.encoder)?,
            decoder: config.into(),
        })
    }
}

/// A masked autoencoder as files have it: of today, or of version 0.1, where the decoder's settings stood beside the encoder's.
impl TryFrom<Value> for MaskedModelConfig {
    type Error = String;

    fn try_from(mut written: Value) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            encoder: PartConfig,
            decoder: MaeDecoderConfig,
        }
        let failed = |error: serde_json::Error| error.to_string();
        if written.get("decoder").is_none() {
            let old: MaeConfig = serde_json::from_value(written).map_err(failed)?;
            return Self::vit(&old).map_err(|error| error.to_string());
        }
        // A run file of version 0.1 lays its keys over a preset of today.
        if let Some(table) = written.as_object_mut() {
            let old = [
                ("decoder_width", "width"),
                ("decoder_depth", "depth"),
                ("decoder_heads", "heads"),
                ("normalize_targets", "normalize_targets"),
            ];
            let laid = old.map(|(old, key)| Some((key.to_owned(), table.remove(old)?)));
            match table.get_mut("decoder") {
                Some(Value::Object(decoder)) => decoder.extend(laid.into_iter().flatten()),
                other => {
                    let found = other.map_or(Value::Null, |value| value.take());
                    return Err(format!("decoder is {found}; expected a table of settings"));
                }
            }
        }
        let Written { encoder, decoder } = serde_json::from_value(written).map_err(failed)?;
        Ok(Self { encoder, decoder })
    }
}

/// A model as files have it: of today, or of version 0.1, where the encoder was a Vision Transformer's settings or nothing, and the
/// decoder a table of one key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    encoder: Option<Map<String, Value>>,
    decoder: Map<String, Value>,
}

/// The kinds of decoders that files of version 0.1 name as the key of a table.
const KEYS: [&str; 2] = ["progressive", "multi_scale"];

impl TryFrom<Written> for ModelConfig {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let encoder = match written.encoder {
            None => PartConfig::plain(NO_ENCODER),
            Some(mut object) => {
                object.entry("kind").or_insert_with(|| VIT.into());
                PartConfig::from_object(object)?
            }
        };
        let mut decoder = written.decoder;
        // Of another kind such a key is a setting of its own.
        let built_in = |kind: &Value| KEYS.iter().any(|key| kind == key);
        let of_old = decoder.get("kind").is_none_or(built_in);
        for key in KEYS.into_iter().filter(|_| of_old) {
            if !decoder.get(key).is_some_and(Value::is_object) {
                continue;
            }
            let Some(Value::Object(settings)) = decoder.remove(key) else {
                continue;
            };
            // A run file may lay such a table over a preset of another kind, whose settings it then replaces.
            if decoder.get("kind").is_some_and(|kind| kind != key) {
                decoder.clear();
            }
            decoder.insert("kind".to_owned(), key.into());
            decoder.extend(settings);
        }
        Ok(Self {
            encoder,
            decoder: PartConfig::from_object(decoder)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ModelConfig {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_version_0_1_wrote_is_read() {
        let old = read(r#"{"encoder": {"depth": 3}, "decoder": {"progressive": {"groups": 4}}}"#);
        let new = read(
            r#"{"encoder": {"kind": "vit", "config": {"depth": 3}}, "decoder": {"kind": "progressive", "config": {"groups": 4}}}"#,
        );
        assert_eq!(old, new);
        let old = read(r#"{"encoder": null, "decoder": {"multi_scale": {}}}"#);
        assert_eq!(old.encoder, PartConfig::plain("none"));
        assert_eq!(old.decoder, PartConfig::plain("multi_scale"));
    }

    #[test]
    fn tables_of_version_0_1_laid_over_a_preset_change_it() {
        let encoder = r#"{"kind": "vit", "config": {"depth": 6, "heads": 6}, "depth": 8}"#;
        let decoder = |laid: &str| {
            format!(
                r#"{{"kind": "multi_scale", "config": {{"groups": 8, "project": 96}}, {laid}}}"#
            )
        };
        let model = |laid| {
            read(&format!(
                r#"{{"encoder": {encoder}, "decoder": {}}}"#,
                decoder(laid)
            ))
        };
        let same = model(r#""multi_scale": {"groups": 4}"#);
        assert_eq!(same.encoder.config["depth"], 8);
        assert_eq!(same.encoder.config["heads"], 6);
        assert_eq!(same.decoder.config["groups"], 4);
        assert_eq!(same.decoder.config["project"], 96);
        let other = model(r#""progressive": {"groups": 4}"#);
        assert_eq!(other.decoder.kind, "progressive");
        assert!(!other.decoder.config.contains_key("project"));
    }

    #[test]
    fn a_part_without_a_kind_is_refused() {
        let error = serde_json::from_str::<ModelConfig>(r#"{"encoder": null, "decoder": {}}"#);
        assert!(error.unwrap_err().to_string().contains("needs a kind"));
        let error = serde_json::from_str::<PartConfig>(r#"{"kind": 3}"#).unwrap_err();
        assert!(error.to_string().contains("kind is 3"));
    }
}
