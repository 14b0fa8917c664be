//! Writes synthetic photographs and their vessels as files, in the layout `folder`:
//!
//! ```text
//! cargo run --release -p venule-lab --example synthetic_set -- 10000 out/synthetic
//! ```
//!
//! FOLDER/images/00000.png and FOLDER/masks/00000.png, and so on, of the range `any-camera`; a number always has the same
//! photograph. They serve to try programs on many photographs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use venule::BoxError;
use venule::data::{mask_image, write_png};
use venule::synthetic::{SyntheticRange, synthetic_fundus};
use venule_lab::venule;

const SEED: u64 = 1;

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, folder] = arguments.as_slice() else {
        return Err("give a number of photographs and a folder".into());
    };
    let (count, folder): (usize, PathBuf) = (count.parse()?, folder.into());
    for part in ["images", "masks"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    let next = AtomicUsize::new(0);
    let work = || -> Result<(), BoxError> {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(());
            }
            write(&folder, index)?;
        }
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            worker.join().map_err(|_| "drawing panicked")??;
        }
        Ok(())
    })
}

fn write(folder: &Path, index: usize) -> Result<(), BoxError> {
    let look = SyntheticRange::any_camera().draw(SEED, index)?;
    let sample = synthetic_fundus(&look, SEED, index)?;
    let label = sample.label.ok_or("a synthetic photograph has a label")?;
    let name = format!("{index:05}.png");
    write_png(folder.join("images").join(&name), sample.image)?;
    write_png(folder.join("masks").join(&name), mask_image(&label)?)?;
    Ok(())
}
