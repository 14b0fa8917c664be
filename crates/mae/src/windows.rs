use candle_core::{Result as TensorResult, Tensor};

/// The windows of one axis of a patch grid: as few as can be, all of one length, which overlap by one patch at most.
#[derive(Debug, PartialEq, Eq)]
struct Axis {
    count: usize,
    length: usize,
    starts: Vec<usize>,
}

impl Axis {
    fn new(count: usize, largest: usize) -> Self {
        let windows = count.div_ceil(largest);
        let length = count.div_ceil(windows);
        let gaps = (windows - 1).max(1);
        Self {
            count,
            length,
            starts: (0..windows).map(|i| i * (count - length) / gaps).collect(),
        }
    }

    /// Of each window, its start and how many of its first patches lie before the next one.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let ends = self.starts[1..].iter().copied().chain([self.count]);
        self.starts
            .iter()
            .zip(ends)
            .map(|(&start, end)| (start, end - start))
    }
}

/// An image's patch grid cut into windows that an encoder sees one by one.
#[derive(Debug)]
pub(crate) struct Windows {
    rows: Axis,
    columns: Axis,
}

impl Windows {
    /// Windows of at most `largest` patches a side.
    pub(crate) fn new((rows, columns): (usize, usize), largest: usize) -> Self {
        Self {
            rows: Axis::new(rows, largest),
            columns: Axis::new(columns, largest),
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.rows.starts.len() == 1 && self.columns.starts.len() == 1
    }

    /// The windows of `images` (B, C, H, W) as a batch, row by row, B for each.
    pub(crate) fn split(&self, images: &Tensor, patch: usize) -> TensorResult<Tensor> {
        let (height, width) = (self.rows.length * patch, self.columns.length * patch);
        let mut windows = Vec::new();
        for row in &self.rows.starts {
            let band = images.narrow(2, row * patch, height)?;
            for column in &self.columns.starts {
                windows.push(band.narrow(3, column * patch, width)?);
            }
        }
        Tensor::cat(&windows, 0)
    }

    /// The map (B, D, rows, columns) whose windows, in the order of [`Windows::split`], are `map`. Where two overlap, the
    /// later one counts.
    pub(crate) fn join(&self, map: &Tensor, batch: usize) -> TensorResult<Tensor> {
        let mut bands = Vec::new();
        let mut first = 0;
        for (_, rows) in self.rows.parts() {
            let mut band = Vec::new();
            for (_, columns) in self.columns.parts() {
                let window = map.narrow(0, first, batch)?;
                band.push(window.narrow(2, 0, rows)?.narrow(3, 0, columns)?);
                first += batch;
            }
            bands.push(Tensor::cat(&band, 3)?);
        }
        Tensor::cat(&bands, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use proptest::prelude::*;

    #[test]
    fn a_photograph_of_drive_takes_nine_windows() {
        let windows = Windows::new((37, 36), 16);
        assert_eq!(
            (windows.rows.length, &windows.rows.starts[..]),
            (13, &[0, 12, 24][..])
        );
        assert_eq!(
            (windows.columns.length, &windows.columns.starts[..]),
            (12, &[0, 12, 24][..])
        );
        assert!(Windows::new((16, 3), 16).is_whole());
    }

    proptest! {
        #[test]
        fn windows_cover_the_grid_within_their_size(count in 1usize..200, largest in 1usize..40) {
            let axis = Axis::new(count, largest);
            prop_assert!(axis.length <= largest);
            prop_assert_eq!(axis.starts.len(), count.div_ceil(largest));
            let mut next = 0;
            for (start, kept) in axis.parts() {
                prop_assert_eq!(start, next);
                prop_assert!(kept == axis.length || kept + 1 == axis.length);
                next = start + kept;
            }
            prop_assert_eq!(next, count);
        }

        #[test]
        fn what_is_split_is_joined_again(
            batch in 1usize..3, rows in 1usize..9, columns in 1usize..9, largest in 1usize..5, patch in 1usize..4,
        ) {
            // The mean of each patch stands for its token.
            let tokens = |images: &Tensor| images.avg_pool2d(patch).unwrap();
            let shape = (batch, 2, rows * patch, columns * patch);
            let count = (batch * 2 * rows * columns * patch * patch) as f32;
            let images = Tensor::arange(0f32, count, &Device::Cpu).unwrap().reshape(shape).unwrap();
            let windows = Windows::new((rows, columns), largest);
            let split = windows.split(&images, patch).unwrap();
            prop_assert!(split.dims()[2..].iter().all(|side| *side <= largest * patch));
            let joined = windows.join(&tokens(&split), batch).unwrap();
            let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            prop_assert_eq!(joined.dims(), &[batch, 2, rows, columns]);
            prop_assert_eq!(values(&joined), values(&tokens(&images)));
        }
    }
}
