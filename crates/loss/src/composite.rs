//! A weighted sum of losses.

use crate::error::{Error, Result};
use crate::loss::{Loss, read};
use crate::maps::Maps;
use crate::prepared::PreparedTarget;
use crate::sums::{Request, Sums, thin_input};
use candle_core::{Device, Tensor};

pub(crate) const NAME: &str = "composite";

/// A weighted sum of losses: Σ weight·loss.
///
/// All terms that are functions of sums over the map (BCE, Dice, Tversky, focal Tversky, focal,
/// thin-vessel BCE, MCC) are computed together: on a CPU in `f32` one pass over the map yields them
/// all and one pass their common gradient, accumulated in `f64`, with the same bits for any number
/// of threads. Other terms run by themselves. In the breakdown of
/// [`Loss::forward_with_terms`] a second term of one name gets a number: `focal`, `focal_2`.
///
/// ```
/// use venule_loss::{Bce, Composite, Loss, PreparedTarget, Tversky};
/// use venule_loss::candle_core::{Device, Tensor, Var};
///
/// let loss = Composite::new(vec![
///     (1.0, Box::new(Bce::new()) as Box<dyn Loss>),
///     (2.5, Box::new(Tversky::new(0.2, 0.8)?)),
/// ])?;
/// let logits = Var::new(&[[[[2f32, -1.], [0.5, -3.]]]], &Device::Cpu)?;
/// let target = Tensor::new(&[[[[1f32, 0.], [1., 0.]]]], &Device::Cpu)?;
/// let (total, terms) = loss.forward_with_terms(&logits, &PreparedTarget::new(&target, None))?;
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

    /// The terms and their weights, in the order given.
    pub fn terms(&self) -> impl Iterator<Item = (f64, &dyn Loss)> {
        self.terms.iter().map(|(weight, loss)| (*weight, &**loss))
    }

    fn evaluate(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> candle_core::Result<(Tensor, Vec<Tensor>)> {
        let maps = Maps::new(NAME, logits, target)?;
        let passes = self.passes(&maps, target)?;
        let mut total: Option<Tensor> = None;
        let mut values = Vec::with_capacity(self.terms.len());
        for (index, (weight, loss)) in self.terms.iter().enumerate() {
            let pass = passes.iter().find(|(_, members)| members.contains(&index));
            let value = match (pass, loss.map_term()) {
                (Some((sums, _)), Some(term)) => term.0.evaluate(sums)?,
                _ => loss.forward_prepared(logits, target)?,
            };
            // f64 where the fused pass yields it, so that small terms are not rounded away twice.
            let dtype = total.as_ref().map_or(value.dtype(), Tensor::dtype);
            let value = value.to_device(&Device::Cpu)?;
            let weighted = (value.to_dtype(dtype)? * *weight)?;
            total = Some(match total {
                Some(total) => (total + weighted)?,
                None => weighted,
            });
            values.push(value.detach());
        }
        match total {
            Some(total) => Ok((maps.of_logits(&total)?, values)),
            None => candle_core::bail!("{NAME}: no terms"),
        }
    }

    /// The passes over the map and which terms each serves: one, unless two focal terms differ in γ.
    fn passes(
        &self,
        maps: &Maps,
        target: &PreparedTarget,
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
                let thin = thin_input(NAME, maps, request, target)?;
                Ok((Sums::new(maps, request, thin.as_ref())?, members))
            })
            .collect()
    }
}

impl Loss for Composite {
    fn name(&self) -> &str {
        NAME
    }

    fn forward(
        &self,
        logits: &Tensor,
        target: &Tensor,
        valid: Option<&Tensor>,
    ) -> candle_core::Result<Tensor> {
        self.forward_prepared(logits, &PreparedTarget::new(target, valid))
    }

    fn forward_prepared(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> candle_core::Result<Tensor> {
        Ok(self.evaluate(logits, target)?.0)
    }

    fn forward_with_terms(
        &self,
        logits: &Tensor,
        target: &PreparedTarget,
    ) -> candle_core::Result<(Tensor, Vec<(String, f64)>)> {
        let (total, values) = self.evaluate(logits, target)?;
        let mut named: Vec<(String, f64)> = Vec::with_capacity(values.len());
        for ((_, loss), value) in self.terms.iter().zip(&values) {
            let mut name = loss.name().to_owned();
            let mut count = 1;
            // A log keeps one number a name.
            while named.iter().any(|(taken, _)| *taken == name) {
                count += 1;
                name = format!("{}_{count}", loss.name());
            }
            named.push((name, read(value)?));
        }
        Ok((total, named))
    }
}
