//! From raw values to the network's rows, as operations of ONNX: what `data::rows` does, in 64-bit floats and rounded once.
//!
//! Where `predict` refuses a row, its outputs here are NaN: each part says of which rows nothing can be said, and that goes past
//! the network. What an operator makes of a NaN, ONNX does not say: a maximum over a window, or a row, may lose it.

use super::{
    graph::Graph,
    proto::{element, AttributeProto},
    rank::rank,
};
use consilium_study::{same_value, Categorical, DataSpec, Pictures, Transform};
use std::collections::HashSet;

/// Name of the input of numeric columns.
pub const NUMERIC: &str = "numeric";
/// Name of the input of categorical columns.
pub const CATEGORICAL: &str = "categorical";
/// Name of the input of pictures.
pub const PIXELS: &str = "pixels";

/// What tables write for an empty cell, whatever a study says.
const EMPTY: [&str; 4] = ["", "NA", "NaN", "nan"];
/// Numbers that stand for what is no level.
const NO_LEVEL: (i64, i64) = (-1, -2);

/// Values of the graph: the network's rows, and of which rows nothing can be said.
pub struct Ready {
    pub rows: String,
    pub unknown: String,
}

/// How numeric columns are scaled, and what stands in for their empty cells.
pub struct Numbers<'a> {
    pub mean: &'a [f64],
    pub deviation: &'a [f64],
    /// None where nothing does: a row with an empty cell is then one of which nothing can be said.
    pub fill: Option<&'a [f64]>,
    /// Of each column, the numbers that stand for an empty cell.
    pub codes: Vec<Vec<f64>>,
}

/// The inputs of a table, and what becomes of them.
pub fn table(graph: &mut Graph, spec: &DataSpec, numbers: &Numbers<'_>) -> Ready {
    let mut parts = Vec::new();
    let mut unknown = Vec::new();
    if spec.numeric() > 0 {
        let what = "columns in the order of the metadata's \"numeric\"; NaN is an empty cell";
        graph.input(NUMERIC, element::DOUBLE, &[spec.numeric()], what);
        let rows = numeric(graph, spec.transform, numbers);
        unknown.push(not_finite(graph, &rows));
        parts.push(rows);
    }
    if !spec.categorical.is_empty() {
        let what = "columns in the order of the metadata's \"categorical\"; an empty text is an empty cell";
        graph.input(CATEGORICAL, element::STRING, &[spec.categorical.len()], what);
    }
    for (place, column) in spec.categorical.iter().enumerate() {
        let codes = spec.missing_in(&column.column);
        let (levels, other) = levels(graph, place, column, &codes, numbers.fill.is_some());
        unknown.push(other);
        parts.push(levels);
    }
    let rows = match &parts[..] {
        [only] => only.clone(),
        parts => {
            let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
            graph.with("Concat", &parts, vec![AttributeProto::int("axis", 1)])
        }
    };
    Ready { rows, unknown: any(graph, unknown) }
}

/// The input of pictures, decoded and of the model's size, and what becomes of them.
pub fn pictures(graph: &mut Graph, pictures: &Pictures) -> Ready {
    let shape = [pictures.channels as usize, pictures.height as usize, pictures.width as usize];
    let what = match pictures.channels {
        1 => "grey pictures of this size, 0 black to 1 white",
        _ => "pictures of this size, their red, green and blue one after another, each 0 dark to 1 bright",
    };
    graph.input(PIXELS, element::FLOAT, &shape, what);
    let (mean, deviation) = (pictures.mean as f32, pictures.deviation as f32);
    let (mean, deviation) = (graph.floats("mean", &[], &[mean]), graph.floats("deviation", &[], &[deviation]));
    let rows = graph.node("Sub", &[PIXELS, &mean]);
    let rows = graph.node("Div", &[&rows, &deviation]);
    // pixels of 0 to 255 would give a number that looks like a probability
    let (black, white) = (graph.floats("black", &[], &[0.0]), graph.floats("white", &[], &[1.0]));
    let flat = graph.with("Flatten", &[PIXELS], vec![AttributeProto::int("axis", 1)]);
    let below = graph.node("Less", &[&flat, &black]);
    let above = graph.node("Greater", &[&flat, &white]);
    let none = graph.node("IsNaN", &[&flat]);
    let outside = graph.node("Or", &[&below, &above]);
    let outside = graph.node("Or", &[&outside, &none]);
    let unknown = in_row(graph, &outside);
    Ready { rows, unknown }
}

/// Numeric columns: which cells are empty, transform, scale.
fn numeric(graph: &mut Graph, transform: Transform, numbers: &Numbers<'_>) -> String {
    let width = numbers.mean.len();
    let mut empty = graph.node("IsNaN", &[NUMERIC]);
    for codes in by_row(&numbers.codes, width) {
        let codes = graph.doubles("code", &[1, width], &codes);
        let is = graph.node("Equal", &[NUMERIC, &codes]);
        empty = graph.node("Or", &[&empty, &is]);
    }
    let values = match transform {
        Transform::None => NUMERIC.to_owned(),
        Transform::Log1p => {
            let (one, least) = (graph.doubles("one", &[], &[1.0]), graph.doubles("minus_one", &[], &[-1.0]));
            let more = graph.node("Add", &[NUMERIC, &one]);
            let log = graph.node("Log", &[&more]);
            let defined = graph.node("Greater", &[NUMERIC, &least]);
            let nan = graph.nan();
            graph.node("Where", &[&defined, &log, &nan])
        }
        Transform::Rank => rank(graph, NUMERIC, &empty, width),
    };
    let stands_in = match numbers.fill {
        Some(fill) => graph.doubles("fill", &[1, width], fill),
        None => graph.nan(),
    };
    let mut values = graph.node("Where", &[&empty, &stands_in, &values]);
    if numbers.mean.iter().any(|mean| *mean != 0.0) {
        let mean = graph.doubles("mean", &[1, width], numbers.mean);
        values = graph.node("Sub", &[&values, &mean]);
    }
    if numbers.deviation.iter().any(|deviation| *deviation != 1.0) {
        let deviation = graph.doubles("deviation", &[1, width], numbers.deviation);
        values = graph.node("Div", &[&values, &deviation]);
    }
    graph.cast(&values, element::FLOAT)
}

/// Codes of columns that have different numbers of them, as rows for all columns; NaN, which equals nothing, where a column
/// has no more.
fn by_row(codes: &[Vec<f64>], width: usize) -> Vec<Vec<f64>> {
    let most = codes.iter().map(Vec::len).max().unwrap_or(0);
    let row = |n: usize| (0..width).map(|column| codes[column].get(n).copied().unwrap_or(f64::NAN)).collect();
    (0..most).map(row).collect()
}

/// One categorical column: a 1 for its level among zeros, and whether it is neither a level nor an empty cell that may be
/// there. `codes`: what stands for an empty cell beside [`EMPTY`]; `may`: whether the study takes them.
fn levels(graph: &mut Graph, place: usize, column: &Categorical, codes: &[&str], may: bool) -> (String, String) {
    let (keys, values): (Vec<String>, Vec<i64>) = texts(column, codes, may).into_iter().unzip();
    let which = graph.integers("column", &[place as i64]);
    let cells = graph.with("Gather", &[CATEGORICAL, &which], vec![AttributeProto::int("axis", 1)]);
    let attributes = vec![
        AttributeProto::strings("keys_strings", keys),
        AttributeProto::longs("values_int64s", values),
        AttributeProto::int("default_int64", other_level(column)),
    ];
    let level = graph.of_tables("LabelEncoder", &[&cells], attributes);
    let all: Vec<i64> = (0..column.levels.len() as i64).collect();
    let all = graph.integers("levels", &all);
    let is = graph.node("Equal", &[&level, &all]);
    let other = graph.integers("no_level", &[NO_LEVEL.1]);
    let other = graph.node("Equal", &[&level, &other]);
    (graph.cast(&is, element::FLOAT), other)
}

/// The level of a text that none of [`texts`] is.
fn other_level(column: &Categorical) -> i64 {
    let other = column.other.as_deref().map(str::trim);
    let place = other.and_then(|other| column.levels.iter().position(|level| level.trim() == other));
    place.map_or(NO_LEVEL.1, |place| place as i64)
}

/// Every text that a column may hold, in the order of the levels, and its level: as it is written in the study, and, where
/// it is a number or a truth value, as Python writes it. What is empty is no level; where the study refuses empty cells, also not
/// that of all others.
fn texts(column: &Categorical, codes: &[&str], may: bool) -> Vec<(String, i64)> {
    let mut found: Vec<(String, i64)> = Vec::new();
    let mut taken = HashSet::new();
    // of what is put twice, the first one holds
    let mut put = |text: String, level: i64| {
        if taken.insert(text.clone()) {
            found.push((text, level));
        }
    };
    let levels = || column.levels.iter().map(|level| level.trim()).zip(0..);
    levels().for_each(|(level, n)| put(level.to_owned(), n));
    let written = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let as_python = |number: f64| [number.to_string(), format!("{number:?}")];
    let empty = if may { NO_LEVEL.0 } else { NO_LEVEL.1 };
    for text in EMPTY.iter().chain(codes).filter(|_| may || column.other.is_some()) {
        put((*text).to_owned(), empty);
        written(text).into_iter().flat_map(as_python).for_each(|text| put(text, empty));
    }
    for (level, n) in levels() {
        // of equal numbers the first level holds
        let first = levels().find(|(other, _)| same_value(other, level)).map_or(n, |(_, n)| n);
        written(level).into_iter().flat_map(as_python).for_each(|text| put(text, first));
        for word in ["true", "false"].into_iter().filter(|word| level.eq_ignore_ascii_case(word)) {
            [word.to_owned(), word[..1].to_uppercase() + &word[1..]].into_iter().for_each(|text| put(text, first));
        }
    }
    found
}

/// Rows in which a number is not finite.
fn not_finite(graph: &mut Graph, rows: &str) -> String {
    let none = graph.node("IsNaN", &[rows]);
    let beyond = graph.node("IsInf", &[rows]);
    let either = graph.node("Or", &[&none, &beyond]);
    in_row(graph, &either)
}

/// Rows in which one of some truths holds.
fn in_row(graph: &mut Graph, truths: &str) -> String {
    let numbers = graph.cast(truths, element::FLOAT);
    let over = vec![AttributeProto::ints("axes", &[1]), AttributeProto::int("keepdims", 1)];
    let most = graph.with("ReduceMax", &[&numbers], over);
    graph.cast(&most, element::BOOL)
}

fn any(graph: &mut Graph, truths: Vec<String>) -> String {
    let either = truths.into_iter().reduce(|a, b| graph.node("Or", &[&a, &b]));
    either.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn column(levels: &[&str]) -> Categorical {
        Categorical { column: "c".into(), levels: levels.iter().map(ToString::to_string).collect(), other: None }
    }

    fn level(texts: &[(String, i64)], text: &str) -> Option<i64> {
        texts.iter().find(|(there, _)| there == text).map(|(_, n)| *n)
    }

    #[test]
    fn a_level_is_known_as_the_study_and_as_python_writes_it() {
        let all = texts(&column(&["1", " 2.50", "f", "TRUE"]), &["-9", "unknown"], true);
        for (text, n) in
            [("1", 0), ("1.0", 0), ("2.50", 1), ("2.5", 1), ("f", 2), ("True", 3), ("true", 3), ("TRUE", 3)]
        {
            assert_eq!(level(&all, text), Some(n), "{text}");
        }
        for text in ["", "NA", "nan", "NaN", "-9", "-9.0", "unknown"] {
            assert_eq!(level(&all, text), Some(-1), "{text}");
        }
        assert_eq!((level(&all, "F"), level(&all, "3")), (None, None));
        let mut keys: Vec<&String> = all.iter().map(|(text, _)| text).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
    }

    #[test]
    fn an_empty_cell_is_no_level_where_the_study_refuses_it_and_a_level_where_the_study_names_it() {
        let all = texts(&column(&["NA", "EU"]), &["-9"], false);
        assert_eq!((level(&all, "NA"), level(&all, "")), (Some(0), None));
        let all = texts(&column(&["NA", "EU"]), &[], true);
        assert_eq!((level(&all, "NA"), level(&all, "")), (Some(0), Some(-1)));
    }

    #[test]
    fn an_empty_cell_is_not_the_level_of_all_others() {
        let mut column = column(&["EU", "elsewhere"]);
        assert_eq!(other_level(&column), -2);
        column.other = Some("elsewhere ".into());
        assert_eq!(other_level(&column), 1);
        let all = texts(&column, &["-9"], false);
        for text in ["", "NA", "-9", "-9.0"] {
            assert_eq!(level(&all, text), Some(-2), "{text}");
        }
        assert_eq!(level(&texts(&column, &["-9"], true), "-9"), Some(-1));
    }

    #[test]
    fn columns_of_few_codes_have_nan_where_others_have_more() {
        let rows = by_row(&[vec![-9.0, -99.0], vec![], vec![-1.0]], 3);
        assert_eq!(rows.len(), 2);
        assert!(rows[0][0] == -9.0 && rows[0][1].is_nan() && rows[0][2] == -1.0);
        assert!(rows[1][0] == -99.0 && rows[1][1].is_nan() && rows[1][2].is_nan());
    }
}
