use serde::{Deserialize, Serialize};

use super::jitter::probability;
use crate::draw::Draw;
use crate::prepare::b_spline;
use crate::{Error, Result};

/// Smooth random deformation: displacements drawn on a coarse grid and interpolated by cubic B-splines.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Elastic {
    /// How often it acts, 0..=1. Default 0.
    pub probability: f32,
    /// Standard deviation of the grid's displacements in source pixels, at most half the spacing; between the grid
    /// points about half of it is left. Default 8.
    pub amplitude: f32,
    /// Distance of grid points in pixels of the crop, at least 4. Default 32.
    pub spacing: f32,
}

impl Default for Elastic {
    fn default() -> Self {
        Self {
            probability: 0.0,
            amplitude: 8.0,
            spacing: 32.0,
        }
    }
}

impl Elastic {
    pub(super) fn validate(&self) -> Result<()> {
        probability("Elastic::probability", self.probability)?;
        if !(4.0..=1e5).contains(&self.spacing) {
            return Err(Error::InvalidConfig {
                field: "Elastic::spacing",
                found: self.spacing.to_string(),
                expected: "a distance from 4 to 1e5 pixels, e.g. 32",
            });
        }
        if !(0.0..=self.spacing / 2.0).contains(&self.amplitude) {
            return Err(Error::InvalidConfig {
                field: "Elastic::amplitude",
                found: self.amplitude.to_string(),
                expected: "between 0 and half of Elastic::spacing, or the image folds over itself",
            });
        }
        Ok(())
    }

    pub(super) fn draw(&self, crop: (usize, usize), draw: &mut Draw) -> Option<Displacement> {
        (draw.unit() < self.probability).then(|| Displacement::new(self, crop, draw))
    }
}

/// A displacement field over a crop.
pub(super) struct Displacement {
    spacing: f32,
    columns: usize,
    /// (x, y) displacements of the grid points, row by row.
    grid: Vec<(f32, f32)>,
}

impl Displacement {
    fn new(elastic: &Elastic, crop: (usize, usize), draw: &mut Draw) -> Self {
        // Three more points than intervals: a cubic spline reaches one before and two after.
        let points = |side: usize| (side as f32 / elastic.spacing) as usize + 4;
        let (columns, rows) = (points(crop.0), points(crop.1));
        let grid = (0..columns * rows)
            .map(|_| {
                let (x, y) = draw.normals();
                (x * elastic.amplitude, y * elastic.amplitude)
            })
            .collect();
        Self {
            spacing: elastic.spacing,
            columns,
            grid,
        }
    }

    /// The grid's columns, interpolated down to row `y` of the crop.
    pub(super) fn row(&self, y: usize) -> Vec<(f32, f32)> {
        let (first, weights) = self.weights(y);
        (0..self.columns)
            .map(|x| {
                let points = weights.iter().zip(first..);
                points.fold((0.0, 0.0), |sum, (w, row)| {
                    let point = self.grid[row * self.columns + x];
                    (sum.0 + w * point.0, sum.1 + w * point.1)
                })
            })
            .collect()
    }

    /// The displacement at column `x` of an interpolated row.
    pub(super) fn at(&self, row: &[(f32, f32)], x: usize) -> (f32, f32) {
        let (first, weights) = self.weights(x);
        let points = weights.iter().zip(&row[first..]);
        points.fold((0.0, 0.0), |sum, (w, point)| {
            (sum.0 + w * point.0, sum.1 + w * point.1)
        })
    }

    /// The first of four grid points around a pixel and their cubic B-spline weights.
    fn weights(&self, position: usize) -> (usize, [f32; 4]) {
        let at = (position as f32 + 0.5) / self.spacing;
        let first = at as usize;
        (first, b_spline(at - first as f32))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draw::Purpose;

    #[test]
    fn a_constant_grid_displaces_by_a_constant() {
        let elastic = Elastic::default();
        let mut draw = Draw::new(0, 0, 0, Purpose::Elastic);
        for crop in [(32, 64), (33, 31), (1, 200)] {
            let mut field = Displacement::new(&elastic, crop, &mut draw);
            field.grid.iter_mut().for_each(|p| *p = (2.0, -3.0));
            for y in 0..crop.1 {
                let row = field.row(y);
                for x in 0..crop.0 {
                    let (dx, dy) = field.at(&row, x);
                    assert!((dx - 2.0).abs() < 1e-5 && (dy + 3.0).abs() < 1e-5);
                }
            }
        }
    }
}
