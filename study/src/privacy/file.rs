//! `[privacy]` in a study file.

use super::PrivacySpec;
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
    /// What the specification says of privacy: with the rounds that the rules have.
    pub(crate) fn privacy_spec(&self) -> Option<PrivacySpec> {
        self.privacy.clone().map(|privacy| PrivacySpec { rounds: self.rules.rounds, ..privacy })
    }

    /// Whether the rules go with it: nothing that ends a study may look at figures of single sites.
    pub(crate) fn check_private_rules(&self) -> Result<(), FileError> {
        if self.privacy.as_ref().is_some_and(|privacy| privacy.rounds > 0) {
            return Err(of_spec("privacy.rounds", "leave it out: rules.rounds says how many there are"));
        }
        if self.privacy.is_some() && (self.rules.target_loss.is_some() || self.rules.patience > 0) {
            return Err(of_spec("rules", METRICS));
        }
        Ok(())
    }
}
