/// A position in reference pixels: the disc's centre is the origin, x grows towards the fovea, y downwards, and
/// 540 pixels span 45 degrees as in a DRIVE photograph.
pub(super) type Point = [f32; 2];

/// The two vessel systems.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Artery,
    Vein,
}

/// A vessel between two bifurcations, or from the last one to its end.
pub(super) struct Segment {
    pub(super) kind: Kind,
    /// The segment it leaves; `None` for the central retinal artery and vein.
    pub(super) parent: Option<usize>,
    pub(super) points: Vec<Point>,
    /// Radius at the first and at the last point; it changes linearly between.
    pub(super) radius: (f32, f32),
}

/// All vessels of one eye; a parent comes before its children.
pub(super) struct Tree {
    pub(super) segments: Vec<Segment>,
}

impl Tree {
    /// Makes every vessel `factor` times as wide; Murray's law still holds, as it is homogeneous.
    pub(super) fn widen(&mut self, factor: f32) {
        for segment in &mut self.segments {
            segment.radius.0 *= factor;
            segment.radius.1 *= factor;
        }
    }
}

/// A bifurcation: radii and turning angles of the two daughters.
pub(super) struct Bifurcation {
    pub(super) major: (f32, f32),
    pub(super) minor: (f32, f32),
}

/// Splits a vessel of `radius` into daughters with minor/major radius `ratio`.
///
/// Radii obey Murray's law r0³ = r1³ + r2³ (Murray, PNAS 1926). The angles (radians, from the parent's direction)
/// are those of least work: cos θ1 = (r0⁴ + r1⁴ − r2⁴) / (2 r0² r1²) (Murray, J Gen Physiol 1926), and likewise for 2.
pub(super) fn bifurcate(radius: f32, ratio: f32) -> Bifurcation {
    let r0 = radius;
    let r1 = r0 / (1.0 + ratio.powi(3)).cbrt();
    let r2 = ratio * r1;
    let angle = |a: f32, b: f32| {
        let cosine = (r0.powi(4) + a.powi(4) - b.powi(4)) / (2.0 * (r0 * a).powi(2));
        cosine.clamp(-1.0, 1.0).acos()
    };
    Bifurcation {
        major: (r1, angle(r1, r2)),
        minor: (r2, angle(r2, r1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_daughters_turn_by_37_degrees() {
        // r1 = r0 / 2^(1/3); cos θ = r0² / (2 r1²) = 2^(2/3) / 2 = 0.7937, θ = 37.47°.
        let split = bifurcate(2.0, 1.0);
        assert!((split.major.0 - 1.587_401).abs() < 1e-5);
        assert!((split.minor.1.to_degrees() - 37.467).abs() < 1e-2);
        assert!((split.major.1 - split.minor.1).abs() < 1e-4);
    }

    #[test]
    fn small_daughter_leaves_steeply_and_spares_its_parent() {
        let split = bifurcate(4.0, 0.2);
        assert!(split.minor.1.to_degrees() > 70.0);
        assert!(split.major.1.to_degrees() < 5.0);
        assert!((split.major.0.powi(3) + split.minor.0.powi(3) - 64.0).abs() < 1e-3);
    }
}
