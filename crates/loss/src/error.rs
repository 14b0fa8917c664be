//! The crate's error: a loss that cannot be built as it was asked for.

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
    /// A configuration names a loss that is neither a preset nor in the [`crate::LossTable`].
    #[error(
        "unknown loss `{name}`{}: expected one of {}, or one added with LossTable::register",
        hint(.suggestion), .known.join(", ")
    )]
    UnknownLoss {
        /// The name that came.
        name: String,
        /// The names there are.
        known: Vec<String>,
        /// The known name that is most like it.
        suggestion: Option<String>,
    },
    /// A configuration holds a parameter that the loss has not.
    #[error(
        "{loss}: unknown parameter `{parameter}`{}: expected {}",
        hint(.suggestion), choice(.known)
    )]
    UnknownParameter {
        /// The kind of the loss.
        loss: String,
        /// The parameter that came.
        parameter: String,
        /// The parameters there are.
        known: Vec<String>,
        /// The known parameter that is most like it.
        suggestion: Option<String>,
    },
    /// A parameter in a configuration is of another type than the loss expects.
    #[error("{loss}: parameter `{parameter}`: {reason}; change it in the configuration")]
    ParameterType {
        /// The kind of the loss.
        loss: String,
        /// Name of the parameter.
        parameter: String,
        /// What was expected and what came.
        reason: String,
    },
    /// The parameters that a loss was registered with are no struct that can be written and read.
    #[error(
        "{loss}: cannot read its parameters: {reason}; expected a serde struct of named fields"
    )]
    ParameterStruct {
        /// The kind of the loss.
        loss: String,
        /// What failed.
        reason: String,
    },
    /// A loss was registered under a name that a loss or preset has already.
    #[error("a loss or preset is called `{kind}` already; register yours under another name")]
    Registered {
        /// The name.
        kind: String,
    },
    /// The text of a loss is neither a name nor a JSON object.
    #[error(
        "cannot read the loss `{text}`: {reason}; expected a name such as thin-vessels, or \
         {{\"terms\": [{{\"kind\": \"bce\", \"weight\": 1}}]}}"
    )]
    Syntax {
        /// The text that came.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

fn hint(suggestion: &Option<String>) -> String {
    let hint = suggestion.as_ref();
    hint.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

fn choice(known: &[String]) -> String {
    match known {
        [] => "no parameter at all".to_owned(),
        known => format!("one of {}", known.join(", ")),
    }
}

/// The known name that `name` may be a misspelling of.
pub(crate) fn suggestion<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let scored = known
        .into_iter()
        .map(|k| (strsim::jaro_winkler(name, k), k));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(score, _)| *score > 0.8)
        .map(|(_, known)| known.to_owned())
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
