use std::sync::Arc;

use proptest::prelude::*;
use venule_data::{
    Augment, AugmentedSet, Dataset, Error, FovPolicy, Loader, LoaderConfig, Mask, PreparedSet,
    Preprocess, Sample,
};

use super::growth::grow;
use super::random::{Random, Stage};
use super::scene::Scene;
use super::tree::Tree;
use super::vessels;
use super::{SyntheticFundus, SyntheticRange, SyntheticSet, SyntheticStream, synthetic_fundus};

/// Vessel share in the field of view, after checking that no label lies outside it.
fn share(sample: &Sample) -> f32 {
    let (label, fov) = (sample.label.as_ref().unwrap(), sample.fov.as_ref().unwrap());
    let outside = label.data().iter().zip(fov.data()).any(|(&v, &f)| v && !f);
    assert!(
        !outside,
        "{} has vessels outside its field of view",
        sample.id
    );
    label.count() as f32 / fov.count() as f32
}

fn tree(seed: u64) -> (Scene, Tree) {
    let config = SyntheticFundus::drive_like();
    let scene = Scene::new(&config, &mut Random::new(seed, 0, Stage::Scene));
    let tree = grow(
        &scene,
        0.13,
        0.68,
        &mut Random::new(seed, 0, Stage::Vessels),
    );
    (scene, tree)
}

#[test]
fn same_arguments_give_the_same_bytes() {
    let config = SyntheticFundus::square(160);
    let one = synthetic_fundus(&config, 5, 3).unwrap();
    assert_eq!(one, synthetic_fundus(&config, 5, 3).unwrap());
    let set = SyntheticSet::new(config.clone(), 5, 4).unwrap();
    assert_eq!(one, set.load(3).unwrap());
    assert_ne!(one.image, synthetic_fundus(&config, 6, 3).unwrap().image);
    assert_ne!(one.label, synthetic_fundus(&config, 5, 2).unwrap().label);
}

#[test]
fn vessels_cover_as_much_as_in_the_real_sets() {
    // DRIVE: 12.5 % (training) and 12.7 % (test); single images 9.5 to 16.8 %.
    for (config, count) in [
        (SyntheticFundus::drive_like(), 8),
        (SyntheticFundus::square(256), 16),
        (SyntheticFundus::square(64), 16),
        (SyntheticFundus::chase_like(), 3),
    ] {
        let shares: Vec<f32> = (0..count)
            .map(|index| share(&synthetic_fundus(&config, 1, index).unwrap()))
            .collect();
        let mean = shares.iter().sum::<f32>() / shares.len() as f32;
        assert!((0.10..0.135).contains(&mean), "{shares:?}");
        assert!(
            shares.iter().all(|share| (0.075..0.16).contains(share)),
            "{shares:?}"
        );
    }
}

#[test]
fn retina_is_orange_red_and_vessels_are_darker() {
    // DRIVE training: R 132–246, G 63–118, B 34–77 by image; vessels 4–20 darker in green.
    for index in 0..4 {
        let sample = synthetic_fundus(&SyntheticFundus::drive_like(), 2, index).unwrap();
        let (label, fov) = (sample.label.unwrap(), sample.fov.unwrap());
        let mean = |vessel: bool| {
            let mut sum = [0.0_f64; 3];
            let mut count = 0.0;
            for (at, pixel) in sample.image.pixels().enumerate() {
                if fov.data()[at] && label.data()[at] == vessel {
                    (0..3).for_each(|c| sum[c] += f64::from(pixel[c]));
                    count += 1.0;
                }
            }
            sum.map(|sum| sum / count)
        };
        let (vessel, [red, green, blue]) = (mean(true), mean(false));
        assert!((100.0..250.0).contains(&red), "red {red}");
        assert!(
            (0.3..0.75).contains(&(green / red)),
            "green {green} red {red}"
        );
        assert!(
            (0.3..0.9).contains(&(blue / green)),
            "blue {blue} green {green}"
        );
        assert!(
            (3.0..30.0).contains(&(green - vessel[1])),
            "{green} {vessel:?}"
        );
    }
}

#[test]
fn field_of_view_is_a_circle_and_dark_around() {
    let config = SyntheticFundus {
        variation: 0.0,
        ..SyntheticFundus::square(200)
    };
    let sample = synthetic_fundus(&config, 1, 0).unwrap();
    let fov = sample.fov.unwrap();
    // π (0.956 · 100)² = 28,712 pixels; a perimeter of 600 pixels bounds the rounding.
    assert!(fov.count().abs_diff(28_712) < 150, "{}", fov.count());
    for corner in [(0, 0), (199, 0), (0, 199), (199, 199)] {
        assert_eq!(fov.get(corner.0, corner.1), Some(&false));
        let pixel = sample.image.get_pixel(corner.0 as u32, corner.1 as u32);
        assert!(pixel.0.iter().all(|&value| value < 40), "{pixel:?}");
    }
}

#[test]
fn cut_circles_are_flat_above_and_below() {
    let config = SyntheticFundus {
        cut: 1.0,
        variation: 0.0,
        ..SyntheticFundus::square(200)
    };
    let fov = synthetic_fundus(&config, 3, 0).unwrap().fov.unwrap();
    let filled = |y: usize| fov.row(y).iter().filter(|&&seen| seen).count();
    let first = (0..200).find(|&y| filled(y) > 0).unwrap();
    // Cut at 0.96 of the radius at most, the chord is 2 · 95.6 · √(1 − 0.96²) = 53 pixels or more.
    assert!(filled(first) >= 52, "{}", filled(first));
}

#[test]
fn left_and_right_eyes_both_come() {
    let sides: Vec<f32> = (0..24)
        .map(|index| {
            Scene::new(
                &SyntheticFundus::default(),
                &mut Random::new(1, index, Stage::Scene),
            )
            .side
        })
        .collect();
    let left = sides.iter().filter(|&&side| side > 0.0).count();
    assert!((4..=20).contains(&left), "{left} of 24");
}

#[test]
fn radii_obey_murrays_law_at_every_bifurcation() {
    for seed in 0..3 {
        let (_, mut tree) = tree(seed);
        tree.widen(1.1);
        let mut bifurcations = 0;
        for (id, parent) in tree.segments.iter().enumerate() {
            let daughters: Vec<f32> = tree
                .segments
                .iter()
                .filter(|segment| segment.parent == Some(id))
                .map(|segment| segment.radius.0)
                .collect();
            if daughters.is_empty() {
                continue;
            }
            assert_eq!(daughters.len(), 2);
            let flow = daughters.iter().map(|radius| radius.powi(3)).sum::<f32>();
            let whole = parent.radius.1.powi(3);
            assert!(
                (flow / whole - 1.0).abs() < 1e-4,
                "{whole} splits into {daughters:?}"
            );
            bifurcations += 1;
        }
        assert!(bifurcations > 50, "{bifurcations}");
    }
}

#[test]
fn trees_are_connected_and_spring_from_the_disc() {
    for seed in 0..3 {
        let (scene, tree) = tree(seed);
        let mut roots = Vec::new();
        for (id, segment) in tree.segments.iter().enumerate() {
            let start = segment.points[0];
            assert!(segment.radius.1 <= segment.radius.0);
            match segment.parent {
                // A parent that comes first excludes cycles, so every chain of parents ends in a root.
                Some(parent) => {
                    assert!(parent < id);
                    assert_eq!(tree.segments[parent].points.last(), Some(&start));
                    assert_eq!(tree.segments[parent].kind, segment.kind);
                }
                None => {
                    let [x, y] = [
                        start[0] / scene.disc_radius[0],
                        start[1] / scene.disc_radius[1],
                    ];
                    assert!(x.hypot(y) < 1.0, "root at {start:?}");
                    roots.push(segment.kind);
                }
            }
        }
        assert_eq!(roots.len(), 2);
        assert_ne!(roots[0], roots[1]);
    }
}

#[test]
fn no_vessel_enters_the_fovea() {
    let (scene, tree) = tree(4);
    let nearest = tree
        .segments
        .iter()
        .flat_map(|segment| &segment.points)
        .map(|point| (point[0] - scene.fovea[0]).hypot(point[1] - scene.fovea[1]))
        .fold(f32::INFINITY, f32::min);
    assert!(nearest >= scene.avascular_radius, "{nearest}");
}

#[test]
fn settings_out_of_range_are_named() {
    type Change = fn(&mut SyntheticFundus);
    let table: [(&str, Change); 9] = [
        ("width", |c| c.width = 63),
        ("height", |c| c.height = usize::MAX),
        ("fov_diameter", |c| c.fov_diameter = 0.0),
        ("field_angle", |c| c.field_angle = f32::NAN),
        ("cut", |c| c.cut = 1.1),
        ("base_color[1]", |c| c.base_color[1] = -1.0),
        ("vessel_share", |c| c.vessel_share = 0.5),
        ("blur", |c| c.blur = f32::INFINITY),
        ("jpeg_quality", |c| c.jpeg_quality = Some(0)),
    ];
    for (name, change) in table {
        let mut config = SyntheticFundus::drive_like();
        change(&mut config);
        let expected = format!("SyntheticFundus::{name}");
        for error in [
            synthetic_fundus(&config, 0, 0).unwrap_err(),
            SyntheticSet::new(config, 0, 1).unwrap_err(),
        ] {
            assert!(
                matches!(&error, Error::InvalidConfig { field, .. } if *field == expected),
                "{error}"
            );
        }
    }
}

#[test]
fn set_ends_where_it_says() {
    let set = SyntheticSet::new(SyntheticFundus::square(64), 9, 2).unwrap();
    assert_eq!(
        (set.len(), set.id(1), set.id(2)),
        (2, "synthetic_9_0001", "")
    );
    assert_eq!(set.load(1).unwrap().id, set.id(1));
    assert!(matches!(
        set.load(2),
        Err(Error::IndexOutOfRange { index: 2, len: 2 })
    ));
}

#[test]
fn config_survives_json_and_refuses_unknown_fields() {
    let config = SyntheticFundus::chase_like();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<SyntheticFundus>(&text).unwrap(),
        config
    );
    let partial: SyntheticFundus = serde_json::from_str(r#"{"width": 100}"#).unwrap();
    assert_eq!((partial.width, partial.height), (100, 584));
    assert!(serde_json::from_str::<SyntheticFundus>(r#"{"hight": 100}"#).is_err());
}

/// Every field from end to end of what it may be, on small pictures.
fn anything() -> SyntheticRange {
    SyntheticRange {
        width: [96, 160],
        fov_diameter: [0.6, 1.2],
        field_angle: [20.0, 60.0],
        disc_centred: 0.2,
        cut: 0.5,
        lesions: 0.5,
        red: [60.0, 255.0],
        green_share: [0.2, 1.0],
        blue_share: [0.1, 1.0],
        gray: 0.5,
        vessel_share: [0.04, 0.16],
        calibre: [0.5, 2.0],
        contrast: [0.1, 3.0],
        artery_darkness: [0.3, 1.2],
        reflex: [0.0, 2.0],
        tortuosity: [0.0, 3.0],
        label_margin: [0.0, 2.0],
        texture: [0.0, 3.0],
        choroid: 1.0,
        reflections: 0.5,
        rim: 0.5,
        illumination: [0.0, 2.0],
        blur: [0.0, 5.0],
        sharpness_gradient: [0.0, 1.0],
        noise: [0.0, 0.2],
        jpeg: 0.5,
        jpeg_quality: [1, 100],
        ..SyntheticRange::any_camera()
    }
}

#[test]
fn no_draw_is_without_vessels() {
    let range = anything();
    for index in 0..240 {
        let look = range.draw(3, index).unwrap();
        let share = share(&synthetic_fundus(&look, 3, index).unwrap());
        assert!(share > 0.015, "{index}: {share}, {look:?}");
    }
}

#[test]
fn gray_pictures_have_no_colour_and_others_have() {
    let look = |gray| SyntheticFundus {
        gray,
        ..SyntheticFundus::square(96)
    };
    let is_gray = |gray| {
        let sample = synthetic_fundus(&look(gray), 1, 0).unwrap();
        let mut pixels = sample.image.pixels();
        pixels.all(|pixel| pixel[0].abs_diff(pixel[1]) < 6 && pixel[1].abs_diff(pixel[2]) < 6)
    };
    assert!(is_gray(1.0) && !is_gray(0.0));
}

#[test]
fn every_field_of_a_look_changes_the_picture() {
    let plain = SyntheticFundus::square(128);
    let looks = [
        SyntheticFundus {
            calibre: 1.4,
            ..plain.clone()
        },
        SyntheticFundus {
            artery_darkness: 0.5,
            ..plain.clone()
        },
        SyntheticFundus {
            texture: 2.0,
            ..plain.clone()
        },
        SyntheticFundus {
            reflections: 1.0,
            ..plain.clone()
        },
        SyntheticFundus {
            rim: 1.0,
            ..plain.clone()
        },
        SyntheticFundus {
            reflex: 2.0,
            ..plain.clone()
        },
        SyntheticFundus {
            illumination: 2.0,
            ..plain.clone()
        },
        SyntheticFundus {
            sharpness_gradient: 1.0,
            ..plain.clone()
        },
        SyntheticFundus {
            gray: 1.0,
            ..plain.clone()
        },
    ];
    let picture = |look: &SyntheticFundus| synthetic_fundus(look, 4, 0).unwrap().image;
    for look in &looks {
        assert_ne!(picture(look), picture(&plain), "{look:?}");
    }
}

#[test]
fn a_margin_widens_the_label_and_not_the_vessel() {
    let (mut scene, tree) = tree(3);
    let fov = Mask::from_fn(scene.width, scene.height, |x, y| scene.sees(x, y));
    let exact = vessels::draw(&tree, &scene, &fov, 0.3);
    scene.label_margin = 0.8;
    let wide = vessels::draw(&tree, &scene, &fov, 0.3);
    assert_eq!((&exact.artery, &exact.vein), (&wide.artery, &wide.vein));
    let both = exact.label.data().iter().zip(wide.label.data());
    assert!(both.clone().all(|(exact, wide)| *wide || !*exact));
    let added = wide.label.count() as f32 / exact.label.count() as f32;
    assert!((1.2..1.8).contains(&added), "{added}");
}

#[test]
fn a_rim_darkens_the_border_alone() {
    let plain = SyntheticFundus::square(128);
    let rimmed = SyntheticFundus {
        rim: 1.0,
        jpeg_quality: None,
        ..plain.clone()
    };
    let plain = SyntheticFundus {
        jpeg_quality: None,
        ..plain
    };
    let [plain, rimmed] = [plain, rimmed].map(|look| synthetic_fundus(&look, 4, 0).unwrap());
    let fov = plain.fov.unwrap();
    let (mut darker, mut inner) = (0, 0);
    for (x, y, pixel) in plain.image.enumerate_pixels() {
        let other = rimmed.image.get_pixel(x, y);
        let border = f32::hypot(x as f32 - 63.5, y as f32 - 63.5) > 50.0;
        if !border {
            assert_eq!(pixel, other, "at {x}, {y}");
            inner += 1;
        } else if fov.data()[(y * 128 + x) as usize] {
            darker += i32::from(pixel[1] > other[1]);
        }
    }
    assert!(darker > 100 && inner > 1000, "{darker}, {inner}");
}

#[test]
fn a_stream_has_new_photographs_in_every_epoch_and_the_same_on_any_number_of_threads() {
    let stream = || SyntheticStream::new(anything(), 5, 3).unwrap();
    assert_eq!(stream().load(2).unwrap(), stream().load_in(0, 2).unwrap());
    // Photograph 4 of the endless set, whatever came before.
    let fourth = synthetic_fundus(&anything().draw(5, 4).unwrap(), 5, 4).unwrap();
    assert_eq!(stream().load_in(1, 1).unwrap(), fourth);
    assert!(stream().drawn(2).unwrap().contains("seed 5") && stream().drawn(3).is_none());
    assert!(stream().load_in(7, 3).is_err());
    let batches = |workers, cache| {
        let set = PreparedSet::new(stream(), Preprocess::default(), FovPolicy::Given);
        let set = Arc::new(set.with_cache_limit(cache));
        let views = AugmentedSet::new(set.clone(), Augment::standard(), (48, 48), 1).unwrap();
        let config = LoaderConfig {
            batch_size: 2,
            repeats: 2,
            workers,
            ..LoaderConfig::default()
        };
        let loader = Loader::new(Arc::new(views), config).unwrap();
        let epochs = (0..2).flat_map(|epoch| loader.epoch(epoch));
        let batches: Vec<_> = epochs.map(Result::unwrap).collect();
        // Each takes the place of the one before it.
        assert!(set.cached_bytes() <= 3 * 192 * 192 * 6);
        batches
    };
    let alone = batches(0, 0);
    assert_eq!(alone.len(), 6);
    assert_ne!(alone[..3], alone[3..]);
    assert_eq!(alone, batches(3, 1 << 30));
}

#[test]
fn ranges_say_which_field_is_wrong() {
    let range = SyntheticRange::any_camera();
    let wrong = [
        (
            "noise",
            SyntheticRange {
                noise: [0.03, 0.01],
                ..range.clone()
            },
        ),
        (
            "blur",
            SyntheticRange {
                blur: [f32::NAN, 1.0],
                ..range.clone()
            },
        ),
        (
            "calibre",
            SyntheticRange {
                calibre: [0.1, 1.0],
                ..range.clone()
            },
        ),
        (
            "jpeg_quality",
            SyntheticRange {
                jpeg_quality: [50, 101],
                ..range.clone()
            },
        ),
        (
            "green_share",
            SyntheticRange {
                green_share: [0.0, 0.5],
                ..range.clone()
            },
        ),
        (
            "width",
            SyntheticRange {
                width: [10, 500],
                ..range.clone()
            },
        ),
        (
            "choroid",
            SyntheticRange {
                choroid: 1.5,
                ..range.clone()
            },
        ),
    ];
    for (field, range) in wrong {
        let error = range.validate().unwrap_err().to_string();
        assert!(error.contains(field), "{error}");
        assert!(SyntheticStream::new(range, 0, 1).is_err());
    }
    assert!(SyntheticStream::new(range.clone(), 0, 0).is_err());
    assert!("any_camera".parse::<SyntheticRange>().is_err());
    for name in SyntheticRange::NAMES {
        assert_eq!(name.parse::<SyntheticRange>().unwrap().name(), name);
    }
    let own = SyntheticRange {
        noise: [0.0, 0.1],
        ..range
    };
    assert_eq!(own.name(), "a range of one's own");
    let text = serde_json::to_string(&own).unwrap();
    assert_eq!(serde_json::from_str::<SyntheticRange>(&text).unwrap(), own);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_size_and_setting_works(
        (width, height) in (64_usize..300, 64_usize..300),
        fov_diameter in 0.3_f32..=1.5,
        field_angle in 20.0_f32..=60.0,
        chances in prop::array::uniform3(0.0_f32..=1.0),
        (tortuosity, blur, noise) in (0.0_f32..=3.0, 0.0_f32..=5.0, 0.0_f32..=0.2),
        variation in 0.0_f32..=1.0,
        jpeg_quality in prop::option::of(1_u8..=100),
        seed in any::<u64>(),
    ) {
        let [disc_centred, cut, lesions] = chances;
        let config = SyntheticFundus {
            width, height, fov_diameter, field_angle, disc_centred, cut, lesions,
            tortuosity, blur, noise, variation, jpeg_quality,
            ..SyntheticFundus::drive_like()
        };
        let sample = synthetic_fundus(&config, seed, 0).unwrap();
        prop_assert_eq!(sample.size(), (width, height));
        sample.check_sizes().unwrap();
        let share = share(&sample);
        prop_assert!(share > 0.0 && share < 0.4, "share {share}");
    }
}
