use candle_core::{DType, Device, Result as TensorResult, Tensor};

use crate::Result;
use crate::error::config_error;

/// Inference on an image too large for the memory: overlapping square tiles, blended smoothly.
///
/// In an overlap each tile's weight rises from 0 to 1 as sin² (a raised cosine), and the weights of every pixel are divided by
/// their sum, so that they sum to one: a model that treats pixels one by one gives exactly what it gives on the whole image.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use venule_seg::TiledInference;
/// let image = Tensor::arange(0f32, 120., &Device::Cpu)?.reshape((1, 1, 10, 12))?;
/// let tiling = TiledInference { tile: 6, overlap: 2 };
/// let doubled = tiling.run(&image, |tile| tile.affine(2.0, 0.0))?;
/// let error = (doubled - (image * 2.0)?)?.abs()?.max_all()?.to_scalar::<f32>()?;
/// assert!(error < 1e-4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TiledInference {
    /// Side of a tile in pixels, at least 1. Shorter sides of an image are taken whole.
    pub tile: usize,
    /// Pixels that neighbouring tiles share, less than `tile`.
    pub overlap: usize,
}

impl Default for TiledInference {
    /// Tiles of 512 pixels that share 64.
    fn default() -> Self {
        Self {
            tile: 512,
            overlap: 64,
        }
    }
}

/// The windows of one axis, all of one length, and each one's weights, which sum to one at every pixel.
struct Axis {
    length: usize,
    starts: Vec<usize>,
    weights: Vec<Vec<f32>>,
}

impl TiledInference {
    /// Checks the sizes. Running does so too.
    ///
    /// # Errors
    /// [`crate::Error::Config`] if the tile is empty or the overlap not smaller than it.
    pub fn validate(&self) -> Result<()> {
        if self.tile == 0 {
            return config_error("tile", self.tile, "at least 1");
        }
        if self.overlap >= self.tile {
            return config_error(
                "overlap",
                self.overlap,
                format!("less than the tile's {}", self.tile),
            );
        }
        Ok(())
    }

    /// Calls `predict` on each tile (B, C, h, w) and blends its results (B, K, h, w) to (B, K, H, W), in `f32` on the images'
    /// device. Probabilities blend better than logits. Beside the image and the result only one tile is in memory.
    ///
    /// # Errors
    /// [`crate::Error::Config`] as [`TiledInference::validate`]; [`crate::Error::Tensor`] if `predict` fails or changes the
    /// size.
    pub fn run(
        &self,
        images: &Tensor,
        predict: impl FnMut(&Tensor) -> TensorResult<Tensor>,
    ) -> Result<Tensor> {
        Self::run_rectangles(*self, *self, images, predict)
    }

    /// As [`run`](Self::run), with tiles that are as high as `rows` says and as wide as `columns`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_rectangles(
        rows: Self,
        columns: Self,
        images: &Tensor,
        mut predict: impl FnMut(&Tensor) -> TensorResult<Tensor>,
    ) -> Result<Tensor> {
        rows.validate()?;
        columns.validate()?;
        let (batch, _, height, width) = images.dims4()?;
        let (columns, rows) = (columns.axis(width), rows.axis(height));
        let mut planes = 0;
        let mut sum: Vec<f32> = Vec::new();
        for (&y, down) in rows.starts.iter().zip(&rows.weights) {
            for (&x, across) in columns.starts.iter().zip(&columns.weights) {
                let window = images
                    .narrow(2, y, rows.length)?
                    .narrow(3, x, columns.length)?;
                let result = predict(&window.contiguous()?)?.detach();
                let found = result.dims4()?;
                if planes == 0 {
                    planes = batch * found.1;
                    sum = vec![0.0; planes * height * width];
                }
                if (found.0, found.2, found.3) != (batch, rows.length, columns.length)
                    || batch * found.1 != planes
                {
                    return Err(mismatch(&result, &window).into());
                }
                let values = result
                    .to_dtype(DType::F32)?
                    .to_device(&Device::Cpu)?
                    .flatten_all()?
                    .to_vec1::<f32>()?;
                for (i, line) in values.chunks_exact(columns.length).enumerate() {
                    let (plane, row) = (i / rows.length, i % rows.length);
                    let start = (plane * height + y + row) * width + x;
                    let target = &mut sum[start..start + columns.length];
                    for ((target, value), weight) in target.iter_mut().zip(line).zip(across) {
                        *target += value * weight * down[row];
                    }
                }
            }
        }
        let channels = planes.checked_div(batch).unwrap_or(0);
        Ok(Tensor::from_vec(
            sum,
            (batch, channels, height, width),
            images.device(),
        )?)
    }

    fn axis(&self, side: usize) -> Axis {
        let length = self.tile.min(side);
        let mut starts: Vec<usize> = (0..side.saturating_sub(length))
            .step_by(self.tile - self.overlap)
            .collect();
        if side > 0 {
            // The last window ends at the border, whatever it shares with the one before.
            starts.push(side - length);
        }
        let mut sums = vec![0f32; side];
        let mut weights: Vec<Vec<f32>> = Vec::with_capacity(starts.len());
        for &start in &starts {
            let rise = |outer: bool, distance: usize| {
                if outer || distance >= self.overlap {
                    return 1.0;
                }
                let share = (distance as f32 + 0.5) / self.overlap as f32;
                (share * std::f32::consts::FRAC_PI_2).sin().powi(2)
            };
            let weight = |i: usize| {
                let before = rise(start == 0, i);
                before * rise(start + length == side, length - 1 - i)
            };
            let window: Vec<f32> = (0..length).map(weight).collect();
            for (sum, weight) in sums[start..].iter_mut().zip(&window) {
                *sum += weight;
            }
            weights.push(window);
        }
        for (&start, window) in starts.iter().zip(&mut weights) {
            for (weight, sum) in window.iter_mut().zip(&sums[start..]) {
                *weight /= sum;
            }
        }
        Axis {
            length,
            starts,
            weights,
        }
    }
}

fn mismatch(result: &Tensor, window: &Tensor) -> candle_core::Error {
    candle_core::Error::Msg(format!(
        "the prediction for a tile {:?} has shape {:?}; batch, height and width must stay, and the channels be the same for every tile",
        window.shape(),
        result.shape()
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_cover_the_border_exactly() {
        let tiling = TiledInference {
            tile: 4,
            overlap: 1,
        };
        // steps of 3; the last window is moved back to the border
        assert_eq!(tiling.axis(9).starts, [0, 3, 5]);
        assert_eq!(tiling.axis(10).starts, [0, 3, 6]);
        assert_eq!(tiling.axis(4).starts, [0]);
        assert_eq!(tiling.axis(3).length, 3);
    }

    #[test]
    fn bad_sizes_and_results_are_errors() {
        for (tile, overlap) in [(0, 0), (4, 4), (4, 9)] {
            assert!(TiledInference { tile, overlap }.validate().is_err());
        }
        let image = Tensor::zeros((1, 1, 8, 8), DType::F32, &Device::Cpu).unwrap();
        let wide = TiledInference {
            tile: 8,
            overlap: 0,
        };
        let none = TiledInference {
            tile: 0,
            overlap: 0,
        };
        assert!(TiledInference::run_rectangles(wide, none, &image, |x| Ok(x.clone())).is_err());
        let tiling = TiledInference {
            tile: 4,
            overlap: 2,
        };
        let result = tiling.run(&image, |tile| tile.narrow(2, 0, 2));
        assert!(result.unwrap_err().to_string().contains("must stay"));
    }

    proptest! {
        #[test]
        fn weights_are_positive_and_sum_to_one(tile in 1usize..40, share in 0f64..1.0, side in 1usize..150) {
            let overlap = (tile as f64 * share) as usize;
            let axis = TiledInference { tile, overlap }.axis(side);
            let mut sums = vec![0f32; side];
            for (&start, weights) in axis.starts.iter().zip(&axis.weights) {
                prop_assert!(start + axis.length <= side);
                for (sum, weight) in sums[start..].iter_mut().zip(weights) {
                    prop_assert!(*weight > 0.0);
                    *sum += weight;
                }
            }
            prop_assert!(sums.iter().all(|sum| (sum - 1.0).abs() < 1e-5));
        }

        #[test]
        fn a_pointwise_model_does_not_see_the_tiles(tile in 1usize..12, share in 0f64..1.0, h in 1usize..24, w in 1usize..24) {
            let overlap = (tile as f64 * share) as usize;
            let tiling = TiledInference { tile, overlap };
            let values: Vec<f32> = (0..2 * h * w).map(|i| (i as f32 * 0.7).sin()).collect();
            let images = Tensor::from_vec(values, (2, 1, h, w), &Device::Cpu).unwrap();
            let model = |x: &Tensor| Tensor::cat(&[x.exp()?, x.sqr()?], 1);
            let whole = model(&images).unwrap();
            // Squares, or half as high.
            let low = TiledInference { tile: tile.div_ceil(2), overlap: overlap / 2 };
            let rows = if h % 2 == 0 && low.validate().is_ok() { low } else { tiling };
            let tiled = TiledInference::run_rectangles(rows, tiling, &images, model).unwrap();
            prop_assert_eq!(tiled.dims(), [2, 2, h, w]);
            let error = (whole - tiled).unwrap().abs().unwrap().max_all().unwrap();
            prop_assert!(error.to_scalar::<f32>().unwrap() < 1e-5);
        }
    }
}
