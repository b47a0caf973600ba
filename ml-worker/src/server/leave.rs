//! What `sites.toml` allows, with patience for a file that someone is just editing: a refusal is a vote that binds, and
//! half a file must not cast it.

use super::RETRY;
use crate::site::{SiteError, Sites, StudySettings};
use consilium_primitives::Hash;
use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

/// The last `sites.toml` that could be read, and since when it no longer says what it said.
pub(super) struct Leave {
    file: PathBuf,
    good: Sites,
    broken: Option<Instant>,
    looked: Instant,
    lost: HashMap<String, Instant>,
}

/// What it says of one duty.
pub(super) enum Permit {
    /// The site works for this agreement, with this data file.
    Given(PathBuf),
    /// It did a moment ago; perhaps it does again in a moment.
    Wait,
    /// It does not.
    Refused,
}

impl Leave {
    pub(super) fn read(file: PathBuf) -> Result<Self, SiteError> {
        let good = Sites::read(&file)?;
        Ok(Self { file, good, broken: None, looked: Instant::now(), lost: HashMap::new() })
    }

    pub(super) fn file(&self) -> &std::path::Path {
        &self.file
    }

    /// Reads the file again.
    pub(super) fn look(&mut self) {
        let now = Instant::now();
        self.looked = now;
        match Sites::read(&self.file) {
            Ok(sites) => {
                for study in self.good.study.iter().filter(|s| sites.find(&s.agreement).is_none()) {
                    self.lost.entry(study.agreement.clone()).or_insert(now);
                }
                self.lost.retain(|agreement, _| sites.find(agreement).is_none());
                self.good = sites;
                self.broken = None;
            }
            // it says what it last said
            Err(error) if error.passes => tracing::warn!("{error}"),
            Err(error) => {
                if self.broken.is_none() {
                    let patience = RETRY.as_secs();
                    tracing::error!("{error}; duties wait for {patience} s, then all are refused until this is mended");
                    self.broken = Some(now);
                }
            }
        }
    }

    /// Reads it again where that was not done for so long.
    pub(super) fn look_after(&mut self, time: Duration) {
        if self.looked.elapsed() >= time {
            self.look();
        }
    }

    /// What it last said of an agreement.
    pub(super) fn settings(&self, agreement: &Hash) -> Option<&StudySettings> {
        self.good.find(&hex::encode(agreement))
    }

    pub(super) fn of(&self, agreement: &Hash, round: u32) -> Permit {
        let agreement = hex::encode(agreement);
        let since = match (self.broken, self.good.find(&agreement)) {
            (None, Some(study)) if study.max_rounds.is_none_or(|most| round <= most) => {
                return Permit::Given(study.data.clone());
            }
            (None, Some(_)) => None,
            (Some(since), _) => Some(since),
            (None, None) => self.lost.get(&agreement).copied(),
        };
        if since.is_some_and(|since| since.elapsed() < RETRY) {
            return Permit::Wait;
        }
        tracing::warn!("agreement {agreement}, round {round}: not allowed by {}; refused", self.file.display());
        Permit::Refused
    }
}
