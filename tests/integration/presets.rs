//! Every preset by its name: it trains, is saved, loads and predicts as before.

use venule::candle_core::Device;
use venule::data::FovPolicy;
use venule::loss::LossTable;
use venule::mae::VitConfig;
use venule::tasks::{Finetuning, FinetuningData};
use venule::train::TrainConfig;
use venule::{
    Checkpoint, ModelConfig, Preset, PretrainRecipe, Recipe, Segmenter, VesselModel, evaluate,
};

use crate::support::{photograph, photographs, preset, short_run, train};

#[test]
fn every_name_is_a_preset_with_a_recipe() {
    for row in Preset::all() {
        let (name, config) = (row.name, preset(row.name));
        assert_eq!(Recipe::preset(name).unwrap().model, config, "{name}");
        let text = serde_json::to_string(&config).unwrap();
        let read: ModelConfig = serde_json::from_str(&text).unwrap();
        assert_eq!(read, config, "{name}");
    }
    let depths = ["seed", "seed-4", "seed-6-multiscale", "seed-12"];
    let depths = depths.map(|name| {
        let encoder = preset(name).encoder;
        encoder.settings::<VitConfig>().unwrap().depth
    });
    assert_eq!(depths, [8, 4, 6, 12]);
    for name in ["compact-multiscale", "unet-4", "seed-5", "-multiscale", ""] {
        let error = ModelConfig::preset(name).unwrap_err().to_string();
        for known in Preset::all() {
            assert!(error.contains(known.name), "{error}");
        }
    }
    // Of the same encoder, under the same name; a preset without an encoder has none.
    for name in ["compact", "tiny", "seed", "seed-4", "seed-6", "seed-12"] {
        let pretraining = PretrainRecipe::preset(name).unwrap();
        assert_eq!(pretraining.model.encoder, preset(name).encoder, "{name}");
    }
    let error = PretrainRecipe::preset("unet").unwrap_err().to_string();
    assert!(error.contains("compact, tiny, seed"), "{error}");
}

#[test]
fn thin_vessels_is_the_reference_s_loss_without_tversky() {
    let table = LossTable::built_in();
    let terms = |name: &str| -> Vec<(f64, String)> {
        let loss = table.build(&name.parse().unwrap()).unwrap();
        let terms = loss.terms();
        terms.map(|(w, term)| (w, term.name().to_owned())).collect()
    };
    let mut expected = terms("reference");
    expected.retain(|(_, name)| name != "tversky");
    assert_eq!(expected.len(), 4);
    assert_eq!(terms("thin-vessels"), expected);
    for name in ["compact", "unet", "tiny"] {
        let loss = Recipe::preset(name).unwrap().loss;
        assert_eq!(loss, "thin-vessels".parse().unwrap(), "{name}");
    }
}

#[test]
fn a_preset_trains_evaluates_saves_and_loads() {
    // Of the seed preset's variants the smallest: they differ in depth and decoder alone.
    for name in ["seed-4", "seed-4-multiscale", "compact", "tiny", "unet"] {
        let folder = tempfile::tempdir().unwrap();
        let recipe = Recipe {
            crop: 64,
            crops_per_image: 1,
            batch_size: 1,
            ..Recipe::preset(name).unwrap()
        };
        let data = FinetuningData {
            unlabelled: None,
            train: photographs(64, 1),
            validation: photographs(64, 1),
            fov: FovPolicy::GivenOrDetect,
            workers: 0,
            cache_bytes: 1 << 30,
        };
        let mut recipe = recipe;
        // The recipes' sizes are for real photographs.
        recipe.preprocess.resize = None;
        let mut task = Finetuning::new(&recipe, data, &Device::Cpu).unwrap();
        let config = TrainConfig {
            max_steps: Some(1),
            ..short_run(1, 1)
        };
        let report = train(&mut task, folder.path(), config);
        let path = report.best_path.unwrap();
        let segmenter = Segmenter::from_file(&path).unwrap();
        assert_eq!(segmenter.model().config(), &recipe.model, "{name}");
        let evaluated = evaluate(&segmenter, &*photographs(64, 1), |_, _| Ok(())).unwrap();
        assert!(evaluated.report.pooled.get("accuracy").is_some(), "{name}");
        let photo = photograph(64, 0).image;
        let vessels = segmenter.segment(&photo).unwrap();
        let (checkpoint, model): (Checkpoint, VesselModel) =
            Checkpoint::load(&path, &Device::Cpu).unwrap();
        let again = Segmenter::new(checkpoint, model)
            .unwrap()
            .segment(&photo)
            .unwrap();
        assert_eq!(vessels.probability, again.probability, "{name}");
        let spread = vessels.probability.data().iter();
        let (low, high) = spread.fold((1f32, 0f32), |(l, h), &p| (l.min(p), h.max(p)));
        assert!(low < high, "{name}: the prediction is constant");
    }
}
