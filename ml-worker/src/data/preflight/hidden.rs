//! What others see of a site in a study with masks, and what they do not: docs/masks.md.

use consilium_aggregation::masked::{MIN_REPORTERS, MIN_SUMMED, MIN_VALUES};
use consilium_study::StudySpec;

/// Fewest training rows below which it is said that sums tell more of each.
const FEW: usize = 32;

/// One line for each thing.
pub(super) fn others_see(spec: &StudySpec, training: usize) -> Vec<String> {
    let mut lines = vec![
        format!(
            "of this site's updates: nothing but the sum of at least {MIN_SUMMED} sites' updates, their own among them. The sum, and the \
             model, can still tell something about records; a site that is missing from one round can be guessed at from the \
             difference of two sums"
        ),
        format!(
            "of its loss in each round: nothing but one figure of all sites together, and that only where {MIN_REPORTERS} or more report one"
        ),
    ];
    if spec.data.statistics_columns() > 0 {
        lines.push(format!(
            "of its statistics: nothing but those of all sites together, of each column that has {MIN_VALUES} values or more in all; so \
             that a site with few rows adds its own, too"
        ));
    }
    lines.push(
        "that it takes part, with how many training rows, in which rounds, when it answers, and one word why where it cannot".into(),
    );
    lines.push(
        "in return nobody can see a bad update: a site that poisons its own moves the model unseen, within the agreed range and norm \
         bound"
            .into(),
    );
    if training < FEW {
        lines.push(format!(
            "this site has {training} training rows: the fewer there are, the more a step tells of each of them, in a sum, too; more than \
             {FEW} are better"
        ));
    }
    lines
}
