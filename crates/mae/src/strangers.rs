//! Weights of which an encoder finds none.

use std::collections::BTreeSet;

use crate::report::typed;
use crate::{Error, PretrainedWeights};

/// Tensors that are named.
const SHOWN: usize = 5;

impl PretrainedWeights {
    /// What a file is said to be none of whose tensors is among the variables under `prefix`.
    pub(crate) fn strangers(&self, variables: usize, prefix: &str) -> Error {
        let names: BTreeSet<_> = self
            .tensors()
            .keys()
            .map(|name| self.origin(name))
            .chain(self.outside().iter().map(String::as_str))
            .collect();
        let first: Vec<_> = names.iter().take(SHOWN).copied().collect();
        let types = self.skipped_types();
        let others = types.iter().take(SHOWN);
        let others = typed(others.map(|(name, dtype)| (&**name, &**dtype)));
        let reason = match (names.len(), types.len()) {
            (0, 0) => {
                "there is no tensor in the file; write it with torch.save(model.state_dict(), path)"
                    .to_owned()
            }
            (0, count) => format!(
                "none of the {count} tensors is of floating-point numbers, of which the first are {others}; write the file again with `tensor.float()` of each, or take the model before it was quantized"
            ),
            (count, others_count) => {
                let beside = match others_count {
                    0 => String::new(),
                    count => format!(" ({count} more are not of floating-point numbers: {others})"),
                };
                format!(
                    "none of the {variables} variables under `{prefix}` is among the {count} tensors, of which the first are {}{beside}; the file belongs to another model",
                    first.join(", ")
                )
            }
        };
        Error::Architecture { reason }
    }
}
