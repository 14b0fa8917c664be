//! A Vision Transformer encoder as nodes.

use candle_core::{DType, Device, Tensor};
use venule_mae::{Positions, VitConfig, sin_cos_positions};
use venule_nn::resample_grid;

use crate::Result;
use crate::graph::{Graph, Map, Set, Side, Value};
use crate::windows::Axis;

/// Where the encoder's variables lie in the store.
const ENCODER: &str = "encoder";

/// How the patches of a map become tokens and come back.
struct Grid {
    /// Rows and columns of the grid that the blocks see at once.
    seen: (Side, Side),
    /// Cuts of rows and columns, where the whole grid may be more than that.
    cuts: Option<(Axis, Axis)>,
}

impl Grid {
    fn new(graph: &mut Graph<'_>, (rows, columns): (&Side, &Side), window: Option<usize>) -> Self {
        let largest = window.map(|window| window as i64);
        let fits = |side: &Side| match (side.known(), largest) {
            (Some(side), Some(largest)) => side <= largest,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        match window {
            Some(window) if !(fits(rows) && fits(columns)) => {
                let rows = Axis::new(graph, rows, window);
                let columns = Axis::new(graph, columns, window);
                Self {
                    seen: (rows.length.clone(), columns.length.clone()),
                    cuts: Some((rows, columns)),
                }
            }
            _ => Self {
                seen: (rows.clone(), columns.clone()),
                cuts: None,
            },
        }
    }

    /// (B, width, rows, columns) → tokens (B · windows, patches, width).
    fn tokens(&self, graph: &mut Graph<'_>, map: &Map) -> Value {
        const PLACE: &str = "encoder.patches";
        let width = Side::Known(map.channels as i64);
        let Some((rows, columns)) = &self.cuts else {
            let lines = graph.integers(&[0, map.channels as i64, -1], &[3]);
            let lines = graph.node("Reshape", PLACE, &[&map.value, &lines], &[]);
            return graph.node(
                "Transpose",
                PLACE,
                &[&lines],
                &[("perm", Set::Ints(&[0, 2, 1]))],
            );
        };
        let x = graph.node(
            "Gather",
            PLACE,
            &[&map.value, &rows.split],
            &[("axis", Set::Int(2))],
        );
        let x = graph.node(
            "Gather",
            PLACE,
            &[&x, &columns.split],
            &[("axis", Set::Int(3))],
        );
        let shape = graph.sides(&[
            Side::Known(0),
            width.clone(),
            rows.windows.clone(),
            rows.length.clone(),
            columns.windows.clone(),
            columns.length.clone(),
        ]);
        let x = graph.node("Reshape", PLACE, &[&x, &shape], &[]);
        let order = [("perm", Set::Ints(&[0, 2, 4, 3, 5, 1]))];
        let x = graph.node("Transpose", PLACE, &[&x], &order);
        let patches = graph.multiply(&rows.length, &columns.length);
        let shape = graph.sides(&[Side::Known(-1), patches, width]);
        graph.node("Reshape", PLACE, &[&x, &shape], &[])
    }

    /// Tokens of patches back to (B, width, rows, columns), under `place`.
    fn map(&self, graph: &mut Graph<'_>, tokens: &Value, map: &Map, place: &str) -> Map {
        let width = Side::Known(map.channels as i64);
        let value = match &self.cuts {
            None => {
                let turned = [("perm", Set::Ints(&[0, 2, 1]))];
                let x = graph.node("Transpose", place, &[tokens], &turned);
                let (rows, columns) = (map.height.clone(), map.width.clone());
                let shape = graph.sides(&[Side::Known(0), width, rows, columns]);
                graph.node("Reshape", place, &[&x, &shape], &[])
            }
            Some((rows, columns)) => {
                let shape = graph.sides(&[
                    Side::Known(-1),
                    rows.windows.clone(),
                    columns.windows.clone(),
                    rows.length.clone(),
                    columns.length.clone(),
                    width.clone(),
                ]);
                let x = graph.node("Reshape", place, &[tokens, &shape], &[]);
                let order = [("perm", Set::Ints(&[0, 5, 1, 3, 2, 4]))];
                let x = graph.node("Transpose", place, &[&x], &order);
                let tall = graph.multiply(&rows.windows, &rows.length);
                let wide = graph.multiply(&columns.windows, &columns.length);
                let shape = graph.sides(&[Side::Known(0), width, tall, wide]);
                let x = graph.node("Reshape", place, &[&x, &shape], &[]);
                let down = [("axis", Set::Int(2))];
                let x = graph.node("Gather", place, &[&x, &rows.join], &down);
                let across = [("axis", Set::Int(3))];
                graph.node("Gather", place, &[&x, &columns.join], &across)
            }
        };
        Map {
            value,
            ..map.clone()
        }
    }
}

/// The maps of an image whose sides the patch divides, one for each tapped depth.
pub(crate) fn encode(graph: &mut Graph<'_>, config: &VitConfig, image: &Map) -> Result<Vec<Map>> {
    let (patch, width) = (config.patch_size, config.width);
    let stride = Side::Known(patch as i64);
    let embedding = format!("{ENCODER}.patch_embed.proj");
    let shape = [width, config.in_channels, patch, patch];
    let weight = graph.weight(&format!("{embedding}.weight"), &shape)?;
    let bias = graph.weight(&format!("{embedding}.bias"), &[width])?;
    let sides = [patch as i64; 2];
    let value = graph.node(
        "Conv",
        &embedding,
        &[&image.value, &weight, &bias],
        &[
            ("kernel_shape", Set::Ints(&sides)),
            ("strides", Set::Ints(&sides)),
        ],
    );
    let map = Map {
        value,
        channels: width,
        height: graph.divide(&image.height, &stride),
        width: graph.divide(&image.width, &stride),
    };
    let grid = Grid::new(graph, (&map.height, &map.width), config.window);
    let patches = grid.tokens(graph, &map);
    let positions = positions(graph, config, &grid.seen)?;
    let place = format!("{ENCODER}.tokens");
    let patches = graph.node("Add", &place, &[&patches, &positions], &[]);
    let mut tokens = with_class(graph, config, &patches)?;

    let taps = config.tapped_depths();
    let mut maps = Vec::with_capacity(taps.len());
    for number in 0..taps.last().copied().unwrap_or(config.depth) {
        let block = format!("{ENCODER}.blocks.{number}");
        tokens = self::block(graph, config, &tokens, &block)?;
        if taps.contains(&(number + 1)) {
            maps.push(tap(graph, config, &grid, &tokens, &map)?);
        }
    }
    Ok(maps)
}

/// The patches among the tokens, normalised, as a map.
fn tap(
    graph: &mut Graph<'_>,
    config: &VitConfig,
    grid: &Grid,
    tokens: &Value,
    map: &Map,
) -> Result<Map> {
    let place = format!("{ENCODER}.norm");
    let normal = graph.layer_norm(tokens, config.width, config.layer_norm_eps, &place)?;
    let first = graph.integers(&[1 + config.registers as i64], &[1]);
    let (end, axis) = (
        graph.integers(&[i64::MAX], &[1]),
        graph.integers(&[1], &[1]),
    );
    let patches = graph.node("Slice", &place, &[&normal, &first, &end, &axis], &[]);
    Ok(grid.map(graph, &patches, map, &place))
}

/// The class token and the registers before the patches.
fn with_class(graph: &mut Graph<'_>, config: &VitConfig, patches: &Value) -> Result<Value> {
    let place = format!("{ENCODER}.tokens");
    let mut first = graph.parameter(&format!("{ENCODER}.cls_token"), &[1, 1, config.width])?;
    if config.registers > 0 {
        let shape = [1, config.registers, config.width];
        let registers = graph.parameter(&format!("{ENCODER}.register_tokens"), &shape)?;
        first = Tensor::cat(&[first, registers], 1)?;
    }
    let first = graph.tensor(&format!("{ENCODER}.cls_token"), &first)?;
    // One of them for each image, or window.
    let shape = graph.node("Shape", &place, &[patches], &[]);
    let (zero, one) = (graph.integers(&[0], &[1]), graph.integers(&[1], &[1]));
    let batch = graph.node("Slice", &place, &[&shape, &zero, &one, &zero], &[]);
    let extra = 1 + config.registers as i64;
    let shape = graph.sides(&[
        Side::Computed(batch),
        Side::Known(extra),
        Side::Known(config.width as i64),
    ]);
    let first = graph.node("Expand", &place, &[&first, &shape], &[]);
    Ok(graph.node(
        "Concat",
        &place,
        &[&first, patches],
        &[("axis", Set::Int(1))],
    ))
}

/// x + attention(norm1(x)), then x + mlp(norm2(x)).
fn block(graph: &mut Graph<'_>, config: &VitConfig, x: &Value, name: &str) -> Result<Value> {
    let (width, eps) = (config.width, config.layer_norm_eps);
    let normal = graph.layer_norm(x, width, eps, &format!("{name}.norm1"))?;
    let branch = attention(graph, config, &normal, &format!("{name}.attn"))?;
    let x = graph.node("Add", &format!("{name}.attn"), &[x, &branch], &[]);
    let normal = graph.layer_norm(&x, width, eps, &format!("{name}.norm2"))?;
    let hidden = (width as f64 * config.mlp_ratio).round() as usize;
    let mlp = format!("{name}.mlp");
    let branch = graph.linear(&normal, (width, hidden), true, &format!("{mlp}.fc1"))?;
    let branch = graph.gelu(&branch, &mlp)?;
    let branch = graph.linear(&branch, (hidden, width), true, &format!("{mlp}.fc2"))?;
    Ok(graph.node("Add", &mlp, &[&x, &branch], &[]))
}

/// softmax(q kᵀ / √D) v of each head.
fn attention(graph: &mut Graph<'_>, config: &VitConfig, x: &Value, name: &str) -> Result<Value> {
    let (width, heads) = (config.width, config.heads);
    let depth = width / heads;
    let qkv = format!("{name}.qkv");
    let qkv = graph.linear(x, (width, 3 * width), config.qkv_bias, &qkv)?;
    // (B, T, 3, heads, D) → (3, B, heads, T, D)
    let shape = graph.integers(&[0, 0, 3, heads as i64, depth as i64], &[5]);
    let qkv = graph.node("Reshape", name, &[&qkv, &shape], &[]);
    let order = [("perm", Set::Ints(&[2, 0, 3, 1, 4]))];
    let qkv = graph.node("Transpose", name, &[&qkv], &order);
    let mut part = |number: i64| {
        let number = graph.integers(&[number], &[]);
        graph.node("Gather", name, &[&qkv, &number], &[("axis", Set::Int(0))])
    };
    let (q, k, v) = (part(0), part(1), part(2));
    let keys = [("perm", Set::Ints(&[0, 1, 3, 2]))];
    let k = graph.node("Transpose", name, &[&k], &keys);
    let scale = graph.number(name, (1.0 / (depth as f64).sqrt()) as f32)?;
    let q = graph.node("Mul", name, &[&q, &scale], &[]);
    let scores = graph.node("MatMul", name, &[&q, &k], &[]);
    let weights = graph.node("Softmax", name, &[&scores], &[("axis", Set::Int(-1))]);
    let y = graph.node("MatMul", name, &[&weights, &v], &[]);
    let order = [("perm", Set::Ints(&[0, 2, 1, 3]))];
    let y = graph.node("Transpose", name, &[&y], &order);
    let shape = graph.integers(&[0, 0, width as i64], &[3]);
    let y = graph.node("Reshape", name, &[&y, &shape], &[]);
    graph.linear(&y, (width, width), true, &format!("{name}.proj"))
}

/// Positions (1, patches, width) of a grid.
fn positions(
    graph: &mut Graph<'_>,
    config: &VitConfig,
    (rows, columns): &(Side, Side),
) -> Result<Value> {
    let name = format!("{ENCODER}.pos_embed");
    let (own, width) = (config.grid(), config.width);
    let table = match config.positions {
        Positions::SinCos => None,
        Positions::Learned => Some(graph.parameter(&name, &[1, own.0 * own.1, width])?),
    };
    if let (Some(rows), Some(columns)) = (rows.known(), columns.known()) {
        let grid = (rows as usize, columns as usize);
        let table = match table {
            Some(table) => resample_grid(&table, own, grid)?,
            None => sin_cos_positions(grid, width, DType::F32, &Device::Cpu)?,
        };
        return graph.tensor(&name, &table);
    }
    let width = Side::Known(width as i64);
    let Some(table) = table else {
        return sin_cos(graph, config.width / 4, (rows, columns));
    };
    // Bicubically, with half-pixel centres and repeated borders.
    let table = table.reshape((own.0, own.1, config.width))?;
    let table = table.permute((2, 0, 1))?.unsqueeze(0)?.contiguous()?;
    let table = graph.tensor(&name, &table)?;
    let size = graph.sides(&[Side::Known(1), width, rows.clone(), columns.clone()]);
    let table = graph.node(
        "Resize",
        &name,
        &[&table, "", "", &size],
        &[
            ("mode", Set::Word("cubic")),
            ("coordinate_transformation_mode", Set::Word("half_pixel")),
            ("cubic_coeff_a", Set::Float(-0.75)),
        ],
    );
    let shape = graph.integers(&[1, config.width as i64, -1], &[3]);
    let table = graph.node("Reshape", &name, &[&table, &shape], &[]);
    Ok(graph.node(
        "Transpose",
        &name,
        &[&table],
        &[("perm", Set::Ints(&[0, 2, 1]))],
    ))
}

/// Sine-cosine positions of a grid that is computed: of each place sin(x ω), cos(x ω) of its column, then of its row.
fn sin_cos(
    graph: &mut Graph<'_>,
    quarter: usize,
    (rows, columns): (&Side, &Side),
) -> Result<Value> {
    const PLACE: &str = "encoder.positions";
    let omega = |i: usize| (1.0 / 10_000f64.powf(i as f64 / quarter as f64)) as f32;
    let omega: Vec<f32> = (0..quarter).map(omega).collect();
    let omega = Tensor::from_vec(omega, quarter, &Device::Cpu)?;
    let omega = graph.tensor(&format!("{PLACE}/frequencies"), &omega)?;
    let half = Side::Known(2 * quarter as i64);
    let shape = graph.sides(&[rows.clone(), columns.clone(), half]);
    // Columns lie along the second dimension, rows along the first.
    let mut line = |count: &Side, missing: i64| {
        let places = graph.range(count);
        let places = graph.node("Cast", PLACE, &[&places], &[("to", Set::Int(1))]);
        let last = graph.integers(&[1], &[1]);
        let places = graph.node("Unsqueeze", PLACE, &[&places, &last], &[]);
        let angles = graph.node("Mul", PLACE, &[&places, &omega], &[]);
        let sine = graph.node("Sin", PLACE, &[&angles], &[]);
        let cosine = graph.node("Cos", PLACE, &[&angles], &[]);
        let both = graph.node("Concat", PLACE, &[&sine, &cosine], &[("axis", Set::Int(1))]);
        let missing = graph.integers(&[missing], &[1]);
        let both = graph.node("Unsqueeze", PLACE, &[&both, &missing], &[]);
        graph.node("Expand", PLACE, &[&both, &shape], &[])
    };
    let (across, down) = (line(columns, 0), line(rows, 1));
    let table = graph.node("Concat", PLACE, &[&across, &down], &[("axis", Set::Int(2))]);
    let shape = graph.integers(&[1, -1, 4 * quarter as i64], &[3]);
    Ok(graph.node("Reshape", PLACE, &[&table, &shape], &[]))
}
