//! Merge rules: from a round's updates to one model. What each computes, and its source, stands in `docs/merging.md`.
//!
//! A [`Plan`] is made once for a merge, from the [`Gram`] matrix of the updates where the rule asks for distances, and is then
//! put to one block of coordinates after the other. Everything is computed in `f64`, coordinates are shared out among threads
//! and inputs never are, so that no number of threads and no width of vectors changes a bit.

mod block;
pub(crate) mod gram;
mod plan;
mod server;
mod sorting;

pub use gram::Gram;
pub use plan::{Fate, Plan, WEISZFELD_SMOOTHING, WEISZFELD_STEPS, WEISZFELD_TOLERANCE};
pub use server::Server;

use crate::model::first_without;
use consilium_primitives::{
    rules::{MAX_PARTICIPANTS, MAX_WEIGHT},
    Merge,
};
use rayon::prelude::*;

/// Coordinates that are merged at a time: those of all inputs fit into a core's own cache.
pub(crate) const BLOCK: usize = 4096;

/// Why a merge cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum MergeError {
    /// Nothing to merge.
    #[error("a merge needs at least one input")]
    NoInputs,
    /// Fewer or more inputs than the rule can be used with.
    #[error("{found} inputs: this merge needs at least {needed}, and at most {MAX_PARTICIPANTS}")]
    Inputs {
        /// The fewest.
        needed: u32,
        /// Those there are.
        found: usize,
    },
    /// The rule tolerates no liar, and is to tolerate some.
    #[error("this rule tolerates no liar; liars must be 0, and nothing mixed")]
    Liars,
    /// An input of another length than the first.
    #[error("input {input} has {found} numbers, the first has {expected}")]
    Length {
        /// Its position in canonical order.
        input: usize,
        /// Numbers of the first input.
        expected: usize,
        /// Numbers of this one.
        found: usize,
    },
    /// The base model, or what the optimiser remembers, has another length than the inputs ask for.
    #[error("the model that the inputs stand on has {found} numbers, expected {expected}")]
    Base {
        /// What the merge asks for.
        expected: usize,
        /// Numbers there are.
        found: usize,
    },
    /// A weight of 0, or of 2²⁹ or more.
    #[error("input {input} has weight {weight}; weights lie between 1 and 2^29 - 1")]
    Weight {
        /// Its position in canonical order.
        input: usize,
        /// Its weight.
        weight: u32,
    },
    /// NaN or infinity in an input.
    #[error("input {input} holds {value} at index {index}; only finite numbers can be merged")]
    NotFinite {
        /// Its position in canonical order.
        input: usize,
        /// Position of the number.
        index: usize,
        /// The number.
        value: f32,
    },
    /// The merged number does not fit into `f32`.
    #[error("the merge leaves the range of f32 at index {index}")]
    Overflow {
        /// Position of the number.
        index: usize,
    },
}

/// What a merge gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Merged {
    /// The model.
    pub model: Vec<f32>,
    /// What the optimiser remembers, one list of numbers after the other; empty without one.
    pub state: Vec<f32>,
    /// What the rule made of the inputs.
    pub plan: Plan,
}

/// Merges updates that are in memory. They come in canonical order (by institution id), `base` is the model that they stand
/// on and `state` what the optimiser remembers (empty in the first round and without an optimiser).
///
/// ```
/// # use consilium_aggregation::{merge, MergeError};
/// # use consilium_primitives::{Merge, MergeRule, Weighting};
/// let (a, b, base) = ([1.0, -4.0], [4.0, 2.0], [0.0, 0.0]);
/// let mean = Merge::by(MergeRule::Mean(Weighting::Samples));
/// assert_eq!(merge(&mean, &[(&a, 1), (&b, 2)], &base, &[])?.model, [3.0, 0.0]);
/// # Ok::<(), MergeError>(())
/// ```
///
/// # Errors
/// The first input, in order, that cannot be merged, by position; nothing depends on the number of threads.
pub fn merge(merge: &Merge, inputs: &[(&[f32], u32)], base: &[f32], state: &[f32]) -> Result<Merged, MergeError> {
    let weights: Vec<u32> = inputs.iter().map(|(_, weight)| *weight).collect();
    check(merge, &weights)?;
    let data: Vec<&[f32]> = inputs.iter().map(|(data, _)| *data).collect();
    let expected = data[0].len();
    if let Some((input, other)) = data.iter().enumerate().find(|(_, data)| data.len() != expected) {
        return Err(MergeError::Length { input, expected, found: other.len() });
    }
    if base.len() != expected {
        return Err(MergeError::Base { expected, found: base.len() });
    }
    let remembered = expected * merge.moments() as usize;
    if !state.is_empty() && state.len() != remembered {
        return Err(MergeError::Base { expected: expected + remembered, found: base.len() + state.len() });
    }
    let gram = Plan::asks_distances(merge).then(|| {
        let mut gram = Gram::new(data.len());
        gram.add(&data, base);
        gram
    });
    if let Some(bad) = gram.as_ref().filter(|gram| !gram.finite()).and_then(|_| not_finite(&data, 0)) {
        return Err(bad);
    }
    let plan = Plan::new(merge, &weights, gram.as_ref());
    let server = merge.server.as_ref().map(Server::new);
    let mut model = vec![0f32; expected];
    let mut state = if state.is_empty() { vec![0f32; remembered] } else { state.to_vec() };
    let (first, second) = state.split_at_mut(if merge.moments() > 0 { expected } else { 0 });
    let sound = if server.is_some() {
        // a list that is not there gives as many empty pieces
        let mut none = vec![0f32; if second.is_empty() { expected } else { 0 }];
        let second = if second.is_empty() { none.as_mut_slice() } else { second };
        model.par_chunks_mut(BLOCK).zip(first.par_chunks_mut(BLOCK)).zip(second.par_chunks_mut(BLOCK)).enumerate().all(
            |(block, ((out, m), v))| {
                plan.block(&at(&data, block, out.len()), cut(base, block, out.len()), server.as_ref(), m, v, out)
            },
        )
    } else {
        let blocks = model.par_chunks_mut(BLOCK).enumerate();
        blocks.all(|(block, out)| {
            plan.block(&at(&data, block, out.len()), cut(base, block, out.len()), None, &mut [], &mut [], out)
        })
    };
    if !sound {
        if let Some(bad) = not_finite(&data, 0) {
            return Err(bad);
        }
        let mut numbers = model.iter().chain(&state);
        let index = numbers.position(|number| !number.is_finite()).unwrap_or(0);
        return Err(MergeError::Overflow { index });
    }
    Ok(Merged { model, state, plan })
}

/// Whether a merge can be used with inputs of these weights.
pub(crate) fn check(merge: &Merge, weights: &[u32]) -> Result<(), MergeError> {
    let needed = merge.needs().filter(|_| !merge.mixing || merge.liars > 0).ok_or(MergeError::Liars)?;
    if weights.is_empty() {
        return Err(MergeError::NoInputs);
    }
    if (weights.len() as u32) < needed || weights.len() > MAX_PARTICIPANTS as usize {
        return Err(MergeError::Inputs { needed, found: weights.len() });
    }
    match weights.iter().enumerate().find(|(_, weight)| **weight == 0 || **weight >= MAX_WEIGHT) {
        Some((input, weight)) => Err(MergeError::Weight { input, weight: *weight }),
        None => Ok(()),
    }
}

/// The first number, by input, that is none. `from`: position of the data's first number.
pub(crate) fn not_finite(inputs: &[&[f32]], from: usize) -> Option<MergeError> {
    inputs.iter().enumerate().find_map(|(input, data)| {
        let index = first_without(data, f32::is_finite)?;
        Some(MergeError::NotFinite { input, index: from + index, value: data[index] })
    })
}

fn cut(data: &[f32], block: usize, len: usize) -> &[f32] {
    &data[block * BLOCK..block * BLOCK + len]
}

fn at<'a>(inputs: &[&'a [f32]], block: usize, len: usize) -> Vec<&'a [f32]> {
    inputs.iter().map(|data| cut(data, block, len)).collect()
}
