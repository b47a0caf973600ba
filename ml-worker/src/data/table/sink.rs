//! What a file's rows become as they are read, in their order: values in memory or in a working copy, and what is wrong.

use crate::data::{
    error::DataError,
    table::{
        cell::{Mode, What},
        cells::Memory,
        copy::{self, Known, Writer},
        header::{Form, Plan},
        record::{Part, Seen},
        source::Reading,
    },
    text::{number::Mark, pieces::line_feeds},
};
use consilium_primitives::{rules::MAX_WEIGHT, FailureCode};
use consilium_study::{BadRows, DataSpec, Orientation};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Everything a file gave.
pub(in crate::data) struct Outcome {
    pub plan: Plan,
    /// Values in memory; none where there is a writer, which has them all.
    pub values: Memory,
    pub writer: Option<Writer>,
    /// All but the file's hash and what the writer knows.
    pub known: Known,
    pub problems: BTreeMap<(usize, What), Found>,
    /// Of each row that is kept, its line, where rows name pictures.
    pub places: Vec<usize>,
    /// What a row's place is counted in: "line" or "row".
    pub unit: &'static str,
}

/// How often something is wrong with a column, and in which line first.
#[derive(Clone, Copy, Debug)]
pub(in crate::data) struct Found {
    pub rows: usize,
    pub line: usize,
}

/// Where values go.
pub(in crate::data) struct Target<'a> {
    pub reading: &'a Reading,
    /// Where the working copy would be.
    pub copy: Option<PathBuf>,
    pub path: &'a Path,
}

impl Target<'_> {
    /// Begins a working copy, and says so in the log.
    pub fn writer(&self, what: &str) -> Result<Writer, DataError> {
        let allowed = self.reading.allowance;
        let Some(path) = &self.copy else {
            return Err(DataError::new(
                FailureCode::OutOfMemory,
                format!(
                    "has more {what} than the {allowed} bytes of memory that may be used for them hold; allow more \
                     memory, or a folder for a working copy"
                ),
            ));
        };
        tracing::warn!(
            "{}: has more {what} than the {allowed} bytes of memory that may be used for them hold; a second copy of \
             them is made and kept: {}",
            self.path.display(),
            path.display()
        );
        Writer::create(path).map_err(|e| self.failed(&e))
    }

    /// The working copy cannot be written.
    pub fn failed(&self, error: &std::io::Error) -> DataError {
        copy::error(self.copy.as_deref().unwrap_or(self.path), error)
    }
}

/// What the places of rows in hand are places in.
pub(in crate::data) enum Here<'t> {
    /// Bytes of a text.
    Text(&'t [u8]),
    /// Rows.
    Rows,
}

impl Here<'_> {
    /// Lines, or rows, from one place to another.
    fn between(&self, from: usize, to: usize) -> usize {
        match self {
            Self::Text(text) => line_feeds(&text[from.min(text.len())..to.min(text.len())]),
            Self::Rows => to - from,
        }
    }
}

/// What a study's columns are in a file.
pub(in crate::data) fn axis(spec: &DataSpec) -> &'static str {
    match spec.orientation {
        Orientation::Rows => "column",
        Orientation::Columns => "row",
    }
}

/// Rows as they come, in their order.
pub(in crate::data) struct Sink<'a> {
    target: &'a Target<'a>,
    spec: &'a DataSpec,
    mode: Mode,
    values: Memory,
    writer: Option<Writer>,
    known: Known,
    problems: BTreeMap<(usize, What), Found>,
    /// The file's first decimal mark, and where it is.
    mark: Option<(Mark, String)>,
    /// Of each numeric column, whether marks leave a doubt, and how often and in which line first.
    seen: Vec<(Seen, [Option<Found>; 2])>,
    /// Whether a number has decimals for certain: no mark of the file leaves a doubt then.
    pub certain: bool,
    /// The first row that was skipped, and why.
    skipped: Option<String>,
    /// Of each row that is kept, its line, where rows name pictures.
    places: Vec<usize>,
    /// Line feeds, or rows, before what is in hand.
    pub lines: usize,
    /// What a row's place is counted in.
    unit: &'static str,
}

impl<'a> Sink<'a> {
    pub fn new(target: &'a Target<'a>, spec: &'a DataSpec, mode: Mode, unit: &'static str) -> Self {
        Self {
            target,
            spec,
            mode,
            values: Memory::default(),
            writer: None,
            known: Known::default(),
            problems: BTreeMap::new(),
            mark: None,
            seen: Vec::new(),
            certain: false,
            skipped: None,
            places: Vec::new(),
            lines: 0,
            unit,
        }
    }

    /// The line, as an editor counts, or the row, of a place in what is in hand.
    pub fn line(&self, here: &Here<'_>, place: usize) -> usize {
        1 + self.lines + here.between(0, place)
    }

    pub fn take(&mut self, here: &Here<'_>, start: usize, part: Part, plan: &Plan) -> Result<(), DataError> {
        let first = part.first();
        let place = |sink: &Self, (record, step): (usize, usize)| match step {
            0 => format!("{} {}", sink.unit, sink.line(here, start + record)),
            step => {
                let axis = axis(sink.spec);
                format!("{} {}, {axis} {:?}", sink.unit, sink.line(here, start + record), plan.name(step))
            }
        };
        let mut marks = [(Mark::Comma, part.first_comma), (Mark::Point, part.first_point)];
        marks.sort_by_key(|(_, spot)| spot.unwrap_or((usize::MAX, 0)));
        for (mark, spot) in marks {
            let Some(spot) = spot else { continue };
            match &self.mark {
                None => self.mark = Some((mark, place(self, spot))),
                Some((before, _)) if *before == mark => {}
                Some((before, at)) => {
                    if self.mode == Mode::All {
                        let line = self.line(here, start + spot.0);
                        self.problems.entry((spot.1, What::Mark)).or_insert(Found { rows: 1, line });
                    } else if first.is_none_or(|(problem, _)| spot < problem) || self.mode == Mode::Skip {
                        return Err(DataError::schema(format!(
                            "{}: has a decimal {}, but {at} has a decimal {}; write all numbers with the same decimal \
                             mark, and without separators between thousands",
                            place(self, spot),
                            mark.name(),
                            before.name()
                        )));
                    }
                }
            }
        }
        if let Some((spot, what)) = first {
            let said = format!("{}: {}", place(self, spot), what.words(plan, self.spec));
            match self.mode {
                Mode::First | Mode::Predict | Mode::Texts => return Err(DataError::schema(said)),
                Mode::Skip => _ = self.skipped.get_or_insert(said),
                Mode::All => {
                    for (kind, tally) in &part.problems {
                        match self.problems.get_mut(kind) {
                            Some(found) => found.rows += tally.rows,
                            None => {
                                let line = self.line(here, start + tally.first.0);
                                self.problems.insert(*kind, Found { rows: tally.rows, line });
                            }
                        }
                    }
                }
            }
        }
        self.certain |= part.certain;
        self.seen.resize(self.seen.len().max(part.seen.len()), Default::default());
        for (column, seen) in part.seen.iter().enumerate() {
            for (mark, tally) in seen.like.iter().enumerate() {
                let Some(tally) = tally else { continue };
                match &mut self.seen[column].1[mark] {
                    Some(found) => found.rows += tally.rows,
                    None => {
                        let line = self.line(here, start + tally.first.0);
                        self.seen[column].1[mark] = Some(Found { rows: tally.rows, line });
                    }
                }
            }
            let all = &mut self.seen[column].0;
            all.small |= seen.small;
            all.large |= seen.large;
        }
        if !part.starts.is_empty() {
            let (mut line, mut seen) = (self.line(here, start), start);
            for record in part.starts {
                line += here.between(seen, start + record);
                seen = start + record;
                self.places.push(line);
            }
        }
        self.known.labels.extend(part.labels);
        self.known.groups.extend(part.groups);
        self.known.pictures.extend(part.pictures);
        self.known.missing += part.missing as u64;
        self.known.dropped += part.dropped as u64;
        self.known.skipped += part.bad as u64;
        if self.known.groups.len() >= MAX_WEIGHT as usize {
            return Err(DataError::schema("has 2^29 rows or more"));
        }
        self.put(part.values)
    }

    /// Keeps values in memory, or, once they are more than are allowed there, all of them on disk.
    fn put(&mut self, values: Vec<f64>) -> Result<(), DataError> {
        if self.writer.is_none() {
            let bytes = (self.values.len() + values.len()) as u64 * 8;
            if bytes <= self.target.reading.allowance {
                self.values.push(values);
                return Ok(());
            }
            let mut writer = self.target.writer("values")?;
            let failed = |e: std::io::Error| self.target.failed(&e);
            for part in std::mem::take(&mut self.values).parts() {
                writer.write(part).map_err(failed)?;
            }
            self.writer = Some(writer);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(&values).map_err(|e| self.target.failed(&e))?;
        }
        Ok(())
    }

    /// Columns whose numbers may have marks between thousands. One number of the file that has decimals for certain says
    /// what its mark is.
    fn doubts(&mut self, plan: &Plan) -> Result<(), DataError> {
        if self.certain {
            return Ok(());
        }
        // a whole number of 1000 and more without a mark: there are none between its column's thousands
        let numeric = plan.numeric.len();
        for (place, (seen, [comma, point])) in self.seen.iter().enumerate().filter(|(_, (seen, _))| !seen.large) {
            // outcomes stand behind the categorical columns
            let step = 1 + place + if place < numeric { 0 } else { plan.categorical.len() };
            if let Some(found) = comma {
                if self.mode != Mode::All {
                    let (unit, line, name) = (self.unit, found.line, plan.name(step));
                    let (words, advice) = (What::Doubtful.words(plan, self.spec), What::Doubtful.advice());
                    return Err(DataError::schema(format!("{unit} {line}, column {name:?}: {words}; {advice}")));
                }
                self.problems.insert((step, What::Doubtful), *found);
            }
            // point or not, most programs write decimals so: worth a word, and no refusal
            if let (Some(found), true, Mode::All) = (point, seen.small, self.mode) {
                self.problems.insert((step, What::Point), *found);
            }
        }
        Ok(())
    }

    pub fn end(mut self, plan: Plan) -> Result<Outcome, DataError> {
        self.doubts(&plan)?;
        let kept = self.known.groups.len() as u64;
        let (skipped, dropped) = (self.known.skipped, self.known.dropped);
        let all = kept + skipped + dropped;
        if let (BadRows::Skip { at_most }, Mode::Skip) = (self.spec.bad_rows, self.mode) {
            too_many(skipped, all, at_most, self.skipped.as_deref())?;
        }
        if kept == 0 && self.mode != Mode::All {
            return Err(none_left(all, dropped, skipped));
        }
        if !self.mode.labelled() {
            self.known.labels = vec![0; self.known.groups.len() * Form::of(self.spec).per_row()];
        }
        self.known.features = plan.numeric.iter().map(|(_, name)| name.clone()).collect();
        let Self { values, writer, known, problems, places, unit, .. } = self;
        Ok(Outcome { plan, values, writer, known, problems, places, unit })
    }
}

/// Whether more rows cannot be read than the study lets go.
pub(in crate::data) fn too_many(skipped: u64, all: u64, at_most: f64, first: Option<&str>) -> Result<(), DataError> {
    if skipped as f64 <= at_most * all as f64 {
        return Ok(());
    }
    let first = first.unwrap_or_default();
    Err(DataError::schema(format!(
        "{skipped} of {all} rows cannot be read, more than the share of {at_most} that the study lets go \
         (data.bad_rows); the first: {first}"
    )))
}

/// Of so many rows, none is left.
pub(in crate::data) fn none_left(all: u64, dropped: u64, skipped: u64) -> DataError {
    let message = match all {
        0 => "has a header but no rows".to_owned(),
        all => format!(
            "none of its {all} rows is left: {dropped} have empty cells, which the study drops (data.missing), \
             {skipped} cannot be read"
        ),
    };
    DataError::new(FailureCode::TooFewSamples, message)
}
