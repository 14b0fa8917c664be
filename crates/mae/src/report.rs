//! What an import did, and what kept it from being done.

use std::fmt;

use crate::describe::write_key;
use crate::{Family, Normalisation};

/// A tensor that was changed to fit, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The variable, without the store's prefix.
    pub name: String,
    /// Shape in the file.
    pub from: Vec<usize>,
    /// Shape in the model.
    pub to: Vec<usize>,
    /// What was done, or why it cannot be.
    pub how: &'static str,
}

impl fmt::Display for Conversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            from,
            to,
            how,
        } = self;
        write!(f, "{name} {from:?} -> {to:?} ({how})")
    }
}

/// One way in which a file's architecture and a model's differ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A setting of the encoder.
    Setting {
        /// The field of [`VitConfig`](crate::VitConfig).
        field: &'static str,
        /// Its value that takes the file.
        file: String,
        /// Its value in the model.
        model: String,
        /// A tensor of the file that shows it.
        tensor: String,
    },
    /// The number of attention heads, which no tensor shows.
    Heads {
        /// That of the file.
        file: usize,
        /// That of the model.
        model: usize,
        /// How it is known.
        source: &'static str,
    },
    /// The file has no final `norm`, but the `fc_norm` of a classifier.
    Norm,
    /// Tensors of another shape.
    Shape(Conversion),
    /// Variables of the model that the file does not have.
    Missing {
        /// Their names, in the model's order.
        names: Vec<String>,
    },
    /// Tensors that the file has, but not of floating-point numbers.
    NotFloat {
        /// Their names in the file, each with its type.
        tensors: Vec<(String, String)>,
    },
    /// A distilled DeiT, which has a second class token.
    Distilled {
        /// That token's name in the file.
        tensor: String,
    },
    /// Tensors of the file that change an encoder's output and for which the model has no place.
    Unused {
        /// Their names in the file, sorted.
        names: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { field, file, model, tensor } => {
                write!(f, "set {field}={file}: the model has {model} (see `{tensor}`)")
            }
            Self::Heads { file, model, source } => write!(
                f,
                "set heads={file}, {source}: the model has {model}; if the file has {model}, say so (`--pretrained-heads {model}`)"
            ),
            Self::Norm => f.write_str(
                "the file has no `norm`, but the `fc_norm` of a fine-tuned classifier: take the file of the pretraining (RETFound publishes both), or say what stands for it (`--missing-norm fc-norm`, or `fresh`)",
            ),
            Self::Shape(conversion) => conversion.fmt(f),
            Self::Missing { names } => write!(f, "missing in the file: {}", list(names)),
            Self::NotFloat { tensors } => {
                let named = typed(tensors.iter().map(|(name, dtype)| (&**name, &**dtype)));
                write!(f, "not of floating-point numbers: {named}; write the file again with `tensor.float()` of each")
            }
            Self::Distilled { tensor } => write!(
                f,
                "`{tensor}` is the distillation token of a distilled DeiT, a second class token, which is not supported: take weights without distillation, such as DeiT's own (`deit_tiny_patch16_224`)"
            ),
            Self::Unused { names } => write!(
                f,
                "the model has no place for {}; `--allow-unused` leaves them out",
                list(names)
            ),
        }
    }
}

/// Names of a list that are written out.
const SHOWN: usize = 12;

fn list(names: &[String]) -> String {
    match names.len().checked_sub(SHOWN) {
        None | Some(0) => names.join(", "),
        Some(more) => format!("{} and {more} more", names[..SHOWN].join(", ")),
    }
}

/// Tensors with their types in brackets.
pub(crate) fn typed<'a>(tensors: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let named: Vec<_> = tensors
        .map(|(name, dtype)| format!("{name} ({dtype})"))
        .collect();
    list(&named)
}

/// Names with `*` for every number in them, each once, as they come first.
fn any_block<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut short: Vec<String> = Vec::new();
    for name in names {
        let number = |part: &str| part.parse::<u32>().is_ok();
        let parts = name.split('.');
        let parts = parts.map(|part| if number(part) { "*" } else { part });
        let name = parts.collect::<Vec<_>>().join(".");
        if !short.contains(&name) {
            short.push(name);
        }
    }
    short
}

/// Differences below each other.
pub(crate) fn lines(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(|difference| format!("\n- {difference}"))
        .collect()
}

/// What an import did with every name of the file and of the model. `Display` gives one line per kind.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ImportReport {
    /// Whose weights they are.
    pub family: Option<Family>,
    /// The key of the file, or the beginning of its names, under which they lay.
    pub key: Option<String>,
    /// Keys under which other Vision Transformers lie.
    pub other_keys: Vec<String>,
    /// Variables that now hold the file's values, in the store's order.
    pub loaded: Vec<String>,
    /// Those of them whose values were resampled, summed, joined or multiplied on the way.
    pub reshaped: Vec<Conversion>,
    /// Names in the file of what changes no feature (decoder, mask token, classifier, what is no floating-point tensor), sorted.
    pub left_out: Vec<String>,
    /// Names in the file of what would change the features and was left out because the caller allows it, sorted.
    pub unused: Vec<String>,
    /// What else a reader has to know, a sentence each.
    pub notes: Vec<String>,
    /// What the weights expect of an RGB image, where the family says.
    pub normalisation: Option<Normalisation>,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables loaded", self.loaded.len())?;
        if let Some(family) = self.family {
            write!(f, ", weights of {family}")?;
        }
        write_key(f, self.key.as_deref(), &self.other_keys)?;
        let mut done: Vec<(&str, Vec<String>)> = Vec::new();
        for Conversion {
            name,
            from,
            to,
            how,
        } in &self.reshaped
        {
            let name = &any_block([name.as_str()].into_iter())[0];
            let item = match from == to {
                true => name.clone(),
                false => format!("{name} {from:?} -> {to:?}"),
            };
            match done.iter_mut().find(|(known, _)| known == how) {
                Some((_, items)) if items.contains(&item) => {}
                Some((_, items)) => items.push(item),
                None => done.push((how, vec![item])),
            }
        }
        for (how, items) in &done {
            write!(f, "\n{how}: {}", items.join(", "))?;
        }
        if !self.unused.is_empty() {
            let names = list(&self.unused);
            write!(f, "\nNOT LOADED, though it changes the features: {names}")?;
        }
        if !self.left_out.is_empty() {
            let names = any_block(self.left_out.iter().map(String::as_str));
            write!(f, "\nleft out: {}", list(&names))?;
        }
        for note in &self.notes {
            write!(f, "\n{note}")?;
        }
        if let Some(Normalisation { mean, deviation }) = self.normalisation {
            write!(
                f,
                "\nmade for RGB images x in [0, 1] as (x - {mean:?}) / {deviation:?}"
            )?;
        }
        Ok(())
    }
}
