//! Writing a merged model while masked files are read. Its header may be longer or shorter than theirs, so that what one thread
//! reads is no whole part of what it writes: hashes are taken of grains, and what two neighbours have of one grain is put together
//! at the end.

use crate::{
    blob::{Parts, GRAIN},
    files::{
        merged::{MergedFile, Room, WRITTEN},
        FilesError,
    },
    layout::Layout,
};
use blake3::hazmat::ChainingValue;
use consilium_primitives::BlobRef;
use std::{fs::File, path::Path};

/// The merged file on its way. With an optimiser, whose lists are written side by side, it is hashed once it is whole.
pub(super) struct Output<'a> {
    pub file: MergedFile<'a>,
    parts: Parts,
}

/// What one part gives of the file's hash: the places in the tree of whole grains, and the bytes before and after them.
#[derive(Default)]
pub(super) struct Grains {
    head: Vec<u8>,
    values: Vec<ChainingValue>,
    tail: Vec<u8>,
}

impl<'a> Output<'a> {
    /// For a merged model of this layout, which has `moments` lists after that of the model, each of `elements` numbers.
    pub fn new(
        out: (&'a File, &'a Path),
        merged: &Layout,
        elements: usize,
        moments: usize,
    ) -> Result<Self, FilesError> {
        let file = MergedFile::new(out, merged, elements, moments)?;
        let parts = Parts::grains(file.len);
        Ok(Self { file, parts })
    }

    /// Begins a part with the number at position `first`; its bytes are kept in `buffer`. The first part has the header before.
    pub fn part<'b>(&'b self, first: usize, buffer: &'b mut Vec<f32>) -> OutputPart<'b> {
        let header = &self.file.header;
        let at = if first > 0 { header.len() as u64 + first as u64 * 4 } else { 0 };
        // where lists are written side by side, the header is in the file already
        let own: &[u8] = if first > 0 || self.file.side_by_side() { &[] } else { header };
        OutputPart { output: self, at, room: Room::new(buffer, own), grains: Grains::default() }
    }

    /// The file's hash and length, from all its parts in order.
    pub fn finish(&self, parts: Vec<Grains>) -> Result<BlobRef, FilesError> {
        if self.file.side_by_side() {
            return self.file.hashed();
        }
        let mut values = Vec::with_capacity(self.parts.count());
        let mut open = Vec::new();
        for grains in parts {
            open.extend_from_slice(&grains.head);
            if open.len() as u64 == GRAIN {
                values.push(self.value(values.len(), &open));
                open.clear();
            }
            values.extend_from_slice(&grains.values);
            open.extend_from_slice(&grains.tail);
        }
        if !open.is_empty() {
            values.push(self.value(values.len(), &open));
        }
        Ok(BlobRef { root: self.parts.root(&values), len: self.file.len })
    }

    fn value(&self, grain: usize, bytes: &[u8]) -> ChainingValue {
        let mut hasher = self.parts.hasher(grain);
        hasher.update(bytes);
        self.parts.value(&hasher)
    }
}

/// One part of the merged file.
pub(super) struct OutputPart<'a> {
    output: &'a Output<'a>,
    /// Where in the file the numbers begin that are not written yet.
    at: u64,
    room: Room<'a>,
    grains: Grains,
}

impl OutputPart<'_> {
    /// Room for the next `len` numbers, which [`OutputPart::done`] then takes.
    pub fn room(&mut self, len: usize) -> &mut [f32] {
        self.room.next(len)
    }

    /// Takes what was put into the room: numbers of the model from position `at` on.
    pub fn done(&mut self, at: usize, len: usize) -> Result<(), FilesError> {
        if !self.room.take(&self.output.file, at, len)? {
            return Ok(());
        }
        let filled = self.room.bytes().len();
        if filled >= WRITTEN {
            // up to where a grain ends
            let end = (self.at + filled as u64) / GRAIN * GRAIN;
            self.flush((end - self.at) as usize)?;
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn end(mut self) -> Result<Grains, FilesError> {
        self.flush(self.room.bytes().len())?;
        Ok(self.grains)
    }

    fn flush(&mut self, len: usize) -> Result<(), FilesError> {
        let bytes = &self.room.bytes()[..len];
        self.output.file.write(bytes, self.at)?;
        let before = (self.at.next_multiple_of(GRAIN) - self.at).min(len as u64) as usize;
        let (head, rest) = bytes.split_at(before);
        self.grains.head.extend_from_slice(head);
        let first = (self.at + before as u64) / GRAIN;
        let mut whole = rest.chunks_exact(GRAIN as usize);
        for (grain, bytes) in (first as usize..).zip(&mut whole) {
            self.grains.values.push(self.output.value(grain, bytes));
        }
        self.grains.tail.extend_from_slice(whole.remainder());
        self.at += len as u64;
        self.room.cut(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{blob_hash, ModelFile, TensorShape};

    /// Headers of any length, parts that end anywhere.
    #[test]
    fn a_file_written_in_parts_has_the_hash_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("merged");
        for (tensors, each) in [(1, 1), (1, 400_003), (700, 31), (2000, 150)] {
            let shapes = (0..tensors).map(|i| TensorShape::new(format!("tensor{i}"), [each])).collect();
            let layout = Layout::new(shapes).unwrap();
            let data: Vec<f32> = (0..layout.elements()).map(|k| k as f32 * 0.5).collect();
            let expected = ModelFile { layout: layout.clone(), duty: None, data: data.clone() }.encode().unwrap();
            for part in [16_330, 65_536] {
                let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
                let output = Output::new((&file, &path), &layout, data.len(), 0).unwrap();
                let mut grains = Vec::new();
                // one buffer for all, as threads have it
                let mut buffer = Vec::new();
                for first in (0..data.len()).step_by(part) {
                    let mut writer = output.part(first, &mut buffer);
                    let end = (first + part).min(data.len());
                    for at in (first..end).step_by(9000) {
                        let len = 9000.min(end - at);
                        writer.room(len).copy_from_slice(&data[at..at + len]);
                        writer.done(at, len).unwrap();
                    }
                    grains.push(writer.end().unwrap());
                }
                let blob = output.finish(grains).unwrap();
                assert!(std::fs::read(&path).unwrap() == expected, "{tensors} x {each}");
                assert_eq!(blob, BlobRef { root: blob_hash(&expected), len: expected.len() as u64 });
            }
        }
    }
}
