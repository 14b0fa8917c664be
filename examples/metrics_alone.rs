//! The metrics alone, without anything else of venule: plain slices in, numbers out.
//!
//! `cargo run --release --example metrics_alone`

use venule_metrics::{Confusion, Evaluator, ScoredImage, best_f1_threshold, roc_auc};

fn main() -> Result<(), venule_metrics::Error> {
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
    let mut evaluator = Evaluator::new(0.5)?;
    evaluator.update(&ScoredImage::new(4, 3, &scores, &label, Some(&counted))?)?;
    evaluator.update(&ScoredImage::new(4, 3, &scores, &label, None)?)?;
    let report = evaluator.finish();
    for (name, value) in report.pooled.entries() {
        println!("{name:28} {value:?}");
    }
    Ok(())
}
