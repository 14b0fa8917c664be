//! The windows of one axis of a patch grid, as `venule_mae` cuts it in evaluation: by indices, which are numbers or computed.

use crate::graph::{Graph, Set, Side, Value};

/// As few windows as can be, all of one length, which overlap by one patch at most.
pub(crate) struct Axis {
    pub(crate) windows: Side,
    /// Patches of a window.
    pub(crate) length: Side,
    /// Of every patch of every window, which patch of the axis it is.
    pub(crate) split: Value,
    /// Of every patch of the axis, which patch of the windows it is: of the last window that holds it.
    pub(crate) join: Value,
}

impl Axis {
    pub(crate) fn new(graph: &mut Graph<'_>, count: &Side, largest: usize) -> Self {
        let largest = Side::Known(largest as i64);
        let windows = graph.divide_up(count, &largest);
        let length = graph.divide_up(count, &windows);
        let (split, join) = match (count, &windows, &length) {
            (Side::Known(count), Side::Known(windows), Side::Known(length)) => {
                known(graph, *count, *windows, *length)
            }
            _ => computed(graph, count, &windows, &length),
        };
        Self {
            windows,
            length,
            split,
            join,
        }
    }
}

fn known(graph: &mut Graph<'_>, count: i64, windows: i64, length: i64) -> (Value, Value) {
    let gaps = (windows - 1).max(1);
    let starts: Vec<i64> = (0..windows).map(|i| i * (count - length) / gaps).collect();
    let split = starts.iter().flat_map(|start| *start..start + length);
    let split: Vec<i64> = split.collect();
    let place = |patch: i64| {
        let window = starts.partition_point(|start| *start <= patch) - 1;
        window as i64 * length + patch - starts[window]
    };
    let join: Vec<i64> = (0..count).map(place).collect();
    (
        graph.integers(&split, &[split.len()]),
        graph.integers(&join, &[join.len()]),
    )
}

fn computed(graph: &mut Graph<'_>, count: &Side, windows: &Side, length: &Side) -> (Value, Value) {
    const PLACE: &str = "windows";
    let one = Side::Known(1);
    let last = graph.subtract(windows, &one);
    let gaps = graph.larger(&last, &one);
    let gaps = graph.side(&gaps);
    let reach = graph.subtract(count, length);
    let reach = graph.side(&reach);
    let numbers = graph.range(windows);
    let starts = graph.node("Mul", PLACE, &[&numbers, &reach], &[]);
    let starts = graph.node("Div", PLACE, &[&starts, &gaps], &[]);
    let (second, all) = (graph.integers(&[1], &[1]), graph.integers(&[-1], &[1]));
    // (windows, 1) + (length) → windows · length
    let column = graph.node("Unsqueeze", PLACE, &[&starts, &second], &[]);
    let within = graph.range(length);
    let split = graph.node("Add", PLACE, &[&column, &within], &[]);
    let split = graph.node("Reshape", PLACE, &[&split, &all], &[]);
    // A patch's window is one less than the number of windows that begin at it or before.
    let patches = graph.range(count);
    let begun = graph.node("LessOrEqual", PLACE, &[&column, &patches], &[]);
    let begun = graph.node("Cast", PLACE, &[&begun], &[("to", Set::Int(7))]);
    let first = graph.integers(&[0], &[1]);
    let settings = [("keepdims", Set::Int(0))];
    let begun = graph.node("ReduceSum", PLACE, &[&begun, &first], &settings);
    let window = graph.node("Sub", PLACE, &[&begun, &second], &[]);
    let start = graph.node("Gather", PLACE, &[&starts, &window], &[]);
    let length = graph.side(length);
    let before = graph.node("Mul", PLACE, &[&window, &length], &[]);
    let offset = graph.node("Sub", PLACE, &[&patches, &start], &[]);
    (split, graph.node("Add", PLACE, &[&before, &offset], &[]))
}
