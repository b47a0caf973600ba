//! Writing the merged file while plain files are read.

use super::{
    error::FilesError,
    merged::{MergedFile, Room, WRITTEN},
    reading::Cuts,
};
use crate::{blob::Parts, layout::Layout};
use blake3::Hasher;
use consilium_primitives::BlobRef;
use std::{fs::File, path::Path};

/// What is written at a time is a multiple of so many bytes: whole pages cost the file system least, and whole subtrees the hash.
const GRAIN: usize = 1 << 15;

/// The merged file on its way. Without an optimiser it is hashed as it is written: each part of it, a subtree of its hash, by
/// the thread that merges the same part of the inputs.
pub(super) struct Output<'a> {
    pub file: MergedFile<'a>,
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
        out: (&'a File, &'a Path),
        merged: &Layout,
        elements: usize,
        moments: usize,
        cuts: &Cuts,
    ) -> Result<Self, FilesError> {
        let file = MergedFile::new(out, merged, elements, moments)?;
        let lead = cuts.start.saturating_sub(file.header.len() as u64);
        let parts = cuts.parts.of_file(file.len);
        Ok(Self { file, parts, lead, start: cuts.start })
    }

    /// Begins one part, whose bytes are to be kept in `buffer`.
    pub fn part<'b>(&'b self, part: usize, buffer: &'b mut Vec<f32>) -> OutputPart<'b> {
        if self.file.side_by_side() {
            return OutputPart { output: self, at: 0, room: Room::new(buffer, &[]), owed: 0, edge: Edge::default() };
        }
        let (range, header) = (self.parts.range(part), &self.file.header);
        let own = header.get(range.start as usize..header.len().min(range.end as usize)).unwrap_or_default();
        let first = range.start.max(self.start);
        let owed = (range.start + self.lead).saturating_sub(first) as usize;
        let edge = Edge { head: Vec::with_capacity(owed), hasher: self.parts.hasher(part), end: 0 };
        OutputPart { output: self, at: range.start, room: Room::new(buffer, own), owed, edge }
    }

    /// The file's hash and length, once all parts are written.
    pub fn finish(&self, mut edges: Vec<Edge>) -> Result<BlobRef, FilesError> {
        if self.file.side_by_side() {
            return self.file.hashed();
        }
        for part in 1..edges.len() {
            let head = std::mem::take(&mut edges[part].head);
            let before = &mut edges[part - 1];
            before.hasher.update(&head);
            self.file.write(&head, before.end)?;
        }
        // the last part of the inputs may hold nothing but what belongs to the part before
        let values: Vec<_> = edges.iter().take(self.parts.count()).map(|edge| self.parts.value(&edge.hasher)).collect();
        Ok(BlobRef { root: self.parts.root(&values), len: self.file.len })
    }
}

/// One part of the merged file.
pub(super) struct OutputPart<'a> {
    output: &'a Output<'a>,
    /// Where in the file the numbers begin that are not written yet.
    at: u64,
    room: Room<'a>,
    /// Bytes that are still to go to the part before.
    owed: usize,
    edge: Edge,
}

impl OutputPart<'_> {
    /// Room for the next `len` numbers, which [`OutputPart::done`] then takes.
    pub fn room(&mut self, len: usize) -> &mut [f32] {
        self.room.next(len)
    }

    /// Takes what was put into the room: numbers from position `at` on.
    pub fn done(&mut self, at: usize, len: usize) -> Result<(), FilesError> {
        if !self.room.take(&self.output.file, at, len)? {
            return Ok(());
        }
        if self.owed > 0 {
            let bytes = self.room.bytes();
            let head = &bytes[..self.owed.min(bytes.len())];
            self.edge.head.extend_from_slice(head);
            let taken = head.len();
            self.owed -= taken;
            self.room.cut(taken);
        }
        let filled = self.room.bytes().len();
        if filled >= WRITTEN {
            self.flush(filled / GRAIN * GRAIN)?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn end(mut self) -> Result<Edge, FilesError> {
        self.flush(self.room.bytes().len())?;
        self.edge.end = self.at;
        Ok(self.edge)
    }

    fn flush(&mut self, len: usize) -> Result<(), FilesError> {
        let bytes = &self.room.bytes()[..len];
        self.edge.hasher.update(bytes);
        self.output.file.write(bytes, self.at)?;
        self.at += len as u64;
        self.room.cut(len);
        Ok(())
    }
}
