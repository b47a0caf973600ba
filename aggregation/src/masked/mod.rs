//! Masked sums: what each site sends are random words, and only the sum of all sites' words is a model.
//!
//! Masks, keys and shares are `consilium-masks`'s; here are the numbers under the masks, the files that hold them, and the pass
//! over all files that takes the masks off their sum. With `W_i` the capped weights of all partners `P`, `W_P` their sum, `w` the
//! model that updates stand on, `range_log2` as agreed and `s = 30 − range_log2`:
//!
//! ```text
//! a_i  = W_i ÷ W_P
//! B_i  = ⌊a_i · 2^30⌋
//! q_k  = clamp(round(a_i · (x_k − w_k) · 2^s), −B_i, B_i)     ties to even; what is sent is q_k + masks, modulo 2^32
//! S_k  = Σ over U of what was sent − masks                     modulo 2^32, with a sign
//! x'_k = f32(w_k + (S_k · 2^−s) ÷ (W_U ÷ W_P))
//! ```
//!
//! `U` are the partners whose files are summed. A sum beyond `Σ B_i`, a padding word that is not 0, a step longer than the agreed
//! bound, or figures that no sites can have mean that somebody's words were not what they should be: [`OutOfRange`]. Whose, nobody
//! can tell.
//!
//! Where sites share the noise of a private study, whole numbers of gradients with noise stand in place of `q_k` ([`Noised`]).
//!
//! A masked file is safetensors with one entry, `duty`, and one `U32` tensor, `masked`: the words, one more where they are odd in
//! number, and three sums of 64 bits (see [`Figures`]). The tensor's shape counts all of these as words.

mod encoding;
mod exact;
mod figures;
mod file;
mod masking;
mod memory;
mod merging;
mod noised;
mod norm;
mod output;
mod statistics;

pub use encoding::Scale;
pub use figures::{mask_figures, sum_figures, Figures, MIN_REPORTERS};
pub use file::{verify_masked, MaskedLayout};
pub use masking::{mask_update, MaskedUpdate, OwnUpdate};
pub use memory::{merge_noised, merge_unmasked};
pub use merging::{merge_masked, MaskedMerge};
pub use noised::{encode_noised, mask_noised, Noised};
pub use statistics::{merge_masked_statistics, ExactStatistics, MAX_VALUE, MIN_VALUES};

use crate::{
    files::FilesError,
    layout::{Layout, LayoutError},
    rules::MergeError,
};
use consilium_primitives::{
    rules::{NormBound, PPM},
    Merge, MergeRule, VoidReason,
};
use std::path::Path;

/// The fewest files whose sum is opened: of two, each site would see the other's.
pub const MIN_SUMMED: usize = 3;
/// One number in so many may be held at its bound.
const CLAMPED: u64 = 1000;
/// By what share of itself the agreed norm bound may be passed: rounding to units never needs as much.
const SLACK: f64 = 1.0 / 1024.0;

/// What the partners of a masked round have in common.
#[derive(Clone, Copy, Debug)]
pub struct MaskedRound<'a> {
    /// The agreed merge: a mean, perhaps with a norm bound that is a number, or with an optimiser.
    pub merge: &'a Merge,
    /// How far a number may move: ±2^`range_log2`.
    pub scale: Scale,
    /// Where sites share their noise: how sums of gradients are counted, in place of steps.
    pub noised: Option<Noised>,
    /// The sum of all partners' capped weights, of those whose files are not summed too.
    pub total: u64,
    /// The model that updates stand on.
    pub base: &'a Path,
    /// The layout of an update.
    pub layout: &'a Layout,
}

impl MaskedRound<'_> {
    /// The norm bound, where there is one.
    ///
    /// # Errors
    /// A merge of which masks leave nothing to be computed.
    fn bound(&self) -> Result<Option<f64>, MaskedError> {
        bound(self.merge)
    }
}

fn bound(merge: &Merge) -> Result<Option<f64>, MaskedError> {
    let refused = |what| Err(MaskedError::Rule { what });
    if !matches!(merge.rule, MergeRule::Mean(_)) {
        return refused("every rule but the mean looks at single updates");
    }
    if merge.liars > 0 || merge.mixing {
        return refused("liars and mixing need single updates");
    }
    match merge.bound {
        None => Ok(None),
        Some(NormBound::Fixed(millionths)) => Ok(Some(millionths as f64 / f64::from(PPM))),
        Some(NormBound::Median) => refused("the median of the updates' lengths needs single updates"),
    }
}

/// Whether so many files may be summed, and their weights are among all partners'.
fn summed(merge: &Merge, weights: &[u32], total: u64) -> Result<(), MaskedError> {
    if weights.len() < MIN_SUMMED {
        return Err(MaskedError::TooFew { found: weights.len() });
    }
    crate::rules::check(merge, weights).map_err(FilesError::from)?;
    let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    if sum > total {
        return Err(MaskedError::Weights { sum, total });
    }
    Ok(())
}

/// Why something was not masked, or a sum not opened.
#[derive(Debug, thiserror::Error)]
pub enum MaskedError {
    /// A file that is not what it must be, or cannot be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// No file has such a layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A sum of too few, or masks that others could take off.
    #[error("a sum over {found} sites is never masked nor opened: it takes at least {MIN_SUMMED}, since each site knows its own part")]
    TooFew {
        /// How many there are.
        found: usize,
    },
    /// A merge that masks do not allow.
    #[error("updates cannot be masked with this merge: {what}; use the mean, and a number as norm bound")]
    Rule {
        /// What of it.
        what: &'static str,
    },
    /// What would leave a site with less noise than was agreed.
    #[error("nothing of this site is masked, since {what}: only sums of gradients with shared noise are, where that was agreed")]
    Noise {
        /// Why.
        what: &'static str,
    },
    /// Weights that cannot be.
    #[error("the weights of the sites summed are {sum} together, more than the {total} of all partners")]
    Weights {
        /// Of those that are summed.
        sum: u64,
        /// Of all partners.
        total: u64,
    },
    /// More than one number in a thousand of the own update moved too far.
    #[error(
        "{clamped} of {numbers} numbers of the update moved further than ±{range}, the range agreed on for masked steps, \
         and at most one in {CLAMPED} may: train with a smaller learning rate or fewer steps, or agree on a larger masked_range"
    )]
    StepTooLarge {
        /// How many.
        clamped: u64,
        /// Of how many.
        numbers: usize,
        /// How far they may move.
        range: f64,
    },
    /// A value that statistics cannot hold.
    #[error("column {column} holds {value}; masked statistics hold finite values within ±2^40")]
    Value {
        /// Column, counted from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A row of another number of columns.
    #[error("a row of {found} values, expected {expected}")]
    Columns {
        /// How many columns there are.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// The sum is none of honest sites'.
    #[error("{0}: some site's words, or the masks taken off, are not what they should be")]
    OutOfRange(#[from] OutOfRange),
}

impl MaskedError {
    /// Why a sum is void, where this shows that it is none of honest sites'; none where something else is wrong. Workers and audits say
    /// the same by it.
    pub fn void(&self) -> Option<VoidReason> {
        match self {
            Self::OutOfRange(OutOfRange::Norm { .. }) => Some(VoidReason::TooLong),
            Self::OutOfRange(_) | Self::Files(FilesError::Merge(MergeError::Overflow { .. })) => {
                Some(VoidReason::OutOfRange)
            }
            _ => None,
        }
    }
}

impl From<MergeError> for MaskedError {
    fn from(error: MergeError) -> Self {
        Self::Files(error.into())
    }
}

/// What shows that a sum is none of honest sites'.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum OutOfRange {
    /// A number.
    #[error("number {index} of the sum is {sum}, beyond ±{most}")]
    Number {
        /// Its position.
        index: usize,
        /// What it is.
        sum: i32,
        /// What it can be at most.
        most: u32,
    },
    /// The word that makes the words even in number.
    #[error("the padding word of the sum is not 0")]
    Padding,
    /// The step.
    #[error("the merged step has the length {norm}, beyond the agreed bound of {bound}")]
    Norm {
        /// Its length.
        norm: f64,
        /// The bound.
        bound: f64,
    },
    /// The three sums.
    #[error("the sums of loss, rows and reporters are none of {sites} sites")]
    Figures {
        /// How many sites were summed.
        sites: usize,
    },
    /// A column of statistics.
    #[error("the sums of column {column} are none of {sites} sites")]
    Column {
        /// Column, counted from 0.
        column: usize,
        /// How many sites were summed.
        sites: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_honest_sites_can_sum_up_to_is_void_and_nothing_else_is() {
        let void = |error: MaskedError| error.void();
        assert_eq!(void(OutOfRange::Norm { norm: 2.0, bound: 1.0 }.into()), Some(VoidReason::TooLong));
        for range in [
            OutOfRange::Number { index: 0, sum: 9, most: 1 },
            OutOfRange::Padding,
            OutOfRange::Figures { sites: 3 },
            OutOfRange::Column { column: 0, sites: 3 },
        ] {
            assert_eq!(void(range.into()), Some(VoidReason::OutOfRange), "{range}");
        }
        // numbers that the server's optimiser drives beyond f32
        assert_eq!(void(MergeError::Overflow { index: 0 }.into()), Some(VoidReason::OutOfRange));
        assert_eq!(void(MaskedError::TooFew { found: 2 }), None);
        assert_eq!(void(FilesError::Differs { input: 0, found: Default::default() }.into()), None);
    }
}
