use image::{Rgb, RgbImage};
use proptest::prelude::*;
use venule_data::{
    Error, FundusWarning, Mask, detect_fov, equivalent_diameter, examine, full_frame,
};

pub fn intersection_over_union(a: &Mask, b: &Mask) -> f64 {
    assert_eq!(a.size(), b.size());
    let pairs = || a.data().iter().zip(b.data());
    let both = pairs().filter(|(a, b)| **a && **b).count();
    let either = pairs().filter(|(a, b)| **a || **b).count();
    both as f64 / either as f64
}

/// A photograph that is bright where `inside`, shaded from left to right, with the noise of a border.
fn photograph(inside: &Mask, shade: impl Fn(f64) -> f64) -> RgbImage {
    let width = inside.width() as f64;
    RgbImage::from_fn(inside.width() as u32, inside.height() as u32, |x, y| {
        let noise = ((x * 7919 + y * 104_729) % 5) as f64;
        let light = match inside.get(x as usize, y as usize) {
            Some(true) => 200.0 * shade(f64::from(x) / width),
            _ => 0.0,
        };
        Rgb([1.0, 0.5, 0.2].map(|part| (part * light + noise) as u8))
    })
}

fn disc(size: (usize, usize), centre: (f64, f64), radius: f64) -> Mask {
    Mask::from_fn(size.0, size.1, |x, y| {
        (x as f64 + 0.5 - centre.0).hypot(y as f64 + 0.5 - centre.1) < radius
    })
}

#[test]
fn discs_whole_cut_and_beyond_the_frame_are_found() {
    let cut = |mask: Mask, top: usize, bottom: usize| {
        Mask::from_fn(mask.width(), mask.height(), |x, y| {
            y >= top && y < bottom && mask.get(x, y) == Some(&true)
        })
    };
    let cases = [
        ("whole", disc((300, 280), (148.0, 141.0), 120.0)),
        (
            "cut above and below",
            cut(disc((360, 300), (180.0, 150.0), 160.0), 20, 281),
        ),
        (
            "higher than the frame",
            disc((420, 300), (210.0, 150.0), 180.0),
        ),
        ("reduced", disc((1500, 1300), (760.0, 640.0), 600.0)),
    ];
    for (name, expected) in cases {
        let found = detect_fov(&photograph(&expected, |_| 1.0)).unwrap();
        let overlap = intersection_over_union(&found, &expected);
        assert!(overlap > 0.985, "{name}: {overlap}");
    }
}

#[test]
fn a_side_too_dark_to_see_is_bridged() {
    // The right quarter falls off to a tenth of the light, below the threshold.
    let expected = disc((400, 380), (200.0, 190.0), 170.0);
    let shade = |x: f64| {
        if x < 0.7 {
            1.0
        } else {
            (1.0 - 4.0 * (x - 0.7)).max(0.1)
        }
    };
    let found = detect_fov(&photograph(&expected, shade)).unwrap();
    let overlap = intersection_over_union(&found, &expected);
    assert!(overlap > 0.98, "{overlap}");
}

#[test]
fn an_octagon_falls_back_to_its_hull() {
    let expected = Mask::from_fn(300, 300, |x, y| {
        let (x, y) = ((x as f64 - 149.5).abs(), (y as f64 - 149.5).abs());
        x < 130.0 && y < 60.0 && x + y < 160.0
    });
    let found = detect_fov(&photograph(&expected, |_| 1.0)).unwrap();
    let overlap = intersection_over_union(&found, &expected);
    assert!(overlap > 0.97, "{overlap}");
}

#[test]
fn no_field_of_view_is_an_error_that_names_the_choices() {
    let black = RgbImage::new(200, 200);
    let bright = RgbImage::from_pixel(200, 200, Rgb([180, 90, 40]));
    let cropped = photograph(&disc((200, 200), (100.0, 100.0), 400.0), |_| 1.0);
    let spot = photograph(&disc((200, 200), (100.0, 100.0), 8.0), |_| 1.0);
    let tiny = RgbImage::new(1, 1);
    let thin = RgbImage::from_pixel(1, 5000, Rgb([200; 3]));
    let empty = RgbImage::new(0, 0);
    for image in [black, bright, cropped, spot, tiny, thin, empty] {
        let error = detect_fov(&image).unwrap_err();
        assert!(
            matches!(error, Error::FieldOfViewNotFound { .. }),
            "{error}"
        );
        let message = error.to_string();
        assert!(
            message.contains("pass a mask") && message.contains("full frame"),
            "{message}"
        );
    }
}

#[test]
fn frame_and_diameter() {
    let frame = full_frame((7, 5));
    assert_eq!((frame.size(), frame.count()), ((7, 5), 35));
    // A disc of radius 100 has about 31,416 pixels.
    let diameter = equivalent_diameter(&disc((220, 220), (110.0, 110.0), 100.0));
    assert!((diameter - 200.0).abs() < 0.2, "{diameter}");
    assert_eq!(equivalent_diameter(&Mask::filled(3, 3, false)), 0.0);
}

/// A retina with dark vessels, of a field of view as wide as the frame is high, whose pixels `tint` colours.
fn retina(side: u32, tint: impl Fn(f64) -> [f64; 3]) -> RgbImage {
    let middle = f64::from(side) / 2.0;
    RgbImage::from_fn(side + side / 4, side, |x, y| {
        let (x, y) = (f64::from(x) - middle * 1.25, f64::from(y) - middle);
        if x.hypot(y) > middle - 2.0 {
            return Rgb([2; 3]);
        }
        let vessel = (x / middle * 30.0).rem_euclid(8.0) < 1.0;
        Rgb(tint(if vessel { 0.7 } else { 1.0 }).map(|value| value as u8))
    })
}

#[test]
fn what_is_odd_in_a_photograph_is_told() {
    let of = |image: RgbImage| {
        let fov = detect_fov(&image).unwrap();
        examine(&image, &fov).unwrap()
    };
    let orange = |light: f64| [180.0, 90.0 * light, 40.0];
    assert_eq!(of(retina(320, orange)), []);
    // A quarter of the light is a dark photograph, which is sound.
    let dark = |light: f64| orange(light).map(|value| value / 4.0);
    assert_eq!(of(retina(320, dark)), []);
    assert_eq!(
        of(retina(320, |light| [120.0 * light; 3])),
        [FundusWarning::Gray]
    );
    assert_eq!(
        of(retina(320, |light| [120.0 / light; 3])),
        [FundusWarning::BrightVessels]
    );
    let found = of(retina(320, |light| [40.0, 60.0 * light, 180.0]));
    assert!(
        matches!(found[..], [FundusWarning::NotAFundus { reddish }] if reddish < 0.1),
        "{found:?}"
    );
    let found = of(retina(320, |light| [180.0, 90.0 + light.floor(), 40.0]));
    assert!(
        matches!(found[..], [FundusWarning::LowContrast { .. }]),
        "{found:?}"
    );
    let found = of(retina(120, orange));
    assert!(
        matches!(found[..], [FundusWarning::LowResolution { diameter }] if (diameter - 116.0).abs() < 4.0),
        "{found:?}"
    );
    for warning in found {
        assert!(warning.to_string().contains("pixels wide"), "{warning}");
    }
}

#[test]
fn a_doubtful_field_of_view_is_told() {
    let image = retina(320, |light| [180.0, 90.0 * light, 40.0]);
    let fov = detect_fov(&image).unwrap();
    // The left half of it: the rest lies outside, and is bright.
    let half = Mask::from_fn(fov.width(), fov.height(), |x, y| {
        x < 120 && fov.get(x, y) == Some(&true)
    });
    let found = examine(&image, &half).unwrap();
    assert!(
        found.iter().any(
            |warning| matches!(warning, FundusWarning::CutFieldOfView { share } if *share < 0.5)
        ),
        "{found:?}"
    );
    let strip = Mask::from_fn(fov.width(), fov.height(), |x, _| x < 20);
    let found = examine(&image, &strip).unwrap();
    let doubtful = |w: &FundusWarning| matches!(w, FundusWarning::DoubtfulFieldOfView { .. });
    assert!(found.iter().any(doubtful), "{found:?}");
    assert!(examine(&image, &Mask::filled(4, 4, true)).is_err());
    let empty = Mask::filled(fov.width(), fov.height(), false);
    assert!(examine(&image, &empty).is_err());
}

/// `image` at (left, top) on black of this size.
fn on_black(image: &RgbImage, size: (u32, u32), (left, top): (i64, i64)) -> RgbImage {
    let mut canvas = RgbImage::new(size.0, size.1);
    image::imageops::replace(&mut canvas, image, left, top);
    canvas
}

#[test]
fn a_blurred_photograph_is_told() {
    // Structures of several sizes, as a retina has them.
    let image = RgbImage::from_fn(420, 420, |x, y| {
        let (x, y) = (f64::from(x) - 210.0, f64::from(y) - 210.0);
        if x.hypot(y) > 200.0 {
            return Rgb([2; 3]);
        }
        let line = |period: f64, width: f64| x.rem_euclid(period) < width;
        let vessel = line(61.0, 9.0) || line(23.0, 3.0) || (y / 2.0 + x).rem_euclid(37.0) < 3.0;
        Rgb([180, if vessel { 60 } else { 90 }, 40])
    });
    let of = |image: &RgbImage| examine(image, &detect_fov(image).unwrap()).unwrap();
    assert_eq!(of(&image), []);
    let blurred = of(&image::imageops::blur(&image, 7.0));
    let told = |w: &FundusWarning| matches!(w, FundusWarning::Blurred { .. });
    assert!(blurred.iter().any(told), "{blurred:?}");
}

#[test]
fn wide_bars_hide_no_field_of_view() {
    let image = retina(320, |light| [180.0, 90.0 * light, 40.0]);
    let alone = detect_fov(&image).unwrap();
    for (size, place) in [
        ((1200, 640), (700, 300)),
        ((400, 1100), (0, 0)),
        ((1600, 1500), (40, 1100)),
    ] {
        let fov = detect_fov(&on_black(&image, size, place)).unwrap();
        let (left, top) = (place.0 as usize, place.1 as usize);
        let moved = Mask::from_fn(fov.width(), fov.height(), |x, y| {
            let (x, y) = (x.checked_sub(left), y.checked_sub(top));
            matches!((x, y), (Some(x), Some(y)) if alone.get(x, y) == Some(&true))
        });
        let both = fov.data().iter().zip(moved.data());
        let (either, shared) = both.fold((0, 0), |(either, shared), (a, b)| {
            (either + usize::from(a | b), shared + usize::from(a & b))
        });
        assert!(
            shared as f64 > 0.97 * either as f64,
            "{size:?}: {shared} of {either}"
        );
    }
}

#[test]
fn several_photographs_in_one_picture_are_told() {
    let image = retina(320, |light| [180.0, 90.0 * light, 40.0]);
    for place in [(400, 0), (0, 320)] {
        let (width, height) = (place.0 + 400, place.1 + 320);
        let mut both = on_black(&image, (width, height), (0, 0));
        image::imageops::replace(&mut both, &image, place.0.into(), place.1.into());
        let fov = detect_fov(&both).unwrap();
        let found = examine(&both, &fov).unwrap();
        let told =
            |w: &FundusWarning| matches!(w, FundusWarning::BrightOutside { share } if *share > 0.9);
        assert!(found.iter().any(told), "{found:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_picture_is_found_or_refused(width in 0u32..80, height in 0u32..80, seed in any::<u64>(), block in 1u32..30) {
        let image = RgbImage::from_fn(width, height, |x, y| {
            let value = seed.rotate_left((x / block) * 5 + (y / block) * 11) as u8;
            Rgb([value, value / 2, 7])
        });
        if let Ok(fov) = detect_fov(&image) {
            prop_assert_eq!(fov.size(), (width as usize, height as usize));
            prop_assert!(fov.count() > 0);
            prop_assert!(examine(&image, &fov).is_ok());
        }
    }
}
