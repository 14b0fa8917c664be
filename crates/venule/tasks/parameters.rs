//! What the trainer must know of a model's parameters.

use venule_nn::ParamStore;
use venule_train::Parameter;

/// Bridge: reads off the names, as version 0.1 did, what encoder and store are to say themselves (stages, and what decays).
pub(super) fn parameters(store: &ParamStore) -> Vec<Parameter> {
    let params = store.params();
    let blocks = params.iter().filter_map(|param| block_index(param.name()));
    let layers = blocks.max().map_or(1, |last| last + 2);
    let parameter = |param: &venule_nn::Param| {
        let exempt = ["cls_token", "mask_token", "pos_embed"];
        let exempt = exempt.iter().any(|token| param.name().ends_with(token));
        let all = Parameter::new(param.name(), param.var().clone());
        Parameter {
            trainable: param.is_trainable(),
            decays: all.decays && !exempt && !param.name().ends_with("bias"),
            depth: layers - layer_of(param.name(), layers),
            ..all
        }
    };
    params.iter().map(parameter).collect()
}

fn block_index(name: &str) -> Option<usize> {
    let mut segments = name.split('.');
    segments.find(|segment| *segment == "blocks")?;
    segments.next()?.parse().ok().filter(|n| *n < 100_000)
}

fn layer_of(name: &str, layers: usize) -> usize {
    let is_input = |segment: &str| matches!(segment, "cls_token" | "pos_embed" | "patch_embed");
    match block_index(name) {
        Some(block) => block + 1,
        None if name.split('.').any(is_input) => 0,
        None => layers,
    }
}
