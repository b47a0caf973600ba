//! How far each update went, and how near updates are to their merge and to each other: what people look at when they ask
//! what a rule did. Nothing here decides anything.

use crate::{
    files::{FilesError, InputFile, Opened, Reader, PIECE},
    layout::Layout,
    rules::Gram,
};
use std::path::Path;

/// Two updates whose cosine is above this count as one and the same, sent twice.
pub const ALIKE: f64 = 0.999;

/// What a round's updates look like beside each other. All steps are those from the base model on.
#[derive(Clone, Debug, PartialEq)]
pub struct Similarity {
    /// Length of each update's step, in canonical order.
    pub norms: Vec<f64>,
    /// Length of the merged step.
    pub merged_norm: f64,
    /// Cosine between each update's step and the merged one; `None` where one has no length.
    pub cosines: Vec<Option<f64>>,
    /// Pairs of updates, by position, whose cosine is above [`ALIKE`].
    pub alike: Vec<(usize, usize)>,
}

/// Compares updates with their merge, in one pass over the files and with as little memory as a merge. `gram` has the products
/// of the updates where the merge has computed them; nothing is computed twice. Both models, the base and the merge, have the
/// layout of a merged file, `whole`, which begins with that of an update.
///
/// # Errors
/// A file that cannot be read, or is not what it must be. Hashes are not looked at.
pub fn compare_files(
    inputs: &[InputFile],
    base: &Path,
    merged: &Path,
    layout: &Layout,
    whole: &Layout,
    gram: Option<&Gram>,
) -> Result<Similarity, FilesError> {
    let model = |path: &Path| {
        Reader::open(path, whole, None).map_err(|opened| match opened {
            Opened::Io(error) => FilesError::Io { path: path.into(), error },
            Opened::Invalid(error) => FilesError::Base(error),
        })
    };
    let mut base = model(base)?;
    let mut readers = Vec::with_capacity(inputs.len() + 1);
    for (input, file) in inputs.iter().enumerate() {
        readers.push(Reader::open(&file.path, layout, Some(&file.duty)).map_err(|opened| match opened {
            Opened::Io(error) => FilesError::Io { path: file.path.clone(), error },
            Opened::Invalid(error) => FilesError::Input { input, error },
        })?);
    }
    readers.push(model(merged)?);
    let n = inputs.len();
    let mut all = gram.map_or_else(|| Gram::new(n + 1), Gram::grown);
    for at in (0..layout.elements()).step_by(PIECE) {
        let len = PIECE.min(layout.elements() - at);
        base.read(at, len)?;
        readers.iter_mut().try_for_each(|reader| reader.read(at, len))?;
        let data: Vec<&[f32]> = readers.iter().map(|reader| reader.numbers.as_slice()).collect();
        all.add(&data, &base.numbers);
    }
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    Ok(Similarity {
        norms: (0..n).map(|i| all.norm(i)).collect(),
        merged_norm: all.norm(n),
        cosines: (0..n).map(|i| all.cosine(i, n)).collect(),
        alike: pairs.filter(|(i, j)| all.cosine(*i, *j).is_some_and(|cosine| cosine > ALIKE)).collect(),
    })
}
