use candle_core::{DType, Shape};

/// Everything that can go wrong when parameters are made or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// One variable name is asked for with two shapes.
    #[error(
        "variable `{name}` has shape {found:?}, but {expected:?} was asked for; the file or store belongs to another architecture"
    )]
    Shape {
        /// Full variable name.
        name: String,
        /// Shape the model needs.
        expected: Shape,
        /// Shape in the store or file.
        found: Shape,
    },
    /// Names the model needs are not in the given tensors.
    #[error("{} of the model's variables are missing, the first is `{}`; the file belongs to another architecture or is incomplete", names.len(), names.first().map_or("", String::as_str))]
    Missing {
        /// All missing names, in the model's order.
        names: Vec<String>,
    },
    /// The given tensors hold names the model does not have.
    #[error("{} variables are not part of the model, the first is `{}`; the file belongs to another architecture", names.len(), names.first().map_or("", String::as_str))]
    Unexpected {
        /// All unexpected names.
        names: Vec<String>,
    },
    /// A parameter type that the store cannot hold.
    #[error("parameters are stored as f32 or f64, not {dtype:?}; convert the tensors first")]
    DType {
        /// The type that came.
        dtype: DType,
    },
    /// A configuration value is out of range.
    #[error("{field} is {value}, but {expected}")]
    Config {
        /// The field at fault.
        field: &'static str,
        /// Its value.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// A result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
