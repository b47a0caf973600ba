//! The values of a table: in memory, or in a working copy on disk.

use crate::data::table::copy::WorkingCopy;
use std::{io, os::unix::fs::FileExt, path::Path};

/// Where rows come from that are made when they are asked for.
pub trait Make: Send + Sync {
    /// Writes the network's numbers of one of its rows.
    ///
    /// # Errors
    /// What they are made from cannot be read.
    fn make(&self, row: usize, out: &mut [f32]) -> io::Result<()>;

    /// The file that one of its rows is, for others to read, and the folder of the table that names it; both without symbolic
    /// links. None where rows are numbers.
    fn file(&self, _row: usize) -> Option<(&Path, &Path)> {
        None
    }
}

/// Bytes that are read from a working copy at once.
const READ: usize = 1 << 20;

/// Raw values, row by row; missing ones are NaN.
#[derive(Debug)]
pub(in crate::data) enum Cells {
    Memory(Memory),
    File(WorkingCopy),
}

/// Values in memory, in the parts that they were read in.
#[derive(Debug, Default)]
pub(in crate::data) struct Memory {
    /// Whole rows each.
    parts: Vec<Vec<f64>>,
    /// How many values there are up to each part's end.
    ends: Vec<usize>,
}

impl Memory {
    pub fn push(&mut self, part: Vec<f64>) {
        if !part.is_empty() {
            self.ends.push(self.len() + part.len());
            self.parts.push(part);
        }
    }

    pub fn len(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    pub fn parts(&self) -> &[Vec<f64>] {
        &self.parts
    }

    /// Values from this place on, at least those of its row, as far as they stand side by side.
    pub fn from(&self, place: usize) -> &[f64] {
        let part = self.ends.partition_point(|end| *end <= place);
        match self.parts.get(part) {
            Some(values) => &values[place + values.len() - self.ends[part]..],
            None => &[],
        }
    }
}

impl Cells {
    /// Writes one row of `out.len()` values.
    pub fn row(&self, row: usize, out: &mut [f64], bytes: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Memory(values) => {
                out.copy_from_slice(&values.from(row * out.len())[..out.len()]);
                Ok(())
            }
            Self::File(copy) => {
                bytes.resize(out.len() * 8, 0);
                copy.file.read_exact_at(bytes, (row * out.len() * 8) as u64)?;
                numbers(bytes, out);
                Ok(())
            }
        }
    }

    /// Hands over rows of `width` values one after the other, in the order asked for, with their places in it; some at
    /// once.
    pub fn each_block<E: From<io::Error>>(
        &self,
        width: usize,
        rows: &[usize],
        mut each: impl FnMut(usize, &[f64]) -> Result<(), E>,
    ) -> Result<(), E> {
        let most = (READ / 8 / width.max(1)).max(1);
        let (mut bytes, mut values) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some(first) = rows.get(at) {
            // rows that stand side by side are read together
            let run = rows[at..].iter().take(most).zip(*first..).take_while(|(row, next)| *row == next).count();
            match self {
                Self::Memory(all) => {
                    let there = all.from(first * width);
                    let run = run.min(there.len() / width.max(1)).max(1);
                    each(at, &there[..run * width])?;
                    at += run;
                    continue;
                }
                Self::File(copy) => {
                    bytes.resize(run * width * 8, 0);
                    values.resize(run * width, 0.0);
                    copy.file.read_exact_at(&mut bytes, (first * width * 8) as u64)?;
                    numbers(&bytes, &mut values);
                    each(at, &values)?;
                }
            }
            at += run;
        }
        Ok(())
    }
}

fn numbers(bytes: &[u8], out: &mut [f64]) {
    let (whole, _) = bytes.as_chunks::<8>();
    for (number, bytes) in out.iter_mut().zip(whole) {
        *number = f64::from_le_bytes(*bytes);
    }
}
