//! One row of a table: from its cells to numbers, labels and the hash that stands for its patient.

use crate::data::{
    table::{
        cell::{Cell, Mode, What},
        header::{Codes, Form, Plan},
        identity, UNKNOWN,
    },
    text::{
        number::{is_missing, like_thousands, number, Mark, Marks},
        pieces::Cells,
    },
};
use consilium_study::{same_value, DataSpec, Missing, MissingLabels, Outcome, Task, Transform};
use std::collections::BTreeMap;

/// The cells of one row.
pub(in crate::data) trait Record {
    /// How many.
    fn cells(&self) -> usize;
    /// One of them.
    fn cell(&self, index: usize) -> Cell<'_>;

    /// Whether it is no row at all, as an empty line.
    fn blank(&self) -> bool {
        (0..self.cells()).all(|n| match self.cell(n) {
            Cell::Text(bytes) => bytes.trim_ascii().is_empty(),
            Cell::Number(number) | Cell::Truth(number) => number.is_nan(),
        })
    }
}

impl Record for Cells<'_> {
    fn cells(&self) -> usize {
        self.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        Cell::Text(Cells::cell(self, index))
    }
}

/// A place in a piece: where a record begins, and the step of reading it (0: the row itself).
pub(in crate::data) type Spot = (usize, usize);

/// How often something is wrong with a column, and where first.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct Tally {
    pub rows: usize,
    pub first: Spot,
}

/// What the marks of a column's numbers say, as far as they leave a doubt.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::data) struct Seen {
    /// A whole number below 1000 without a mark; one of 1000 and more.
    pub small: bool,
    pub large: bool,
    /// Numbers with one mark, comma or point, that may be one between thousands.
    pub like: [Option<Tally>; 2],
}

impl Seen {
    /// Notes a number; whether it has decimals for certain.
    fn see(&mut self, bytes: &[u8], (value, mark): (f64, Option<Mark>), spot: Spot) -> bool {
        match mark {
            None if value.is_nan() => {}
            None => *(if value.abs() >= 1000.0 { &mut self.large } else { &mut self.small }) = true,
            Some(mark) if like_thousands(bytes) => {
                self.like[mark as usize].get_or_insert(Tally { rows: 0, first: spot }).rows += 1;
            }
            Some(_) => return true,
        }
        false
    }
}

/// Different problems of one piece that are kept apart.
const MOST: usize = 10_000;

/// The rows of one piece.
#[derive(Default)]
pub(in crate::data) struct Part {
    pub values: Vec<f64>,
    pub labels: Vec<u32>,
    pub groups: Vec<[u8; 32]>,
    pub pictures: Vec<String>,
    /// Where the records of rows that are kept begin, where rows name pictures.
    pub starts: Vec<usize>,
    /// Empty cells among the features of rows that are kept.
    pub missing: usize,
    /// Rows left out because something is missing in them.
    pub dropped: usize,
    /// Rows that cannot be read.
    pub bad: usize,
    /// By step and kind.
    pub problems: BTreeMap<(usize, What), Tally>,
    pub first_comma: Option<Spot>,
    pub first_point: Option<Spot>,
    pub line_feeds: usize,
    /// Of each numeric column, and of outcomes behind them, where marks may leave a doubt; empty where no text was looked at
    /// for it.
    pub seen: Vec<Seen>,
    /// Whether a number has decimals for certain, so that the file's marks leave no doubt any more.
    pub certain: bool,
}

impl Part {
    /// The first problem.
    pub fn first(&self) -> Option<(Spot, What)> {
        self.problems.iter().map(|((_, what), tally)| (tally.first, *what)).min()
    }
}

/// Whether a text stands for nothing.
fn nothing(text: &[u8], code: Option<&Codes>) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| is_missing(text.trim())) || code.is_some_and(|code| code.text(text))
}

/// Whether a cell with this text holds a value: the same text, or the same number; a truth value is 1 or 0, or its word.
fn stands_for(cell: Cell<'_>, text: &str, value: &str) -> bool {
    same_value(text, value) || cell.truth().is_some_and(|word| value.trim().eq_ignore_ascii_case(word))
}

/// 1 or 0, where it is one of them and not both.
fn one_of(yes: bool, no: bool) -> Option<u32> {
    (yes != no).then_some(u32::from(yes))
}

/// Reads rows.
pub(in crate::data) struct RowReader<'a> {
    pub spec: &'a DataSpec,
    pub plan: &'a Plan,
    pub form: &'a Form,
    pub key: &'a [u8; 32],
    pub mode: Mode,
    /// Which decimal marks are taken.
    pub marks: Marks,
}

/// A row that is being read.
struct Row<'p> {
    part: &'p mut Part,
    mode: Mode,
    start: usize,
    step: usize,
    bad: bool,
    /// Whether a number of it may have more digits than programs agree on.
    long: bool,
}

impl Row<'_> {
    /// Notes a number's decimal mark: 1.234 is another number where commas are, and only the site can tell what is meant.
    fn note(&mut self, mark: Option<Mark>) {
        let spot = Some((self.start, self.step));
        match mark {
            Some(Mark::Comma) => self.part.first_comma = self.part.first_comma.or(spot),
            Some(Mark::Point) => self.part.first_point = self.part.first_point.or(spot),
            None => {}
        }
    }

    /// Notes a problem. False: the row need not be looked at any further.
    fn wrong(&mut self, what: What) -> bool {
        self.bad = true;
        let (first, room) = ((self.start, self.step), self.part.problems.len() < MOST);
        match self.part.problems.get_mut(&(self.step, what)) {
            Some(tally) => tally.rows += 1,
            None if room => {
                self.part.problems.insert((self.step, what), Tally { rows: 1, first });
            }
            None => {}
        }
        self.mode == Mode::All
    }
}

impl RowReader<'_> {
    /// Reads a row into a part. False: nothing more is to be read.
    pub fn read<R: Record>(&self, start: usize, record: &R, part: &mut Part, scratch: &mut Vec<u8>) -> bool {
        let (values, labels, pictures) = (part.values.len(), part.labels.len(), part.pictures.len());
        let mut row = Row { part, mode: self.mode, start, step: 0, bad: false, long: false };
        if record.blank() {
            return self.mode.labelled() || row.wrong(What::Blank);
        }
        let missing = self.cells(record, &mut row);
        let (bad, long) = (row.bad, row.long);
        let found = &part.labels[labels..];
        let unlabelled = !found.is_empty() && found.iter().all(|label| *label == UNKNOWN);
        if bad || unlabelled || (missing > 0 && self.spec.missing == Missing::DropRow) {
            part.values.truncate(values);
            part.labels.truncate(labels);
            part.pictures.truncate(pictures);
            part.bad += usize::from(bad);
            part.dropped += usize::from(!bad);
            return !bad || !self.mode.ends();
        }
        part.missing += missing;
        let group = match &self.plan.group {
            Some((index, _)) => blake3::keyed_hash(self.key, &identity::group(&record.cell(*index).text())),
            None => {
                let (values, labels) = (&part.values[values..], &part.labels[labels..]);
                identity::content(values, long, (self.form.task, labels), &part.pictures[pictures..], scratch);
                blake3::keyed_hash(self.key, scratch)
            }
        };
        part.groups.push(*group.as_bytes());
        if self.plan.picture.is_some() {
            part.starts.push(start);
        }
        true
    }

    /// Puts the row's numbers and labels at the end of its part; how many of its features are missing.
    fn cells<R: Record>(&self, record: &R, row: &mut Row<'_>) -> usize {
        if record.cells() != self.plan.cells {
            row.wrong(What::Cells(record.cells()));
            return 0;
        }
        let mut missing = 0;
        let refuse = match self.spec.missing {
            Missing::Refuse => true,
            Missing::Mean => false,
            Missing::DropRow => self.mode == Mode::Predict,
        };
        for (column, (index, _)) in self.plan.numeric.iter().enumerate() {
            row.step += 1;
            let code = self.plan.codes.get(column);
            let read = match record.cell(*index) {
                Cell::Text(bytes) if code.is_some_and(|code| code.text(bytes.trim_ascii())) => Ok((f64::NAN, None)),
                Cell::Text(bytes) => {
                    row.long |= bytes.len() > identity::DIGITS;
                    // a code may have the file's decimal mark
                    let read = match number(bytes, self.marks) {
                        Ok((value, _)) if code.is_some_and(|code| code.number(value)) => Ok((f64::NAN, None)),
                        read => read,
                    };
                    if let Ok(read) = read {
                        self.see(column, bytes, read, row);
                    }
                    read
                }
                Cell::Number(value) if code.is_some_and(|code| code.number(value)) => Ok((f64::NAN, None)),
                Cell::Number(value) if value.is_infinite() => Err(What::NotFinite),
                Cell::Number(value) | Cell::Truth(value) => {
                    row.long = true;
                    Ok((value, None))
                }
            };
            let value = match read {
                Ok((value, mark)) => {
                    row.note(mark);
                    value
                }
                Err(what) => {
                    if !row.wrong(what) {
                        return 0;
                    }
                    0.0
                }
            };
            let wrong = if value.is_nan() {
                missing += 1;
                refuse.then_some(What::Missing)
            } else {
                (self.spec.transform == Transform::Log1p && value <= -1.0).then_some(What::Log1p)
            };
            if wrong.is_some_and(|what| !row.wrong(what)) {
                return 0;
            }
            row.part.values.push(value);
        }
        for (place, column) in self.plan.categorical.iter().enumerate() {
            row.step += 1;
            let code = self.plan.codes.get(self.plan.numeric.len() + place);
            let text = record.cell(column.index).text();
            let text = text.as_ref();
            let value = match column.levels.get(text) {
                Some(level) => f64::from(*level),
                None if nothing(text, code) => {
                    missing += 1;
                    if refuse && !row.wrong(What::Missing) {
                        return 0;
                    }
                    f64::NAN
                }
                None => match column.level(record.cell(column.index), text) {
                    Some(level) => f64::from(level),
                    None => {
                        if !row.wrong(What::Level) {
                            return 0;
                        }
                        f64::NAN
                    }
                },
            };
            row.part.values.push(value);
        }
        for (place, (index, _)) in self.plan.labels.iter().enumerate() {
            row.step += 1;
            let cell = record.cell(*index);
            let read = match self.form.task {
                Task::Value => self.outcome(cell, place, row).map(f32::to_bits),
                Task::Events(_) if place == 0 => match self.outcome(cell, place, row) {
                    Ok(time) if time < 0.0 => Err(What::Negative),
                    read => read.map(f32::to_bits),
                },
                Task::Events(_) => self.event(cell).ok_or(What::Label),
                Task::Binary | Task::Classes(_) | Task::Labels(_) => match self.label(cell) {
                    None if self.unknown(cell) => Ok(UNKNOWN),
                    label => label.ok_or(What::Label),
                },
            };
            let label = match read {
                Ok(label) => label,
                Err(what) if row.wrong(what) => 0,
                Err(_) => return 0,
            };
            row.part.labels.push(label);
        }
        if let Some((index, _)) = &self.plan.group {
            row.step += 1;
            let text = record.cell(*index).text();
            if nothing(&text, Some(&self.plan.anywhere)) && !row.wrong(What::Group) {
                return 0;
            }
        }
        if let Some((index, _)) = &self.plan.picture {
            row.step += 1;
            let text = record.cell(*index).text();
            match std::str::from_utf8(&text).map(str::trim) {
                Ok("") if self.mode != Mode::Texts => _ = row.wrong(What::Picture),
                Ok(name) => row.part.pictures.push(name.to_owned()),
                Err(_) => _ = row.wrong(What::NotUtf8),
            }
        }
        missing
    }

    /// Whether a cell that holds no label says that it is not known, which the study lets be.
    fn unknown(&self, cell: Cell<'_>) -> bool {
        self.spec.missing_labels == MissingLabels::Mask && nothing(&cell.text(), Some(&self.plan.anywhere))
    }

    /// Notes what a number's marks say, where they leave a doubt: of a numeric column, or of an outcome behind all of them.
    fn see(&self, column: usize, bytes: &[u8], read: (f64, Option<Mark>), row: &mut Row<'_>) {
        if !self.marks.doubt || row.part.certain {
            return;
        }
        let columns = (self.plan.numeric.len()).max(column + 1).max(row.part.seen.len());
        row.part.seen.resize(columns, Seen::default());
        row.part.certain = row.part.seen[column].see(bytes, read, (row.start, row.step));
    }

    /// Whether an event ended the time that a row was followed.
    fn event(&self, cell: Cell<'_>) -> Option<u32> {
        let text = cell.text();
        let text = std::str::from_utf8(&text).ok()?;
        let Some(Outcome::TimeToEvent { happened, censored, .. }) = &self.spec.outcome else { return None };
        one_of(stands_for(cell, text, happened), stands_for(cell, text, censored))
    }

    /// An outcome that is a number; the `place`-th of the row.
    fn outcome(&self, cell: Cell<'_>, place: usize, row: &mut Row<'_>) -> Result<f32, What> {
        let code = &self.plan.anywhere;
        let (value, mark) = match cell {
            Cell::Text(bytes) if code.text(bytes.trim_ascii()) => (f64::NAN, None),
            Cell::Text(bytes) => {
                let read = number(bytes, self.marks)?;
                self.see(self.plan.numeric.len() + place, bytes, read, row);
                read
            }
            Cell::Number(value) | Cell::Truth(value) => (value, None),
        };
        row.note(mark);
        if value.is_nan() || code.number(value) {
            return Err(What::Outcome);
        }
        // one zero: rows are known by their bits
        let value = (value + 0.0) as f32;
        if value.is_finite() {
            Ok(value)
        } else {
            Err(What::NotFinite)
        }
    }

    /// Which label a cell holds.
    fn label(&self, cell: Cell<'_>) -> Option<u32> {
        let text = cell.text();
        let text = std::str::from_utf8(&text).ok()?;
        let is = |value: &str| stands_for(cell, text, value);
        if let Task::Classes(_) = self.form.task {
            return self.spec.classes.iter().position(|class| is(class)).map(|n| n as u32);
        }
        one_of(is(&self.spec.positive), is(&self.spec.negative))
    }
}
