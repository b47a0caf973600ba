//! Rows of Parquet tables: the same as those of a text with the same cells.
//!
//! Numbers come from columns of numbers, or from texts as they are written in a CSV file; labels, levels and groups from
//! either. Only the study's columns are read. A row without any value is a row with missing values: unlike a line of a
//! text, it is never taken for an empty one.

use crate::data::{
    error::DataError,
    parquet::{self, Block, Column},
    table::{
        cell::{Cell, Mode},
        header::{self, Form},
        record::{Part, Record, RowReader},
        sink::{Here, Outcome, Sink, Target},
        source::PIECES,
    },
    text::number::Marks,
};
use consilium_study::DataSpec;
use rayon::prelude::*;
use std::{collections::HashSet, path::Path};

/// Bytes of numbers that are read at once, at least and at most, and rows at most: of texts there may be more bytes.
const BLOCK: (u64, u64) = (1 << 12, 1 << 25);
const ROWS: usize = 1 << 14;

/// The names of a file's columns, without the blanks around them.
pub(in crate::data) fn names(path: &Path) -> Result<Vec<String>, DataError> {
    let names = parquet::names(&parquet::Source::file(path))?;
    Ok(names.into_iter().map(|name| name.trim().to_owned()).collect())
}

/// One row of a block.
struct Row<'a> {
    block: &'a Block,
    /// Where a column of the file is in the block, and whether it holds truth values.
    places: &'a [Option<(usize, bool)>],
    row: usize,
}

impl Record for Row<'_> {
    fn cells(&self) -> usize {
        self.places.len()
    }

    fn cell(&self, index: usize) -> Cell<'_> {
        let Some((place, truth)) = self.places.get(index).copied().flatten() else { return Cell::Text(b"") };
        match self.block.get(place).map(|(_, column)| column) {
            Some(Column::Numbers(numbers)) => {
                let number = numbers.get(self.row).copied().unwrap_or(f64::NAN);
                if truth {
                    Cell::Truth(number)
                } else {
                    Cell::Number(number)
                }
            }
            Some(Column::Texts(texts)) => match texts.get(self.row) {
                Some(Some(text)) => Cell::Text(text.as_bytes()),
                Some(None) | None => Cell::Text(b""),
            },
            None => Cell::Text(b""),
        }
    }

    fn blank(&self) -> bool {
        false
    }
}

/// Reads a table, as [`reading::read`](super::reading::read) does texts.
pub(in crate::data) fn read(
    target: &Target<'_>,
    spec: &DataSpec,
    key: &[u8; 32],
    mode: Mode,
) -> Result<Outcome, DataError> {
    let file = parquet::Source::file(target.path);
    let (raw, truths): (Vec<String>, Vec<bool>) = parquet::columns(&file)?.into_iter().unzip();
    let names: Vec<String> = raw.iter().map(|name| name.trim().to_owned()).collect();
    let (plan, problems) = header::plan(&names, spec, mode, 1);
    if let Some(problem) = problems.into_iter().next() {
        return Err(DataError::schema(problem));
    }
    let read = plan.places();
    let mut places = vec![None; names.len()];
    for (n, place) in (0..names.len()).filter(|place| read.contains(place)).enumerate() {
        places[place] = Some((n, truths[place]));
    }
    let wanted: HashSet<&str> = read.iter().map(|place| raw[*place].as_str()).collect();
    let form = Form::of(spec);
    let reader = RowReader { spec, plan: &plan, form: &form, key, mode, marks: Marks::of(spec.decimal, None) };
    let mut sink = Sink::new(target, spec, mode, "row");
    let bytes = usize::try_from((target.reading.allowance / 4).clamp(BLOCK.0, BLOCK.1)).unwrap_or(ROWS);
    let rows = (bytes / 8 / read.len().max(1)).clamp(1, ROWS);
    parquet::for_each_block(&file, &|name| wanted.contains(name), rows, &mut |block| {
        let height = match block.first() {
            Some((_, Column::Numbers(numbers))) => numbers.len(),
            Some((_, Column::Texts(texts))) => texts.len(),
            None => 0,
        };
        let piece = height.div_ceil(rayon::current_num_threads() * PIECES).max(1);
        let parts: Vec<(usize, Part)> = (0..height.div_ceil(piece))
            .into_par_iter()
            .map(|n| {
                let (mut part, mut scratch) = (Part::default(), Vec::new());
                let start = n * piece;
                for row in start..(start + piece).min(height) {
                    let record = Row { block: &block, places: &places, row };
                    if !reader.read(row - start, &record, &mut part, &mut scratch) {
                        break;
                    }
                }
                part.values.shrink_to_fit();
                (start, part)
            })
            .collect();
        for (start, part) in parts {
            sink.take(&Here::Rows, start, part, &plan)?;
        }
        sink.lines += height;
        Ok(())
    })?;
    sink.end(plan)
}
