//! Studies in the layout in which chains kept them before pauses ended by themselves, and what they are now.

use super::{Back, Certificate, Certifying, Collecting, Mask, Member, Merging, PauseReason, PerMember};
use crate::{
    ids::{Hash, InstitutionId},
    rules::StudyRules,
};
use codec::{Decode, Encode};

/// [`super::Study`] of then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)] // as there
pub struct Study {
    pub proposer: InstitutionId,
    pub rules: StudyRules,
    pub validators: u32,
    pub members: PerMember<Member>,
    pub round: u32,
    pub base: Hash,
    pub statistics: Option<Hash>,
    pub best: Option<u32>,
    pub ended_at: Option<u32>,
    pub opened_at: u32,
    pub resumed: u32,
    pub phase: Phase,
}

/// [`super::Phase`] of then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)] // as there
pub enum Phase {
    Enrolling { until: u32 },
    Collecting(Collecting),
    Init { roster: Mask, votes: PerMember<(u8, Hash)>, until: u32 },
    Merging(Merging),
    FinalEvaluation { roster: Mask, reported: Mask, until: u32 },
    Certifying(Certifying),
    Paused(Pause),
    Completed(Certificate),
    Aborted { reason: super::AbortReason },
}

/// [`super::Pause`] of then.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[allow(missing_docs)] // as there
pub struct Pause {
    pub reason: PauseReason,
    pub until: u32,
    pub roster: Mask,
    pub resume: Mask,
    pub abort: Mask,
    pub back: Back,
}

impl Study {
    /// The same study, as chains keep it now. `root` gives the attested model of a closed round; where that is not known, what
    /// it stands on follows from where it stands. A pause that it is in asks its members from now on whether they are there.
    pub fn now(self, root: impl Fn(u32) -> Option<Hash>) -> super::Study {
        let (this, before) = (self.round, self.round.saturating_sub(1));
        let over = match &self.phase {
            Phase::FinalEvaluation { .. } | Phase::Certifying(_) | Phase::Completed(_) => true,
            Phase::Paused(pause) => matches!(pause.back, Back::Certifying { .. }),
            _ => false,
        };
        let closed = [this, before].into_iter().find(|round| root(*round) == Some(self.base));
        let base_round = closed.unwrap_or(if over { this } else { before });
        let phase = match self.phase {
            Phase::Enrolling { until } => super::Phase::Enrolling { until },
            Phase::Collecting(c) => super::Phase::Collecting(c),
            Phase::Init { roster, votes, until } => super::Phase::Init { roster, votes, until },
            Phase::Merging(m) => super::Phase::Merging(m),
            Phase::FinalEvaluation { roster, reported, until } => {
                super::Phase::FinalEvaluation { roster, reported, until }
            }
            Phase::Certifying(c) => super::Phase::Certifying(c),
            Phase::Paused(Pause { reason, until, roster, resume, abort, back }) => super::Phase::Paused(super::Pause {
                reason,
                until,
                roster,
                resume,
                abort,
                back,
                present: PerMember::new(),
                settles: None,
            }),
            Phase::Completed(c) => super::Phase::Completed(c),
            Phase::Aborted { reason } => super::Phase::Aborted { reason },
        };
        super::Study {
            proposer: self.proposer,
            rules: self.rules,
            validators: self.validators,
            members: self.members,
            round: self.round,
            base: self.base,
            statistics: self.statistics,
            best: self.best,
            ended_at: self.ended_at,
            opened_at: self.opened_at,
            resumed: self.resumed,
            phase,
            base_round,
            taken_up: None,
            tries: 0,
        }
    }
}
