//! Merging files: one pass over all inputs, in pieces that are hashed and merged while they are hot. Memory is bounded by the
//! piece and the number of inputs, whatever the model's size.
//!
//! Files are read, not mapped: the bytes that are hashed are then the very ones that are merged, whatever happens to the file
//! meanwhile, and a file that is cut short is an error rather than the end of the process.

use crate::{
    blob::hash_file,
    layout::{Dtype, FileError, Layout},
    model::{fits, unfit},
    rules::{check, not_finite, Gram, MergeError, Plan, Server, BLOCK},
};
use consilium_primitives::{BlobRef, Hash, Merge};
use rayon::prelude::*;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Numbers of each input that are in memory at a time.
pub(crate) const PIECE: usize = 16 * BLOCK;

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

/// Why files were not merged.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// An input is not what it must be.
    #[error("input {input} is invalid: {error}")]
    Input {
        /// Its position in canonical order.
        input: usize,
        /// What is wrong.
        error: FileError,
    },
    /// The file of an input does not have the bytes that were committed.
    #[error("the file of input {input} has the hash {found:?}, not the committed one")]
    Differs {
        /// Its position in canonical order.
        input: usize,
        /// Its hash.
        found: Hash,
    },
    /// The model that the inputs stand on is not what it must be.
    #[error("the model that the inputs stand on is invalid: {0}")]
    Base(FileError),
    /// The merge itself.
    #[error(transparent)]
    Merge(#[from] MergeError),
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

/// A model file that is read piece by piece.
pub(crate) struct Reader {
    path: PathBuf,
    file: File,
    start: u64,
    hash: Option<blake3::Hasher>,
    pub numbers: Vec<f32>,
}

pub(crate) enum Opened {
    Io(io::Error),
    Invalid(FileError),
}

impl Reader {
    /// Opens a file that must have exactly this layout and name exactly this duty.
    pub fn open(path: &Path, layout: &Layout, duty: Option<&Hash>) -> Result<Self, Opened> {
        let file = File::open(path).map_err(Opened::Io)?;
        let len = file.metadata().map_err(Opened::Io)?.len();
        let longest = layout.header(Dtype::F32, Some(&Hash::zero())).len() as u64;
        let mut head = vec![0; len.min(longest) as usize];
        file.read_exact_at(&mut head, 0).map_err(Opened::Io)?;
        let (found, start) = layout.open_head(Dtype::F32, &head, len, false).map_err(Opened::Invalid)?;
        if found.as_ref() != duty {
            return Err(Opened::Invalid(FileError::Duty { expected: duty.copied(), found }));
        }
        Ok(Self { path: path.into(), file, start: start as u64, hash: None, numbers: Vec::new() })
    }

    /// From here on all that is read is hashed. It must then be read from its beginning to its end.
    pub fn hashed(&mut self) -> Result<(), FilesError> {
        let mut head = vec![0; self.start as usize];
        self.file.read_exact_at(&mut head, 0).map_err(|error| FilesError::Io { path: self.path.clone(), error })?;
        let mut hash = blake3::Hasher::new();
        hash.update(&head);
        self.hash = Some(hash);
        Ok(())
    }

    /// Reads `len` numbers from position `at` on.
    pub fn read(&mut self, at: usize, len: usize) -> Result<(), FilesError> {
        self.numbers.resize(len, 0.0);
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.numbers);
        self.file
            .read_exact_at(bytes, self.start + at as u64 * 4)
            .map_err(|error| FilesError::Io { path: self.path.clone(), error })?;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        from_file(&mut self.numbers);
        Ok(())
    }

    /// Of a base model: what the optimiser remembers of these numbers, and, if asked for, the numbers.
    fn remembered(
        &mut self,
        at: usize,
        len: usize,
        moments: usize,
        elements: usize,
        numbers: bool,
    ) -> Result<[Vec<f32>; 2], FilesError> {
        let mut state = [Vec::new(), Vec::new()];
        for (list, state) in state.iter_mut().take(moments).enumerate() {
            self.read((list + 1) * elements + at, len)?;
            std::mem::swap(state, &mut self.numbers);
        }
        if numbers {
            self.read(at, len)?;
        }
        Ok(state)
    }

    fn ended(&self) -> Option<Hash> {
        self.hash.as_ref().map(|hash| Hash::from(*hash.finalize().as_bytes()))
    }
}

/// Files have the least significant byte first.
fn from_file(numbers: &mut [f32]) {
    if cfg!(target_endian = "big") {
        numbers.iter_mut().for_each(|number| *number = f32::from_bits(number.to_bits().swap_bytes()));
    }
}

/// Looks through an update, which must have this layout, name this duty and hold no number beyond [`LARGEST`](crate::model::LARGEST).
///
/// # Errors
/// [`FilesError::Io`]; [`FilesError::Differs`] where the file does not have the hash it should have; else
/// [`FilesError::Input`] with what makes an update of this hash invalid. Its position is given as 0.
pub fn verify_update(path: &Path, layout: &Layout, duty: &Hash, root: &Hash) -> Result<(), FilesError> {
    let io = |error| FilesError::Io { path: path.into(), error };
    let mut wrong = None;
    match Reader::open(path, layout, Some(duty)) {
        Err(Opened::Io(error)) => return Err(io(error)),
        Err(Opened::Invalid(error)) => wrong = Some(error),
        Ok(mut reader) => {
            reader.hashed()?;
            for at in (0..layout.elements()).step_by(PIECE) {
                reader.read(at, PIECE.min(layout.elements() - at))?;
                let place = reader.numbers.iter().position(|number| !fits(*number));
                if let Some(place) = place.filter(|_| wrong.is_none()) {
                    wrong = Some(unfit(layout, at + place, reader.numbers[place]));
                }
            }
            let found = reader.ended().unwrap_or_default();
            if found != *root {
                return Err(FilesError::Differs { input: 0, found });
            }
        }
    }
    let Some(error) = wrong else { return Ok(()) };
    // only what has the committed hash can be held against its author
    let found = hash_file(path).map_err(io)?;
    Err(if found == *root { FilesError::Input { input: 0, error } } else { FilesError::Differs { input: 0, found } })
}

/// Merges updates, which come in canonical order (by institution id), into a file. `base` is the model that they stand on;
/// `layout` is that of an update, and `out` an empty file open for reading and writing, whose `path` is for messages.
///
/// Each input is hashed as it is merged; that its numbers are not too large is for [`verify_update`] to say, once.
///
/// # Errors
/// The first input that is not what was committed; nothing in `out` counts then.
pub fn merge_files(
    merge: &Merge,
    inputs: &[InputFile],
    base: &Path,
    layout: &Layout,
    (out, path): (&File, &Path),
) -> Result<FileMerge, FilesError> {
    let weights: Vec<u32> = inputs.iter().map(|input| input.weight).collect();
    check(merge, &weights)?;
    let merged =
        layout.with_state(merge.moments()).map_err(|error| FilesError::Base(FileError::Syntax(error.to_string())))?;
    let mut base = Reader::open(base, &merged, None).map_err(|opened| match opened {
        Opened::Io(error) => FilesError::Io { path: base.into(), error },
        Opened::Invalid(error) => FilesError::Base(error),
    })?;
    let mut readers = inputs
        .iter()
        .enumerate()
        .map(|(input, file)| {
            Reader::open(&file.path, layout, Some(&file.duty)).map_err(|opened| match opened {
                Opened::Io(error) => FilesError::Io { path: file.path.clone(), error },
                Opened::Invalid(error) => FilesError::Input { input, error },
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let elements = layout.elements();
    let gram = Plan::asks_distances(merge).then(|| gram_of(&mut readers, &mut base, layout)).transpose()?;
    let plan = Plan::new(merge, &weights, gram.as_ref());
    let server = merge.server.as_ref().map(Server::new);
    readers.iter_mut().try_for_each(Reader::hashed)?;
    let moments = merge.moments() as usize;
    let mut output = Output::new(out, path, &merged, elements, moments)?;
    let asks_base = server.is_some() || plan.asks_base();
    for at in (0..elements).step_by(PIECE) {
        let len = PIECE.min(elements - at);
        let read = || {
            load(&mut readers, at, len)?;
            base.remembered(at, len, moments, elements, asks_base)
        };
        // the piece before is written and hashed meanwhile
        let (state, written) = rayon::join(read, || output.emit());
        written?;
        output.take(at, len, state?);
        let data: Vec<&[f32]> = readers.iter().map(|reader| reader.numbers.as_slice()).collect();
        if !output.merge(&plan, server.as_ref(), &data, &base.numbers) {
            let index = output.model.iter().position(|number| !number.is_finite());
            return Err(unsound(not_finite(&data, at), layout, at + index.unwrap_or(0)));
        }
    }
    output.emit()?;
    for (input, (reader, file)) in readers.iter().zip(inputs).enumerate() {
        let found = reader.ended().unwrap_or_default();
        if found != file.blob.root {
            return Err(FilesError::Differs { input, found });
        }
    }
    Ok(FileMerge { blob: output.finish()?, plan, gram })
}

/// The merged file on its way.
struct Output<'a> {
    file: &'a File,
    path: &'a Path,
    hash: blake3::Hasher,
    header: u64,
    elements: usize,
    moments: usize,
    /// Where the present piece begins.
    at: usize,
    model: Vec<f32>,
    state: [Vec<f32>; 2],
}

impl<'a> Output<'a> {
    fn new(
        file: &'a File,
        path: &'a Path,
        layout: &Layout,
        elements: usize,
        moments: usize,
    ) -> Result<Self, FilesError> {
        let header = layout.header(Dtype::F32, None);
        let mut hash = blake3::Hasher::new();
        hash.update(&header);
        let state = [Vec::new(), Vec::new()];
        let header_len = header.len() as u64;
        let output = Self { file, path, hash, header: header_len, elements, moments, at: 0, model: Vec::new(), state };
        output.write(&header, 0)?;
        Ok(output)
    }

    fn write(&self, bytes: &[u8], at: u64) -> Result<(), FilesError> {
        self.file.write_all_at(bytes, at).map_err(|error| FilesError::Io { path: self.path.into(), error })
    }

    /// Where a number of one of its lists stands: 0 is the model, and then what the optimiser remembers.
    fn place(&self, list: usize, at: usize) -> u64 {
        self.header + (list * self.elements + at) as u64 * 4
    }

    /// Makes ready for another piece.
    fn take(&mut self, at: usize, len: usize, state: [Vec<f32>; 2]) {
        self.at = at;
        self.model.resize(len, 0.0);
        self.state = state;
    }

    /// Merges the present piece. False: something is not finite.
    fn merge(&mut self, plan: &Plan, server: Option<&Server>, data: &[&[f32]], base: &[f32]) -> bool {
        let len = self.model.len();
        let moments = self.moments;
        // lists that are not there are cut into as many pieces
        self.state.iter_mut().for_each(|list| list.resize(len, 0.0));
        let [first, second] = &mut self.state;
        self.model
            .par_chunks_mut(BLOCK)
            .zip(first.par_chunks_mut(BLOCK))
            .zip(second.par_chunks_mut(BLOCK))
            .enumerate()
            .map(|(block, ((out, m), v))| {
                let range = block * BLOCK..block * BLOCK + out.len();
                let data: Vec<&[f32]> = data.iter().map(|data| &data[range.clone()]).collect();
                let v = if moments < 2 { &mut [][..] } else { v };
                plan.block(&data, base.get(range).unwrap_or_default(), server, m, v, out)
            })
            // all of them: which number is named must not depend on who was first
            .reduce(|| true, |a, b| a & b)
    }

    /// Writes the present piece, and hashes its model.
    fn emit(&mut self) -> Result<(), FilesError> {
        from_file(&mut self.model);
        self.state.iter_mut().for_each(|list| from_file(list));
        let bytes: &[u8] = bytemuck::cast_slice(&self.model);
        self.hash.update(bytes);
        self.write(bytes, self.place(0, self.at))?;
        for (list, numbers) in self.state.iter().take(self.moments).enumerate() {
            self.write(bytemuck::cast_slice(numbers), self.place(1 + list, self.at))?;
        }
        Ok(())
    }

    /// Hashes what the optimiser remembers, which comes after the model.
    fn finish(mut self) -> Result<BlobRef, FilesError> {
        let (mut at, end) = (self.place(1, 0), self.place(1 + self.moments, 0));
        let mut bytes = vec![0; PIECE * 4];
        while at < end {
            let len = (end - at).min(bytes.len() as u64) as usize;
            let io = |error| FilesError::Io { path: self.path.into(), error };
            self.file.read_exact_at(&mut bytes[..len], at).map_err(io)?;
            self.hash.update_rayon(&bytes[..len]);
            at += len as u64;
        }
        Ok(BlobRef { root: Hash::from(*self.hash.finalize().as_bytes()), len: end })
    }
}

/// Reads the same numbers of all inputs.
fn load(readers: &mut [Reader], at: usize, len: usize) -> Result<(), FilesError> {
    // of several errors that of the first input counts
    let all: Vec<_> = readers.par_iter_mut().map(|reader| reader.read(at, len)).collect();
    all.into_iter().collect()
}

fn gram_of(readers: &mut [Reader], base: &mut Reader, layout: &Layout) -> Result<Gram, FilesError> {
    let elements = layout.elements();
    let mut gram = Gram::new(readers.len());
    for at in (0..elements).step_by(PIECE) {
        let len = PIECE.min(elements - at);
        load(readers, at, len)?;
        base.read(at, len)?;
        let data: Vec<&[f32]> = readers.iter().map(|reader| reader.numbers.as_slice()).collect();
        gram.add(&data, &base.numbers);
        if !gram.finite() {
            if let Some(error) = not_finite(&data, at) {
                return Err(unsound(Some(error), layout, at));
            }
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
