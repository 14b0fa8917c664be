use crate::scored_image::check_dimensions;
use crate::{Error, Result};

/// The squared distance of every pixel to the nearest background pixel of the image, in px²; 0 on background.
///
/// Exact, in integers, in time linear in the pixels (Meijster, Roerdink & Hesselink 2000). Pixels outside the
/// image count neither as vessel nor as background; if the image has no background, every value is `u32::MAX`.
/// The square root equals SciPy's `distance_transform_edt`.
///
/// ```
/// // A vessel 3 px wide: its middle is 2 px from the background.
/// let row = [false, true, true, true, false];
/// assert_eq!(venule_metrics::squared_distance(&row, 5, 1)?, [0, 1, 4, 1, 0]);
/// # Ok::<(), venule_metrics::Error>(())
/// ```
///
/// # Errors
/// If `mask` has not `width * height` values, or the squared diagonal exceeds 32 bits.
pub fn squared_distance(mask: &[bool], width: usize, height: usize) -> Result<Vec<u32>> {
    check_dimensions(width, height, mask.len())?;
    let mut squared = vec![u32::MAX; mask.len()];
    transform(mask, false, width, height, |pixel, _, distance| {
        squared[pixel] = distance
    })?;
    Ok(squared)
}

/// For every pixel the index of the nearest true pixel of `sites`: of equally near ones the leftmost, of those
/// the uppermost. `None` if there is no site at all.
pub(crate) fn nearest_site(
    sites: &[bool],
    width: usize,
    height: usize,
) -> Result<Option<Vec<u32>>> {
    check_dimensions(width, height, sites.len())?;
    if !sites.contains(&true) {
        return Ok(None);
    }
    let mut nearest = vec![0; sites.len()];
    transform(sites, true, width, height, |pixel, site, _| {
        nearest[pixel] = site
    })?;
    Ok(Some(nearest))
}

/// No site in the column.
const NONE: u32 = u32::MAX;

/// Calls `visit(pixel, nearest site, squared distance)` for every pixel; sites are where `mask == site`.
/// Visits nothing if there is no site.
fn transform(
    mask: &[bool],
    site: bool,
    width: usize,
    height: usize,
    mut visit: impl FnMut(usize, u32, u32),
) -> Result<()> {
    if mask.is_empty() {
        return Ok(());
    }
    let square =
        |side: usize| (side.saturating_sub(1) as u64).checked_mul(side.saturating_sub(1) as u64);
    let diagonal = square(width)
        .zip(square(height))
        .and_then(|(w, h)| w.checked_add(h));
    if diagonal.is_none_or(|d| d >= u64::from(NONE)) || mask.len() > NONE as usize {
        return Err(Error::ImageTooLarge {
            width,
            height,
            what: "an exact distance transform",
        });
    }
    let rows = nearest_rows(mask, site, width, height);

    let mut squares = vec![0i64; width];
    let mut envelope = Envelope::default();
    for (y, rows) in rows.chunks_exact(width).enumerate() {
        for (square, &row) in squares.iter_mut().zip(rows) {
            *square = if row == NONE {
                0
            } else {
                (i64::from(row) - y as i64).pow(2)
            };
        }
        let mut emit = |x: i64, u: i64| {
            let nearest = rows[u as usize] as usize * width + u as usize;
            let distance = parabola(x, u, squares[u as usize]);
            visit(y * width + x as usize, nearest as u32, distance as u32);
        };
        envelope.start();
        for (u, &row) in rows.iter().enumerate() {
            if row == NONE {
                continue;
            }
            let u = u as i64;
            if row != y as u32 {
                envelope.add(u, &squares);
                continue;
            }
            // A site in this row: nothing beyond it is nearer to what lies before it, and nothing before to what lies beyond.
            if envelope.next < u {
                envelope.add(u, &squares);
                envelope.emit(u, &mut emit);
            }
            emit(u, u);
            envelope.restart(u);
        }
        envelope.emit(width as i64, &mut emit);
    }
    Ok(())
}

/// Lower envelope of the parabolas (x − u)² + square(u) of a row, from a column on.
#[derive(Default)]
struct Envelope {
    /// (column u, the first x where its parabola is the lowest), both rising.
    segments: Vec<(i64, i64)>,
    /// The first column that has not been emitted.
    next: i64,
}

impl Envelope {
    fn start(&mut self) {
        self.segments.clear();
        self.next = 0;
    }

    /// Begins anew after the site at column `u` of the row itself.
    fn restart(&mut self, u: i64) {
        self.segments.clear();
        self.segments.push((u, u + 1));
        self.next = u + 1;
    }

    /// Adds the parabola of column `u`, to the right of all others.
    fn add(&mut self, u: i64, squares: &[i64]) {
        let height = squares[u as usize];
        // A segment beaten at its own first column is beaten everywhere; a draw stays with the left one.
        while let Some(&(left, first)) = self.segments.last()
            && parabola(first, left, squares[left as usize]) > parabola(first, u, height)
        {
            self.segments.pop();
        }
        match self.segments.last() {
            None => self.segments.push((u, self.next)),
            Some(&(left, _)) => {
                let numerator = u * u - left * left + height - squares[left as usize];
                // Floor + 1; the numerator is not negative, since the left one wins at a column ≥ 0.
                let first = numerator / (2 * (u - left)) + 1;
                if first < squares.len() as i64 {
                    self.segments.push((u, first));
                }
            }
        }
    }

    /// Calls `emit(x, column of the lowest parabola)` for all columns up to `end`.
    fn emit(&mut self, end: i64, emit: &mut impl FnMut(i64, i64)) {
        for (index, &(u, first)) in self.segments.iter().enumerate() {
            let next = self.segments.get(index + 1);
            let last = next.map_or(end, |&(_, next)| next.min(end));
            for x in first..last {
                emit(x, u);
            }
        }
    }
}

fn parabola(x: i64, u: i64, height: i64) -> i64 {
    (x - u) * (x - u) + height
}

/// For every pixel the row of the nearest site in its own column, the upper of two equally near, or [`NONE`].
fn nearest_rows(mask: &[bool], site: bool, width: usize, height: usize) -> Vec<u32> {
    let mut rows = vec![NONE; mask.len()];
    let mut above = vec![NONE; width];
    for y in 0..height {
        let span = y * width..(y + 1) * width;
        for ((row, above), &m) in rows[span.clone()]
            .iter_mut()
            .zip(&mut above)
            .zip(&mask[span])
        {
            *above = if m == site { y as u32 } else { *above };
            *row = *above;
        }
    }
    let mut below = vec![NONE; width];
    for y in (0..height).rev() {
        let span = y * width..(y + 1) * width;
        let y = y as u32;
        for ((row, below), &m) in rows[span.clone()]
            .iter_mut()
            .zip(&mut below)
            .zip(&mask[span])
        {
            *below = if m == site { y } else { *below };
            let nearer_below = *below != NONE && (*row == NONE || *below - y < y - *row);
            *row = if nearer_below { *below } else { *row };
        }
    }
    rows
}
