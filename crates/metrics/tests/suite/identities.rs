//! Merge equals one pass, symmetries, invariances, and the values at the extremes.

use proptest::prelude::*;
use venule_metrics::{
    Bootstrap, Calibration, Comparison, Confusion, CoverCounts, Evaluator, METRICS, Metric,
    PooledScores, Report, Result, ScoredImage, ThresholdSweep, WidthClass, roc_auc,
    scores_from_mask, skeletonize, thin_map,
};

#[derive(Debug, Clone)]
struct Image {
    width: usize,
    height: usize,
    scores: Vec<f32>,
    targets: Vec<bool>,
    valid: Vec<bool>,
}

impl Image {
    fn view(&self) -> ScoredImage<'_> {
        ScoredImage::new(
            self.width,
            self.height,
            &self.scores,
            &self.targets,
            Some(&self.valid),
        )
        .unwrap()
    }
}

fn image() -> impl Strategy<Value = Image> {
    (1usize..14, 1usize..14).prop_flat_map(|(width, height)| {
        let n = width * height;
        (
            proptest::collection::vec(0.0..=1.0f32, n),
            proptest::collection::vec(proptest::bool::weighted(0.4), n),
            proptest::collection::vec(proptest::bool::weighted(0.9), n),
        )
            .prop_map(move |(scores, targets, valid)| Image {
                width,
                height,
                scores,
                targets,
                valid,
            })
    })
}

/// A metric of one's own, of shared maps and with counts of every size: the mean length of what is predicted.
struct Length;

impl Metric for Length {
    fn name(&self) -> &'static str {
        "length"
    }
    fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
        let skeleton = image.prediction_skeleton()?.iter();
        Ok(vec![skeleton.filter(|&&s| s).count() as u128, 1])
    }
    fn value(&self, sums: &[u128]) -> Option<f64> {
        Some(sums[0] as f64 / sums[1] as f64)
    }
}

fn evaluator() -> Evaluator {
    let evaluator = Evaluator::new(0.5).unwrap();
    evaluator.with_metric(Box::new(Length)).unwrap()
}

fn report(images: &[Image]) -> Report {
    let mut evaluator = evaluator();
    for image in images {
        evaluator.update(&image.view()).unwrap();
    }
    evaluator.finish()
}

/// That accumulators of two parts of the images merge into the one of all.
fn merged_equals_one_pass<A: PartialEq + std::fmt::Debug>(
    (left, right): (&[Image], &[Image]),
    new: impl Fn() -> A,
    update: impl Fn(&mut A, &ScoredImage<'_>),
    merge: impl Fn(&mut A, &A),
) {
    let run = |accumulator: &mut A, images: &[Image]| {
        images
            .iter()
            .for_each(|image| update(accumulator, &image.view()));
    };
    let (mut all, mut merged, mut rest) = (new(), new(), new());
    run(&mut all, left);
    run(&mut all, right);
    run(&mut merged, left);
    run(&mut rest, right);
    merge(&mut merged, &rest);
    assert_eq!(merged, all);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn merging_equals_one_pass(images in proptest::collection::vec(image(), 0..6), cut in 0.0..=1.0f64) {
        let cut = (cut * images.len() as f64) as usize;
        let parts = images.split_at(cut);
        merged_equals_one_pass(parts, ThresholdSweep::new, |s, i| s.update(i).unwrap(), |s, other| s.merge(other));
        merged_equals_one_pass(parts, PooledScores::new, PooledScores::update, PooledScores::merge);
        let calibration = || Calibration::new(15).unwrap();
        merged_equals_one_pass(parts, calibration, |s, i| s.update(i).unwrap(), |s, other| s.merge(other).unwrap());
        merged_equals_one_pass(parts, evaluator, |s, i| s.update(i).unwrap(), |s, other| s.merge(other).unwrap());
        let mut merged = evaluator();
        for part in [parts.0, parts.1] {
            let mut shard = evaluator();
            part.iter().for_each(|image| shard.update(&image.view()).unwrap());
            merged.merge(&shard).unwrap();
        }
        prop_assert_eq!(merged.finish(), report(&images));
    }

    #[test]
    fn invalid_pixels_never_matter(image in image(), noise in any::<u64>()) {
        let mut other = image.clone();
        for (i, &valid) in image.valid.iter().enumerate() {
            if !valid {
                other.scores[i] = if noise >> (i % 64) & 1 == 1 { f32::NAN } else { 7.0 };
                other.targets[i] = noise >> ((i + 7) % 64) & 1 == 1;
            }
        }
        prop_assert_eq!(report(&[image]), report(&[other]));
    }

    #[test]
    fn a_report_keeps_what_its_parts_say(images in proptest::collection::vec(image(), 1..5)) {
        let (mut evaluator, mut pooled) = (evaluator(), PooledScores::new());
        for image in &images {
            evaluator.update(&image.view()).unwrap();
            pooled.update(&image.view());
        }
        let report = evaluator.compute();
        // Finishing copies nothing and says the same.
        prop_assert_eq!(&evaluator.finish(), &report);
        let ranked = pooled.compute();
        prop_assert_eq!(report.roc.clone(), ranked.roc_curve(400).unwrap_or_default());
        let curve = ranked.precision_recall_curve(400).unwrap_or_default();
        prop_assert_eq!(report.precision_recall.clone(), curve);
        prop_assert_eq!(report.confusion, report.confusion_at_half);
        // One count more than those of the table is one metric more in each list.
        prop_assert_eq!(report.names().count(), METRICS.len() + 1);
        let length = |image: &Image| skeletonize(&image.view().prediction(0.5), image.width, image.height).unwrap();
        let length = |image: &Image| length(image).iter().filter(|&&s| s).count() as f64;
        let lengths: Vec<Option<f64>> = images.iter().map(|image| Some(length(image))).collect();
        let mean = lengths.iter().flatten().sum::<f64>() / images.len() as f64;
        prop_assert_eq!(report.pooled.get("length"), Some(mean));
        prop_assert_eq!(report.per_image.iter().map(|row| row.get("length")).collect::<Vec<_>>(), lengths);
        prop_assert_eq!(report.summaries().unwrap()[METRICS.len()].1.unwrap().mean, mean);
        for row in METRICS {
            let value = report.pooled.get(row.name);
            prop_assert!(value.is_none_or(|v| row.range.0 <= v && v <= row.range.1), "{} {:?}", row.name, value);
        }

        // The intervals of sums are those that adding the counts by hand gives, on the same draws.
        let bootstrap = Bootstrap { resamples: 40, ..Bootstrap::default() };
        let intervals = report.pooled_intervals(&bootstrap).unwrap();
        let f1 = bootstrap.statistic(images.len(), |drawn| {
            let mut sum = Confusion::default();
            drawn.iter().for_each(|&image| sum.merge(&report.per_image_confusion[image]));
            sum.f1()
        });
        prop_assert_eq!(intervals[4], ("f1", f1.unwrap()));
        // So is that of a metric of one's own, whose mean pooled is that of the images.
        let by_mean = report.mean_intervals(&bootstrap).unwrap();
        prop_assert_eq!(intervals[METRICS.len()], by_mean[METRICS.len()]);
        for ((name, interval), value) in intervals.into_iter().zip(report.pooled.values()) {
            if let Some(interval) = interval {
                prop_assert_eq!(Some(interval.estimate), value, "{}", name);
                prop_assert!(interval.low <= interval.high, "{}", name);
                let share = ["roc_auc", "average_precision"].contains(&name);
                prop_assert!(!share || interval.low >= 0.0 && interval.high <= 1.0, "{}", name);
            }
        }
        // The mean of an image alone is its value, and so are both ends.
        let one = self::report(&images[..1]);
        for ((_, interval), value) in one.mean_intervals(&bootstrap).unwrap().into_iter().zip(one.pooled.values()) {
            prop_assert_eq!(interval.map(|i| i.estimate), value);
            prop_assert_eq!(interval.map(|i| (i.low, i.high)), value.zip(value));
        }
    }

    #[test]
    fn counts_add_up_and_one_image_is_the_pool(image in image()) {
        let report = report(std::slice::from_ref(&image));
        prop_assert_eq!(&report.per_image[0], &report.pooled);
        let pixels = image.valid.iter().filter(|&&v| v).count() as u64;
        prop_assert_eq!(report.confusion.total(), pixels);
        prop_assert_eq!(report.calibration.bins.iter().map(|bin| bin.count).sum::<u64>(), pixels);
        // The width classes part the target's vessels, so their counts are those of the recall.
        prop_assert_eq!(report.width_recall.iter().map(|c| c.found).sum::<u64>(), report.confusion.tp);
        let vessels = report.confusion.tp + report.confusion.fn_;
        prop_assert_eq!(report.width_recall.iter().map(|c| c.target).sum::<u64>(), vessels);
    }

    #[test]
    fn auc_of_swapped_classes_or_order_is_its_complement(image in image()) {
        let auc = |scores: &[f32], targets: &[bool]| roc_auc(scores, targets, None).unwrap();
        let swapped: Vec<bool> = image.targets.iter().map(|y| !y).collect();
        let negated: Vec<f32> = image.scores.iter().map(|p| -p).collect();
        if let Some(value) = auc(&image.scores, &image.targets) {
            prop_assert!((auc(&image.scores, &swapped).unwrap() - (1.0 - value)).abs() < 1e-12);
            prop_assert!((auc(&negated, &image.targets).unwrap() - (1.0 - value)).abs() < 1e-12);
            // A rising transform (exact for floats) changes nothing.
            let scaled: Vec<f32> = image.scores.iter().map(|p| p * 4.0).collect();
            prop_assert_eq!(auc(&scaled, &image.targets), Some(value));
        }
    }

    #[test]
    fn dice_and_iou_belong_together(tp in 0u64..1000, fp in 0u64..1000, fn_ in 0u64..1000) {
        let counts = Confusion { tp, fp, tn: 5, fn_ };
        if let (Some(f1), Some(iou)) = (counts.f1(), counts.iou()) {
            prop_assert!((f1 - 2.0 * iou / (1.0 + iou)).abs() < 1e-12);
        }
        // With equal shares of both classes balanced accuracy is accuracy.
        let even = Confusion { tp, fn_: 1000 - tp, tn: fp, fp: 1000 - fp };
        prop_assert!((even.balanced_accuracy().unwrap() - even.accuracy().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn thin_map_mirrors_with_the_image(image in image()) {
        let mirror = |mask: &[bool]| -> Vec<bool> {
            mask.chunks(image.width).flat_map(|row| row.iter().rev().copied()).collect()
        };
        let thin = thin_map(&image.targets, image.width, image.height).unwrap();
        prop_assert_eq!(thin_map(&mirror(&image.targets), image.width, image.height).unwrap(), mirror(&thin));
    }
}

#[test]
fn a_perfect_prediction_scores_one_everywhere() {
    // A cross of a 1 px and a 4 px vessel on 20x20.
    let target: Vec<bool> = (0..400)
        .map(|i| i / 20 == 9 || (3..7).contains(&(i % 20)))
        .collect();
    let mut evaluator = Evaluator::new(0.5).unwrap();
    let scores = scores_from_mask(&target);
    evaluator
        .update(&ScoredImage::new(20, 20, &scores, &target, None).unwrap())
        .unwrap();
    let pooled = evaluator.compute().pooled;
    for row in METRICS {
        let best = match row.larger_is_better {
            true => row.range.1,
            false => row.range.0,
        };
        assert_eq!(pooled.get(row.name), Some(best), "{}", row.name);
    }
}

#[test]
fn an_empty_prediction_scores_as_documented() {
    let target: Vec<bool> = (0..100).map(|i| i / 10 == 4).collect();
    let mut evaluator = Evaluator::new(0.5).unwrap();
    evaluator
        .update(&ScoredImage::new(10, 10, &[0.0; 100], &target, None).unwrap())
        .unwrap();
    let scores = evaluator.compute().pooled;
    assert_eq!(scores.get("accuracy"), Some(0.9));
    assert_eq!(scores.get("precision"), None); // nothing called vessel
    assert_eq!(
        (
            scores.get("recall"),
            scores.get("f1"),
            scores.get("dice"),
            scores.get("iou")
        ),
        (Some(0.0), Some(0.0), Some(0.0), Some(0.0))
    );
    assert_eq!(
        (scores.get("specificity"), scores.get("balanced_accuracy")),
        (Some(1.0), Some(0.5))
    );
    assert_eq!(scores.get("mcc"), None);
    assert_eq!(scores.get("roc_auc"), Some(0.5)); // all tied
    assert_eq!(scores.get("average_precision"), Some(0.1)); // the share of vessel
    assert_eq!(
        (
            scores.get("cl_dice"),
            scores.get("thin_precision"),
            scores.get("thin_f1")
        ),
        (Some(0.0), None, Some(0.0))
    );
    assert_eq!(scores.get("thin_recall"), Some(0.0));
    assert_eq!(scores.get("betti0_error"), Some(1.0));
    assert_eq!(
        (
            scores.get("brier"),
            scores.get("expected_calibration_error")
        ),
        (Some(0.1), Some(0.1))
    );
}

#[test]
fn images_on_which_nothing_is_found_count_in_the_means() {
    let target: Vec<bool> = (0..100).map(|i| i / 10 == 4).collect();
    let mut evaluator = Evaluator::new(0.5).unwrap();
    for scores in [scores_from_mask(&target), vec![0.0; 100]] {
        evaluator
            .update(&ScoredImage::new(10, 10, &scores, &target, None).unwrap())
            .unwrap();
    }
    let report = evaluator.compute();
    let summaries = report.summaries().unwrap();
    let intervals = report.mean_intervals(&Bootstrap::default()).unwrap();
    for wanted in ["f1", "cl_dice", "thin_f1"] {
        let of = |(name, _): &&(&str, _)| *name == wanted;
        let summary = summaries.iter().find(of).unwrap().1.unwrap();
        assert_eq!((summary.count, summary.mean), (2, 0.5), "{wanted}");
        let (_, interval) = intervals.iter().find(|(name, _)| *name == wanted).unwrap();
        assert_eq!(interval.unwrap().estimate, 0.5, "{wanted}");
    }
    // No vessel in the label: what is predicted is all wrong.
    let all_wrong = CoverCounts {
        predicted: 5,
        ..CoverCounts::default()
    };
    assert_eq!((all_wrong.recall(), all_wrong.f1()), (None, Some(0.0)));
}

#[test]
fn both_empty_agree_and_no_pixels_are_undefined() {
    let mut evaluator = Evaluator::new(0.5).unwrap();
    for (name, value) in evaluator.compute().pooled.entries() {
        assert_eq!(value, None, "{name} of nothing");
    }
    evaluator
        .update(&ScoredImage::new(3, 2, &[0.0; 6], &[false; 6], None).unwrap())
        .unwrap();
    let scores = evaluator.compute().pooled;
    assert_eq!(
        (scores.get("dice"), scores.get("f1"), scores.get("iou")),
        (Some(1.0), None, None)
    );
    assert_eq!(
        (scores.get("accuracy"), scores.get("specificity")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (
            scores.get("roc_auc"),
            scores.get("average_precision"),
            scores.get("recall")
        ),
        (None, None, None)
    );
    assert_eq!(
        (scores.get("cl_dice"), scores.get("betti0_error")),
        (None, Some(0.0))
    );
    assert_eq!(scores.get("thin_f1"), None);
    // One of the two empty: 0.
    assert_eq!(
        Confusion {
            tp: 0,
            fp: 3,
            tn: 1,
            fn_: 0
        }
        .dice(),
        Some(0.0)
    );
    assert_eq!(
        Confusion {
            tp: 0,
            fp: 0,
            tn: 1,
            fn_: 3
        }
        .dice(),
        Some(0.0)
    );
}

#[test]
fn mcc_is_computed_in_wide_integers() {
    // tp·tn and fp·fn near 10¹⁸; by hand: tp = tn = a, fp = fn = b gives (a² − b²)/(a + b)² = (a − b)/(a + b).
    let (a, b) = (1_000_000_001, 999_999_999);
    let counts = Confusion {
        tp: a,
        fp: b,
        tn: a,
        fn_: b,
    };
    assert!((counts.mcc().unwrap() - 1e-9).abs() < 1e-18);
    let most = u64::MAX;
    let counts = Confusion {
        tp: most,
        fp: most,
        tn: most,
        fn_: most,
    };
    assert_eq!(
        (counts.mcc(), counts.accuracy(), counts.f1()),
        (Some(0.0), Some(0.5), Some(0.5))
    );
}

#[test]
fn a_filled_square_keeps_a_skeleton() {
    for side in 1..12 {
        let skeleton = skeletonize(&vec![true; side * side], side, side).unwrap();
        assert!(skeleton.contains(&true), "{side}");
    }
}

#[test]
fn a_score_of_one_half_does_not_pass_one_half() {
    let (target, scores) = ([true, true, false, false], [0.5, 0.4, 0.5, 0.1]);
    let mut evaluator = Evaluator::new(0.3).unwrap();
    let image = ScoredImage::new(2, 2, &scores, &target, None).unwrap();
    evaluator.update(&image).unwrap();
    let report = evaluator.finish();
    // Nothing is called vessel: F1 is 0, and not undefined.
    assert_eq!(report.confusion_at_half.f1(), Some(0.0));
    assert_eq!((report.confusion.tp, report.confusion.fp), (2, 1));
}

#[test]
fn classes_of_width_have_names() {
    let image = ScoredImage::flat(&[0.5], &[true], None).unwrap();
    let comparison = Comparison::new(&image, 0.5).unwrap();
    let classes = comparison.width_recall(&WidthClass::BOUNDS).unwrap();
    let names: Vec<String> = classes.iter().map(WidthClass::name).collect();
    assert_eq!(names, ["below 3 px", "3 to 5 px", "5 to 7 px", "from 7 px"]);
    let one = comparison.width_recall(&[]).unwrap();
    assert_eq!(one[0].name(), "any width");
}

#[test]
fn the_crate_page_lists_every_metric() {
    let page = include_str!("../../src/lib.rs");
    let row = |line: &str| line.starts_with("//! | `");
    assert_eq!(page.lines().filter(|line| row(line)).count(), METRICS.len());
    let end = |value: f64| match value == f64::INFINITY {
        true => "∞)".to_owned(),
        false => format!("{value}]").replace('-', "−"),
    };
    let mut names = std::collections::BTreeSet::new();
    for metric in METRICS {
        let (low, high) = metric.range;
        let (low, high) = (end(low), end(high));
        let range = format!("[{}, {high}", low.trim_end_matches(']'));
        let line = format!(
            "//! | `{}` | {} | {range} |",
            metric.name, metric.definition
        );
        assert!(page.lines().any(|own| own == line), "{line}");
        assert!(names.insert(metric.name), "{} twice", metric.name);
    }
    let last = METRICS.iter().rev().take_while(|row| !row.larger_is_better);
    assert_eq!(
        last.count(),
        3,
        "the page says of which metrics smaller is better"
    );
    assert_eq!(
        METRICS.iter().filter(|row| !row.larger_is_better).count(),
        3
    );
}
