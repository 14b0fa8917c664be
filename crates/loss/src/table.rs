//! The losses by name.

use crate::composite::{self, Composite};
use crate::config::LossConfig;
use crate::error::{Error, Result, suggestion};
use crate::loss::Loss;
use crate::presets;
use crate::term::TermConfig;
use crate::{bce, cldice, dice, focal, focal_tversky, mcc, skeleton_recall, thin_bce, tversky};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The losses of this crate: a name, and what makes the loss of its parameters. One row a loss.
const BUILT_IN: [fn() -> Row; 10] = [
    || row(bce::NAME, bce::Bce::build),
    || row(dice::NAME, dice::Dice::build),
    || row(tversky::NAME, tversky::Tversky::build),
    || row(focal_tversky::NAME, focal_tversky::FocalTversky::build),
    || row(focal::NAME, focal::Focal::build),
    || row(thin_bce::NAME, thin_bce::ThinBce::build),
    || row(cldice::NAME, cldice::SoftClDice::build),
    || {
        row(
            skeleton_recall::NAME,
            skeleton_recall::SkeletonRecall::build,
        )
    },
    || row(mcc::NAME, mcc::Mcc::build),
    || row_of_terms(composite::NAME),
];

/// Losses by name, with all their parameters: what makes a loss of a [`LossConfig`].
///
/// [`built_in`](Self::built_in) knows the losses of this crate; an application adds its own.
///
/// # Example: a loss of one's own in a configuration
/// ```
/// use serde::{Deserialize, Serialize};
/// use venule_loss::candle_core::{Result, Tensor};
/// use venule_loss::{Loss, LossTable};
///
/// /// The cross entropy raised to a power.
/// struct Power(f64);
///
/// impl Loss for Power {
///     fn name(&self) -> &str {
///         "power"
///     }
///     fn forward(&self, logits: &Tensor, target: &Tensor, valid: Option<&Tensor>) -> Result<Tensor> {
///         venule_loss::Bce::new().forward(logits, target, valid)?.powf(self.0)
///     }
/// }
///
/// /// What a configuration may say of it, and the defaults.
/// #[derive(Serialize, Deserialize)]
/// struct Parameters {
///     exponent: f64,
/// }
///
/// impl Default for Parameters {
///     fn default() -> Self {
///         Self { exponent: 2.0 }
///     }
/// }
///
/// let mut table = LossTable::built_in();
/// table.register("power", |parameters: Parameters| Ok(Power(parameters.exponent)))?;
/// let config = r#"{"terms": [{"kind": "bce"}, {"kind": "power", "exponent": 3}]}"#.parse()?;
/// assert_eq!(table.build(&config)?.terms().count(), 2);
///
/// let config = r#"{"terms": [{"kind": "power", "exponnent": 3}]}"#.parse()?;
/// let text = table.build(&config).err().map(|error| error.to_string()).unwrap_or_default();
/// assert!(text.contains("power: unknown parameter `exponnent` (did you mean `exponent`?)"));
/// # Ok::<(), venule_loss::Error>(())
/// ```
pub struct LossTable {
    rows: Vec<Row>,
}

struct Row {
    kind: String,
    defaults: Box<dyn Fn() -> Result<Map<String, Value>> + Send + Sync>,
    build: Box<Build>,
}

/// Makes the loss; the table is for losses made of losses.
type Build = dyn Fn(&LossTable, &Map<String, Value>) -> Result<Box<dyn Loss>> + Send + Sync;

/// The losses of this crate.
impl Default for LossTable {
    fn default() -> Self {
        Self::built_in()
    }
}

impl LossTable {
    /// The losses of this crate.
    pub fn built_in() -> Self {
        Self {
            rows: BUILT_IN.iter().map(|row| row()).collect(),
        }
    }

    /// Adds a loss called `kind`, made by `build` of its parameters.
    ///
    /// `P` is a struct with a named field for each parameter; its `Default` holds the defaults, over
    /// which a configuration's values are laid. A field that `P::default()` does not write is unknown
    /// to a configuration. A loss without parameters takes `()`.
    ///
    /// # Errors
    /// If a loss or preset is called `kind` already, or `P` is no struct whose fields a term can name.
    pub fn register<P, L>(
        &mut self,
        kind: &str,
        build: impl Fn(P) -> Result<L> + Send + Sync + 'static,
    ) -> Result<()>
    where
        P: Serialize + DeserializeOwned + Default + 'static,
        L: Loss + 'static,
    {
        if self.kinds().any(|taken| taken == kind) || presets::spelled(kind).is_some() {
            return Err(Error::Registered {
                kind: kind.to_owned(),
            });
        }
        let taken = ["kind", "weight"];
        let parameters = defaults::<P>(kind)?;
        if let Some(name) = taken.iter().find(|name| parameters.contains_key(**name)) {
            return Err(Error::ParameterStruct {
                loss: kind.to_owned(),
                reason: format!("`{name}` is a term's own; name the parameter otherwise"),
            });
        }
        self.rows.push(row(kind, build));
        Ok(())
    }

    /// The names of the losses: this crate's, then the registered ones.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().map(|row| row.kind.as_str())
    }

    /// The parameters of a loss with their defaults.
    ///
    /// ```
    /// let parameters = venule_loss::LossTable::built_in().parameters("cldice")?;
    /// let names: Vec<&String> = parameters.keys().collect();
    /// assert_eq!(names, ["iterations", "smooth", "aggregation"]);
    /// assert_eq!(parameters["iterations"], 3);
    /// # Ok::<(), venule_loss::Error>(())
    /// ```
    ///
    /// # Errors
    /// If there is no loss of that name, or a registered one's parameters are no struct.
    pub fn parameters(&self, kind: &str) -> Result<Map<String, Value>> {
        (self.row(kind)?.defaults)()
    }

    /// The loss of a configuration, ready to train with.
    ///
    /// # Errors
    /// If a name or parameter is unknown, a parameter or weight is of another type or outside its
    /// range, or there is no term.
    pub fn build(&self, config: &LossConfig) -> Result<Composite> {
        match config {
            LossConfig::Terms(terms) => self.composite(terms),
            LossConfig::Named(name) => match presets::terms(name) {
                Some(terms) => self.composite(&terms?),
                None => self
                    .composite(&[TermConfig::new(name)])
                    .map_err(|error| match error {
                        Error::UnknownLoss { name, known, .. } => {
                            let presets = presets::names().map(str::to_owned);
                            unknown(&name, presets.chain(known).collect())
                        }
                        error => error,
                    }),
            },
        }
    }

    fn composite(&self, terms: &[TermConfig]) -> Result<Composite> {
        let build = |term: &TermConfig| {
            let loss = (self.row(&term.kind)?.build)(self, &term.parameters)?;
            Ok((term.weight, loss))
        };
        Composite::new(terms.iter().map(build).collect::<Result<_>>()?)
    }

    fn row(&self, kind: &str) -> Result<&Row> {
        let found = self.rows.iter().find(|row| row.kind == kind);
        found.ok_or_else(|| unknown(kind, self.kinds().map(str::to_owned).collect()))
    }
}

fn unknown(name: &str, known: Vec<String>) -> Error {
    Error::UnknownLoss {
        name: name.to_owned(),
        suggestion: suggestion(name, known.iter().map(String::as_str)),
        known,
    }
}

fn row<P, L>(kind: &str, build: impl Fn(P) -> Result<L> + Send + Sync + 'static) -> Row
where
    P: Serialize + DeserializeOwned + Default + 'static,
    L: Loss + 'static,
{
    let (name, named) = (kind.to_owned(), kind.to_owned());
    Row {
        kind: kind.to_owned(),
        defaults: Box::new(move || defaults::<P>(&name)),
        build: Box::new(move |_, given| Ok(Box::new(build(read(&named, given)?)?))),
    }
}

/// A sum of other losses as a term.
fn row_of_terms(kind: &'static str) -> Row {
    #[derive(Default, Serialize, Deserialize)]
    struct Parameters {
        terms: Vec<TermConfig>,
    }
    Row {
        kind: kind.to_owned(),
        defaults: Box::new(move || defaults::<Parameters>(kind)),
        build: Box::new(move |table, given| {
            let Parameters { terms } = read(kind, given)?;
            Ok(Box::new(table.composite(&terms)?))
        }),
    }
}

/// What `P` is called with where a configuration says nothing; `()` has no parameter.
fn defaults<P: Serialize + Default>(kind: &str) -> Result<Map<String, Value>> {
    let reason = match serde_json::to_value(P::default()) {
        Ok(Value::Object(parameters)) => return Ok(parameters),
        Ok(Value::Null) => return Ok(Map::new()),
        Ok(other) => format!("their default is written as {other}"),
        Err(error) => error.to_string(),
    };
    Err(Error::ParameterStruct {
        loss: kind.to_owned(),
        reason,
    })
}

/// The given parameters over the defaults.
fn read<P: Serialize + DeserializeOwned + Default>(
    kind: &str,
    given: &Map<String, Value>,
) -> Result<P> {
    let defaults = defaults::<P>(kind)?;
    for (parameter, value) in given {
        if !defaults.contains_key(parameter) {
            return Err(Error::UnknownParameter {
                loss: kind.to_owned(),
                parameter: parameter.clone(),
                known: defaults.keys().cloned().collect(),
                suggestion: suggestion(parameter, defaults.keys().map(String::as_str)),
            });
        }
        // What TOML calls nan or inf arrives as null too.
        if value.is_null() {
            return Err(Error::ParameterType {
                loss: kind.to_owned(),
                parameter: parameter.clone(),
                reason: "expected a value, got null or a number that is not finite".to_owned(),
            });
        }
    }
    let laid_over = |given: &mut dyn Iterator<Item = (&String, &Value)>| {
        let mut all = defaults.clone();
        all.extend(given.map(|(parameter, value)| (parameter.clone(), value.clone())));
        if all.is_empty() {
            // `()` reads as null, a struct without fields as an empty object.
            return P::deserialize(Value::Null).or_else(|_| P::deserialize(Value::Object(all)));
        }
        P::deserialize(Value::Object(all))
    };
    laid_over(&mut given.iter()).map_err(|error| {
        // serde does not say which parameter it means: the one that fails alone.
        let alone = given
            .iter()
            .find_map(|one| Some((one.0, laid_over(&mut std::iter::once(one)).err()?)));
        match alone {
            Some((parameter, error)) => Error::ParameterType {
                loss: kind.to_owned(),
                parameter: parameter.clone(),
                reason: error.to_string(),
            },
            None => Error::ParameterStruct {
                loss: kind.to_owned(),
                reason: error.to_string(),
            },
        }
    })
}

impl Composite {
    /// One of the presets, which a configuration names too ([`LossConfig`]).
    ///
    /// - `reference`: ½ BCE + Dice + 2½ Tversky (α 0.2 on false positives, β 0.8 on false negatives) +
    ///   2½ thin-vessel BCE (weight 4) + focal (γ 2, α 0.25). It asks for recall: the threshold of the
    ///   best F1 lies near 0.8.
    /// - `thin-vessels`: the same without Tversky; its F1, at a threshold near 0.6.
    /// - `bce-dice`: BCE + ½ Dice pooled over the batch: the plain mix, whose threshold lies near 0.5.
    ///
    /// # Errors
    /// If there is no preset or loss of this crate of that name.
    ///
    /// ```
    /// use venule_loss::Composite;
    /// let loss = Composite::preset("thin-vessels")?;
    /// let terms: Vec<&str> = loss.terms().map(|(_, term)| term.name()).collect();
    /// assert_eq!(terms, ["bce", "dice", "thin_bce", "focal"]);
    /// # Ok::<(), venule_loss::Error>(())
    /// ```
    pub fn preset(name: &str) -> Result<Self> {
        LossTable::built_in().build(&LossConfig::Named(name.to_owned()))
    }
}
