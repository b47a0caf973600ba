//! Ranks within each row, as operations of ONNX, which has no such operator.

use super::{
    graph::Graph,
    proto::{element, AttributeProto},
};

/// Each row's numbers as their ranks in that row, ties in the middle, divided by how many there are; NaN for what is not
/// finite. `empty` says which cells hold nothing: they have no rank, and what is given for them is no number to use.
///
/// The row is sorted, empty cells last. Of the sorted numbers the first and the last place of a run of equal ones is the
/// largest first, or smallest last, place up to it: a running maximum, by doubling the reach in each step (Hillis and Steele,
/// "Data parallel algorithms", 1986). Their mean is the rank, which goes back to where the number stood.
pub fn rank(graph: &mut Graph, values: &str, empty: &str, width: usize) -> String {
    let (infinity, two) = (graph.doubles("infinity", &[], &[f64::INFINITY]), graph.doubles("two", &[], &[2.0]));
    let beyond = graph.node("IsInf", &[values]);
    let last_of_all = graph.node("Where", &[empty, &infinity, values]);
    let count = graph.integers("width", &[width as i64]);
    let how = vec![AttributeProto::int("axis", 1), AttributeProto::int("largest", 0), AttributeProto::int("sorted", 1)];
    let (sorted, places) = graph.pair("TopK", &[&last_of_all, &count], how);
    let numbered: Vec<f64> = (1..=width).map(|n| n as f64).collect();
    let numbered = graph.doubles("places", &[1, width], &numbered);
    let sum = match width {
        // a row of one number has no neighbours
        1 => graph.node("Add", &[&numbered, &numbered]),
        _ => {
            let (before, after) = (part(graph, &sorted, 0, width - 1), part(graph, &sorted, 1, width));
            let same = graph.node("Equal", &[&before, &after]);
            let first = run(graph, &same, &numbered, width, Side::First);
            let last = run(graph, &same, &numbered, width, Side::Last);
            graph.node("Add", &[&first, &last])
        }
    };
    let rank = graph.node("Div", &[&sum, &two]);
    let there = graph.node("Not", &[empty]);
    let there = graph.cast(&there, element::DOUBLE);
    let axis = graph.integers("axis", &[1]);
    let known = graph.with("ReduceSum", &[&there, &axis], vec![AttributeProto::int("keepdims", 1)]);
    let rank = graph.node("Div", &[&rank, &known]);
    let rank = match width {
        1 => rank,
        _ => graph.with("ScatterElements", &[values, &places, &rank], vec![AttributeProto::int("axis", 1)]),
    };
    let nan = graph.nan();
    graph.node("Where", &[&beyond, &nan, &rank])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    First,
    Last,
}

/// Of each place the first or the last of its run, where `same` says of each place but the last whether the next one holds
/// the same number.
fn run(graph: &mut Graph, same: &str, numbered: &str, width: usize, side: Side) -> String {
    let (outside, op) = match side {
        Side::First => (0.0, "Max"),
        Side::Last => (width as f64, "Min"),
    };
    let edge = graph.doubles("edge", &[], &[outside]);
    let zero = graph.doubles("zero", &[], &[0.0]);
    let inner = graph.cast(same, element::DOUBLE);
    let inner = beside(graph, &inner, 1, side, &zero);
    let inner = graph.cast(&inner, element::BOOL);
    let mut place = graph.node("Where", &[&inner, &edge, numbered]);
    let mut reach = 1;
    while reach < width {
        let (from, to) = match side {
            Side::First => (0, width - reach),
            Side::Last => (reach, width),
        };
        let moved = part(graph, &place, from, to);
        let moved = beside(graph, &moved, reach, side, &edge);
        place = graph.node(op, &[&place, &moved]);
        reach *= 2;
    }
    place
}

/// Columns of this range.
fn part(graph: &mut Graph, values: &str, from: usize, to: usize) -> String {
    let (from, to) = (graph.integers("from", &[from as i64]), graph.integers("to", &[to as i64]));
    let axis = graph.integers("axis", &[1]);
    graph.node("Slice", &[values, &from, &to, &axis])
}

/// So many more columns of a number before the first, or after the last.
fn beside(graph: &mut Graph, values: &str, count: usize, side: Side, number: &str) -> String {
    let (before, after) = if side == Side::First { (count as i64, 0) } else { (0, count as i64) };
    let pads = graph.integers("pads", &[0, before, 0, after]);
    graph.node("Pad", &[values, &pads, number])
}
