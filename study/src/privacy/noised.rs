//! On which grid the words of a sum are whose noise sites share, and what step their sum becomes.

use super::{shared::SharedSum, NoiseOf};
use crate::{error::SpecError, spec::StudySpec};
use consilium_aggregation::masked::Noised;

impl SharedSum {
    /// As files and sums are counted and opened by it.
    pub fn noised(&self) -> Noised {
        Noised::new(self.noise.exponent(), self.learning_rate, self.rate())
    }
}

impl StudySpec {
    /// Whether sites share the noise, so that one site's part by itself has too little.
    pub fn shares_noise(&self) -> bool {
        self.privacy.as_ref().is_some_and(|privacy| privacy.noise == NoiseOf::Shared)
    }

    /// How the sums of a study are counted whose sites share the noise; none of any other study.
    ///
    /// # Errors
    /// A specification that [`check`](Self::check) refuses.
    pub fn noised(&self) -> Result<Option<Noised>, SpecError> {
        Ok(self.shared_sum()?.map(|sum| sum.noised()))
    }
}
