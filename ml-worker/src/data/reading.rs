//! A table's text, block by block: the next one is read while the rows of the last one are, piece by piece on all cores.

use super::{
    cells::Memory,
    copy::{self, Known, Writer},
    error::DataError,
    header::{self, Form, Plan},
    number::Mark,
    pieces::{cut, each_record, line_feeds, whole},
    record::{Mode, Part, RowReader, What},
    source::{Kind, Reading, Source},
};
use consilium_primitives::{rules::MAX_WEIGHT, FailureCode};
use consilium_study::{BadRows, DataSpec};
use rayon::prelude::*;
use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// Bytes of text that are read at once, at most and at least.
const BLOCK: (u64, u64) = (1 << 12, 1 << 23);
/// Bytes that one row may have.
const ROW: usize = 1 << 26;
/// Pieces a block is cut into for each core, and bytes that are worth one.
const PIECES: usize = 4;
const PIECE: usize = 1 << 16;

/// Everything a file gave.
pub(super) struct Outcome {
    pub plan: Plan,
    /// Values in memory; none where there is a writer, which has them all.
    pub values: Memory,
    pub writer: Option<Writer>,
    /// All but the file's hash and what the writer knows.
    pub known: Known,
    pub problems: BTreeMap<(usize, What), Found>,
}

/// How often something is wrong with a column, and in which line first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub rows: usize,
    pub line: usize,
}

/// Text that has been read and not yet been used.
pub(super) struct Block {
    bytes: Vec<u8>,
    filled: usize,
    /// Whether the file ends with it.
    last: bool,
}

impl Block {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size], filled: 0, last: false }
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.filled]
    }

    /// Begins with what was left of another block.
    fn begin(&mut self, rest: &[u8]) {
        if self.bytes.len() < rest.len() {
            self.bytes.resize(rest.len(), 0);
        }
        self.bytes[..rest.len()].copy_from_slice(rest);
        (self.filled, self.last) = (rest.len(), false);
    }

    fn fill(&mut self, source: &mut Source) -> Result<(), DataError> {
        self.filled += source.fill(&mut self.bytes[self.filled..])?;
        self.last = self.filled < self.bytes.len();
        Ok(())
    }

    /// Fills up a larger block. False: it is as large as one row may be.
    fn grow(&mut self, source: &mut Source) -> Result<bool, DataError> {
        if self.bytes.len() >= ROW {
            return Ok(false);
        }
        self.bytes.resize((self.bytes.len() * 2).min(ROW), 0);
        self.fill(source)?;
        Ok(true)
    }
}

/// Where values go.
pub(super) struct Target<'a> {
    pub reading: &'a Reading,
    /// Where the working copy would be.
    pub copy: Option<PathBuf>,
    pub path: &'a Path,
}

/// Reads a table. Only [`Mode::All`] reads on after what the study does not allow.
pub(super) fn read(
    source: &mut Source,
    target: &Target<'_>,
    spec: &DataSpec,
    key: &[u8; 32],
    mode: Mode,
) -> Result<Outcome, DataError> {
    let (mut block, delimiter) = begin(source, target.reading, &|names| header::fits(names, spec))?;
    let (names, mut at) = head(&block, delimiter)?;
    let (plan, problems) = header::plan(&names, spec, 1);
    if let Some(problem) = problems.into_iter().next() {
        return Err(DataError::schema(problem));
    }
    let form = Form::of(spec);
    let reader = RowReader { spec, plan: &plan, form: &form, key, mode, comma: delimiter != b',' };
    let mut sink = Sink::new(target, spec, mode);
    let mut next = Block::new(size(source, target.reading));
    // of the header's own lines
    sink.lines = line_feeds(&block.bytes[..at]);
    loop {
        let mut end = if block.last { block.filled } else { at + whole(&block.text()[at..], delimiter) };
        while end == at && !block.last {
            // a block that begins with a header may have no row
            let rest = block.text()[at..].to_vec();
            if at > 0 {
                block.begin(&rest);
                at = 0;
                block.fill(source)?;
            } else if !block.grow(source)? {
                return Err(DataError::schema(format!(
                    "line {}: has no end within {ROW} bytes; is a quotation mark missing?",
                    sink.line(&rest, 0)
                )));
            }
            end = if block.last { block.filled } else { whole(block.text(), delimiter) };
        }
        let text = &block.text()[at..end];
        let fill = || match block.last {
            true => Ok(()),
            false => {
                next.begin(&block.text()[end..]);
                next.fill(source)
            }
        };
        let (filled, parts) = rayon::join(fill, || parts(text, delimiter, &reader));
        let mut lines = 0;
        for (start, part) in parts {
            lines += part.line_feeds;
            sink.take(text, start, part, &plan)?;
        }
        sink.lines += lines;
        if block.last {
            break;
        }
        filled?;
        std::mem::swap(&mut block, &mut next);
        at = 0;
    }
    sink.end(plan)
}

/// Bytes of a block: one that holds a small file and has room to see that it ends.
fn size(source: &Source, reading: &Reading) -> usize {
    let most = source.length.saturating_add(1).max(BLOCK.0);
    usize::try_from((reading.allowance / 4).clamp(BLOCK.0, BLOCK.1).min(most)).unwrap_or(PIECE)
}

/// The first block, of which the first record is whole, and what separates cells.
pub(super) fn begin(
    source: &mut Source,
    reading: &Reading,
    fits: &dyn Fn(&[String]) -> bool,
) -> Result<(Block, u8), DataError> {
    if source.kind == Kind::Parquet {
        return Err(DataError::schema("is a Parquet file; save it as CSV in UTF-8"));
    }
    let mut block = Block::new(size(source, reading));
    block.fill(source)?;
    let text = block.text();
    if text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff") {
        return Err(DataError::schema("is UTF-16; save it as CSV in UTF-8"));
    }
    if let Some(rest) = text.strip_prefix(b"\xef\xbb\xbf") {
        let rest = rest.to_vec();
        let last = block.last;
        block.begin(&rest);
        if last {
            block.last = true;
        } else {
            block.fill(source)?;
        }
    }
    if block.filled == 0 {
        return Err(DataError::schema("is empty"));
    }
    while !block.last && b"\t;,".iter().any(|delimiter| whole(block.text(), *delimiter) == 0) {
        if !block.grow(source)? {
            break;
        }
    }
    let delimiter = header::delimiter(block.text(), fits);
    Ok((block, delimiter))
}

/// Names of the columns, and where the rows begin.
pub(super) fn head(block: &Block, delimiter: u8) -> Result<(Vec<String>, usize), DataError> {
    let text = block.text();
    let broken = || DataError::schema("cannot be read as a table; save it as CSV in UTF-8");
    let header = header::read_header(text, delimiter).map_err(|_| broken())?;
    let names = header::names(&header).map_err(DataError::schema)?;
    // the second record begins where the first one ends
    let mut starts = Vec::new();
    let mut end = text.len();
    each_record(text, delimiter, |at, _| {
        starts.push(at);
        match starts.len() {
            1 => ControlFlow::Continue(()),
            _ => {
                end = at;
                ControlFlow::Break(())
            }
        }
    });
    Ok((names, end))
}

fn parts(text: &[u8], delimiter: u8, reader: &RowReader<'_>) -> Vec<(usize, Part)> {
    let pieces = (rayon::current_num_threads() * PIECES).min(text.len() / PIECE + 1);
    cut(text, delimiter, pieces)
        .into_par_iter()
        .map(|range| {
            let (mut part, mut scratch) = (Part::default(), Vec::new());
            let piece = &text[range.clone()];
            // what a number with its separator usually takes
            part.values.reserve(piece.len() / 8);
            each_record(piece, delimiter, |start, cells| match reader.read(start, &cells, &mut part, &mut scratch) {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            });
            part.values.shrink_to_fit();
            part.line_feeds = line_feeds(piece);
            (range.start, part)
        })
        .collect()
}

/// Rows as they come, in their order.
struct Sink<'a> {
    target: &'a Target<'a>,
    spec: &'a DataSpec,
    mode: Mode,
    values: Memory,
    writer: Option<Writer>,
    known: Known,
    problems: BTreeMap<(usize, What), Found>,
    /// The file's first decimal mark, and where it is.
    mark: Option<(Mark, String)>,
    /// The first row that was skipped, and why.
    skipped: Option<String>,
    /// Line feeds before the text in hand.
    lines: usize,
}

impl<'a> Sink<'a> {
    fn new(target: &'a Target<'a>, spec: &'a DataSpec, mode: Mode) -> Self {
        Self {
            target,
            spec,
            mode,
            values: Memory::default(),
            writer: None,
            known: Known::default(),
            problems: BTreeMap::new(),
            mark: None,
            skipped: None,
            lines: 0,
        }
    }

    /// The line, as an editor counts, of a place in the text in hand.
    fn line(&self, text: &[u8], place: usize) -> usize {
        1 + self.lines + line_feeds(&text[..place.min(text.len())])
    }

    fn take(&mut self, text: &[u8], start: usize, part: Part, plan: &Plan) -> Result<(), DataError> {
        let first = part.first();
        let place = |sink: &Self, (record, step): (usize, usize)| match step {
            0 => format!("line {}", sink.line(text, start + record)),
            step => format!("line {}, column {:?}", sink.line(text, start + record), plan.name(step)),
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
                        let line = self.line(text, start + spot.0);
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
                Mode::First => return Err(DataError::schema(said)),
                Mode::Skip => _ = self.skipped.get_or_insert(said),
                Mode::All => {
                    for (kind, tally) in &part.problems {
                        match self.problems.get_mut(kind) {
                            Some(found) => found.rows += tally.rows,
                            None => {
                                let line = self.line(text, start + tally.first.0);
                                self.problems.insert(*kind, Found { rows: tally.rows, line });
                            }
                        }
                    }
                }
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
            let allowed = self.target.reading.allowance;
            let Some(path) = &self.target.copy else {
                return Err(DataError::new(
                    FailureCode::OutOfMemory,
                    format!(
                        "has more values than the {allowed} bytes of memory that may be used for them hold; allow more \
                         memory, or a folder for a working copy"
                    ),
                ));
            };
            tracing::warn!(
                "{}: has more values than the {allowed} bytes of memory that may be used for them hold; a second copy of \
                 them is made and kept: {}",
                self.target.path.display(),
                path.display()
            );
            let mut writer = Writer::create(path).map_err(|e| copy::error(path, &e))?;
            for part in std::mem::take(&mut self.values).parts() {
                writer.write(part).map_err(|e| copy::error(path, &e))?;
            }
            self.writer = Some(writer);
        }
        if let (Some(writer), Some(path)) = (&mut self.writer, &self.target.copy) {
            writer.write(&values).map_err(|e| copy::error(path, &e))?;
        }
        Ok(())
    }

    fn end(mut self, plan: Plan) -> Result<Outcome, DataError> {
        let kept = self.known.groups.len() as u64;
        let (skipped, dropped) = (self.known.skipped, self.known.dropped);
        let all = kept + skipped + dropped;
        if let (BadRows::Skip { at_most }, Mode::Skip) = (self.spec.bad_rows, self.mode) {
            if skipped as f64 > at_most * all as f64 {
                let first = self.skipped.take().unwrap_or_default();
                return Err(DataError::schema(format!(
                    "{skipped} of {all} rows cannot be read, more than the share of {at_most} that the study lets go \
                     (data.bad_rows); the first: {first}"
                )));
            }
        }
        if kept == 0 && self.mode != Mode::All {
            let message = match all {
                0 => "has a header but no rows".to_owned(),
                all => format!(
                    "none of its {all} rows is left: {dropped} have empty cells, which the study drops (data.missing), \
                     {skipped} cannot be read"
                ),
            };
            return Err(DataError::new(FailureCode::TooFewSamples, message));
        }
        self.known.features = plan.numeric.iter().map(|(_, name)| name.clone()).collect();
        Ok(Outcome { plan, values: self.values, writer: self.writer, known: self.known, problems: self.problems })
    }
}
