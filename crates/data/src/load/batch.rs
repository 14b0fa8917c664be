use candle_core::{Device, Tensor};

use crate::{Error, Mask, Plane, Prepared, Result};

/// Several samples of one size as tensors, stacked along the first dimension.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The samples' names, in order.
    pub ids: Vec<String>,
    /// (B, C, H, W) f32: the network's input, of as many channels as the samples have.
    pub images: Tensor,
    /// (B, 1, H, W) f32 of 0 and 1: vessel pixels.
    pub labels: Option<Tensor>,
    /// (B, 1, H, W) f32 of 0 and 1: pixels in the field of view.
    pub valid: Tensor,
    /// (B, 1, H, W) f32: loss weights.
    pub weights: Option<Tensor>,
}

impl Batch {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no sample; never so for what [`Batcher`] makes.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Stacks prepared samples to tensors on one device. The only place of this crate that knows a device.
///
/// ```
/// use venule_data::{Batcher, Mask, Plane, Prepared};
/// let sample = Prepared {
///     id: "01".into(),
///     image: Plane::filled(4, 3, 0.5).into(),
///     label: None,
///     fov: Mask::filled(4, 3, true),
///     weights: None,
/// };
/// let batch = Batcher::new(candle_core::Device::Cpu).batch(&[sample.clone(), sample])?;
/// assert_eq!(batch.images.dims(), [2, 1, 3, 4]);
/// assert!(batch.labels.is_none());
/// # Ok::<(), venule_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Batcher {
    device: Device,
}

impl Batcher {
    /// A batcher for this device.
    pub fn new(device: Device) -> Self {
        Self { device }
    }

    /// Where its tensors lie.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Stacks samples of one size. Labels and weights appear if all samples have them.
    ///
    /// # Errors
    /// [`Error::EmptyBatch`]; [`Error::SizeMismatch`] if sizes differ; [`Error::MixedBatch`] if only some samples have
    /// a label, weights or colour channels; [`Error::NotFinite`] if an image or weight map holds NaN or an infinity; all name the
    /// sample. [`Error::Tensor`] if the device fails.
    pub fn batch(&self, samples: &[Prepared]) -> Result<Batch> {
        let first = samples.first().ok_or(Error::EmptyBatch)?;
        for sample in samples {
            let id = &sample.id;
            sample
                .image
                .expect_size(&format!("the image of sample '{id}'"), first.size())?;
            sample.check_sizes()?;
            finite("image", id, sample.image.data())?;
            if let Some(weights) = &sample.weights {
                finite("weights", id, weights.data())?;
            }
            let same = |what, has: bool, expected: bool| match has == expected {
                true => Ok(()),
                false => Err(Error::MixedBatch {
                    what,
                    id: id.clone(),
                }),
            };
            let channels = sample.image.channels() == first.image.channels();
            same("colour channels", channels, true)?;
            same("a label", sample.label.is_some(), first.label.is_some())?;
            same("weights", sample.weights.is_some(), first.weights.is_some())?;
        }
        let masks = |mask: fn(&Prepared) -> Option<&Mask>| {
            self.stack(samples, 1, |s, out| {
                let pixels = mask(s).map_or(&[][..], Mask::data).iter();
                out.extend(pixels.map(|&on| f32::from(u8::from(on))));
            })
        };
        Ok(Batch {
            ids: samples.iter().map(|s| s.id.clone()).collect(),
            images: self.stack(samples, first.image.channels(), |s, out| {
                out.extend_from_slice(s.image.data());
            })?,
            labels: match first.label {
                Some(_) => Some(masks(|s| s.label.as_ref())?),
                None => None,
            },
            valid: masks(|s| Some(&s.fov))?,
            weights: match first.weights {
                Some(_) => Some(self.stack(samples, 1, |s, out| {
                    out.extend_from_slice(s.weights.as_ref().map_or(&[], Plane::data));
                })?),
                None => None,
            },
        })
    }

    fn stack(
        &self,
        samples: &[Prepared],
        channels: usize,
        append: impl Fn(&Prepared, &mut Vec<f32>),
    ) -> Result<Tensor> {
        let (width, height) = samples[0].size();
        let mut values = Vec::with_capacity(samples.len() * channels * width * height);
        samples
            .iter()
            .for_each(|sample| append(sample, &mut values));
        let shape = (samples.len(), channels, height, width);
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }
}

fn finite(what: &'static str, id: &str, values: &[f32]) -> Result<()> {
    match values.iter().all(|v| v.is_finite()) {
        true => Ok(()),
        false => Err(Error::NotFinite {
            what,
            id: id.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Planes;

    fn sample(id: &str, value: f32) -> Prepared {
        Prepared {
            id: id.into(),
            image: Plane::from_fn(3, 2, |x, y| value + (y * 3 + x) as f32).into(),
            label: Some(Mask::from_fn(3, 2, |x, _| x == 1)),
            fov: Mask::from_fn(3, 2, |_, y| y == 0),
            weights: Some(Plane::filled(3, 2, 0.25)),
        }
    }

    #[test]
    fn values_lie_row_by_row_and_sample_by_sample() {
        let batcher = Batcher::new(Device::Cpu);
        let batch = batcher
            .batch(&[sample("a", 0.0), sample("b", 10.0)])
            .unwrap();
        assert_eq!((batch.len(), batch.ids[1].as_str()), (2, "b"));
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = [0., 1., 2., 3., 4., 5., 10., 11., 12., 13., 14., 15.];
        assert_eq!(values(&batch.images), expected);
        assert_eq!(
            values(&batch.labels.unwrap())[..6],
            [0., 1., 0., 0., 1., 0.]
        );
        assert_eq!(values(&batch.valid)[6..], [1., 1., 1., 0., 0., 0.]);
        assert_eq!(batch.weights.unwrap().dims(), [2, 1, 2, 3]);
    }

    #[test]
    fn channels_lie_between_sample_and_rows() {
        let colours = |value| Prepared {
            image: Planes::new(
                (0..3)
                    .map(|c| Plane::filled(3, 2, value + c as f32))
                    .collect(),
            )
            .unwrap(),
            ..sample("a", 0.0)
        };
        let batch = Batcher::new(Device::Cpu).batch(&[colours(0.0), colours(10.0)]);
        let images = batch.unwrap().images;
        assert_eq!(images.dims(), [2, 3, 2, 3]);
        let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let starts: Vec<f32> = values.chunks(6).map(|channel| channel[5]).collect();
        assert_eq!(starts, [0.0, 1.0, 2.0, 10.0, 11.0, 12.0]);
    }

    #[test]
    fn what_cannot_be_stacked_is_named() {
        let batcher = Batcher::new(Device::Cpu);
        assert!(matches!(batcher.batch(&[]), Err(Error::EmptyBatch)));
        let with = |change: fn(&mut Prepared)| {
            let mut other = sample("odd", 0.0);
            change(&mut other);
            batcher.batch(&[sample("a", 0.0), other]).unwrap_err()
        };
        for error in [
            with(|s| s.image.data_mut()[3] = f32::NAN),
            with(|s| s.weights.as_mut().unwrap().data_mut()[0] = f32::INFINITY),
            with(|s| s.label = None),
            with(|s| s.weights = None),
            with(|s| s.image = Plane::filled(2, 3, 0.0).into()),
            with(|s| s.image = Planes::new(vec![Plane::filled(3, 2, 0.0); 3]).unwrap()),
            with(|s| s.fov = Mask::filled(2, 3, true)),
        ] {
            assert!(error.to_string().contains("'odd'"), "{error}");
        }
    }
}
