//! The first line of a table: which columns are there, and which of them a study reads.

use crate::data::{
    error::DataError,
    table::{
        cell::{Cell, Mode},
        near::{meant, near},
    },
};
use consilium_study::{Categorical, DataSpec, Missing, Others, Pictures, Scaling, Task, Transform};
use csv::ByteRecord;
use std::collections::{HashMap, HashSet};

/// Where the columns of a study stand in a file.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Plan {
    /// Cells that a row has.
    pub cells: usize,
    /// Numeric features, in the model's order.
    pub numeric: Vec<(usize, String)>,
    /// Categorical columns, in the study's order.
    pub categorical: Vec<Levels>,
    /// Label, or labels.
    pub labels: Vec<(usize, String)>,
    /// Group.
    pub group: Option<(usize, String)>,
    /// Files' names of pictures.
    pub picture: Option<(usize, String)>,
    /// What stands for an empty cell, by feature column, numeric ones first; empty where nothing does.
    pub codes: Vec<Codes>,
    /// What does in the columns of the group and of several labels.
    pub anywhere: Codes,
}

/// What stands for an empty cell beside those texts that always do.
#[derive(Clone, Debug, Default)]
pub(in crate::data) struct Codes {
    texts: Vec<Vec<u8>>,
    /// Those that are numbers, by their bits.
    numbers: Vec<u64>,
}

impl Codes {
    fn of<'a>(values: impl IntoIterator<Item = &'a str> + Clone) -> Self {
        let texts = values.clone().into_iter().map(|value| value.trim().as_bytes().to_vec()).collect();
        Self { texts, numbers: values.into_iter().filter_map(|value| number_bits(value.trim())).collect() }
    }

    /// Whether a cell's text is one of them, or the same number written otherwise.
    pub fn text(&self, text: &[u8]) -> bool {
        let number = || number_bits(std::str::from_utf8(text).ok()?);
        self.texts.iter().any(|code| code == text)
            || !self.numbers.is_empty() && number().is_some_and(|bits| self.numbers.contains(&bits))
    }

    /// Whether a number is one of them.
    pub fn number(&self, number: f64) -> bool {
        !self.numbers.is_empty() && self.numbers.contains(&(number + 0.0).to_bits())
    }
}

/// A categorical column.
#[derive(Clone, Debug)]
pub(in crate::data) struct Levels {
    pub index: usize,
    pub name: String,
    pub levels: HashMap<Vec<u8>, u32>,
    /// The levels that are numbers, by their bits; of equal ones the first.
    pub numbers: HashMap<u64, u32>,
    /// The level of all other values.
    pub other: Option<u32>,
}

/// Bits that equal numbers share; none of what is no finite number.
fn number_bits(text: &str) -> Option<u64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| (number + 0.0).to_bits())
}

impl Levels {
    /// The level of a text that none of them is byte for byte: one with blanks beyond ASCII around it, the same number
    /// whichever way it is written (`1.0` of a level `1`), a truth value; or any other text, where one level is that of all others.
    pub fn level(&self, cell: Cell<'_>, text: &[u8]) -> Option<u32> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let by_text = self.levels.get(text.as_bytes()).copied();
        let found = by_text.or_else(|| self.numbers.get(&number_bits(text)?).copied());
        let truth = || {
            cell.truth().and_then(|word| {
                let same = |level: &[u8]| level.eq_ignore_ascii_case(word.as_bytes());
                self.levels.iter().filter(|(level, _)| same(level)).map(|(_, n)| *n).min()
            })
        };
        found.or_else(truth).or(self.other)
    }
}

impl Plan {
    /// The column of a step of reading a row: numeric features, categorical ones, labels, group, picture, from 1.
    pub fn name(&self, step: usize) -> &str {
        let named = self.numeric.iter().map(|(_, name)| name);
        let step = step.saturating_sub(1);
        let name = if step < self.numeric.len() {
            self.numeric.get(step).map(|(_, name)| name)
        } else {
            let rest = self.categorical.iter().map(|c| &c.name).chain(self.labels.iter().map(|(_, name)| name));
            rest.chain(self.group.iter().chain(&self.picture).map(|(_, name)| name)).nth(step - named.len())
        };
        name.map_or("", String::as_str)
    }

    /// Places of all columns that are read.
    pub fn places(&self) -> HashSet<usize> {
        let named = self.numeric.iter().chain(&self.labels).chain(&self.group).chain(&self.picture);
        named.map(|(place, _)| *place).chain(self.categorical.iter().map(|c| c.index)).collect()
    }
}

/// The names of a header's columns, without the blanks around them.
pub(in crate::data) fn names(header: &ByteRecord) -> Result<Vec<String>, String> {
    let name = |(n, cell)| match std::str::from_utf8(cell) {
        Ok(name) => Ok(name.trim().to_owned()),
        Err(_) => Err(format!("the name of column {} is not UTF-8 text", n + 1)),
    };
    header.iter().enumerate().map(name).collect()
}

/// Where a study's columns stand among these, and what is wrong with them: at most so many problems. What is there of
/// them is in the plan whatever else is wrong.
pub(in crate::data) fn plan(names: &[String], spec: &DataSpec, mode: Mode, most: usize) -> (Plan, Vec<String>) {
    let mut places: HashMap<&str, (usize, bool)> = HashMap::with_capacity(names.len());
    for (place, name) in names.iter().enumerate() {
        places.entry(name).and_modify(|(_, twice)| *twice = true).or_insert((place, false));
    }
    let mut problems = Vec::new();
    let find = |name: &str, what: &str, problems: &mut Vec<String>| {
        let problem = match places.get(name.trim()) {
            Some((place, false)) => return Some((*place, name.to_owned())),
            _ if problems.len() >= most => return None,
            Some(_) => format!("has two columns {name:?}"),
            None => {
                // where most columns are missing, no slip is what is wrong
                let meant = if problems.len() < 10 { meant(name, names, spec) } else { String::new() };
                format!("has no column {name:?}, which the study names as {what}{meant}")
            }
        };
        problems.push(problem);
        None
    };
    let what = match spec.task() {
        Task::Labels(_) => "a label",
        Task::Binary | Task::Classes(_) => "its label",
        Task::Value | Task::Events(_) => "its outcome",
    };
    let (labels, group) = match mode.labelled() {
        true => (spec.label_columns(), spec.group.as_deref()),
        false => (Vec::new(), None),
    };
    let labels = labels.into_iter().filter_map(|name| find(name, what, &mut problems)).collect();
    let group = group.and_then(|name| find(name, "its group", &mut problems));
    let picture = spec.pictures.as_ref().and_then(|p| find(&p.column, "that of its pictures", &mut problems));
    let numeric = match &spec.features.others {
        Some(others) => rest(names, spec, others, &mut problems, most),
        None => spec.features.columns.iter().filter_map(|name| find(name, "a feature", &mut problems)).collect(),
    };
    let levels = |levels: &[String]| levels.iter().zip(0..).map(|(l, n)| (l.trim().as_bytes().to_vec(), n)).collect();
    let categorical: Vec<Levels> = spec
        .categorical
        .iter()
        .filter_map(|c| {
            let (index, name) = find(&c.column, "a feature", &mut problems)?;
            let mut numbers = HashMap::new();
            for (level, n) in c.levels.iter().zip(0..) {
                if let Some(bits) = number_bits(level.trim()) {
                    numbers.entry(bits).or_insert(n);
                }
            }
            Some(Levels { index, name, levels: levels(&c.levels), numbers, other: other(c) })
        })
        .collect();
    let features = numeric.iter().map(|(_, name)| name).chain(categorical.iter().map(|c| &c.name));
    let codes = match spec.missing_values.is_empty() && spec.missing_values_of.is_empty() {
        true => Vec::new(),
        false => features.map(|name| Codes::of(spec.missing_in(name))).collect(),
    };
    let anywhere = Codes::of(spec.missing_values.iter().map(String::as_str));
    (Plan { cells: names.len(), numeric, categorical, labels, group, picture, codes, anywhere }, problems)
}

/// Which of a column's levels, counted from 0, is that of all other values.
pub(in crate::data) fn other(categorical: &Categorical) -> Option<u32> {
    let other = categorical.other.as_deref()?.trim();
    categorical.levels.iter().zip(0..).find(|(level, _)| level.trim() == other).map(|(_, n)| n)
}

/// The columns a specification names otherwise than as features.
pub(in crate::data) fn named(spec: &DataSpec) -> Vec<&str> {
    let mut named = spec.label_columns();
    named.extend(spec.group.as_deref());
    named.extend(spec.id.as_deref());
    named.extend(spec.pictures.as_ref().map(|p| p.column.as_str()));
    named.extend(spec.categorical.iter().map(|c| c.column.as_str()));
    named.iter().map(|name| name.trim()).collect()
}

/// Whether a column's name is one that programs give to row numbers and to columns without a name: none at all (R, pandas
/// and polars in text), pandas' `__index_level_0__` (Parquet) and `Unnamed: 0` (a text that it has read and written again).
pub(in crate::data) fn numbers_rows(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let level = name.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    name.is_empty() || level.or_else(|| name.strip_prefix("Unnamed: ")).is_some_and(number)
}

/// All columns but those named, those to be left out and those that number rows, sorted by the bytes of their names.
fn all_but(names: &[String], named: &[&str], ignore: &[String]) -> Vec<(usize, String)> {
    let mut out: HashSet<&str> = named.iter().map(|name| name.trim()).collect();
    out.extend(ignore.iter().map(|name| name.trim()));
    out.extend(names.iter().map(String::as_str).filter(|name| numbers_rows(name)));
    let mut rest: Vec<(usize, String)> = names
        .iter()
        .enumerate()
        .filter(|(_, name)| !out.contains(name.as_str()))
        .map(|(n, c)| (n, c.clone()))
        .collect();
    rest.sort_by(|a, b| a.1.as_bytes().cmp(b.1.as_bytes()));
    rest
}

/// The columns that are features because nothing else names them, and whether they are those agreed.
fn rest(
    names: &[String],
    spec: &DataSpec,
    others: &Others,
    problems: &mut Vec<String>,
    most: usize,
) -> Vec<(usize, String)> {
    let mut rest = all_but(names, &named(spec), &others.ignore);
    // where a file has no header, its names are a patient's cells
    let most = if problems.is_empty() { most } else { most.min(problems.len()) };
    let twice: Vec<String> = rest.windows(2).filter(|pair| pair[0].1 == pair[1].1).map(|p| p[0].1.clone()).collect();
    problems.extend(twice.iter().take(most.saturating_sub(problems.len())).map(|n| format!("has two columns {n:?}")));
    rest.dedup_by(|a, b| a.1 == b.1);
    let found = Others::of(&rest.iter().map(|(_, name)| name).collect::<Vec<_>>(), others.ignore.clone());
    if (found.count != others.count || found.hash != others.hash) && problems.len() < most {
        let unnamed = match names.iter().find(|name| numbers_rows(name)) {
            Some(name) => format!(
                "; the column {name:?} is not among them, since its name is that of row numbers: a study that was written \
                 with it has to be written anew"
            ),
            None => String::new(),
        };
        let what = if found.count == others.count {
            format!("has {} other columns, as many as agreed, but not of the agreed names", found.count)
        } else {
            let by = found.count.abs_diff(others.count);
            let (many, what) = match found.count > others.count {
                true => ("more", "list those that are no features in data.features.others.ignore, or take them out"),
                false => ("fewer", "export those that are missing too, or agree on a study without them"),
            };
            format!(
                "has {} other columns, {by} {many} than the {} agreed (data.features.others); {what}",
                found.count, others.count
            )
        };
        problems.push(format!(
            "{what}; compare what `ml-worker columns` prints here and where the study was written{unnamed}"
        ));
    }
    rest
}

/// What separates cells: that of tab, semicolon and comma which gives the study's columns; if none does, whichever is
/// most often in the first line, for the message.
pub(in crate::data) fn delimiter(bytes: &[u8], fits: &dyn Fn(&[String]) -> bool) -> u8 {
    let all = *b"\t;,";
    let reads = |d: &u8| read_header(bytes, *d).is_ok_and(|header| names(&header).is_ok_and(|names| fits(&names)));
    if let Some(fitting) = all.iter().copied().find(reads) {
        return fitting;
    }
    let line = bytes.split(|b| *b == b'\n').next().unwrap_or_default();
    let count = |d: u8| {
        let mut quoted = false;
        line.iter()
            .filter(|b| {
                quoted ^= **b == b'"';
                !quoted && **b == d
            })
            .count()
    };
    all.into_iter().max_by_key(|d| count(*d)).unwrap_or(b',')
}

/// The first record.
pub(in crate::data) fn read_header(bytes: &[u8], delimiter: u8) -> Result<ByteRecord, csv::Error> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes);
    reader.byte_headers().cloned()
}

/// Whether a study's columns are all there.
pub(in crate::data) fn fits(names: &[String], spec: &DataSpec, mode: Mode) -> bool {
    plan(names, spec, mode, 1).1.is_empty()
}

/// How raw rows become the network's, and what their labels are: what a table knows of its study.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::data) struct Form {
    /// Numeric columns.
    pub numeric: usize,
    /// Levels of each categorical column.
    pub levels: Vec<usize>,
    pub task: Task,
    /// Whether statistics that are shared have the numeric columns beside an outcome that is a number; no of other outcomes.
    pub swarm: bool,
    pub transform: Transform,
    pub missing: Missing,
    /// How pictures are read, where rows name them.
    pub pictures: Option<Pictures>,
    /// Whether rows say whom they belong to. Where they do not, a row is known by its content.
    pub grouped: bool,
}

impl Form {
    pub fn of(spec: &DataSpec) -> Self {
        Self {
            numeric: spec.numeric(),
            levels: spec.categorical.iter().map(|c| c.levels.len()).collect(),
            task: spec.task(),
            swarm: spec.scaling == Scaling::Swarm && spec.task() == Task::Value,
            transform: spec.transform,
            missing: spec.missing,
            pictures: spec.pictures.clone(),
            grouped: spec.group.is_some(),
        }
    }

    /// Numbers of a raw row.
    pub fn raw(&self) -> usize {
        self.numeric + self.levels.len()
    }

    /// Numbers of a row of the network.
    pub fn inputs(&self) -> usize {
        match &self.pictures {
            Some(pictures) => pictures.numbers(),
            None => self.numeric + self.levels.iter().sum::<usize>(),
        }
    }

    /// Numbers that are a row's label.
    pub fn per_row(&self) -> usize {
        match self.task {
            Task::Binary | Task::Classes(_) | Task::Value => 1,
            Task::Labels(n) => n,
            Task::Events(_) => 2,
        }
    }
}

/// A header's columns, and those of them that a study may take as features without naming them.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// All columns, in the file's order.
    pub names: Vec<String>,
    /// All but those named otherwise, as a study names them (`data.features.others`).
    pub others: Others,
    /// Their names, in the order in which the model takes them.
    pub rest: Vec<String>,
}

impl std::fmt::Display for Header {
    /// As it stands in a study file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Others { count, hash, ignore } = &self.others;
        write!(f, "features = {{ others = {{ count = {count}, hash = \"{hash}\"")?;
        if !ignore.is_empty() {
            // escapes of a debug print that TOML does not know are not in names of columns
            write!(f, ", ignore = {ignore:?}")?;
        }
        f.write_str(" } }")
    }
}

/// [`Header`] of these names.
pub(in crate::data) fn header(names: Vec<String>, named: &[&str], ignore: Vec<String>) -> Result<Header, DataError> {
    for column in named {
        if !names.iter().any(|name| name == column.trim()) {
            let meant = near(column, &names).map_or_else(String::new, |name| format!("; is {name:?} meant?"));
            return Err(DataError::schema(format!("has no column {column:?}{meant}")));
        }
    }
    let rest: Vec<String> = all_but(&names, named, &ignore).into_iter().map(|(_, name)| name).collect();
    if let Some(pair) = rest.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(DataError::schema(format!("has two columns {:?}; a study cannot tell them apart", pair[0])));
    }
    if rest.is_empty() {
        return Err(DataError::schema("has no other columns than those named"));
    }
    Ok(Header { others: Others::of(&rest, ignore), names, rest })
}
