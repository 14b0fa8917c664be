//! A parameter store as the backend of candle's layers.

use candle_core::{DType, Device, Result, Shape, Tensor, bail};
use candle_nn::VarBuilder;
use candle_nn::init::{Init as Hint, NormalOrUniform};
use candle_nn::var_builder::SimpleBackend;

use crate::{Error, Init, ParamStore};

/// Candle's builder for the variables of `store` under `prefix`.
pub(crate) fn var_builder(store: &ParamStore, prefix: &str) -> VarBuilder<'static> {
    let root = store.root();
    let backend = Box::new(Backend(store.clone()));
    let builder = VarBuilder::from_backend(backend, root.dtype(), root.device());
    match prefix {
        "" => builder,
        prefix => builder.set_prefix(prefix),
    }
}

struct Backend(ParamStore);

impl SimpleBackend for Backend {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        hint: Hint,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        let root = self.0.root();
        if dtype != root.dtype() || !device.same_device(&root.device()) {
            bail!(
                "`{name}` is asked for as {dtype:?} on {device:?}, but the store holds {:?} on {:?}; take the builder's own type and device, and convert what the layer gives",
                root.dtype(),
                root.device()
            );
        }
        let init = first_values(hint, &shape, name)?;
        let param = root.get(shape, name, init);
        let param = param.map_err(candle_core::Error::wrap)?;
        Ok(param.var().as_tensor().clone())
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        match self.0.shape_of(name) {
            Some(shape) => self.get(shape, name, Hint::default(), dtype, device),
            None => Err(candle_core::Error::wrap(Error::Missing {
                names: vec![name.to_owned()],
            })),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.shape_of(name).is_some()
    }
}

/// What candle's hint says, in the store's terms.
fn first_values(hint: Hint, shape: &Shape, name: &str) -> Result<Init> {
    let uniform = |low: f64, high: f64| Init::Uniform(low as f32, high as f32);
    let normal = |mean: f64, deviation: f64| Init::Normal(mean as f32, deviation as f32);
    let init = match hint {
        Hint::Const(value) => Init::Constant(value as f32),
        Hint::Uniform { lo, up } => uniform(lo, up),
        Hint::Randn { mean, stdev } => normal(mean, stdev),
        Hint::Kaiming {
            dist,
            fan,
            non_linearity,
        } => {
            let deviation = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            // A uniform distribution in ±a has the standard deviation a / √3.
            let bound = 3f64.sqrt() * deviation;
            match dist {
                NormalOrUniform::Normal => normal(0.0, deviation),
                NormalOrUniform::Uniform => uniform(-bound, bound),
            }
        }
    };
    let finite = match init {
        Init::Constant(value) => value.is_finite(),
        Init::Uniform(a, b) | Init::Normal(a, b) => a.is_finite() && b.is_finite(),
        _ => true,
    };
    if !finite {
        bail!(
            "`{name}` of shape {shape:?} would start from {hint:?}, which is not finite; the layer needs at least one input"
        );
    }
    Ok(init)
}
