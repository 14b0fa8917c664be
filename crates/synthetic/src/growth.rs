use std::f32::consts::PI;

use super::course::{Course, Planned, distance, roots, turn};
use super::occupancy::Occupancy;
use super::random::Random;
use super::scene::Scene;
use super::tree::{Kind, Point, Segment, Tree, bifurcate};

/// Distance between the points of a vessel.
const STEP: f32 = 2.0;
/// A limit on the number of segments, far above what any budget needs.
const MOST_SEGMENTS: usize = 6000;
/// A side branch is put off while the way ahead of it is more crowded than this.
const CROWDED: f32 = 0.3;

/// Grows the vessels of one eye until they cover about `share` of the field of view.
///
/// Wide vessels grow first and the small ones fill the room between, turning away from what is there.
/// `smallest` is the radius below which a vessel hardly branches.
pub(super) fn grow(scene: &Scene, share: f32, smallest: f32, random: &mut Random) -> Tree {
    let roots = roots(scene, random);
    let mut growth = Growth {
        scene,
        smallest,
        random,
        occupancy: Occupancy::new(scene.view_centre, scene.view_radius + 24.0),
        segments: Vec::new(),
        area: 0.0,
    };
    let mut buds: Vec<Bud> = roots
        .into_iter()
        .map(|root| Bud {
            parent: None,
            kind: root.kind,
            start: root.start,
            // Out of the cup towards the nose, then up and down.
            heading: PI,
            radius: root.radius,
            course: root.course,
            plan: root.plan,
        })
        .collect();
    let budget = share * PI * scene.view_radius.powi(2);
    while let Some(widest) = widest(&buds) {
        let bud = buds.swap_remove(widest);
        let spent = growth.area > budget && bud.radius < 1.5 && bud.plan.is_empty();
        let full = spent || growth.segments.len() > MOST_SEGMENTS;
        growth.extend(bud, full, &mut buds);
    }
    Tree {
        segments: growth.segments,
    }
}

fn widest(buds: &[Bud]) -> Option<usize> {
    (0..buds.len()).max_by(|&a, &b| buds[a].radius.total_cmp(&buds[b].radius))
}

/// A vessel still to be grown.
struct Bud {
    parent: Option<usize>,
    kind: Kind,
    start: Point,
    heading: f32,
    radius: f32,
    course: Course,
    plan: Vec<Planned>,
}

/// The growing tip of a vessel.
struct Tip {
    point: Point,
    heading: f32,
    curl: f32,
    points: Vec<Point>,
    length: f32,
}

/// How a vessel is to bifurcate.
struct Fork {
    /// Minor to major radius.
    ratio: f32,
    /// The side with more room, −1 or 1.
    emptier: f32,
    planned: Option<Planned>,
}

/// What stopped a growing tip.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    /// It has grown as far as it should.
    Done,
    /// It left the field of view.
    OutOfView,
    /// It met a vessel of its own kind or the fovea.
    Blocked,
}

struct Growth<'a> {
    scene: &'a Scene,
    smallest: f32,
    random: &'a mut Random,
    occupancy: Occupancy,
    segments: Vec<Segment>,
    area: f32,
}

impl Growth<'_> {
    /// Grows one vessel to its next bifurcation or its end, and adds its daughters to the buds.
    fn extend(&mut self, mut bud: Bud, full: bool, buds: &mut Vec<Bud>) {
        let id = self.segments.len();
        let planned = (!bud.plan.is_empty()).then(|| bud.plan.remove(0));
        let ratio = match &planned {
            Some(planned) => planned.ratio,
            None => self.ratio(bud.radius),
        };
        let thin = bud.radius < 1.2 * self.smallest;
        let tires = bud.radius < 1.3 && self.random.chance(0.2);
        let fades = full || (planned.is_none() && (thin || tires));
        let length = match &planned {
            Some(planned) => planned.length,
            None if full => self.random.range(8.0, 30.0),
            None if fades => self.random.range(20.0, 70.0),
            None => 7.0 + bud.radius - (13.0 + 3.0 * bud.radius) * (1.0 - self.random.unit()).ln(),
        };
        let mut tip = Tip {
            point: bud.start,
            heading: bud.heading,
            curl: self.random.normal() * self.wander(bud.radius),
            points: vec![bud.start],
            length: 0.0,
        };
        let mut stop = self.walk(&mut tip, &bud, id, length);
        let turn_off = bifurcate(bud.radius, ratio).minor.1;
        let mut side = self.emptier_side(&bud, &tip, turn_off);
        if planned.is_none() && !fades {
            // Branch where there is room for it; a small vessel that finds none within reach fades.
            let patience = 50.0 + 30.0 * bud.radius;
            while stop == Stop::Done && side.1 > CROWDED && tip.length < patience {
                let further = tip.length + 6.0;
                stop = self.walk(&mut tip, &bud, id, further);
                side = self.emptier_side(&bud, &tip, turn_off);
            }
        }
        let crowded = side.1 > CROWDED && bud.radius < 1.8;
        // What is planned exists even if the way to it was cut short.
        let ends = fades || (planned.is_none() && (crowded || stop == Stop::Blocked));
        let splits = !ends && stop != Stop::OutOfView;
        let end_radius = if splits || stop == Stop::OutOfView {
            bud.radius
        } else {
            bud.radius.min(0.6 * self.smallest)
        };
        self.occupancy.settle(bud.kind, &tip.points, STEP);
        self.segments.push(Segment {
            kind: bud.kind,
            parent: bud.parent,
            points: std::mem::take(&mut tip.points),
            radius: (bud.radius, end_radius),
        });
        if splits {
            let fork = Fork {
                ratio,
                emptier: side.0,
                planned,
            };
            self.split(bud, id, &tip, fork, buds);
        }
    }

    fn split(&mut self, bud: Bud, id: usize, tip: &Tip, fork: Fork, buds: &mut Vec<Bud>) {
        let split = bifurcate(bud.radius, fork.ratio);
        let jitter = 1.0 + 0.15 * self.random.normal();
        let minor_turn = (split.minor.1 * jitter).clamp(0.35, 1.45);
        // The minor daughter takes the side its course lies on, else the emptier one.
        let side = match &fork.planned {
            Some(planned) => {
                let wish = planned.course.heading(tip.point, self.scene);
                turn(tip.heading, wish).signum()
            }
            None => fork.emptier,
        };
        let minor_heading = tip.heading + side * minor_turn;
        let major_heading = tip.heading - side * split.major.1.min(0.6);
        let major_course = match bud.course {
            Course::Free { .. } => Course::Free {
                angle: major_heading,
            },
            course => course,
        };
        let (minor_course, next) = match fork.planned {
            Some(planned) => (planned.course, planned.next),
            None => {
                let angle = self.roomiest(bud.kind, tip.point, minor_heading);
                (Course::Free { angle }, Vec::new())
            }
        };
        let daughter = |radius, heading, course, plan| Bud {
            parent: Some(id),
            kind: bud.kind,
            start: tip.point,
            heading,
            radius,
            course,
            plan,
        };
        buds.push(daughter(split.minor.0, minor_heading, minor_course, next));
        buds.push(daughter(
            split.major.0,
            major_heading,
            major_course,
            bud.plan,
        ));
    }

    /// Minor to major radius of the next bifurcation: mostly thin side branches, now and then near equals.
    fn ratio(&mut self, radius: f32) -> f32 {
        let least = (0.85 * self.smallest / radius).clamp(0.2, 0.7);
        if self.random.chance(if radius < 2.0 { 0.3 } else { 0.12 }) {
            self.random.range(0.65, 1.0)
        } else {
            self.random.log_range(least, 0.75)
        }
    }

    /// The side (−1 or 1) with more room for a branch, and how crowded it is.
    fn emptier_side(&mut self, bud: &Bud, tip: &Tip, turn: f32) -> (f32, f32) {
        let crowding = |side: f32| {
            let ray = |turn: f32| {
                let heading = tip.heading + side * turn;
                self.occupancy
                    .crowding(bud.kind, tip.point, heading, 12.0, 56.0)
            };
            ray(turn).min(ray(0.65 * turn))
        };
        let [left, right] = [crowding(-1.0), crowding(1.0)];
        let side = if (left - right).abs() < 0.06 {
            self.random.sign()
        } else if left < right {
            -1.0
        } else {
            1.0
        };
        (side, left.min(right))
    }

    /// The heading near `heading` with the most room far ahead.
    fn roomiest(&self, kind: Kind, point: Point, heading: f32) -> f32 {
        let cost = |turn: f32| {
            let crowding = self
                .occupancy
                .crowding(kind, point, heading + turn, 20.0, 120.0);
            crowding + 0.15 * turn.abs()
        };
        let fan = [0.0_f32, -0.3, 0.3, -0.6, 0.6];
        let best = fan.into_iter().min_by(|&a, &b| cost(a).total_cmp(&cost(b)));
        heading + best.unwrap_or(0.0)
    }

    /// Standard deviation of the curvature; small vessels wind more.
    fn wander(&self, radius: f32) -> f32 {
        self.scene.tortuosity * (0.014 + 0.028 / (0.4 + radius))
    }

    /// Walks on until the vessel is `length` long: its course, room, chance and the fovea steer.
    fn walk(&mut self, tip: &mut Tip, bud: &Bud, id: usize, length: f32) -> Stop {
        // Curvature is an Ornstein–Uhlenbeck process with this correlation length.
        const MEMORY: f32 = 12.0;
        let scene = self.scene;
        let free = matches!(bud.course, Course::Free { .. });
        let wander = self.wander(bud.radius);
        // Short of room to turn away, a daughter may still lie on those it sprang from.
        let before = bud.parent.and_then(|parent| self.segments[parent].parent);
        let ignore = [Some(id), bud.parent, before];
        let clear = 3.0 * bud.radius + 8.0;
        while tip.length < length {
            let kick = (2.0 * STEP / MEMORY).sqrt() * self.random.normal();
            tip.curl += wander * kick - tip.curl * STEP / MEMORY;
            let wish = turn(tip.heading, bud.course.heading(tip.point, scene));
            let gain = if free { 0.012 } else { 0.055 };
            let mut bend = tip.curl + gain * wish.clamp(-1.2, 1.2);
            if free || bud.radius < 1.5 {
                bend += self.avoid(bud.kind, tip.point, tip.heading);
                bend += self.draw_to_fovea(tip.point, tip.heading);
            }
            tip.heading += STEP * bend.clamp(-0.2, 0.2);
            let (sin, cos) = tip.heading.sin_cos();
            let next = [tip.point[0] + STEP * cos, tip.point[1] + STEP * sin];
            let taken = || {
                let other = self.occupancy.at(bud.kind, next);
                other.is_some() && !ignore.contains(&other)
            };
            let blocked = tip.length > clear && (free || bud.radius < 2.2) && taken();
            if blocked || distance(next, scene.fovea) < scene.avascular_radius {
                return Stop::Blocked;
            }
            tip.point = next;
            tip.points.push(next);
            tip.length += STEP;
            let from_centre = distance(next, scene.view_centre);
            if from_centre > scene.view_radius + 12.0 {
                return Stop::OutOfView;
            }
            self.occupancy.mark(bud.kind, next, id);
            if from_centre < scene.view_radius {
                self.area += STEP * 2.0 * self.scene.labelled(bud.radius);
            }
        }
        Stop::Done
    }

    /// Turns towards the less crowded side ahead.
    fn avoid(&self, kind: Kind, point: Point, heading: f32) -> f32 {
        let crowding = |turn: f32| {
            self.occupancy
                .crowding(kind, point, heading + turn, 8.0, 34.0)
        };
        (0.11 * (crowding(-0.6) - crowding(0.6))).clamp(-0.09, 0.09)
    }

    /// Small vessels around the macula run towards the fovea.
    fn draw_to_fovea(&self, point: Point, heading: f32) -> f32 {
        let fovea = self.scene.fovea;
        let reach = 0.7 * fovea[0];
        let gap = distance(point, fovea);
        if gap > reach {
            return 0.0;
        }
        let wish = (fovea[1] - point[1]).atan2(fovea[0] - point[0]);
        0.016 * (1.0 - gap / reach) * turn(heading, wish)
    }
}
