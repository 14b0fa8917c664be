use crate::noise::mix;

/// Whether a forward pass trains, and with which noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Evaluation: drop path does nothing.
    Eval,
    /// Training: drop path draws from this seed, which a caller changes every step.
    Train {
        /// Key of all noise in this pass.
        seed: u64,
    },
}

impl Mode {
    /// The mode for the part numbered `part`, with its own noise.
    pub fn part(self, part: u64) -> Self {
        match self {
            Mode::Eval => Mode::Eval,
            Mode::Train { seed } => Mode::Train {
                seed: mix(&[seed, part]),
            },
        }
    }
}
