//! Bad arguments end in a typed error that says what was expected; nothing panics.

use venule_metrics::{
    Bootstrap, Calibration, Comparison, Confusion, Error, Evaluator, Metric, PooledScores, Result,
    ScoredImage, ThresholdSweep, WidthClass, average_precision, best_f1_threshold,
    connected_components, paired_permutation_test, roc_auc, skeletonize, squared_distance,
    summarize, thin_map, vessel_width,
};

#[test]
fn lengths_must_agree() {
    let short = Error::LengthMismatch {
        what: "the target",
        expected: 2,
        found: 1,
    };
    assert_eq!(roc_auc(&[0.1, 0.2], &[true], None).unwrap_err(), short);
    assert_eq!(
        Confusion::from_scores(&[0.1, 0.2], &[true], None, 0.5).unwrap_err(),
        short
    );
    assert_eq!(
        Confusion::from_mask(&[true, true], &[true], None).unwrap_err(),
        short
    );
    let valid = Error::LengthMismatch {
        what: "the valid map",
        expected: 2,
        found: 3,
    };
    assert_eq!(
        average_precision(&[0.1, 0.2], &[true, false], Some(&[true; 3])).unwrap_err(),
        valid
    );
    let image = Error::ImageLength {
        width: 2,
        height: 2,
        found: 3,
    };
    assert_eq!(
        ScoredImage::new(2, 2, &[0.0; 3], &[true; 3], None).unwrap_err(),
        image
    );
    let mask = [true; 3];
    assert_eq!(skeletonize(&mask, 2, 2).unwrap_err(), image);
    assert_eq!(thin_map(&mask, 2, 2).unwrap_err(), image);
    assert_eq!(connected_components(&mask, 2, 2).unwrap_err(), image);
    assert_eq!(squared_distance(&mask, 2, 2).unwrap_err(), image);
    assert_eq!(vessel_width(&mask, 2, 2).unwrap_err(), image);
    assert!(image.to_string().contains("2x2"), "{image}");
    assert!(
        skeletonize(&mask, usize::MAX, 2).is_err(),
        "a product beyond usize"
    );
}

#[test]
fn nan_is_an_error_where_it_counts() {
    let (scores, targets) = ([0.5, f32::NAN, 0.1], [true, false, false]);
    let nan = Error::NanScore { index: 1 };
    assert_eq!(roc_auc(&scores, &targets, None).unwrap_err(), nan);
    assert_eq!(average_precision(&scores, &targets, None).unwrap_err(), nan);
    assert_eq!(best_f1_threshold(&scores, &targets, None).unwrap_err(), nan);
    assert_eq!(
        Confusion::from_scores(&scores, &targets, None, 0.5).unwrap_err(),
        nan
    );
    assert_eq!(ScoredImage::flat(&scores, &targets, None).unwrap_err(), nan);
    assert_eq!(
        roc_auc(&scores, &targets, Some(&[true, false, true])).unwrap(),
        Some(1.0)
    );
    assert_eq!(
        Confusion::from_scores(&[0.5], &[true], None, f32::NAN).unwrap_err(),
        Error::NanThreshold
    );
    assert_eq!(Evaluator::new(f32::NAN).unwrap_err(), Error::NanThreshold);
    let image = ScoredImage::flat(&[0.5], &[true], None).unwrap();
    assert_eq!(
        Comparison::new(&image, f32::NAN).unwrap_err(),
        Error::NanThreshold
    );
}

#[test]
fn probabilities_are_asked_for_where_they_are_needed() {
    let (scores, targets) = ([0.5, -3.0, 1.5], [true, false, true]);
    let image = ScoredImage::flat(&scores, &targets, None).unwrap();
    let outside = Error::NotAProbability {
        index: 1,
        value: -3.0,
    };
    let mut sweep = ThresholdSweep::new();
    assert_eq!(sweep.update(&image).unwrap_err(), outside);
    assert_eq!(sweep, ThresholdSweep::new(), "unchanged by the error");
    let mut calibration = Calibration::new(10).unwrap();
    assert_eq!(calibration.update(&image).unwrap_err(), outside);
    assert_eq!(calibration, Calibration::new(10).unwrap());
    let mut evaluator = Evaluator::new(0.5).unwrap();
    assert_eq!(evaluator.update(&image).unwrap_err(), outside);
    assert_eq!(evaluator, Evaluator::new(0.5).unwrap());
    // Ranking takes any numbers, infinities too.
    let infinite = [f32::NEG_INFINITY, f32::INFINITY];
    assert_eq!(roc_auc(&infinite, &[false, true], None).unwrap(), Some(1.0));
    let mut pooled = PooledScores::new();
    pooled.update(&ScoredImage::flat(&infinite, &[false, true], None).unwrap());
    let best = pooled.rank().best_f1().unwrap();
    assert_eq!((best.f1, best.threshold), (1.0, f32::NEG_INFINITY));
    // No threshold lies below −∞: the cut that calls such pixels vessel does not exist.
    let lowest = f32::NEG_INFINITY;
    let best_f1 = |scores: &[f32], targets: &[bool]| {
        let mut pooled = PooledScores::new();
        pooled.update(&ScoredImage::flat(scores, targets, None).unwrap());
        pooled.rank().best_f1()
    };
    assert_eq!(best_f1(&[lowest], &[true]), None);
    let (scores, targets) = ([0.5, lowest, lowest], [true, true, true]);
    let best = best_f1(&scores, &targets).unwrap();
    assert_eq!((best.counts.tp, best.counts.fn_, best.f1), (1, 2, 0.5));
    let counts = Confusion::from_scores(&scores, &targets, None, best.threshold).unwrap();
    assert_eq!(counts, best.counts);
}

#[test]
fn accumulators_of_different_settings_do_not_merge() {
    let mut half = Evaluator::new(0.5).unwrap();
    let error = half.merge(&Evaluator::new(0.25).unwrap()).unwrap_err();
    let [left, right] = ["0.5", "0.25"].map(String::from);
    assert_eq!(
        error,
        Error::MergeMismatch {
            what: "thresholds",
            left,
            right
        }
    );
    let mut ten = Calibration::new(10).unwrap();
    assert!(matches!(
        ten.merge(&Calibration::new(15).unwrap()),
        Err(Error::MergeMismatch { .. })
    ));
}

#[test]
fn settings_are_checked() {
    let image = ScoredImage::flat(&[0.5], &[true], None).unwrap();
    let comparison = Comparison::new(&image, 0.5).unwrap();
    assert_eq!(
        comparison.width_recall(&WidthClass::BOUNDS).unwrap().len(),
        4
    );
    for bounds in [
        &[3.0, 3.0][..],
        &[5.0, 3.0],
        &[f32::NAN],
        &[f32::INFINITY],
        &[0.0],
    ] {
        assert!(
            matches!(
                comparison.width_recall(bounds),
                Err(Error::InvalidBounds { .. })
            ),
            "{bounds:?}"
        );
    }
    assert!(matches!(
        Calibration::new(0),
        Err(Error::CountOutOfRange { found: 0, .. })
    ));
    assert!(matches!(
        Calibration::new(usize::MAX),
        Err(Error::CountOutOfRange { .. })
    ));
    let bootstrap = Bootstrap::default();
    for resamples in [0, usize::MAX] {
        let error = Bootstrap {
            resamples,
            ..bootstrap
        }
        .mean(&[1.0])
        .unwrap_err();
        assert!(matches!(error, Error::CountOutOfRange { .. }));
    }
    for confidence in [0.0, 1.0, -1.0, f64::NAN] {
        let error = Bootstrap {
            confidence,
            ..bootstrap
        }
        .mean(&[1.0])
        .unwrap_err();
        assert!(matches!(error, Error::InvalidConfidence { .. }));
    }
    assert_eq!(
        bootstrap.mean(&[]).unwrap_err(),
        Error::Empty {
            what: "a bootstrap interval"
        }
    );
    assert!(matches!(
        bootstrap.mean(&[1.0, f64::NAN]),
        Err(Error::NotFinite { index: 1, .. })
    ));
    assert!(matches!(
        bootstrap.mean_difference(&[1.0], &[]),
        Err(Error::LengthMismatch { .. })
    ));
    assert!(matches!(
        summarize([None, Some(f64::INFINITY)]),
        Err(Error::NotFinite { index: 1, .. })
    ));
    assert_eq!(
        paired_permutation_test(&[], &[], 10, 0).unwrap_err(),
        Error::Empty {
            what: "a paired test"
        }
    );
    assert!(matches!(
        paired_permutation_test(&[1.0], &[1.0], 0, 0),
        Err(Error::CountOutOfRange { .. })
    ));
    assert!(matches!(
        paired_permutation_test(&[1.0], &[f64::NAN], 9, 0),
        Err(Error::NotFinite { index: 0, .. })
    ));
}

#[test]
fn extreme_shapes_are_no_trouble() {
    for (width, height) in [
        (0, 0),
        (0, 5),
        (5, 0),
        (0, usize::MAX),
        (usize::MAX, 0),
        (1, 1),
        (1, 65_535),
        (65_535, 1),
    ] {
        let mask = vec![true; width * height];
        assert_eq!(skeletonize(&mask, width, height).unwrap().len(), mask.len());
        assert_eq!(
            thin_map(&mask, width, height).unwrap(),
            vec![false; mask.len()]
        );
        assert_eq!(
            squared_distance(&mask, width, height).unwrap(),
            vec![u32::MAX; mask.len()]
        );
        assert_eq!(
            connected_components(&mask, width, height).unwrap().count(),
            usize::from(!mask.is_empty())
        );
        assert!(
            vessel_width(&mask, width, height)
                .unwrap()
                .iter()
                .all(|w| w.is_infinite())
        );
        let scores = vec![1.0; mask.len()];
        let mut evaluator = Evaluator::new(0.5).unwrap();
        evaluator
            .update(&ScoredImage::new(width, height, &scores, &mask, None).unwrap())
            .unwrap();
        assert_eq!(
            evaluator.compute().pooled.get("f1"),
            (!mask.is_empty()).then_some(1.0)
        );
    }
    let long = vec![false; 70_000];
    let error = squared_distance(&long, 70_000, 1).unwrap_err();
    assert!(matches!(
        error,
        Error::ImageTooLarge {
            width: 70_000,
            height: 1,
            ..
        }
    ));
}

/// A metric whose every answer can be chosen.
struct Odd {
    name: &'static str,
    counts: fn(&Comparison<'_>) -> usize,
    value: Option<f64>,
}

impl Metric for Odd {
    fn name(&self) -> &'static str {
        self.name
    }
    fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
        Ok(vec![1; (self.counts)(image)])
    }
    fn value(&self, _: &[u128]) -> Option<f64> {
        self.value
    }
}

#[test]
fn metrics_of_ones_own_are_checked() {
    let odd = |name| {
        Box::new(Odd {
            name,
            counts: |image| image.target().len(),
            value: Some(1.0),
        })
    };
    let empty = || Evaluator::new(0.5).unwrap();
    let (scores, target) = ([0.5; 3], [true; 3]);
    let image = |pixels| ScoredImage::flat(&scores[..pixels], &target[..pixels], None).unwrap();
    for (name, reason) in [
        ("", "its name is empty"),
        ("f1", "another metric has this name"),
        ("id", "another column"),
    ] {
        let error = empty().with_metric(odd(name)).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
    let mut late = empty();
    late.update(&image(2)).unwrap();
    let error = late.clone().with_metric(odd("odd")).unwrap_err();
    assert!(error.to_string().contains("add metrics first"), "{error}");

    // As many counts as pixels: those of two sizes do not add up.
    let mut two = empty().with_metric(odd("odd")).unwrap();
    two.update(&image(2)).unwrap();
    let before = two.clone();
    let error = two.update(&image(3)).unwrap_err().to_string();
    assert!(error.contains("2 counts before and 3 now"), "{error}");
    assert_eq!(two, before, "unchanged by the error");
    let mut three = empty().with_metric(odd("odd")).unwrap();
    three.update(&image(3)).unwrap();
    for other in [three, late] {
        let error = two.merge(&other).unwrap_err();
        assert!(matches!(
            error,
            Error::MergeMismatch {
                what: "metrics",
                ..
            }
        ));
        assert_eq!(two, before);
    }
    for value in [f64::NAN, f64::INFINITY] {
        let metric = Odd {
            value: Some(value),
            ..*odd("odd")
        };
        let mut evaluator = empty().with_metric(Box::new(metric)).unwrap();
        let error = evaluator.update(&image(1)).unwrap_err();
        assert!(matches!(error, Error::InvalidMetric { .. }), "{error}");
    }
    // Without an image nothing is asked of a metric.
    let nothing = empty().with_metric(odd("odd")).unwrap().finish();
    assert_eq!(nothing.pooled.get("odd"), None);
    assert!(nothing.names().any(|name| name == "odd"));
}
