//! What holds for every strength of every augmentation: inverses, labels that move with the image, bounds.

use image::{Rgb, RgbImage};
use proptest::prelude::*;
use venule_data::{Augment, ColorJitter, CropCentre, Elastic, Jitter, Mask, Plane, Prepared};

const SIDE: usize = 120;

/// Smooth waves at least 24 pixels long, of amplitude 1, and a label of blobs, in a disc that any turn leaves inside the frame.
fn waves(radius: f32) -> Prepared {
    let middle = SIDE as f32 / 2.0;
    let wave = |x: usize, y: usize| {
        let turn = std::f32::consts::TAU / 24.0;
        0.5 * ((x as f32 * turn).sin() + (y as f32 * turn).cos())
    };
    let fov = Mask::from_fn(SIDE, SIDE, |x, y| {
        (x as f32 + 0.5 - middle).hypot(y as f32 + 0.5 - middle) < radius
    });
    let inside = |x: usize, y: usize| fov.get(x, y) == Some(&true);
    Prepared {
        id: "waves".into(),
        image: Plane::from_fn(SIDE, SIDE, wave).into(),
        label: Some(Mask::from_fn(SIDE, SIDE, |x, y| {
            inside(x, y) && wave(x, y) > 0.2
        })),
        weights: None,
        fov,
    }
}

fn view(augment: &Augment, source: &Prepared, draw: u64) -> Prepared {
    augment.sample(source, (SIDE, SIDE), 1, 0, draw).unwrap()
}

fn exactly(value: f32) -> Jitter {
    Jitter::always(value, value)
}

/// Checks that `there` and `back` undo one another within `radius` of the middle; `shrink` is how much the coarser of the two
/// grids is coarser than a pixel.
fn undone(there: &Augment, back: &Augment, radius: f32, shrink: f32) -> Result<(), TestCaseError> {
    let source = waves(SIDE as f32);
    let again = view(back, &view(there, &source, 0), 0);
    // Bilinear error: h²/8 of the second derivatives in x and y, ½ (2π/24)² each, for each of the two passes.
    let bound = 2.0 * (shrink * std::f32::consts::TAU / 24.0).powi(2) / 8.0;
    let middle = SIDE as f32 / 2.0;
    let (from, label) = (
        source.label.as_ref().unwrap(),
        again.label.as_ref().unwrap(),
    );
    let reach = (1.0 + shrink).ceil() as usize;
    for y in reach..SIDE - reach {
        for x in reach..SIDE - reach {
            if (x as f32 + 0.5 - middle).hypot(y as f32 + 0.5 - middle) > radius {
                continue;
            }
            let at = y * SIDE + x;
            prop_assert!(again.fov.data()[at], "({x}, {y}) is lost");
            let off = (again.image.data()[at] - source.image.data()[at]).abs();
            prop_assert!(off <= bound, "{off} at ({x}, {y})");
            // Twice the nearest pixel: up to √½ pixel off in each pass, the second measured in the coarser grid.
            let near =
                (y - reach..=y + reach).flat_map(|y| (x - reach..=x + reach).map(move |x| (x, y)));
            let mut values = near.map(|(x, y)| *from.get(x, y).unwrap());
            prop_assert!(
                values.any(|value| value == label.data()[at]),
                "label at ({x}, {y})"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn turning_back_undoes_a_turn(degrees in -180.0f32..180.0) {
        let turn = |degrees| Augment { rotation: exactly(degrees), ..Augment::none() };
        undone(&turn(degrees), &turn(-degrees), 56.0, 1.0)?;
    }

    #[test]
    fn magnifying_undoes_shrinking(scale in 1.0f32..1.5) {
        let scaled = |scale| Augment { scale: exactly(scale), ..Augment::none() };
        undone(&scaled(scale), &scaled(1.0 / scale), 54.0, scale)?;
        // What a magnified view has cut off, shrinking does not bring back.
        undone(&scaled(1.0 / scale), &scaled(scale), 54.0 / scale, 1.0)?;
    }

    #[test]
    fn the_opposite_shear_undoes_a_shear(degrees in 0.0f32..20.0) {
        // Both axes by one angle of tangent t: [1 t; t 1], whose inverse is [1 -t; -t 1] / (1 - t²).
        let tangent = degrees.to_radians().tan();
        let there = Augment { shear: exactly(degrees), ..Augment::none() };
        let back = Augment {
            shear: exactly(-degrees),
            scale: exactly(1.0 / (1.0 - tangent * tangent)),
            ..Augment::none()
        };
        // The sheared grid is coarsest along the diagonal, by 1 + t; the way back is by 1 / (1 - t).
        undone(&there, &back, 56.0 * (1.0 - tangent), 1.0 / (1.0 - tangent))?;
    }

    #[test]
    fn shifting_back_undoes_a_shift_to_the_bit(pixels in -40i32..=40) {
        let shift = |pixels: i32| Augment { translation: exactly(pixels as f32), ..Augment::none() };
        let source = waves(SIDE as f32);
        let again = view(&shift(-pixels), &view(&shift(pixels), &source, 0), 0);
        let kept = |at: usize| (0..SIDE as i32).contains(&(at as i32 - pixels));
        for y in 0..SIDE {
            for x in 0..SIDE {
                let at = y * SIDE + x;
                prop_assert_eq!(again.fov.data()[at], kept(x) && kept(y));
                if again.fov.data()[at] {
                    prop_assert_eq!(again.image.data()[at], source.image.data()[at]);
                }
            }
        }
    }

    #[test]
    fn a_label_is_where_its_image_is(
        draw: u64, shear in 0.0f32..20.0, scale in 0.5f32..1.6, amplitude in 0.0f32..6.0, shift in 0.0f32..30.0,
    ) {
        let geometric = Augment {
            centre: CropCentre::Inner { fraction: 0.5 },
            flip_horizontal: 0.5,
            flip_vertical: 0.5,
            rotation: Jitter::always(-180.0, 180.0),
            scale: exactly(scale),
            shear: Jitter::always(-shear, shear),
            translation: Jitter::always(-shift, shift),
            elastic: Elastic { probability: 1.0, amplitude, spacing: 16.0 },
            ..Augment::none()
        };
        let mut source = waves(50.0);
        let label = source.label.clone().unwrap();
        source.image = label.map(|&marked| f32::from(u8::from(marked))).into();
        let moved = view(&geometric, &source, draw);
        let marks = moved.label.as_ref().unwrap();
        for at in 0..SIDE * SIDE {
            let (value, marked) = (moved.image.data()[at], marks.data()[at]);
            // The nearest pixel has at least a quarter of the bilinear weight.
            prop_assert!(if marked { value > 0.2499 } else { value < 0.7501 }, "{value} where the label is {marked}");
            prop_assert!(moved.fov.data()[at] || (value == 0.0 && !marked));
        }
        // The field of view moves as a label of its own shape does.
        source.label = Some(source.fov.clone());
        let shape = view(&geometric, &source, draw);
        prop_assert_eq!(shape.label.as_ref(), Some(&shape.fov));
    }

    #[test]
    fn an_elastic_deformation_is_bounded_and_as_strong_as_said(draw: u64, amplitude in 0.5f32..8.0, spacing in 16.0f32..60.0) {
        let elastic = Augment {
            elastic: Elastic { probability: 1.0, amplitude, spacing },
            ..Augment::none()
        };
        // The image tells its own column, which bilinear sampling keeps; room all round, so that nothing falls off.
        let wide = 2 * SIDE;
        let columns = Prepared {
            id: String::new(),
            image: Plane::from_fn(wide, wide, |x, _| x as f32 + 0.5).into(),
            label: None,
            fov: Mask::filled(wide, wide, true),
            weights: None,
        };
        let out = elastic.sample(&columns, (SIDE, SIDE), 2, 0, draw).unwrap();
        let start = (wide - SIDE) as f32 / 2.0;
        // A normal number made of 24 random bits is below √(2 ln 2²⁴) = 5.77, and the spline averages.
        let bound = 5.77 * amplitude + 1e-3;
        let (mut largest, mut squares) = (0.0f32, 0.0f32);
        for (at, &column) in out.image.data().iter().enumerate() {
            let moved = column - (start + (at % SIDE) as f32 + 0.5);
            largest = largest.max(moved.abs());
            squares += moved * moved;
            if at % SIDE > 0 {
                // The spline's slope is at most the difference of neighbouring averages of grid points over their distance.
                let step = (column - out.image.data()[at - 1] - 1.0).abs();
                prop_assert!(step <= 2.0 * bound / spacing + 1e-3, "a tear of {step}");
            }
        }
        prop_assert!(largest <= bound);
        // Between grid points 0.48 of the amplitude is left on average; a field of few grid points may be far from it.
        let deviation = (squares / (SIDE * SIDE) as f32).sqrt();
        prop_assert!(deviation > 0.05 * amplitude && deviation < 1.5 * amplitude, "{deviation} of {amplitude}");
    }

    #[test]
    fn colours_stay_in_the_range_of_their_factors(
        draw: u64, low in 0.2f32..1.0, width in 0.0f32..0.8, pixel: [u8; 3], degrees in 0.0f32..180.0,
    ) {
        let range = Jitter::always(low, low + width);
        let luma = |p: [u8; 3]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        let none = ColorJitter::none();
        let one = RgbImage::from_pixel(1, 1, Rgb(pixel));
        let after = |colors: ColorJitter, image: &RgbImage| colors.apply(image, 3, 0, draw).unwrap();

        let bright = after(ColorJitter { brightness: range, ..none }, &one).get_pixel(0, 0).0;
        for (&before, after) in pixel.iter().zip(bright) {
            let (least, most) = (low * f32::from(before), (low + width) * f32::from(before));
            prop_assert!(f32::from(after) >= least.min(255.0) - 0.51 && f32::from(after) <= most + 0.51);
        }
        // Contrast of a flat gray image has nothing to act on.
        let flat = RgbImage::from_pixel(1, 1, Rgb([pixel[0]; 3]));
        prop_assert_eq!(&after(ColorJitter { contrast: range, ..none }, &flat), &flat);
        // Of two grays the mean stays and the distance is in range.
        let (dark, light) = (Rgb([100; 3]), Rgb([140; 3]));
        let two = RgbImage::from_fn(2, 1, |x, _| if x == 0 { dark } else { light });
        let changed = after(ColorJitter { contrast: range, ..none }, &two);
        let (a, b) = (changed.get_pixel(0, 0).0[0], changed.get_pixel(1, 0).0[0]);
        prop_assert!((f32::from(a) + f32::from(b) - 240.0).abs() <= 1.0);
        let distance = f32::from(b) - f32::from(a);
        prop_assert!(distance >= 40.0 * low - 1.01 && distance <= 40.0 * (low + width) + 1.01);
        // Saturation and hue keep the luma, unless a channel is cut at 0 or 255.
        for colors in [
            ColorJitter { saturation: range, ..none },
            ColorJitter { hue: Jitter::always(-degrees, degrees), ..none },
        ] {
            let moved = after(colors, &one).get_pixel(0, 0).0;
            if moved.iter().all(|channel| (1..=254).contains(channel)) {
                prop_assert!((luma(moved) - luma(pixel)).abs() <= 1.0, "{pixel:?} became {moved:?}");
            }
        }
    }
}

#[test]
fn each_flip_twice_or_both_and_half_a_turn_is_nothing() {
    let source = waves(SIDE as f32);
    let flips = |horizontal: f32, vertical: f32, degrees: f32| Augment {
        flip_horizontal: horizontal,
        flip_vertical: vertical,
        rotation: exactly(degrees),
        ..Augment::none()
    };
    for (horizontal, vertical) in [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
        let flip = flips(horizontal, vertical, 0.0);
        let once = view(&flip, &source, 0);
        assert_ne!(once, source);
        assert_eq!(view(&flip, &once, 0), source);
    }
    let both = view(&flips(1.0, 1.0, 180.0), &source, 0);
    assert_eq!(both.label, source.label);
    let far = both.image.data().iter().zip(source.image.data());
    // The cosine of 180 degrees is -1, its sine 1e-7 in f32: half a thousandth of a pixel at the rim.
    assert!(far.into_iter().all(|(a, b)| (a - b).abs() < 1e-4));
}
