//! What masked merging gives, without files and without masks, which cancel: for simulations.

use super::{
    bound,
    encoding::{add_words, Encoding, Open, Opening, Share},
    merging::within,
    noised::Noised,
    norm::Squares,
    summed, MaskedError, OutOfRange, Scale, CLAMPED,
};
use crate::rules::{not_finite, Gram, MergeError, Server};
use consilium_primitives::Merge;

/// The model that masked files of these updates would be merged into, and what the optimiser remembers after it. `total` is the sum
/// of all partners' capped weights, `state` what the optimiser remembers before (empty in the first round and without one).
///
/// # Errors
/// As [`mask_update`](super::mask_update) and [`merge_masked`](super::merge_masked) have them.
pub fn merge_unmasked(
    merge: &Merge,
    scale: Scale,
    total: u64,
    inputs: &[(&[f32], u32)],
    base: &[f32],
    state: &[f32],
) -> Result<(Vec<f32>, Vec<f32>), MaskedError> {
    let bound = bound(merge)?;
    let weights: Vec<u32> = inputs.iter().map(|(_, weight)| *weight).collect();
    summed(merge, &weights, total)?;
    let elements = base.len();
    let mut sum = vec![0u32; elements];
    let mut words = vec![0u32; elements];
    for (input, (data, weight)) in inputs.iter().enumerate() {
        if data.len() != elements {
            return Err(MergeError::Length { input, expected: elements, found: data.len() }.into());
        }
        let mut shortened = 1.0;
        if let Some(bound) = bound {
            let mut gram = Gram::new(1);
            gram.add(&[*data], base);
            let norm = gram.norm(0);
            if norm > bound {
                shortened = bound / norm;
            }
        }
        let encoded = Encoding::new(scale, Share { weight: *weight, total }, shortened).block(data, base, &mut words);
        if encoded.unfit {
            let data: Vec<&[f32]> = inputs.iter().map(|(data, _)| *data).collect();
            return Err(not_finite(&data, 0).unwrap_or(MergeError::Overflow { index: 0 }).into());
        }
        if encoded.clamped.saturating_mul(CLAMPED) > elements as u64 {
            let (clamped, numbers) = (encoded.clamped, elements);
            return Err(MaskedError::StepTooLarge { clamped, numbers, range: scale.range() });
        }
        add_words(&mut sum, &words);
    }
    open(merge, Opening::new(scale, &weights, total), &sum, (base, state))
}

/// The same of gradients with shared noise: of each site what [`Noised::word`] gives, and its weight.
///
/// # Errors
/// As [`merge_masked`](super::merge_masked) has them.
pub fn merge_noised(
    merge: &Merge,
    noised: Noised,
    inputs: &[(&[u32], u32)],
    base: &[f32],
    state: &[f32],
) -> Result<(Vec<f32>, Vec<f32>), MaskedError> {
    let weights: Vec<u32> = inputs.iter().map(|(_, weight)| *weight).collect();
    summed(merge, &weights, weights.iter().map(|weight| u64::from(*weight)).sum())?;
    let mut sum = vec![0u32; base.len()];
    for (input, (words, _)) in inputs.iter().enumerate() {
        if words.len() != base.len() {
            return Err(MergeError::Length { input, expected: base.len(), found: words.len() }.into());
        }
        add_words(&mut sum, words);
    }
    open(merge, Opening::noised(noised, &weights), &sum, (base, state))
}

/// What becomes of a sum.
fn open(
    merge: &Merge,
    opening: Opening,
    sum: &[u32],
    (base, state): (&[f32], &[f32]),
) -> Result<(Vec<f32>, Vec<f32>), MaskedError> {
    let (bound, elements) = (bound(merge)?, base.len());
    let server = merge.server.as_ref().map(Server::new);
    let remembered = elements * merge.moments() as usize;
    if !state.is_empty() && state.len() != remembered {
        return Err(MergeError::Base { expected: elements + remembered, found: elements + state.len() }.into());
    }
    let mut state = if state.is_empty() { vec![0f32; remembered] } else { state.to_vec() };
    let (m, v) = state.split_at_mut(elements.min(remembered));
    let (mut model, mut squares) = (vec![0f32; elements], Squares::default());
    let open = Open {
        opening: &opening,
        server: server.as_ref(),
        at: 0,
        sum,
        base,
        m,
        v,
        squares: bound.is_some().then_some(&mut squares),
        out: &mut model,
    };
    let verdict = open.run();
    if !verdict.in_range {
        let far = |word: &u32| (*word as i32).unsigned_abs() > opening.bound;
        let index = sum.iter().position(far).unwrap_or(0);
        return Err(OutOfRange::Number { index, sum: sum[index] as i32, most: opening.bound }.into());
    }
    if !verdict.finite {
        let index = model.iter().chain(&state).position(|number| !number.is_finite()).unwrap_or(0);
        return Err(MergeError::Overflow { index }.into());
    }
    within(bound.is_some().then(|| Squares::length([&squares])), bound)?;
    Ok((model, state))
}
