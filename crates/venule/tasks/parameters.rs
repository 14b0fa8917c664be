use venule_nn::{Encoder, ParamStore};
use venule_train::Parameter;

/// The variables of a store as the trainer sees them. Those of the encoder, whose names begin with `prefix`, lie as deep as its stages
/// say.
pub(super) fn parameters(
    store: &ParamStore,
    prefix: &str,
    encoder: &dyn Encoder,
) -> Vec<Parameter> {
    let depth = |name: &str| {
        let stage = encoder.stage_of(name.strip_prefix(prefix)?)?;
        Some(encoder.stages().saturating_sub(stage))
    };
    let params = store.params();
    let parameter = |param: &venule_nn::Param| Parameter {
        trainable: param.is_trainable(),
        decays: param.decays(),
        depth: depth(param.name()).unwrap_or(0),
        ..Parameter::new(param.name(), param.var().clone())
    };
    params.iter().map(parameter).collect()
}
