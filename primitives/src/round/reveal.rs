//! Revealing: the authors of a fixed set give the shares that open what stands between their files and the sum. Of each partner one
//! secret is opened: of one whose file is in the set the seed of its own mask, of the others the secret that their pair masks come
//! from. Both of one partner would open its file, so the set is fixed, and final, before anything is.

use super::{bit, state::*, Effect, Refusal, ShareId, Step, Study, Surroundings};
use crate::{
    ids::{Hash, InstitutionId},
    kinds::{DutyKind, VoidReason},
    masks::{self, PostStep},
    vote::{Vote, VoteBody},
};
use alloc::{vec, vec::Vec};

impl FixedSet {
    /// Authors of its files.
    pub fn authors(&self) -> Mask {
        self.inputs.iter().fold(0, |mask, input| mask | bit(input.commitment.member))
    }

    /// Who has posted shares.
    pub fn posted(&self) -> Mask {
        self.reveals.iter().fold(0, |mask, (member, _)| mask | bit(*member))
    }
}

impl Study {
    pub(super) fn open_revealing(&mut self, around: &dyn Surroundings, set: FixedSet) -> Vec<Effect> {
        let until = around.now().saturating_add(self.windows().reveal);
        self.phase = Phase::Revealing(Revealing { set, until, extended: false });
        self.after_reveal(around)
    }

    /// Whether a vote with these bytes would be taken now, as [`check_vote`](Self::check_vote) says of one without.
    ///
    /// # Errors
    /// Why not. What costs most is looked at last; the shell looks at the signature before it by asking in two parts.
    pub fn check_post(&self, around: &dyn Surroundings, vote: &Vote, bytes: &[u8]) -> Result<(), Refusal> {
        self.check_posting(around, vote, bytes)?;
        self.check_shares(around, vote, bytes)
    }

    /// All of [`check_post`](Self::check_post) but whether shares are those that were committed to.
    ///
    /// # Errors
    /// Why not.
    pub fn check_posting(&self, around: &dyn Surroundings, vote: &Vote, bytes: &[u8]) -> Result<(), Refusal> {
        let (index, open) = self.open_for(around, vote)?;
        let VoteBody::Posted { hash, len } = vote.body else { return Err(Refusal::WrongAnswer) };
        let pair = self.masking.pair.as_ref().ok_or(Refusal::NoSuchDuty)?;
        let fits = match open.duty.kind {
            DutyKind::Deal => len == masks::deal_len(pair.keys.len() as u32),
            DutyKind::Reveal => masks::shares(bytes, pair.deals.len() as u32).is_some(),
            _ => return Err(Refusal::WrongAnswer),
        };
        // a member without a place in the key list is asked for neither
        if !fits || u32::try_from(bytes.len()) != Ok(len) || pair.place(index).is_none() || around.blake2(bytes) != hash
        {
            return Err(Refusal::WrongPosting);
        }
        Ok(())
    }

    /// Whether each share is the one that its dealer has committed to.
    ///
    /// # Errors
    /// One is not.
    pub fn check_shares(&self, around: &dyn Surroundings, vote: &Vote, bytes: &[u8]) -> Result<(), Refusal> {
        if vote.kind != DutyKind::Reveal {
            return Ok(());
        }
        let Phase::Revealing(r) = &self.phase else { return Err(Refusal::NoSuchDuty) };
        let pair = self.masking.pair.as_ref().ok_or(Refusal::NoSuchDuty)?;
        let index = self.position(&vote.institution).ok_or(Refusal::NotAMember)?;
        let holder = pair.place(index).ok_or(Refusal::NoSuchDuty)?;
        let authors = r.set.authors();
        let shares = masks::shares(bytes, pair.deals.len() as u32).ok_or(Refusal::WrongPosting)?;
        for (place, share) in shares {
            let dealer = pair.deals.get(place as usize).map(|(dealer, _)| *dealer).ok_or(Refusal::WrongPosting)?;
            let id = self.member(dealer).ok_or(Refusal::NotAMember)?.id;
            // the seed of whoever is in the set, the pair secret of whoever is not: never both
            let which = if authors & bit(dealer) != 0 { 0 } else { 1 };
            let (round, pairing) = (self.round, pair.number);
            let said = around.commitment(&ShareId { round, pairing, dealer: id, place: holder, which });
            if said != Some(masks::commitment(&pair.keys_root, &id, &vote.institution, which, share)) {
                return Err(Refusal::WrongShare);
            }
        }
        Ok(())
    }

    /// A member answers a duty with bytes of its own.
    pub(super) fn post(&mut self, around: &dyn Surroundings, vote: Vote, bytes: Vec<u8>) -> Step {
        self.check_post(around, &vote, &bytes)?;
        let index = self.position(&vote.institution).ok_or(Refusal::NotAMember)?;
        let VoteBody::Posted { hash, .. } = vote.body else { return Err(Refusal::WrongAnswer) };
        match vote.kind {
            DutyKind::Deal => self.deal(around, index, vote.institution, hash, bytes),
            DutyKind::Reveal => self.reveal(around, index, vote.institution, bytes),
            _ => Err(Refusal::WrongAnswer),
        }
    }

    fn reveal(&mut self, around: &dyn Surroundings, index: u8, who: InstitutionId, bytes: Vec<u8>) -> Step {
        let round = self.round;
        let pair = self.masking.pair.as_ref().ok_or(Refusal::NoSuchDuty)?;
        let given = masks::shares(&bytes, pair.deals.len() as u32).ok_or(Refusal::WrongPosting)?;
        let given = given.iter().fold(0u64, |mask, (place, _)| mask | 1u64.checked_shl(*place).unwrap_or(0));
        let Phase::Revealing(r) = &mut self.phase else { return Err(Refusal::NoSuchDuty) };
        r.set.reveals.try_push((index, given)).map_err(|_| Refusal::Full)?;
        let (pairing, step) = (pair.number, PostStep::Reveal);
        let mut effects = vec![Effect::Posted { who, round, pairing, step, bytes }];
        effects.extend(self.after_reveal(around));
        Ok(effects)
    }

    /// The first partner of whose secret there are too few shares, if there is one.
    fn short_of(&self, set: &FixedSet) -> Option<InstitutionId> {
        let pair = self.masking.pair.as_ref()?;
        let needed = pair.threshold();
        let shares = |place: u32| {
            let given = set.reveals.iter().filter(|(_, given)| given & 1u64.checked_shl(place).unwrap_or(0) != 0);
            given.count() as u32
        };
        let short = (0u32..).zip(pair.deals.iter()).find(|(place, _)| shares(*place) < needed);
        short.and_then(|(_, (index, _))| self.member(*index)).map(|member| member.id)
    }

    /// Goes on to the sum where every partner's secret has enough shares; gives it up where nobody is left to give more.
    pub(super) fn after_reveal(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let Phase::Revealing(r) = &self.phase else { return Vec::new() };
        let all = r.set.authors() & !r.set.posted() == 0;
        match self.short_of(&r.set) {
            None => {
                let set = r.set.clone();
                let window = self.windows().attest;
                self.open_summing(around, set, 1, window)
            }
            Some(whose) if all => {
                let set = r.set.clone();
                self.void(around, set, &[], VoidReason::Unrecoverable { whose })
            }
            Some(_) => Vec::new(),
        }
    }

    pub(super) fn reveal_deadline(&mut self, around: &dyn Surroundings) -> Vec<Effect> {
        let until = around.now().saturating_add(self.windows().reveal);
        let needed = self.masking.pair.as_ref().map_or(u32::MAX, |pair| pair.threshold());
        let Phase::Revealing(r) = &mut self.phase else { return Vec::new() };
        if !r.extended {
            (r.extended, r.until) = (true, until);
            let silent = r.set.authors() & !r.set.posted();
            return vec![Effect::Extended { silent: self.named(silent) }];
        }
        let set = r.set.clone();
        if set.posted().count_ones() < needed {
            return self.pause(around, PauseReason::NotRevealed, Back::Revealing(set));
        }
        match self.short_of(&set) {
            Some(whose) => self.void(around, set, &[], VoidReason::Unrecoverable { whose }),
            None => {
                let window = self.windows().attest;
                self.open_summing(around, set, 1, window)
            }
        }
    }

    /// Roots of the fixed set's files, for whoever lists them.
    pub(super) fn files(&self, inputs: &[Input]) -> Vec<(InstitutionId, Hash)> {
        let named = inputs
            .iter()
            .filter_map(|input| self.member(input.commitment.member).map(|author| (author.id, input.commitment.root)));
        named.collect()
    }
}
