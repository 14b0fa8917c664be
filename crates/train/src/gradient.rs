//! Gradient norm, clipping factor and accumulation.

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, Storage, Tensor, Var};
use rayon::prelude::*;

use crate::joined::{alike, join};
use crate::{BoxError, Communicator};

/// Values that are summed over the ranks in one message, at least: 16 MiB.
const BUCKET: usize = 1 << 22;

/// The global L2 norm √Σg² of the gradients of `params`, summed in f64.
///
/// The order of summation is fixed by the order of `params` and by constant chunks, so that the
/// number of threads never changes a bit. Variables without a gradient count as zero. The norm is
/// NaN or infinite exactly if a gradient is (f64 does not overflow on squares of f32). A GPU sums
/// all gradients in f32, where the squares of values above 1e19 overflow too.
///
/// # Errors
/// A tensor error.
pub fn gradient_norm(grads: &GradStore, params: &[(String, Var)]) -> candle_core::Result<f64> {
    let mut sum = 0.0;
    let mut elsewhere = Vec::new();
    for (_, var) in params {
        match grads.get(var.as_tensor()) {
            Some(grad) if grad.device().is_cpu() && grad.dtype() == DType::F32 => {
                sum += sum_of_squares(grad)?;
            }
            Some(grad) => elsewhere.push(grad),
            None => {}
        }
    }
    let places = elsewhere.iter().enumerate();
    for ((), places) in alike(places.map(|(place, grad)| (place, *grad, ()))) {
        let vector = join(places.into_iter().map(|place| elsewhere[place]))?;
        sum += scalar(&squares(&vector)?)?;
    }
    Ok(sum.sqrt())
}

/// That of an `f32` tensor on the CPU.
fn sum_of_squares(tensor: &Tensor) -> candle_core::Result<f64> {
    {
        let (storage, layout) = tensor.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        {
            return Ok(slice_sum_of_squares(&values[start..end]));
        }
    }
    Ok(slice_sum_of_squares(
        &tensor.flatten_all()?.to_vec1::<f32>()?,
    ))
}

/// Σg² as a tensor: f64 stays f64; other types are summed in f32, since not every device has f64.
fn squares(tensor: &Tensor) -> candle_core::Result<Tensor> {
    let wide = match tensor.dtype() {
        DType::F64 => tensor.clone(),
        _ => tensor.to_dtype(DType::F32)?,
    };
    wide.sqr()?.sum_all()
}

/// A scalar tensor of any float type as f64; narrow types go through f32, which every device has.
pub(crate) fn scalar(tensor: &Tensor) -> candle_core::Result<f64> {
    match tensor.dtype() {
        DType::F64 => tensor.to_scalar(),
        _ => Ok(f64::from(tensor.to_dtype(DType::F32)?.to_scalar::<f32>()?)),
    }
}

fn slice_sum_of_squares(values: &[f32]) -> f64 {
    const CHUNK: usize = 32 * 1024;
    if values.len() <= CHUNK {
        return chunk_sum_of_squares(values);
    }
    let sums: Vec<f64> = values.par_chunks(CHUNK).map(chunk_sum_of_squares).collect();
    sums.iter().sum()
}

/// Eight independent sums let the compiler keep them in vector registers.
fn chunk_sum_of_squares(values: &[f32]) -> f64 {
    let (eights, rest) = values.as_chunks::<8>();
    let mut lanes = [0.0f64; 8];
    for eight in eights {
        for (lane, &value) in lanes.iter_mut().zip(eight) {
            let value = f64::from(value);
            *lane += value * value;
        }
    }
    let tail: f64 = rest.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
    lanes.iter().sum::<f64>() + tail
}

/// The factor that brings a gradient of norm `norm` down to `max_norm`: min(1, max/(norm + 1e-6)),
/// as in `torch.nn.utils.clip_grad_norm_`. Given to [`AdamW::step_scaled`](crate::AdamW::step_scaled), it saves a pass over the
/// gradients.
///
/// ```
/// assert_eq!(venule_train::clip_factor(0.5, 1.0), 1.0);
/// assert!((venule_train::clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
/// ```
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    (max_norm / (norm + 1e-6)).min(1.0)
}

/// Sums the gradients of micro-batches into that of the batch they make up.
///
/// Each micro-batch loss is a mean over its samples, so gradients are weighted by sample counts:
/// Σ nᵢgᵢ / Σ nᵢ. For losses that are means over samples this is the large batch's gradient; for
/// means over something else (valid pixels, say) it differs by how uneven that is.
#[derive(Debug)]
pub(crate) struct GradientAccumulator {
    vars: Vec<Var>,
    sums: Vec<Option<Tensor>>,
    samples: usize,
}

impl GradientAccumulator {
    /// An empty sum over `params`.
    pub(crate) fn new(params: &[(String, Var)]) -> Self {
        Self {
            vars: params.iter().map(|(_, var)| var.clone()).collect(),
            sums: vec![None; params.len()],
            samples: 0,
        }
    }

    /// Adds the gradients of a mean loss over `samples` samples (0 counts as 1).
    ///
    /// # Errors
    /// A tensor error.
    pub(crate) fn add(&mut self, mut grads: GradStore, samples: usize) -> candle_core::Result<()> {
        let samples = samples.max(1);
        for (var, sum) in self.vars.iter().zip(&mut self.sums) {
            if let Some(grad) = grads.remove(var.as_tensor()) {
                // Detached: a sum that kept its graph would keep every activation with it.
                let part = (grad.detach() * samples as f64)?;
                *sum = Some(match sum.take() {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
        }
        self.samples += samples;
        Ok(())
    }

    /// Which of the variables have a sum.
    pub(crate) fn reached(&self) -> Vec<bool> {
        self.sums.iter().map(Option::is_some).collect()
    }

    /// Puts the sums over all ranks in the place of this one's: of the variables that any of them `reached`, over the `samples` of all.
    /// Gradients travel in f32, in buckets, so that few messages are sent and little memory is taken.
    ///
    /// # Errors
    /// What stops the communicator, or a tensor error.
    pub(crate) fn reduce(
        &mut self,
        communicator: &dyn Communicator,
        reached: &[bool],
        samples: usize,
    ) -> Result<(), BoxError> {
        let mut bucket = Vec::new();
        let mut inside = Vec::new();
        let last = reached.iter().rposition(|&reached| reached);
        for (index, var) in self.vars.iter().enumerate().filter(|(i, _)| reached[*i]) {
            let start = bucket.len();
            match self.sums[index].take() {
                Some(sum) => {
                    bucket.extend(sum.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?);
                }
                None => bucket.resize(start + var.elem_count(), 0.0),
            }
            inside.push((index, start..bucket.len()));
            if bucket.len() < BUCKET && Some(index) != last {
                continue;
            }
            communicator.all_reduce(&mut bucket)?;
            for (index, place) in inside.drain(..) {
                let var = &self.vars[index];
                let sum = Tensor::from_slice(&bucket[place], var.shape(), var.device())?;
                self.sums[index] = Some(sum.to_dtype(var.dtype())?);
            }
            bucket.clear();
        }
        self.samples = samples;
        Ok(())
    }

    /// The gradient of the whole batch.
    ///
    /// # Errors
    /// A tensor error.
    pub(crate) fn finish(self) -> candle_core::Result<GradStore> {
        let mut grads = GradStore::default();
        let factor = 1.0 / self.samples.max(1) as f64;
        for (var, sum) in self.vars.iter().zip(self.sums) {
            if let Some(sum) = sum {
                grads.insert(var.as_tensor(), (sum * factor)?);
            }
        }
        Ok(grads)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    proptest! {

        #[test]
        fn norm_is_the_plain_sum(values in prop::collection::vec(-100f32..100.0, 1..200)) {
            let n = values.len();
            let expected = values.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let var = Var::zeros(n, DType::F32, &Device::Cpu).unwrap();
            let mut grads = GradStore::default();
            grads.insert(&var, Tensor::from_vec(values, n, &Device::Cpu).unwrap());
            let norm = gradient_norm(&grads, &[("v".into(), var)]).unwrap();
            prop_assert!((norm - expected).abs() <= 1e-12 * expected.max(1.0));
        }
    }

    #[test]
    fn norm_does_not_depend_on_threads() {
        let values: Vec<f32> = (0..300_000u64)
            .map(|i| ((i * 7919) % 1000) as f32 * 1e-3)
            .collect();
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let four = rayon::ThreadPoolBuilder::new()
            .num_threads(4)
            .build()
            .unwrap();
        let a = one.install(|| slice_sum_of_squares(&values));
        let b = four.install(|| slice_sum_of_squares(&values));
        assert_eq!(a.to_bits(), b.to_bits());
    }

    #[test]
    fn a_non_finite_gradient_shows_in_the_norm() {
        let var = Var::zeros(3, DType::F32, &Device::Cpu).unwrap();
        for bad in [f32::NAN, f32::INFINITY] {
            let mut grads = GradStore::default();
            grads.insert(&var, Tensor::new(&[1.0, bad, 2.0], &Device::Cpu).unwrap());
            let params = [("v".to_string(), var.clone())];
            assert!(!gradient_norm(&grads, &params).unwrap().is_finite());
        }
        // The largest finite f32 squares without overflow: it must not be taken for infinite.
        let mut grads = GradStore::default();
        grads.insert(&var, Tensor::new(&[f32::MAX; 3], &Device::Cpu).unwrap());
        assert!(
            gradient_norm(&grads, &[("v".into(), var)])
                .unwrap()
                .is_finite()
        );
    }

    #[test]
    fn micro_batches_equal_the_large_batch() {
        // loss = mean over samples of (w·x)²; 5 samples as 2 + 2 + 1.
        let device = Device::Cpu;
        let w = Var::new(&[[0.5f32], [-1.0], [2.0]], &device).unwrap();
        let x: Vec<f32> = (0..15).map(|i| (i as f32 * 0.7).sin()).collect();
        let x = Tensor::from_vec(x, (5, 3), &device).unwrap();
        let loss = |x: &Tensor| x.matmul(&w).unwrap().sqr().unwrap().mean_all().unwrap();
        let params = vec![("w".to_string(), w.clone())];
        let mut sum = GradientAccumulator::new(&params);
        for (start, len) in [(0, 2), (2, 2), (4, 1)] {
            let part = x.narrow(0, start, len).unwrap();
            sum.add(loss(&part).backward().unwrap(), len).unwrap();
        }
        assert_eq!(sum.samples, 5);
        let vector = |grads: &GradStore| {
            let grad = grads.get(w.as_tensor()).unwrap();
            grad.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let whole = vector(&loss(&x).backward().unwrap());
        for (a, b) in vector(&sum.finish().unwrap()).iter().zip(&whole) {
            assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} {b}");
        }
    }
}
