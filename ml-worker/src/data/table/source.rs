//! The bytes of a table's file: read once, in blocks, hashed as they are read, unpacked where they are packed.

use crate::data::{
    error::DataError,
    table::memory,
    text::{
        whole,
        workbook::{self, MAX_WORKBOOK},
    },
};
use consilium_primitives::{FailureCode, Hash};
use consilium_study::{Layout, Orientation};
use flate2::bufread::MultiGzDecoder;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Cursor, Read},
    path::{Path, PathBuf},
};

/// Pieces that rows are cut into for each core, to be read at the same time.
pub(in crate::data) const PIECES: usize = 4;
/// How many times the allowed memory a packed file may become.
pub const UNPACKED: u64 = 8;
/// Bytes that are read from a file at once.
const READ: usize = 1 << 18;
/// What is allowed where the machine does not say how much memory it has.
const UNKNOWN: u64 = 1 << 30;

/// How a table is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes of values that may be kept in memory. Labels and the hashes that stand for patients, about 40 bytes a row,
    /// are kept there in any case.
    pub allowance: u64,
    /// Where a working copy of the values of a larger table may lie. `None`: it is refused.
    pub folder: Option<PathBuf>,
}

impl Default for Reading {
    /// Half of the memory that is available to this process, and no working copy.
    fn default() -> Self {
        Self { allowance: memory::available(Path::new("/")).map_or(UNKNOWN, |bytes| bytes / 2), folder: None }
    }
}

/// Hashes what is read through it.
struct Hashing {
    file: File,
    hasher: blake3::Hasher,
}

impl Read for Hashing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.hasher.update_rayon(&buffer[..read]);
        Ok(read)
    }
}

enum Bytes {
    Plain(Box<BufReader<Hashing>>),
    Packed(Box<MultiGzDecoder<BufReader<Hashing>>>),
    /// A text that was made of all of a file, and the file's hash.
    Made(Cursor<Vec<u8>>, Hash),
}

/// What the first bytes say a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::data) enum Kind {
    Text,
    Gzip,
    Parquet,
}

/// A table's file that is being read.
pub(in crate::data) struct Source {
    bytes: Bytes,
    pub kind: Kind,
    /// Bytes of text that it may have; those of a packed file are not known.
    pub length: u64,
    /// Bytes of text so far.
    read: u64,
    most: u64,
}

impl Source {
    /// Opens a file whose text is written and laid out so.
    pub fn open(path: &Path, reading: &Reading, layout: Layout) -> Result<Self, DataError> {
        let mut plain = hashing(path).map_err(|e| unreadable(&e).of(path))?;
        let start = plain.fill_buf().map_err(|e| unreadable(&e).of(path))?;
        if workbook(start) {
            return Self::of_workbook(plain, layout).map_err(|e| e.of(path));
        }
        let kind = match start {
            [0x1f, 0x8b, ..] => Kind::Gzip,
            [b'P', b'A', b'R', b'1', ..] => Kind::Parquet,
            _ => Kind::Text,
        };
        let length = match kind {
            Kind::Gzip => u64::MAX,
            Kind::Text | Kind::Parquet => plain.get_ref().file.metadata().map_or(u64::MAX, |m| m.len()),
        };
        let bytes = match kind {
            Kind::Gzip => Bytes::Packed(Box::new(MultiGzDecoder::new(plain))),
            Kind::Text | Kind::Parquet => Bytes::Plain(Box::new(plain)),
        };
        let source = Self { bytes, kind, length, read: 0, most: reading.allowance.saturating_mul(UNPACKED) };
        match kind {
            Kind::Parquet if layout.orientation == Orientation::Columns => Err(DataError::schema(
                "is Parquet, whose columns are all of one kind: a table with a line for each column (data.orientation) is a text",
            )
            .of(path)),
            Kind::Text | Kind::Gzip if layout != Layout::default() => {
                source.made(reading.allowance, layout).map_err(|e| e.of(path))
            }
            Kind::Text | Kind::Gzip | Kind::Parquet => Ok(source),
        }
    }

    /// The text of a workbook.
    fn of_workbook(mut plain: BufReader<Hashing>, layout: Layout) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        plain.by_ref().take(MAX_WORKBOOK + 1).read_to_end(&mut bytes).map_err(|e| unreadable(&e))?;
        if bytes.len() as u64 > MAX_WORKBOOK {
            return Err(DataError::new(
                FailureCode::OutOfMemory,
                format!("is a workbook of more than {} MiB: save it as CSV (UTF-8)", MAX_WORKBOOK >> 20),
            ));
        }
        let hash = rest(&mut plain).map_err(|e| unreadable(&e))?;
        let text = whole::made(workbook::text(&bytes)?, layout)?;
        let length = text.len() as u64;
        Ok(Self { bytes: Bytes::Made(Cursor::new(text), hash), kind: Kind::Text, length, read: 0, most: u64::MAX })
    }

    /// All of the text at once, made anew.
    fn made(mut self, allowance: u64, layout: Layout) -> Result<Self, DataError> {
        let (mut text, mut block) = (Vec::new(), vec![0; READ]);
        loop {
            let filled = self.fill(&mut block)?;
            text.extend_from_slice(&block[..filled]);
            if filled < block.len() {
                break;
            }
            if text.len() as u64 > allowance {
                return Err(DataError::new(
                    FailureCode::OutOfMemory,
                    format!(
                        "has more than {allowance} bytes of text, which must be in memory at once where data.encoding or \
                         data.orientation is given; save it as UTF-8 with a line for each row, or allow more memory"
                    ),
                ));
            }
        }
        let most = self.most;
        let hash = self.hash().map_err(|e| unreadable(&e))?;
        let text = whole::made(text, layout)?;
        let length = text.len() as u64;
        Ok(Self { bytes: Bytes::Made(Cursor::new(text), hash), kind: Kind::Text, length, read: 0, most })
    }

    /// Fills a block; how many bytes of it. Fewer than it has room for: the file has ended.
    pub fn fill(&mut self, block: &mut [u8]) -> Result<usize, DataError> {
        let mut filled = 0;
        while filled < block.len() {
            let rest = &mut block[filled..];
            let read = match &mut self.bytes {
                Bytes::Plain(bytes) => bytes.read(rest),
                Bytes::Packed(bytes) => bytes.read(rest),
                Bytes::Made(bytes, _) => bytes.read(rest),
            };
            match read {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&error)),
            }
        }
        self.read += filled as u64;
        if self.kind == Kind::Gzip && self.read > self.most {
            return Err(DataError::new(
                FailureCode::OutOfMemory,
                format!(
                    "unpacks to more than {} bytes, {UNPACKED} times the memory that may be used for it; unpack the file, \
                     or allow more memory",
                    self.most
                ),
            ));
        }
        Ok(filled)
    }

    /// Reads to the file's end; the hash of all its bytes.
    pub fn hash(self) -> io::Result<Hash> {
        let mut plain = match self.bytes {
            Bytes::Plain(bytes) => *bytes,
            Bytes::Packed(bytes) => bytes.into_inner(),
            Bytes::Made(_, hash) => return Ok(hash),
        };
        rest(&mut plain)
    }
}

/// Whether a file begins as a spreadsheet program's own files do.
fn workbook(start: &[u8]) -> bool {
    matches!(start, [b'P', b'K', 3, 4, ..] | [0xd0, 0xcf, 0x11, 0xe0, ..])
}

fn hashing(path: &Path) -> io::Result<BufReader<Hashing>> {
    let file = File::open(path)?;
    Ok(BufReader::with_capacity(READ, Hashing { file, hasher: blake3::Hasher::new() }))
}

fn rest(plain: &mut BufReader<Hashing>) -> io::Result<Hash> {
    loop {
        match plain.fill_buf() {
            Ok([]) => break,
            Ok(part) => {
                let read = part.len();
                plain.consume(read);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Hash::from(*plain.get_ref().hasher.finalize().as_bytes()))
}

fn unreadable(error: &io::Error) -> DataError {
    DataError::new(FailureCode::DataUnreadable, format!("cannot be read: {error}"))
}

/// The hash of a file's bytes, read in parts.
///
/// # Errors
/// It cannot be read.
pub fn hash_file(path: &Path) -> Result<Hash, DataError> {
    hashing(path).and_then(|mut plain| rest(&mut plain)).map_err(|e| unreadable(&e).of(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_memory() {
        assert!(Reading::default().allowance > 1 << 20);
    }
}
