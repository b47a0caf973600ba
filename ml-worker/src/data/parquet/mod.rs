//! Columns of Parquet files: numbers and texts, one value to a row.
//!
//! Read column chunk by column chunk in batches, never a whole file at once. Bounds: a page has at most
//! [`MAX_PAGE`] bytes, the description at the end [`MAX_FOOTER`], a text [`MAX_TEXT`], and what is handed over at once
//! [`MAX_CELLS`] values and [`MAX_TEXTS`] bytes of text. A gzip page is believed to be no larger than its header says.

use crate::data::error::{caught, refused, DataError};
use axum::body::Bytes;
use cells::{read_batch, Cells, Wanted, Why};
use consilium_primitives::FailureCode;
use pages::{broken, Data, Pages};
use parquet::{
    basic::{Compression, ConvertedType, LogicalType, Type as Physical},
    column::reader::{get_column_reader, ColumnReader},
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        reader::SerializedPageReader,
    },
    schema::types::{ColumnDescPtr, Type},
};
use std::{
    collections::{HashMap, HashSet},
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

mod cells;
mod pages;

pub use cells::{Column, MAX_TEXT, MAX_TEXTS};
pub use pages::{MAX_FOOTER, MAX_PAGE};

/// Values that are handed over at once, of all columns together.
pub const MAX_CELLS: usize = 1 << 27;
/// Rows that are decoded at once.
const BATCH: usize = 1 << 13;

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
        let (mut columns, mut known): (Vec<Wanted>, HashSet<String>) = Default::default();
        // of each field its first column of values: of one that is not nested, its only one
        let mut leaves = HashMap::new();
        (0..schema.num_columns()).for_each(|leaf| _ = leaves.entry(schema.get_column_root_idx(leaf)).or_insert(leaf));
        for (root, field) in schema.root_schema().get_fields().iter().enumerate() {
            let name = field.name().to_string();
            if !wanted(&name) {
                continue;
            }
            if !known.insert(name.clone()) {
                return Err(refused(format!("has two columns {name:?}")));
            }
            let at = |why: &str| refused(format!("column {name:?}: {why}"));
            let leaf = leaves.get(&root).copied();
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
