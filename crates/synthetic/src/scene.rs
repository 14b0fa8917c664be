use super::SyntheticFundus;
use super::random::Random;
use super::tree::Point;

/// What the eye and the camera of one image look like; lengths in reference pixels unless said otherwise.
pub(super) struct Scene {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Image pixels per reference pixel.
    pub(super) scale: f32,
    /// Centre and radius of the circular field of view in image pixels.
    pub(super) circle: ([f32; 2], f32),
    /// Rows, in image pixels, between which the circle shows.
    pub(super) rows: (f32, f32),
    /// What the circle's centre looks at, and its radius.
    pub(super) view_centre: Point,
    pub(super) view_radius: f32,
    /// 1 for a left eye, whose fovea lies to the right of the disc in a photograph; −1 for a right eye.
    pub(super) side: f32,
    /// (cos, sin) of the camera's roll.
    roll: (f32, f32),
    pub(super) disc_radius: [f32; 2],
    pub(super) fovea: Point,
    /// No vessel comes nearer to the fovea.
    pub(super) avascular_radius: f32,
    /// Mean tortuosity of this eye's vessels, 1 is usual.
    pub(super) tortuosity: f32,
    /// Colour of the retina in the middle of the picture, 0–255.
    pub(super) base: [f32; 3],
    /// Strength of the vessels' absorption, 1 is usual.
    pub(super) contrast: f32,
    pub(super) has_lesions: bool,
    /// Width of the main vessels, 1 is usual.
    pub(super) calibre: f32,
    /// How far a label reaches beyond a vessel at least 4 pixels wide, in image pixels.
    pub(super) label_margin: f32,
    /// Darkness of arteries over that of veins.
    pub(super) artery_darkness: f32,
}

impl Scene {
    pub(super) fn new(config: &SyntheticFundus, random: &mut Random) -> Self {
        let vary = config.variation;
        let (width, height) = (config.width as f32, config.height as f32);
        let radius =
            0.5 * width * config.fov_diameter * (1.0 + 0.012 * vary * random.range(-1.0, 1.0));
        let room = [(0.5 * width - radius).abs(), (0.5 * height - radius).abs()];
        let centre = [
            0.5 * width + 0.5 * vary * random.range(-1.0, 1.0) * room[0].min(0.03 * width),
            0.5 * height + 0.5 * vary * random.range(-1.0, 1.0) * room[1].min(0.03 * height),
        ];
        let rows = if random.chance(config.cut) {
            let cut = radius * random.range(0.8, 0.96);
            (centre[1] - cut, centre[1] + cut)
        } else {
            (0.0, height)
        };
        let scale = 2.0 * radius / 540.0 * 45.0 / config.field_angle;
        let gap = 197.0 + 10.0 * vary * random.normal().clamp(-2.0, 2.0);
        let fovea = [gap, 17.0 + 8.0 * vary * random.normal().clamp(-2.0, 2.0)];
        let view_centre = if random.chance(config.disc_centred) {
            [12.0 * vary * random.normal(), 10.0 * vary * random.normal()]
        } else {
            [
                fovea[0] + 12.0 * vary * random.normal().clamp(-2.0, 2.0),
                fovea[1] - 5.0 + 14.0 * vary * random.normal().clamp(-2.0, 2.0),
            ]
        };
        let roll = 0.07 * vary * random.normal().clamp(-2.0, 2.0);
        let disc = 38.0 * (1.0 + 0.09 * vary * random.normal().clamp(-2.0, 2.0));
        let brightness = 1.0 + 0.2 * vary * random.normal().clamp(-1.8, 1.3);
        let spread =
            [0.0, 0.12, 0.16].map(|spread| vary * spread * random.normal().clamp(-2.0, 2.0));
        // Green moves blue along, so the hue stays between red and yellow.
        let base = [
            config.base_color[0] * brightness,
            config.base_color[1] * brightness * (1.0 + spread[1]),
            config.base_color[2] * brightness * (1.0 + spread[1] + spread[2]),
        ];
        Self {
            width: config.width,
            height: config.height,
            scale,
            circle: (centre, radius),
            rows,
            view_centre,
            view_radius: radius / scale,
            side: random.sign(),
            roll: (roll.cos(), roll.sin()),
            disc_radius: [
                disc * random.range(0.86, 1.0),
                disc * random.range(1.0, 1.1),
            ],
            fovea,
            avascular_radius: random.range(16.0, 26.0),
            tortuosity: config.tortuosity * (0.35 * vary * random.normal().clamp(-2.0, 2.4)).exp(),
            base,
            contrast: config.contrast * (0.18 * vary * random.normal().clamp(-2.0, 2.0)).exp(),
            has_lesions: random.chance(config.lesions),
            calibre: config.calibre,
            label_margin: config.label_margin * (config.field_angle / 45.0).powi(2),
            artery_darkness: config.artery_darkness,
        }
    }

    /// How far the label of a vessel of this radius reaches beyond it, both in image pixels: less for thin ones, which are drawn as a
    /// line.
    pub(super) fn margin(&self, radius: f32) -> f32 {
        self.label_margin * (radius / 2.0).min(1.0)
    }

    /// The radius of the label of a vessel of this radius, both in reference pixels.
    pub(super) fn labelled(&self, radius: f32) -> f32 {
        radius + self.margin(radius * self.scale) / self.scale
    }

    /// Looks nearer to the disc, from where the vessels come: a part of the way, 1 for all of it.
    pub(super) fn look_towards_disc(&mut self, part: f32) {
        self.view_centre = self.view_centre.map(|at| at * (1.0 - part));
    }

    /// Image pixel of a place on the retina.
    pub(super) fn to_pixel(&self, point: Point) -> [f32; 2] {
        let x = (point[0] - self.view_centre[0]) * self.side * self.scale;
        let y = (point[1] - self.view_centre[1]) * self.scale;
        let (cos, sin) = self.roll;
        [
            self.circle.0[0] + cos * x - sin * y,
            self.circle.0[1] + sin * x + cos * y,
        ]
    }

    /// Place on the retina that an image pixel shows.
    pub(super) fn to_retina(&self, pixel: [f32; 2]) -> Point {
        let x = (pixel[0] - self.circle.0[0]) / self.scale;
        let y = (pixel[1] - self.circle.0[1]) / self.scale;
        let (cos, sin) = self.roll;
        [
            self.side * (cos * x + sin * y) + self.view_centre[0],
            cos * y - sin * x + self.view_centre[1],
        ]
    }

    /// Whether the centre of pixel (x, y) lies in the field of view.
    pub(super) fn sees(&self, x: usize, y: usize) -> bool {
        self.edge(x, y) > 0.0
    }

    /// Distance in image pixels from the centre of pixel (x, y) to the border of the field of view, positive inside.
    pub(super) fn edge(&self, x: usize, y: usize) -> f32 {
        let (centre, radius) = self.circle;
        let [px, py] = [x as f32 + 0.5, y as f32 + 0.5];
        let round = radius - (px - centre[0]).hypot(py - centre[1]);
        round.min(py - self.rows.0).min(self.rows.1 - py)
    }
}
