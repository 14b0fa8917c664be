use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use candle_core::Tensor;
use venule_nn::{ParamStore, resample_grid};

use crate::{Error, PretrainedWeights, Result, VitConfig};

/// A tensor that was changed to fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The variable, without the store's prefix.
    pub name: String,
    /// Shape in the file.
    pub from: Vec<usize>,
    /// Shape in the model.
    pub to: Vec<usize>,
    /// What was done.
    pub how: &'static str,
}

/// What an import did with every name of the file and of the model. `Display` gives one line per kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Variables that now hold the file's values, in the store's order.
    pub loaded: Vec<String>,
    /// Those of them whose values were resampled, summed or folded on the way.
    pub reshaped: Vec<Conversion>,
    /// Variables that the file does not have; they keep their values.
    pub missing: Vec<String>,
    /// Variables that the file has in a shape that cannot be converted; they keep their values.
    pub mismatched: Vec<Conversion>,
    /// Names of the file that the model does not have, sorted.
    pub unexpected: Vec<String>,
    /// Entries of the file that are no floating-point tensors that can be read, sorted.
    pub skipped: Vec<String>,
}

impl ImportReport {
    /// Whether every variable of the model got its values from the file.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} variables loaded", self.loaded.len())?;
        for (what, items) in [
            ("reshaped", &self.reshaped),
            ("not fitting", &self.mismatched),
        ] {
            for item in items {
                let Conversion {
                    name,
                    from,
                    to,
                    how,
                } = item;
                write!(f, "\n{what}: {name} {from:?} -> {to:?} ({how})")?;
            }
        }
        for (what, names) in [
            ("missing in the file", &self.missing),
            ("unexpected in the file", &self.unexpected),
            ("skipped, not floating-point", &self.skipped),
        ] {
            if !names.is_empty() {
                write!(f, "\n{what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}

impl PretrainedWeights {
    /// Copies these weights into the variables of `store` under `prefix` ("" for all), which were built with `config`.
    ///
    /// RGB patch embeddings are summed to one gray channel, and a gray one spread evenly over several; position tables are
    /// resampled to the grid of `config`; a position of the class token is added to the class token. What does not fit keeps its
    /// value and is reported. Names of a decoder are only expected where the store has them under the same prefix.
    ///
    /// # Errors
    /// [`Error::Architecture`] if not one variable finds its values; nothing is changed then.
    pub fn load(
        &self,
        store: &ParamStore,
        prefix: &str,
        config: &VitConfig,
    ) -> Result<ImportReport> {
        let dotted = match prefix {
            "" => String::new(),
            prefix => format!("{}.", prefix.trim_end_matches('.')),
        };
        let mut report = ImportReport {
            skipped: self.skipped().to_vec(),
            ..ImportReport::default()
        };
        let mut known = BTreeSet::new();
        let mut changes = Vec::new();
        for param in store.params() {
            let Some(name) = param.name().strip_prefix(&dotted) else {
                continue;
            };
            known.insert(name.to_owned());
            let Some(tensor) = self.tensors().get(name) else {
                report.missing.push(name.to_owned());
                continue;
            };
            let target = param.var().dims();
            let conversion = |how| Conversion {
                name: name.to_owned(),
                from: tensor.dims().to_vec(),
                to: target.to_vec(),
                how,
            };
            match convert(name, tensor, target, self.tensors(), config)? {
                Converted::Same => changes.push((param.clone(), tensor.clone())),
                Converted::Changed(value, how) => {
                    report.reshaped.push(conversion(how));
                    changes.push((param.clone(), value));
                }
                Converted::No(how) => {
                    report.mismatched.push(conversion(how));
                    continue;
                }
            }
            report.loaded.push(name.to_owned());
        }
        let names: BTreeMap<_, _> = self.tensors().iter().collect();
        let strangers = names.into_keys().filter(|name| !known.contains(*name));
        report.unexpected = strangers.cloned().collect();
        if changes.is_empty() {
            return Err(Error::Architecture {
                reason: format!(
                    "none of the {} variables under `{prefix}` is among the {} tensors; the file belongs to another model",
                    known.len(),
                    self.tensors().len()
                ),
            });
        }
        let values = changes
            .into_iter()
            .map(|(param, value)| {
                let var = param.var();
                let value = value.to_dtype(var.dtype())?.to_device(var.device())?;
                Ok((param, value))
            })
            .collect::<candle_core::Result<Vec<_>>>()?;
        for (param, value) in values {
            param.var().set(&value)?;
        }
        Ok(report)
    }
}

enum Converted {
    Same,
    Changed(Tensor, &'static str),
    No(&'static str),
}

fn convert(
    name: &str,
    tensor: &Tensor,
    target: &[usize],
    all: &HashMap<String, Tensor>,
    config: &VitConfig,
) -> candle_core::Result<Converted> {
    match name {
        "cls_token" => {
            let class = all
                .get("pos_embed")
                .and_then(|table| class_position(table, config.grid()));
            match class {
                Some(class) if tensor.dims() == target && class.dims() == target => Ok(
                    Converted::Changed((tensor + class)?, "its position was added"),
                ),
                _ => Ok(same_or_no(tensor, target)),
            }
        }
        "pos_embed" | "decoder_pos_embed" => positions(tensor, target, config.grid()),
        "patch_embed.proj.weight" => channels(tensor, target),
        _ => Ok(same_or_no(tensor, target)),
    }
}

fn same_or_no(tensor: &Tensor, target: &[usize]) -> Converted {
    if tensor.dims() == target {
        Converted::Same
    } else {
        Converted::No("other shape")
    }
}

/// The side of a square grid of `count` patches.
pub(crate) fn square_side(count: usize) -> Option<usize> {
    let side = count.isqrt();
    (side > 0 && side * side == count).then_some(side)
}

/// Whether the first of `count` positions is the class token's, and the grid of the others: that of the model if the number
/// fits, else a square.
fn position_grid(count: usize, grid: (usize, usize)) -> Option<(bool, (usize, usize))> {
    let patches = grid.0.saturating_mul(grid.1);
    if count == patches || count.checked_sub(1) == Some(patches) {
        return Some((count != patches, grid));
    }
    let square = |count: usize| square_side(count).map(|side| (side, side));
    match square(count) {
        Some(square) => Some((false, square)),
        None => Some((true, square(count.checked_sub(1)?)?)),
    }
}

/// The class token's entry (1, 1, C) of a position table (1, 1 + N, C).
fn class_position(table: &Tensor, grid: (usize, usize)) -> Option<Tensor> {
    let (_, count, _) = table.dims3().ok()?;
    let (has_class, _) = position_grid(count, grid)?;
    has_class.then(|| table.narrow(1, 0, 1).ok())?
}

fn positions(
    tensor: &Tensor,
    target: &[usize],
    grid: (usize, usize),
) -> candle_core::Result<Converted> {
    if tensor.dims() == target {
        return Ok(Converted::Same);
    }
    let (Ok((1, count, width)), [1, wanted, target_width]) = (tensor.dims3(), target) else {
        return Ok(Converted::No("other shape"));
    };
    if width != *target_width || grid.0 * grid.1 != *wanted {
        return Ok(Converted::No("other width"));
    }
    let Some((has_class, from)) = position_grid(count, grid) else {
        return Ok(Converted::No("not from a square grid"));
    };
    let patches = match has_class {
        true => tensor.narrow(1, 1, count - 1)?,
        false => tensor.clone(),
    };
    let how = match (patches.dims() == tensor.dims(), from == grid) {
        (false, true) => "without the class token's position",
        (false, false) => "resampled, without the class token's position",
        (true, _) => "resampled",
    };
    let value = resample_grid(&patches.contiguous()?, from, grid)?;
    Ok(Converted::Changed(value, how))
}

fn channels(tensor: &Tensor, target: &[usize]) -> candle_core::Result<Converted> {
    if tensor.dims() == target {
        return Ok(Converted::Same);
    }
    let (from, to) = match (tensor.dims(), target) {
        ([o, from, h, w], [to_o, to, to_h, to_w]) if (o, h, w) == (to_o, to_h, to_w) => {
            (*from, *to)
        }
        _ => return Ok(Converted::No("other width or patch size")),
    };
    match (from, to) {
        (_, 1) => Ok(Converted::Changed(
            tensor.sum_keepdim(1)?,
            "channels summed to gray",
        )),
        (1, _) => {
            let spread = tensor.broadcast_as(target)?.contiguous()?;
            Ok(Converted::Changed(
                spread.affine(1.0 / to as f64, 0.0)?,
                "gray spread over the channels",
            ))
        }
        _ => Ok(Converted::No("other number of channels")),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn table(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, values.len(), 1), &Device::Cpu).unwrap()
    }

    fn changed(converted: Converted) -> (Tensor, &'static str) {
        match converted {
            Converted::Changed(value, how) => (value, how),
            Converted::Same => panic!("unchanged"),
            Converted::No(how) => panic!("refused: {how}"),
        }
    }

    #[test]
    fn a_class_position_is_told_by_the_square() {
        assert!(class_position(&table(&[0.; 4]), (3, 2)).is_none());
        assert!(class_position(&table(&[0.; 6]), (2, 2)).is_none());
        assert!(class_position(&table(&[]), (2, 2)).is_none());
        let class = class_position(&table(&[7., 0., 0., 0., 0.]), (3, 2)).unwrap();
        assert_eq!(class.to_vec3::<f32>().unwrap(), [[[7.]]]);
    }

    #[test]
    fn a_class_position_is_told_by_the_models_own_grid_first() {
        let mut values = [1.; 25];
        values[0] = 7.;
        // 25 is a square, and one more than 4 · 6.
        let class = class_position(&table(&values), (4, 6)).unwrap();
        assert_eq!(class.to_vec3::<f32>().unwrap(), [[[7.]]]);
        let (value, how) = changed(positions(&table(&values), &[1, 24, 1], (4, 6)).unwrap());
        assert_eq!(how, "without the class token's position");
        assert_eq!(value.to_vec3::<f32>().unwrap(), [[[1.]; 24]]);
        assert!(class_position(&table(&values), (5, 5)).is_none());
    }

    #[test]
    fn a_constant_table_stays_constant_on_any_grid() {
        let (value, how) =
            changed(positions(&table(&[9., 2., 2., 2., 2.]), &[1, 6, 1], (3, 2)).unwrap());
        assert_eq!(how, "resampled, without the class token's position");
        for row in &value.to_vec3::<f32>().unwrap()[0] {
            assert!((row[0] - 2.0).abs() < 1e-6);
        }
        assert!(matches!(
            positions(&table(&[0.; 7]), &[1, 4, 1], (2, 2)).unwrap(),
            Converted::No(_)
        ));
    }

    #[test]
    fn channels_are_summed_or_spread() {
        let rgb = Tensor::new(&[1f32, 2., 3.], &Device::Cpu).unwrap();
        let rgb = rgb.reshape((1, 3, 1, 1)).unwrap();
        let (gray, _) = changed(channels(&rgb, &[1, 1, 1, 1]).unwrap());
        assert_eq!(gray.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [6.]);
        let (spread, _) = changed(channels(&gray, &[1, 3, 1, 1]).unwrap());
        assert_eq!(
            spread.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            [2., 2., 2.]
        );
        assert!(matches!(
            channels(&rgb, &[1, 2, 1, 1]).unwrap(),
            Converted::No(_)
        ));
    }
}
