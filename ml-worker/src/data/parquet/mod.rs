//! Columns of Parquet files: numbers and texts, one value to a row.
//!
//! Read column chunk by column chunk in batches, never a whole file at once. Bounds: a page has at most
//! [`MAX_PAGE`] bytes, the description at the end [`MAX_FOOTER`], a text [`MAX_TEXT`], and what is handed over at once
//! [`MAX_CELLS`] values and [`MAX_TEXTS`] bytes of text. A gzip page is believed to be no larger than its header says.

use crate::data::error::{caught, refused, DataError};
use axum::body::Bytes;
use consilium_primitives::FailureCode;
use pages::{broken, Data, Pages};
use parquet::{
    basic::{Compression, ConvertedType, LogicalType, Type as Physical},
    column::reader::{get_column_reader, ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        reader::SerializedPageReader,
    },
    schema::types::{ColumnDescPtr, Type},
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

mod pages;

pub use pages::{MAX_FOOTER, MAX_PAGE};

/// Bytes a text may have.
pub const MAX_TEXT: usize = 1 << 16;
/// Values that are handed over at once, of all columns together.
pub const MAX_CELLS: usize = 1 << 27;
/// Bytes of text that are handed over at once.
pub const MAX_TEXTS: usize = 1 << 28;
/// Rows that are decoded at once.
const BATCH: usize = 1 << 13;
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

/// Columns by name, in the file's order, all of the same number of rows.
pub type Block = Vec<(String, Column)>;

/// A Parquet file: on disk, or already read.
#[derive(Clone, Debug)]
pub struct Source {
    path: PathBuf,
    bytes: Option<Bytes>,
}

impl Source {
    /// A file of any size, of which only what is asked for is read.
    pub fn file(path: &Path) -> Self {
        Self { path: path.into(), bytes: None }
    }

    /// Bytes that have been read from `path`.
    pub fn bytes(bytes: Vec<u8>, path: &Path) -> Self {
        Self { path: path.into(), bytes: Some(bytes.into()) }
    }

    fn data(&self) -> Result<Data, DataError> {
        if let Some(bytes) = &self.bytes {
            return Ok(Data::Bytes(bytes.clone()));
        }
        let unreadable =
            |e: std::io::Error| DataError::new(FailureCode::DataUnreadable, format!("cannot be read: {e}"));
        let meta = std::fs::metadata(&self.path).map_err(unreadable)?;
        if !meta.is_file() {
            return Err(DataError::new(FailureCode::DataUnreadable, "is not a file"));
        }
        Ok(Data::File(File::open(&self.path).map_err(unreadable)?, meta.len()))
    }

    /// Runs what may fail or panic in the library.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
        caught(work).unwrap_or_else(|| Err(broken())).map_err(|e| e.of(&self.path))
    }
}

/// The names of a file's columns, in its order; of nested ones, the outermost name.
///
/// # Errors
/// The file cannot be read, or is no Parquet file, or is damaged.
pub fn names(source: &Source) -> Result<Vec<String>, DataError> {
    Ok(columns(source)?.into_iter().map(|(name, _)| name).collect())
}

/// The same, each with whether it holds truth values, which are read as the numbers 1 and 0.
///
/// # Errors
/// As [`names`].
pub fn columns(source: &Source) -> Result<Vec<(String, bool)>, DataError> {
    source.guarded(|| {
        let metadata = source.data()?.metadata()?;
        let schema = metadata.file_metadata().schema_descr();
        let truth = |f: &Type| f.is_primitive() && f.get_physical_type() == Physical::BOOLEAN;
        Ok(schema.root_schema().get_fields().iter().map(|f| (f.name().to_string(), truth(f))).collect())
    })
}

/// All rows of the columns whose names are wanted. Others are not looked at, whatever they hold.
///
/// # Errors
/// As [`for_each_block`]; or the columns have more values than are read at once.
pub fn read_parquet(source: &Source, wanted: &dyn Fn(&str) -> bool) -> Result<Block, DataError> {
    let mut reader = source.guarded(|| Reader::open(source, wanted))?;
    source.guarded(|| reader.block(usize::MAX))
}

/// Hands over the wanted columns in blocks of `rows_per_block` rows, the last of them with what is left. Nothing is handed
/// over where no column is wanted or there are no rows.
///
/// # Errors
/// The file cannot be read, is damaged, or has a wanted column that is not read: nested or repeated, of decimals, dates or
/// times, compressed other than with snappy, gzip or zstd, with whole numbers beyond 2^53 or with bytes that are no text.
/// Or what `each` returns, after which nothing more is read.
pub fn for_each_block(
    source: &Source,
    wanted: &dyn Fn(&str) -> bool,
    rows_per_block: usize,
    each: &mut dyn FnMut(Block) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let mut reader = source.guarded(|| Reader::open(source, wanted))?;
    if reader.columns.is_empty() {
        return Ok(());
    }
    loop {
        let block = source.guarded(|| reader.block(rows_per_block.max(1)))?;
        match &block[0].1 {
            Column::Numbers(values) if values.is_empty() => return Ok(()),
            Column::Texts(values) if values.is_empty() => return Ok(()),
            _ => each(block)?,
        }
    }
}

fn failed(error: ParquetError) -> DataError {
    match error {
        // a refusal of our own that has come through the library
        ParquetError::External(error) => error.downcast::<DataError>().map_or_else(|_| broken(), |e| *e),
        _ => broken(),
    }
}

/// With the column's name, where it is refused and not damaged.
fn of(column: &str, error: DataError) -> DataError {
    match error.code {
        FailureCode::SchemaMismatch => refused(format!("column {column:?}: {}", error.message)),
        _ => error,
    }
}

/// A wanted column.
struct Wanted {
    name: String,
    leaf: usize,
    descr: ColumnDescPtr,
    unsigned: bool,
}

/// A file that is being read.
struct Reader {
    metadata: ParquetMetaData,
    pages: Arc<Pages>,
    columns: Vec<Wanted>,
    /// The row group to come.
    next: usize,
    /// Rows left of the one before, and where each column is in it.
    left: usize,
    open: Vec<ColumnReader>,
}

impl Reader {
    fn open(source: &Source, wanted: &dyn Fn(&str) -> bool) -> Result<Self, DataError> {
        let data = source.data()?;
        let metadata = data.metadata()?;
        let schema = metadata.file_metadata().schema_descr();
        let mut columns: Vec<Wanted> = Vec::new();
        for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
            let name = field.name().to_string();
            if !wanted(&name) {
                continue;
            }
            if columns.iter().any(|c| c.name == name) {
                return Err(refused(format!("has two columns {name:?}")));
            }
            let at = |why: &str| refused(format!("column {name:?}: {why}"));
            let leaf = (0..schema.num_columns()).find(|leaf| schema.get_column_root_idx(*leaf) == root);
            let nested = "is nested or repeated; write one value to a row";
            let leaf = leaf.filter(|_| field.is_primitive()).ok_or_else(|| at(nested))?;
            let descr = schema.column(leaf);
            if descr.max_rep_level() > 0 || descr.max_def_level() > 1 {
                return Err(at(nested));
            }
            let unsigned = unsigned(&descr).map_err(at)?;
            for group in metadata.row_groups() {
                if let Some(codec) = unread_codec(group.column(leaf).compression()) {
                    return Err(at(&format!("is compressed with {codec}; write it with snappy, gzip, zstd or none")));
                }
            }
            columns.push(Wanted { name, leaf, descr, unsigned });
        }
        Ok(Self { metadata, pages: Arc::new(Pages(data)), columns, next: 0, left: 0, open: Vec::new() })
    }

    /// The next rows, across row groups.
    fn block(&mut self, rows: usize) -> Result<Block, DataError> {
        let mut cells: Vec<Cells> = self.columns.iter().map(|c| Cells::new(&c.descr)).collect();
        let (mut filled, mut bytes) = (0, 0);
        while filled < rows && self.advance()? {
            let batch = BATCH.min(rows - filled).min(self.left);
            if (filled + batch).saturating_mul(self.columns.len()) > MAX_CELLS {
                return Err(refused(format!(
                    "has more than {MAX_CELLS} values in the columns that are read at once; leave out rows or columns"
                )));
            }
            for ((column, reader), cells) in self.columns.iter().zip(&mut self.open).zip(&mut cells) {
                let named = |why: &str| refused(format!("column {:?}: {why}", column.name));
                read_batch(reader, column, batch, cells, &mut bytes).map_err(|why| match why {
                    Why::Cell(why) => named(why),
                    Why::File(error) => of(&column.name, failed(error)),
                    Why::Short => broken(),
                })?;
            }
            filled += batch;
            self.left -= batch;
        }
        Ok(self.columns.iter().map(|c| c.name.clone()).zip(cells.into_iter().map(|c| c.0)).collect())
    }

    /// Goes on to the next row group that has rows, if the one before is at its end. False: there is none.
    fn advance(&mut self) -> Result<bool, DataError> {
        while self.left == 0 && self.next < self.metadata.num_row_groups() && !self.columns.is_empty() {
            let group = self.metadata.row_group(self.next);
            self.next += 1;
            self.left = usize::try_from(group.num_rows()).map_err(|_| broken())?;
            self.open = self.columns.iter().map(|c| self.chunk(group, c)).collect::<Result<_, _>>()?;
        }
        Ok(self.left > 0)
    }

    fn chunk(&self, group: &RowGroupMetaData, column: &Wanted) -> Result<ColumnReader, DataError> {
        let chunk = group.column(column.leaf);
        if chunk.num_values() != group.num_rows() {
            return Err(broken());
        }
        let pages = SerializedPageReader::new(self.pages.clone(), chunk, self.left, None)
            .map_err(|error| of(&column.name, failed(error)))?;
        Ok(get_column_reader(column.descr.clone(), Box::new(pages)))
    }
}

/// Whether whole numbers are to be read without a sign; or why the column is not read.
fn unsigned(column: &ColumnDescPtr) -> Result<bool, &'static str> {
    use ConvertedType as C;
    use LogicalType as L;
    const DATE: &str = "is a date or a time; write it as a number or a text";
    const DECIMAL: &str = "is of decimals; write them as floating-point numbers";
    const OTHER: &str = "is of a type that is not read; write it as a number or a text";
    if column.physical_type() == Physical::INT96 {
        return Err(DATE);
    }
    match column.logical_type_ref() {
        None | Some(L::String | L::Enum | L::Json | L::Unknown) => {}
        Some(L::Integer(integer)) => return Ok(!integer.is_signed),
        Some(L::Date | L::Time(_) | L::Timestamp(_)) => return Err(DATE),
        Some(L::Decimal(_)) => return Err(DECIMAL),
        Some(_) => return Err(OTHER),
    }
    match column.converted_type() {
        C::DATE | C::TIME_MILLIS | C::TIME_MICROS | C::TIMESTAMP_MILLIS | C::TIMESTAMP_MICROS => Err(DATE),
        C::DECIMAL => Err(DECIMAL),
        C::UINT_8 | C::UINT_16 | C::UINT_32 | C::UINT_64 => Ok(true),
        C::NONE | C::UTF8 | C::ENUM | C::JSON | C::INT_8 | C::INT_16 | C::INT_32 | C::INT_64 => Ok(false),
        _ => Err(OTHER),
    }
}

fn unread_codec(codec: Compression) -> Option<&'static str> {
    match codec {
        Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_) => None,
        Compression::LZO => Some("LZO"),
        Compression::BROTLI(_) => Some("Brotli"),
        Compression::LZ4 | Compression::LZ4_RAW => Some("LZ4"),
    }
}

/// Why a batch could not be read.
enum Why {
    Cell(&'static str),
    File(ParquetError),
    Short,
}

/// A column that is being filled.
struct Cells(Column);

impl Cells {
    fn new(column: &ColumnDescPtr) -> Self {
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

fn read_batch(
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
