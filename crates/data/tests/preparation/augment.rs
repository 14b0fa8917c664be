//! Properties of random views.

use std::time::Instant;

use proptest::prelude::*;
use venule_data::{Augment, CropCentre, Elastic, Jitter, Mask, Plane, Planes, Prepared};

/// A disc of a smooth pattern with lines; the label is where the image is low, so that both can be compared.
fn prepared(width: usize, height: usize) -> Prepared {
    let (cx, cy) = (width as f32 / 2.0, height as f32 / 2.0);
    let fov = Mask::from_fn(width, height, |x, y| {
        (x as f32 + 0.5 - cx).hypot(y as f32 + 0.5 - cy) < 0.48 * width.min(height) as f32
    });
    let inside = |x: usize, y: usize| fov.get(x, y) == Some(&true);
    let line = |x: usize, y: usize| (x + 2 * y) % 17 < 5;
    Prepared {
        id: "disc".into(),
        image: Plane::from_fn(width, height, |x, y| match (inside(x, y), line(x, y)) {
            (true, true) => -1.0,
            (true, false) => 0.5,
            _ => 0.0,
        })
        .into(),
        label: Some(Mask::from_fn(width, height, |x, y| {
            inside(x, y) && line(x, y)
        })),
        weights: Some(Plane::from_fn(width, height, |x, y| {
            if inside(x, y) { 0.25 } else { 0.0 }
        })),
        fov,
    }
}

fn everything() -> Augment {
    Augment {
        centre: CropCentre::Vessel { probability: 0.5 },
        shear: Jitter::sometimes(0.5, -10.0, 10.0),
        translation: Jitter::sometimes(0.5, -8.0, 8.0),
        elastic: Elastic {
            probability: 0.5,
            amplitude: 4.0,
            spacing: 16.0,
        },
        blur: Jitter::sometimes(0.3, 0.5, 1.5),
        gamma: Jitter::sometimes(0.3, 0.7, 1.5),
        jpeg: Jitter::sometimes(0.3, 10.0, 90.0),
        ..Augment::standard()
    }
}

fn mirrored<T: Copy>(raster: &venule_data::Raster<T>, horizontal: bool) -> venule_data::Raster<T> {
    let (w, h) = raster.size();
    venule_data::Raster::from_fn(w, h, |x, y| match horizontal {
        true => raster.row(y)[w - 1 - x],
        false => raster.row(h - 1 - y)[x],
    })
}

#[test]
fn no_augmentation_is_the_identity_and_pads_and_cuts_in_the_middle() {
    let prepared = prepared(61, 44);
    assert_eq!(
        Augment::none()
            .sample(&prepared, (61, 44), 1, 2, 3)
            .unwrap(),
        prepared
    );
    let padded = Augment::none()
        .sample(&prepared, (64, 48), 1, 2, 3)
        .unwrap();
    // (61 - 64) / 2 rounded down is -2, (44 - 48) / 2 is -2
    let expected = prepared
        .image
        .map(|plane| plane.pad((2, 2), (1, 2), 0.0).unwrap());
    assert_eq!(padded.image, expected.unwrap());
    let cut = Augment::none().sample(&padded, (61, 44), 1, 2, 3).unwrap();
    assert_eq!(cut.size(), (61, 44));
    assert!(
        cut.image
            .data()
            .iter()
            .all(|v| [-1.0, 0.0, 0.5].contains(v))
    );
}

#[test]
fn flips_are_exact_and_their_own_inverse() {
    let prepared = prepared(50, 37);
    for horizontal in [true, false] {
        let flip = Augment {
            flip_horizontal: f32::from(u8::from(horizontal)),
            flip_vertical: f32::from(u8::from(!horizontal)),
            ..Augment::none()
        };
        let once = flip.sample(&prepared, (50, 37), 0, 0, 0).unwrap();
        let expected = prepared
            .image
            .clone()
            .map(|plane| mirrored(&plane, horizontal));
        assert_eq!(once.image, expected.unwrap());
        assert_eq!(
            once.label,
            prepared.label.as_ref().map(|l| mirrored(l, horizontal))
        );
        assert_eq!(flip.sample(&once, (50, 37), 0, 0, 0).unwrap(), prepared);
    }
}

#[test]
fn a_quarter_turn_moves_each_pixel_to_its_place() {
    let prepared = prepared(40, 40);
    let turn = Augment {
        rotation: Jitter::always(90.0, 90.0),
        ..Augment::none()
    };
    let turned = turn.sample(&prepared, (40, 40), 0, 0, 0).unwrap();
    let expected = Mask::from_fn(40, 40, |x, y| {
        prepared.label.as_ref().unwrap().row(x)[39 - y]
    });
    assert_eq!(turned.label.unwrap(), expected);
}

/// FNV-1a over the bits of values.
fn hash(values: &[f32]) -> u64 {
    let bytes = values
        .iter()
        .flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// Views of one channel keep every bit; the number is a checksum of forty of them.
#[test]
fn views_of_one_channel_are_what_they_were() {
    let prepared = prepared(90, 70);
    // As before compression was there.
    let augment = Augment {
        jpeg: Jitter::NEVER,
        ..everything()
    };
    let mut all = Vec::new();
    for index in 0..40 {
        let view = augment.sample(&prepared, (48, 40), 11, 2, index);
        let view = view.unwrap();
        all.extend_from_slice(view.image.data());
        all.extend_from_slice(view.weights.unwrap().data());
    }
    assert_eq!(hash(&all), 0x8516ee5433cb580);
}

#[test]
fn scale_is_source_over_crop() {
    let prepared = Prepared {
        id: String::new(),
        image: Plane::from_fn(80, 80, |x, _| x as f32 + 0.5).into(),
        label: None,
        fov: Mask::filled(80, 80, true),
        weights: None,
    };
    let shrink = Augment {
        scale: Jitter::always(2.0, 2.0),
        ..Augment::none()
    };
    let view = shrink.sample(&prepared, (20, 20), 0, 0, 0).unwrap();
    // crop pixels are 2 source pixels apart, around the middle 40: 40 + 2 (0.5 - 10) = 21 for the first
    assert_eq!(&view.image.data()[3 * 20..][..3], &[21.0, 23.0, 25.0]);
}

#[test]
fn intensity_is_the_arithmetic() {
    let prepared = Prepared {
        id: String::new(),
        image: Plane::new(3, 1, vec![-1.0, 0.0, 3.0]).unwrap().into(),
        label: None,
        fov: Mask::filled(3, 1, true),
        weights: None,
    };
    let view = |augment: Augment| {
        augment
            .sample(&prepared, (3, 1), 0, 0, 0)
            .unwrap()
            .image
            .data()
            .to_vec()
    };
    let linear = Augment {
        contrast: Jitter::always(2.0, 2.0),
        brightness: Jitter::always(0.5, 0.5),
        ..Augment::none()
    };
    assert_eq!(view(linear), [-1.5, 0.5, 6.5]);
    let gamma = Augment {
        gamma: Jitter::always(2.0, 2.0),
        ..Augment::none()
    };
    // 0, 1/4, 1 squared: 0, 1/16, 1, times 4 minus 1
    assert_eq!(view(gamma), [-1.0, -0.75, 3.0]);
}

#[test]
fn every_channel_is_moved_and_changed_alike() {
    let alone = prepared(90, 70);
    let planes = alone.image.clone().into_channels();
    let shifted = planes[0].map(|v| v / 2.0);
    let colours = Prepared {
        image: Planes::new(vec![planes[0].clone(), shifted.clone(), planes[0].clone()]).unwrap(),
        ..alone.clone()
    };
    let other = Prepared {
        image: shifted.into(),
        ..alone.clone()
    };
    // Gamma is left out: it takes the range of all channels together.
    let quiet = Augment {
        noise: Jitter::NEVER,
        gamma: Jitter::NEVER,
        ..everything()
    };
    for index in 0..20 {
        let view = |of: &Prepared| quiet.sample(of, (48, 40), 3, 0, index).unwrap();
        let (all, first, second) = (view(&colours), view(&alone), view(&other));
        assert_eq!((all.image.channels(), all.size()), (3, (48, 40)));
        for (channel, expected) in [(0, &first), (1, &second), (2, &first)] {
            assert_eq!(all.image.channel(channel), expected.image.data());
        }
        assert_eq!((all.label, all.fov), (first.label, first.fov));
    }
    let noisy = Augment {
        noise: Jitter::always(0.3, 0.3),
        ..Augment::none()
    };
    let view = noisy.sample(&colours, (90, 70), 5, 0, 0).unwrap();
    let noise = |channel: usize| {
        let pairs = view.image.channel(channel).iter();
        let pairs = pairs.zip(colours.image.channel(channel));
        pairs.map(|(a, b)| a - b).collect::<Vec<f32>>()
    };
    let off = noise(0)
        .iter()
        .zip(noise(2))
        .map(|(a, b)| a - b)
        .collect::<Vec<f32>>();
    assert!(
        off.iter().any(|v| v.abs() > 0.1),
        "noise is drawn for each channel"
    );
    // The first channel's noise is that of an image of one channel.
    let single = noisy.sample(&alone, (90, 70), 5, 0, 0).unwrap();
    assert_eq!(view.image.channel(0), single.image.data());
}

#[test]
fn gamma_takes_the_range_of_all_channels() {
    let plane = |values: [f32; 2]| Plane::new(2, 1, values.to_vec()).unwrap();
    let prepared = Prepared {
        id: String::new(),
        image: Planes::new(vec![plane([-1.0, 0.0]), plane([1.0, 3.0])]).unwrap(),
        label: None,
        fov: Mask::filled(2, 1, true),
        weights: None,
    };
    let gamma = Augment {
        gamma: Jitter::always(2.0, 2.0),
        ..Augment::none()
    };
    let view = gamma.sample(&prepared, (2, 1), 0, 0, 0).unwrap();
    // -1..3 as 0, 1/4, 1/2, 1; squared, times 4, minus 1
    assert_eq!(view.image.data(), [-1.0, -0.75, 0.0, 3.0]);
}

#[test]
fn noise_has_its_standard_deviation_and_stays_in_the_field_of_view() {
    let mut prepared = prepared(200, 200);
    prepared.image = Plane::filled(200, 200, 0.0).into();
    let noisy = Augment {
        noise: Jitter::always(0.3, 0.3),
        ..Augment::none()
    };
    let view = noisy.sample(&prepared, (200, 200), 5, 0, 0).unwrap();
    let inside: Vec<f32> = (0..40_000)
        .filter(|&at| prepared.fov.data()[at])
        .map(|at| view.image.data()[at])
        .collect();
    let variance = inside.iter().map(|v| v * v).sum::<f32>() / inside.len() as f32;
    // 28,953 values: relative standard error of the deviation 1/sqrt(2n) = 0.4 %; four of them
    assert!(
        (variance.sqrt() - 0.3).abs() < 0.3 * 0.017,
        "{}",
        variance.sqrt()
    );
    let outside = (0..40_000).filter(|&at| !prepared.fov.data()[at]);
    assert!(outside.into_iter().all(|at| view.image.data()[at] == 0.0));
}

#[test]
fn compression_is_that_of_a_jpeg_file() {
    let alone = prepared(64, 48);
    let everywhere = Prepared {
        fov: Mask::filled(64, 48, true),
        ..alone.clone()
    };
    let at = |quality: f32| Augment {
        jpeg: Jitter::always(quality, quality),
        ..Augment::none()
    };
    let gray = |image: &Planes| {
        image::GrayImage::from_fn(64, 48, |x, y| {
            let value = image.channel(0)[(y * 64 + x) as usize];
            image::Luma([(128.0 + 32.0 * value).round() as u8])
        })
    };
    // A view whose blocks begin where it begins is the file that `image` writes and reads.
    let mut aligned = 0;
    for index in 0..300 {
        let view = at(30.0).sample(&everywhere, (64, 48), 5, 0, index).unwrap();
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 30);
        gray(&everywhere.image).write_with_encoder(encoder).unwrap();
        let stored = image::load_from_memory(&bytes).unwrap().into_luma8();
        aligned += usize::from(gray(&view.image) == stored);
    }
    // One of 64 places of the grid; 300 views miss it with a probability of 0.9 %, and these do not.
    assert!((1..20).contains(&aligned), "{aligned}");
    let change = |quality: f32| {
        let view = at(quality).sample(&alone, (64, 48), 5, 0, 0).unwrap();
        let pairs = view.image.data().iter().zip(alone.image.data());
        for ((after, before), inside) in pairs.clone().zip(alone.fov.data()) {
            assert!(*inside || (*after, *before) == (0.0, 0.0));
        }
        pairs.map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    assert!(change(10.0) > change(50.0) && change(50.0) > change(95.0));
    // At the best quality a value moves by a gray level or two.
    let best = at(100.0).sample(&alone, (64, 48), 5, 0, 0).unwrap();
    for (after, before) in best.image.data().iter().zip(alone.image.data()) {
        assert!((after - before).abs() <= 2.0 / 32.0, "{after} {before}");
    }
    let error = at(0.5).sample(&alone, (64, 48), 5, 0, 0).unwrap_err();
    let expected =
        "Augment::jpeg is min = 0.5, max = 0.5, but must be within the qualities 1 to 100";
    assert!(error.to_string().contains(expected), "{error}");
    let reversed = Augment {
        jpeg: Jitter::sometimes(0.0, 5.0, 0.0),
        ..Augment::none()
    };
    let error = reversed.validate().unwrap_err().to_string();
    assert!(error.contains("min is not above its max"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn views_respect_the_field_of_view_and_repeat(seed: u64, epoch in 0u64..9, index in 0u64..999, w in 1usize..70, h in 1usize..70) {
        let prepared = prepared(64, 48);
        let augment = everything();
        let view = augment.sample(&prepared, (w, h), seed, epoch, index).unwrap();
        prop_assert_eq!(&view, &augment.sample(&prepared, (w, h), seed, epoch, index).unwrap());
        prop_assert_eq!(view.size(), (w, h));
        view.check_sizes().unwrap();
        let (label, weights) = (view.label.unwrap(), view.weights.unwrap());
        for at in 0..w * h {
            prop_assert!(view.image.data()[at].is_finite());
            prop_assert!((0.0..=0.25001).contains(&weights.data()[at]));
            if !view.fov.data()[at] {
                prop_assert_eq!((view.image.data()[at], weights.data()[at], label.data()[at]), (0.0, 0.0, false));
            }
        }
    }
}

#[test]
fn image_and_label_move_together() {
    let geometric = everything().geometry();
    let prepared = prepared(256, 200);
    let (mut agree, mut total) = (0, 0);
    for index in 0..20 {
        let view = geometric.sample(&prepared, (96, 96), 3, 0, index).unwrap();
        let label = view.label.unwrap();
        for at in 0..96 * 96 {
            if view.fov.data()[at] {
                total += 1;
                // below the middle of -1 and 0.5 the bilinear image shows a line
                agree += usize::from((view.image.data()[at] < -0.25) == label.data()[at]);
            }
        }
    }
    // nearest and bilinear differ only at edges, by less than half a pixel
    assert!(
        total > 50_000 && agree as f64 > 0.93 * total as f64,
        "{agree} of {total}"
    );
}

#[test]
fn one_setting_leaves_the_draws_of_the_others() {
    let prepared = prepared(128, 128);
    let plain = Augment {
        noise: Jitter::NEVER,
        ..Augment::standard()
    };
    let elastic = Augment {
        noise: Jitter::always(0.2, 0.2),
        ..plain.clone()
    };
    let view = |augment: &Augment| augment.sample(&prepared, (64, 64), 4, 1, 9).unwrap();
    assert_eq!(view(&plain).label, view(&elastic).label);
    assert_ne!(view(&plain).image, view(&elastic).image);
}

#[test]
fn settings_out_of_range_are_errors() {
    let prepared = prepared(16, 16);
    let wrong = [
        Augment {
            flip_horizontal: 1.5,
            ..Augment::none()
        },
        Augment {
            scale: Jitter::always(0.0, 1.0),
            ..Augment::none()
        },
        Augment {
            rotation: Jitter::always(f32::NAN, 1.0),
            ..Augment::none()
        },
        Augment {
            blur: Jitter::always(1.0, 1e9),
            ..Augment::none()
        },
        Augment {
            centre: CropCentre::Inner { fraction: -1.0 },
            ..Augment::none()
        },
        Augment {
            elastic: Elastic {
                probability: 1.0,
                amplitude: 100.0,
                spacing: 10.0,
            },
            ..Augment::none()
        },
    ];
    for augment in wrong {
        assert!(
            augment.sample(&prepared, (8, 8), 0, 0, 0).is_err(),
            "{augment:?}"
        );
    }
    let none = Augment::none();
    assert!(none.sample(&prepared, (0, 8), 0, 0, 0).is_err());
    assert!(none.sample(&prepared, (usize::MAX, 8), 0, 0, 0).is_err());
    let mut torn = prepared.clone();
    torn.label = Some(Mask::filled(4, 4, true));
    assert!(none.sample(&torn, (8, 8), 0, 0, 0).is_err());
}

#[test]
fn settings_survive_json() {
    let text = serde_json::to_string(&everything()).unwrap();
    assert_eq!(
        serde_json::from_str::<Augment>(&text).unwrap(),
        everything()
    );
    assert_eq!(
        serde_json::from_str::<Augment>("{}").unwrap(),
        Augment::none()
    );
    assert!(serde_json::from_str::<Augment>(r#"{"flips": 1}"#).is_err());
}

/// Prints the time of one 256² view; asserts only what no machine should miss.
#[test]
fn a_view_takes_less_than_a_tenth_of_a_second() {
    let prepared = prepared(565, 584);
    for (name, augment) in [
        ("standard", Augment::standard()),
        ("everything", everything()),
    ] {
        let start = Instant::now();
        for index in 0..100 {
            augment.sample(&prepared, (256, 256), 1, 0, index).unwrap();
        }
        let each = start.elapsed() / 100;
        println!("{name}: {each:?} for a 256x256 view");
        assert!(each.as_millis() < 100);
    }
}
