//! Skeleton, thin map, components and distances equal scikit-image, torch and SciPy pixel for pixel.

use venule_metrics::{
    Comparison, ScoredImage, betti0, connected_components, scores_from_mask, skeletonize,
    squared_distance, thin_map, vessel_width,
};

use crate::{assert_close, lines, numbers};

struct Case {
    name: String,
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    expected: Vec<(&'static str, &'static str)>,
}

impl Case {
    fn bit(&self, bit: u8) -> Vec<bool> {
        self.pixels
            .iter()
            .map(|pixel| pixel >> bit & 1 == 1)
            .collect()
    }
}

fn cases(kind: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut wanted = false;
    for (key, rest) in lines(include_str!("../fixtures/masks.txt")) {
        if key == "mask" || key == "pair" {
            wanted = key == kind;
        }
        if !wanted {
            continue;
        }
        if key == kind {
            let mut words = rest.split(' ');
            let name = words.next().unwrap().to_string();
            let [width, height] = [0, 1].map(|_| words.next().unwrap().parse().unwrap());
            cases.push(Case {
                name,
                width,
                height,
                pixels: Vec::new(),
                expected: Vec::new(),
            });
        } else if key.starts_with(|c: char| c == '.' || c.is_ascii_digit()) {
            let digits = key.bytes().map(|c| if c == b'.' { 0 } else { c - b'0' });
            cases.last_mut().unwrap().pixels.extend(digits);
        } else {
            cases.last_mut().unwrap().expected.push((key, rest));
        }
    }
    cases
}

fn picture(mask: &[bool], width: usize) -> String {
    let row = |row: &[bool]| {
        row.iter()
            .map(|&m| if m { '#' } else { '.' })
            .chain(['\n'])
            .collect::<String>()
    };
    mask.chunks(width).map(row).collect()
}

#[test]
fn equal_scikit_image_torch_and_scipy() {
    let cases = cases("mask");
    assert_eq!(cases.len(), 15);
    for case in cases {
        let (name, width, height, mask) = (&case.name, case.width, case.height, case.bit(0));
        let skeleton = skeletonize(&mask, width, height).unwrap();
        assert_eq!(
            skeleton,
            case.bit(1),
            "skeleton of {name}:\n{}",
            picture(&skeleton, width)
        );
        let thin = thin_map(&mask, width, height).unwrap();
        assert_eq!(
            thin,
            case.bit(2),
            "thin map of {name}:\n{}",
            picture(&thin, width)
        );
        let components = connected_components(&mask, width, height).unwrap();
        let vessel = |values: Vec<f64>| values.into_iter().map(Some).collect::<Vec<_>>();
        let at_vessels = |values: &mut dyn Iterator<Item = f64>| {
            let kept = values.zip(&mask).filter(|(_, m)| **m);
            kept.map(|(value, _)| Some(value)).collect::<Vec<_>>()
        };
        for &(key, expected) in &case.expected {
            match key {
                "components" => {
                    assert_eq!(components.count().to_string(), expected, "{name}");
                    assert_eq!(
                        betti0(&mask, width, height).unwrap().to_string(),
                        expected,
                        "{name}"
                    );
                }
                "sizes" => {
                    let sizes: Vec<_> = components.sizes.iter().map(u64::to_string).collect();
                    assert_eq!(sizes.join(" "), expected, "{name}");
                }
                "label_checksum" => {
                    let sum: u64 = components
                        .labels
                        .iter()
                        .zip(0..)
                        .map(|(&l, i)| u64::from(l) * (i % 9973))
                        .sum();
                    assert_eq!(sum.to_string(), expected, "{name}");
                }
                "squared_distance" => {
                    let squared = squared_distance(&mask, width, height).unwrap();
                    let found = at_vessels(&mut squared.iter().map(|&d| f64::from(d)));
                    assert_eq!(found, vessel(numbers(expected)), "{name}");
                    assert!(
                        squared.iter().zip(&mask).all(|(&d, &m)| m == (d > 0)),
                        "{name}"
                    );
                }
                "widths_squared" => {
                    // Stored as the squared distance on the skeleton, ((w + 1)/2)².
                    let widths = vessel_width(&mask, width, height).unwrap();
                    let squared = |w: f32| ((f64::from(w) + 1.0) / 2.0).powi(2).round();
                    let found = at_vessels(&mut widths.iter().map(|&w| squared(w)));
                    assert_eq!(found, vessel(numbers(expected)), "{name}");
                }
                _ => panic!("unknown key {key}"),
            }
        }
    }
}

#[test]
fn scores_of_pairs_equal_those_from_scikit_image_maps() {
    let cases = cases("pair");
    assert_eq!(cases.len(), 4);
    for case in cases {
        let (target, prediction, valid) = (case.bit(0), case.bit(1), case.bit(2));
        let scores = scores_from_mask(&prediction);
        let image =
            ScoredImage::new(case.width, case.height, &scores, &target, Some(&valid)).unwrap();
        let comparison = Comparison::new(&image, 0.5).unwrap();
        let thin = comparison.thin_vessels().unwrap();
        for &(key, expected) in &case.expected {
            let found = match key {
                "cl_dice" => comparison.skeletons().unwrap().f1(),
                "thin_recall" => thin.recall(),
                "thin_precision" => thin.precision(),
                "betti0_error" => Some(comparison.component_error().unwrap() as f64),
                _ => panic!("unknown key {key}"),
            };
            assert_close(
                found,
                expected,
                1e-12,
                &format!("{key} of pair {}", case.name),
            );
        }
    }
}

#[test]
fn a_wide_vessel_is_thin_at_the_rim_where_no_square_of_valid_pixels_holds_it() {
    // A vessel of rows 2 to 5; the field of view ends after row 3 from column 4 on.
    let (width, height) = (9, 8);
    let target: Vec<bool> = (0..72).map(|i| (2..6).contains(&(i / width))).collect();
    let valid: Vec<bool> = (0..72).map(|i| i % width < 4 || i / width < 4).collect();
    let scores = vec![1.0; 72];
    let thin = |valid: Option<&[bool]>| {
        let image = ScoredImage::new(width, height, &scores, &target, valid).unwrap();
        let comparison = Comparison::new(&image, 0.5).unwrap();
        picture(comparison.target_thin().unwrap(), width)
    };
    // 3x3 squares cover rows 2 to 5 of columns 0 to 3. What is left beside them is two rows high and holds none. If the pixels outside
    // the field of view did not erode, as those beyond the border of the image, nothing would be thin.
    let right = "....#####\n";
    let none = ".........\n";
    let expected = [none, none, right, right, none, none, none, none].concat();
    assert_eq!(thin(Some(&valid)), expected);
    assert_eq!(thin(None), none.repeat(height));
}
