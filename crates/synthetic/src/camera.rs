use image::RgbImage;
use venule_data::{Error, Plane, Result, gaussian_blur};

use super::SyntheticFundus;
use super::background::Planes;
use super::random::Random;
use super::scene::Scene;

/// Lets the light of `planes` through the optics onto the sensor: blur, border of the view, noise, tone curve, JPEG.
pub(super) fn expose(
    mut planes: Planes,
    scene: &Scene,
    config: &SyntheticFundus,
    gray: bool,
    random: &mut Random,
) -> Result<RgbImage> {
    let (width, height) = (scene.width, scene.height);
    let vary = config.variation;
    let sharpness = (0.22 * vary * random.normal().clamp(-2.0, 2.0)).exp();
    let dark = [
        random.range(1.0, 6.0),
        random.range(0.5, 4.0),
        random.range(0.5, 4.0),
    ];
    frame(&mut planes, scene, dark);
    // Half a pixel of blur comes with any sensor.
    let blur = (config.blur * sharpness * scene.scale).hypot(0.45);
    for (plane, factor) in planes.iter_mut().zip([1.15, 1.0, 1.15]) {
        let sharp = Plane::new(width, height, std::mem::take(plane))?;
        *plane = gaussian_blur(&sharp, blur * factor).into_data();
    }
    if config.sharpness_gradient > 0.0 {
        defocus(&mut planes, scene, config.sharpness_gradient, blur, random)?;
    }
    let noise = config.noise * (0.3 * vary * random.normal().clamp(-2.0, 2.0)).exp();
    let mut data = vec![0_u8; 3 * width * height];
    let mut previous = [0.0_f32; 4];
    for (at, pixel) in data.chunks_exact_mut(3).enumerate() {
        // Neighbours share some noise, as demosaicing and compression leave it.
        for grain in &mut previous {
            *grain = 0.3 * *grain + 0.954 * random.grain();
        }
        for (c, value) in pixel.iter_mut().enumerate() {
            let light = planes[c][at];
            // Photon noise grows with the root of the light; the floor is the sensor's own.
            let deviation = noise * (light.max(0.0) * scene.base[c]).sqrt()
                + 0.6 * config.noise.min(0.02) * 50.0;
            let grain = 0.8 * previous[3] + 0.6 * previous[c];
            *value = tone(light + deviation * grain).round() as u8;
        }
    }
    if gray {
        for pixel in data.chunks_exact_mut(3) {
            pixel.fill(pixel[1]);
        }
    }
    let too_large = || Error::RasterLength {
        width,
        height,
        length: width * height,
    };
    let image = RgbImage::from_raw(width as u32, height as u32, data).ok_or_else(too_large)?;
    match config.jpeg_quality {
        Some(quality) => compress(&image, quality),
        None => Ok(image),
    }
}

/// Blurs one side of the picture more: where it is worst, a plane is this share of one that is three times as blurred.
fn defocus(
    planes: &mut Planes,
    scene: &Scene,
    gradient: f32,
    blur: f32,
    random: &mut Random,
) -> Result<()> {
    let (sin, cos) = random.range(0.0, std::f32::consts::TAU).sin_cos();
    let (centre, radius) = scene.circle;
    for plane in planes {
        let sharp = Plane::new(scene.width, scene.height, std::mem::take(plane))?;
        let soft = gaussian_blur(&sharp, 3.0 * blur).into_data();
        *plane = sharp.into_data();
        for (at, (value, soft)) in plane.iter_mut().zip(soft).enumerate() {
            let u = ((at % scene.width) as f32 - centre[0]) / radius;
            let v = ((at / scene.width) as f32 - centre[1]) / radius;
            let share = gradient * (0.5 + 0.5 * (cos * u + sin * v)).clamp(0.0, 1.0);
            *value += share * (soft - *value);
        }
    }
    Ok(())
}

/// Darkens what lies outside the field of view.
fn frame(planes: &mut Planes, scene: &Scene, dark: [f32; 3]) {
    for y in 0..scene.height {
        for x in 0..scene.width {
            let cover = (0.5 + scene.edge(x, y)).clamp(0.0, 1.0);
            if cover < 1.0 {
                for (plane, dark) in planes.iter_mut().zip(dark) {
                    let value = &mut plane[y * scene.width + x];
                    *value = *value * cover + dark * (1.0 - cover);
                }
            }
        }
    }
}

/// Highlights roll off instead of clipping at once.
fn tone(light: f32) -> f32 {
    const KNEE: f32 = 225.0;
    if light <= KNEE {
        light.max(0.0)
    } else {
        let room = 255.0 - KNEE;
        KNEE + room * (1.0 - (-(light - KNEE) / room).exp())
    }
}

/// The traces of having been stored as a JPEG file.
fn compress(image: &RgbImage, quality: u8) -> Result<RgbImage> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
    let stored = image
        .write_with_encoder(encoder)
        .and_then(|()| image::load_from_memory_with_format(&bytes, image::ImageFormat::Jpeg));
    Ok(stored
        .map_err(|source| Error::custom("a synthetic photograph's JPEG compression", source))?
        .into_rgb8())
}
