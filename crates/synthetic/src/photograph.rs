use venule_data::{LabelCheck, Mask, Result, Sample};

use crate::random::{Random, Stage};
use crate::scene::Scene;
use crate::tree::Tree;
use crate::{SyntheticFundus, background, camera, growth, lesions, rim, sheen, vessels};

/// Makes photograph `index` of the endless set that `seed` stands for, with its exact label and field of view.
///
/// Vessels grow from the optic disc as arcades around the macula and branch by Murray's law; the label holds the pixels
/// of which more than half is a vessel at least 0.9 pixels wide. The same arguments give the same bytes.
///
/// # Errors
/// [`Error::InvalidConfig`](venule_data::Error::InvalidConfig) if the configuration is out of range;
/// [`Error::Custom`](venule_data::Error::Custom) if the JPEG encoder fails.
pub fn synthetic_fundus(config: &SyntheticFundus, seed: u64, index: usize) -> Result<Sample> {
    config.validate()?;
    let stream = |stage| Random::new(seed, index, stage);
    let mut scene = Scene::new(config, &mut stream(Stage::Scene));
    let mut chances = stream(Stage::Chances);
    let gray = chances.chance(config.gray);
    let reflects = chances.chance(config.reflections);
    let rimmed = chances.chance(config.rim);
    let fov = Mask::from_fn(config.width, config.height, |x, y| scene.sees(x, y));

    let mut random = stream(Stage::Vessels);
    let vessels = grow_vessels(config, &mut scene, &fov, &mut random);

    let mut planes = background::paint(&scene, config, &mut stream(Stage::Background));
    if scene.has_lesions {
        lesions::paint(&mut planes, &scene, &mut stream(Stage::Lesions));
    }
    if reflects {
        sheen::paint(&mut planes, &vessels, &scene, &mut stream(Stage::Sheen))?;
    }
    // Blood lets red light through best. Veins carry less oxygen and take more of it.
    let weights = [(0.24, 0.38), (1.0, 1.0), (0.5, 0.52)];
    for (plane, (artery, vein)) in planes.iter_mut().zip(weights) {
        for (at, value) in plane.iter_mut().enumerate() {
            let depth = artery * vessels.artery[at] + vein * vessels.vein[at];
            if depth > 0.0 {
                *value *= (-scene.contrast * depth).exp();
            }
        }
    }
    if rimmed {
        rim::paint(&mut planes, &scene, &mut stream(Stage::Rim));
    }
    let image = camera::expose(planes, &scene, config, gray, &mut stream(Stage::Camera))?;
    Ok(Sample {
        id: synthetic_id(seed, index),
        image,
        label: Some(vessels.label),
        second_label: None,
        fov: Some(fov),
        fov_diameter: None,
        allowed: LabelCheck::default(),
    })
}

/// Least share of the vessels asked for that a photograph shows.
const LEAST_SHARE: f32 = 0.4;

/// Grows trees until one shows in the field of view: a narrow field around the macula may hold hardly a vessel, so each further tree is
/// seen from nearer to the disc.
fn grow_vessels(
    config: &SyntheticFundus,
    scene: &mut Scene,
    fov: &Mask,
    random: &mut Random,
) -> vessels::Vessels {
    const ATTEMPTS: usize = 5;
    let spread = 0.09 * config.variation * random.normal().clamp(-1.6, 1.6);
    let share = config.vessel_share * (1.0 + spread);
    let reflex = config.reflex * random.range(0.1, 0.45);
    let mut attempt = 1;
    loop {
        let (tree, found) = grow_tree(share, scene, fov, random);
        if found >= LEAST_SHARE * share || attempt == ATTEMPTS {
            return vessels::draw(&tree, scene, fov, reflex);
        }
        scene.look_towards_disc(1.0 / (ATTEMPTS - attempt) as f32);
        attempt += 1;
    }
}

/// Grows a tree and widens or narrows it a little so that its drawn share, which comes with it, meets the drawn target.
fn grow_tree(share: f32, scene: &Scene, fov: &Mask, random: &mut Random) -> (Tree, f32) {
    // Vessels much narrower than a pixel would not be seen.
    let smallest = (0.5 / scene.scale).clamp(0.68, 1.6);
    let mut tree = growth::grow(scene, 1.15 * share, smallest, random);
    // In a small image few vessels are wider than a pixel, so those must be widened more; they come into sight all
    // at once, so the steps there are damped.
    let limit = (0.45 / scene.scale).max(1.25);
    let power = if scene.scale < 0.6 { 0.5 } else { 1.0 };
    let mut widened = 1.0_f32;
    let mut shown = vessels::share(&tree, scene, fov);
    for _ in 0..5 {
        let wanted = widened * (share / shown.max(1e-3)).powf(power);
        let factor = wanted.clamp(0.8, limit) / widened;
        tree.widen(factor);
        widened *= factor;
        shown = vessels::share(&tree, scene, fov);
        if (factor - 1.0).abs() < 0.05 * power {
            break;
        }
    }
    (tree, shown)
}

/// The name of photograph `index` of `seed`.
pub(crate) fn synthetic_id(seed: u64, index: usize) -> String {
    format!("synthetic_{seed}_{index:04}")
}
