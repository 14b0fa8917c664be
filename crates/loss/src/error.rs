//! The crate's error: a loss that was asked for with a parameter it cannot have.

/// Why a loss could not be built.
///
/// Only construction returns it. The forward passes return [`candle_core::Result`], whose messages
/// name the loss and the shapes that do not fit.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter of a loss lies outside its range, or is not a number.
    #[error("{loss}: {parameter} must be {expected}, got {value}; change it in the configuration")]
    Parameter {
        /// Name of the loss, as [`crate::Loss::name`] gives it.
        loss: &'static str,
        /// Name of the parameter.
        parameter: &'static str,
        /// The value that came.
        value: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// A weight of a [`crate::Composite`] is negative or not finite.
    #[error("composite: the weight of term `{term}` must be finite and not negative, got {weight}")]
    Weight {
        /// Name of the term.
        term: String,
        /// The weight that came.
        weight: f64,
    },
    /// A [`crate::Composite`] without a single term.
    #[error("composite: expected at least one (weight, loss) term, got none; add one")]
    NoTerms,
}

/// Result of building a loss.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn positive(loss: &'static str, parameter: &'static str, value: f64) -> Result<f64> {
    check(loss, parameter, value, value > 0.0, "finite and above 0")
}

pub(crate) fn not_negative(loss: &'static str, parameter: &'static str, value: f64) -> Result<f64> {
    check(
        loss,
        parameter,
        value,
        value >= 0.0,
        "finite and at least 0",
    )
}

pub(crate) fn share(loss: &'static str, parameter: &'static str, value: f64) -> Result<f64> {
    let inside = (0.0..=1.0).contains(&value);
    check(loss, parameter, value, inside, "between 0 and 1")
}

pub(crate) fn check(
    loss: &'static str,
    parameter: &'static str,
    value: f64,
    holds: bool,
    expected: &'static str,
) -> Result<f64> {
    if holds && value.is_finite() {
        Ok(value)
    } else {
        Err(Error::Parameter {
            loss,
            parameter,
            value,
            expected,
        })
    }
}
