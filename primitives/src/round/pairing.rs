//! Pairing: before masked files can be committed to, partners agree on keys and share out the secrets behind them.
//!
//! Each masked sum that is tried has a pairing of its own, with a number that no other one has: keys and secrets serve one sum, on one
//! chain, in one attempt. It runs beside training: who trains answers Keys and Deal meanwhile. Whose keys are not in when the list is
//! closed, or who has not dealt when the partners are fixed, has no part in the round.

use super::{bit, state::*, AbortReason, Effect, Refusal, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::MaskKeys,
    masks::{self, Partner, PostStep},
    rules::OnStall,
};
use alloc::{vec, vec::Vec};

/// Whether it is closed from here on without waiting, or at its deadline.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Close {
    /// All that are waited for are in.
    AllIn,
    /// Its time is over.
    TimeIsOver,
}

impl Pairing {
    /// Members whose keys are in.
    pub fn keyed(&self) -> Mask {
        self.keys.iter().fold(0, |mask, (member, _)| mask | bit(*member))
    }

    /// Members that have dealt: the partners, once these are fixed.
    pub fn dealt(&self) -> Mask {
        self.deals.iter().fold(0, |mask, (member, _)| mask | bit(*member))
    }

    /// Members in the key list; none before it is closed.
    pub fn listed(&self) -> Mask {
        if self.step == PairingStep::Keys {
            0
        } else {
            self.keyed()
        }
    }

    /// Place of a member in the key list.
    pub fn place(&self, index: u8) -> Option<u32> {
        self.keys.iter().position(|(member, _)| *member == index).and_then(|place| u32::try_from(place).ok())
    }

    /// Weight of a partner among the partners.
    pub fn weight(&self, index: u8) -> u32 {
        let place = self.deals.iter().position(|(member, _)| *member == index);
        place.and_then(|place| self.weights.get(place)).copied().unwrap_or(1)
    }

    /// How many shares open a secret.
    pub fn threshold(&self) -> u32 {
        masks::threshold(self.keys.len() as u32)
    }
}

impl Study {
    /// The key list of the open pairing, or what there is of it.
    pub fn key_list(&self, pair: &Pairing) -> Vec<(InstitutionId, MaskKeys)> {
        pair.keys.iter().filter_map(|(index, keys)| Some((self.member(*index)?.id, *keys))).collect()
    }

    /// The partners of a pairing, where they are fixed.
    pub fn partners(&self, pair: &Pairing) -> Vec<Partner> {
        let weighted = pair.deals.iter().zip(pair.weights.iter());
        let named = weighted.filter_map(|((index, deal), weight)| {
            Some(Partner { institution: self.member(*index)?.id, deal: *deal, weight: *weight })
        });
        named.collect()
    }

    /// Whether only a study with masks has a pairing, and its lists fit each other.
    pub fn masks_are_sound(&self) -> bool {
        let Some(pair) = &self.masking.pair else { return true };
        let weighed = pair.step != PairingStep::Paired || pair.weights.len() == pair.deals.len();
        let counted = pair.number == self.masking.pairing && self.rules.masked.is_some();
        counted && weighed && pair.dealt() & !pair.keyed() == 0
    }

    /// How many inputs a round needs to freeze, with `n` on its roster.
    pub(super) fn needs(&self, n: u32) -> u32 {
        match &self.rules.masked {
            None => self.rules.freeze_needs(n),
            Some(_) => self.rules.masked_needs(n, self.in_key_list()),
        }
    }

    /// The same of a round that the rules let go on with fewer.
    pub(super) fn fewest(&self) -> u32 {
        let agreed = self.rules.min_participants.max(self.rules.rule_min);
        match &self.rules.masked {
            None => agreed,
            Some(_) => agreed.max(masks::threshold(self.in_key_list())).max(masks::LEAST),
        }
    }

    fn in_key_list(&self) -> u32 {
        self.masking.pair.as_ref().map_or(0, |pair| pair.listed().count_ones())
    }

    /// What one masked sum is for.
    pub(super) fn context(&self, around: &dyn Surroundings, pair: &Pairing) -> Hash {
        let (genesis, agreement) = (around.genesis(), around.agreement());
        masks::context(&genesis, around.study(), &agreement, pair.kind, self.round, pair.number)
    }

    /// The deadline of keys or deals, where these are asked for.
    pub(super) fn pairing_until(&self) -> Option<u32> {
        self.masking.pair.as_ref().filter(|pair| pair.step != PairingStep::Paired).map(|pair| pair.until)
    }

    /// Opens a pairing for what is collected; `again` where one had too few already.
    pub(super) fn open_pairing(&mut self, around: &dyn Surroundings, kind: Kind, again: bool) -> Vec<Effect> {
        let number = self.masking.pairing.saturating_add(1);
        self.masking.pairing = number;
        self.masking.pair = Some(Pairing {
            kind,
            number,
            step: PairingStep::Keys,
            until: around.now().saturating_add(self.windows().pairing),
            again,
            keys: PerMember::new(),
            keys_root: Hash::zero(),
            deals: PerMember::new(),
            weights: PerMember::new(),
            partners_root: Hash::zero(),
        });
        vec![Effect::PairingOpened { round: self.round, pairing: number }]
    }

    /// Gives up the open pairing, if there is one: nothing of it was opened.
    pub(super) fn drop_pairing(&mut self) -> Option<Effect> {
        let pair = self.masking.pair.take()?;
        Some(Effect::PairingOver { round: self.round, pairing: pair.number })
    }

    /// A member gives its keys.
    pub(super) fn keyed(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, keys: MaskKeys) -> Step {
        let round = self.round;
        let pair = self.masking.pair.as_mut().ok_or(Refusal::NoSuchDuty)?;
        pair.keys.try_push((index, keys)).map_err(|_| Refusal::Full)?;
        let (pairing, step, bytes) = (pair.number, PostStep::Keys, keys.bytes().to_vec());
        let mut effects = vec![Effect::Posted { who, round, pairing, step, bytes }];
        effects.extend(self.after_pairing(around));
        Ok(effects)
    }

    /// A member shares out its secrets.
    pub(super) fn deal(
        &mut self,
        around: &dyn Surroundings,
        index: u8,
        who: InstitutionId,
        hash: Hash,
        bytes: Vec<u8>,
    ) -> Step {
        let round = self.round;
        let pair = self.masking.pair.as_mut().ok_or(Refusal::NoSuchDuty)?;
        pair.deals.try_push((index, hash)).map_err(|_| Refusal::Full)?;
        let (pairing, step) = (pair.number, PostStep::Deal);
        let mut effects = vec![Effect::Posted { who, round, pairing, step, bytes }];
        effects.extend(self.after_pairing(around));
        Ok(effects)
    }

    /// Closes the key list, or fixes the partners, where all that are waited for are in.
    pub(super) fn after_pairing(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let (Phase::Collecting(c), Some(pair)) = (&self.phase, &self.masking.pair) else { return Vec::new() };
        // a failure, or a withdrawal, may leave too few without those that nobody waits for: then all are waited for
        let may_come = pair.keyed() | (c.awaited & !self.unawaited);
        let enough = may_come.count_ones() >= self.needs(c.roster.count_ones());
        let unawaited = if enough { self.unawaited } else { 0 };
        let missing = match pair.step {
            PairingStep::Keys => c.awaited & !unawaited & !pair.keyed(),
            // whoever gave keys is there
            PairingStep::Deal => c.awaited & pair.keyed() & !pair.dealt(),
            PairingStep::Paired => return Vec::new(),
        };
        self.unawaited = unawaited;
        if missing == 0 {
            self.close_step(around, Close::AllIn)
        } else {
            Vec::new()
        }
    }

    /// Keys or deals have taken too long.
    pub(super) fn pairing_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        self.close_step(around, Close::TimeIsOver)
    }

    fn close_step(&mut self, around: &dyn Surroundings, close: Close) -> Vec<Effect> {
        let (Phase::Collecting(c), Some(pair)) = (&self.phase, &self.masking.pair) else { return Vec::new() };
        let (kind, roster) = (c.kind, c.roster);
        let (there, asked) = match pair.step {
            PairingStep::Keys => (pair.keyed(), c.awaited),
            PairingStep::Deal => (pair.dealt(), c.awaited & pair.keyed()),
            PairingStep::Paired => return Vec::new(),
        };
        let (step, again) = (pair.step, pair.again);
        if there.count_ones() < self.needs(roster.count_ones()) {
            return self.too_few_paired(around, close, step, again, asked & !there);
        }
        let mut effects = Vec::new();
        if close == Close::TimeIsOver && kind == Kind::Model {
            effects.extend(self.miss(asked & !there));
        }
        effects.extend(match step {
            PairingStep::Keys => self.close_keys(around),
            PairingStep::Deal | PairingStep::Paired => self.fix_partners(around),
        });
        effects
    }

    /// Keys or deals are too few. Once, there is more time: for keys the same again, for deals a new pairing, since the key list is
    /// closed. Then the study waits for sites.
    fn too_few_paired(
        &mut self,
        around: &dyn Surroundings,
        close: Close,
        step: PairingStep,
        again: bool,
        silent: Mask,
    ) -> Vec<Effect> {
        let until = around.now().saturating_add(self.windows().pairing);
        let active = self.active();
        let Phase::Collecting(c) = &mut self.phase else { return Vec::new() };
        let (kind, roster) = (c.kind, c.roster);
        if !again && step == PairingStep::Keys && close == Close::TimeIsOver {
            if let Some(pair) = &mut self.masking.pair {
                (pair.again, pair.until) = (true, until);
            }
            // all are waited for then
            self.unawaited = 0;
            return vec![Effect::Extended { silent: self.named(silent) }];
        }
        if !again && step == PairingStep::Deal {
            c.awaited = roster & active;
            let mut effects: Vec<Effect> = self.drop_pairing().into_iter().collect();
            effects.extend(self.open_pairing(around, kind, true));
            return effects;
        }
        if self.rules.on_stall == OnStall::Abort && kind != Kind::Evaluation {
            return self.end(AbortReason::Stalled);
        }
        let back = Back::Collecting { kind, commitments: PerMember::new(), dropped: 0 };
        self.pause(around, PauseReason::TooFewUpdates, back)
    }

    /// Members by institution: the order of every list that hashes go over.
    fn in_order<T>(&self, mut list: Vec<(u8, T)>) -> PerMember<(u8, T)> {
        list.sort_by_key(|(index, _)| self.member(*index).map(|member| member.id));
        let mut sorted = PerMember::new();
        for entry in list {
            // as long as the members
            let _ = sorted.try_push(entry);
        }
        sorted
    }

    fn close_keys(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let until = around.now().saturating_add(self.windows().pairing);
        let Some(mut pair) = self.masking.pair.take() else { return Vec::new() };
        pair.keys = self.in_order(pair.keys.into_inner());
        pair.keys_root = masks::keys_root(&self.context(around, &pair), &self.key_list(&pair));
        (pair.step, pair.until) = (PairingStep::Deal, until);
        let listed = pair.keyed();
        self.masking.pair = Some(pair);
        if let Phase::Collecting(c) = &mut self.phase {
            c.awaited &= listed;
        }
        // whoever has failed since it gave its keys is not asked to deal
        self.after_pairing(around)
    }

    fn fix_partners(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let windows = self.windows();
        let Some(mut pair) = self.masking.pair.take() else { return Vec::new() };
        pair.deals = self.in_order(pair.deals.into_inner());
        let members: Vec<u8> = pair.deals.iter().map(|(index, _)| *index).collect();
        pair.weights = PerMember::new();
        for weight in self.weights(&members) {
            // as long as the partners
            let _ = pair.weights.try_push(weight);
        }
        let places = members.iter().filter_map(|index| pair.place(*index));
        let places = places.fold(0u64, |mask, place| mask | 1u64.checked_shl(place).unwrap_or(0));
        pair.partners_root = masks::partners_root(&pair.keys_root, places, &self.partners(&pair));
        pair.step = PairingStep::Paired;
        let (partners, pairing) = (pair.dealt(), pair.number);
        self.masking.pair = Some(pair);
        if let Phase::Collecting(c) = &mut self.phase {
            c.awaited &= partners;
            // training runs from the opening of the round; but whoever has masked nothing yet has time for it
            let least = around.now().max(c.start.saturating_add(windows.expected)).saturating_add(windows.grace);
            c.limit = c.limit.max(least);
        }
        self.unawaited &= partners;
        let mut effects = vec![Effect::Paired { round: self.round, pairing, partners: self.named(partners) }];
        effects.extend(self.after_commitment(around));
        effects
    }
}
