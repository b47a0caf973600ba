//! Tables as hospitals export them: a header, then one row per line, comma, semicolon or tab between cells.
//!
//! No message names what stands in a cell: messages name the file, the line and the column, and what was expected.

use consilium_primitives::{rules::MAX_WEIGHT, FailureCode};
use consilium_study::{same_value, DataSpec, Missing};
use csv::ByteRecord;
use std::{collections::HashSet, fs, path::Path};

/// A site's rows. Missing numbers are NaN.
#[derive(Clone, Debug)]
pub struct Table {
    /// Feature names, in the model's order.
    pub features: Vec<String>,
    /// Values, row by row.
    pub values: Vec<f64>,
    /// One label per row; true: the positive class.
    pub labels: Vec<bool>,
    /// One per row: a keyed hash of the patient, or of the row's features and label where the study names no group column.
    pub groups: Vec<[u8; 32]>,
    /// Empty cells among the features.
    pub missing: usize,
}

/// Why data cannot be used. The text is for the site's own people; others learn the code alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    /// What others learn.
    pub code: FailureCode,
    /// File, line, column, and what to do. Never a cell's content.
    pub message: String,
}

impl DataError {
    pub(crate) fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn schema(message: impl Into<String>) -> Self {
        Self::new(FailureCode::SchemaMismatch, message)
    }

    /// With the file's name before it.
    pub(crate) fn of(self, file: &Path) -> Self {
        Self { message: format!("{}: {}", file.display(), self.message), ..self }
    }
}

impl Table {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// One row's features.
    pub fn row(&self, row: usize) -> &[f64] {
        let width = self.features.len();
        &self.values[row * width..(row + 1) * width]
    }

    /// Whether a patient is in both tables, which must have been read with the same key.
    pub fn shares_a_group(&self, other: &Self) -> bool {
        let own: HashSet<&[u8; 32]> = self.groups.iter().collect();
        other.groups.iter().any(|group| own.contains(group))
    }

    /// Rows of the positive class.
    pub fn positives(&self) -> usize {
        self.labels.iter().filter(|l| **l).count()
    }
}

/// Where the columns of a study stand in a file.
struct Columns {
    features: Vec<(usize, String)>,
    label: usize,
    group: Option<usize>,
}

/// The bytes of a data file.
///
/// # Errors
/// It cannot be read.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, DataError> {
    fs::read(path).map_err(|e| DataError::new(FailureCode::DataUnreadable, format!("cannot be read: {e}")).of(path))
}

/// Reads a table. `group_key` keys the hashes that stand for patients.
///
/// # Errors
/// The first thing that does not fit, by file, line and column.
pub fn read_table(path: &Path, spec: &DataSpec, group_key: &[u8; 32]) -> Result<Table, DataError> {
    parse_table(&read_bytes(path)?, path, spec, group_key)
}

/// [`read_table`], of bytes that have been read from `path`.
///
/// # Errors
/// The first thing that does not fit, by file, line and column.
pub fn parse_table(bytes: &[u8], path: &Path, spec: &DataSpec, group_key: &[u8; 32]) -> Result<Table, DataError> {
    let file = path.display();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(DataError::schema(format!("{file}: is UTF-16; save it as CSV in UTF-8")));
    }
    let delimiter = delimiter(bytes, spec);
    let mut reader = reader(bytes, delimiter);
    let header = reader.byte_headers().map_err(|e| csv_error(&file.to_string(), bytes, &e))?.clone();
    let columns = columns(&file.to_string(), &header, spec)?;
    let mut first_mark: Option<(Mark, String)> = None;
    let mut table = Table {
        features: columns.features.iter().map(|(_, name)| name.clone()).collect(),
        values: Vec::new(),
        labels: Vec::new(),
        groups: Vec::new(),
        missing: 0,
    };
    let mut record = ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(csv_error(&file.to_string(), bytes, &error)),
        }
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            continue;
        }
        let line = || line_at(bytes, record.position().map_or(0, csv::Position::byte) as usize);
        if record.len() != header.len() {
            return Err(DataError::schema(format!(
                "{file}, line {}: has {} cells, the header has {}; is a separator or a quotation mark missing?",
                line(),
                record.len(),
                header.len()
            )));
        }
        let at = |name: &str| format!("{file}, line {}, column {name:?}", line());
        for (index, name) in &columns.features {
            let (value, mark) =
                number(&record[*index], delimiter).map_err(|why| DataError::schema(format!("{}: {why}", at(name))))?;
            // 1.234 is another number where commas are the decimal mark: nobody but the site can tell which is meant
            match (&first_mark, mark) {
                (None, Some(mark)) => first_mark = Some((mark, format!("line {}, column {name:?}", line()))),
                (Some((first, place)), Some(mark)) if *first != mark => {
                    return Err(DataError::schema(format!(
                        "{}: has a decimal {}, but {place} has a decimal {}; write all numbers with the same decimal \
                         mark, and without separators between thousands",
                        at(name),
                        mark.name(),
                        first.name()
                    )));
                }
                _ => {}
            }
            if value.is_nan() {
                if spec.missing == Missing::Refuse {
                    return Err(DataError::schema(format!(
                        "{}: is empty, and the study refuses missing values (data.missing)",
                        at(name)
                    )));
                }
                table.missing += 1;
            }
            table.values.push(value);
        }
        let label = class(&record[columns.label], spec).ok_or_else(|| {
            DataError::schema(format!(
                "{}: is neither the positive value {:?} nor the negative value {:?}",
                at(&spec.label),
                spec.positive,
                spec.negative
            ))
        })?;
        table.labels.push(label);
        table.groups.push(match columns.group {
            Some(index) => {
                let cell = record[index].trim_ascii();
                if cell.is_empty() {
                    let name = spec.group.as_deref().unwrap_or_default();
                    return Err(DataError::schema(format!("{}: is empty; every row needs its group", at(name))));
                }
                *blake3::keyed_hash(group_key, cell).as_bytes()
            }
            None => {
                // of what was read, not of its text: the same row in another export is the same row
                let mut hasher = blake3::Hasher::new_keyed(group_key);
                for value in &table.values[table.values.len() - columns.features.len()..] {
                    // one zero and one NaN
                    let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
                    hasher.update(&value.to_le_bytes());
                }
                *hasher.update(&[u8::from(label)]).finalize().as_bytes()
            }
        });
        if table.labels.len() >= MAX_WEIGHT as usize {
            return Err(DataError::schema(format!("{file}: has 2^29 rows or more")));
        }
    }
    if table.labels.is_empty() {
        return Err(DataError::new(FailureCode::TooFewSamples, format!("{file}: has a header but no rows")));
    }
    Ok(table)
}

/// The line on which a record begins, counted as an editor counts. The reader's own count lags behind where lines end as
/// in Windows, and where empty lines come before the record.
fn line_at(bytes: &[u8], start: usize) -> usize {
    let begin = bytes.iter().skip(start).position(|b| !matches!(b, b'\r' | b'\n')).map_or(bytes.len(), |n| start + n);
    1 + bytes.iter().take(begin).filter(|b| **b == b'\n').count()
}

fn csv_error(file: &str, bytes: &[u8], error: &csv::Error) -> DataError {
    let line = error.position().map_or_else(String::new, |p| format!(", line {}", line_at(bytes, p.byte() as usize)));
    let what = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8 text; save it as CSV in UTF-8",
        csv::ErrorKind::UnequalLengths { .. } => {
            "has another number of cells than the lines before; is a separator missing?"
        }
        _ => "cannot be read as a table; save it as CSV in UTF-8",
    };
    DataError::schema(format!("{file}{line}: {what}"))
}

fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new().delimiter(delimiter).flexible(true).from_reader(bytes)
}

/// What separates cells: that of tab, semicolon and comma which gives the study's columns; if none does, whichever is
/// most often in the first line, for the message.
fn delimiter(bytes: &[u8], spec: &DataSpec) -> u8 {
    let all = *b"\t;,";
    let fits = |d: &u8| reader(bytes, *d).byte_headers().is_ok_and(|header| columns("", header, spec).is_ok());
    if let Some(fitting) = all.iter().copied().find(fits) {
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

fn columns(file: &str, header: &ByteRecord, spec: &DataSpec) -> Result<Columns, DataError> {
    let mut names = Vec::with_capacity(header.len());
    for (n, cell) in header.iter().enumerate() {
        let name = std::str::from_utf8(cell)
            .map_err(|_| DataError::schema(format!("{file}: the name of column {} is not UTF-8 text", n + 1)))?;
        names.push(name.trim());
    }
    let find = |name: &str, what: &str| {
        let mut places = names.iter().enumerate().filter(|(_, n)| **n == name.trim());
        let first = places.next().ok_or_else(|| {
            DataError::schema(format!("{file}: has no column {name:?}, which the study names as {what}"))
        })?;
        if places.next().is_some() {
            return Err(DataError::schema(format!("{file}: has two columns {name:?}")));
        }
        Ok(first.0)
    };
    let label = find(&spec.label, "its label")?;
    let group = spec.group.as_deref().map(|name| find(name, "its group")).transpose()?;
    let features = spec
        .features
        .columns
        .iter()
        .map(|name| Ok((find(name, "a feature")?, name.clone())))
        .collect::<Result<_, DataError>>()?;
    Ok(Columns { features, label, group })
}

/// What stands before the decimals of a number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Comma,
    Point,
}

impl Mark {
    fn name(self) -> &'static str {
        match self {
            Self::Comma => "comma",
            Self::Point => "point",
        }
    }
}

/// A cell as a number, NaN where it is empty, and its decimal mark if it has one.
fn number(cell: &[u8], delimiter: u8) -> Result<(f64, Option<Mark>), &'static str> {
    let text = std::str::from_utf8(cell).map_err(|_| "is not UTF-8 text")?.trim();
    if ["", "NA", "NaN", "nan"].contains(&text) {
        return Ok((f64::NAN, None));
    }
    let (mark, parsed) = if delimiter != b',' && text.contains(',') {
        if text.contains('.') || text.matches(',').count() > 1 {
            return Err("is not a number; write it without separators between thousands");
        }
        (Some(Mark::Comma), text.replace(',', ".").parse::<f64>())
    } else {
        (text.contains('.').then_some(Mark::Point), text.parse::<f64>())
    };
    let value = parsed.map_err(|_| "is not a number")?;
    if value.is_finite() {
        Ok((value, mark))
    } else {
        Err("is not a finite number")
    }
}

/// Which of the two labels a cell holds: the same text, or the same number.
fn class(cell: &[u8], spec: &DataSpec) -> Option<bool> {
    let text = std::str::from_utf8(cell).ok()?;
    match (same_value(text, &spec.positive), same_value(text, &spec.negative)) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    }
}
