//! Fast paths against the plainest possible code on random input.

use proptest::prelude::*;
use venule_metrics::{
    Confusion, ScoredImage, ThresholdSweep, average_precision, connected_components, roc_auc,
    skeletonize, squared_distance, vessel_width,
};

/// Scores with many ties, targets and a valid map.
fn pixels() -> impl Strategy<Value = (Vec<f32>, Vec<bool>, Vec<bool>)> {
    (1usize..80, 1u32..40).prop_flat_map(|(n, levels)| {
        let score = (0..=levels).prop_map(move |level| level as f32 / levels as f32);
        (
            proptest::collection::vec(score, n),
            proptest::collection::vec(any::<bool>(), n),
            proptest::collection::vec(proptest::bool::weighted(0.8), n),
        )
    })
}

/// Width, height and pixels of any density.
pub fn mask(most: usize) -> impl Strategy<Value = (usize, usize, Vec<bool>)> {
    (1..=most, 1..=most, 0.0..1.0f64).prop_flat_map(|(width, height, density)| {
        let pixels = proptest::collection::vec(proptest::bool::weighted(density), width * height);
        (Just(width), Just(height), pixels)
    })
}

fn kept((scores, targets, valid): &(Vec<f32>, Vec<bool>, Vec<bool>)) -> Vec<(f32, bool)> {
    let all = scores.iter().zip(targets).zip(valid);
    all.filter(|(_, v)| **v)
        .map(|((&p, &y), _)| (p, y))
        .collect()
}

fn squared(width: usize, a: usize, b: usize) -> u32 {
    let (dx, dy) = (
        (a % width).abs_diff(b % width),
        (a / width).abs_diff(b / width),
    );
    (dx * dx + dy * dy) as u32
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn auc_is_the_share_of_pairs_in_order(case in pixels()) {
        let pixels = kept(&case);
        let (mut won, mut pairs) = (0.0, 0.0);
        for (p, _) in pixels.iter().filter(|(_, y)| *y) {
            for (q, _) in pixels.iter().filter(|(_, y)| !*y) {
                pairs += 1.0;
                won += if p > q { 1.0 } else if p == q { 0.5 } else { 0.0 };
            }
        }
        let found = roc_auc(&case.0, &case.1, Some(&case.2)).unwrap();
        prop_assert_eq!(found, (pairs > 0.0).then(|| won / pairs));
    }

    #[test]
    fn average_precision_is_its_sum(case in pixels()) {
        let pixels = kept(&case);
        let all = pixels.iter().filter(|(_, y)| *y).count() as f64;
        let mut levels: Vec<f32> = pixels.iter().map(|(p, _)| *p).collect();
        levels.sort_by(|a, b| b.total_cmp(a));
        levels.dedup();
        let (mut sum, mut before) = (0.0, 0.0);
        for level in levels {
            let called: Vec<_> = pixels.iter().filter(|(p, _)| *p >= level).collect();
            let tp = called.iter().filter(|(_, y)| *y).count() as f64;
            sum += (tp / all - before) * (tp / called.len() as f64);
            before = tp / all;
        }
        match average_precision(&case.0, &case.1, Some(&case.2)).unwrap() {
            Some(found) => prop_assert!((found - sum).abs() < 1e-12),
            None => prop_assert_eq!(all, 0.0),
        }
    }

    #[test]
    fn counts_are_those_of_a_plain_loop(case in pixels(), threshold in 0.0..1.0f32) {
        let mut plain = Confusion::default();
        for (p, y) in kept(&case) {
            match (p > threshold, y) {
                (true, true) => plain.tp += 1,
                (true, false) => plain.fp += 1,
                (false, false) => plain.tn += 1,
                (false, true) => plain.fn_ += 1,
            }
        }
        prop_assert_eq!(Confusion::from_scores(&case.0, &case.1, Some(&case.2), threshold).unwrap(), plain);
        let mask: Vec<bool> = case.0.iter().map(|&p| p > threshold).collect();
        prop_assert_eq!(Confusion::from_mask(&mask, &case.1, Some(&case.2)).unwrap(), plain);
    }

    #[test]
    fn sweep_counts_are_exact_at_each_of_its_thresholds(
        scores in proptest::collection::vec(0.0..=1.0f32, 1..40),
        seed in any::<u64>(),
    ) {
        // Some scores right on the grid.
        let scores: Vec<f32> = scores.iter().map(|&p| if p < 0.3 { (p * 4096.0).round() / 4096.0 } else { p }).collect();
        let targets: Vec<bool> = (0..scores.len()).map(|i| seed >> (i % 64) & 1 == 1).collect();
        let mut sweep = ThresholdSweep::new();
        sweep.update(&ScoredImage::flat(&scores, &targets, None).unwrap()).unwrap();
        let counts = sweep.counts();
        prop_assert_eq!(counts.len(), 4097);
        let mut most: f64 = 0.0;
        for &(threshold, found) in counts.iter().step_by(13) {
            prop_assert_eq!(Confusion::from_scores(&scores, &targets, None, threshold).unwrap(), found);
        }
        for (_, found) in counts {
            most = most.max(found.f1().unwrap_or(0.0));
        }
        match sweep.compute() {
            Some(best) => {
                prop_assert_eq!(best.f1, most);
                let again = Confusion::from_scores(&scores, &targets, None, best.threshold).unwrap();
                prop_assert_eq!(again, best.counts);
            }
            None => prop_assert!(!targets.contains(&true)),
        }
    }

    #[test]
    fn components_are_those_of_a_flood_fill((width, height, mask) in mask(16)) {
        let mut labels = vec![0u32; mask.len()];
        let mut count = 0;
        for start in 0..mask.len() {
            if !mask[start] || labels[start] > 0 {
                continue;
            }
            count += 1;
            labels[start] = count;
            let mut open = vec![start];
            while let Some(pixel) = open.pop() {
                for other in 0..mask.len() {
                    if mask[other] && labels[other] == 0 && squared(width, pixel, other) <= 2 {
                        labels[other] = count;
                        open.push(other);
                    }
                }
            }
        }
        let found = connected_components(&mask, width, height).unwrap();
        prop_assert_eq!(found.labels, labels);
        prop_assert_eq!(found.sizes.len() as u32, count);
    }

    #[test]
    fn distances_and_widths_are_those_of_a_plain_search((width, height, mask) in mask(14)) {
        let nearest = |pixel: usize, sites: &[bool]| {
            let sites = (0..mask.len()).filter(|&site| sites[site]);
            sites.min_by_key(|&site| (squared(width, pixel, site), site % width, site / width))
        };
        let background: Vec<bool> = mask.iter().map(|m| !m).collect();
        let plain: Vec<u32> = (0..mask.len())
            .map(|pixel| nearest(pixel, &background).map_or(u32::MAX, |site| squared(width, pixel, site)))
            .collect();
        prop_assert_eq!(&squared_distance(&mask, width, height).unwrap(), &plain);

        let skeleton = skeletonize(&mask, width, height).unwrap();
        let widths = vessel_width(&mask, width, height).unwrap();
        for pixel in 0..mask.len() {
            let expected = match nearest(pixel, &skeleton) {
                _ if !mask[pixel] => 0.0,
                Some(site) if plain[site] == u32::MAX => f32::INFINITY,
                Some(site) => (2.0 * f64::from(plain[site]).sqrt() - 1.0) as f32,
                None => return Err(TestCaseError::fail("a vessel without a skeleton")),
            };
            prop_assert_eq!(widths[pixel], expected);
        }
    }

    /// What every skeleton must satisfy; that it is the right one is proved by the golden masks.
    #[test]
    fn skeletons_lie_inside_keep_components_and_are_thin((width, height, mask) in mask(20)) {
        let skeleton = skeletonize(&mask, width, height).unwrap();
        prop_assert!(skeleton.iter().zip(&mask).all(|(&s, &m)| m || !s));
        prop_assert_eq!(&skeletonize(&skeleton, width, height).unwrap(), &skeleton, "not stable");
        let before = connected_components(&mask, width, height).unwrap();
        let after = connected_components(&skeleton, width, height).unwrap();
        prop_assert_eq!(before.count(), after.count());
    }
}
