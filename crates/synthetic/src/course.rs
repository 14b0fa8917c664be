use std::f32::consts::PI;

use super::random::Random;
use super::scene::Scene;
use super::tree::{Kind, Point};

/// Where a vessel is heading.
#[derive(Clone, Copy)]
pub(super) enum Course {
    /// Along the superior (side −1) or inferior (side 1) temporal arcade, `height` from the disc–fovea axis;
    /// it comes to that height over a distance of about `rise`.
    Arcade { side: f32, height: f32, rise: f32 },
    /// Along a ray from the disc.
    Ray { angle: f32 },
    /// Wherever there is room, starting out along `angle`.
    Free { angle: f32 },
}

impl Course {
    /// The heading that leads on from `point`.
    pub(super) fn heading(self, point: Point, scene: &Scene) -> f32 {
        match self {
            Self::Free { angle } => angle,
            Self::Ray { angle } => {
                let out = distance(point, [0.0, 0.0]) + 30.0;
                (angle.sin() * out - point[1]).atan2(angle.cos() * out - point[0])
            }
            Self::Arcade { side, height, rise } => {
                let ahead = point[0] + 22.0;
                let along = ahead.max(0.0);
                let level = height * (1.0 - (-along / rise).exp()).powf(0.75);
                // Past the fovea the arcades close in on the horizontal raphe.
                let past = along / scene.fovea[0];
                let level = side * level * (1.0 - 0.25 * (past - 1.1).max(0.0));
                (level + scene.fovea[1] * past.min(1.0) - point[1]).atan2(ahead - point[0])
            }
        }
    }
}

/// A daughter that is laid down in advance: the vessels that leave the disc are alike in all eyes.
pub(super) struct Planned {
    /// Length of the parent up to here.
    pub(super) length: f32,
    /// Radius of the daughter over that of the parent's continuation.
    pub(super) ratio: f32,
    pub(super) course: Course,
    /// The daughter's own plan.
    pub(super) next: Vec<Planned>,
}

impl Planned {
    fn new(length: f32, ratio: f32, course: Course) -> Self {
        Self {
            length,
            ratio,
            course,
            next: Vec::new(),
        }
    }
}

/// The central retinal artery or vein as it enters the eye.
pub(super) struct Root {
    pub(super) kind: Kind,
    pub(super) start: Point,
    pub(super) radius: f32,
    pub(super) course: Course,
    pub(super) plan: Vec<Planned>,
}

/// Lays out the main vessels: for both systems a superior and an inferior half, each with a temporal arcade, often a
/// second one, nasal branches, and small vessels from the disc into the macula.
pub(super) fn roots(scene: &Scene, random: &mut Random) -> [Root; 2] {
    let reach = scene.fovea[0];
    // Artery and vein of an arcade run side by side, now one nearer to the macula, now the other.
    let mut arcade = || {
        let height = random.range(0.62, 0.9);
        let apart = random.sign() * random.range(0.02, 0.11);
        let forks = random.range(0.4, 1.2);
        let inner = random.chance(0.5);
        (height, apart, forks, inner)
    };
    let arcades = [(-1.0, arcade()), (1.0, arcade())];
    [(Kind::Vein, 1.0), (Kind::Artery, -1.0)].map(|(kind, order)| {
        let mut halves = arcades.map(|(side, (height, apart, forks, inner))| {
            let height = reach * (height + order * apart);
            let rise = reach * random.range(0.22, 0.42);
            let course = Course::Arcade { side, height, rise };
            // The second arcade lies nearer to the macula or farther out.
            let second = Course::Arcade {
                side,
                height: height
                    * if inner {
                        random.range(0.5, 0.7)
                    } else {
                        random.range(1.35, 1.7)
                    },
                rise: reach * random.range(0.3, 0.5),
            };
            let mut plan = vec![nasal(scene, side, random)];
            if random.chance(0.75) {
                let angle = side * random.range(0.05, 0.7);
                let length = random.range(2.0, 14.0);
                plan.push(Planned::new(
                    length,
                    random.range(0.25, 0.4),
                    Course::Free { angle },
                ));
            }
            let length = reach * forks * random.range(0.3, 0.9);
            plan.push(Planned::new(length, random.range(0.5, 0.95), second));
            (course, plan)
        });
        let radius = match kind {
            Kind::Vein => random.range(5.2, 6.4),
            Kind::Artery => random.range(4.3, 5.4),
        };
        let [rx, ry] = scene.disc_radius;
        let start = [
            rx * random.range(-0.3, 0.0) + 2.0 * order,
            ry * random.range(-0.12, 0.12) + 2.0 * order,
        ];
        let (course, plan) =
            std::mem::replace(&mut halves[1], (Course::Ray { angle: PI }, Vec::new()));
        let inferior = Planned {
            next: plan,
            ..Planned::new(random.range(3.0, 6.0), random.range(0.85, 1.0), course)
        };
        let (course, mut plan) = std::mem::replace(&mut halves[0], (course, Vec::new()));
        plan.insert(0, inferior);
        Root {
            kind,
            start,
            radius: radius * scene.calibre,
            course,
            plan,
        }
    })
}

/// The nasal branch of one half, which gives off a second one nearer to the horizontal.
fn nasal(scene: &Scene, side: f32, random: &mut Random) -> Planned {
    let flat = side * (PI - random.range(0.05, 0.45));
    let second = Planned::new(
        random.range(4.0, 18.0),
        random.range(0.45, 0.8),
        Course::Ray { angle: flat },
    );
    let steep = side * (PI - random.range(0.55, 1.2));
    let length = scene.disc_radius[1] * random.range(0.25, 0.8);
    Planned {
        next: vec![second],
        ..Planned::new(
            length,
            random.range(0.55, 0.85),
            Course::Ray { angle: steep },
        )
    }
}

pub(super) fn distance(a: Point, b: Point) -> f32 {
    (a[0] - b[0]).hypot(a[1] - b[1])
}

/// The turn from one heading to another, in (−π, π].
pub(super) fn turn(from: f32, to: f32) -> f32 {
    let turn = (to - from).rem_euclid(2.0 * PI);
    if turn > PI { turn - 2.0 * PI } else { turn }
}
