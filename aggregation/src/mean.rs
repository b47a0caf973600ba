//! The weighted mean (federated averaging: McMahan et al., "Communication-Efficient Learning of Deep Networks from
//! Decentralized Data", AISTATS 2017, algorithm 1).
//!
//! For each coordinate `k`: `m[k] = (w[0]·x[0][k] + w[1]·x[1][k] + …) ÷ (w[0] + w[1] + …)`.
//!
//! Integer weights below 2²⁹ have at most 29 significant bits and an `f32` has 24, so each product is exact in the 53
//! bits of `f64`; the sum is taken in the order of the inputs. The quotient is rounded to `f32` once, and −0 becomes
//! +0. Threads share out coordinates, never inputs, so their number changes nothing.

use consilium_primitives::rules::MAX_WEIGHT;
use rayon::prelude::*;

const CHUNK: usize = 1 << 14;

/// Why a merge cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum MergeError {
    /// Nothing to merge.
    #[error("a merge needs at least one input")]
    NoInputs,
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

/// The weighted mean of `inputs`, which come in canonical order (by institution id).
///
/// ```
/// # use consilium_aggregation::merge_mean;
/// let (a, b) = ([1.0, -4.0], [4.0, 2.0]);
/// assert_eq!(merge_mean(&[(&a, 1), (&b, 2)])?, [3.0, 0.0]);
/// # Ok::<(), consilium_aggregation::MergeError>(())
/// ```
///
/// # Errors
/// The first input, in order, that cannot be merged, by position; nothing depends on the number of threads.
pub fn merge_mean(inputs: &[(&[f32], u32)]) -> Result<Vec<f32>, MergeError> {
    let (first, _) = inputs.first().ok_or(MergeError::NoInputs)?;
    let expected = first.len();
    for (input, (data, weight)) in inputs.iter().enumerate() {
        if data.len() != expected {
            return Err(MergeError::Length { input, expected, found: data.len() });
        }
        if *weight == 0 || *weight >= MAX_WEIGHT {
            return Err(MergeError::Weight { input, weight: *weight });
        }
        if let Some(index) = data.par_iter().position_first(|number| !number.is_finite()) {
            return Err(MergeError::NotFinite { input, index, value: data[index] });
        }
    }
    let total: u64 = inputs.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let total = total as f64;
    let mut merged = vec![0f32; expected];
    merged.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, out)| {
        let start = chunk * CHUNK;
        let mut sums = vec![0f64; out.len()];
        for (data, weight) in inputs {
            let weight = f64::from(*weight);
            for (sum, number) in sums.iter_mut().zip(&data[start..start + out.len()]) {
                *sum += weight * f64::from(*number);
            }
        }
        for (number, sum) in out.iter_mut().zip(&sums) {
            // + 0.0 turns −0 into +0 and changes nothing else; rounding may underflow to −0, hence after it
            *number = (sum / total) as f32 + 0.0;
        }
    });
    match merged.par_iter().position_first(|number| !number.is_finite()) {
        Some(index) => Err(MergeError::Overflow { index }),
        None => Ok(merged),
    }
}
