//! What a masked sum shows: the merge of a study with masks, in process, on the numbers that masks would be added to. Masks cancel to the
//! bit, so that it is the same whoever takes them off.

use anyhow::Result;
use consilium_aggregation::masked::{merge_unmasked, Scale};
use consilium_primitives::{Merge, MergeRule, Weighting};

/// Steps move a number by 2² at most, as usual.
const RANGE_LOG2: i8 = 2;

/// A site whose masks are in the sum.
#[derive(Clone, Copy, Debug)]
pub struct Partner<'u> {
    /// Its capped weight.
    pub weight: u32,
    /// Its update; none where it is not in the sum that is looked at.
    pub update: Option<&'u [f32]>,
}

/// A sum that was opened.
#[derive(Clone, Debug)]
pub struct Sum {
    /// The model that it makes.
    pub model: Vec<f32>,
    /// The step to it.
    pub step: Vec<f32>,
}

impl Sum {
    /// The sum of those partners who have an update.
    ///
    /// # Errors
    /// Fewer than three of them; steps that are too long for the range.
    pub fn of(base: &[f32], partners: &[Partner<'_>]) -> Result<Self> {
        let rule = Merge::by(MergeRule::Mean(Weighting::Samples));
        let total = partners.iter().map(|partner| u64::from(partner.weight)).sum();
        let inputs: Vec<(&[f32], u32)> =
            partners.iter().filter_map(|partner| Some((partner.update?, partner.weight))).collect();
        let (model, _) = merge_unmasked(&rule, Scale::new(RANGE_LOG2), total, &inputs, base, &[])?;
        let step = model.iter().zip(base).map(|(x, w)| x - w).collect();
        Ok(Self { model, step })
    }
}
