//! The best round of a study with masked sums: no site's loss is known, only that of all of them together. And what ends such a
//! study, or a sum that it waits for.

use super::{bit, state::*, Effect, Refusal, Step, Study, Surroundings};
use crate::{ids::InstitutionId, kinds::VoidReason};
use alloc::{vec, vec::Vec};

impl Back {
    /// Whether it is the last evaluation that is gone back to.
    fn evaluates(&self) -> bool {
        match self {
            Self::Collecting { kind, .. } => *kind == Kind::Evaluation,
            Self::Revealing(set) | Self::Summing(set) => set.kind == Kind::Evaluation,
            Self::Init | Self::Certifying { .. } => false,
        }
    }
}

impl Study {
    /// Whether what it waits for is the last evaluation of a study with masked sums.
    pub fn evaluates(&self) -> bool {
        match &self.phase {
            Phase::Collecting(c) => c.kind == Kind::Evaluation,
            Phase::Gathering(m) => m.kind == Kind::Evaluation,
            Phase::Revealing(r) => r.set.kind == Kind::Evaluation,
            Phase::Summing(s) => s.set.kind == Kind::Evaluation,
            _ => false,
        }
    }

    /// Notes the pooled loss of a round's model, where there is one: the least is the best, the latest where several are. Says whether
    /// training stops. The initial model is no round.
    pub(super) fn judge_pooled(&mut self, evaluated: u32, pooled: Option<u32>) -> bool {
        let Some(loss) = pooled.filter(|_| evaluated > 0) else { return false };
        if self.best.is_none() || self.masking.best_loss.is_none_or(|least| loss <= least) {
            (self.best, self.masking.best_loss) = (Some(evaluated), Some(loss));
        }
        let patience = self.rules.patience;
        let tired = patience > 0 && self.best.is_some_and(|best| evaluated.saturating_sub(best) >= patience);
        self.rules.target.is_some_and(|target| loss <= target) || tired
    }

    /// Chooses the canonical round: the best one, or the last where none has a pooled loss.
    pub(super) fn choose_pooled(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.drop_pairing().into_iter().collect();
        let roster = self.counted(self.round);
        let best = self.best.filter(|round| *round != self.base_round);
        let (round, root) =
            best.and_then(|round| around.root(round).map(|root| (round, root))).unwrap_or((self.base_round, self.base));
        self.unawaited = 0;
        effects.push(Effect::Canonical { round, root });
        effects.extend(self.open_certifying(around, roster, round, root, 0));
        effects
    }

    /// The last evaluation never waits for people: what it would pause for ends it. `None` where it is not that which pauses.
    pub(super) fn no_pause(&mut self, around: &dyn Surroundings, back: &Back) -> Option<Vec<Effect>> {
        back.evaluates().then(|| self.choose_pooled(around))
    }

    /// Somebody wants to give up a masked sum for which the study is paused.
    pub(super) fn abandon(&mut self, around: &dyn Surroundings, who: InstitutionId) -> Step {
        let index = self.position(&who);
        let Phase::Paused(pause) = &self.phase else { return Err(Refusal::WrongPhase) };
        let (Back::Revealing(set) | Back::Summing(set)) = &pause.back else { return Err(Refusal::WrongPhase) };
        let set = set.clone();
        if who != self.proposer {
            let mine = index.map(bit).filter(|b| pause.roster & b != 0).ok_or(Refusal::NotAMember)?;
            if self.masking.abandon & mine != 0 {
                return Err(Refusal::AlreadyAnswered);
            }
            let needed = self.rules.close_late(pause.roster.count_ones());
            self.masking.abandon |= mine;
            if self.masking.abandon.count_ones() < needed {
                return Ok(Vec::new());
            }
        }
        self.presence = Presence::default();
        let mut effects = vec![Effect::Resumed];
        self.resumed = self.resumed.saturating_add(1);
        effects.extend(self.void(around, set, &[], VoidReason::Abandoned));
        Ok(effects)
    }
}
