use serde::{Deserialize, Serialize};
use venule_nn::ParamStore;

use crate::{Error, Result};

/// Which part of an encoder is kept as it is.
///
/// ```
/// use candle_core::Device;
/// use venule_nn::{Init, ParamStore};
/// use venule_seg::Freeze;
/// let store = ParamStore::new(1, &Device::Cpu);
/// for name in ["encoder.blocks.0", "encoder.blocks.1", "encoder.norm", "decoder.head"] {
///     store.root().pp(name).get(3, "weight", Init::Zeros)?;
/// }
/// Freeze::AllBut(1).apply(&store, "encoder")?;
/// let trained: Vec<_> = store.trainable().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(trained, ["encoder.blocks.1.weight", "encoder.norm.weight", "decoder.head.weight"]);
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
    /// The last n blocks and the final norm are trained, the rest is not; with n = 0 nothing is, as with `All`.
    AllBut(usize),
}

impl Freeze {
    /// Freezes and thaws the variables of `store` under `prefix`; others stay as they are. Blocks are told by names
    /// `prefix.blocks.N.…`, the final norm by `prefix.norm.…`.
    ///
    /// # Errors
    /// [`Error::Freeze`] if [`Freeze::AllBut`] names more blocks than there are, or none are there; nothing is changed then.
    pub fn apply(self, store: &ParamStore, prefix: &str) -> Result<()> {
        let dotted = match prefix.trim_end_matches('.') {
            "" => String::new(),
            prefix => format!("{prefix}."),
        };
        let params = store.params();
        let inside = || {
            params.iter().filter_map(|param| {
                let name = param.name().strip_prefix(&dotted)?;
                Some((param, name))
            })
        };
        let found = inside().filter_map(|(_, name)| block(name)).max();
        let found = found.map_or(0, |last| last.saturating_add(1));
        if let Freeze::AllBut(blocks) = self
            && (found == 0 || blocks > found)
        {
            return Err(Error::Freeze {
                blocks,
                found,
                prefix: prefix.to_owned(),
            });
        }
        for (param, name) in inside() {
            param.set_trainable(match self {
                Freeze::None => true,
                Freeze::All => false,
                Freeze::AllBut(blocks) => match block(name) {
                    Some(number) => number + blocks >= found,
                    None => blocks > 0 && name.starts_with("norm."),
                },
            });
        }
        Ok(())
    }
}

/// N of `blocks.N.…`.
fn block(name: &str) -> Option<usize> {
    let (number, _) = name.strip_prefix("blocks.")?.split_once('.')?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use venule_nn::Init;

    use super::*;

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
    fn nothing_all_and_the_last_blocks() {
        let store = store();
        Freeze::All.apply(&store, "e").unwrap();
        assert_eq!(trained(&store), ["encoder.w"]);
        Freeze::AllBut(10).apply(&store, "e").unwrap();
        assert_eq!(
            trained(&store),
            ["e.blocks.1.w", "e.blocks.10.w", "e.norm.w", "encoder.w"]
        );
        Freeze::AllBut(0).apply(&store, "e.").unwrap();
        assert_eq!(trained(&store), ["encoder.w"]);
        Freeze::None.apply(&store, "e").unwrap();
        assert_eq!(trained(&store).len(), 6);
    }

    #[test]
    fn too_many_blocks_or_none_is_an_error() {
        let store = store();
        for (blocks, prefix) in [(12, "e"), (1, "encoder"), (0, "elsewhere")] {
            let result = Freeze::AllBut(blocks).apply(&store, prefix);
            assert!(matches!(result, Err(Error::Freeze { .. })));
        }
        assert_eq!(trained(&store).len(), 6);
    }

    #[test]
    fn it_reads_as_words() {
        let read = |text| serde_json::from_str::<Freeze>(text).unwrap();
        assert_eq!(read("\"none\""), Freeze::None);
        assert_eq!(read("\"all\""), Freeze::All);
        assert_eq!(read("{\"all_but\": 2}"), Freeze::AllBut(2));
    }
}
