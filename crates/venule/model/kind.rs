//! How parts of a kind are made.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use venule_mae::MaskedEncoder;
use venule_nn::{Encoder, FeatureInfo, Params};
use venule_seg::Decoder;

use super::PartConfig;
use crate::{BoxError, Error, Result};

type Make<T> = Arc<dyn Fn(&PartConfig, &Params) -> Result<Box<T>> + Send + Sync>;
type MakeDecoder =
    Arc<dyn Fn(&PartConfig, &[FeatureInfo], &Params) -> Result<Box<dyn Decoder>> + Send + Sync>;

/// How an encoder of one kind is made.
#[derive(Clone)]
pub(super) struct EncoderKind {
    make: Make<dyn Encoder>,
    /// How it is made for pretraining, if it can be masked.
    masked: Option<Make<dyn MaskedEncoder>>,
}

impl EncoderKind {
    pub(super) fn make(&self, part: &PartConfig, params: &Params) -> Result<Box<dyn Encoder>> {
        (self.make)(part, params)
    }

    /// `None` if it cannot be masked.
    pub(super) fn make_masked(
        &self,
        part: &PartConfig,
        params: &Params,
    ) -> Option<Result<Box<dyn MaskedEncoder>>> {
        Some(self.masked.as_ref()?(part, params))
    }

    pub(super) fn plain<C: DeserializeOwned, E: Encoder + 'static>(
        make: impl Fn(&C, &Params) -> std::result::Result<E, BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(move |part, params| {
                let made = make(&part.settings()?, params);
                Ok(Box::new(made.map_err(|error| in_part(part, error))?))
            }),
            masked: None,
        }
    }

    pub(super) fn masked<C: DeserializeOwned, E: MaskedEncoder + 'static>(
        make: impl Fn(&C, &Params) -> std::result::Result<E, BoxError> + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(move |part: &PartConfig, params: &Params| {
            make(&part.settings()?, params).map_err(|error| in_part(part, error))
        });
        let plain = make.clone();
        Self {
            make: Arc::new(move |part, params| Ok(Box::new(plain(part, params)?))),
            masked: Some(Arc::new(move |part, params| {
                Ok(Box::new(make(part, params)?))
            })),
        }
    }
}

/// How a decoder of one kind is made.
#[derive(Clone)]
pub(super) struct DecoderKind(MakeDecoder);

impl DecoderKind {
    pub(super) fn make(
        &self,
        part: &PartConfig,
        maps: &[FeatureInfo],
        params: &Params,
    ) -> Result<Box<dyn Decoder>> {
        (self.0)(part, maps, params)
    }

    pub(super) fn new<C: DeserializeOwned, D: Decoder + 'static>(
        make: impl Fn(&C, &[FeatureInfo], &Params) -> std::result::Result<D, BoxError>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(move |part, maps, params| {
            let made = make(&part.settings()?, maps, params);
            Ok(Box::new(made.map_err(|error| in_part(part, error))?))
        }))
    }
}

/// Errors of this crate pass as they are; others are said to be of the part.
fn in_part(part: &PartConfig, error: BoxError) -> Error {
    match error.downcast::<Error>() {
        Ok(error) => *error,
        Err(error) => Error::Part {
            part: part.kind.clone(),
            reason: error.to_string(),
        },
    }
}
