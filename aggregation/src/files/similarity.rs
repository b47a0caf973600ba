//! How far each update went, and how near updates are to their merge and to each other: what people look at when they ask
//! what a rule did. Nothing here decides anything.

use super::{error::FilesError, gram_of, open_inputs, open_model, InputFile};
use crate::{
    layout::{Dtype, Layout},
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
    let n = inputs.len();
    let base = open_model(base, whole)?;
    let mut readers = open_inputs(inputs, Dtype::F32, layout)?;
    readers.push(open_model(merged, whole)?);
    let all = gram.map_or_else(|| Gram::new(n + 1), Gram::grown);
    let all = gram_of(all, &readers, &base, layout).map_err(|error| match error {
        FilesError::Input { input, error } if input == n => FilesError::Base(error),
        other => other,
    })?;
    let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
    Ok(Similarity {
        norms: (0..n).map(|i| all.norm(i)).collect(),
        merged_norm: all.norm(n),
        cosines: (0..n).map(|i| all.cosine(i, n)).collect(),
        alike: pairs.filter(|(i, j)| all.cosine(*i, *j).is_some_and(|cosine| cosine > ALIKE)).collect(),
    })
}
