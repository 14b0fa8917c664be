//! The decoders as nodes: maps of the encoder, and the image, to logits at the image's size.

use std::cmp::Reverse;

use venule_seg::{MultiScaleConfig, ProgressiveConfig};

use crate::Result;
use crate::graph::{Graph, Map, Set};

/// Where the decoder's variables lie in the store.
const DECODER: &str = "decoder";

/// The heads that only training asks.
pub(crate) const OF_TRAINING: [&str; 2] = ["decoder.deep4.", "decoder.deep2."];

/// Stride at which the encoder's maps join the path of fine detail.
pub(crate) const JOIN: usize = 8;

/// Stages of doubling and two convolutions each, then the head.
pub(crate) fn progressive(
    graph: &mut Graph<'_>,
    config: &ProgressiveConfig,
    map: &Map,
) -> Result<Map> {
    let mut x = map.clone();
    for (number, &channels) in config.channels.iter().enumerate() {
        let name = format!("{DECODER}.stages.{number}");
        let doubled = graph.upsample2x(&x, &name)?;
        x = graph.conv_stage(&doubled, channels, config.groups, true, &name)?;
    }
    graph.conv1x1(&x, 1, &format!("{DECODER}.head"))
}

/// A path of fine detail over the image, joined on the way up with the encoder's maps, of `strides`.
pub(crate) fn multi_scale(
    graph: &mut Graph<'_>,
    config: &MultiScaleConfig,
    maps: &[(Map, usize)],
    image: &Map,
) -> Result<Map> {
    let stage = |graph: &mut Graph<'_>, name: &str, x: &Map, channels: usize| {
        graph.conv_stage(
            x,
            channels,
            config.groups,
            false,
            &format!("{DECODER}.{name}"),
        )
    };
    let [wide, middle, narrow] = config.detail;
    let full = stage(graph, "detail1", image, wide)?;
    let half = graph.max_pool2x2(&full, "decoder.detail2");
    let half = stage(graph, "detail2", &half, middle)?;
    let quarter = graph.max_pool2x2(&half, "decoder.detail4");
    let quarter = stage(graph, "detail4", &quarter, narrow)?;
    let mut x = graph.max_pool2x2(&quarter, "decoder.fuse8");
    if let Some(tokens) = tokens(graph, config, maps)? {
        x = graph.join(&x, &tokens, "decoder.fuse8");
    }
    x = stage(graph, "fuse8", &x, config.project)?;
    for (name, detail) in [("fuse4", quarter), ("fuse2", half), ("fuse1", full)] {
        let place = format!("{DECODER}.{name}");
        let doubled = graph.upsample2x(&x, &place)?;
        let joined = graph.join(&doubled, &detail, &place);
        x = stage(graph, name, &joined, detail.channels)?;
    }
    graph.conv1x1(&x, 1, &format!("{DECODER}.head"))
}

/// All maps of the encoder, projected and added up at an eighth of the image's size, coarsest first.
fn tokens(
    graph: &mut Graph<'_>,
    config: &MultiScaleConfig,
    maps: &[(Map, usize)],
) -> Result<Option<Map>> {
    let mut order: Vec<(usize, &(Map, usize))> = maps.iter().enumerate().collect();
    order.sort_by_key(|(_, (_, stride))| Reverse(*stride));
    let mut sum: Option<(Map, usize)> = None;
    for (number, (map, stride)) in order {
        let name = format!("{DECODER}.project.{number}");
        let map = graph.conv1x1(map, config.project, &name)?;
        sum = Some(match sum {
            None => (map, *stride),
            Some((before, at)) => {
                let before = doubled(graph, before, at / stride)?;
                let value = graph.node("Add", &name, &[&before.value, &map.value], &[]);
                (Map { value, ..map }, *stride)
            }
        });
    }
    let Some((sum, stride)) = sum else {
        return Ok(None);
    };
    Ok(Some(doubled(graph, sum, stride / JOIN)?))
}

/// A map grown `times` its size, a power of two.
fn doubled(graph: &mut Graph<'_>, mut x: Map, times: usize) -> Result<Map> {
    for _ in 0..times.max(1).ilog2() {
        x = graph.upsample2x(&x, "decoder.project")?;
    }
    Ok(x)
}

/// Logits to probabilities, under a name of the model's output.
pub(crate) fn probabilities(graph: &mut Graph<'_>, logits: &str, output: &str) {
    graph.named_node("Sigmoid", output, &[logits], &[] as &[(&str, Set<'_>)]);
}
