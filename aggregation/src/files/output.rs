//! Writing the merged file.

use super::{
    error::FilesError,
    reading::{from_file, Cuts},
};
use crate::{
    blob::{hash_open, Parts},
    layout::{Dtype, Layout},
};
use blake3::Hasher;
use consilium_primitives::BlobRef;
use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

/// Bytes that are written at a time, at least,
const WRITTEN: usize = 1 << 19;
/// and at multiples of so many: whole pages cost the file system least, and whole subtrees the hash.
const GRAIN: usize = 1 << 15;

/// The merged file on its way. Without an optimiser it is hashed as it is written: each part of it, a subtree of its hash, by
/// the thread that merges the same part of the inputs.
pub(super) struct Output<'a> {
    file: &'a File,
    path: &'a Path,
    header: Vec<u8>,
    pub elements: usize,
    pub moments: usize,
    parts: Parts,
    /// Bytes by which a number stands further in front than in the inputs, whose header is longer.
    lead: u64,
    start: u64,
}

/// What one part leaves to be done when its neighbour is there: its last bytes, which come out of the next part of the inputs.
#[derive(Default)]
pub(super) struct Edge {
    /// The part's first bytes of the merge: they belong to the part before.
    head: Vec<u8>,
    hasher: Hasher,
    /// Where in the file its own bytes end.
    end: u64,
}

impl<'a> Output<'a> {
    pub fn new(
        (file, path): (&'a File, &'a Path),
        merged: &Layout,
        elements: usize,
        moments: usize,
        cuts: &Cuts,
    ) -> Result<Self, FilesError> {
        let header = merged.header(Dtype::F32, None);
        let len = header.len() as u64 + ((1 + moments) * elements) as u64 * 4;
        let lead = cuts.start.saturating_sub(header.len() as u64);
        let parts = cuts.parts.of_file(len);
        let output = Self { file, path, header, elements, moments, parts, lead, start: cuts.start };
        file.set_len(len).map_err(|error| output.io(error))?;
        place(file, len).map_err(|error| output.io(error))?;
        if moments > 0 {
            output.bytes(&output.header, 0)?;
        }
        Ok(output)
    }

    fn io(&self, error: io::Error) -> FilesError {
        FilesError::Io { path: self.path.into(), error }
    }

    fn bytes(&self, bytes: &[u8], at: u64) -> Result<(), FilesError> {
        self.file.write_all_at(bytes, at).map_err(|error| self.io(error))
    }

    /// Writes numbers of one list from position `at` on: 0 is the model, and then comes what the optimiser remembers.
    pub fn list(&self, list: usize, at: usize, numbers: &mut [f32]) -> Result<(), FilesError> {
        from_file(numbers);
        self.bytes(bytemuck::cast_slice(numbers), self.header.len() as u64 + (list * self.elements + at) as u64 * 4)
    }

    /// Begins one part, whose bytes are to be kept in `buffer`.
    pub fn part<'b>(&'b self, part: usize, buffer: &'b mut Vec<f32>) -> OutputPart<'b> {
        let range = self.parts.range(part);
        if self.moments > 0 {
            return OutputPart { output: self, at: 0, buffer, filled: 0, owed: 0, edge: Edge::default() };
        }
        let header = self.header.get(range.start as usize..self.header.len().min(range.end as usize));
        let header = header.unwrap_or_default();
        let filled = header.len() / 4;
        buffer.resize(buffer.len().max(filled), 0.0);
        bytemuck::cast_slice_mut(&mut buffer[..filled]).copy_from_slice(header);
        let first = range.start.max(self.start);
        let owed = (range.start + self.lead).saturating_sub(first) as usize;
        let edge = Edge { head: Vec::with_capacity(owed), hasher: self.parts.hasher(part), end: 0 };
        OutputPart { output: self, at: range.start, buffer, filled, owed, edge }
    }

    /// The file's hash and length, once all parts are written.
    pub fn finish(&self, mut edges: Vec<Edge>) -> Result<BlobRef, FilesError> {
        let len = self.parts.len();
        if self.moments > 0 {
            return Ok(BlobRef { root: hash_open(self.file, len).map_err(|error| self.io(error))?, len });
        }
        for part in 1..edges.len() {
            let head = std::mem::take(&mut edges[part].head);
            let before = &mut edges[part - 1];
            before.hasher.update(&head);
            self.bytes(&head, before.end)?;
        }
        // the last part of the inputs may hold nothing but what belongs to the part before
        let values: Vec<_> = edges.iter().take(self.parts.count()).map(|edge| self.parts.value(&edge.hasher)).collect();
        Ok(BlobRef { root: self.parts.root(&values), len })
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

/// One part of the merged file.
pub(super) struct OutputPart<'a> {
    output: &'a Output<'a>,
    /// Where in the file the buffer begins.
    at: u64,
    buffer: &'a mut Vec<f32>,
    /// Numbers in the buffer, which itself is never made shorter.
    filled: usize,
    /// Bytes that are still to go to the part before.
    owed: usize,
    edge: Edge,
}

impl OutputPart<'_> {
    /// Room for the next `len` numbers, which [`OutputPart::done`] then takes.
    pub fn room(&mut self, len: usize) -> &mut [f32] {
        let end = self.filled + len;
        self.buffer.resize(self.buffer.len().max(end), 0.0);
        &mut self.buffer[self.filled..end]
    }

    /// Takes what was put into the room: numbers from position `at` on.
    pub fn done(&mut self, at: usize, len: usize) -> Result<(), FilesError> {
        let new = &mut self.buffer[self.filled..self.filled + len];
        if self.output.moments > 0 {
            return self.output.list(0, at, new);
        }
        from_file(new);
        self.filled += len;
        if self.owed > 0 {
            let bytes: &[u8] = bytemuck::cast_slice(&self.buffer[..self.filled]);
            let head = &bytes[..self.owed.min(bytes.len())];
            self.edge.head.extend_from_slice(head);
            let taken = head.len();
            self.owed -= taken;
            self.cut(taken);
        }
        if self.filled * 4 >= WRITTEN {
            self.flush(self.filled * 4 / GRAIN * GRAIN)?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn end(mut self) -> Result<Edge, FilesError> {
        self.flush(self.filled * 4)?;
        self.edge.end = self.at;
        Ok(self.edge)
    }

    fn flush(&mut self, len: usize) -> Result<(), FilesError> {
        let bytes = &bytemuck::cast_slice(self.buffer)[..len];
        self.edge.hasher.update(bytes);
        self.output.bytes(bytes, self.at)?;
        self.at += len as u64;
        self.cut(len);
        Ok(())
    }

    /// Takes bytes from the front of the buffer.
    fn cut(&mut self, len: usize) {
        self.buffer.copy_within(len / 4..self.filled, 0);
        self.filled -= len / 4;
    }
}
