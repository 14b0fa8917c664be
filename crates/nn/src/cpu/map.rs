//! What the convolutions share: maps, the planes they write, and 3×3 kernels.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Batch, channels, height and width of a map.
#[derive(Clone, Copy, Debug)]
pub struct MapShape {
    pub batch: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl MapShape {
    /// Pixels of one channel.
    pub fn plane(&self) -> usize {
        self.height * self.width
    }
}

/// The weights of a 3×3 convolution.
#[derive(Clone, Copy)]
pub struct Kernel<'a> {
    values: &'a [f32],
    /// Channels of the result.
    pub outputs: usize,
    /// Channels of the map.
    pub inputs: usize,
    turned: bool,
}

impl<'a> Kernel<'a> {
    /// Of a weight (outputs, inputs, 3, 3).
    pub fn new(values: &'a [f32], outputs: usize, inputs: usize) -> Self {
        assert_eq!(values.len(), outputs * inputs * 9);
        Self {
            values,
            outputs,
            inputs,
            turned: false,
        }
    }

    /// The kernel whose convolution of the output's gradient is the input's gradient: outputs and inputs swapped, taps turned
    /// by 180°.
    pub fn transposed(self) -> Self {
        Self {
            outputs: self.inputs,
            inputs: self.outputs,
            turned: !self.turned,
            ..self
        }
    }

    /// Weight of a tap, row by row.
    pub fn tap(self, output: usize, input: usize, tap: usize) -> f32 {
        match self.turned {
            false => self.values[(output * self.inputs + input) * 9 + tap],
            true => self.values[(input * self.outputs + output) * 9 + 8 - tap],
        }
    }
}

/// Planes that tasks write disjoint rows of, uninitialised before.
pub struct Planes {
    values: Vec<f32>,
    start: *mut f32,
    plane: usize,
    count: usize,
}

// SAFETY: every task writes only its own rows of its own image's planes.
unsafe impl Sync for Planes {}

impl Planes {
    pub fn new(count: usize, plane: usize) -> Self {
        // The methods below rely on a product that has not wrapped.
        let length = count
            .checked_mul(plane)
            .filter(|&n| n <= isize::MAX as usize);
        assert!(length.is_some(), "{count} maps of {plane} pixels");
        let mut values = Vec::with_capacity(length.unwrap_or_default());
        Self {
            start: values.as_mut_ptr(),
            values,
            plane,
            count,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.count * self.plane == 0
    }

    /// `length` values of a plane from `offset` on.
    ///
    /// # Safety
    /// No other slice of any of these values may live at the same time.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn row(
        &self,
        plane: usize,
        offset: usize,
        length: usize,
    ) -> &mut [MaybeUninit<f32>] {
        assert!(plane < self.count && offset + length <= self.plane);
        // SAFETY: within the allocation, just checked; the only slice of them, by the caller.
        unsafe {
            let start = self.start.add(plane * self.plane + offset);
            std::slice::from_raw_parts_mut(start.cast(), length)
        }
    }

    /// Pointer to a pixel of a plane.
    pub fn at(&self, plane: usize, offset: usize) -> *mut f32 {
        assert!(plane < self.count && offset < self.plane);
        // SAFETY: within the allocation, just checked.
        unsafe { self.start.add(plane * self.plane + offset) }
    }

    /// The values.
    ///
    /// # Safety
    /// All must have been written.
    pub unsafe fn into_values(mut self) -> Vec<f32> {
        // SAFETY: the capacity is there, and the values are by the caller.
        unsafe { self.values.set_len(self.count * self.plane) };
        self.values
    }
}

/// Sum of each output plane over batch and pixels: the gradient of a bias per channel.
pub fn channel_sums(grad: &[f32], shape: MapShape, sums: &mut [f32]) {
    let plane = shape.plane();
    sums.par_iter_mut().enumerate().for_each(|(channel, sum)| {
        let images = (0..shape.batch).map(|image| {
            let start = (image * shape.channels + channel) * plane;
            lane_sum(&grad[start..start + plane])
        });
        *sum = images.sum::<f64>() as f32;
    });
}

/// Sum over sixteen running lanes in f64, which the compiler vectorises: a sum that all but cancels stays exact.
fn lane_sum(values: &[f32]) -> f64 {
    let mut lanes = [0f64; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += f64::from(*value);
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|&value| f64::from(value)).sum::<f64>()
}
