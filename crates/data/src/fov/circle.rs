use super::outline::{Outline, RAYS};
use crate::Mask;

/// A disc with up to four straight cuts, at reduced size: what a fundus camera's aperture leaves.
pub(super) struct Disc {
    circle: Circle,
    /// Coordinates of the cuts: least x, least y, greatest x, greatest y.
    cuts: [f64; 4],
}

#[derive(Clone, Copy)]
struct Circle {
    x: f64,
    y: f64,
    radius: f64,
}

impl Disc {
    /// Fits a disc to an outline, or gives `None` if most of the outline lies on no circle.
    pub(super) fn fit(outline: &Outline) -> Option<Self> {
        let circle = Circle::by_consensus(outline)?;
        let mask = outline.bright();
        let (width, height) = (mask.width() as f64, mask.height() as f64);
        let disc = Self {
            circle,
            cuts: [
                cut(mask, circle, Side::Left).unwrap_or(0.0),
                cut(mask, circle, Side::Top).unwrap_or(0.0),
                width - cut(mask, circle, Side::Right).unwrap_or(0.0),
                height - cut(mask, circle, Side::Bottom).unwrap_or(0.0),
            ],
        };
        // A circle through part of the outline that leaves out much of what is bright, or is mostly dark, is chance.
        let (mut within, mut covered) = (0, 0);
        for y in 0..mask.height() {
            for (x, &bright) in mask.row(y).iter().enumerate() {
                if disc.contains(x as f64 + 0.5, y as f64 + 0.5) {
                    within += 1;
                    covered += usize::from(bright);
                }
            }
        }
        let fits = covered as f64 > 0.96 * outline.area() && covered as f64 > 0.6 * within as f64;
        fits.then_some(disc)
    }

    /// Whether a point lies inside.
    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        let [left, top, right, bottom] = self.cuts;
        self.circle.contains(x, y) && x >= left && y >= top && x <= right && y <= bottom
    }
}

impl Circle {
    /// The square of a point's distance from the centre: all comparisons are of squares, without a root for each point.
    fn square_distance(&self, (x, y): (f64, f64)) -> f64 {
        let (x, y) = (x - self.x, y - self.y);
        x * x + y * y
    }

    fn contains(&self, x: f64, y: f64) -> bool {
        self.square_distance((x, y)) <= self.radius * self.radius
    }

    /// Whether points lie no further from the circle than this.
    fn near(&self, tolerance: f64) -> impl Fn(&(f64, f64)) -> bool {
        let (inner, outer) = ((self.radius - tolerance).max(0.0), self.radius + tolerance);
        move |&point| (inner * inner..=outer * outer).contains(&self.square_distance(point))
    }

    /// The circle that most of the outline lies on (RANSAC over a fixed set of triples, then least squares on its points).
    fn by_consensus(outline: &Outline) -> Option<Self> {
        let points = outline.free_points();
        let count = points.len();
        if count < RAYS / 4 {
            return None;
        }
        let size = outline.bright().size();
        let (least, most) = (
            0.25 * size.0.min(size.1) as f64,
            1.2 * size.0.max(size.1) as f64,
        );
        let tolerance = (0.01 * size.0.min(size.1) as f64).max(1.5);
        let close = |circle: &Circle, tolerance: f64| -> Vec<(f64, f64)> {
            let near = circle.near(tolerance);
            points.iter().filter(|point| near(point)).copied().collect()
        };
        let mut best: Option<(usize, Circle)> = None;
        for start in 0..count {
            // Second and third point in twelfths of the outline.
            for (second, third) in [(4, 8), (3, 6), (2, 5), (2, 4), (1, 3)] {
                let triple = [
                    points[start],
                    points[(start + second * count / 12) % count],
                    points[(start + third * count / 12) % count],
                ];
                let Some(circle) = Circle::least_squares(&triple) else {
                    continue;
                };
                if !(least..=most).contains(&circle.radius) {
                    continue;
                }
                let near = circle.near(tolerance);
                let votes = points.iter().filter(|point| near(point)).count();
                if best.is_none_or(|(most_votes, _)| votes > most_votes) {
                    best = Some((votes, circle));
                }
            }
        }
        let (votes, mut circle) = best?;
        if votes * 2 < count || votes < RAYS / 4 {
            return None;
        }
        for tolerance in [tolerance, 0.75 * tolerance, 0.5 * tolerance] {
            circle = Circle::least_squares(&close(&circle, tolerance)).unwrap_or(circle);
        }
        Some(circle)
    }

    /// The algebraic least-squares circle (Kåsa): the solution of 2ax + 2by + c = x² + y², `None` for points on a line.
    fn least_squares(points: &[(f64, f64)]) -> Option<Self> {
        let count = points.len() as f64;
        let mean_x = points.iter().map(|p| p.0).sum::<f64>() / count;
        let mean_y = points.iter().map(|p| p.1).sum::<f64>() / count;
        let (mut xx, mut xy, mut yy, mut xz, mut yz, mut z) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
        for &(x, y) in points {
            // About the mean the constant term decouples.
            let (u, v) = (x - mean_x, y - mean_y);
            let square = u * u + v * v;
            xx += u * u;
            xy += u * v;
            yy += v * v;
            xz += u * square;
            yz += v * square;
            z += square;
        }
        let determinant = xx * yy - xy * xy;
        if determinant <= 1e-9 * (xx + yy) * (xx + yy) {
            return None;
        }
        let a = (xz * yy - yz * xy) / (2.0 * determinant);
        let b = (yz * xx - xz * xy) / (2.0 * determinant);
        Some(Self {
            x: mean_x + a,
            y: mean_y + b,
            radius: (z / count + a * a + b * b).sqrt(),
        })
    }
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Top,
    Right,
    Bottom,
}

/// How far from a side of the photograph the disc is cut off straight; `None` if it is not.
///
/// A cut shows as many columns (for the upper side) whose first bright pixels lie in one row although the circle reaches
/// further. A badly lit edge is curved, and shows no such row.
fn cut(mask: &Mask, circle: Circle, side: Side) -> Option<f64> {
    let (width, height) = mask.size();
    let (columns, rows) = match side {
        Side::Top | Side::Bottom => (width, height),
        Side::Left | Side::Right => (height, width),
    };
    let place = |column: usize, row: usize| match side {
        Side::Top => (column, row),
        Side::Bottom => (column, height - 1 - row),
        Side::Left => (row, column),
        Side::Right => (width - 1 - row, column),
    };
    let inside = |column: usize, row: usize| {
        let (x, y) = place(column, row);
        circle.contains(x as f64 + 0.5, y as f64 + 0.5)
    };
    // Of each column that meets the circle: where the circle begins, and where brightness begins inside it.
    let begins: Vec<(usize, usize)> = (0..columns)
        .filter_map(|column| {
            let disc = (0..rows / 2).find(|&row| inside(column, row))?;
            let bright = (disc..rows).find(|&row| {
                let (x, y) = place(column, row);
                mask.get(x, y) == Some(&true)
            })?;
            Some((disc, bright))
        })
        .collect();
    (3..rows / 2)
        .filter_map(|row| {
            // A cut here would show in these columns.
            let chord = begins.iter().filter(|(disc, _)| disc + 2 < row).count();
            let flat = begins
                .iter()
                .filter(|(disc, bright)| disc + 2 < row && (row..row + 3).contains(bright))
                .count();
            let straight =
                flat as f64 >= 0.75 * chord as f64 && chord as f64 >= 0.15 * circle.radius;
            straight.then_some((flat, row))
        })
        .max_by_key(|&(flat, row)| (flat, std::cmp::Reverse(row)))
        .map(|(_, row)| row as f64)
}
