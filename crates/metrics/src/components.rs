use crate::scored_image::check_dimensions;
use crate::{Error, Result};

/// The 8-connected components of a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Components {
    /// For every pixel 0 on background, else the number of its component from 1 on, in the order in which the
    /// components' first pixels appear row by row; equals SciPy's `ndimage.label` with a full 3×3 structure.
    pub labels: Vec<u32>,
    /// Number of pixels of component k + 1 at index k.
    pub sizes: Vec<u64>,
}

impl Components {
    /// Number of components, the Betti number β0.
    pub fn count(&self) -> usize {
        self.sizes.len()
    }
}

/// Labels the 8-connected components of a mask.
///
/// ```
/// use venule_metrics::connected_components;
/// let mask = [
///     1, 0, 0, 1,
///     0, 1, 0, 1,
/// ].map(|v| v == 1);
/// let components = connected_components(&mask, 4, 2)?;
/// assert_eq!(components.labels, [1, 0, 0, 2, 0, 1, 0, 2]);
/// assert_eq!(components.sizes, [2, 2]);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If `mask` has not `width * height` values, or there are more than 2³² of them.
pub fn connected_components(mask: &[bool], width: usize, height: usize) -> Result<Components> {
    let mut runs = joined_runs(mask, width, height)?;
    let mut labels = vec![0; mask.len()];
    let mut sizes = Vec::new();
    let mut label_of = vec![0u32; runs.parents.len()];
    for index in 0..runs.spans.len() {
        let root = runs.root(index as u32) as usize;
        if label_of[root] == 0 {
            sizes.push(0);
            label_of[root] = sizes.len() as u32;
        }
        let label = label_of[root];
        let (start, end) = runs.spans[index];
        labels[start..end].fill(label);
        sizes[label as usize - 1] += (end - start) as u64;
    }
    Ok(Components { labels, sizes })
}

/// The Betti number β0 of a mask: how many 8-connected components it has.
///
/// # Errors
/// If `mask` has not `width * height` values, or there are more than 2³² of them.
pub fn betti0(mask: &[bool], width: usize, height: usize) -> Result<u64> {
    let runs = joined_runs(mask, width, height)?;
    Ok(runs
        .parents
        .iter()
        .enumerate()
        .filter(|&(index, &parent)| index == parent as usize)
        .count() as u64)
}

/// Horizontal runs of true pixels, joined into trees whose root is the component's first run.
struct Runs {
    /// Pixel indices [start, end) of each run, in raster order.
    spans: Vec<(usize, usize)>,
    parents: Vec<u32>,
}

impl Runs {
    fn root(&mut self, mut run: u32) -> u32 {
        while self.parents[run as usize] != run {
            let grandparent = self.parents[self.parents[run as usize] as usize];
            self.parents[run as usize] = grandparent;
            run = grandparent;
        }
        run
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller index stays root, so roots come in raster order.
        self.parents[a.max(b) as usize] = a.min(b);
    }
}

fn joined_runs(mask: &[bool], width: usize, height: usize) -> Result<Runs> {
    check_dimensions(width, height, mask.len())?;
    if mask.len() > u32::MAX as usize {
        return Err(Error::ImageTooLarge {
            width,
            height,
            what: "labelling components",
        });
    }
    let mut runs = Runs {
        spans: Vec::new(),
        parents: Vec::new(),
    };
    let mut above = 0..0; // the runs of the row above
    let rows = if mask.is_empty() { 0 } else { height };
    for y in 0..rows {
        let row = y * width;
        let (first, mut candidate) = (runs.spans.len(), above.start);
        let mut x = row;
        while let Some(skipped) = mask[x..row + width].iter().position(|&m| m) {
            let start = x + skipped;
            let end = mask[start..row + width]
                .iter()
                .position(|&m| !m)
                .map_or(row + width, |length| start + length);
            let this = runs.spans.len() as u32;
            runs.spans.push((start, end));
            runs.parents.push(this);
            // Runs above touch this one, diagonals included, if they reach into [start − 1, end].
            while candidate < above.end && runs.spans[candidate].1 + width < start {
                candidate += 1;
            }
            let mut touching = candidate;
            while touching < above.end && runs.spans[touching].0 + width <= end {
                runs.join(touching as u32, this);
                touching += 1;
            }
            x = end;
        }
        above = first..runs.spans.len();
    }
    Ok(runs)
}
