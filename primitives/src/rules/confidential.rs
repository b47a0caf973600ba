//! Masked sums and privacy in the rules of a study: what the chain must know of them, and what goes with neither.

use super::{MergeRule, NormBound, RulesError, StudyRules, Weighting, MAX_BLOB_LEN, PPM};
use crate::{budget::constants, ids::Hash, ids::InstitutionId, kinds::Kind, masks};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::ops::RangeInclusive;
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};

/// Updates are masked: only their sum can be seen.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
pub struct Masked {
    /// How far a coordinate of a step may go, as a power of two: usually 2, for 4 in each direction.
    pub range_log2: i8,
    /// Length in bytes of a site's masked statistics, 0 where the spec asks for none. It follows from the spec.
    pub statistics_len: u64,
    /// Length in bytes of a site's masked figures of the last merge. It follows from the spec.
    pub figures_len: u64,
}

impl Masked {
    /// Ranges that there can be.
    pub const RANGES: RangeInclusive<i8> = -16..=16;
}

/// Whom a promise of privacy is made to.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
#[serde(rename_all = "snake_case")]
pub enum PrivacyUnit {
    /// Each row.
    Record,
    /// Each patient, with all rows.
    Patient,
}

/// What is promised of each record or patient, and what one round of it costs.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    Serialize,
    Deserialize,
)]
#[scale_info(capture_docs = "always")]
pub struct Privacy {
    /// Whom it is promised to.
    pub unit: PrivacyUnit,
    /// How likely a unit is drawn into a step, in parts per million.
    pub rate_ppm: u32,
    /// Steps of a round.
    pub steps: u32,
    /// Longest gradient of a unit, in millionths.
    pub clip_micro: u32,
    /// Deviation of the noise for a clip of one, times 1,024.
    pub sigma_1024: u32,
    /// δ is ten to the power of minus this.
    pub delta_exp: u8,
    /// Whether the sites of a masked sum share the noise.
    pub shared: bool,
    /// How many of them may act together, where they do: each adds so much that the noise of the others in the least sum is all of it.
    pub colluders: u8,
    /// What one round costs: Rényi divergence at the agreed orders, in thousand-millionths, rounded up.
    pub spend: [u64; 16],
}

impl StudyRules {
    /// Whether masks and privacy go with the rest. What is refused names itself.
    pub(super) fn check_confidential(&self) -> Result<(), RulesError> {
        if let Some(privacy) = &self.privacy {
            self.check_private(privacy)?;
        }
        let Some(masked) = &self.masked else { return Ok(()) };
        if !matches!(self.merge.rule, MergeRule::Mean(_)) {
            return Err(RulesError::MaskedRule);
        }
        if self.merge.liars > 0 {
            return Err(RulesError::MaskedLiars);
        }
        if self.merge.bound == Some(NormBound::Median) {
            return Err(RulesError::MaskedBound);
        }
        if self.merge.mixing {
            return Err(RulesError::MaskedMixing);
        }
        if self.min_participants < masks::LEAST {
            return Err(RulesError::MaskedParticipants);
        }
        // shared noise hides a record in whatever sum it is, and no part of such a sum can be made to count for less
        if self.max_share > PPM / 2 && !self.privacy.is_some_and(|privacy| privacy.shared) {
            return Err(RulesError::MaskedShare);
        }
        if !Masked::RANGES.contains(&masked.range_log2) {
            return Err(RulesError::MaskedRange);
        }
        let longest = masked.statistics_len.max(masked.figures_len);
        if masked.figures_len == 0
            || (masked.statistics_len == 0) != (self.statistics_len == 0)
            || longest > MAX_BLOB_LEN
        {
            return Err(RulesError::MaskedLength);
        }
        Ok(())
    }

    /// Whether what is promised can be, and nothing beside it tells what no budget counts. That noise and cost follow from the other
    /// numbers is looked at by everyone who signs, and not here.
    fn check_private(&self, privacy: &Privacy) -> Result<(), RulesError> {
        if privacy.rate_ppm == 0 || privacy.rate_ppm > PPM {
            return Err(RulesError::PrivacyRate);
        }
        if privacy.steps == 0 || privacy.clip_micro == 0 {
            return Err(RulesError::PrivacySteps);
        }
        if privacy.sigma_1024 == 0 {
            return Err(RulesError::PrivacyNoise);
        }
        if constants(privacy.delta_exp).is_none() {
            return Err(RulesError::PrivacyDelta);
        }
        if privacy.spend.contains(&0) {
            return Err(RulesError::PrivacySpend);
        }
        self.check_shared(privacy)?;
        if self.target.is_some() || self.patience > 0 || self.statistics_len > 0 {
            return Err(RulesError::PrivacyFigures);
        }
        Ok(())
    }

    /// Whether the noise of a sum can be shared as is said: only a sum of gradients of one model, none weighted or shortened otherwise
    /// than the others, has as much noise as all sites together added.
    fn check_shared(&self, privacy: &Privacy) -> Result<(), RulesError> {
        if !privacy.shared {
            return if privacy.colluders == 0 { Ok(()) } else { Err(RulesError::PrivacyColluders) };
        }
        let each_once = matches!(self.merge.rule, MergeRule::Mean(Weighting::Samples)) && self.max_share == PPM;
        if self.masked.is_none() || privacy.steps != 1 || !each_once || self.merge.bound.is_some() {
            return Err(RulesError::PrivacyShared);
        }
        // who together hold the shares of a mask see single sites, with a part of the noise only
        let colluders = u32::from(privacy.colluders);
        if colluders == 0 || colluders >= masks::threshold(self.least_summed()) {
            return Err(RulesError::PrivacyColluders);
        }
        Ok(())
    }

    /// The fewest masked files whose sum is ever opened, whoever is asked and whoever answers.
    pub fn least_summed(&self) -> u32 {
        self.masked_needs(0, 0)
    }

    /// Length in bytes of the file that one site gives to a merge.
    pub fn part_len(&self, kind: Kind) -> u64 {
        match (kind, &self.masked) {
            (Kind::Statistics, Some(masked)) => masked.statistics_len,
            (Kind::Statistics, None) => self.statistics_len,
            (Kind::Model, _) => self.update_len,
            (Kind::Evaluation, masked) => masked.map_or(0, |masked| masked.figures_len),
        }
    }

    /// `k` of a masked sum: how many masked files it needs, with `n` asked and so many of them in the key list.
    pub fn masked_needs(&self, n: u32, keys: u32) -> u32 {
        self.freeze_needs(n).max(masks::threshold(keys)).max(masks::LEAST)
    }
}

/// Hash over what a masked sum adds up: the ordered (institution, masked file, weight), rules, base, and the partners that the masks
/// are for.
pub fn masked_inputs_root(
    inputs: &[(InstitutionId, Hash, u32)],
    merge: &super::Merge,
    base: Hash,
    partners_root: Hash,
) -> Hash {
    let bytes: Vec<u8> = (inputs, merge, base, partners_root).encode();
    Hash::from(sp_crypto_hashing::blake2_256(&bytes))
}
