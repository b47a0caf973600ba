//! What the chain itself needs to know of an agreement. Everything else stands in the spec, which the chain keeps as
//! opaque bytes; no number stands in both.

mod confidential;
mod merge;
#[cfg(test)]
mod tests;
mod written;

pub use confidential::{masked_inputs_root, Masked, Privacy, PrivacyUnit};
pub use merge::{Adaptive, Merge, MergeRule, NormBound, ServerOptimizer, Weighting};

use crate::{
    ids::InstitutionId,
    time::{as_blocks, blocks},
};
use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;
use serde::{Deserialize, Serialize};
use sp_core::{bounded::BoundedVec, ConstU32};

/// A day, in milliseconds.
const DAY: u64 = 24 * 3_600_000;
/// Most participants one study can have. Masks over participants are `u64`.
pub const MAX_PARTICIPANTS: u32 = 64;
/// Most rounds one study can have.
pub const MAX_ROUNDS: u32 = 1_000;
/// Longest spec, in bytes.
pub const MAX_SPEC_LEN: u32 = 16 * 1024;
/// Sample counts and weights are below this, so that weight times `f32` is exact in `f64`.
pub const MAX_WEIGHT: u32 = 1 << 29;
/// One, in parts per million.
pub const PPM: u32 = 1_000_000;
/// Longest expected training or transfer time a study may ask for, in blocks: thirty days.
pub const MAX_WINDOW: u32 = blocks(30 * DAY);
/// Longest pause, in blocks: 14 days.
pub const PAUSE_BLOCKS: u32 = blocks(14 * DAY);
/// Blocks of a fetch window besides the transfer itself: until a freeze is final and its files are asked for.
pub const FETCH_SLACK: u32 = blocks(12_000);
/// Least grace, in blocks, after the expected end of training.
const LEAST_GRACE: u32 = blocks(20_000);
/// Least time, in blocks, for the initial model, the last evaluation and acknowledgements.
const LEAST_SERVICE: u32 = blocks(40_000);
/// Least time, in blocks, for the keys of a masked sum, and again for its deals.
const LEAST_PAIRING: u32 = blocks(20_000);
/// Least time, in blocks, for what a masked sum needs opened.
const LEAST_REVEAL: u32 = blocks(12_000);
/// Largest blob a study may register, in bytes.
pub const MAX_BLOB_LEN: u64 = 4 << 30;

/// Blocks after the end of a study for which its individual updates stay listed: a day. Who was off in the
/// last round looks at them until then; afterwards every node removes them.
pub const UPDATES_AFTER_END: u32 = blocks(DAY);

/// Most rounds for which holders keep and serve individual updates after a round has closed.
pub const MAX_KEPT_ROUNDS: u32 = 3;

/// What happens when a training window has run out twice without enough updates.
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
pub enum OnStall {
    /// The study pauses, and waits for people.
    Pause,
    /// The round goes on with the updates there are, if these are at least the agreed minimum.
    Shrink,
    /// The study ends.
    Abort,
}

/// The agreement, as far as the chain must understand it. Times are in blocks of the length that a slot had when it was made:
/// [`StudyRules::windows`] says what they are in blocks of today.
///
/// Rules with neither masks nor privacy have the bytes that they had before there were any (`rules/written.rs`), so that what was
/// signed then is what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRules {
    /// `T`: expected time of local training, in blocks, at least 1.
    pub training_blocks: u32,
    /// `X`: expected time of the transfer of all inputs over the slowest link, in blocks, at least 1.
    pub transfer_blocks: u32,
    /// `E`: how long enrolment stays open, in blocks.
    pub enrolment_blocks: u32,
    /// Whether the end of enrolment starts the study when enough have enrolled.
    pub auto_start: bool,
    /// `p`: fewest participants that make a round, at least 2.
    pub min_participants: u32,
    /// Fewest inputs that a merge needs for the liars it is to tolerate: at least [`Merge::needs`].
    pub rule_min: u32,
    /// Rounds after which the study ends, at least 1.
    pub max_rounds: u32,
    /// Cap on any one participant's weight, in parts per million of the sum.
    pub max_share: u32,
    /// Whether a merge closes only with more than two thirds, also at the deadline.
    pub strict: bool,
    /// What happens when a training window ran out twice without enough updates.
    pub on_stall: OnStall,
    /// For how many rounds holders keep and serve individual updates after their round has closed, at most
    /// [`MAX_KEPT_ROUNDS`]. Those of the last closed round stay in any case until the next one has closed: who has found
    /// another merge than the attested one looks at them once more.
    pub keep_updates: u32,
    /// Who may enrol; empty: every participant of the consortium.
    pub invited: BoundedVec<InstitutionId, ConstU32<MAX_PARTICIPANTS>>,
    /// How updates become one model. Weights are capped at `max_share` before use.
    pub merge: Merge,
    /// Length of an update's file in bytes. It follows from the spec.
    pub update_len: u64,
    /// Length of a merged model's file in bytes. It follows from the spec.
    pub merged_len: u64,
    /// Length of a statistics file in bytes, 0 where the spec asks for none. It follows from the spec.
    pub statistics_len: u64,
    /// The study ends early when more than half of weight and roster report a loss at or below this (micro-units).
    pub target: Option<u32>,
    /// The study ends early after this many rounds without a new best round; 0: never.
    pub patience: u32,
    /// Whether updates are masked, so that only their sum can be seen, and what that needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<Masked>,
    /// What is promised of each record or patient, if anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
}

/// Why [`StudyRules::check`] refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo)]
pub enum RulesError {
    /// `training_blocks`, `transfer_blocks` or `enrolment_blocks` is 0 or above [`MAX_WINDOW`].
    Window,
    /// `min_participants` or `rule_min` is above [`MAX_PARTICIPANTS`], or `min_participants` is below 2.
    Participants,
    /// `max_rounds` is 0 or above [`MAX_ROUNDS`].
    Rounds,
    /// `max_share` is 0 or above one.
    Share,
    /// A file length is 0 or above [`MAX_BLOB_LEN`].
    Length,
    /// `invited` is not sorted, repeats itself or names fewer than `min_participants` or `rule_min`.
    Invited,
    /// A declared weight is 0, at or above [`MAX_WEIGHT`], or the list is not sorted by institution without repeats, or
    /// shorter than `min_participants` or `rule_min`.
    Weights,
    /// `keep_updates` is above [`MAX_KEPT_ROUNDS`].
    Kept,
    /// The merge: it can tolerate no liar and is to tolerate some, or one of its numbers is 0 or not below one.
    Merge,
    /// `rule_min` is below what the rule needs, or above `min_participants`.
    RuleMin,
    /// Masked, with another rule than the weighted mean: the others look at each update.
    MaskedRule,
    /// Masked, and to tolerate liars: nobody can see one.
    MaskedLiars,
    /// Masked, with a bound that follows from the updates' own lengths.
    MaskedBound,
    /// Masked, with mixing: it compares updates.
    MaskedMixing,
    /// Masked, with `min_participants` below three: of two each would know the other's update.
    MaskedParticipants,
    /// Masked, with `max_share` above one half: one could be nearly all of the sum.
    MaskedShare,
    /// Masked, with a range outside of [`Masked::RANGES`].
    MaskedRange,
    /// Masked, and the length of a masked file is 0 where there is to be one, or above [`MAX_BLOB_LEN`].
    MaskedLength,
    /// Private, and the rate of the drawing is 0 or above one.
    PrivacyRate,
    /// Private, and a round has no steps, or gradients no length.
    PrivacySteps,
    /// Private, without noise.
    PrivacyNoise,
    /// Private, with a δ that there are no constants of.
    PrivacyDelta,
    /// Private, and a round costs nothing at one of the orders.
    PrivacySpend,
    /// Private, with noise that sites share, and no masks, several steps, other weights than samples, a cap or a norm bound: what is
    /// summed would not have all of the noise.
    PrivacyShared,
    /// Private, with what tells of single sites' rows uncounted: statistics, or an end by losses.
    PrivacyFigures,
    /// Private, with colluders where each site adds all noise; or with shared noise, and none or so many that they could take masks off.
    PrivacyColluders,
}

/// Everything that follows from the rules and the number of validators at registration, in blocks as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// `T`: expected time of local training.
    pub expected: u32,
    /// `G`: grace after the expected end of training.
    pub grace: u32,
    /// `L`: training limit.
    pub training: u32,
    /// `F`: fetch window.
    pub fetch: u32,
    /// `A`: attestation limit of the first attempt.
    pub attest: u32,
    /// `S`: init, evaluation and acknowledgement.
    pub service: u32,
    /// `Q`: keys of a masked sum, and again its deals.
    pub pairing: u32,
    /// `R`: what a masked sum needs opened.
    pub reveal: u32,
}

impl StudyRules {
    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// The first thing that does not, by name.
    pub fn check(&self) -> Result<(), RulesError> {
        let window = |w: u32| w == 0 || w > MAX_WINDOW;
        if window(self.training_blocks) || window(self.transfer_blocks) || window(self.enrolment_blocks) {
            return Err(RulesError::Window);
        }
        if self.min_participants < 2 || self.min_participants > MAX_PARTICIPANTS || self.rule_min > MAX_PARTICIPANTS {
            return Err(RulesError::Participants);
        }
        if self.max_rounds == 0 || self.max_rounds > MAX_ROUNDS {
            return Err(RulesError::Rounds);
        }
        if self.max_share == 0 || self.max_share > PPM {
            return Err(RulesError::Share);
        }
        let length = |l: u64| l == 0 || l > MAX_BLOB_LEN;
        if length(self.update_len) || length(self.merged_len) || self.statistics_len > MAX_BLOB_LEN {
            return Err(RulesError::Length);
        }
        let needed = self.min_participants.max(self.rule_min);
        if !strictly_sorted(&self.invited) || (!self.invited.is_empty() && (self.invited.len() as u32) < needed) {
            return Err(RulesError::Invited);
        }
        if self.keep_updates > MAX_KEPT_ROUNDS {
            return Err(RulesError::Kept);
        }
        // first, so that each of these is named
        self.check_confidential()?;
        if !self.merge.sane() {
            return Err(RulesError::Merge);
        }
        if self.rule_min > self.min_participants || self.merge.needs().is_none_or(|needs| needs > self.rule_min.max(1))
        {
            return Err(RulesError::RuleMin);
        }
        if let Some(Weighting::Declared(weights)) = self.merge.weighting() {
            let ids: Vec<_> = weights.iter().map(|(id, _)| *id).collect();
            if (weights.len() as u32) < needed
                || !strictly_sorted(&ids)
                || weights.iter().any(|(_, w)| *w == 0 || *w >= MAX_WEIGHT)
            {
                return Err(RulesError::Weights);
            }
        }
        Ok(())
    }

    /// The derived windows, for a chain with `validators` validators and slots of `slot_millis` milliseconds at registration.
    /// `2V + 2` is in blocks, not in time: each validator has two slots, so that no one keeps a vote out.
    pub fn windows(&self, validators: u32, slot_millis: u32) -> Windows {
        let t = as_blocks(self.training_blocks, slot_millis);
        let each_twice = validators.saturating_mul(2).saturating_add(2);
        let grace = (t / 2).max(each_twice).max(LEAST_GRACE);
        let fetch = as_blocks(self.transfer_blocks, slot_millis).saturating_add(FETCH_SLACK);
        Windows {
            expected: t,
            grace,
            training: t.saturating_mul(3).saturating_add(grace),
            fetch,
            attest: fetch.saturating_mul(2),
            service: (t / 4).max(fetch).max(LEAST_SERVICE),
            pairing: (t / 4).max(each_twice.saturating_add(2)).max(LEAST_PAIRING),
            reveal: each_twice.saturating_add(2).max(LEAST_REVEAL),
        }
    }

    /// `k`: how many updates a round needs to freeze, with `n` on the roster.
    pub fn freeze_needs(&self, n: u32) -> u32 {
        self.min_participants.max((n / 2).saturating_add(1)).max(self.rule_min)
    }

    /// `j`: how many equal roots close a merge of `m` inputs at its deadline.
    pub fn close_late(&self, m: u32) -> u32 {
        if self.strict {
            close_at_once(m)
        } else {
            (m / 2).saturating_add(1)
        }
    }

    /// The weight of one participant before the cap. `None`: it has no place in the declared weights.
    pub fn raw_weight(&self, who: &InstitutionId, samples: u32) -> Option<u32> {
        match self.merge.weighting() {
            None | Some(Weighting::Equal) => Some(1),
            Some(Weighting::Samples) => Some(samples),
            Some(Weighting::Declared(list)) => list.iter().find(|(id, _)| id == who).map(|(_, w)| *w),
        }
    }
}

fn strictly_sorted<I: Ord>(ids: &[I]) -> bool {
    ids.iter().zip(ids.iter().skip(1)).all(|(a, b)| a < b)
}

/// `q`: how many equal roots close a merge of `m` inputs at once.
pub fn close_at_once(m: u32) -> u32 {
    (m.saturating_mul(2) / 3).saturating_add(1)
}

/// `f`: how many liars among `m` a merge survives.
pub fn liars_survived(m: u32) -> u32 {
    m.saturating_sub(1) / 3
}

/// `h`: how many holders other than the author keep an input, and how many voices make it invalid.
pub fn holders_needed(m: u32) -> u32 {
    liars_survived(m).saturating_add(1)
}

/// Caps each weight at `max_share` parts per million of the capped sum (water filling from the largest down).
///
/// Weights stay in the order given; none becomes 0. Where the cap cannot hold, because there are fewer than
/// `1/max_share` participants, all weights become equal.
pub fn capped(weights: &[u32], max_share: u32) -> Vec<u32> {
    let mut sorted: Vec<u64> = weights.iter().map(|w| u64::from(*w)).collect();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let mut rest: u64 = sorted.iter().fold(0, |sum, w| sum.saturating_add(*w));
    let (share, one) = (u64::from(max_share), u64::from(PPM));
    let mut capped_share: u64 = 0;
    for (index, largest) in sorted.iter().enumerate() {
        // with the `index` largest at the cap c: c = share * (index * c + rest)
        if index == 0 {
            if largest.saturating_mul(one) <= share.saturating_mul(rest) {
                return weights.to_vec();
            }
        } else {
            let Some(room) = one.checked_sub(capped_share).filter(|room| *room > 0) else { break };
            let cap = share.saturating_mul(rest).checked_div(room).unwrap_or(0);
            if *largest <= cap {
                let cap = cap.max(1).min(u64::from(u32::MAX)) as u32;
                return weights.iter().map(|w| (*w).min(cap).max(1)).collect();
            }
        }
        rest = rest.saturating_sub(*largest);
        capped_share = capped_share.saturating_add(share);
    }
    weights.iter().map(|_| 1).collect()
}

/// [`capped`], and so that the `liars` largest together stay below half of the sum: where they would not, everyone counts
/// once. With at least `2·liars + 1` weights that always holds.
pub fn capped_against(weights: &[u32], max_share: u32, liars: u32) -> Vec<u32> {
    // f times a share below one half over f is below one half
    let half = (PPM / 2).saturating_sub(1).checked_div(liars);
    let capped = capped(weights, half.map_or(max_share, |half| half.clamp(1, max_share)));
    let mut sorted = capped.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let sum = |weights: &[u32]| weights.iter().fold(0u64, |sum, w| sum.saturating_add(u64::from(*w)));
    let largest = sorted.get(..liars as usize).map_or(u64::MAX, sum);
    if liars == 0 || largest.saturating_mul(2) < sum(&sorted) {
        capped
    } else {
        weights.iter().map(|_| 1).collect()
    }
}
