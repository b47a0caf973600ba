//! A column's values as they are decoded: numbers and texts, and which of them are refused.

use parquet::{
    basic::Type as Physical,
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    schema::types::ColumnDescPtr,
};

/// Bytes a text may have.
pub const MAX_TEXT: usize = 1 << 16;
/// Bytes of text that are handed over at once.
pub const MAX_TEXTS: usize = 1 << 28;
/// Beyond this, whole numbers are no longer all exact in 64-bit floating point.
const MAX_WHOLE: u64 = 1 << 53;

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Truth values as 0 and 1, whole numbers up to 2^53, floating-point numbers as they are. NaN: missing.
    Numbers(Vec<f64>),
    /// UTF-8 texts. None: missing.
    Texts(Vec<Option<String>>),
}

/// A wanted column.
pub(super) struct Wanted {
    pub name: String,
    pub leaf: usize,
    pub descr: ColumnDescPtr,
    pub unsigned: bool,
}

/// Why a batch could not be read.
pub(super) enum Why {
    Cell(&'static str),
    File(ParquetError),
    Short,
}

/// A column that is being filled.
pub(super) struct Cells(pub Column);

impl Cells {
    pub fn new(column: &ColumnDescPtr) -> Self {
        Self(match column.physical_type() {
            Physical::BYTE_ARRAY | Physical::FIXED_LEN_BYTE_ARRAY => Column::Texts(Vec::new()),
            _ => Column::Numbers(Vec::new()),
        })
    }

    /// A number; of a whole one, `size` says how far it is from 0.
    fn number(&mut self, value: f64, size: u64) -> Result<(), Why> {
        if size > MAX_WHOLE {
            return Err(Why::Cell("has a whole number beyond 2^53, which would be rounded; write the column as text"));
        }
        if let Column::Numbers(values) = &mut self.0 {
            values.push(value);
        }
        Ok(())
    }

    fn text(&mut self, value: &ByteArray, bytes: &mut usize) -> Result<(), Why> {
        let value = value.data();
        *bytes += value.len();
        if value.len() > MAX_TEXT {
            return Err(Why::Cell("has a text of more than 64 KiB, which is the most that is read"));
        }
        if *bytes > MAX_TEXTS {
            return Err(Why::Cell("has more than 256 MiB of text to be read at once; leave out rows or columns"));
        }
        let text = std::str::from_utf8(value).map_err(|_| Why::Cell("holds bytes that are not UTF-8 text"))?;
        if let Column::Texts(values) = &mut self.0 {
            values.push(Some(text.to_string()));
        }
        Ok(())
    }

    fn missing(&mut self) {
        match &mut self.0 {
            Column::Numbers(values) => values.push(f64::NAN),
            Column::Texts(values) => values.push(None),
        }
    }
}

/// The next rows of a column; `bytes`: of text that has been read.
pub(super) fn read_batch(
    reader: &mut ColumnReader,
    column: &Wanted,
    rows: usize,
    cells: &mut Cells,
    bytes: &mut usize,
) -> Result<(), Why> {
    let optional = column.descr.max_def_level() > 0;
    let whole32 = |c: &mut Cells, v: i32| match column.unsigned {
        true => c.number(f64::from(v as u32), 0),
        false => c.number(f64::from(v), 0),
    };
    let whole64 = |c: &mut Cells, v: i64| match column.unsigned {
        true => c.number(v as u64 as f64, v as u64),
        false => c.number(v as f64, v.unsigned_abs()),
    };
    let number = |c: &mut Cells, v: f64| c.number(v, 0);
    match reader {
        ColumnReader::BoolColumnReader(r) => fill(r, optional, rows, cells, |c, v| number(c, f64::from(u8::from(*v)))),
        ColumnReader::Int32ColumnReader(r) => fill(r, optional, rows, cells, |c, v| whole32(c, *v)),
        ColumnReader::Int64ColumnReader(r) => fill(r, optional, rows, cells, |c, v| whole64(c, *v)),
        ColumnReader::FloatColumnReader(r) => fill(r, optional, rows, cells, |c, v| number(c, f64::from(*v))),
        ColumnReader::DoubleColumnReader(r) => fill(r, optional, rows, cells, |c, v| number(c, *v)),
        ColumnReader::ByteArrayColumnReader(r) => fill(r, optional, rows, cells, |c, v| c.text(v, bytes)),
        ColumnReader::FixedLenByteArrayColumnReader(r) => fill(r, optional, rows, cells, |c, v| c.text(v, bytes)),
        ColumnReader::Int96ColumnReader(_) => Err(Why::Short),
    }
}

fn fill<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    optional: bool,
    rows: usize,
    cells: &mut Cells,
    mut put: impl FnMut(&mut Cells, &T::T) -> Result<(), Why>,
) -> Result<(), Why> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    let (read, ..) =
        reader.read_records(rows, optional.then_some(&mut levels), None, &mut values).map_err(Why::File)?;
    let present = if optional { levels.iter().filter(|l| **l > 0).count() } else { rows };
    if read != rows || values.len() != present || (optional && levels.len() != rows) {
        return Err(Why::Short);
    }
    if let Column::Numbers(all) = &mut cells.0 {
        all.reserve(rows);
    }
    if !optional {
        return values.iter().try_for_each(|value| put(cells, value));
    }
    let mut values = values.iter();
    for level in levels {
        match if level > 0 { values.next() } else { None } {
            Some(value) => put(cells, value)?,
            None => cells.missing(),
        }
    }
    Ok(())
}
