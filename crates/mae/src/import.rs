use std::collections::{BTreeSet, HashMap};

use candle_core::Tensor;
use venule_nn::{Param, ParamStore, resample_grid};

use crate::from_tensors::{Shapes, published_heads, square_side};
use crate::names::{DISTILLATION, may_be_left_out};
use crate::{
    Conversion, Difference, Error, Family, ImportReport, MissingNorm, Positions, PretrainedWeights,
    Result, VitConfig, sin_cos_positions,
};

/// Largest difference of a position table from the sine-cosine one, of values in [-1, 1]: what `bf16` rounds.
const SIN_COS_TOLERANCE: f32 = 4e-3;

/// What becomes of each name, before anything is changed.
#[derive(Default)]
struct Plan {
    changes: Vec<(Param, Tensor)>,
    differences: Vec<Difference>,
    missing: Vec<String>,
    /// Those of them that the file has, but of another type: names and types there.
    not_float: Vec<(String, String)>,
    report: ImportReport,
}

impl PretrainedWeights {
    /// Copies these weights into the variables of `store` under `prefix` ("" for all), which were built with `config`: all of
    /// them or none.
    ///
    /// RGB patch embeddings are summed to one gray channel, and a gray one spread evenly over several; position tables are
    /// resampled to the grid of `config`; a position of the class token is added to the class token. A file's decoder,
    /// `mask_token` and classifier are left out where the store has no place for them. Every other tensor must find its
    /// place, unless [`ImportOptions::allow_unused`](crate::ImportOptions::allow_unused) says otherwise.
    ///
    /// # Errors
    /// [`Error::Misfit`] with every difference between the file's architecture and the model's, and the setting that takes it;
    /// [`Error::Architecture`] if not one variable finds its values. Nothing is changed then.
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
        let params: Vec<_> = store
            .params()
            .into_iter()
            .filter_map(|param| Some((param.name().strip_prefix(&dotted)?.to_owned(), param)))
            .collect();
        if !params
            .iter()
            .any(|(name, _)| self.tensors().contains_key(name))
        {
            return Err(self.strangers(params.len(), prefix));
        }
        let mut plan = Plan {
            report: ImportReport {
                family: Some(self.family()),
                key: self.key().map(str::to_owned),
                other_keys: self.other_keys().to_vec(),
                reshaped: self.changed().to_vec(),
                normalisation: self.family().normalisation(),
                ..ImportReport::default()
            },
            ..Plan::default()
        };
        self.compare(config, &mut plan)?;
        let (eps, own) = (self.layer_norm_eps(), config.layer_norm_eps);
        if eps != own {
            let note = format!(
                "layer_norm_eps is {own:e} here and {eps:e} in the models these weights are of"
            );
            plan.report.notes.push(note);
        }
        for (name, param) in &params {
            self.fit(name, param, config, &mut plan)?;
        }
        if !plan.missing.is_empty() {
            let names = std::mem::take(&mut plan.missing);
            plan.differences.push(Difference::Missing { names });
        }
        if !plan.not_float.is_empty() {
            let tensors = std::mem::take(&mut plan.not_float);
            plan.differences.push(Difference::NotFloat { tensors });
        }
        self.rest(&params, config, &mut plan)?;
        if !plan.differences.is_empty() {
            return Err(Error::Misfit {
                path: self.path().map_or_else(|| "the weights".into(), Into::into),
                differences: plan.differences,
            });
        }
        let values = plan.changes.into_iter().map(|(param, value)| {
            let var = param.var();
            let value = value.to_dtype(var.dtype())?.to_device(var.device())?;
            Ok((param, value))
        });
        let values = values.collect::<candle_core::Result<Vec<_>>>()?;
        for (param, value) in values {
            param.var().set(&value)?;
        }
        Ok(plan.report)
    }

    /// Settings in which the file's architecture and the model's differ.
    fn compare(&self, config: &VitConfig, plan: &mut Plan) -> Result<()> {
        let Ok(file) = Shapes::of(self.tensors()) else {
            return Ok(());
        };
        let lenient = self.options().allow_unused;
        let mut found = Vec::new();
        let setting = |field, file: String, model: String, tensor: &str| Difference::Setting {
            field,
            file,
            model,
            tensor: self.origin(tensor).to_owned(),
        };
        let number = |field, file: usize, model: usize, tensor: &str| {
            setting(field, file.to_string(), model.to_string(), tensor)
        };
        let patch = "patch_embed.proj.weight";
        if file.patch_size != config.patch_size {
            found.push(number(
                "patch_size",
                file.patch_size,
                config.patch_size,
                patch,
            ));
        }
        if file.width != config.width {
            found.push(number("width", file.width, config.width, patch));
        }
        if file.depth != config.depth && !(lenient && file.depth > config.depth) {
            let last = format!("blocks.{}.norm1.weight", file.depth.saturating_sub(1));
            found.push(number("depth", file.depth, config.depth, &last));
        }
        let (known, source) = self.heads(&file);
        if let Some(heads) = known.filter(|heads| *heads != config.heads) {
            found.push(Difference::Heads {
                file: heads,
                model: config.heads,
                source,
            });
        }
        let hidden = (config.width as f64 * config.mlp_ratio).round();
        if file.hidden > 0 && file.width == config.width && file.hidden as f64 != hidden {
            let ratio = file.hidden as f64 / file.width as f64;
            let (file, model) = (ratio.to_string(), config.mlp_ratio.to_string());
            found.push(setting("mlp_ratio", file, model, "blocks.0.mlp.fc1.weight"));
        }
        if file.qkv_bias != config.qkv_bias && !(lenient && file.qkv_bias) {
            let kind = if file.qkv_bias { "bias" } else { "weight" };
            let tensor = format!("blocks.0.attn.qkv.{kind}");
            let (file, model) = (file.qkv_bias.to_string(), config.qkv_bias.to_string());
            found.push(setting("qkv_bias", file, model, &tensor));
        }
        if file.registers != config.registers && !(lenient && config.registers == 0) {
            found.push(number(
                "registers",
                file.registers,
                config.registers,
                "register_tokens",
            ));
        }
        let (fixed, learned) = (Positions::SinCos, Positions::Learned);
        let positions = |file: Positions, model: Positions, tensor| {
            setting("positions", file.to_string(), model.to_string(), tensor)
        };
        match (self.tensors().get("pos_embed"), config.positions) {
            (None, Positions::Learned) => found.push(positions(fixed, learned, "cls_token")),
            (Some(table), Positions::SinCos)
                if !lenient && !is_sin_cos(table, self.grids(config))? =>
            {
                found.push(positions(learned, fixed, "pos_embed"));
            }
            _ => {}
        }
        if self.tensors().contains_key(DISTILLATION) {
            found.push(Difference::Distilled {
                tensor: self.origin(DISTILLATION).to_owned(),
            });
        }
        plan.differences = found;
        Ok(())
    }

    fn grids(&self, config: &VitConfig) -> Grids {
        Grids {
            file: self.own().map(VitConfig::grid),
            model: config.grid(),
        }
    }

    /// The file's attention heads, and how they are known.
    fn heads(&self, file: &Shapes) -> (Option<usize>, &'static str) {
        if let Some(heads) = self.options().heads {
            return (Some(heads), "as the caller says");
        }
        if let Some(own) = self.own() {
            return (Some(own.heads), "as its metadata says");
        }
        match self.family() {
            // Presets of this project have other heads than the published models.
            Family::Venule => (None, ""),
            _ => (
                published_heads(file.width),
                "as the published models of this width have",
            ),
        }
    }

    /// Finds the values of one variable.
    fn fit(&self, name: &str, param: &Param, config: &VitConfig, plan: &mut Plan) -> Result<()> {
        let mut source = name.to_owned();
        if let Some(kind) = name.strip_prefix("norm.")
            && !self.tensors().contains_key(name)
        {
            let stand_in = format!("fc_norm.{kind}");
            let there = self.tensors().contains_key(&stand_in);
            match (self.options().missing_norm, there) {
                (MissingNorm::FcNorm, true) => {
                    plan.report.notes.push(format!("{name} is the file's {stand_in}, which was trained on the mean of the patches"));
                    source = stand_in;
                }
                (MissingNorm::Fresh, _) => {
                    plan.report
                        .notes
                        .push(format!("{name} is not in the file and stays as it is"));
                    return Ok(());
                }
                (_, true) => {
                    if kind == "weight" {
                        plan.differences.push(Difference::Norm);
                    }
                    return Ok(());
                }
                (_, false) => {}
            }
        }
        let Some(tensor) = self.tensors().get(&source) else {
            match self.not_float(&source) {
                Some((origin, dtype)) => {
                    let tensor = (origin.to_owned(), dtype.to_owned());
                    plan.not_float.push(tensor);
                }
                None if explains(&plan.differences, name) => {}
                None => plan.missing.push(name.to_owned()),
            }
            return Ok(());
        };
        // The others were looked through when they were read.
        if may_be_left_out(&source) {
            self.expect_finite(self.origin(&source), tensor)?;
        }
        let target = param.var().dims();
        let conversion = |how| Conversion {
            name: name.to_owned(),
            from: tensor.dims().to_vec(),
            to: target.to_vec(),
            how,
        };
        let value = match convert(name, tensor, target, self.tensors(), self.grids(config))? {
            // A copy: a variable takes no tensor that shares its memory.
            Converted::Same => tensor.copy()?,
            Converted::Changed(value, how) => {
                plan.report.reshaped.push(conversion(how));
                value
            }
            Converted::No(how) => {
                if !explains(&plan.differences, name) {
                    plan.differences.push(Difference::Shape(conversion(how)));
                }
                return Ok(());
            }
        };
        plan.changes.push((param.clone(), value));
        plan.report.loaded.push(name.to_owned());
        Ok(())
    }

    /// Tensors of the file that no variable took.
    fn rest(&self, params: &[(String, Param)], config: &VitConfig, plan: &mut Plan) -> Result<()> {
        let known: BTreeSet<_> = params.iter().map(|(name, _)| name.as_str()).collect();
        let mut unused = Vec::new();
        let mut left_out = Vec::new();
        for name in self
            .tensors()
            .keys()
            .filter(|name| !known.contains(name.as_str()))
        {
            let origin = self.origin(name).to_owned();
            if name == "pos_embed" && is_sin_cos(&self.tensors()[name], self.grids(config))? {
                plan.report.notes.push(format!(
                    "{origin} is the fixed sine-cosine table, which the encoder computes"
                ));
            } else if may_be_left_out(name) {
                left_out.push(origin);
            } else if !explains(&plan.differences, name) {
                unused.push(origin);
            }
        }
        left_out.extend(self.outside().iter().chain(self.skipped()).cloned());
        left_out.sort();
        unused.sort();
        plan.report.left_out = left_out;
        match self.options().allow_unused {
            true => plan.report.unused = unused,
            false if unused.is_empty() => {}
            false => plan.differences.push(Difference::Unused { names: unused }),
        }
        Ok(())
    }
}

/// Whether a setting that differs is why a tensor does not fit or finds no place.
fn explains(differences: &[Difference], name: &str) -> bool {
    differences.iter().any(|difference| match difference {
        Difference::Setting {
            field, file, model, ..
        } => match *field {
            "width" => true,
            "patch_size" => name == "patch_embed.proj.weight",
            "mlp_ratio" => name.contains(".mlp."),
            "qkv_bias" => name.ends_with(".attn.qkv.bias"),
            "registers" => name == "register_tokens",
            "positions" => name == "pos_embed" || name == "decoder_pos_embed",
            "depth" => {
                let fewer = file.parse::<usize>().ok().min(model.parse().ok());
                let number: Option<usize> = name
                    .strip_prefix("blocks.")
                    .and_then(|rest| rest.split('.').next()?.parse().ok());
                matches!((number, fewer), (Some(number), Some(fewer)) if number >= fewer)
            }
            _ => false,
        },
        // Its positions begin with those of two tokens.
        Difference::Distilled { .. } => name == DISTILLATION || name == "pos_embed",
        _ => false,
    })
}

/// Whether a position table, with or without a class token's entry, is the sine-cosine one of its grid.
fn is_sin_cos(table: &Tensor, grids: Grids) -> candle_core::Result<bool> {
    let Ok((1, count, width)) = table.dims3() else {
        return Ok(false);
    };
    let Some((has_class, grid)) = grids
        .of_table(count)
        .filter(|_| width > 0 && width % 4 == 0)
    else {
        return Ok(false);
    };
    let patches = table.narrow(1, usize::from(has_class), grid.0 * grid.1)?;
    let fixed = sin_cos_positions(grid, width, table.dtype(), table.device())?;
    let largest = (patches - fixed)?.abs()?.max_all()?.to_scalar::<f32>()?;
    Ok(largest < SIN_COS_TOLERANCE)
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
    grids: Grids,
) -> candle_core::Result<Converted> {
    match name {
        "cls_token" => {
            let class = all
                .get("pos_embed")
                .and_then(|table| class_position(table, grids));
            match class {
                Some(class) if tensor.dims() == target && class.dims() == target => Ok(
                    Converted::Changed((tensor + class)?, "its position was added"),
                ),
                _ => Ok(same_or_no(tensor, target)),
            }
        }
        "pos_embed" | "decoder_pos_embed" => positions(tensor, target, grids),
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

/// The patches of an image, in rows and columns.
type Grid = (usize, usize);

/// The grid of the model, and that of the file where its metadata say it.
#[derive(Clone, Copy)]
struct Grids {
    file: Option<Grid>,
    model: Grid,
}

impl Grids {
    /// Whether the first of `count` positions is the class token's, and the grid of the others: that of the file, else that of
    /// the model if the number fits, else a square.
    fn of_table(self, count: usize) -> Option<(bool, Grid)> {
        for grid in self.file.into_iter().chain([self.model]) {
            let patches = grid.0.saturating_mul(grid.1);
            if count == patches || count.checked_sub(1) == Some(patches) {
                return Some((count != patches, grid));
            }
        }
        let square = |count: usize| square_side(count).map(|side| (side, side));
        match square(count) {
            Some(square) => Some((false, square)),
            None => Some((true, square(count.checked_sub(1)?)?)),
        }
    }
}

/// The class token's entry (1, 1, C) of a position table (1, 1 + N, C).
fn class_position(table: &Tensor, grids: Grids) -> Option<Tensor> {
    let (_, count, _) = table.dims3().ok()?;
    let (has_class, _) = grids.of_table(count)?;
    has_class.then(|| table.narrow(1, 0, 1).ok())?
}

fn positions(tensor: &Tensor, target: &[usize], grids: Grids) -> candle_core::Result<Converted> {
    let grid = grids.model;
    let (Ok((1, count, width)), [1, wanted, target_width]) = (tensor.dims3(), target) else {
        return Ok(same_or_no(tensor, target));
    };
    if width != *target_width || grid.0 * grid.1 != *wanted {
        return Ok(Converted::No("other width"));
    }
    let Some((has_class, from)) = grids.of_table(count) else {
        return Ok(Converted::No("not from a square grid"));
    };
    if tensor.dims() == target && from == grid {
        return Ok(Converted::Same);
    }
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

    fn on(model: Grid) -> Grids {
        Grids { file: None, model }
    }

    #[test]
    fn a_file_that_says_its_grid_is_read_on_it() {
        let grids = Grids {
            file: Some((2, 8)),
            model: (4, 4),
        };
        assert_eq!(grids.of_table(16), Some((false, (2, 8))));
        assert_eq!(grids.of_table(17), Some((true, (2, 8))));
        // As many values, but on another grid.
        let values: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let (_, how) = changed(positions(&table(&values), &[1, 16, 1], grids).unwrap());
        assert_eq!(how, "resampled");
        // 50 patches are no class token and 49 of them.
        let grids = Grids {
            file: Some((5, 10)),
            model: (7, 7),
        };
        assert!(class_position(&table(&[0.; 50]), grids).is_none());
    }

    #[test]
    fn a_class_position_is_told_by_the_square() {
        assert!(class_position(&table(&[0.; 4]), on((3, 2))).is_none());
        assert!(class_position(&table(&[0.; 6]), on((2, 2))).is_none());
        assert!(class_position(&table(&[]), on((2, 2))).is_none());
        let class = class_position(&table(&[7., 0., 0., 0., 0.]), on((3, 2))).unwrap();
        assert_eq!(class.to_vec3::<f32>().unwrap(), [[[7.]]]);
    }

    #[test]
    fn a_class_position_is_told_by_the_models_own_grid_first() {
        let mut values = [1.; 25];
        values[0] = 7.;
        // 25 is a square, and one more than 4 · 6.
        let class = class_position(&table(&values), on((4, 6))).unwrap();
        assert_eq!(class.to_vec3::<f32>().unwrap(), [[[7.]]]);
        let (value, how) = changed(positions(&table(&values), &[1, 24, 1], on((4, 6))).unwrap());
        assert_eq!(how, "without the class token's position");
        assert_eq!(value.to_vec3::<f32>().unwrap(), [[[1.]; 24]]);
        assert!(class_position(&table(&values), on((5, 5))).is_none());
    }

    #[test]
    fn a_constant_table_stays_constant_on_any_grid() {
        let (value, how) =
            changed(positions(&table(&[9., 2., 2., 2., 2.]), &[1, 6, 1], on((3, 2))).unwrap());
        assert_eq!(how, "resampled, without the class token's position");
        for row in &value.to_vec3::<f32>().unwrap()[0] {
            assert!((row[0] - 2.0).abs() < 1e-6);
        }
        assert!(matches!(
            positions(&table(&[0.; 7]), &[1, 4, 1], on((2, 2))).unwrap(),
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
