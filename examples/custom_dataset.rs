//! A data set of one's own, by name: `--dataset clinic=PATH` and run files know it, and it trains and evaluates like a built-in one.
//!
//! `cargo run --release --example custom_dataset`

use std::path::Path;

use venule::data::{
    Dataset, DatasetSpec, Error, FolderSet, Layout, SampleFiles, Split, mask_image, write_png,
};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};
use venule::{Segmenter, evaluate};

/// `eye_N.png` with its label `eye_N_vessels.png` in one folder; even numbers are for test.
fn clinic(root: &Path, split: Split) -> Result<FolderSet, Error> {
    let is_test = |number: usize| number.is_multiple_of(2);
    let wanted = (1..=4).filter(|&number| match split {
        Split::Train => !is_test(number),
        Split::Test => is_test(number),
        _ => split == Split::All,
    });
    let files = wanted.map(|number| SampleFiles {
        label: Some(root.join(format!("eye_{number}_vessels.png"))),
        ..SampleFiles::unlabelled(
            format!("eye_{number}"),
            root.join(format!("eye_{number}.png")),
        )
    });
    Ok(FolderSet::from_files(files.collect()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    Layout::register(
        Layout::new("clinic", clinic).with_splits("odd numbers / none / even numbers"),
    )?;

    // Somebody's folder: four photographs with their labels.
    let root = std::env::temp_dir().join(format!("venule_clinic_{}", std::process::id()));
    std::fs::create_dir_all(&root)?;
    for number in 1..=4 {
        let sample = synthetic_fundus(&SyntheticFundus::square(160), 3, number)?;
        let label = sample.label.ok_or("a synthetic photograph has a label")?;
        write_png(root.join(format!("eye_{number}.png")), sample.image)?;
        write_png(
            root.join(format!("eye_{number}_vessels.png")),
            mask_image(&label)?,
        )?;
    }

    let spec: DatasetSpec = format!("clinic={}", root.display()).parse()?;
    let test = spec.open(Split::Test)?;
    println!("{} test images, the first is {}", test.len(), test.id(0));
    let evaluated = evaluate(&Segmenter::bundled_fast()?, &test, |_, _| Ok(()))?;
    println!("F1 {:.3}", evaluated.report.pooled.get("f1").unwrap_or(0.0));
    std::fs::remove_dir_all(&root)?;
    Ok(())
}
