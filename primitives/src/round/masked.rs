//! What is asked in a study with masked sums, and which answers fit.
//!
//! While updates are collected two things are asked at once: the work, whose result goes to the site's own worker alone, and beside it
//! one of Keys, Deal and Mask. Only a failure of the work is told.

use super::{ballots::all_bits, bit, duties::OpenDuty, state::*, Refusal, Study, Surroundings};
use crate::{
    duty::DutyKind,
    ids::{Hash, InstitutionId},
    kinds::VoidReason,
    vote::{Vote, VoteBody},
};

impl Study {
    /// What a site does for a kind of merge, and the model that it does it on.
    pub(super) fn work_of(&self, kind: Kind) -> (DutyKind, Hash) {
        match kind {
            Kind::Statistics => (DutyKind::Statistics, Hash::zero()),
            Kind::Model => (DutyKind::Train, self.base),
            Kind::Evaluation => (DutyKind::Evaluate, self.base),
        }
    }

    /// The work that is asked of `who` beside [`open_duty`](Self::open_duty), where its result is to be masked. Its answer goes to
    /// its own worker, and only a failure of it is voted.
    pub fn open_work(&self, around: &dyn Surroundings, who: &InstitutionId) -> Option<OpenDuty> {
        self.work(around, who).filter(|(_, answered)| !answered).map(|(open, _)| open)
    }

    /// The same, and whether nothing is to come of it any more.
    pub(super) fn work(&self, around: &dyn Surroundings, who: &InstitutionId) -> Option<(OpenDuty, bool)> {
        let index = self.position(who).filter(|_| self.rules.masked.is_some())?;
        let Phase::Collecting(c) = &self.phase else { return None };
        if c.roster & bit(index) == 0 || !self.member(index)?.active {
            return None;
        }
        let (kind, base) = self.work_of(c.kind);
        let open = OpenDuty {
            duty: self.duty_on(around, kind, self.round, who, base),
            attempt: 0,
            resumed: self.resumed,
            partial: false,
            partial_sent: false,
            not_final: false,
            frozen_at: 0,
            lacked: false,
            ahead: None,
        };
        Some((open, c.awaited & bit(index) == 0))
    }

    /// Which of Keys, Deal and Mask a member is asked for, what it stands on, and whether its answer is final.
    pub(super) fn pairing_duty(
        &self,
        around: &dyn Surroundings,
        c: &Collecting,
        index: u8,
    ) -> Option<(DutyKind, Hash, bool)> {
        let pair = self.masking.pair.as_ref().filter(|_| c.roster & bit(index) != 0)?;
        let over = c.awaited & bit(index) == 0;
        match pair.step {
            PairingStep::Keys => {
                Some((DutyKind::Keys, self.context(around, pair), over || pair.keyed() & bit(index) != 0))
            }
            PairingStep::Deal if pair.keyed() & bit(index) != 0 => {
                Some((DutyKind::Deal, pair.keys_root, over || pair.dealt() & bit(index) != 0))
            }
            PairingStep::Paired if pair.dealt() & bit(index) != 0 => Some((DutyKind::Mask, pair.partners_root, over)),
            PairingStep::Deal | PairingStep::Paired => None,
        }
    }

    /// Whether what a vote without bytes says fits a duty of a masked sum, or the work beside it.
    pub(super) fn check_masked(&self, open: &OpenDuty, vote: &Vote) -> Result<(), Refusal> {
        match (vote.kind, vote.body) {
            (DutyKind::Keys, VoteBody::Keys(_)) => Ok(()),
            (
                DutyKind::Keys
                | DutyKind::Deal
                | DutyKind::Mask
                | DutyKind::Statistics
                | DutyKind::Train
                | DutyKind::Evaluate,
                VoteBody::Failure(_),
            ) => Ok(()),
            (DutyKind::Mask, VoteBody::Update { len, metric: None, .. }) => {
                let Phase::Collecting(c) = &self.phase else { return Err(Refusal::NoSuchDuty) };
                if len == self.rules.part_len(c.kind) {
                    Ok(())
                } else {
                    Err(Refusal::WrongLength)
                }
            }
            (DutyKind::Gather, VoteBody::Held(root)) if root != open.duty.base => Err(Refusal::WrongRoot),
            (DutyKind::Gather, VoteBody::Held(_)) => Ok(()),
            // masked files are served before their list is final
            (
                DutyKind::Gather | DutyKind::MergeStatistics | DutyKind::Merge,
                VoteBody::Partial { have, invalid, not_final: false },
            ) => {
                let inputs = match &self.phase {
                    Phase::Gathering(m) => m.inputs.len(),
                    Phase::Summing(s) => s.set.inputs.len(),
                    _ => return Err(Refusal::NoSuchDuty),
                };
                if open.partial_sent {
                    return Err(Refusal::AlreadyAnswered);
                }
                if !open.partial {
                    return Err(Refusal::TooEarly);
                }
                let known = all_bits(inputs);
                if (have | invalid) & !known != 0 || have & invalid != 0 || have == known {
                    Err(Refusal::BadMask)
                } else {
                    Ok(())
                }
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Summed { root, pooled }) => {
                let Phase::Summing(s) = &self.phase else { return Err(Refusal::NoSuchDuty) };
                // figures give no file, statistics no loss
                let fits = match s.set.kind {
                    Kind::Statistics => root != Hash::zero() && pooled.is_none(),
                    Kind::Model => root != Hash::zero(),
                    Kind::Evaluation => root == Hash::zero(),
                };
                if fits {
                    Ok(())
                } else {
                    Err(Refusal::WrongAnswer)
                }
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Void(why)) => {
                let partner = |who: &InstitutionId| {
                    let index = self.position(who);
                    let partners = self.masking.pair.as_ref().map_or(0, Pairing::dealt);
                    index.is_some_and(|index| partners & bit(index) != 0)
                };
                match why {
                    VoidReason::OutOfRange => Ok(()),
                    VoidReason::TooLong if self.rules.merge.bound.is_some() => Ok(()),
                    VoidReason::BadDeal { who } if partner(&who) => Ok(()),
                    // that shares are missing the chain sees itself
                    _ => Err(Refusal::WrongAnswer),
                }
            }
            _ => Err(Refusal::WrongAnswer),
        }
    }
}
