//! Merging files: one pass over all inputs, in pieces that are hashed and merged while they are hot. Memory is bounded by the
//! piece and the number of inputs, whatever the model's size. Each thread takes a part of all files that is a whole subtree of
//! their hashes, so that none waits for another.
//!
//! Files are read, not mapped: the bytes that are hashed are then the very ones that are merged, whatever happens to the file
//! meanwhile, and a file that is cut short is an error rather than the end of the process.

mod error;
pub(crate) mod merged;
mod output;
pub(crate) mod reading;
mod similarity;

pub use error::FilesError;
pub use similarity::{compare_files, Similarity, ALIKE};

use crate::{
    blob::{for_each, hash_file},
    layout::{Dtype, FileError, Layout},
    model::{fits, unfit},
    rules::{check, not_finite, Gram, MergeError, Plan, Server, BLOCK},
};
use blake3::hazmat::ChainingValue;
use consilium_primitives::{BlobRef, Hash, Merge};
use output::{Edge, Output};
use reading::{Cuts, Opened, Reader};
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

/// Numbers that are read at a time for their products,
const READ: usize = 8 * BLOCK;
/// and how many times until all threads' products are summed.
const WINDOW: usize = 64;

/// An update to merge.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its hash and length, as committed.
    pub blob: BlobRef,
    /// The duty that it answers.
    pub duty: Hash,
    /// Its weight.
    pub weight: u32,
}

/// What merging files gave.
#[derive(Clone, Debug)]
pub struct FileMerge {
    /// The merged file.
    pub blob: BlobRef,
    /// What the rule made of the inputs.
    pub plan: Plan,
    /// Products of the updates, where the rule asked for them.
    pub gram: Option<Gram>,
}

/// Looks through an update, which must have this layout, name this duty and hold no number beyond [`LARGEST`](crate::model::LARGEST).
///
/// # Errors
/// [`FilesError::Io`]; [`FilesError::Differs`] where the file does not have the hash it should have; else
/// [`FilesError::Input`] with what makes an update of this hash invalid. Its position is given as 0.
pub fn verify_update(path: &Path, layout: &Layout, duty: &Hash, root: &Hash) -> Result<(), FilesError> {
    verify(path, Dtype::F32, layout, duty, root, |at, numbers| {
        let place = numbers.iter().position(|number| !fits(*number))?;
        Some(unfit(layout, at + place, numbers[place]))
    })
}

/// [`verify_update`] for any file that answers a duty: `odd` says what is wrong with numbers from a position on.
pub(crate) fn verify(
    path: &Path,
    dtype: Dtype,
    layout: &Layout,
    duty: &Hash,
    root: &Hash,
    odd: impl Fn(usize, &[f32]) -> Option<FileError> + Send + Sync,
) -> Result<(), FilesError> {
    let io = |error| FilesError::Io { path: path.into(), error };
    let reader = match Reader::open(path, dtype, layout, Some(duty)) {
        Ok(reader) => reader,
        Err(Opened::Io(error)) => return Err(io(error)),
        Err(Opened::Invalid(_)) => {
            let found = hash_file(path).map_err(io)?;
            if found != *root {
                return Err(FilesError::Differs { input: 0, found });
            }
            // only what is wrong in the bytes that were committed can be held against their author: a fault of this machine,
            // or a file that was put in its place meanwhile, is gone by now
            return Err(match Reader::open(path, dtype, layout, Some(duty)) {
                Err(Opened::Invalid(error)) => FilesError::Input { input: 0, error },
                Err(Opened::Io(error)) => io(error),
                Ok(_) => io(io::Error::other("it changes while it is read")),
            });
        }
    };
    let cuts = Cuts::new(layout, 1);
    let parts = for_each(0..cuts.parts.count(), |numbers: &mut Vec<f32>, part| {
        let mut hasher = reader.hasher(&cuts.parts, part);
        let mut first = None;
        for (at, len) in cuts.pieces(part) {
            reader.read(at, len, numbers, Some(&mut hasher))?;
            first = first.or_else(|| odd(at, numbers));
        }
        Ok::<_, FilesError>((cuts.parts.value(&hasher), first))
    })?;
    let (values, first): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    let found = cuts.parts.root(&values);
    if found != *root {
        return Err(FilesError::Differs { input: 0, found });
    }
    first.into_iter().flatten().next().map_or(Ok(()), |error| Err(FilesError::Input { input: 0, error }))
}

/// Merges updates, which come in canonical order (by institution id), into a file. `base` is the model that they stand on;
/// `layout` is that of an update, and `out` an empty file open for reading and writing, whose `path` is for messages.
///
/// Each input is hashed as it is merged; that its numbers are not too large is for [`verify_update`] to say, once.
///
/// # Errors
/// [`FilesError::Differs`] for the first input, in order, whose file is not what was committed, before anything is said of what
/// is in it. Nothing in `out` counts after an error.
pub fn merge_files(
    merge: &Merge,
    inputs: &[InputFile],
    base: &Path,
    layout: &Layout,
    out: (&File, &Path),
) -> Result<FileMerge, FilesError> {
    let error = match merged(merge, inputs, base, layout, out) {
        Err(error @ (FilesError::Input { .. } | FilesError::Merge(MergeError::Overflow { .. }))) => error,
        other => return other,
    };
    same(inputs)?;
    Err(error)
}

/// Whether each input's file has what was committed, before anything is said of what is in it.
pub(crate) fn same(inputs: &[InputFile]) -> Result<(), FilesError> {
    for (input, file) in inputs.iter().enumerate() {
        let found = hash_file(&file.path).map_err(|error| FilesError::Io { path: file.path.clone(), error })?;
        if found != file.blob.root {
            return Err(FilesError::Differs { input, found });
        }
    }
    Ok(())
}

fn merged(
    merge: &Merge,
    inputs: &[InputFile],
    base: &Path,
    layout: &Layout,
    out: (&File, &Path),
) -> Result<FileMerge, FilesError> {
    let weights: Vec<u32> = inputs.iter().map(|input| input.weight).collect();
    check(merge, &weights)?;
    let merged =
        layout.with_state(merge.moments()).map_err(|error| FilesError::Base(FileError::Syntax(error.to_string())))?;
    let base = open_model(base, &merged)?;
    let readers = open_inputs(inputs, Dtype::F32, layout)?;
    let gram =
        Plan::asks_distances(merge).then(|| gram_of(Gram::new(readers.len()), &readers, &base, layout)).transpose()?;
    let plan = Plan::new(merge, &weights, gram.as_ref());
    let server = merge.server.as_ref().map(Server::new);
    let cuts = Cuts::new(layout, readers.len());
    let pass = Pass {
        plan: &plan,
        server: server.as_ref(),
        readers: &readers,
        base: (server.is_some() || plan.asks_base()).then_some(&base),
        layout,
        output: Output::new(out, &merged, layout.elements(), merge.moments() as usize, &cuts)?,
    };
    let parts = for_each(0..cuts.parts.count(), |buffers, part| pass.part(&cuts, part, buffers))?;
    let (values, edges): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    committed(&cuts, &values, inputs)?;
    Ok(FileMerge { blob: pass.output.finish(edges)?, plan, gram })
}

/// Whether each input, whose places in its tree of hashes are those of each part in turn, has what was committed.
pub(crate) fn committed(cuts: &Cuts, values: &[Vec<ChainingValue>], inputs: &[InputFile]) -> Result<(), FilesError> {
    for (input, file) in inputs.iter().enumerate() {
        let own: Vec<ChainingValue> = values.iter().filter_map(|values| values.get(input)).copied().collect();
        let found = cuts.parts.root(&own);
        if found != file.blob.root {
            return Err(FilesError::Differs { input, found });
        }
    }
    Ok(())
}

/// What all threads look at while files are merged.
struct Pass<'a> {
    plan: &'a Plan,
    server: Option<&'a Server>,
    readers: &'a [Reader],
    /// The model that the inputs stand on, where it is asked for.
    base: Option<&'a Reader>,
    layout: &'a Layout,
    output: Output<'a>,
}

/// Numbers of one piece.
#[derive(Default)]
struct Buffers {
    inputs: Vec<Vec<f32>>,
    base: Vec<f32>,
    state: [Vec<f32>; 2],
    model: Vec<f32>,
}

impl Pass<'_> {
    /// Reads one part of all inputs, merges and writes it. Gives each input's place in its tree of hashes, and what is left to
    /// do of the output.
    fn part(&self, cuts: &Cuts, part: usize, buffers: &mut Buffers) -> Result<(Vec<ChainingValue>, Edge), FilesError> {
        let mut hashers: Vec<_> = self.readers.iter().map(|reader| reader.hasher(&cuts.parts, part)).collect();
        let Buffers { inputs, base, state, model } = buffers;
        inputs.resize(self.readers.len(), Vec::new());
        let (moments, elements) = (self.output.file.moments, self.output.file.elements);
        let mut output = self.output.part(part, model);
        for (at, len) in cuts.pieces(part) {
            for ((reader, hasher), numbers) in self.readers.iter().zip(&mut hashers).zip(&mut *inputs) {
                reader.read(at, len, numbers, Some(hasher))?;
            }
            if let Some(reader) = self.base {
                reader.read(at, len, base, None)?;
                for (list, state) in state.iter_mut().take(moments).enumerate() {
                    reader.read((list + 1) * elements + at, len, state, None)?;
                }
            }
            let data: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
            let [first, second] = &mut *state;
            let room = output.room(len);
            if !self.plan.block(&data, base, self.server, first, second, room) {
                let lists = [&*room, first.as_slice(), second.as_slice()].into_iter().take(1 + moments).enumerate();
                let index = lists.flat_map(|(list, numbers)| {
                    let wrong = numbers.iter().position(|number| !number.is_finite());
                    wrong.map(|place| list * elements + at + place)
                });
                return Err(unsound(not_finite(&data, at), self.layout, index.min().unwrap_or(at)));
            }
            output.done(at, len)?;
            for (list, state) in state.iter_mut().take(moments).enumerate() {
                self.output.file.list(list + 1, at, state)?;
            }
        }
        Ok((hashers.iter().map(|hasher| cuts.parts.value(hasher)).collect(), output.end()?))
    }
}

/// Opens a merged or initial model.
pub(crate) fn open_model(path: &Path, layout: &Layout) -> Result<Reader, FilesError> {
    Reader::open(path, Dtype::F32, layout, None).map_err(|opened| match opened {
        Opened::Io(error) => FilesError::Io { path: path.into(), error },
        Opened::Invalid(error) => FilesError::Base(error),
    })
}

/// Opens what answers duties: updates, or masked files.
pub(crate) fn open_inputs(inputs: &[InputFile], dtype: Dtype, layout: &Layout) -> Result<Vec<Reader>, FilesError> {
    let open = |(input, file): (usize, &InputFile)| {
        Reader::open(&file.path, dtype, layout, Some(&file.duty)).map_err(|opened| match opened {
            Opened::Io(error) => FilesError::Io { path: file.path.clone(), error },
            Opened::Invalid(error) => FilesError::Input { input, error },
        })
    };
    inputs.iter().enumerate().map(open).collect()
}

/// Adds the products of all files' steps to `gram`, in rows that it has not.
pub(crate) fn gram_of(mut gram: Gram, readers: &[Reader], base: &Reader, layout: &Layout) -> Result<Gram, FilesError> {
    let elements = layout.elements();
    let known = gram.known();
    let products = |Buffers { inputs, base: w, .. }: &mut Buffers, read: usize| {
        let at = read * READ;
        let len = READ.min(elements - at);
        inputs.resize(readers.len(), Vec::new());
        for (reader, numbers) in readers.iter().zip(&mut *inputs) {
            reader.read(at, len, numbers, None)?;
        }
        base.read(at, len, w, None)?;
        let data: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let blocks = Gram::of_blocks(&data, w, known);
        if blocks.iter().flatten().all(|product| product.is_finite()) {
            return Ok(blocks);
        }
        let found = not_finite(&data, at);
        found.map_or(Ok(blocks), |found| Err(unsound(Some(found), layout, at)))
    };
    let reads = elements.div_ceil(READ);
    for first in (0..reads).step_by(WINDOW) {
        // blocks one after the other
        for blocks in for_each(first..reads.min(first + WINDOW), products)? {
            blocks.iter().for_each(|block| gram.add_block(block));
        }
    }
    Ok(gram)
}

fn unsound(found: Option<MergeError>, layout: &Layout, index: usize) -> FilesError {
    match found {
        Some(MergeError::NotFinite { input, index, value }) => {
            let (tensor, index) = layout.locate(index);
            FilesError::Input { input, error: FileError::NotFinite { tensor, index, value: f64::from(value) } }
        }
        _ => MergeError::Overflow { index }.into(),
    }
}
