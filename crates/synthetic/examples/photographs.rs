//! Writes synthetic photographs and the list of their paths, for a trial of `venule segment --list` at scale.
//!
//! `cargo run --release -p venule-synthetic --example photographs -- FOLDER COUNT [DISTINCT [SIDE]]`
//!
//! Of COUNT photographs DISTINCT (200) are drawn, of SIDE² (256²) pixels; the others are hard links to them, under names of their own in
//! folders of a thousand.

use std::error::Error;
use std::fs;
use std::path::Path;

use venule_data::write_png;
use venule_synthetic::{SyntheticFundus, synthetic_fundus};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| match arguments.get(at) {
        None => Ok(default),
        Some(text) => text
            .parse()
            .map_err(|_| format!("'{text}' is no number; give FOLDER COUNT [DISTINCT [SIDE]]")),
    };
    let folder = arguments
        .first()
        .ok_or("give FOLDER COUNT [DISTINCT [SIDE]]")?;
    let (count, distinct, side) = (number(1, 1000)?, number(2, 200)?, number(3, 256)?);
    let (folder, kind) = (Path::new(folder), SyntheticFundus::square(side));
    let distinct = distinct.max(1);
    let path = |index: usize| folder.join(format!("{:04}/{index:07}.png", index / 1000));
    let mut list = String::new();
    for index in 0..count {
        let place = path(index);
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder)?;
        }
        match index < distinct {
            true => write_png(&place, synthetic_fundus(&kind, 1, index)?.image)?,
            false => fs::hard_link(path(index % distinct), &place)?,
        }
        list += &format!("{}\n", place.display());
    }
    let list_path = folder.join("photos.txt");
    fs::write(&list_path, list)?;
    println!(
        "{count} photographs, {} of them drawn: {}",
        count.min(distinct),
        list_path.display()
    );
    Ok(())
}
