//! Draws what each augmentation does to a synthetic photograph and its label: the picture of docs/datasets.md.
//!
//! `cargo run --release -p venule-lab --example augmentations` draws docs/images/augmentations.png anew.

use std::error::Error;

use venule::data::{
    Augment, ColorJitter, CropCentre, Elastic, FovPolicy, Jitter, Prepared, Preprocess, mask_image,
    write_png,
};
use venule::image::{self, GenericImage, Rgb, RgbImage};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule_lab::venule;

type AnyResult<T> = Result<T, Box<dyn Error>>;

/// Side of each small picture.
const SIDE: usize = 112;
const OUT: &str = "docs/images/augmentations.png";
/// Pictures in a row.
const COLUMNS: usize = 7;
const GAP: u32 = 4;

fn main() -> AnyResult<()> {
    let side = SIDE;
    let sample = synthetic_fundus(&SyntheticFundus::square(side), 3, 0)?;
    let prepared =
        Prepared::from_sample(&sample, &Preprocess::default(), FovPolicy::GivenOrDetect)?;
    let mut cells = Vec::new();
    for augment in settings() {
        let view = augment.sample(&prepared, (side, side), 5, 0, cells.len() as u64)?;
        cells.push((gray(&view), label(&view)?));
    }
    for colors in color_settings() {
        let photograph = colors.apply(&sample.image, 5, 0, 0)?;
        cells.push((photograph, label(&prepared)?));
    }
    for index in 0..2 {
        let view = Augment::standard().sample(&prepared, (side, side), 5, 0, index)?;
        cells.push((gray(&view), label(&view)?));
    }

    let step = side as u32 + GAP;
    let rows = 2 * cells.len().div_ceil(COLUMNS) as u32;
    let mut picture = RgbImage::from_pixel(
        COLUMNS as u32 * step - GAP,
        rows * step - GAP,
        Rgb([255; 3]),
    );
    for (number, (image, label)) in cells.iter().enumerate() {
        let (x, y) = (
            (number % COLUMNS) as u32 * step,
            (number / COLUMNS) as u32 * 2 * step,
        );
        picture.copy_from(image, x, y)?;
        picture.copy_from(label, x, y + step)?;
    }
    write_png(OUT, picture)?;
    println!("{OUT}");
    Ok(())
}

/// One augmentation each, in the order of the documentation's table.
fn settings() -> [Augment; 2 * COLUMNS + 1] {
    let only = |change: fn(&mut Augment)| {
        let mut augment = Augment::none();
        change(&mut augment);
        augment
    };
    [
        Augment::none(),
        only(|a| a.flip_horizontal = 1.0),
        only(|a| a.flip_vertical = 1.0),
        only(|a| a.rotation = Jitter::always(30.0, 30.0)),
        only(|a| a.scale = Jitter::always(0.6, 0.6)),
        only(|a| a.scale = Jitter::always(1.3, 1.3)),
        only(|a| a.shear = Jitter::always(15.0, 15.0)),
        only(|a| a.translation = Jitter::always(20.0, 20.0)),
        only(|a| {
            a.elastic = Elastic {
                probability: 1.0,
                amplitude: 8.0,
                spacing: 20.0,
            }
        }),
        only(|a| {
            a.centre = CropCentre::Vessel { probability: 1.0 };
            a.scale = Jitter::always(0.35, 0.35);
        }),
        only(|a| a.blur = Jitter::always(1.5, 1.5)),
        only(|a| a.gamma = Jitter::always(0.6, 0.6)),
        only(|a| {
            a.contrast = Jitter::always(1.5, 1.5);
            a.brightness = Jitter::always(0.6, 0.6);
        }),
        only(|a| a.noise = Jitter::always(0.4, 0.4)),
        only(|a| a.jpeg = Jitter::always(15.0, 15.0)),
    ]
}

fn color_settings() -> [ColorJitter; 4] {
    let none = ColorJitter::none();
    [
        ColorJitter {
            brightness: Jitter::always(1.4, 1.4),
            ..none
        },
        ColorJitter {
            contrast: Jitter::always(0.5, 0.5),
            ..none
        },
        ColorJitter {
            saturation: Jitter::always(1.6, 1.6),
            ..none
        },
        ColorJitter {
            hue: Jitter::always(10.0, 10.0),
            ..none
        },
    ]
}

/// A standardised image as gray levels: the mean at 110, a standard deviation 40 levels wide; black outside the field of view.
fn gray(view: &Prepared) -> RgbImage {
    let (width, height) = view.size();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let at = y as usize * width + x as usize;
        match view.fov.data()[at] {
            true => Rgb([(110.0 + 40.0 * view.image.data()[at]).clamp(0.0, 255.0) as u8; 3]),
            false => Rgb([0; 3]),
        }
    })
}

fn label(view: &Prepared) -> AnyResult<RgbImage> {
    let label = view
        .label
        .as_ref()
        .ok_or("a synthetic photograph has a label")?;
    Ok(image::DynamicImage::ImageLuma8(mask_image(label)?).into_rgb8())
}
