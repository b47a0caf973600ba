//! What a study promises, in sentences.

use super::{NoiseOf, PrivacySpec};
use consilium_privacy::{words, Unit};

impl PrivacySpec {
    /// What is promised, of whom, and by what; what it means, and what it does not cover.
    pub fn sentences(&self) -> Vec<String> {
        let (whom, unit) = match self.unit() {
            Unit::Record => ("record", "row"),
            Unit::Patient => ("patient", "patient"),
        };
        let drawn = match self.rate_ppm() {
            1_000_000 => format!("every {unit}"),
            some => format!("{} % of the {unit}s on average", f64::from(some) / 10_000.0),
        };
        let noise = match self.noise {
            NoiseOf::Local => format!("each site adds noise to its own steps, {} in a round, each with {drawn}", self.steps),
            NoiseOf::Shared => format!(
                "the sites of a masked sum add noise together, enough as long as no more than {} of them act together against another; a \
                 round is one step with {drawn}",
                self.colluders()
            ),
        };
        let epsilon = words::epsilon(u64::from(self.epsilon_micro()));
        let delta = self.delta_exp().map_or_else(|| format!("δ {}", self.delta), words::delta);
        vec![
            format!(
                "privacy: all {} rounds together may cost each {whom} {epsilon} ({delta}); {noise}, of which \
                 no one moves it by more than {}",
                self.rounds, self.clip
            ),
            words::meaning(u64::from(self.epsilon_micro()), self.unit()).trim_end_matches('.').to_owned(),
            words::ALIKE.trim_end_matches('.').to_owned(),
            words::COUNTED.trim_end_matches('.').to_owned(),
        ]
    }
}
