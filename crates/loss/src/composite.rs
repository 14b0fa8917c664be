//! A weighted sum of losses.

use crate::aggregation::Aggregation;
use crate::bce::Bce;
use crate::dice::Dice;
use crate::error::{Error, Result};
use crate::focal::Focal;
use crate::loss::Loss;
use crate::maps::Maps;
use crate::sums::{Request, Sums, thin_input};
use crate::thin_bce::ThinBce;
use crate::tversky::Tversky;
use candle_core::{DType, Tensor};

/// A weighted sum of losses: Σ weight·loss.
///
/// All terms that are functions of sums over the map (BCE, Dice, Tversky, focal Tversky, focal,
/// thin-vessel BCE, MCC) are computed together: on a CPU in `f32` one pass over the map yields them
/// all and one pass their common gradient, accumulated in `f64`, with the same bits for any number
/// of threads. Other terms run by themselves.
///
/// ```
/// use venule_loss::{Bce, Composite, Loss, Tversky, candle_core::{Device, Tensor, Var}};
///
/// let loss = Composite::new(vec![
///     (1.0, Box::new(Bce::new()) as Box<dyn Loss>),
///     (2.5, Box::new(Tversky::new(0.2, 0.8)?)),
/// ])?;
/// let logits = Var::new(&[[[[2f32, -1.], [0.5, -3.]]]], &Device::Cpu)?;
/// let target = Tensor::new(&[[[[1f32, 0.], [1., 0.]]]], &Device::Cpu)?;
/// let (total, terms) = loss.forward_with_terms(&logits, &target, None)?;
/// assert_eq!(terms[1].0, "tversky");
/// let sum = terms[0].1 + 2.5 * terms[1].1;
/// assert!((f64::from(total.to_scalar::<f32>()?) - sum).abs() < 1e-6);
/// assert!(total.backward()?.get(&logits).is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Composite {
    terms: Vec<(f64, Box<dyn Loss>)>,
}

impl Composite {
    /// From (weight, loss) pairs. A term of weight 0 is computed and reported, but teaches nothing.
    ///
    /// # Errors
    /// If there is no term, or a weight is negative or not finite.
    pub fn new(terms: Vec<(f64, Box<dyn Loss>)>) -> Result<Self> {
        if terms.is_empty() {
            return Err(Error::NoTerms);
        }
        for (weight, loss) in &terms {
            if !(weight.is_finite() && *weight >= 0.0) {
                return Err(Error::Weight {
                    term: loss.name().to_owned(),
                    weight: *weight,
                });
            }
        }
        Ok(Self { terms })
    }

    /// The reference's mix: ½ BCE + Dice + 2½ Tversky (α 0.2 on false positives, β 0.8 on false
    /// negatives) + 2½ thin-vessel BCE (weight 4) + focal (γ 2, α 0.25). It asks for recall: the
    /// threshold of the best F1 lies near 0.8.
    pub fn reference() -> Self {
        let mut mix = Self::thin_vessels();
        mix.terms.insert(2, (2.5, Box::new(Tversky::default())));
        mix
    }

    /// The mix for vessels of all widths, that of the presets `compact` and `unet`: ½ BCE + Dice +
    /// 2½ thin-vessel BCE (weight 4) + focal (γ 2, α 0.25). [`reference`](Self::reference) without
    /// Tversky: its F1, at a threshold near 0.6.
    ///
    /// ```
    /// use venule_loss::Composite;
    /// let loss = Composite::thin_vessels();
    /// let terms: Vec<&str> = loss.terms().map(|(_, term)| term.name()).collect();
    /// assert_eq!(terms, ["bce", "dice", "thin_bce", "focal"]);
    /// ```
    pub fn thin_vessels() -> Self {
        Self {
            terms: vec![
                (0.5, Box::new(Bce::new())),
                (1.0, Box::new(Dice::new())),
                (2.5, Box::new(ThinBce::default())),
                (1.0, Box::new(Focal::default())),
            ],
        }
    }

    /// BCE + ½ Dice pooled over the batch: the plain mix, whose threshold lies near 0.5.
    pub fn bce_dice() -> Self {
        let dice = Dice::new().with_aggregation(Aggregation::Pooled);
        Self {
            terms: vec![(1.0, Box::new(Bce::new())), (0.5, Box::new(dice))],
        }
    }

    /// The terms and their weights, in the order given.
    pub fn terms(&self) -> impl Iterator<Item = (f64, &dyn Loss)> {
        self.terms.iter().map(|(weight, loss)| (*weight, &**loss))
    }

    /// The loss, and for logs each term's name and value before weighting.
    ///
    /// Reading the values waits for the device.
    ///
    /// # Errors
    /// As [`Loss::forward`].
    pub fn forward_with_terms(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<(Tensor, Vec<(String, f64)>)> {
        self.forward_with_map(logits, target, valid, None)
    }

    /// As [`Self::forward_with_terms`], with a thin-vessel map of the logits' shape made
    /// beforehand, for the thin-vessel BCE among the terms.
    ///
    /// # Errors
    /// As [`Loss::forward`].
    pub fn forward_with_map(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
        thin: Option<&Tensor>,
    ) -> candle_core::Result<(Tensor, Vec<(String, f64)>)> {
        let (total, values) = self.evaluate(logits, target, valid, thin)?;
        let mut named = Vec::with_capacity(values.len());
        for ((_, loss), value) in self.terms.iter().zip(values) {
            // Not every device can turn f32 into f64.
            let value = match value.dtype() {
                DType::F64 => value.to_scalar()?,
                _ => f64::from(value.to_dtype(DType::F32)?.to_scalar::<f32>()?),
            };
            named.push((loss.name().to_owned(), value));
        }
        Ok((total, named))
    }

    fn evaluate(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
        thin: Option<&Tensor>,
    ) -> candle_core::Result<(Tensor, Vec<Tensor>)> {
        let maps = Maps::new(self.name(), logits, target, valid)?;
        let passes = self.passes(&maps, thin)?;
        let mut total: Option<Tensor> = None;
        let mut values = Vec::with_capacity(self.terms.len());
        for (index, (weight, loss)) in self.terms.iter().enumerate() {
            let pass = passes.iter().find(|(_, members)| members.contains(&index));
            let value = match (pass, loss.map_term()) {
                (Some((sums, _)), Some(term)) => term.0.evaluate(sums)?,
                _ => loss.forward(logits, target, valid)?,
            };
            // f64 where the fused pass yields it, so that small terms are not rounded away twice.
            let dtype = total.as_ref().map_or(value.dtype(), Tensor::dtype);
            let weighted = (value.to_dtype(dtype)? * *weight)?;
            total = Some(match total {
                Some(total) => (total + weighted)?,
                None => weighted,
            });
            values.push(value.detach());
        }
        match total {
            Some(total) => Ok((total.to_dtype(maps.logits.dtype())?, values)),
            None => candle_core::bail!("{}: no terms", self.name()),
        }
    }

    /// The passes over the map and which terms each serves: one, unless two focal terms differ in γ.
    fn passes(
        &self,
        maps: &Maps,
        thin: Option<&Tensor>,
    ) -> candle_core::Result<Vec<(Sums, Vec<usize>)>> {
        let mut requests: Vec<(Request, Vec<usize>)> = Vec::new();
        for (index, (_, loss)) in self.terms.iter().enumerate() {
            let Some(term) = loss.map_term() else {
                continue;
            };
            let wanted = term.0.request();
            let found = requests
                .iter_mut()
                .find_map(|(request, members)| Some((request.join(wanted)?, request, members)));
            match found {
                Some((joined, request, members)) => {
                    *request = joined;
                    members.push(index);
                }
                None => requests.push((wanted, vec![index])),
            }
        }
        requests
            .into_iter()
            .map(|(request, members)| {
                let thin = thin_input(self.name(), maps, request, thin)?;
                Ok((Sums::new(maps, request, thin.as_ref())?, members))
            })
            .collect()
    }
}

impl Loss for Composite {
    fn name(&self) -> &str {
        "composite"
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        Ok(self.evaluate(logits, target, valid, None)?.0)
    }
}
