//! Summing: the authors of a fixed set compute the sum of its files from what was opened, and attest what came of it: a merged file
//! with the loss that all sites have reported together, or that the sum cannot be used. The files never change; only the time does.

use super::{ballots::SAME_INPUTS_ATTEMPTS, bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::{Marks, VoidReason},
    rules::close_at_once,
    vote::VoteBody,
};
use alloc::{boxed::Box, vec, vec::Vec};

/// What the ballots on a sum say.
type Ballots = PerMember<Option<SumBallot>>;

impl Summing {
    /// What most say, and how many do. Who cannot sum yet says nothing.
    fn leading(&self) -> Option<(SumBallot, u32)> {
        let mut tally: Vec<(SumBallot, u32)> = Vec::new();
        let said = self.ballots.iter().flatten().filter(|ballot| !matches!(ballot, SumBallot::Partial { .. }));
        for ballot in said {
            match tally.iter_mut().find(|(other, _)| other == ballot) {
                Some((_, votes)) => *votes = votes.saturating_add(1),
                None => tally.push((*ballot, 1)),
            }
        }
        tally.into_iter().max_by_key(|(_, votes)| *votes)
    }
}

impl Study {
    pub(super) fn open_summing(
        &mut self,
        around: &dyn Surroundings,
        set: FixedSet,
        attempt: u32,
        window: u32,
    ) -> Vec<Effect> {
        let mut ballots = PerMember::new();
        for _ in set.inputs.iter() {
            // as many as inputs
            let _ = ballots.try_push(None);
        }
        let began = around.now();
        let until = began.saturating_add(window);
        let frozen = Effect::Frozen { round: self.round, attempt, inputs_root: set.inputs_root };
        self.phase = Phase::Summing(Summing { set, attempt, ballots, window, began, until });
        // the list is told once, where it freezes; attempts of the sum are told as such
        if attempt > 1 {
            vec![frozen]
        } else {
            Vec::new()
        }
    }

    pub(super) fn sum_ballot(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        body: VoteBody,
    ) -> Step {
        let Phase::Summing(s) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let Some((_, slot)) = s.set.inputs.iter().zip(s.ballots.iter_mut()).find(|(i, _)| i.commitment.member == index)
        else {
            return Err(Refusal::NoSuchDuty);
        };
        let effect = match (body, *slot) {
            (VoteBody::Summed { root, pooled }, None | Some(SumBallot::Partial { .. })) => {
                *slot = Some(SumBallot::Summed(root, pooled));
                Effect::Attested { who, root }
            }
            (VoteBody::Void(why), None | Some(SumBallot::Partial { .. })) => {
                *slot = Some(SumBallot::Void(why));
                Effect::CalledVoid { who, why }
            }
            (VoteBody::Partial { have, invalid, not_final }, None) => {
                *slot = Some(SumBallot::Partial { have, invalid });
                Effect::PartialReported { who, have, invalid, not_final }
            }
            (VoteBody::Summed { .. } | VoteBody::Void(_) | VoteBody::Partial { .. }, Some(_)) => {
                return Err(Refusal::AlreadyAnswered);
            }
            _ => return Err(Refusal::WrongAnswer),
        };
        let mut effects = vec![effect];
        effects.extend(self.after_sum_ballot(around));
        Ok(effects)
    }

    pub(super) fn after_sum_ballot(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Summing(s) = &self.phase else { return Vec::new() };
        let agreed = s.leading().is_some_and(|(_, votes)| votes >= close_at_once(s.set.inputs.len() as u32));
        // who says only what it lacks may still sum
        let everyone = s.set.inputs.iter().zip(s.ballots.iter()).all(|(input, ballot)| {
            matches!(ballot, Some(SumBallot::Summed(..) | SumBallot::Void(_)))
                || !self.member(input.commitment.member).is_some_and(|member| member.active)
        });
        if agreed || everyone {
            self.settle_sum(around)
        } else {
            Vec::new()
        }
    }

    pub(super) fn sum_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Summing(s) = &self.phase else { return Vec::new() };
        let silent: Vec<u8> = s
            .set
            .inputs
            .iter()
            .zip(s.ballots.iter())
            .filter(|(_, ballot)| ballot.is_none())
            .map(|(input, _)| input.commitment.member)
            .filter(|index| self.member(*index).is_some_and(|member| member.active))
            .collect();
        let mut effects = Vec::new();
        for index in silent {
            effects.extend(self.strike(index));
        }
        effects.extend(self.settle_sum(around));
        effects
    }

    fn settle_sum(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Summing(s) = &self.phase else { return Vec::new() };
        let j = self.rules.close_late(s.set.inputs.len() as u32);
        let (set, ballots, attempt, window) = (s.set.clone(), s.ballots.clone(), s.attempt, s.window);
        match s.leading().filter(|(_, votes)| *votes >= j).map(|(said, _)| said) {
            Some(SumBallot::Summed(root, pooled)) => self.close_sum(around, set, &ballots, root, pooled),
            Some(SumBallot::Void(why)) => self.void(around, set, &ballots, why),
            Some(SumBallot::Partial { .. }) | None if attempt <= SAME_INPUTS_ATTEMPTS => {
                self.open_summing(around, set, attempt.saturating_add(1), window.saturating_mul(2))
            }
            Some(SumBallot::Partial { .. }) | None => self.pause(around, PauseReason::NoAgreement, Back::Summing(set)),
        }
    }

    /// What stays of a sum, with who has said `settled`.
    fn sum_record(
        &self,
        around: &dyn Surroundings,
        set: &FixedSet,
        ballots: &[Option<SumBallot>],
        settled: SumBallot,
    ) -> RoundRecord {
        let (root, pooled, void) = match settled {
            SumBallot::Summed(root, pooled) => (root, pooled, None),
            SumBallot::Void(why) => (Hash::zero(), None, Some(why)),
            SumBallot::Partial { .. } => (Hash::zero(), None, None),
        };
        let pair = self.masking.pair.as_ref();
        let weight =
            |pair: &Pairing| pair.weights.iter().fold(0u64, |sum, weight| sum.saturating_add(u64::from(*weight)));
        let masked = MaskedRecord {
            pairing: pair.map_or(0, |pair| pair.number),
            listed: pair.map_or(0, Pairing::listed),
            partners: pair.map_or(0, Pairing::dealt),
            weight: pair.map_or(0, weight),
            fixed_at: set.fixed_at,
            evaluated: self.base_round,
            pooled,
            void,
        };
        let mut record = RoundRecord {
            kind: set.kind,
            round: self.round,
            base: self.base,
            inputs: PerMember::new(),
            inputs_root: set.inputs_root,
            root,
            marks: Marks::default(),
            attesters: PerMember::new(),
            dissenters: PerMember::new(),
            silent: PerMember::new(),
            dropped: PerMember::new(),
            attempts: set.attempts,
            opened_at: self.opened_at,
            frozen_at: set.frozen_at,
            closed_at: around.now(),
            masked: Some(masked),
        };
        let said = ballots.iter().copied().chain(core::iter::repeat(None));
        // every list is bounded like the inputs, so no push can fail
        for (input, ballot) in set.inputs.iter().zip(said) {
            let Some(member) = self.member(input.commitment.member) else { continue };
            let _ = record.inputs.try_push(RecordedInput {
                institution: member.id,
                duty: input.commitment.duty,
                root: input.commitment.root,
                weight: input.weight,
                committed_at: input.commitment.at,
            });
            let _ = match ballot {
                Some(ballot) if ballot == settled => record.attesters.try_push(member.id).is_ok(),
                Some(SumBallot::Summed(other, _)) => record.dissenters.try_push((member.id, other)).is_ok(),
                // it found no sum where the others found one, or for another reason
                Some(SumBallot::Void(_)) => record.dissenters.try_push((member.id, Hash::zero())).is_ok(),
                Some(SumBallot::Partial { .. }) | None => record.silent.try_push(member.id).is_ok(),
            };
        }
        for (index, reason) in &set.dropped {
            if let Some(member) = self.member(*index) {
                let _ = record.dropped.try_push((member.id, *reason));
            }
        }
        record
    }

    fn close_sum(
        &mut self,
        around: &dyn Surroundings,
        set: FixedSet,
        ballots: &Ballots,
        root: Hash,
        pooled: Option<u32>,
    ) -> Vec<Effect> {
        let settled = SumBallot::Summed(root, pooled);
        let record = self.sum_record(around, &set, ballots, settled);
        let said = set.inputs.iter().zip(ballots.iter()).fold(0, |mask, (input, ballot)| match ballot {
            Some(SumBallot::Summed(..) | SumBallot::Void(_)) => mask | bit(input.commitment.member),
            Some(SumBallot::Partial { .. }) | None => mask,
        });
        let attempt = match &self.phase {
            Phase::Summing(s) => s.attempt,
            _ => 1,
        };
        self.last = Some(Closed {
            kind: set.kind,
            round: self.round,
            attempt,
            resumed: self.resumed,
            inputs_root: set.inputs_root,
            root,
            marks: Marks::default(),
            authors: set.authors(),
            said,
        });
        (self.masking.pair, self.masking.voids, self.masking.pooled) = (None, 0, pooled);
        self.tries = 0;
        let mut effects = vec![Effect::Closed(Box::new(record))];
        effects.extend(match set.kind {
            Kind::Statistics => {
                self.statistics = Some(root);
                self.open_init(around)
            }
            Kind::Model => {
                let evaluated = self.base_round;
                (self.base, self.base_round) = (root, self.round);
                let stops = self.judge_pooled(evaluated, pooled);
                if stops || self.round >= self.rules.max_rounds {
                    self.open_collecting(around, Kind::Evaluation, Vec::new(), 0)
                } else {
                    self.round = self.round.saturating_add(1);
                    self.open_collecting(around, Kind::Model, Vec::new(), 0)
                }
            }
            Kind::Evaluation => {
                // the last round is over: nothing stops any more
                self.judge_pooled(self.base_round, pooled);
                self.choose_pooled(around)
            }
        });
        effects
    }

    /// A sum cannot be used: nobody has seen an update, and the study stands on what it stood on. Updates are trained anew, since
    /// one that is in two sums could be seen in their difference.
    pub(super) fn void(
        &mut self,
        around: &dyn Surroundings,
        set: FixedSet,
        ballots: &[Option<SumBallot>],
        why: VoidReason,
    ) -> Vec<Effect> {
        let record = self.sum_record(around, &set, ballots, SumBallot::Void(why));
        let mut effects = vec![Effect::Voided(Box::new(record))];
        if let VoidReason::BadDeal { who } = why {
            if let Some(index) = self.position(&who) {
                effects.extend(self.strike(index));
            }
        }
        (self.masking.pair, self.masking.pooled, self.last) = (None, None, None);
        self.tries = 0;
        effects.extend(match set.kind {
            // the same numbers cannot be masked anew
            Kind::Statistics => self.end(AbortReason::StatisticsUnusable),
            Kind::Evaluation => self.choose_pooled(around),
            Kind::Model => {
                self.round = self.round.saturating_add(1);
                self.masking.voids = self.masking.voids.saturating_add(1);
                if self.masking.voids > 1 {
                    self.masking.voids = 0;
                    let back = Back::Collecting { kind: Kind::Model, commitments: PerMember::new(), dropped: 0 };
                    self.pause(around, PauseReason::SumsUnusable, back)
                } else {
                    self.open_collecting(around, Kind::Model, Vec::new(), 0)
                }
            }
        });
        effects
    }
}
