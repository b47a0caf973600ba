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
        match spec.privacy {
            // a figure would be of rows without noise
            Some(_) => "of its loss: nothing".into(),
            None => format!(
                "of its loss in each round: nothing but one figure of all sites together, and that only where {MIN_REPORTERS} or more \
                 report one"
            ),
        },
    ];
    if let Ok(Some(sum)) = spec.shared_sum() {
        let honest = sum.noise.least.saturating_sub(sum.noise.colluders).max(1);
        lines.push(format!(
            "what it sends by itself has {:.0} % of the noise of a sum: it hides a record as long as no more than {} of the other sites in a \
             sum act together, and nobody takes the masks off",
            100.0 / f64::from(honest).sqrt(),
            sum.noise.colluders,
        ));
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use consilium_study::StudyFile;

    #[test]
    fn of_noise_that_sites_share_it_is_said_how_much_is_in_what_one_site_sends() {
        let spec = |text: &str| StudyFile::parse(text).unwrap().spec();
        let shared = include_str!("../../../../examples/breast-cancer/shared.toml");
        let lines = others_see(&spec(shared), 100);
        assert!(lines.contains(&"of its loss: nothing".to_owned()), "{lines:?}");
        // u 4, c 1
        assert!(lines.iter().any(|line| line.contains("has 58 % of the noise of a sum") && line.contains("than 1 of")));
        let local = include_str!("../../../../examples/breast-cancer/private.toml");
        let lines = others_see(&spec(local), 100);
        assert!(!lines.iter().any(|line| line.contains("noise")), "{lines:?}");
        let plain = include_str!("../../../../examples/breast-cancer/study.toml");
        assert!(others_see(&spec(plain), 100).iter().any(|line| line.starts_with("of its loss in each round")));
    }
}
