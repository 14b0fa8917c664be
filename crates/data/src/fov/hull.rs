/// Convex hull of points, counter-clockwise in a coordinate system with y upwards (Andrew's monotone chain).
pub(super) fn convex_hull(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut hull: Vec<(f64, f64)> = Vec::new();
    let mut chain = |points: &mut dyn Iterator<Item = (f64, f64)>| {
        let start = hull.len();
        for point in points {
            while hull.len() >= start + 2
                && cross(hull[hull.len() - 2], hull[hull.len() - 1], point) <= 0.0
            {
                hull.pop();
            }
            hull.push(point);
        }
        // The last point begins the other chain.
        hull.pop();
    };
    chain(&mut sorted.iter().copied());
    chain(&mut sorted.iter().rev().copied());
    hull
}

/// Area of a convex polygon (shoelace formula).
pub(super) fn area(hull: &[(f64, f64)]) -> f64 {
    let twice: f64 = edges(hull).map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum();
    twice.abs() / 2.0
}

/// Whether a point lies in a convex polygon or on its edge.
pub(super) fn contains(hull: &[(f64, f64)], x: f64, y: f64) -> bool {
    hull.len() >= 3 && edges(hull).all(|(a, b)| cross(a, b, (x, y)) >= 0.0)
}

fn edges(hull: &[(f64, f64)]) -> impl Iterator<Item = ((f64, f64), (f64, f64))> {
    hull.iter()
        .copied()
        .zip(hull.iter().copied().cycle().skip(1))
}

fn cross(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> f64 {
    (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_and_collinear_points_are_no_corners() {
        let points = [
            (0.0, 0.0),
            (2.0, 0.0),
            (4.0, 0.0),
            (4.0, 3.0),
            (0.0, 3.0),
            (1.0, 1.0),
        ];
        let hull = convex_hull(&points);
        assert_eq!(hull, [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (0.0, 3.0)]);
        assert_eq!(area(&hull), 12.0);
        assert!(contains(&hull, 4.0, 1.5) && contains(&hull, 1.0, 1.0));
        assert!(!contains(&hull, 4.1, 1.5));
    }

    #[test]
    fn fewer_than_three_points_hold_nothing() {
        for points in [&[][..], &[(1.0, 1.0)], &[(1.0, 1.0), (2.0, 2.0)]] {
            let hull = convex_hull(points);
            assert!(!contains(&hull, 1.0, 1.0));
        }
    }
}
