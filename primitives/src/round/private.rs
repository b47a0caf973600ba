//! Studies that promise privacy: what is charged, and what no vote may say in them.

use super::{state::*, Effect, Refusal, Study, Surroundings};
use crate::{
    duty::DutyKind,
    ids::InstitutionId,
    vote::{Vote, VoteBody},
};

impl Study {
    /// Whether a vote of a private study tells nothing that is not counted, and what it costs has room. Any other study may say and
    /// spend what it likes.
    pub(super) fn check_spending(&self, around: &dyn Surroundings, vote: &Vote) -> Result<(), Refusal> {
        let Some(privacy) = &self.rules.privacy else { return Ok(()) };
        match (vote.kind, vote.body) {
            // the loss on a site's validation rows is a release that nothing counts
            (_, VoteBody::Update { metric: Some(_), .. } | VoteBody::Metric(Some(_)))
            | (_, VoteBody::Summed { pooled: Some(_), .. }) => Err(Refusal::WrongAnswer),
            (DutyKind::Train | DutyKind::Mask, VoteBody::Update { .. })
                if self.trains() && !around.affords(&vote.institution, privacy, (self.round, self.base)) =>
            {
                Err(Refusal::OverBudget)
            }
            _ => Ok(()),
        }
    }

    /// That an update which is committed now is charged; none where nothing is promised, or what is committed is no update.
    pub(super) fn spends(&self, who: InstitutionId) -> Option<Effect> {
        let spends = self.rules.privacy.is_some() && self.trains();
        spends.then_some(Effect::Spent { who, round: self.round, base: self.base })
    }

    /// Whether updates of a round are collected.
    fn trains(&self) -> bool {
        matches!(&self.phase, Phase::Collecting(c) if c.kind == Kind::Model)
    }
}
