//! A table's text, block by block: the next one is read while the rows of the last one are, piece by piece on all cores.

use crate::data::{
    error::DataError,
    table::{
        cell::Mode,
        columnar,
        header::{self, Form},
        record::{Part, RowReader},
        sink::{Here, Outcome, Sink, Target},
        source::{Kind, Reading, Source, PIECES},
    },
    text::{
        number::Marks,
        pieces::{cut, each_record, line_feeds, stray, whole},
        STRAY,
    },
};
use consilium_study::{DataSpec, Orientation};
use rayon::prelude::*;
use std::ops::ControlFlow;

/// Bytes of text that are read at once, at most and at least.
const BLOCK: (u64, u64) = (1 << 12, 1 << 23);
/// Bytes that one row may have.
const ROW: usize = 1 << 26;
/// Bytes that are worth a piece.
const PIECE: usize = 1 << 16;

/// Text that has been read and not yet been used.
struct Block {
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

/// Reads a table. Only [`Mode::All`] reads on after what the study does not allow.
pub(in crate::data) fn read(
    source: &mut Source,
    target: &Target<'_>,
    spec: &DataSpec,
    key: &[u8; 32],
    mode: Mode,
) -> Result<Outcome, DataError> {
    if source.kind == Kind::Parquet {
        return columnar::read(target, spec, key, mode);
    }
    let (mut block, delimiter) = begin(source, target.reading, &|names| header::fits(names, spec, mode))?;
    let (names, mut at) = head(&block, delimiter)?;
    let (plan, problems) = header::plan(&names, spec, mode, 1);
    if let Some(problem) = problems.into_iter().next() {
        return Err(DataError::schema(problem));
    }
    let form = Form::of(spec);
    let marks = Marks::of(spec.decimal, Some(delimiter));
    let mut reader = RowReader { spec, plan: &plan, form: &form, key, mode, marks };
    // of a text that has a line for each column, a row is a column of the file
    let unit = match spec.orientation {
        Orientation::Rows => "line",
        Orientation::Columns => "column",
    };
    let mut sink = Sink::new(target, spec, mode, unit);
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
                    sink.line(&Here::Text(&rest), 0)
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
        let (filled, (parts, stray)) = rayon::join(fill, || parts(text, delimiter, &reader));
        if let Some(place) = stray {
            // what follows may be in another row than it was written in: nothing of it is believed
            let line = sink.line(&Here::Text(text), place);
            return Err(DataError::schema(format!("line {line}: {STRAY}")));
        }
        let mut lines = 0;
        for (start, part) in parts {
            lines += part.line_feeds;
            sink.take(&Here::Text(text), start, part, &plan)?;
        }
        sink.lines += lines;
        reader.marks.doubt &= !sink.certain;
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

/// The names of a file's columns, whatever kind of table it is.
pub(in crate::data) fn names(
    source: &mut Source,
    target: &Target<'_>,
    fits: &dyn Fn(&[String]) -> bool,
) -> Result<Vec<String>, DataError> {
    if source.kind == Kind::Parquet {
        return columnar::names(target.path);
    }
    let (block, delimiter) = begin(source, target.reading, fits)?;
    Ok(head(&block, delimiter)?.0)
}

/// The first block, of which the first record is whole, and what separates cells.
fn begin(source: &mut Source, reading: &Reading, fits: &dyn Fn(&[String]) -> bool) -> Result<(Block, u8), DataError> {
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
fn head(block: &Block, delimiter: u8) -> Result<(Vec<String>, usize), DataError> {
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
    match stray(&text[..end], delimiter) {
        // a block without its end is looked at row by row
        Some(place) if end < text.len() || block.last => {
            Err(DataError::schema(format!("line {}: {STRAY}", 1 + line_feeds(&text[..place]))))
        }
        Some(_) | None => Ok((names, end)),
    }
}

/// Rows piece by piece, and where a quotation mark is astray, after which they are not to be believed.
fn parts(text: &[u8], delimiter: u8, reader: &RowReader<'_>) -> (Vec<(usize, Part)>, Option<usize>) {
    let pieces = (rayon::current_num_threads() * PIECES).min(text.len() / PIECE + 1);
    let (pieces, stray) = cut(text, delimiter, pieces);
    let parts = pieces
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
        .collect();
    (parts, stray)
}
