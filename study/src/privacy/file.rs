//! `[privacy]` in a study file.

use super::{NoiseOf, PrivacySpec};
use crate::{
    canonical::CanonicalError,
    error::wrong,
    file::{FileError, StudyFile},
};

/// Why no figure of single sites can decide anything.
pub(crate) const METRICS: &str =
    "target_loss and patience look at figures of single sites, which nothing counts: leave them out \
                                  beside [privacy]";

pub(crate) fn of_spec(field: &str, problem: &str) -> FileError {
    FileError::Spec(CanonicalError::Spec(wrong(field, problem)))
}

impl StudyFile {
    /// What the specification says of privacy: with the rounds that the rules have and, where the noise is shared, what they say of sums.
    pub(crate) fn privacy_spec(&self) -> Option<PrivacySpec> {
        let sums = if self.shares_noise() { self.rules.sums() } else { None };
        self.privacy.clone().map(|privacy| PrivacySpec { rounds: self.rules.rounds, sums, ..privacy })
    }

    /// Whether sites share the noise of their sums.
    pub(crate) fn shares_noise(&self) -> bool {
        self.privacy.as_ref().is_some_and(|privacy| privacy.noise == NoiseOf::Shared)
    }

    /// Whether the rules go with it: nothing that ends a study may look at figures of single sites.
    pub(crate) fn check_private_rules(&self) -> Result<(), FileError> {
        if self.privacy.as_ref().is_some_and(|privacy| privacy.rounds > 0) {
            return Err(of_spec("privacy.rounds", "leave it out: rules.rounds says how many there are"));
        }
        if self.privacy.as_ref().is_some_and(|privacy| privacy.sums.is_some()) {
            return Err(of_spec("privacy.sums", "leave it out: [rules] says what is summed"));
        }
        if self.privacy.is_some() && (self.rules.target_loss.is_some() || self.rules.patience > 0) {
            return Err(of_spec("rules", METRICS));
        }
        Ok(())
    }
}
