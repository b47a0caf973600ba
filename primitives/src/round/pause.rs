//! Pauses: how people decide on them, and how those for want of voices end by themselves.
//!
//! While a study waits for sites, each of them is asked whether it is there: its node signs what its worker answers. As many
//! voices as the round needs take it up: at once where enough of these hold the model that it stands on. Else they have an
//! attestation limit to fetch it, and others to come; then, where still too few hold it, the study goes on from the newest
//! model that enough hold, at worst from the initial one, which everybody can compute.
//!
//! `h`, one more than the liars that so many survive, are enough to hold a model: `h` of all members at once, `h` of those that
//! are there in the end. Fewer liars can neither keep a study on a model that nobody gives away, nor take it off one that can be
//! had. `h` voices of people for its end keep a pause from
//! ending by itself. It does so once an hour at most, so that nobody can keep a study between pauses and attempts; and so often
//! at most without a round closing as an hourly attempt fits the longest pause.

use super::{bit, state::*, AbortReason, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    duty::{held_bit, ATTESTED_ROUNDS, HELD_BASE},
    ids::{Hash, InstitutionId},
    rules::{holders_needed, OnStall, PAUSE_BLOCKS},
    time::blocks,
    vote::VoteBody,
};
use alloc::{vec, vec::Vec};

/// An hour, in milliseconds.
const HOUR: u64 = 3_600_000;
/// Shortest time between two pauses that end by themselves, in blocks: an hour.
pub const TAKE_UP_BLOCKS: u32 = blocks(HOUR);
/// So many pauses end by themselves without a round closing in between, at most: one an hour for 14 days.
pub const MAX_TRIES: u32 = 14 * 24;

impl PauseReason {
    /// Whether such a pause is for want of voices, and ends by itself. Others are for people.
    pub fn passes(self) -> bool {
        match self {
            Self::TooFewUpdates
            | Self::TooFewInputs
            | Self::NoAgreement
            | Self::NoCommonStart
            | Self::NotHeld
            | Self::NotRevealed => true,
            Self::TooFewMembers | Self::SumsUnusable => false,
        }
    }
}

impl Presence {
    /// Members that have said that they are there.
    pub fn there(&self) -> Mask {
        self.voices.iter().fold(0, |mask, (index, _)| mask | bit(*index))
    }

    /// What a member has said to hold, if it has said that it is there.
    pub(super) fn held_by(&self, index: u8) -> Option<u16> {
        self.voices.iter().find(|(member, _)| *member == index).map(|(_, held)| *held)
    }

    /// How many of those that are there hold a model.
    fn holders(&self, what: u16) -> u32 {
        self.voices.iter().filter(|(_, held)| held & what != 0).count() as u32
    }

    /// Whether as many of those that are there hold a model as must.
    fn holds(&self, what: u16) -> bool {
        self.holders(what) >= holders_needed(self.voices.len() as u32)
    }
}

impl Pause {
    /// Whether as many want the study to end as keep it from going on by itself.
    fn disputed(&self) -> bool {
        self.abort.count_ones() >= holders_needed(self.roster.count_ones())
    }
}

impl Study {
    pub(super) fn pause(&mut self, around: &dyn Surroundings, reason: PauseReason, mut back: Back) -> Vec<Effect> {
        if let Some(effects) = self.no_pause(around, &back) {
            return effects;
        }
        self.presence = Presence::default();
        self.ahead = PerMember::new();
        self.unawaited = 0;
        self.masking.abandon = 0;
        // what was fixed for good, and may have been opened in part, stays
        let over = match &mut back {
            Back::Collecting { commitments, .. } if self.rules.masked.is_some() => {
                // nothing was opened of what is masked: it is masked anew
                *commitments = PerMember::new();
                self.drop_pairing()
            }
            Back::Collecting { .. } | Back::Init | Back::Certifying { .. } => None,
            Back::Revealing(_) | Back::Summing(_) => None,
        };
        self.phase = Phase::Paused(Pause {
            reason,
            until: around.now().saturating_add(PAUSE_BLOCKS),
            roster: self.active(),
            resume: 0,
            abort: 0,
            back,
        });
        over.into_iter().chain([Effect::Paused { reason }]).collect()
    }

    pub(super) fn resume(&mut self, around: &dyn Surroundings, who: InstitutionId) -> Step {
        let quorum = self.pause_vote(who, true)?;
        Ok(if quorum { self.let_go_on(around) } else { Vec::new() })
    }

    pub(super) fn abort(&mut self, around: &dyn Surroundings, who: InstitutionId) -> Step {
        if matches!(self.phase, Phase::Enrolling { .. }) {
            return if who == self.proposer {
                Ok(self.end(AbortReason::Decided))
            } else {
                Err(Refusal::NotTheProposer)
            };
        }
        let quorum = self.pause_vote(who, false)?;
        Ok(if quorum { self.end(AbortReason::Decided) } else { self.after_present(around) })
    }

    /// Counts a voice on a pause; true where it decides. The proposer decides alone.
    fn pause_vote(&mut self, who: InstitutionId, resume: bool) -> Result<bool, Refusal> {
        let by_proposer = who == self.proposer;
        let index = self.position(&who);
        let Phase::Paused(pause) = &mut self.phase else { return Err(Refusal::WrongPhase) };
        if by_proposer {
            return Ok(true);
        }
        let mine = index.map(bit).filter(|b| pause.roster & b != 0).ok_or(Refusal::NotAMember)?;
        let votes = if resume { &mut pause.resume } else { &mut pause.abort };
        if *votes & mine != 0 {
            return Err(Refusal::AlreadyAnswered);
        }
        *votes |= mine;
        Ok(votes.count_ones() >= self.rules.close_late(pause.roster.count_ones()))
    }

    /// Counts the voices on a pause again after a member has left.
    pub(super) fn recount_pause(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Paused(pause) = &self.phase else { return Vec::new() };
        let needed = self.rules.close_late(pause.roster.count_ones());
        if pause.resume.count_ones() >= needed {
            self.let_go_on(around)
        } else if pause.abort.count_ones() >= needed {
            self.end(AbortReason::Decided)
        } else {
            self.after_present(around)
        }
    }

    /// People have decided that a paused study goes on.
    fn let_go_on(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        self.tries = 0;
        self.take_up(around)
    }

    /// Ends a pause, and goes on where it began.
    fn take_up(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Paused(pause) = &self.phase else { return Vec::new() };
        let (back, opened_at) = (pause.back.clone(), self.opened_at);
        self.presence = Presence::default();
        self.resumed = self.resumed.saturating_add(1);
        let mut effects = vec![Effect::Resumed];
        effects.extend(match back {
            Back::Collecting { kind, commitments, dropped } => {
                self.open_collecting(around, kind, commitments.into_inner(), dropped)
            }
            Back::Init => self.open_init(around),
            Back::Certifying { roster, round, root, held } => self.open_certifying(around, roster, round, root, held),
            Back::Revealing(set) => self.open_revealing(around, set),
            Back::Summing(set) => {
                let window = self.windows().attest;
                self.open_summing(around, set, 1, window)
            }
        });
        // it is still the same round; one that is closed already is not touched
        self.opened_at = opened_at;
        effects
    }

    /// Whether members are asked now if they are there.
    pub(super) fn asks_who_is_there(&self, now: u32, pause: &Pause) -> bool {
        let due = self.taken_up.is_none_or(|last| now >= last.saturating_add(TAKE_UP_BLOCKS));
        due && pause.reason.passes() && self.tries < MAX_TRIES && !pause.disputed()
    }

    /// What the duty to be there names: the newest round whose model the study may go on from, and the model that it needs; 0 and
    /// zero where it needs none, or one that everybody can compute.
    pub(super) fn needed(&self, back: &Back) -> (u32, Hash) {
        match back {
            Back::Collecting { kind: Kind::Model, .. } if self.base_round > 0 => (self.base_round, self.base),
            Back::Certifying { root, .. } => (self.round, *root),
            // of a sum everything is there that it needs
            Back::Collecting { .. } | Back::Init | Back::Revealing(_) | Back::Summing(_) => (0, Hash::zero()),
        }
    }

    /// A member says that it is there.
    pub(super) fn present(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, body: VoteBody) -> Step {
        let VoteBody::Present { held } = body else { return Err(Refusal::WrongAnswer) };
        match self.presence.voices.iter_mut().find(|(member, _)| *member == index) {
            Some((_, before)) => *before = held,
            None => self.presence.voices.try_push((index, held)).map_err(|_| Refusal::Full)?,
        }
        let mut effects = vec![Effect::Present { who, held }];
        effects.extend(self.after_present(around));
        Ok(effects)
    }

    /// Takes the study up where enough are there and hold what it stands on; gives them time to fetch it where they do not.
    fn after_present(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let until = around.now().saturating_add(self.windows().attest);
        let Phase::Paused(pause) = &self.phase else { return Vec::new() };
        let enough = self.asks_who_is_there(around.now(), pause) && self.enough_there(pause);
        // whoever else may still come
        let sure = self.presence.holders(HELD_BASE) >= holders_needed(pause.roster.count_ones());
        if enough && (sure || self.needed(&pause.back).1 == Hash::zero()) {
            return self.take_up_by_itself(around);
        }
        self.presence.settles = enough.then(|| self.presence.settles.unwrap_or(until));
        Vec::new()
    }

    /// Whether as many are there as the round needs to go on: for its updates, and to agree on what comes of them.
    fn enough_there(&self, pause: &Pause) -> bool {
        let there = self.presence.there() & self.active();
        let rules = &self.rules;
        match &pause.back {
            Back::Init => {
                let n = self.active().count_ones();
                there.count_ones() >= rules.freeze_needs(n).max(rules.close_late(n))
            }
            Back::Collecting { commitments, dropped, .. } => {
                let roster = self.roster();
                let needs = rules.freeze_needs(roster.count_ones());
                let there = there & self.asked(roster, *dropped);
                let authors = commitments.iter().fold(there, |mask, c| mask | bit(c.member)) & roster;
                let inputs = match rules.on_stall {
                    OnStall::Shrink => needs.min(rules.min_participants.max(rules.rule_min)),
                    OnStall::Pause | OnStall::Abort => needs,
                };
                // with fewer members than a round needs it would only pause for people
                roster.count_ones() >= needs && there.count_ones() >= inputs.max(rules.close_late(authors.count_ones()))
            }
            Back::Certifying { roster, held, .. } => {
                let may_hold = (held | there) & roster;
                *roster != 0 && may_hold.count_ones() >= rules.close_late(roster.count_ones())
            }
            Back::Revealing(set) | Back::Summing(set) => {
                let authors = set.authors();
                let opened = (there & authors | set.posted()).count_ones();
                let needed = self.masking.pair.as_ref().map_or(u32::MAX, Pairing::threshold);
                (there & authors).count_ones() >= rules.close_late(authors.count_ones()) && opened >= needed
            }
        }
    }

    fn take_up_by_itself(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        self.taken_up = Some(around.now());
        self.tries = self.tries.saturating_add(1);
        let mut effects = vec![Effect::EnoughPresent];
        effects.extend(self.take_up(around));
        effects
    }

    /// A pause has lasted too long; or those that are there have had their time to fetch what the study stands on.
    pub(super) fn pause_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Paused(pause) = &self.phase else { return Vec::new() };
        let pause = pause.clone();
        if around.now() >= pause.until {
            return self.end(AbortReason::PausedTooLong);
        }
        self.presence.settles = None;
        if !self.asks_who_is_there(around.now(), &pause) || !self.enough_there(&pause) {
            return Vec::new();
        }
        if self.presence.holds(HELD_BASE) {
            return self.take_up_by_itself(around);
        }
        // no more than half give up no model: they wait for others
        let majority = (self.presence.voices.len() as u32).saturating_mul(2) > pause.roster.count_ones();
        let Some((to, root)) = self.newest_held(around, &pause.back).filter(|_| majority) else { return Vec::new() };
        let mut effects = Vec::new();
        match pause.back {
            Back::Certifying { round: from, .. } => {
                if let Phase::Paused(Pause { back: Back::Certifying { round, root: of, held, .. }, .. }) =
                    &mut self.phase
                {
                    (*round, *of, *held) = (to, root, 0);
                }
                effects.push(Effect::FellBack { from, to });
                effects.push(Effect::Canonical { round: to, root });
            }
            // these need no model
            Back::Revealing(_) | Back::Summing(_) => return effects,
            Back::Collecting { .. } | Back::Init => {
                effects.push(Effect::FellBack { from: self.base_round, to });
                (self.base, self.base_round) = (root, to);
                self.best = self.best.filter(|best| *best <= to);
                self.masking.best_loss = self.masking.best_loss.filter(|_| self.best.is_some());
                if let Phase::Paused(Pause { back: Back::Collecting { commitments, dropped, .. }, .. }) =
                    &mut self.phase
                {
                    // they were made from the other model
                    (*commitments, *dropped) = (PerMember::new(), 0);
                }
            }
        }
        effects.extend(self.take_up_by_itself(around));
        effects
    }

    /// The newest round whose model as many of those that are there hold as must, and that model. Training goes on from the
    /// initial one where there is none; a certificate is for none of these then.
    fn newest_held(&self, around: &dyn Surroundings, back: &Back) -> Option<(u32, Hash)> {
        let (newest, lacking) = self.needed(back);
        let oldest = newest.saturating_sub(ATTESTED_ROUNDS);
        let held = (oldest..=newest).rev().filter(|round| self.presence.holds(held_bit(newest, *round)));
        let initial = matches!(back, Back::Collecting { .. }).then_some(0);
        let model = |round| around.root(round).filter(|root| *root != lacking).map(|root| (round, root));
        held.chain(initial).find_map(model)
    }
}
