//! Checked inputs of a loss, brought to one shape and dtype.

use crate::prepared::PreparedTarget;
use candle_core::{D, DType, Device, Result, Tensor, bail};

/// Logits, target and valid map as (B, N) tensors of one float type.
pub(crate) struct Maps {
    pub logits: Tensor,
    pub target: Tensor,
    pub valid: Option<Tensor>,
    /// The caller's shape, for the losses that look at neighbours.
    dims: Vec<usize>,
}

impl Maps {
    pub fn new(loss: &str, logits: &Tensor, target: &PreparedTarget) -> Result<Self> {
        let dims = logits.dims().to_vec();
        if dims.is_empty() || logits.elem_count() == 0 {
            bail!(
                "{loss}: expected logits of shape (B, 1, H, W) with at least one pixel, got {dims:?}"
            )
        }
        let dtype = match logits.dtype() {
            DType::F64 => DType::F64,
            DType::F32 | DType::F16 | DType::BF16 => DType::F32,
            other => bail!("{loss}: expected logits of a float type, got {other:?}"),
        };
        let flat = (dims[0], logits.elem_count() / dims[0]);
        let constant = |name: &str, map: &Tensor| -> Result<Tensor> {
            same_place(loss, name, map, &dims, logits.device())?;
            map.detach().to_dtype(dtype)?.reshape(flat)
        };
        Ok(Self {
            target: constant("target", target.target())?,
            valid: target
                .valid()
                .map(|map| constant("valid", map))
                .transpose()?,
            logits: logits.to_dtype(dtype)?.reshape(flat)?,
            dims,
        })
    }

    /// A further constant map of the caller, such as a precomputed thin-vessel map.
    pub fn constant(&self, loss: &str, name: &str, map: &Tensor) -> Result<Tensor> {
        same_place(loss, name, map, &self.dims, self.logits.device())?;
        map.detach()
            .to_dtype(self.logits.dtype())?
            .reshape(self.logits.shape())
    }

    /// A value of the loss as one of the logits' type and device.
    pub fn of_logits(&self, value: &Tensor) -> Result<Tensor> {
        let value = value.to_dtype(self.logits.dtype())?;
        value.to_device(self.logits.device())
    }

    /// The valid map as ones and zeros.
    pub fn keep(&self) -> Result<Option<Tensor>> {
        self.valid
            .as_ref()
            .map(|valid| valid.gt(0.5)?.to_dtype(valid.dtype()))
            .transpose()
    }

    /// `map` with zeros at the invalid pixels. Chosen, not multiplied: a NaN there must not spread.
    pub fn masked(&self, map: &Tensor) -> Result<Tensor> {
        match &self.valid {
            None => Ok(map.clone()),
            Some(valid) => valid.gt(0.5)?.where_cond(map, &map.zeros_like()?),
        }
    }

    /// Number of planes, rows and columns, for the losses that look at neighbours.
    pub fn planes(&self, loss: &str) -> Result<(usize, usize, usize)> {
        planes(loss, &self.dims)
    }
}

/// Number of planes, rows and columns of a map whose last two dimensions are rows and columns.
pub(crate) fn planes(what: &str, dims: &[usize]) -> Result<(usize, usize, usize)> {
    let pixels = dims
        .iter()
        .try_fold(1usize, |pixels, &dim| pixels.checked_mul(dim));
    match (dims, pixels) {
        ([outer @ .., rows, columns], Some(1..)) => Ok((outer.iter().product(), *rows, *columns)),
        _ => {
            bail!("{what}: expected maps of shape (…, H, W) with at least one pixel, got {dims:?}")
        }
    }
}

/// Whether `map` has the shape `dims` and the device of the logits.
fn same_place(loss: &str, name: &str, map: &Tensor, dims: &[usize], device: &Device) -> Result<()> {
    if map.dims() != dims {
        bail!(
            "{loss}: expected {name} of the logits' shape {dims:?}, got {:?}",
            map.dims()
        )
    }
    if !map.device().same_device(device) {
        bail!("{loss}: expected {name} on the device of the logits; move it there")
    }
    Ok(())
}

/// Sum over each image of a (B, N) map: (B).
pub(crate) fn per_image(map: &Tensor) -> Result<Tensor> {
    map.sum(D::Minus1)
}
