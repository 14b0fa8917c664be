use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use venule_loss::LossTable;
use venule_mae::MaskedEncoder;
use venule_nn::{Encoder, FeatureInfo, Params};
use venule_seg::Decoder;

use super::kind::{DecoderKind, EncoderKind};
use super::{PartConfig, built_in};
use crate::{BoxError, Error, Result};

/// The kinds of encoders, decoders and losses by name: what turns the words of a run file or a checkpoint into parts.
///
/// [`Registry::built_in`] has those of this project; an application adds its own. There is no global table: whoever builds a model
/// from names takes a registry ([`VesselModel::from_registry`](crate::VesselModel::from_registry),
/// [`Checkpoint::load_with`](crate::Checkpoint::load_with), [`Finetuning::from_registry`](crate::tasks::Finetuning::from_registry)), and
/// the short forms take the built-in one.
///
/// # Example: an encoder of one's own
/// ```
/// use serde::{Deserialize, Serialize};
/// use venule::candle_core::{Device, Module, Result as TensorResult, Tensor};
/// use venule::nn::{Conv3x3, Encoder, FeatureInfo, FeatureMap, Features, Mode, max_pool2x2};
/// use venule::{ModelConfig, PartConfig, Registry, VesselModel};
///
/// /// One convolution and three poolings: a map at an eighth of the size.
/// struct Pooled(Conv3x3, usize);
///
/// #[derive(Serialize, Deserialize)]
/// struct PooledConfig {
///     channels: usize,
/// }
///
/// impl Encoder for Pooled {
///     fn forward(&self, images: &Tensor, _: Mode) -> TensorResult<Features> {
///         let map = (0..3).try_fold(self.0.forward(images)?, |map, _| max_pool2x2(&map))?;
///         Ok(Features { maps: vec![FeatureMap { tensor: map, stride: 8 }] })
///     }
///     fn outputs(&self) -> Vec<FeatureInfo> {
///         vec![FeatureInfo { channels: self.1, stride: 8 }]
///     }
/// }
///
/// let registry = Registry::built_in().with_encoder("pooled", |config: &PooledConfig, params| {
///     Ok(Pooled(Conv3x3::new(1, config.channels, true, params)?, config.channels))
/// })?;
/// let config = ModelConfig {
///     encoder: PartConfig::new("pooled", &PooledConfig { channels: 8 })?,
///     decoder: ModelConfig::preset("tiny")?.decoder,
/// };
/// let model = VesselModel::from_registry(&registry, &config, 1, &Device::Cpu)?;
/// assert!(model.store().get("encoder.weight").is_some());
///
/// let error = VesselModel::new(&config, 1, &Device::Cpu).unwrap_err().to_string();
/// assert!(error.contains("'pooled'") && error.contains("none, vit"), "{error}");
/// # Ok::<(), venule::Error>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    encoders: BTreeMap<String, EncoderKind>,
    decoders: BTreeMap<String, DecoderKind>,
    losses: Arc<LossTable>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Registry")
            .field("encoders", &self.encoders.keys())
            .field("decoders", &self.decoders.keys())
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// The kinds of this project: encoders `vit` and `none`, decoders `multi_scale` and `progressive`, and the ten losses.
    pub fn built_in() -> Self {
        Self {
            encoders: built_in::encoders().into_iter().map(named).collect(),
            decoders: built_in::decoders().into_iter().map(named).collect(),
            losses: Arc::new(LossTable::built_in()),
        }
    }

    /// Adds a kind of encoder, made from its settings; its variables come from the [`Params`].
    ///
    /// # Errors
    /// [`Error::Registered`] if there is an encoder of this name.
    pub fn with_encoder<C, E>(
        mut self,
        kind: &str,
        make: impl Fn(&C, &Params) -> std::result::Result<E, BoxError> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        C: DeserializeOwned,
        E: Encoder + 'static,
    {
        add(
            "encoder",
            &mut self.encoders,
            kind,
            EncoderKind::plain(make),
        )?;
        Ok(self)
    }

    /// Adds a kind of encoder that [`Pretraining`](crate::tasks::Pretraining) can train too.
    ///
    /// # Errors
    /// As [`with_encoder`](Self::with_encoder).
    pub fn with_masked_encoder<C, E>(
        mut self,
        kind: &str,
        make: impl Fn(&C, &Params) -> std::result::Result<E, BoxError> + Send + Sync + 'static,
    ) -> Result<Self>
    where
        C: DeserializeOwned,
        E: MaskedEncoder + 'static,
    {
        add(
            "encoder",
            &mut self.encoders,
            kind,
            EncoderKind::masked(make),
        )?;
        Ok(self)
    }

    /// Adds a kind of decoder, made from its settings and the maps that the encoder gives.
    ///
    /// # Errors
    /// [`Error::Registered`] if there is a decoder of this name.
    pub fn with_decoder<C, D>(
        mut self,
        kind: &str,
        make: impl Fn(&C, &[FeatureInfo], &Params) -> std::result::Result<D, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Result<Self>
    where
        C: DeserializeOwned,
        D: Decoder + 'static,
    {
        add("decoder", &mut self.decoders, kind, DecoderKind::new(make))?;
        Ok(self)
    }

    /// Takes another table of losses, such as [`LossTable::built_in`] with losses of one's own.
    #[must_use]
    pub fn with_losses(mut self, losses: LossTable) -> Self {
        self.losses = Arc::new(losses);
        self
    }

    /// The losses.
    pub fn losses(&self) -> &LossTable {
        &self.losses
    }

    /// The encoder that a configuration names.
    ///
    /// # Errors
    /// [`Error::UnknownKind`]; [`Error::Part`] for settings that are not those of this kind or that it refuses.
    pub fn encoder(&self, part: &PartConfig, params: &Params) -> Result<Box<dyn Encoder>> {
        find("encoder", &self.encoders, &part.kind)?.make(part, params)
    }

    /// The encoder that a configuration names, for pretraining.
    ///
    /// # Errors
    /// As [`encoder`](Self::encoder), and if this kind does not say how it takes visible tokens.
    pub fn masked_encoder(
        &self,
        part: &PartConfig,
        params: &Params,
    ) -> Result<Box<dyn MaskedEncoder>> {
        match find("encoder", &self.encoders, &part.kind)?.make_masked(part, params) {
            Some(made) => made,
            None => Err(Error::Part {
                part: part.kind.clone(),
                reason: "this encoder cannot be pretrained masked; implement `mae::MaskedEncoder` and register it by `with_masked_encoder`".to_owned(),
            }),
        }
    }

    /// The decoder that a configuration names, for an encoder's maps.
    ///
    /// # Errors
    /// As [`encoder`](Self::encoder), and if the maps do not suit it.
    pub fn decoder(
        &self,
        part: &PartConfig,
        maps: &[FeatureInfo],
        params: &Params,
    ) -> Result<Box<dyn Decoder>> {
        find("decoder", &self.decoders, &part.kind)?.make(part, maps, params)
    }
}

fn named<T>((kind, entry): (&str, T)) -> (String, T) {
    (kind.to_owned(), entry)
}

fn add<T>(what: &'static str, kinds: &mut BTreeMap<String, T>, kind: &str, entry: T) -> Result<()> {
    match kinds.contains_key(kind) {
        true => Err(Error::Registered {
            what,
            kind: kind.to_owned(),
        }),
        false => {
            kinds.insert(kind.to_owned(), entry);
            Ok(())
        }
    }
}

fn find<'a, T>(what: &'static str, kinds: &'a BTreeMap<String, T>, kind: &str) -> Result<&'a T> {
    kinds.get(kind).ok_or_else(|| Error::UnknownKind {
        what,
        kind: kind.to_owned(),
        known: kinds.keys().cloned().collect::<Vec<_>>().join(", "),
    })
}
