//! What is open for whom, and votes on it.

use super::{ballots::all_bits, bit, state::*, Refusal, Step, Study, Surroundings};
use crate::{
    duty::{held_bit, Ahead, Duty, DutyKind, HELD_BASE},
    ids::{Hash, InstitutionId},
    vote::{Vote, VoteBody},
};

/// The duty that is open for one participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenDuty {
    /// The duty.
    pub duty: Duty,
    /// Attempt of a merge, else 0.
    pub attempt: u32,
    /// How often the study was taken up again after a pause.
    pub resumed: u32,
    /// Whether missing inputs may be reported now.
    pub partial: bool,
    /// Whether missing inputs were reported already.
    pub partial_sent: bool,
    /// Whether that report said that the freeze is not final there: only one that says that it is may follow.
    pub not_final: bool,
    /// Block of the freeze that a merge stands on, else 0.
    pub frozen_at: u32,
    /// Whether it was said to be there without the model that the study stands on: only that this is here may follow.
    pub lacked: bool,
    /// What is asked after this merge, if it is attested as this member computes it.
    pub ahead: Option<Ahead>,
}

/// When a vote comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timely {
    /// It answers the open duty.
    Now,
    /// It attests the last merge, which has closed.
    Late,
}

impl Study {
    /// What is asked of `who` now, and answered by a vote. At most one thing at a time;
    /// [`open_work`](Self::open_work) may be beside it.
    pub fn open_duty(&self, around: &dyn Surroundings, who: &InstitutionId) -> Option<OpenDuty> {
        let (mut open, answered) = self.duty(around, who)?;
        if answered {
            return None;
        }
        // what is masked cannot be trained ahead: the next round's partners are not known; what is counted must not be, since it would
        // cost the same if nobody took it
        if open.duty.kind == DutyKind::Merge && self.rules.masked.is_none() && self.rules.privacy.is_none() {
            open.ahead =
                Some(if self.is_last(around) { Ahead::Evaluate } else { Ahead::Train { len: self.rules.update_len } });
        }
        Some(open)
    }

    /// The duty of the present state, and whether its answer is final.
    pub(super) fn duty(&self, around: &dyn Surroundings, who: &InstitutionId) -> Option<(OpenDuty, bool)> {
        let index = self.position(who)?;
        if !self.member(index)?.active {
            return None;
        }
        let mine = bit(index);
        let mut attempt = 0;
        let (mut partial, mut partial_sent, mut not_final, mut frozen_at, mut lacked) = (false, false, false, 0, false);
        let (kind, round, base, answered) = match &self.phase {
            Phase::Collecting(c) if self.rules.masked.is_some() => {
                let (kind, base, answered) = self.pairing_duty(around, c, index)?;
                (kind, self.round, base, answered)
            }
            Phase::Collecting(c) if c.roster & mine != 0 => {
                let (kind, base) = self.work_of(c.kind);
                (kind, self.round, base, c.awaited & mine == 0)
            }
            Phase::Init { roster, votes, .. } if roster & mine != 0 => {
                (DutyKind::Init, 0, Hash::zero(), votes.iter().any(|(voter, _)| *voter == index))
            }
            Phase::Merging(m) => {
                let ballot = m.inputs.iter().zip(m.ballots.iter()).find(|(i, _)| i.commitment.member == index)?.1;
                attempt = m.attempt;
                partial_sent = matches!(ballot, Some(Ballot::Partial { .. }));
                let fetch = self.windows().fetch;
                not_final = matches!(ballot, Some(Ballot::Partial { not_final: true, .. }));
                partial = not_final || !partial_sent && around.now() >= m.began.saturating_add(fetch);
                frozen_at = m.frozen_at;
                let kind = match m.kind {
                    Kind::Statistics => DutyKind::MergeStatistics,
                    Kind::Model | Kind::Evaluation => DutyKind::Merge,
                };
                (kind, self.round, m.inputs_root, matches!(ballot, Some(Ballot::Root(..))))
            }
            Phase::Gathering(m) => {
                let ballot = m.inputs.iter().zip(m.ballots.iter()).find(|(i, _)| i.commitment.member == index)?.1;
                attempt = m.attempt;
                partial_sent = matches!(ballot, Some(Ballot::Partial { .. }));
                // masked files are served before their list is final
                partial = !partial_sent && around.now() >= m.began.saturating_add(self.windows().fetch);
                (DutyKind::Gather, self.round, m.inputs_root, matches!(ballot, Some(Ballot::Root(..))))
            }
            Phase::Revealing(r) if r.set.authors() & mine != 0 => {
                (DutyKind::Reveal, self.round, r.set.inputs_root, r.set.posted() & mine != 0)
            }
            Phase::Summing(s) => {
                let ballot = s.set.inputs.iter().zip(s.ballots.iter()).find(|(i, _)| i.commitment.member == index)?.1;
                attempt = s.attempt;
                partial_sent = matches!(ballot, Some(SumBallot::Partial { .. }));
                partial = !partial_sent && around.now() >= s.began.saturating_add(self.windows().fetch);
                let kind = match s.set.kind {
                    Kind::Statistics => DutyKind::MergeStatistics,
                    Kind::Model | Kind::Evaluation => DutyKind::Merge,
                };
                let answered = matches!(ballot, Some(SumBallot::Summed(..) | SumBallot::Void(_)));
                (kind, self.round, s.set.inputs_root, answered)
            }
            Phase::FinalEvaluation { roster, reported, .. } if roster & mine != 0 => {
                (DutyKind::Evaluate, self.round, self.base, reported & mine != 0)
            }
            Phase::Certifying(c) if c.roster & mine != 0 => {
                (DutyKind::Acknowledge, c.round, c.root, c.held & mine != 0)
            }
            Phase::Completed(c) if c.roster & mine != 0 => (DutyKind::Acknowledge, c.round, c.root, c.held & mine != 0),
            Phase::Paused(p) if p.roster & mine != 0 && self.asks_who_is_there(around.now(), p) => {
                let (newest, base) = self.needed(&p.back);
                let said = self.presence.held_by(index);
                let answered = said.is_some_and(|held| held & HELD_BASE != 0 || base == Hash::zero());
                lacked = said.is_some() && !answered;
                (DutyKind::Present, newest, base, answered)
            }
            _ => return None,
        };
        let duty = self.duty_on(around, kind, round, who, base);
        let resumed = self.resumed;
        let ahead = None;
        Some((
            OpenDuty { duty, attempt, resumed, partial, partial_sent, not_final, frozen_at, lacked, ahead },
            answered,
        ))
    }

    /// A duty of this study.
    pub(super) fn duty_on(
        &self,
        around: &dyn Surroundings,
        kind: DutyKind,
        round: u32,
        who: &InstitutionId,
        base: Hash,
    ) -> Duty {
        let statistics = match kind {
            DutyKind::Train | DutyKind::Evaluate => self.statistics.unwrap_or_default(),
            _ => Hash::zero(),
        };
        Duty {
            kind,
            genesis: around.genesis(),
            study: around.study(),
            agreement: around.agreement(),
            round,
            institution: *who,
            base,
            statistics,
        }
    }

    /// Whether a vote would be taken now: all of the check in a transaction pool but the signature. Nothing that passes
    /// here is refused afterwards, for a refused vote would stay valid, and could be sent again for ever.
    ///
    /// # Errors
    /// Why not.
    pub fn check_vote(&self, around: &dyn Surroundings, vote: &Vote) -> Result<(), Refusal> {
        self.timely(around, vote).map(|_| ())
    }

    /// The same; says whether it answers what is open, or comes late.
    fn timely(&self, around: &dyn Surroundings, vote: &Vote) -> Result<Timely, Refusal> {
        let index = self.position(&vote.institution).ok_or(Refusal::NotAMember)?;
        if !self.member(index).is_some_and(|m| m.active) {
            return Err(Refusal::NotAMember);
        }
        let Some((open, answered)) = self.named_by(around, vote) else {
            return self.check_late(around, index, vote).map(|()| Timely::Late);
        };
        if answered {
            return Err(Refusal::AlreadyAnswered);
        }
        self.check_body(around, &open, vote).map(|()| Timely::Now)
    }

    /// The duty, of those that its author has, that a vote names, and whether its answer is final.
    fn named_by(&self, around: &dyn Surroundings, vote: &Vote) -> Option<(OpenDuty, bool)> {
        let named = |(open, _): &(OpenDuty, bool)| {
            vote.study == open.duty.study
                && vote.kind == open.duty.kind
                && vote.round == open.duty.round
                && vote.attempt == open.attempt
                && vote.resumed == open.resumed
                && vote.duty == open.duty.hash()
        };
        let beside = || self.work(around, &vote.institution).filter(named);
        self.duty(around, &vote.institution).filter(named).or_else(beside)
    }

    /// The author of a vote, by position, and the duty that it answers, where that is open.
    pub(super) fn open_for(&self, around: &dyn Surroundings, vote: &Vote) -> Result<(u8, OpenDuty), Refusal> {
        let index = self.position(&vote.institution).ok_or(Refusal::NotAMember)?;
        if !self.member(index).is_some_and(|m| m.active) {
            return Err(Refusal::NotAMember);
        }
        match self.named_by(around, vote) {
            None => Err(Refusal::NoSuchDuty),
            Some((_, true)) => Err(Refusal::AlreadyAnswered),
            Some((open, false)) => Ok((index, open)),
        }
    }

    /// Whether what a vote says fits the duty that is open.
    fn check_body(&self, around: &dyn Surroundings, open: &OpenDuty, vote: &Vote) -> Result<(), Refusal> {
        self.check_spending(around, vote)?;
        let as_ever = matches!(vote.kind, DutyKind::Init | DutyKind::Acknowledge | DutyKind::Present);
        if self.rules.masked.is_some() && !as_ever {
            return self.check_masked(open, vote);
        }
        match (vote.kind, vote.body) {
            (DutyKind::Statistics, VoteBody::Update { len, .. }) if len != self.rules.statistics_len => {
                Err(Refusal::WrongLength)
            }
            (DutyKind::Train, VoteBody::Update { len, .. }) if len != self.rules.update_len => {
                Err(Refusal::WrongLength)
            }
            (DutyKind::Statistics | DutyKind::Train, VoteBody::Update { .. } | VoteBody::Failure(_))
            | (DutyKind::Init, VoteBody::Root(_))
            | (DutyKind::Evaluate, VoteBody::Metric(_)) => Ok(()),
            (DutyKind::Acknowledge, VoteBody::Held(root)) if root != open.duty.base => Err(Refusal::WrongRoot),
            (DutyKind::Acknowledge, VoteBody::Held(_)) => Ok(()),
            (DutyKind::Present, VoteBody::Present { held }) => {
                let newest = open.duty.round;
                let known = (0..=newest).rev().map(|round| held_bit(newest, round)).take_while(|one| *one != 0);
                if held & !known.fold(HELD_BASE, |mask, one| mask | one) != 0 {
                    Err(Refusal::BadMask)
                } else if open.lacked && held & HELD_BASE == 0 {
                    Err(Refusal::AlreadyAnswered)
                } else {
                    Ok(())
                }
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Root(_)) => Ok(()),
            (DutyKind::Merge, VoteBody::Marked { .. } | VoteBody::Ahead { .. }) => {
                let Phase::Merging(m) = &self.phase else { return Err(Refusal::NoSuchDuty) };
                self.check_merged(around, m.inputs.len(), vote)
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Partial { not_final, .. })
                if open.partial_sent && (not_final || !open.not_final) =>
            {
                Err(Refusal::AlreadyAnswered)
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Partial { .. }) if !open.partial => {
                Err(Refusal::TooEarly)
            }
            (DutyKind::MergeStatistics | DutyKind::Merge, VoteBody::Partial { have, invalid, .. }) => {
                let Phase::Merging(m) = &self.phase else { return Err(Refusal::NoSuchDuty) };
                let known = all_bits(m.inputs.len());
                let odd = (have | invalid) & !known != 0 || have & invalid != 0 || have == known;
                if odd {
                    Err(Refusal::BadMask)
                } else {
                    Ok(())
                }
            }
            _ => Err(Refusal::WrongAnswer),
        }
    }

    pub(super) fn vote(&mut self, around: &dyn Surroundings, vote: Vote) -> Step {
        let timely = self.timely(around, &vote)?;
        let index = self.position(&vote.institution).ok_or(Refusal::NotAMember)?;
        let (who, body) = (vote.institution, vote.body);
        if timely == Timely::Late {
            return self.attest_late(around, index, who, body);
        }
        let masked = self.rules.masked.is_some();
        match vote.kind {
            DutyKind::Keys => match body {
                VoteBody::Keys(keys) => self.keyed(around, index, who, keys),
                _ => self.commit(around, index, who, vote.duty, body),
            },
            DutyKind::Deal | DutyKind::Mask => self.commit(around, index, who, vote.duty, body),
            DutyKind::Evaluate if masked => self.commit(around, index, who, vote.duty, body),
            DutyKind::Gather => self.gathered(around, index, who, body),
            DutyKind::MergeStatistics | DutyKind::Merge if masked => self.sum_ballot(around, index, who, body),
            // it comes with bytes
            DutyKind::Reveal => Err(Refusal::WrongAnswer),
            DutyKind::Statistics | DutyKind::Train => self.commit(around, index, who, vote.duty, body),
            DutyKind::Init => self.init_vote(around, index, who, body),
            DutyKind::MergeStatistics | DutyKind::Merge => self.ballot(around, index, who, body),
            DutyKind::Evaluate => self.report(around, index, who, body),
            DutyKind::Acknowledge => self.acknowledge(index, who, body),
            DutyKind::Present => self.present(around, index, who, body),
        }
    }
}
