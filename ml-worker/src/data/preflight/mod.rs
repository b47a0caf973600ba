//! Everything that stands between a file and a study, at once: for the site's own people, before anything is agreed.

mod column;
mod hidden;
pub mod look;
mod private;
pub mod words;

use crate::data::{
    error::DataError,
    pictures::survey::{survey, Survey},
    preflight::look::{look, Count, Look},
    rows::{
        prepare::{enough, withheld},
        scale::Scaler,
        split::Split,
        target::shared_columns,
    },
    table::Table,
    table::{
        cell::{Mode, What},
        cells::{Cells, Memory},
        copy::{self, purge_one},
        header, reading,
        sink::{axis, Outcome, Target},
        source::{Reading, Source},
    },
};
use consilium_aggregation::MIN_ROWS;
use consilium_study::{BadRows, DataSpec, Missing, Others, Scaling, StudySpec, Task};
use serde::Serialize;
use std::{collections::HashSet, path::Path, sync::Arc};

/// Problems, and names of columns, that a report lists.
pub(in crate::data) const MOST: usize = 50;
/// Columns with missing values that a report lists.
const WORST: usize = 10;

/// What a file holds, and whether a study can train on it. Stays at the site; no cell's content is in it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The file.
    pub file: String,
    /// Whether the study can train on it.
    pub usable: bool,
    /// Columns of the file.
    pub columns: usize,
    /// Columns of the file that the study does not read: how many, and the first of them.
    pub extra: (usize, Vec<String>),
    /// Rows of the file.
    pub rows: usize,
    /// Rows that cannot be read.
    pub skipped: usize,
    /// Rows that are left out because something is missing in them.
    pub dropped: usize,
    /// Patients, or rows where the study names no group.
    pub groups: usize,
    /// The column that says which rows are one patient's, where the study names one.
    pub group: Option<String>,
    /// The classes, or labels, that [`Part::classes`] counts.
    pub classes: Vec<String>,
    /// All rows that are left.
    pub all: Part,
    /// What would be trained on.
    pub training: Part,
    /// What would be measured on.
    pub validation: Part,
    /// Validation rows that a site needs so that it reports its loss, and whether they are there.
    pub min_rows: (u32, bool),
    /// Columns with the most missing values.
    pub missing: Vec<Count>,
    /// What stands out in numeric columns.
    pub look: Look,
    /// The pictures, where the study has any.
    pub pictures: Option<Survey>,
    /// What is wrong, and what to do.
    pub problems: Vec<Problem>,
    /// Problems beyond those listed.
    pub more: usize,
    /// Whether the study's updates are masked.
    #[serde(skip)]
    masked: bool,
    /// Of a study with masks: what others will see of this site, and what they will not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others_see: Vec<String>,
}

/// Some rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Part {
    /// How many.
    pub rows: usize,
    /// How many of each class, or with each label.
    pub classes: Vec<usize>,
    /// Of how many each label is known, where some are not known of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<usize>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, what, and what to do.
    pub message: String,
    /// Whether the study cannot train because of it.
    pub blocks: bool,
}

impl Report {
    fn problem(&mut self, message: impl Into<String>, blocks: bool) {
        self.usable &= !blocks;
        if self.problems.len() < MOST {
            self.problems.push(Problem { message: message.into(), blocks });
        } else {
            self.more += 1;
        }
    }

    /// Whether all training rows are of one class.
    fn of_one_class(&self, spec: &StudySpec) -> bool {
        let (classes, rows) = (&self.training.classes, self.training.rows);
        match spec.data.task() {
            Task::Labels(_) => {
                let known = |n: usize| self.training.known.get(n).copied().unwrap_or(rows);
                classes.iter().enumerate().all(|(n, count)| *count == 0 || *count == known(n))
            }
            Task::Binary | Task::Classes(_) => classes.contains(&rows),
            Task::Value | Task::Events(_) => false,
        }
    }

    fn error(&mut self, error: &DataError) {
        self.problem(error.message.clone(), true);
    }
}

/// Looks at a file as a study would. `group_key` keys the hashes that stand for patients: with the site's own, training and
/// validation rows are those that the worker would take.
pub fn preflight(path: &Path, spec: &StudySpec, group_key: &[u8; 32], how: &Reading) -> Report {
    looked(Report::default(), path, spec, group_key, how)
}

/// The same for a study whose updates are masked, with what others will see of this site.
pub fn preflight_masked(path: &Path, spec: &StudySpec, group_key: &[u8; 32], how: &Reading) -> Report {
    looked(Report { masked: true, ..Report::default() }, path, spec, group_key, how)
}

fn looked(report: Report, path: &Path, spec: &StudySpec, group_key: &[u8; 32], how: &Reading) -> Report {
    let mut report = Report { file: path.display().to_string(), usable: true, ..report };
    report.min_rows.0 = spec.evaluation.min_rows;
    report.group.clone_from(&spec.data.group);
    report.classes = match spec.data.task() {
        Task::Classes(_) => spec.data.classes.clone(),
        Task::Labels(_) => spec.data.labels.clone(),
        Task::Binary => vec![spec.data.negative.clone(), spec.data.positive.clone()],
        Task::Value => Vec::new(),
        Task::Events(_) => vec!["no event".into(), "event".into()],
    };
    if let Err(error) = fill(&mut report, path, spec, group_key, how) {
        report.error(&error);
    }
    report
}

fn fill(report: &mut Report, path: &Path, spec: &StudySpec, key: &[u8; 32], how: &Reading) -> Result<(), DataError> {
    let Some(reduced) = columns(report, path, &spec.data, how)? else { return Ok(()) };
    let mut source = Source::open(path, how, spec.data.layout())?;
    let copy = how.folder.as_ref().map(|folder| copy::place(folder, path, b"preflight", key));
    let target = Target { reading: how, copy, path };
    let outcome = reading::read(&mut source, &target, &reduced, key, Mode::All)?;
    let missing = problems(report, &outcome, &reduced);
    let Outcome { mut known, values, writer, places, unit, .. } = outcome;
    if let Some(pictures) = &reduced.pictures {
        let (seen, failed) = survey(pictures, &target, &mut known, (&places, unit))?;
        // pictures that may be skipped are no reason not to train
        for failure in failed {
            report.problem(failure.0, failure.1 || spec.data.bad_rows == BadRows::Refuse);
        }
        report.pictures = Some(seen);
    }
    let cells = match (writer, &target.copy) {
        (Some(writer), Some(place)) => {
            let copy = writer.finish(&mut known).map_err(|e| copy::error(place, &e))?;
            // it is read as long as it is open
            purge_one(place).map_err(|e| copy::error(place, &e))?;
            Cells::File(copy)
        }
        _ => Cells::Memory(values),
    };
    let table = Table::new(known, cells, &reduced);
    // what is dropped for its features is still in the table; what has no label is not
    report.rows = table.rows() + table.skipped + table.dropped;
    report.skipped = table.skipped;
    report.dropped = table.dropped;
    report.look = look(&table, &reduced)?;
    worst(report, &table, &reduced, &missing);
    if let BadRows::Skip { at_most } = spec.data.bad_rows {
        if report.skipped as f64 > at_most * report.rows as f64 {
            let (skipped, rows) = (report.skipped, report.rows);
            report.problem(
                format!(
                    "{skipped} of {rows} rows cannot be read, more than the share of {at_most} that the study lets go \
                     (data.bad_rows); correct them"
                ),
                true,
            );
        }
    }
    let kept: Vec<usize> = match spec.data.missing {
        Missing::DropRow => {
            report.dropped += report.look.incomplete.len();
            let mut incomplete = report.look.incomplete.iter().peekable();
            (0..table.rows()).filter(|row| incomplete.next_if_eq(&row).is_none()).collect()
        }
        Missing::Refuse | Missing::Mean => (0..table.rows()).collect(),
    };
    train(report, spec, &table, &kept)
}

/// Looks at the header. What can be read all the same; `None` where labels or pictures are not there.
fn columns(report: &mut Report, path: &Path, spec: &DataSpec, how: &Reading) -> Result<Option<DataSpec>, DataError> {
    let mut source = Source::open(path, how, spec.layout())?;
    let target = Target { reading: how, copy: None, path };
    let names = reading::names(&mut source, &target, &|names| header::fits(names, spec, Mode::All))?;
    let (plan, problems) = header::plan(&names, spec, Mode::All, usize::MAX);
    report.columns = names.len();
    let read = plan.places();
    let extra: Vec<String> =
        names.iter().enumerate().filter(|(n, _)| !read.contains(n)).map(|(_, name)| name.clone()).collect();
    report.extra = (extra.len(), extra.into_iter().take(MOST).collect());
    if plan.labels.is_empty() {
        // its names may be a patient's cells
        report.extra.1.clear();
        let what = if spec.outcome.is_some() { "outcome" } else { "label" };
        report.problem(
            format!("no {what} is among the names in the first line; is that a header with names of columns?"),
            true,
        );
    }
    for problem in problems {
        report.problem(format!("{problem}; rename or add it, or agree on a study without it"), true);
    }
    if spec.features.others.is_some() {
        for (_, name) in names.iter().enumerate().filter(|(n, name)| !read.contains(n) && header::numbers_rows(name)) {
            report.problem(
                format!(
                    "the column {name:?} is left out: programs give that name to row numbers, which are no feature; export \
                     the table without it"
                ),
                false,
            );
        }
    }
    let mut reduced = spec.clone();
    let mut once = HashSet::new();
    let twice: HashSet<&String> = names.iter().filter(|name| !once.insert(*name)).collect();
    let numeric = plan.numeric.iter().map(|(_, name)| name.clone());
    let found: Vec<String> = numeric.filter(|name| !twice.contains(name)).collect();
    let there: HashSet<&String> = found.iter().collect();
    reduced.features.columns.retain(|name| there.contains(name));
    if let Some(others) = &mut reduced.features.others {
        let ignore = others.ignore.iter().chain(twice.iter().copied()).cloned().collect();
        *others = Others::of(&found, ignore);
    }
    reduced.categorical.retain(|c| plan.categorical.iter().any(|there| there.name == c.column));
    reduced.group = plan.group.as_ref().map(|(_, name)| name.clone());
    if reduced.missing == Missing::DropRow {
        // they are counted here
        reduced.missing = Missing::Mean;
    }
    let whole = plan.labels.len() == spec.label_columns().len() && plan.picture.is_some() == spec.pictures.is_some();
    Ok(whole.then_some(reduced))
}

/// Lists what is wrong with cells and rows; empty cells that are refused are given back by step.
fn problems(report: &mut Report, outcome: &Outcome, spec: &DataSpec) -> Vec<Count> {
    let mut missing = Vec::new();
    let mut found: Vec<_> = outcome.problems.iter().collect();
    found.sort_by_key(|(kind, found)| (std::cmp::Reverse(found.rows), *kind));
    for ((step, what), found) in found {
        let column = outcome.plan.name(*step);
        if *what == What::Missing {
            missing.push(Count { column: column.to_owned(), rows: found.rows });
        }
        let place = match step {
            0 => String::new(),
            _ => format!("{} {column:?}: ", axis(spec)),
        };
        let rows = if found.rows == 1 { "1 row".to_owned() } else { format!("{} rows", found.rows) };
        let words = what.words(&outcome.plan, spec);
        let (unit, line) = (outcome.unit, found.line);
        let message = format!("{place}{rows}, the first in {unit} {line}: {words}; {}", what.advice());
        // rows that may be skipped are no reason not to train
        let blocks = match what {
            What::Mark | What::Doubtful => true,
            What::Point => false,
            _ => spec.bad_rows == BadRows::Refuse,
        };
        report.problem(message, blocks);
    }
    missing
}

fn worst(report: &mut Report, table: &Table, spec: &DataSpec, refused: &[Count]) {
    let names = table.features.iter().chain(spec.categorical.iter().map(|c| &c.column));
    let known = names.zip(&report.look.missing).map(|(name, rows)| Count { column: name.clone(), rows: *rows });
    let mut all: Vec<Count> = known.chain(refused.iter().cloned()).filter(|count| count.rows > 0).collect();
    all.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.column.cmp(&b.column)));
    all.truncate(WORST);
    report.missing = all;
}

/// What training would begin with.
fn train(report: &mut Report, spec: &StudySpec, table: &Table, kept: &[usize]) -> Result<(), DataError> {
    // rows alone: a split looks at no value
    let rows = Table {
        labels: kept.iter().flat_map(|row| table.label(*row)).copied().collect(),
        groups: kept.iter().map(|row| table.groups[*row]).collect(),
        cells: Arc::new(Cells::Memory(Memory::default())),
        ..table.clone()
    };
    let part = |places: &[usize]| {
        let mut known = rows.known(places.iter().copied());
        if known.iter().all(|count| *count == places.len()) {
            known.clear();
        }
        Part { rows: places.len(), classes: rows.classes(places.iter().copied()), known }
    };
    let (training, validation) = Split::of(&rows, spec.evaluation.validation_share).rows(&rows);
    report.all = part(&(0..rows.rows()).collect::<Vec<_>>());
    report.training = part(&training);
    report.validation = part(&validation);
    let mut groups = rows.groups.clone();
    groups.sort_unstable();
    groups.dedup();
    report.groups = groups.len();
    report.min_rows.1 = !validation.is_empty() && validation.len() >= spec.evaluation.min_rows as usize;
    if !report.min_rows.1 {
        let (there, needed) = (validation.len(), spec.evaluation.min_rows);
        report.problem(
            format!(
                "{there} validation rows are fewer than the {needed} with which a site reports its loss \
                 (evaluation.min_rows): it can train, but has no say in which model is best; add rows, or agree on a \
                 larger evaluation.validation_share"
            ),
            false,
        );
    }
    if let Err(error) = enough(spec, &rows, &training) {
        report.problem(format!("{}; add rows of other patients", error.message), true);
        return Ok(());
    }
    private::private(spec, &rows, &training, report);
    if report.masked {
        report.others_see = hidden::others_see(spec, training.len());
    }
    if spec.data.pictures.is_some() {
        return Ok(());
    }
    // the swarm's statistics are not known yet; what this site could do with its own is the nearest
    let training: Vec<usize> = training.iter().map(|place| kept[*place]).collect();
    if report.of_one_class(spec) {
        report.problem(
            format!(
                "all {} training rows are of one class: the site trains, as the study says (data.one_class), and what needs \
                 both classes is not measured where its validation rows are of one, too",
                training.len()
            ),
            false,
        );
    }
    // with masks nobody sees a site's own statistics: none are withheld
    let few = if report.masked { Vec::new() } else { withheld(spec, table, &training)? };
    if let Some(name) = few.first() {
        let (many, all) = (few.len(), shared_columns(&spec.data, &table.features).len());
        report.problem(
            format!(
                "fewer than {MIN_ROWS} training rows have a value of {many} of {all} columns (the first: {name:?}): this \
                 site's figures of them are withheld from the common mean and deviation; if it is so at all sites, the study \
                 stops after its statistics; add rows, or agree on data.scaling \"none\", under which only an outcome that is a number is shared"
            ),
            false,
        );
    }
    let scaling = if spec.data.scaling == Scaling::Swarm { Scaling::Site } else { spec.data.scaling.clone() };
    let scaler = Scaler::of(&scaling, table, &training, None)?;
    let made = scaler.apply(table, kept)?;
    let place = made.not_finite().map_err(|e| DataError::io("rows of a table cannot be read", &e))?;
    if let Some((_, column)) = place {
        let name = table.features.get(column).map_or("", String::as_str);
        report.problem(
            format!("column {name:?}: a scaled value leaves the range of f32; scale or transform the features"),
            true,
        );
    }
    Ok(())
}
