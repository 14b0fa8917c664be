//! Thin vessels by their definition, which `venule-metrics` shares.

use candle_core::{DType, Device, Tensor};
use proptest::prelude::*;
use venule_loss::thin_vessel_map;

/// The definition, pixel by pixel: a vessel pixel of the field of view that no 3×3 square covers whose
/// pixels are all vessel inside the field of view. A square's centre lies in the image; what it holds
/// beyond the border does not count. The metrics: `thin_map` of `ScoredImage::valid_targets`.
fn definition(target: &[bool], valid: &[bool], width: usize) -> Vec<bool> {
    let height = target.len() / width;
    let around = |at: usize| {
        let (x, y) = (at % width, at / width);
        let rows = y.saturating_sub(1)..(y + 2).min(height);
        rows.flat_map(move |y| {
            (x.saturating_sub(1)..(x + 2).min(width)).map(move |x| y * width + x)
        })
    };
    let vessel = |at: usize| target[at] && valid[at];
    let wide = |at: usize| around(at).any(|centre| around(centre).all(vessel));
    (0..target.len())
        .map(|at| vessel(at) && !wide(at))
        .collect()
}

fn ours(target: &[bool], valid: Option<&[bool]>, width: usize, dtype: DType) -> Vec<bool> {
    let map = |bits: &[bool]| {
        let bits: Vec<u8> = bits.iter().map(|&bit| bit.into()).collect();
        let shape = (1, bits.len() / width, width);
        let map = Tensor::from_vec(bits, shape, &Device::Cpu).unwrap();
        map.to_dtype(dtype).unwrap()
    };
    let thin = thin_vessel_map(&map(target), valid.map(map).as_ref()).unwrap();
    crate::values(&thin)
        .iter()
        .map(|&value| value == 1.0)
        .collect()
}

proptest! {
    #[test]
    fn thin_vessels_are_those_of_the_definition(
        (width, pixels) in (1usize..12, 1usize..12).prop_flat_map(|(width, height)| {
            // Mostly vessel and mostly valid, or hardly a square would fit.
            let pixel = (prop::bool::weighted(0.85), prop::bool::weighted(0.9));
            (Just(width), prop::collection::vec(pixel, width * height))
        }),
    ) {
        let (target, valid): (Vec<bool>, Vec<bool>) = pixels.into_iter().unzip();
        let all = vec![true; target.len()];
        for dtype in [DType::F32, DType::F64] {
            let expected = definition(&target, &valid, width);
            prop_assert_eq!(ours(&target, Some(&valid), width, dtype), expected);
            prop_assert_eq!(ours(&target, None, width, dtype), definition(&target, &all, width));
        }
    }
}

/// A vessel four pixels wide that leaves the field of view: the rim cuts off what no square reaches.
#[test]
fn a_wide_vessel_is_thin_where_the_field_of_view_cuts_a_sliver_of_it() {
    let target = [true; 30]; // 5 × 6
    let mut valid = target;
    for row in valid.chunks_exact_mut(6) {
        row[0] = false;
    }
    (valid[1], valid[13]) = (false, false);
    let thin = ours(&target, Some(&valid), 6, DType::F32);
    let mut expected = [false; 30];
    expected[7] = true; // each square that holds it holds an invalid pixel
    assert_eq!(thin, definition(&target, &valid, 6));
    assert_eq!(thin, expected);
}
