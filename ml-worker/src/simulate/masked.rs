//! What masks change of a study in one process. Masks themselves cancel to the bit, so that none are made here.

use super::Round;
use crate::data::{exact_statistics_of, Table};
use anyhow::Result;
use consilium_aggregation::{
    masked::{merge_unmasked, ExactStatistics, Figures, Scale},
    Statistics,
};
use consilium_primitives::{InstitutionId, Masked, StudyRules};
use consilium_study::DataSpec;

/// Statistics of all sites' training rows together.
pub(super) fn statistics<'t>(
    data: &DataSpec,
    sites: impl Iterator<Item = (&'t Table, Vec<usize>)>,
) -> Result<Statistics> {
    let parts = sites.map(|(table, rows)| exact_statistics_of(data, table, &rows)).collect::<Result<Vec<_>, _>>()?;
    Ok(ExactStatistics::merge_unmasked(&parts)?)
}

/// The merged model, and what the optimiser remembers after it.
pub(super) fn merged(
    rules: &StudyRules,
    masked: &Masked,
    inputs: &[(&[f32], u32)],
    base: &[f32],
    state: &[f32],
) -> Result<(Vec<f32>, Vec<f32>)> {
    let total = inputs.iter().map(|(_, weight)| u64::from(*weight)).sum();
    Ok(merge_unmasked(&rules.merge, Scale::new(masked.range_log2), total, inputs, base, state)?)
}

/// The loss over all rows of the sites that report one, where these are enough.
pub(super) fn pooled(
    losses: &[(InstitutionId, u32)],
    rows: impl Fn(&InstitutionId) -> u32,
    sites: usize,
) -> Option<u32> {
    let all = losses.iter().fold(Figures::default(), |sum, (who, loss)| {
        let own = Figures::of(*loss, rows(who));
        Figures {
            loss: sum.loss.saturating_add(own.loss),
            rows: sum.rows.saturating_add(own.rows),
            reporters: sum.reporters.saturating_add(own.reporters),
        }
    });
    all.pooled(sites)
}

/// The round of the least pooled loss, the latest of several; the initial model is no round.
pub(super) fn best(rounds: &[Round]) -> Option<u32> {
    let known = rounds.iter().zip(0u32..).skip(1).filter_map(|(round, number)| Some((round.pooled?, number)));
    known.min_by_key(|(loss, number)| (*loss, std::cmp::Reverse(*number))).map(|(_, number)| number)
}

/// Takes the newest round that has been evaluated, the one before the merge just closed, into account; and says whether target or patience
/// ends the study. As `consilium_primitives::round` decides it.
pub(super) fn stops(rules: &StudyRules, evaluated: &[Round], found: &mut Option<u32>) -> bool {
    let Some(newest) = evaluated.len().checked_sub(1).filter(|round| *round > 0) else { return false };
    let Some(loss) = evaluated[newest].pooled else { return false };
    *found = best(evaluated);
    let tired = found.is_some_and(|best| (newest as u32).saturating_sub(best) >= rules.patience);
    rules.target.is_some_and(|target| loss <= target) || (rules.patience > 0 && tired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use consilium_primitives::Hash;

    fn rounds(pooled: &[Option<u32>]) -> Vec<Round> {
        pooled.iter().map(|pooled| Round { root: Hash::zero(), losses: Vec::new(), pooled: *pooled }).collect()
    }

    #[test]
    fn the_best_round_has_the_least_pooled_loss_and_is_the_latest_of_several() {
        assert_eq!(best(&rounds(&[Some(1), Some(9), Some(4), Some(4), None, Some(5)])), Some(3));
        assert_eq!(best(&rounds(&[Some(1)])), None, "the initial model is no round");
        assert_eq!(best(&rounds(&[Some(1), None])), None);
    }

    #[test]
    fn a_loss_is_pooled_by_rows_where_three_report() {
        let id = |n: u8| InstitutionId([n; 32]);
        let rows = |who: &InstitutionId| if *who == id(1) { 300 } else { 100 };
        assert_eq!(pooled(&[(id(1), 10), (id(2), 20), (id(3), 40)], rows, 4), Some(18));
        assert_eq!(pooled(&[(id(1), 10), (id(2), 20)], rows, 3), None);
    }
}
