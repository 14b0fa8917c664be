//! The metrics alone, without anything else of venule: plain slices in, numbers out; and one of one's own beside the built-in ones.
//!
//! `cargo run --release --example metrics_alone`

use venule_metrics::{
    Comparison, Confusion, Evaluator, Metric, Result, ScoredImage, best_f1_threshold, roc_auc,
};

/// Length of the predicted centre lines over that of the label's.
struct LengthRatio;

impl Metric for LengthRatio {
    fn name(&self) -> &'static str {
        "length_ratio"
    }

    // Whole numbers of one image: their sums over images give the pooled value, the intervals, and the merge of shards.
    fn count(&self, image: &Comparison<'_>) -> Result<Vec<u128>> {
        let length = |skeleton: &[bool]| skeleton.iter().filter(|&&on| on).count() as u128;
        let predicted = length(image.prediction_skeleton()?);
        Ok(vec![predicted, length(image.target_skeleton()?)])
    }

    fn value(&self, sums: &[u128]) -> Option<f64> {
        (sums[1] > 0).then(|| sums[0] as f64 / sums[1] as f64)
    }
}

fn main() -> Result<()> {
    // A 4×3 map of probabilities, its label, and the pixels that count.
    let scores = [0.9, 0.8, 0.1, 0.2, 0.7, 0.4, 0.3, 0.1, 0.6, 0.2, 0.1, 0.0];
    let label = [
        true, true, false, false, true, true, false, false, false, false, false, false,
    ];
    let mut counted = [true; 12];
    counted[11] = false;

    let mut confusion = Confusion::default();
    confusion.update(&scores, &label, Some(&counted), 0.5)?;
    println!(
        "F1 {:?}, recall {:?} at 0.5",
        confusion.f1(),
        confusion.recall()
    );
    println!("ROC AUC {:?}", roc_auc(&scores, &label, Some(&counted))?);
    if let Some(best) = best_f1_threshold(&scores, &label, Some(&counted))? {
        println!(
            "F1 {:.3} at {:.3}, the best threshold",
            best.f1, best.threshold
        );
    }

    // All metrics over many images, pooled and per image.
    let mut evaluator = Evaluator::new(0.5)?.with_metric(Box::new(LengthRatio))?;
    evaluator.update(&ScoredImage::new(4, 3, &scores, &label, Some(&counted))?)?;
    evaluator.update(&ScoredImage::new(4, 3, &scores, &label, None)?)?;
    for (name, value) in evaluator.finish().pooled.entries() {
        println!("{name:28} {value:?}");
    }
    Ok(())
}
