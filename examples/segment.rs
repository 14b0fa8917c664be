//! Finds the vessels of a photograph with the weights that are built in, and writes a mask and an overlay.
//!
//! `cargo run --release --example segment -- photo.jpg`; without an argument a synthetic photograph is drawn.

use venule::Segmenter;
use venule::data::{mask_image, read_image, write_png};
use venule::synthetic::{SyntheticFundus, synthetic_fundus};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let photo = match std::env::args().nth(1) {
        Some(path) => read_image(path)?,
        None => synthetic_fundus(&SyntheticFundus::default(), 1, 0)?.image,
    };
    // To be made once and shared by threads: `Segmenter` is `Send + Sync`.
    let segmenter = Segmenter::bundled()?;
    let vessels = segmenter.segment(&photo)?;
    println!(
        "{} of {} pixels of the retina are vessel (threshold {:.3})",
        vessels.mask.count(),
        vessels.fov.count(),
        vessels.threshold
    );
    std::fs::create_dir_all("out")?;
    write_png("out/mask.png", mask_image(&vessels.mask)?)?;
    write_png("out/overlay.png", vessels.overlay(&photo, None)?)?;
    println!("out/mask.png, out/overlay.png");
    Ok(())
}
