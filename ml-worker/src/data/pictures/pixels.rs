//! What rows of pictures are, once all are read.

use crate::data::table::{cells::Make, copy::WorkingCopy};
use std::{
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Scaled pixels of all rows, as the network takes them.
#[derive(Debug)]
pub(in crate::data) enum Pixels {
    /// A row each.
    Memory(Vec<Vec<f32>>),
    /// One row after the other, as little-endian f32.
    File(WorkingCopy),
    /// No pixels: files that others read, and the folder of the table that names them.
    Elsewhere { folder: PathBuf, files: Vec<PathBuf> },
}

impl Make for Pixels {
    fn make(&self, row: usize, out: &mut [f32]) -> io::Result<()> {
        match self {
            Self::Memory(rows) => out.copy_from_slice(&rows[row]),
            Self::Elsewhere { .. } => {}
            Self::File(copy) => {
                let mut bytes = vec![0; out.len() * 4];
                copy.file.read_exact_at(&mut bytes, (row * out.len() * 4) as u64)?;
                let (whole, _) = bytes.as_chunks::<4>();
                for (number, bytes) in out.iter_mut().zip(whole) {
                    *number = f32::from_le_bytes(*bytes);
                }
            }
        }
        Ok(())
    }

    fn file(&self, row: usize) -> Option<(&Path, &Path)> {
        match self {
            Self::Elsewhere { folder, files } => files.get(row).map(|file| (file.as_path(), folder.as_path())),
            Self::Memory(_) | Self::File(_) => None,
        }
    }
}
