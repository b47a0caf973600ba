//! Where a Parquet file's bytes come from, and what is looked at before the library takes memory for them.
//!
//! The library trusts sizes that a damaged file states: of pages, of dictionaries, of nested schemas. They are read here
//! first, from the same bytes, and refused where they cannot be right.

use crate::data::error::{damaged, refused, DataError};
use axum::body::Bytes;
use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::{ParquetMetaData, ParquetMetaDataReader},
        reader::{ChunkReader, Length},
    },
};
use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek, SeekFrom},
};

pub(super) fn broken() -> DataError {
    damaged("Parquet file")
}

/// Bytes a page may have after decompression: 256 MiB. Writers make pages of about one.
pub const MAX_PAGE: u64 = 1 << 28;
/// Bytes the description at a file's end may have: 64 MiB.
pub const MAX_FOOTER: u64 = 1 << 26;
/// Groups within groups that a schema may have.
const MAX_DEPTH: usize = 64;
/// Bytes of a page's header in which its sizes stand; what may make it longer comes after them.
const HEADER: u64 = 64;
/// Encodings whose sizes are said in the header: plain, run lengths, dictionaries, delta of numbers, split bytes.
const ENCODINGS: [i64; 6] = [0, 2, 3, 5, 8, 9];

/// The bytes of a file.
pub(super) enum Data {
    File(File, u64),
    Bytes(Bytes),
}

impl Length for Data {
    fn len(&self) -> u64 {
        match self {
            Self::File(_, length) => *length,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl ChunkReader for Data {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        if start > self.len() {
            return Err(ParquetError::EOF(String::new()));
        }
        Ok(match self {
            Self::File(file, _) => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(start))?;
                Box::new(BufReader::new(file))
            }
            Self::Bytes(bytes) => Box::new(Cursor::new(bytes.slice(start as usize..))),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.len());
        match (self, end) {
            (_, None) => Err(ParquetError::EOF(String::new())),
            (Self::File(..), Some(_)) => {
                let mut bytes = Vec::with_capacity(length);
                self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
                // the file may have become shorter
                if bytes.len() < length {
                    return Err(ParquetError::EOF(String::new()));
                }
                Ok(bytes.into())
            }
            (Self::Bytes(bytes), Some(end)) => Ok(bytes.slice(start as usize..end as usize)),
        }
    }
}

impl Data {
    /// The file's description of itself.
    pub(super) fn metadata(&self) -> Result<ParquetMetaData, DataError> {
        let part = |start, length| self.get_bytes(start, length).map_err(|_| broken());
        if self.len() < 12 || part(0, 4)?[..] != *b"PAR1" {
            return Err(refused("is not a Parquet file"));
        }
        let end = self.len() - 8;
        let tail = part(end, 8)?;
        let length = u64::from(u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]));
        match &tail[4..] {
            b"PAR1" => {}
            b"PARE" => return Err(refused("is encrypted; write it without encryption")),
            _ => return Err(broken()),
        }
        if length > MAX_FOOTER {
            return Err(refused("describes its columns in more than 64 MiB; write larger row groups"));
        }
        let start = end.checked_sub(length).ok_or_else(broken)?;
        schema_depth(&part(start, length as usize)?).filter(|depth| *depth <= MAX_DEPTH).ok_or_else(broken)?;
        ParquetMetaDataReader::new().parse_and_finish(self).map_err(|_| broken())
    }
}

/// The same bytes, read page by page: the library asks for a reader where a page begins, and for bytes where its data do.
pub(super) struct Pages(pub(super) Data);

impl Length for Pages {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl ChunkReader for Pages {
    type T = Box<dyn Read>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        let length = self.len().saturating_sub(start).min(HEADER);
        let head = self.0.get_bytes(start, length as usize)?;
        check_page(&head).ok_or_else(broken).and_then(|ok| ok).map_err(|e| ParquetError::External(Box::new(e)))?;
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.0.get_bytes(start, length)
    }
}

/// The sizes in a page's header; none where it is cut off or no header.
fn check_page(head: &[u8]) -> Option<Result<(), DataError>> {
    let mut thrift = Thrift { bytes: head };
    let (mut last, mut size) = (0, None);
    loop {
        match thrift.field(&mut last)? {
            (0, _) => return None,
            (5, 2) => {
                let bytes = u64::try_from(thrift.number()?).ok()?;
                if bytes > MAX_PAGE {
                    return Some(Err(refused("has a page of more than 256 MiB; write it in smaller pages")));
                }
                size = Some(bytes);
            }
            (5, 3) => {
                u64::try_from(thrift.number()?).ok().filter(|bytes| *bytes <= MAX_PAGE)?;
            }
            (5, _) => drop(thrift.number()?),
            // of a data page: the number of values, in the second version two more, then the encoding
            (12, page @ (5 | 7 | 8)) => {
                let mut numbers = [0; 4];
                let (mut last, count) = (0, if page == 8 { 4 } else { 2 });
                for (n, number) in numbers.iter_mut().enumerate().take(count) {
                    let (kind, id) = thrift.field(&mut last)?;
                    (kind == 5 && id == n as i64 + 1).then_some(())?;
                    *number = thrift.number()?;
                }
                let size = size?;
                // a dictionary holds each value; all but the empty text take a byte or more, and that takes four
                let fits = page != 7 || u64::try_from(numbers[0]).is_ok_and(|values| values <= size);
                if !ENCODINGS.contains(&numbers[count - 1]) {
                    return Some(Err(refused(
                        "is in an encoding that is not read, such as DELTA_BYTE_ARRAY, whose sizes stand within its bytes; write \
                         the file anew with plain or dictionary encoding (pandas and pyarrow do so by themselves), or as CSV",
                    )));
                }
                return fits.then_some(Ok(()));
            }
            (12, 6) => return Some(Ok(())),
            _ => return None,
        }
    }
}

/// How deep groups lie within groups; none where the description is cut off or says more children than there are.
fn schema_depth(footer: &[u8]) -> Option<usize> {
    let mut thrift = Thrift { bytes: footer };
    let (mut last, mut deepest) = (0, 0);
    loop {
        match thrift.field(&mut last)? {
            (0, _) => return Some(deepest),
            (9, 2) => {
                let (kind, count) = thrift.list()?;
                (kind == 12 && count <= footer.len() as u64).then_some(())?;
                // children still to come, of each group that is open
                let mut open: Vec<u64> = Vec::new();
                for _ in 0..count {
                    let (mut last, mut children) = (0, 0);
                    loop {
                        match thrift.field(&mut last)? {
                            (0, _) => break,
                            (5, 5) => children = u64::try_from(thrift.number()?).ok().filter(|n| *n <= count)?,
                            (kind, _) => thrift.skip(kind, 0)?,
                        }
                    }
                    if let Some(left) = open.last_mut() {
                        *left -= 1;
                    }
                    open.push(children);
                    deepest = deepest.max(open.len());
                    while open.last() == Some(&0) {
                        open.pop();
                    }
                }
            }
            (kind, _) => thrift.skip(kind, 0)?,
        }
    }
}

/// As much of Thrift's compact protocol as it takes to step through descriptions.
struct Thrift<'a> {
    bytes: &'a [u8],
}

impl Thrift<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn over(&mut self, length: u64) -> Option<()> {
        self.bytes = self.bytes.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A number with a sign.
    fn number(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// Type and name of the next field of a struct; type 0 ends it.
    fn field(&mut self, last: &mut i64) -> Option<(u8, i64)> {
        let byte = self.byte()?;
        let kind = byte & 15;
        if kind != 0 {
            *last = match byte >> 4 {
                0 => self.number()?,
                step => last.checked_add(step.into())?,
            };
        }
        Some((kind, *last))
    }

    /// Type and number of a list's members.
    fn list(&mut self) -> Option<(u8, u64)> {
        let byte = self.byte()?;
        let count = if byte >> 4 == 15 { self.varint()? } else { u64::from(byte >> 4) };
        Some((byte & 15, count))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            _ if depth > MAX_DEPTH => None,
            1 | 2 => Some(()),
            3 => self.over(1),
            4..=6 => self.varint().map(drop),
            7 => self.over(8),
            8 => {
                let length = self.varint()?;
                self.over(length)
            }
            9 | 10 => {
                let (kind, count) = self.list()?;
                for _ in 0..count {
                    // a truth value in a list is a byte of its own
                    self.skip(if kind <= 2 { 3 } else { kind }, depth + 1)?;
                }
                Some(())
            }
            12 => {
                let mut last = 0;
                loop {
                    match self.field(&mut last)? {
                        (0, _) => return Some(()),
                        (kind, _) => self.skip(kind, depth + 1)?,
                    }
                }
            }
            13 => self.over(16),
            _ => None,
        }
    }
}
