//! The first common model, the end of a round, the choice of the best one, and the certificate.

use super::{bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    rules::{capped_against, close_at_once, liars_survived, PPM},
    vote::{Marks, VoteBody},
};
use alloc::{boxed::Box, vec, vec::Vec};

impl Study {
    pub(super) fn open_init(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let roster = self.active();
        if roster.count_ones() < self.rules.freeze_needs(roster.count_ones()) {
            return self.pause(around, PauseReason::TooFewMembers, Back::Init);
        }
        let until = around.now().saturating_add(self.windows().service);
        self.opened_at = around.now();
        self.phase = Phase::Init { roster, votes: PerMember::new(), until };
        vec![Effect::InitOpened]
    }

    pub(super) fn init_vote(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        body: VoteBody,
    ) -> Step {
        let Phase::Init { votes, .. } = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let VoteBody::Root(root) = body else { return Err(Refusal::WrongAnswer) };
        votes.try_push((index, root)).map_err(|_| Refusal::Full)?;
        let mut effects = vec![Effect::Attested { who, root }];
        effects.extend(self.after_init_vote(around));
        Ok(effects)
    }

    pub(super) fn after_init_vote(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let active = self.active();
        let Phase::Init { roster, votes, .. } = &self.phase else { return Vec::new() };
        let q = close_at_once(roster.count_ones());
        let voted = votes.iter().fold(0, |mask, (i, _)| mask | bit(*i));
        let settled = leading(votes).is_some_and(|(_, n)| n >= q) || roster & active & !voted == 0;
        if settled {
            self.settle_init(around)
        } else {
            Vec::new()
        }
    }

    pub(super) fn settle_init(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Init { roster, votes, .. } = &self.phase else { return Vec::new() };
        let j = self.rules.close_late(roster.count_ones());
        let Some((root, _)) = leading(votes).filter(|(_, n)| *n >= j) else {
            return self.pause(around, PauseReason::NoCommonStart, Back::Init);
        };
        let mut record = RoundRecord {
            kind: Kind::Model,
            round: 0,
            base: self.base,
            inputs: PerMember::new(),
            inputs_root: Hash::zero(),
            root,
            marks: Marks::default(),
            attesters: PerMember::new(),
            dissenters: PerMember::new(),
            silent: PerMember::new(),
            dropped: PerMember::new(),
            attempts: 1,
            opened_at: self.opened_at,
            frozen_at: self.opened_at,
            closed_at: around.now(),
            masked: None,
        };
        for (index, member) in (0u8..).zip(self.members.iter()).filter(|(i, _)| roster & bit(*i) != 0) {
            // bounded like the members
            let _ = match votes.iter().find(|(voter, _)| *voter == index) {
                Some((_, r)) if *r == root => record.attesters.try_push(member.id).is_ok(),
                Some((_, r)) => record.dissenters.try_push((member.id, *r)).is_ok(),
                None => record.silent.try_push(member.id).is_ok(),
            };
        }
        (self.base, self.base_round, self.tries) = (root, 0, 0);
        self.round = 1;
        let mut effects = vec![Effect::Closed(Box::new(record))];
        effects.extend(self.open_collecting(around, Kind::Model, Vec::new(), 0));
        effects
    }

    /// After the merge of a round: the next one, or the last evaluation. Its updates came with losses of the round `evaluated`,
    /// from whose model they were trained.
    pub(super) fn after_round(&mut self, around: &dyn Surroundings, evaluated: u32) -> Vec<Effect> {
        // the round before is compared in the last round too
        if self.stop_rule(around, evaluated) || self.round >= self.rules.max_rounds {
            let roster = self.counted(self.round);
            let until = around.now().saturating_add(self.windows().service);
            self.phase = Phase::FinalEvaluation { roster, reported: 0, until };
            self.after_report(around);
            return vec![Effect::EvaluationOpened];
        }
        self.round = self.round.saturating_add(1);
        self.open_collecting(around, Kind::Model, Vec::new(), 0)
    }

    /// Target or patience, on the newest round that has been evaluated: the one that the merge just closed stands on. The
    /// initial model is no round.
    fn stop_rule(&mut self, around: &dyn Surroundings, evaluated: u32) -> bool {
        let (newer, stops) = self.judge_round(around, evaluated);
        self.best = newer.or(self.best);
        stops
    }

    /// Whether the present round is the last one, as far as can be said while it merges: what the rules need is known then.
    pub(super) fn is_last(&self, around: &dyn Surroundings) -> bool {
        self.round >= self.rules.max_rounds || self.judge_round(around, self.base_round).1
    }

    /// The best round, where enough have judged the one `evaluated`, and whether training stops.
    fn judge_round(&self, around: &dyn Surroundings, evaluated: u32) -> (Option<u32>, bool) {
        if evaluated == 0 {
            return (None, false);
        }
        let voters = self.electorate(self.counted(self.round));
        let newer = best_round(self.best, evaluated, &voters, |round| around.losses(round));
        if let Some(target) = self.rules.target {
            let losses = around.losses(evaluated);
            let reached: Vec<_> =
                voters.iter().filter(|(id, _)| losses.iter().any(|(who, loss)| who == id && *loss <= target)).collect();
            if more_than_half(&reached, &voters) {
                return (newer, true);
            }
        }
        // a round that too few have judged says nothing about the others
        let patience = self.rules.patience;
        (newer, patience > 0 && newer.is_some_and(|best| evaluated.saturating_sub(best) >= patience))
    }

    /// Members of a mask with their weights, capped so that neither one of them nor as many liars as a merge survives hold
    /// half of it together.
    fn electorate(&self, mask: Mask) -> Vec<(InstitutionId, u32)> {
        let members: Vec<u8> =
            (0u8..).zip(self.members.iter()).map(|(i, _)| i).filter(|i| mask & bit(*i) != 0).collect();
        let weights = voting_weights(&self.weights(&members));
        members.iter().zip(weights).filter_map(|(i, w)| self.member(*i).map(|m| (m.id, w))).collect()
    }

    pub(super) fn report(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, body: VoteBody) -> Step {
        let round = self.round;
        let Phase::FinalEvaluation { reported, .. } = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        let VoteBody::Metric(metric) = body else { return Err(Refusal::WrongAnswer) };
        *reported |= bit(index);
        self.after_report(around);
        Ok(metric.map(|value| Effect::Loss { round, who, value }).into_iter().collect())
    }

    /// Where all have reported, the choice is due in the next block: the last report is stored by then.
    pub(super) fn after_report(&mut self, around: &dyn Surroundings) {
        let active = self.active();
        let Phase::FinalEvaluation { roster, reported, until } = &mut self.phase else { return };
        if *roster & active & !*reported == 0 {
            *until = (*until).min(around.now().saturating_add(1));
        }
    }

    /// Chooses the canonical round: the best of those that enough have judged; the last one where there is none.
    pub(super) fn choose(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::FinalEvaluation { roster, .. } = self.phase else { return Vec::new() };
        let voters = self.electorate(roster);
        self.best = best_round(self.best, self.round, &voters, |round| around.losses(round)).or(self.best);
        let (round, root) = self
            .best
            .filter(|round| *round != self.round)
            .and_then(|round| around.root(round).map(|root| (round, root)))
            .unwrap_or((self.round, self.base));
        let mut effects = vec![Effect::Canonical { round, root }];
        effects.extend(self.open_certifying(around, roster, round, root, 0));
        effects
    }

    pub(super) fn open_certifying(
        &mut self,
        around: &dyn Surroundings,
        roster: Mask,
        round: u32,
        root: Hash,
        held: Mask,
    ) -> Vec<Effect> {
        let roster = roster & self.active();
        let until = around.now().saturating_add(self.windows().service);
        let held = held & roster;
        self.phase = Phase::Certifying(Certifying { roster, round, root, held, until, extended: false });
        self.after_acknowledgement()
    }

    pub(super) fn acknowledge(&mut self, index: u8, who: InstitutionId, body: VoteBody) -> Step {
        let VoteBody::Held(_) = body else { return Err(Refusal::WrongAnswer) };
        let held = match &mut self.phase {
            Phase::Certifying(c) => &mut c.held,
            Phase::Completed(c) => &mut c.held,
            _ => return Err(Refusal::NoSuchDuty),
        };
        *held |= bit(index);
        let mut effects = vec![Effect::Acknowledged { who }];
        effects.extend(self.after_acknowledgement());
        Ok(effects)
    }

    pub(super) fn after_acknowledgement(&mut self) -> Vec<Effect> {
        let Phase::Certifying(c) = &self.phase else { return Vec::new() };
        if c.roster != 0 && c.roster & !c.held == 0 {
            self.complete()
        } else {
            Vec::new()
        }
    }

    pub(super) fn certify_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let window = self.windows().service;
        let Phase::Certifying(c) = &mut self.phase else { return Vec::new() };
        let n = c.roster.count_ones();
        if n > 0 && c.held.count_ones() >= self.rules.close_late(n) {
            return self.complete();
        }
        if !c.extended {
            c.extended = true;
            c.until = around.now().saturating_add(window);
            let silent = c.roster & !c.held;
            return vec![Effect::Extended { silent: self.named(silent) }];
        }
        let back = Back::Certifying { roster: c.roster, round: c.round, root: c.root, held: c.held };
        self.pause(around, PauseReason::NotHeld, back)
    }

    fn complete(&mut self) -> Vec<Effect> {
        let Phase::Certifying(c) = &self.phase else { return Vec::new() };
        let certificate = Certificate { round: c.round, root: c.root, roster: c.roster, held: c.held };
        let effect = Effect::Completed { round: c.round, root: c.root };
        self.phase = Phase::Completed(certificate);
        vec![effect]
    }
}

fn leading(votes: &[(u8, Hash)]) -> Option<(Hash, u32)> {
    let count = |root: &Hash| votes.iter().filter(|(_, r)| r == root).count() as u32;
    votes.iter().map(|(_, root)| (*root, count(root))).max_by_key(|(_, n)| *n)
}

/// Weights as they count where rounds are judged: capped so that neither one site nor as many liars as a merge survives hold
/// half together.
pub fn voting_weights(weights: &[u32]) -> Vec<u32> {
    capped_against(weights, PPM, liars_survived(weights.len() as u32).max(1))
}

fn weight_of<'a>(voters: impl IntoIterator<Item = &'a (InstitutionId, u32)>) -> u64 {
    voters.into_iter().fold(0u64, |sum, (_, w)| sum.saturating_add(u64::from(*w)))
}

/// More than half of the weight, and more than half of the heads.
fn more_than_half(some: &[&(InstitutionId, u32)], all: &[(InstitutionId, u32)]) -> bool {
    some.len().saturating_mul(2) > all.len() && weight_of(some.iter().copied()).saturating_mul(2) > weight_of(all)
}

/// The better one of the best round so far and `newest`, the newest one that has been evaluated. `None` where too few have
/// reported the newest one: then nothing changes.
///
/// A site that reported both rounds gives its gain loss(newest) − loss(best so far). The score of the best so far is the lower
/// weighted median of the gains, weights being capped anew among those that reported, where they hold more than half of the
/// weight and of the roster; it stays the best where that is above 0, so that the newest wins on a tie, and where too few
/// have reported both.
///
/// Each round is compared once, with one other one: a file that was not the better one is never asked for again.
pub fn best_round(
    best: Option<u32>,
    newest: u32,
    voters: &[(InstitutionId, u32)],
    losses: impl Fn(u32) -> Vec<(InstitutionId, u32)>,
) -> Option<u32> {
    let now = losses(newest);
    median_gain(&now, &now, voters)?;
    let stays = best.filter(|best| median_gain(&losses(*best), &now, voters).is_some_and(|gain| gain > 0));
    Some(stays.unwrap_or(newest))
}

/// The lower weighted median of what sites had less loss then than now; `None` where those that reported both are too few.
fn median_gain(
    then: &[(InstitutionId, u32)],
    now: &[(InstitutionId, u32)],
    voters: &[(InstitutionId, u32)],
) -> Option<i64> {
    let find = |list: &[(InstitutionId, u32)], who: &InstitutionId| {
        list.iter().find(|(id, _)| id == who).map(|(_, loss)| i64::from(*loss))
    };
    let gains: Vec<(i64, &(InstitutionId, u32))> = voters
        .iter()
        .filter_map(|voter| Some((find(now, &voter.0)?.saturating_sub(find(then, &voter.0)?), voter)))
        .collect();
    let reporters: Vec<_> = gains.iter().map(|(_, voter)| *voter).collect();
    if !more_than_half(&reporters, voters) {
        return None;
    }
    // among fewer, a site's share is larger
    let weights = voting_weights(&reporters.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
    let total = weights.iter().fold(0u64, |sum, weight| sum.saturating_add(u64::from(*weight)));
    let mut gains: Vec<(i64, u32)> = gains.iter().map(|(gain, _)| *gain).zip(weights).collect();
    gains.sort_by_key(|(gain, _)| *gain);
    let mut sum = 0u64;
    gains.iter().find_map(|(gain, weight)| {
        sum = sum.saturating_add(u64::from(*weight));
        (sum.saturating_mul(2) >= total).then_some(*gain)
    })
}
