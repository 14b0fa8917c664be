//! Writes the tables of the documents anew, from the measurements in `results/`.
//!
//!     cargo run -p venule-lab --example tables

use std::error::Error;
use std::path::Path;
use venule_lab::tables::{fill, render};

/// The documents that hold tables, relative to the repository.
const DOCUMENTS: [&str; 4] = [
    "README.md",
    "docs/results.md",
    "docs/performance.md",
    "crates/weights/README.md",
];

fn main() -> Result<(), Box<dyn Error>> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let tables = render(&repository.join("results"))?;
    for name in DOCUMENTS {
        let path = repository.join(name);
        let document =
            std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        let filled = fill(&document, &tables).map_err(|error| format!("{name}, {error}"))?;
        if filled != document {
            std::fs::write(&path, filled).map_err(|error| format!("{name}: {error}"))?;
            println!("{name}: written");
        }
    }
    Ok(())
}
