//! What sites say before they are asked, and after: the answer to the duty that follows a merge, in the vote on that merge; and
//! votes on a merge that has closed already.
//!
//! A site that has merged knows the next base: if the chain attests another root, its work is void, else a block is saved. Nothing
//! of it leaves the site before the list that it stands in is frozen, and final; a commitment is public before that, as always. It
//! is made by a signed vote, and binds like any other.

use super::{ballots::all_bits, bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    duty::DutyKind,
    ids::InstitutionId,
    vote::{Next, Vote, VoteBody},
};
use alloc::{vec, vec::Vec};

impl Study {
    /// Whether what a vote says of a merge of so many inputs, and of the duty that follows, can be.
    pub(super) fn check_merged(&self, around: &dyn Surroundings, inputs: usize, vote: &Vote) -> Result<(), Refusal> {
        let (root, marks) = vote.body.merged().ok_or(Refusal::WrongAnswer)?;
        let known = all_bits(inputs);
        // someone must be left; and that nothing was done to any has a word of its own
        let said_otherwise = matches!(vote.body, VoteBody::Marked { .. }) && marks.any() == 0;
        if said_otherwise || marks.any() & !known != 0 || marks.left_out == known {
            return Err(Refusal::BadMask);
        }
        // what is counted is not trained ahead, and no loss is told
        if vote.body.next().is_some() && self.rules.privacy.is_some() {
            return Err(Refusal::WrongAnswer);
        }
        let Some(Next::Update { duty, len, .. }) = vote.body.next() else { return Ok(()) };
        let follows = self.duty_on(around, DutyKind::Train, vote.round.saturating_add(1), &vote.institution, root);
        if duty != follows.hash() {
            Err(Refusal::NoSuchDuty)
        } else if len != self.rules.update_len {
            Err(Refusal::WrongLength)
        } else {
            Ok(())
        }
    }

    /// Whether a vote attests the last merge, by one of its authors that has not attested it yet.
    pub(super) fn check_late(&self, around: &dyn Surroundings, index: u8, vote: &Vote) -> Result<(), Refusal> {
        let last = self.last.as_ref().filter(|_| !self.ended()).ok_or(Refusal::NoSuchDuty)?;
        let kind = match last.kind {
            Kind::Statistics => DutyKind::MergeStatistics,
            Kind::Model | Kind::Evaluation => DutyKind::Merge,
        };
        let duty = self.duty_on(around, kind, last.round, &vote.institution, last.inputs_root);
        let fits = last.authors & bit(index) != 0
            && vote.study == duty.study
            && vote.kind == kind
            && vote.round == duty.round
            && vote.attempt == last.attempt
            && vote.resumed == last.resumed
            && vote.duty == duty.hash();
        if !fits {
            return Err(Refusal::NoSuchDuty);
        }
        if last.said & bit(index) != 0 {
            return Err(Refusal::AlreadyAnswered);
        }
        let masked = self.rules.masked.is_some();
        match (kind, vote.body) {
            (_, VoteBody::Summed { .. }) if masked => Ok(()),
            // that it was no sum is nothing to anyone now
            (_, VoteBody::Void(_)) if masked => Err(Refusal::NoSuchDuty),
            (_, VoteBody::Root(_)) if !masked => Ok(()),
            (DutyKind::Merge, VoteBody::Marked { .. } | VoteBody::Ahead { .. }) if !masked => {
                self.check_merged(around, last.authors.count_ones() as usize, vote)
            }
            // what it lacked then is nothing to anyone now
            (_, VoteBody::Partial { .. }) => Err(Refusal::NoSuchDuty),
            _ => Err(Refusal::WrongAnswer),
        }
    }

    /// A member attests the last merge, which has closed; what it says of the next duty counts if that is still open.
    pub(super) fn attest_late(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        body: VoteBody,
    ) -> Step {
        let last = self.last.as_mut().ok_or(Refusal::NoSuchDuty)?;
        let (root, marks) = body.merged().ok_or(Refusal::WrongAnswer)?;
        last.said |= bit(index);
        let pooled = match body {
            VoteBody::Summed { pooled, .. } => pooled,
            _ => self.masking.pooled,
        };
        let agrees = (root, marks) == (last.root, last.marks) && pooled == self.masking.pooled;
        let mut effects = vec![Effect::AttestedLate { kind: last.kind, round: last.round, who, root, agrees }];
        if let Some(next) = body.next().filter(|_| agrees) {
            effects.extend(self.take_ahead(around, &[(index, next)]));
        }
        Ok(effects)
    }

    /// Counts what members have answered ahead to what is asked of them now. What is asked otherwise is asked anew.
    pub(super) fn take_ahead(&mut self, around: &dyn Surroundings, ahead: &[(u8, Next)]) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut committed = false;
        for (index, next) in ahead {
            let Some(who) = self.member(*index).map(|member| member.id) else { continue };
            let Some(open) = self.open_duty(around, &who) else { continue };
            let round = self.round;
            match (next, &mut self.phase) {
                (Next::Update { duty, root, metric, .. }, Phase::Collecting(_)) if open.duty.hash() == *duty => {
                    let commitment = Commitment { member: *index, duty: *duty, root: *root, at: around.now() };
                    // a roster is as long as the list
                    let taken = self.committed(who, commitment, *metric);
                    committed |= taken.is_ok();
                    effects.extend(taken.into_iter().flatten());
                }
                (Next::Last { metric }, Phase::FinalEvaluation { reported, .. }) => {
                    *reported |= bit(*index);
                    effects.extend(metric.map(|value| Effect::Loss { round, who, value }));
                    self.after_report(around);
                }
                _ => {}
            }
        }
        if committed {
            effects.extend(self.after_commitment(around));
        }
        effects
    }
}
