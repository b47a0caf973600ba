//! The file of a merged model, and the numbers on their way into it: what writing has in common, whether inputs are plain or masked.
//! How the file's parts are hashed follows from how the inputs are read, and is told apart.

use super::{error::FilesError, reading::from_file};
use crate::{
    blob::hash_open,
    layout::{Dtype, Layout},
};
use consilium_primitives::BlobRef;
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// Bytes that are written at a time, at least.
pub(crate) const WRITTEN: usize = 1 << 19;

/// A merged model's file: its header, the model, and the lists that an optimiser remembers.
pub(crate) struct MergedFile<'a> {
    file: &'a File,
    path: &'a Path,
    pub header: Vec<u8>,
    /// Bytes that it will have.
    pub len: u64,
    /// Numbers in each list.
    pub elements: usize,
    /// Lists after that of the model.
    pub moments: usize,
}

impl<'a> MergedFile<'a> {
    /// Gives it its length and its place on the disk; where lists are written side by side, its header, too.
    pub fn new(
        (file, path): (&'a File, &'a Path),
        layout: &Layout,
        elements: usize,
        moments: usize,
    ) -> Result<Self, FilesError> {
        let (header, len) = (layout.header(Dtype::F32, None), layout.file_len(false));
        let merged = Self { file, path, header, len, elements, moments };
        file.set_len(len).and_then(|()| place(file, len)).map_err(|error| merged.io(error))?;
        if merged.side_by_side() {
            merged.write(&merged.header, 0)?;
        }
        Ok(merged)
    }

    fn io(&self, error: io::Error) -> FilesError {
        FilesError::Io { path: self.path.into(), error }
    }

    /// Whether lists are written side by side, as an optimiser gives them: no part of the file is whole before all are.
    pub fn side_by_side(&self) -> bool {
        self.moments > 0
    }

    pub fn write(&self, bytes: &[u8], at: u64) -> Result<(), FilesError> {
        self.file.write_all_at(bytes, at).map_err(|error| self.io(error))
    }

    /// Writes numbers of one list from position `at` on: 0 is the model, and then comes what the optimiser remembers.
    pub fn list(&self, list: usize, at: usize, numbers: &mut [f32]) -> Result<(), FilesError> {
        from_file(numbers);
        self.write(bytemuck::cast_slice(numbers), self.header.len() as u64 + (list * self.elements + at) as u64 * 4)
    }

    /// Its hash, read anew once all is written.
    pub fn hashed(&self) -> Result<BlobRef, FilesError> {
        let root = hash_open(self.file, self.len).map_err(|error| self.io(error))?;
        Ok(BlobRef { root, len: self.len })
    }
}

/// Numbers of one part on their way into the file.
pub(crate) struct Room<'a> {
    buffer: &'a mut Vec<f32>,
    /// Numbers in the buffer, which itself is never made shorter.
    filled: usize,
}

impl<'a> Room<'a> {
    /// In a buffer that may be another part's from before. It begins with these bytes: those of whole numbers.
    pub fn new(buffer: &'a mut Vec<f32>, header: &[u8]) -> Self {
        let filled = header.len() / 4;
        buffer.resize(buffer.len().max(filled), 0.0);
        bytemuck::cast_slice_mut(&mut buffer[..filled]).copy_from_slice(header);
        Self { buffer, filled }
    }

    /// For the next `len` numbers, which [`Room::take`] then takes.
    pub fn next(&mut self, len: usize) -> &mut [f32] {
        let end = self.filled + len;
        self.buffer.resize(self.buffer.len().max(end), 0.0);
        &mut self.buffer[self.filled..end]
    }

    /// Takes what was put there: numbers of the model from position `at` on. Says whether its part is to write and hash them; where lists
    /// are written side by side, they are in the file already.
    pub fn take(&mut self, file: &MergedFile<'_>, at: usize, len: usize) -> Result<bool, FilesError> {
        let new = &mut self.buffer[self.filled..self.filled + len];
        if file.side_by_side() {
            file.list(0, at, new)?;
            return Ok(false);
        }
        from_file(new);
        self.filled += len;
        Ok(true)
    }

    /// What was taken, as the file has it.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.buffer[..self.filled])
    }

    /// Takes so many bytes, those of whole numbers, from the front.
    pub fn cut(&mut self, len: usize) {
        self.buffer.copy_within(len / 4..self.filled, 0);
        self.filled -= len / 4;
    }
}

/// Gives a file its place on the disk: pages that have one cost less to write, and a full disk is noticed before the work.
/// Where the file system cannot do it, each write finds its place.
pub(crate) fn place(file: &File, len: u64) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use nix::{
            errno::Errno,
            fcntl::{fallocate, FallocateFlags},
        };
        let len = i64::try_from(len).map_err(io::Error::other)?;
        if let Err(error @ Errno::ENOSPC) = fallocate(file, FallocateFlags::empty(), 0, len) {
            return Err(error.into());
        }
    }
    let _ = (file, len);
    Ok(())
}
