//! Confusion, ranking and calibration equal scikit-learn on the same f32 scores.

use venule_metrics::{
    Calibration, Confusion, CurvePoint, PooledScores, RankedScores, ScoredImage, ThresholdSweep,
    average_precision, roc_auc,
};

use crate::{assert_close, lines};

#[derive(Default)]
struct Case<'a> {
    name: &'a str,
    scores: Vec<f32>,
    targets: Vec<bool>,
    expected: Vec<(&'a str, &'a str)>,
}

fn cases() -> Vec<Case<'static>> {
    let mut cases: Vec<Case> = Vec::new();
    for (key, rest) in lines(include_str!("../fixtures/scores.txt")) {
        if key == "case" {
            cases.push(Case {
                name: rest,
                ..Case::default()
            });
            continue;
        }
        let case = cases.last_mut().unwrap();
        match key {
            "scores" => {
                let bits = rest
                    .split(' ')
                    .map(|hex| u32::from_str_radix(hex, 16).unwrap());
                case.scores = bits.map(f32::from_bits).collect();
            }
            "targets" => case.targets = rest.chars().map(|c| c == '1').collect(),
            _ => case.expected.push((key, rest)),
        }
    }
    assert_eq!(cases.len(), 11);
    cases
}

fn ranked(case: &Case) -> RankedScores {
    let mut pooled = PooledScores::new();
    pooled.update(&ScoredImage::flat(&case.scores, &case.targets, None).unwrap());
    pooled.rank()
}

/// threshold,a,b of each point.
fn points(text: &str) -> Vec<[f64; 3]> {
    let triple = |point: &str| {
        let mut values = point.split(',').map(|value| value.parse::<f64>().unwrap());
        std::array::from_fn(|_| values.next().unwrap())
    };
    text.split(' ').map(triple).collect()
}

fn assert_points(
    found: &[CurvePoint],
    expected: &[[f64; 3]],
    of: impl Fn(&CurvePoint) -> [f64; 2],
    name: &str,
) {
    assert_eq!(found.len(), expected.len(), "{name}");
    for (found, expected) in found.iter().zip(expected) {
        let [a, b] = of(found);
        assert_eq!(f64::from(found.threshold), expected[0], "{name}");
        assert!(
            (a - expected[1]).abs() < 1e-12 && (b - expected[2]).abs() < 1e-12,
            "{name}: {found:?} {expected:?}"
        );
    }
}

#[test]
fn equal_scikit_learn() {
    for case in cases() {
        let counts = Confusion::from_scores(&case.scores, &case.targets, None, 0.4).unwrap();
        let ranked = ranked(&case);
        for &(key, expected) in &case.expected {
            let what = format!("{} of {}", key, case.name);
            let found = match key {
                "counts_at_0.4" => {
                    assert_eq!(
                        format!("{} {} {} {}", counts.tp, counts.fp, counts.tn, counts.fn_),
                        expected
                    );
                    continue;
                }
                "roc" => {
                    let of = |p: &CurvePoint| [p.false_positive_rate().unwrap(), p.recall()];
                    assert_points(
                        &ranked.roc_curve(usize::MAX).unwrap(),
                        &points(expected),
                        of,
                        &what,
                    );
                    continue;
                }
                "pr" => {
                    let of = |p: &CurvePoint| [p.precision().unwrap(), p.recall()];
                    let found = ranked.precision_recall_curve(usize::MAX).unwrap();
                    assert_points(&found, &points(expected), of, &what);
                    continue;
                }
                "roc_auc" => roc_auc(&case.scores, &case.targets, None).unwrap(),
                "average_precision" => {
                    average_precision(&case.scores, &case.targets, None).unwrap()
                }
                "accuracy" => counts.accuracy(),
                "precision" => counts.precision(),
                "recall" => counts.recall(),
                "specificity" => counts.specificity(),
                "balanced_accuracy" => counts.balanced_accuracy(),
                "f1" => counts.f1(),
                "iou" => counts.iou(),
                "mcc" => counts.mcc(),
                "best_f1" => ranked.best_f1().map(|best| best.f1),
                "brier" => calibration(&case, 10).brier,
                "ece_10" => calibration(&case, 10).expected_calibration_error,
                "ece_15" => calibration(&case, 15).expected_calibration_error,
                _ => panic!("unknown key {key}"),
            };
            assert_close(found, expected, 1e-12, &what);
        }
    }
}

fn calibration(case: &Case, bins: usize) -> venule_metrics::CalibrationReport {
    let mut calibration = Calibration::new(bins).unwrap();
    calibration
        .update(&ScoredImage::flat(&case.scores, &case.targets, None).unwrap())
        .unwrap();
    calibration.compute()
}

#[test]
fn best_thresholds_reach_the_f1_they_promise() {
    for case in cases() {
        let best = ranked(&case).best_f1().unwrap();
        let counts =
            Confusion::from_scores(&case.scores, &case.targets, None, best.threshold).unwrap();
        assert_eq!(counts, best.counts, "{}", case.name);
        assert_eq!(counts.f1(), Some(best.f1), "{}", case.name);
        if case.name == "logits" {
            continue; // the sweep is for probabilities
        }
        let mut sweep = ThresholdSweep::new();
        sweep
            .update(&ScoredImage::flat(&case.scores, &case.targets, None).unwrap())
            .unwrap();
        let swept = sweep.compute().unwrap();
        let counts =
            Confusion::from_scores(&case.scores, &case.targets, None, swept.threshold).unwrap();
        assert_eq!(counts, swept.counts, "{}", case.name);
        // The grid misses a threshold only where scores lie closer than 1/4096, and cannot take score 0 for vessel.
        assert!(swept.f1 <= best.f1);
        if case
            .scores
            .iter()
            .zip(&case.targets)
            .all(|(&p, &y)| p > 0.0 || !y)
        {
            assert!(
                swept.f1 > best.f1 - 0.02,
                "{}: {} {}",
                case.name,
                swept.f1,
                best.f1
            );
        }
    }
}

#[test]
fn shortened_curves_keep_their_ends_and_their_limit() {
    let case = cases()
        .into_iter()
        .find(|case| case.name == "continuous")
        .unwrap();
    let ranked = ranked(&case);
    let all = ranked.roc_curve(usize::MAX).unwrap();
    for limit in [3, 10, 50, 200] {
        let few = ranked.roc_curve(limit).unwrap();
        assert!(
            few.len() <= limit + 1 && few.len() > limit / 4,
            "{limit}: {}",
            few.len()
        );
        assert_eq!((few.first(), few.last()), (all.first(), all.last()));
        assert!(few.iter().all(|point| all.contains(point)));
    }
    // Many pixels share these scores: all three are wanted, and all three fit.
    let tied = [0.9, 0.9, 0.6, 0.6, 0.6, 0.2, 0.2];
    let targets = [true, false, true, false, true, false, false];
    let mut pooled = PooledScores::new();
    pooled.update(&ScoredImage::flat(&tied, &targets, None).unwrap());
    let ranked = pooled.compute();
    assert_eq!(ranked.roc_curve(4), ranked.roc_curve(usize::MAX));
    assert_eq!(ranked.precision_recall_curve(3).unwrap().len(), 3);
}

#[test]
fn of_thresholds_with_equal_f1_the_highest_is_taken() {
    // F1 is 2/3 above 0.7 (one of two vessel pixels, no false alarm) and below 0.3 (both, and two false alarms).
    let scores = [0.9, 0.7, 0.5, 0.3, 0.1];
    let targets = [true, false, false, true, false];
    let mut pooled = PooledScores::new();
    let mut sweep = ThresholdSweep::new();
    let image = ScoredImage::flat(&scores, &targets, None).unwrap();
    pooled.update(&image);
    sweep.update(&image).unwrap();
    for best in [
        pooled.compute().best_f1().unwrap(),
        sweep.compute().unwrap(),
    ] {
        assert_eq!((best.counts.tp, best.counts.fp), (1, 0));
        // The middle of the thresholds that give these counts.
        assert!((best.threshold - 0.8).abs() < 1.0 / 4096.0);
    }
}
