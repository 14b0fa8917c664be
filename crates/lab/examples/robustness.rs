//! Measures how well vessels are found in photographs that are worse than those that were taken.
//!
//! ```text
//! cargo run --release -p venule-lab --features bundled --example robustness -- drive=data/DRIVE train bundled bundled-fast
//! ```
//!
//! Each photograph is blurred, compressed, made noisy, and so on; a prediction is brought back to where the label lies. The F1 over all
//! pixels of the field of view, at the stored threshold, goes to standard output as JSON, for each of the weights.

use std::io::Cursor;
use std::path::Path;

use imageproc::filter::gaussian_blur_f32;
use imageproc::geometric_transformations::{Border, Interpolation, rotate_about_center};
use imageproc::noise::gaussian_noise;
use serde_json::{Map, Value, json};
use venule::candle_core::Device;
use venule::data::{DatasetSpec, Mask, Plane, Sample, Split, mask_image, resize_mask};
use venule::image::codecs::jpeg::JpegEncoder;
use venule::image::imageops::{FilterType, resize};
use venule::image::{ImageBuffer, Luma, Rgb, RgbImage, load_from_memory};
use venule::{BoxError, Predict, Prediction, Registry, Segmenter, evaluate};
use venule_lab::{venule, weights};

type AnyResult<T> = Result<T, BoxError>;

/// What is done to a photograph.
#[derive(Clone, Copy)]
enum Harm {
    /// A Gaussian of so many pixels.
    Blur(f64),
    /// JPEG of this quality.
    Jpeg(f64),
    /// Gaussian noise of so many gray levels.
    Noise(f64),
    /// All levels times this.
    Exposure(f64),
    /// Degrees about the middle.
    Rotation(f64),
    /// So many times as many pixels a side.
    Resolution(f64),
}

/// A name, the harm of a level, and the levels.
type Kind = (&'static str, fn(f64) -> Harm, [f64; 4]);

impl Harm {
    /// Each kind at four levels.
    const ALL: [Kind; 6] = [
        ("blur", Self::Blur, [1.0, 2.0, 3.0, 4.0]),
        ("jpeg", Self::Jpeg, [75.0, 50.0, 25.0, 10.0]),
        ("noise", Self::Noise, [5.0, 10.0, 20.0, 30.0]),
        ("exposure", Self::Exposure, [0.3, 0.5, 1.5, 2.0]),
        ("rotation", Self::Rotation, [10.0, 45.0, 90.0, 180.0]),
        ("resolution", Self::Resolution, [0.75, 0.5, 0.35, 0.25]),
    ];

    fn photograph(self, image: &RgbImage) -> AnyResult<RgbImage> {
        Ok(match self {
            Self::Blur(sigma) => gaussian_blur_f32(image, sigma as f32),
            Self::Jpeg(quality) => {
                let mut file = Cursor::new(Vec::new());
                image
                    .write_with_encoder(JpegEncoder::new_with_quality(&mut file, quality as u8))?;
                load_from_memory(&file.into_inner())?.into_rgb8()
            }
            Self::Noise(deviation) => gaussian_noise(image, 0.0, deviation, 1),
            Self::Exposure(gain) => {
                let mut image = image.clone();
                let levels = image.iter_mut();
                levels.for_each(|level| *level = (f64::from(*level) * gain).round() as u8);
                image
            }
            Self::Rotation(degrees) => {
                let border = Border::Constant(Rgb([0; 3]));
                rotate_about_center(
                    image,
                    degrees.to_radians() as f32,
                    Interpolation::Bilinear,
                    border,
                )
            }
            Self::Resolution(_) => {
                let (width, height) = self.size((image.width() as usize, image.height() as usize));
                resize(image, width as u32, height as u32, FilterType::Triangle)
            }
        })
    }

    fn size(self, (width, height): (usize, usize)) -> (usize, usize) {
        let scaled = |side: usize| match self {
            Self::Resolution(factor) => (side as f64 * factor).round() as usize,
            _ => side,
        };
        (scaled(width), scaled(height))
    }

    fn fov(self, fov: &Mask) -> AnyResult<Mask> {
        Ok(match self {
            Self::Rotation(degrees) => {
                let border = Border::Constant(Luma([0]));
                let image = mask_image(fov)?;
                let turned = rotate_about_center(
                    &image,
                    degrees.to_radians() as f32,
                    Interpolation::Nearest,
                    border,
                );
                let (width, height) = fov.size();
                let inside = turned.into_raw().into_iter().map(|level| level > 127);
                Mask::new(width, height, inside.collect())?
            }
            _ => resize_mask(fov, self.size(fov.size()))?,
        })
    }

    /// A map of the harmed photograph, in the place of the photograph.
    fn undone(self, map: Plane) -> AnyResult<Plane> {
        let Self::Rotation(degrees) = self else {
            return Ok(map);
        };
        let (width, height) = map.size();
        let image: ImageBuffer<Luma<f32>, _> =
            ImageBuffer::from_raw(width as u32, height as u32, map.into_data())
                .ok_or("no image")?;
        let border = Border::Constant(Luma([0.0]));
        let turned = rotate_about_center(
            &image,
            -degrees.to_radians() as f32,
            Interpolation::Bilinear,
            border,
        );
        Ok(Plane::new(width, height, turned.into_raw())?)
    }
}

/// A segmenter that sees harmed photographs.
struct Harmed<'a> {
    segmenter: &'a Segmenter,
    harm: Harm,
}

impl Harmed<'_> {
    fn try_predict(&self, sample: &Sample) -> AnyResult<Prediction> {
        let fov = sample
            .fov
            .as_ref()
            .ok_or("a data set with fields of view is needed")?;
        let mut harmed = Sample::unlabelled(&sample.id, self.harm.photograph(&sample.image)?);
        harmed.fov = Some(self.harm.fov(fov)?);
        let found = self.segmenter.segment_sample(&harmed)?;
        Ok(Prediction {
            probability: self.harm.undone(found.probability)?,
            fov: fov.clone(),
        })
    }
}

impl Predict for Harmed<'_> {
    fn predict(&self, sample: &Sample) -> venule::Result<Prediction> {
        let predicted = self.try_predict(sample);
        predicted.map_err(|source| venule::Error::System { source })
    }

    fn threshold(&self) -> f32 {
        self.segmenter.threshold()
    }
}

fn main() -> AnyResult<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [set, split, systems @ ..] = arguments.as_slice() else {
        return Err("give a data set as NAME=PATH, a split, and weights".into());
    };
    let (set, split): (DatasetSpec, Split) = (set.parse()?, split.parse()?);
    let images = set.files(split)?;
    let mut all = Map::new();
    for name in systems {
        let segmenter = weights(Path::new(name), &Registry::built_in(), &Device::Cpu)?;
        let f1 = |system: &dyn Predict| -> AnyResult<Value> {
            let evaluated = evaluate(system, &images, |_, _| Ok(()))?;
            Ok(json!(evaluated.report.pooled.get("f1")))
        };
        let mut figures = Map::new();
        figures.insert("as_taken".to_owned(), f1(&segmenter)?);
        for (kind, harm, levels) in Harm::ALL {
            for level in levels {
                let value = f1(&Harmed {
                    segmenter: &segmenter,
                    harm: harm(level),
                })?;
                eprintln!("{name} {kind} {level}: {value}");
                figures.insert(format!("{kind}_{level}"), value);
            }
        }
        all.insert(name.clone(), Value::Object(figures));
    }
    println!("{:#}", Value::Object(all));
    Ok(())
}
