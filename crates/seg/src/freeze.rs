use serde::{Deserialize, Serialize};
use venule_nn::{Encoder, ParamStore};

use crate::{Error, Result};

/// Which part of an encoder is kept as it is.
///
/// The encoder itself says what its parts are ([`Encoder::stages`], [`Encoder::stage_of`]).
///
/// ```
/// use candle_core::{Device, Result as TensorResult, Tensor};
/// use venule_nn::{Encoder, FeatureInfo, Features, Init, Mode, ParamStore};
/// use venule_seg::Freeze;
///
/// /// Stages `stem` and `body`, and a `norm` behind them.
/// struct Parts;
/// impl Encoder for Parts {
/// #    fn forward(&self, _: &Tensor, _: Mode) -> TensorResult<Features> {
/// #        Ok(Features { maps: Vec::new() })
/// #    }
/// #    fn outputs(&self) -> Vec<FeatureInfo> {
/// #        Vec::new()
/// #    }
///     fn stages(&self) -> usize {
///         2
///     }
///     fn stage_of(&self, name: &str) -> Option<usize> {
///         ["stem", "body"].iter().position(|part| name.starts_with(part))
///     }
///     // and forward, outputs
/// }
///
/// let store = ParamStore::new(1, &Device::Cpu);
/// for name in ["encoder.stem", "encoder.body", "encoder.norm", "decoder.head"] {
///     store.root().pp(name).get(3, "weight", Init::Zeros)?;
/// }
/// Freeze::AllBut(1).apply(&store, "encoder", &Parts)?;
/// let trained: Vec<_> = store.trainable().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(trained, ["encoder.body.weight", "encoder.norm.weight", "decoder.head.weight"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Freeze {
    /// Everything is trained.
    #[default]
    None,
    /// Nothing is trained.
    All,
    /// The last n stages and what lies behind them are trained, the rest is not; with n = 0 nothing is, as with `All`. The stages
    /// of a Vision Transformer are its blocks, after a first one of embedding, class token and positions.
    AllBut(usize),
}

impl Freeze {
    /// Freezes and thaws the variables of `store` under `prefix`, which are those of `encoder`; others stay as they are.
    ///
    /// # Errors
    /// [`Error::Freeze`] if [`Freeze::AllBut`] names more stages than there are, or the encoder does not say its stages;
    /// [`Error::FreezePrefix`] if no variable under `prefix` lies in one of them. Nothing is changed then.
    pub fn apply(self, store: &ParamStore, prefix: &str, encoder: &dyn Encoder) -> Result<()> {
        let dotted = match prefix.trim_end_matches('.') {
            "" => String::new(),
            prefix => format!("{prefix}."),
        };
        let params = store.params();
        let inside: Vec<_> = params
            .iter()
            .filter_map(|param| {
                let name = param.name().strip_prefix(&dotted)?;
                Some((param, encoder.stage_of(name)))
            })
            .collect();
        let found = encoder.stages();
        // The first stage that is trained; without one, not even what lies behind all stages.
        let first = match self {
            Freeze::None => Some(0),
            Freeze::All | Freeze::AllBut(0) => None,
            Freeze::AllBut(asked) if asked > found => {
                return Err(Error::Freeze { asked, found });
            }
            Freeze::AllBut(_) if inside.iter().all(|(_, stage)| stage.is_none()) => {
                return Err(Error::FreezePrefix {
                    prefix: prefix.to_owned(),
                });
            }
            Freeze::AllBut(asked) => Some(found - asked),
        };
        for (param, stage) in inside {
            let trained = first.is_some_and(|first| stage.is_none_or(|stage| stage >= first));
            param.set_trainable(trained);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Result as TensorResult, Tensor};
    use venule_nn::{FeatureInfo, Features, Init, Mode, NoEncoder};

    use super::*;

    /// `embed` is stage 0, `blocks.N` N + 1, anything else lies behind all stages.
    struct Blocks(usize);

    impl Encoder for Blocks {
        fn forward(&self, _: &Tensor, _: Mode) -> TensorResult<Features> {
            Ok(Features { maps: Vec::new() })
        }
        fn outputs(&self) -> Vec<FeatureInfo> {
            Vec::new()
        }
        fn stages(&self) -> usize {
            self.0 + 1
        }
        fn stage_of(&self, name: &str) -> Option<usize> {
            if name.starts_with("embed.") {
                return Some(0);
            }
            let (number, _) = name.strip_prefix("blocks.")?.split_once('.')?;
            number.parse::<usize>().ok().map(|number| number + 1)
        }
    }

    fn store() -> ParamStore {
        let store = ParamStore::new(1, &Device::Cpu);
        let names = [
            "e.embed",
            "e.blocks.0",
            "e.blocks.1",
            "e.blocks.10",
            "e.norm",
            "encoder",
        ];
        for name in names {
            store.root().pp(name).get(1, "w", Init::Zeros).unwrap();
        }
        store
    }

    fn trained(store: &ParamStore) -> Vec<String> {
        let names = store.trainable().into_iter();
        names.map(|(name, _)| name).collect()
    }

    #[test]
    fn nothing_all_and_the_last_stages() {
        let store = store();
        let apply = |freeze: Freeze, prefix| {
            freeze.apply(&store, prefix, &Blocks(11)).unwrap();
            trained(&store)
        };
        assert_eq!(apply(Freeze::All, "e"), ["encoder.w"]);
        let last = ["e.blocks.1.w", "e.blocks.10.w", "e.norm.w", "encoder.w"];
        assert_eq!(apply(Freeze::AllBut(10), "e"), last);
        assert_eq!(apply(Freeze::AllBut(0), "e."), ["encoder.w"]);
        assert_eq!(apply(Freeze::AllBut(11), "e").len(), 5);
        assert_eq!(apply(Freeze::AllBut(12), "e").len(), 6);
        assert_eq!(apply(Freeze::All, "e"), ["encoder.w"]);
        assert_eq!(apply(Freeze::None, "e").len(), 6);
    }

    #[test]
    fn more_stages_than_there_are_is_an_error_that_says_what_to_do() {
        let store = store();
        let message = |asked, prefix, encoder: &dyn Encoder| {
            let result = Freeze::AllBut(asked).apply(&store, prefix, encoder);
            result.unwrap_err().to_string()
        };
        assert_eq!(
            message(13, "e", &Blocks(11)),
            "the last 13 of the encoder's stages are to stay trainable, but it has 12; ask for at most 12"
        );
        assert_eq!(
            message(1, "e", &NoEncoder),
            "the last 1 of the encoder's stages are to stay trainable, but it does not say its stages; give it `Encoder::stages` and `Encoder::stage_of`, or freeze all of it or nothing"
        );
        let found = message(1, "elsewhere", &Blocks(11));
        assert!(found.contains("no variable under `elsewhere`"), "{found}");
        assert_eq!(trained(&store).len(), 6);
    }

    #[test]
    fn all_or_nothing_needs_no_stages() {
        let store = store();
        for freeze in [Freeze::All, Freeze::AllBut(0)] {
            freeze.apply(&store, "e", &NoEncoder).unwrap();
            assert_eq!(trained(&store), ["encoder.w"]);
            Freeze::None.apply(&store, "e", &NoEncoder).unwrap();
            assert_eq!(trained(&store).len(), 6);
        }
    }

    #[test]
    fn it_reads_as_words() {
        let read = |text| serde_json::from_str::<Freeze>(text).unwrap();
        assert_eq!(read("\"none\""), Freeze::None);
        assert_eq!(read("\"all\""), Freeze::All);
        assert_eq!(read("{\"all_but\": 2}"), Freeze::AllBut(2));
    }
}
