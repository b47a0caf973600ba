//! Reading updates and models: in parts that whole threads take, and in pieces that are read at a time.

use super::error::FilesError;
use crate::{
    blob::Parts,
    layout::{Dtype, FileError, Layout},
};
use blake3::Hasher;
use consilium_primitives::Hash;
use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Bytes of all inputs together that a thread has in memory at a time: they stay in the caches, and are read in few calls.
const HOT: u64 = 1 << 20;

/// A file of numbers to read from.
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    /// The bytes before the numbers, which were looked at and are hashed.
    head: Vec<u8>,
}

pub(crate) enum Opened {
    Io(io::Error),
    Invalid(FileError),
}

impl Reader {
    /// Opens a file that must have exactly this layout and name exactly this duty.
    pub fn open(path: &Path, dtype: Dtype, layout: &Layout, duty: Option<&Hash>) -> Result<Self, Opened> {
        let file = File::open(path).map_err(Opened::Io)?;
        let len = file.metadata().map_err(Opened::Io)?.len();
        let longest = layout.header(dtype, Some(&Hash::zero())).len() as u64;
        let mut head = vec![0; len.min(longest) as usize];
        file.read_exact_at(&mut head, 0).map_err(Opened::Io)?;
        let (found, start) = layout.open_head(dtype, &head, len, false).map_err(Opened::Invalid)?;
        if found.as_ref() != duty {
            return Err(Opened::Invalid(FileError::Duty { expected: duty.copied(), found }));
        }
        head.truncate(start);
        Ok(Self { path: path.into(), file, head })
    }

    /// Reads `len` numbers from position `at` on; gives their bytes to `hasher`, if there is one.
    pub fn read(
        &self,
        at: usize,
        len: usize,
        numbers: &mut Vec<f32>,
        hasher: Option<&mut Hasher>,
    ) -> Result<(), FilesError> {
        numbers.resize(len, 0.0);
        self.hashed(at, bytemuck::cast_slice_mut(numbers), hasher)?;
        from_file(numbers);
        Ok(())
    }

    /// [`Reader::read`], of a file of words.
    pub fn words(&self, at: usize, words: &mut [u32], hasher: Option<&mut Hasher>) -> Result<(), FilesError> {
        self.hashed(at, bytemuck::cast_slice_mut(words), hasher)?;
        words_from_file(words);
        Ok(())
    }

    fn hashed(&self, at: usize, bytes: &mut [u8], hasher: Option<&mut Hasher>) -> Result<(), FilesError> {
        self.bytes(bytes, (self.head.len() + at * 4) as u64)?;
        if let Some(hasher) = hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn bytes(&self, bytes: &mut [u8], at: u64) -> Result<(), FilesError> {
        self.file.read_exact_at(bytes, at).map_err(|error| FilesError::Io { path: self.path.clone(), error })
    }

    /// What must be given the bytes of one part: it has had those of the header that lie in it.
    pub fn hasher(&self, parts: &Parts, part: usize) -> Hasher {
        let range = parts.range(part);
        let end = self.head.len().min(range.end as usize);
        let mut hasher = parts.hasher(part);
        hasher.update(self.head.get(range.start as usize..end).unwrap_or_default());
        hasher
    }
}

/// How files of updates, or masked ones, whose headers are all of one length, are cut.
pub(crate) struct Cuts {
    pub parts: Parts,
    /// Where the numbers begin.
    pub start: u64,
    piece: u64,
}

impl Cuts {
    /// For so many files. Headers of `F32` and of `U32` are of one length.
    pub fn new(layout: &Layout, files: usize) -> Self {
        let start = layout.header(Dtype::F32, Some(&Hash::zero())).len() as u64;
        let piece = (HOT / files.max(1) as u64).clamp(1 << 14, 1 << 17).next_power_of_two();
        Self { parts: Parts::new(layout.file_len(true)), start, piece }
    }

    /// The numbers of one part, in pieces that end where whole chunks of the hash end: position and count of each.
    pub fn pieces(&self, part: usize) -> impl Iterator<Item = (usize, usize)> + use<'_> {
        let Range { start, end } = self.parts.range(part);
        let mut at = start.max(self.start);
        std::iter::from_fn(move || {
            let from = at;
            at = (from / self.piece * self.piece + self.piece).min(end);
            (from < end).then(|| (((from - self.start) / 4) as usize, ((at - from) / 4) as usize))
        })
    }
}

/// Files have the least significant byte first.
pub(crate) fn from_file(numbers: &mut [f32]) {
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = f32::from_bits(number.to_bits().swap_bytes()));
    }
}

/// [`from_file`], of words.
pub(crate) fn words_from_file(words: &mut [u32]) {
    if cfg!(target_endian = "big") {
        words.iter_mut().for_each(|word| *word = word.swap_bytes());
    }
}
