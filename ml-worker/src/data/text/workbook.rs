//! Workbooks of spreadsheet programs (xlsx, xlsb, xls, ods) as the text that these programs save as CSV: the one sheet that has
//! cells, from the first row and column that have any. Dates are written as ISO 8601 has them, so that none passes for a number;
//! what formulas gave when the file was saved stands for them.

use crate::data::error::{caught, DataError};
use calamine::{open_workbook_auto_from_rs, Cell, Data, DataRef, ExcelDateTime, Range, Reader, Sheets};
use consilium_primitives::FailureCode;
use csv::Writer;
use std::io::Cursor;

/// Bytes that a workbook may have: it is in memory whole, unpacked, with all its cells.
pub(in crate::data) const MAX_WORKBOOK: u64 = 64 << 20;
/// Cells that a sheet may span, empty ones among them: as many as one of xls can have, which take half a gibibyte.
const MAX_CELLS: u64 = 1 << 24;

type Book<'a> = Sheets<Cursor<&'a [u8]>>;

/// What is said of a file that begins as a workbook does, and is none that can be read.
fn broken() -> DataError {
    DataError::new(
        FailureCode::DataUnreadable,
        "begins as an Excel workbook, or another program's, or a zip archive, and cannot be read as a workbook (is it protected by a \
         password?): save it there as CSV (UTF-8), or unpack it",
    )
}

/// The table in a workbook.
pub(in crate::data) fn text(bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    let sheets = caught(|| sheets(bytes)).unwrap_or_else(|| Err(broken()))?;
    let [table] = &sheets[..] else {
        return Err(DataError::schema(match sheets.len() {
            0 => "is a workbook without a cell that has anything in it".to_owned(),
            n => format!(
                "is a workbook of {n} sheets with cells: keep the one that has the table, or save that as CSV (UTF-8)"
            ),
        }));
    };
    let mut out = Writer::from_writer(Vec::new());
    for row in table.rows() {
        out.write_record(row.iter().map(cell)).map_err(|_| broken())?;
    }
    out.into_inner().map_err(|_| broken())
}

fn sheets(bytes: &[u8]) -> Result<Vec<Range<Data>>, DataError> {
    let mut book = open_workbook_auto_from_rs(Cursor::new(bytes)).map_err(|_| broken())?;
    let mut sheets = Vec::new();
    for name in book.sheet_names() {
        let cells = sheet(&mut book, &name)?;
        if cells.used_cells().next().is_some() {
            sheets.push(cells);
        }
    }
    Ok(sheets)
}

/// The cells of a sheet. The library makes room for all that it spans, which of the newer kinds may be 17 thousand million: there
/// that is looked at before.
fn sheet(book: &mut Book<'_>, name: &str) -> Result<Range<Data>, DataError> {
    let mut cells = Vec::new();
    // false: there are more than may be
    let mut keep = |cell: Cell<DataRef<'_>>| {
        let value = Data::from(cell.get_value().clone());
        if value != Data::Empty {
            cells.push(Cell::new(cell.get_position(), value));
        }
        cells.len() as u64 <= MAX_CELLS
    };
    match book {
        Sheets::Xlsx(book) => {
            // a sheet of a chart has no cells
            let Ok(mut reader) = book.worksheet_cells_reader(name) else { return whole(book, name) };
            while let Some(cell) = reader.next_cell().map_err(|_| broken())? {
                if !keep(cell) {
                    break;
                }
            }
        }
        Sheets::Xlsb(book) => {
            let Ok(mut reader) = book.worksheet_cells_reader(name) else { return whole(book, name) };
            while let Some(cell) = reader.next_cell().map_err(|_| broken())? {
                if !keep(cell) {
                    break;
                }
            }
        }
        Sheets::Xls(book) => return whole(book, name),
        Sheets::Ods(book) => return whole(book, name),
    }
    let span = |of: fn((u32, u32)) -> u32| {
        let places = || cells.iter().map(|cell| of(cell.get_position()));
        places().max().zip(places().min()).map_or(0, |(last, first)| u64::from(last - first) + 1)
    };
    let (rows, columns) = (span(|place| place.0), span(|place| place.1));
    if rows * columns > MAX_CELLS || cells.len() as u64 > MAX_CELLS {
        return Err(DataError::new(
            FailureCode::OutOfMemory,
            format!(
                "is a workbook with a sheet that spans at least {rows} rows and {columns} columns, more than {MAX_CELLS} cells: clear those \
                 that stray from the table, or save it as CSV (UTF-8)"
            ),
        ));
    }
    Ok(Range::from_sparse(cells))
}

fn whole<'a, R: Reader<Cursor<&'a [u8]>>>(book: &mut R, name: &str) -> Result<Range<Data>, DataError> {
    book.worksheet_range(name).map_err(|_| broken())
}

/// A cell as text. A line's end in it becomes a blank, so that a row is a line.
fn cell(value: &Data) -> String {
    match value {
        Data::Empty => String::new(),
        Data::String(text) => text.replace("\r\n", " ").replace(['\r', '\n'], " "),
        Data::Bool(true) => "TRUE".into(),
        Data::Bool(false) => "FALSE".into(),
        Data::DateTime(time) => date(time),
        Data::DateTimeIso(text) | Data::DurationIso(text) => text.clone(),
        Data::Int(number) => number.to_string(),
        Data::Float(number) => number.to_string(),
        Data::Error(error) => error.to_string(),
    }
}

fn date(time: &ExcelDateTime) -> String {
    if time.is_duration() {
        let seconds = (time.as_f64() * 86_400.0).round();
        let sign = if seconds < 0.0 { "-" } else { "" };
        let seconds = seconds.abs() as u64;
        return format!("{sign}{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = time.to_ymd_hms_milli();
    match (hour, minute, second) {
        (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"),
    }
}
