use super::tree::{Kind, Point};

/// Reference pixels per cell.
const CELL: f32 = 4.0;
/// Cells around a vessel in which it makes itself felt.
const HALO: i32 = 4;

/// Where vessels run, on a coarse grid, so that growing vessels keep clear of one another: in the retina, arteries
/// cross veins but never arteries, veins never veins, and the room between is shared out evenly.
pub(super) struct Occupancy {
    origin: Point,
    side: usize,
    artery: Layer,
    vein: Layer,
}

struct Layer {
    /// One more than the segment that passes through the cell; 0 for none.
    segment: Vec<u32>,
    /// About 1 on a lone vessel, falling to 0 at the end of its halo; halos add up.
    density: Vec<f32>,
}

impl Occupancy {
    /// An empty square grid around `centre`.
    pub(super) fn new(centre: Point, reach: f32) -> Self {
        let side = (2.0 * reach / CELL) as usize + 1;
        let layer = || Layer {
            segment: vec![0; side * side],
            density: vec![0.0; side * side],
        };
        Self {
            origin: [centre[0] - reach, centre[1] - reach],
            side,
            artery: layer(),
            vein: layer(),
        }
    }

    fn cell(&self, point: Point) -> Option<usize> {
        let x = (point[0] - self.origin[0]) / CELL;
        let y = (point[1] - self.origin[1]) / CELL;
        let side = self.side as f32;
        let inside = x >= 0.0 && y >= 0.0 && x < side && y < side;
        inside.then(|| y as usize * self.side + x as usize)
    }

    fn layer(&self, kind: Kind) -> &Layer {
        match kind {
            Kind::Artery => &self.artery,
            Kind::Vein => &self.vein,
        }
    }

    fn layer_mut(&mut self, kind: Kind) -> &mut Layer {
        match kind {
            Kind::Artery => &mut self.artery,
            Kind::Vein => &mut self.vein,
        }
    }

    /// The segment of `kind` at `point`.
    pub(super) fn at(&self, kind: Kind, point: Point) -> Option<usize> {
        let id = self.layer(kind).segment[self.cell(point)?];
        (id > 0).then(|| id as usize - 1)
    }

    /// Notes that segment `id` passes through `point`.
    pub(super) fn mark(&mut self, kind: Kind, point: Point, id: usize) {
        if let Some(cell) = self.cell(point) {
            self.layer_mut(kind).segment[cell] = id as u32 + 1;
        }
    }

    /// Adds the halo of a finished vessel through `points`, which lie `step` apart.
    pub(super) fn settle(&mut self, kind: Kind, points: &[Point], step: f32) {
        let width = (HALO as f32 + 0.5) * CELL;
        // A straight line of triangles of height 1 and half width `width` sums to width / step on the line.
        let unit = step / width;
        for point in points {
            for dy in -HALO..=HALO {
                for dx in -HALO..=HALO {
                    let away = [dx as f32 * CELL, dy as f32 * CELL];
                    let weight = 1.0 - away[0].hypot(away[1]) / width;
                    let cell = self.cell([point[0] + away[0], point[1] + away[1]]);
                    if let (Some(cell), true) = (cell, weight > 0.0) {
                        self.layer_mut(kind).density[cell] += weight * unit;
                    }
                }
            }
        }
    }

    /// Density at `point` as a vessel of `kind` feels it: the other system's vessels matter less.
    pub(super) fn density(&self, kind: Kind, point: Point) -> f32 {
        let Some(cell) = self.cell(point) else {
            return 0.0;
        };
        let other = match kind {
            Kind::Artery => &self.vein,
            Kind::Vein => &self.artery,
        };
        self.layer(kind).density[cell] + 0.5 * other.density[cell]
    }

    /// Mean density along the ray from `start` along `heading`, from `near` to `far`.
    pub(super) fn crowding(
        &self,
        kind: Kind,
        start: Point,
        heading: f32,
        near: f32,
        far: f32,
    ) -> f32 {
        const SAMPLES: usize = 6;
        let (sin, cos) = heading.sin_cos();
        let sum: f32 = (0..SAMPLES)
            .map(|i| {
                let distance = near + (far - near) * i as f32 / (SAMPLES - 1) as f32;
                self.density(kind, [start[0] + cos * distance, start[1] + sin * distance])
            })
            .sum();
        sum / SAMPLES as f32
    }
}
