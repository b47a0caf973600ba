//! Masked sums: pairing beside training, gathering, revealing, summing; what each loss and lie costs; and that nothing opens twice.

mod again;
mod ends;
mod losses;
mod model;
mod once;
mod page;
mod rules;
mod site;

use super::*;
use crate::{
    kinds::{MaskKeys, VoidReason},
    masks,
    rules::Masked,
};

/// Length of a masked file of figures.
const FIGURES: u64 = 120;

/// Rules of a study with masks, without statistics.
pub(super) fn masked() -> StudyRules {
    let masked = Some(Masked { range_log2: 2, statistics_len: 0, figures_len: FIGURES });
    StudyRules { min_participants: 3, masked, ..plain() }
}

/// Keys that stand for those of one institution in one pairing.
fn keys_of(context: &Hash, who: &InstitutionId) -> MaskKeys {
    let of = |what: &str| hash(&format!("{what} of {who} in {context}"));
    MaskKeys { seal: of("seal"), pair: of("pair"), seed: of("seed") }
}

/// What stands for a share: of this dealer's seed or pair secret, for this holder.
fn share(keys_root: &Hash, dealer: &InstitutionId, holder: &InstitutionId, which: u8) -> Hash {
    hash(&format!("share {which} of {dealer} for {holder} under {keys_root}"))
}

/// A deal as a dealer should make it.
fn dealt(keys_root: &Hash, dealer: &InstitutionId, list: &[(InstitutionId, MaskKeys)]) -> Vec<u8> {
    let part = |holder: &InstitutionId| {
        let said = |which| {
            let share = share(keys_root, dealer, holder, which);
            masks::commitment(keys_root, dealer, holder, which, share.as_bytes())
        };
        [said(0).as_bytes(), said(1).as_bytes(), &[0; 80]].concat()
    };
    list.iter().flat_map(|(holder, _)| part(holder)).collect()
}

impl Shell {
    /// A study with masks and so many equal members, in the first round: keys are asked for.
    fn masking(rules: StudyRules, members: u8) -> Self {
        let shell = Self::training(rules, &vec![100; usize::from(members)]);
        assert_eq!(shell.asks(0), Some(DutyKind::Keys));
        shell
    }

    fn all(&self) -> Vec<u8> {
        (0..self.study.members.len() as u8).collect()
    }

    fn pair(&self) -> &Pairing {
        self.study.masking.pair.as_ref().expect("a pairing is open")
    }

    fn member_id(&self, member: u8) -> InstitutionId {
        self.study.member(member).expect("a member").id
    }

    fn post(&mut self, member: u8, bytes: Vec<u8>) -> Result<Vec<Effect>, Refusal> {
        let hash = Hash::from(sp_crypto_hashing::blake2_256(&bytes));
        let body = VoteBody::Posted { hash, len: bytes.len() as u32 };
        let vote = self.answer(member, body).ok_or(Refusal::NoSuchDuty)?;
        self.step(Event::Post { vote, bytes })
    }

    fn give_keys(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        let who = self.member_id(member);
        let context = self.study.open_duty(&self.world, &who).ok_or(Refusal::NoSuchDuty)?.duty.base;
        self.vote(member, VoteBody::Keys(keys_of(&context, &who)))
    }

    fn deal_all(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        let (pair, who) = (self.pair(), self.member_id(member));
        let bytes = dealt(&pair.keys_root, &who, &self.study.key_list(pair));
        self.post(member, bytes)
    }

    fn mask(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        let kind = self.pair().kind;
        let root = hash(&format!("masked by {member} in pairing {}", self.pair().number));
        let len = self.study.rules.part_len(kind);
        self.vote(member, VoteBody::Update { root, len, metric: None })
    }

    fn gather(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        let who = self.member_id(member);
        let root = self.study.open_duty(&self.world, &who).ok_or(Refusal::NoSuchDuty)?.duty.base;
        self.vote(member, VoteBody::Held(root))
    }

    fn fixed(&self) -> &FixedSet {
        match &self.study.phase {
            Phase::Revealing(r) => &r.set,
            Phase::Summing(s) => &s.set,
            other => panic!("no set is fixed: {other:?}"),
        }
    }

    /// The shares that a member should give, but for those of the partners at some places.
    fn shares_of(&self, member: u8, without: u64) -> Vec<u8> {
        let (pair, me, authors) = (self.pair(), self.member_id(member), self.fixed().authors());
        let given = (0u64..).zip(pair.deals.iter()).filter(|(place, _)| without >> place & 1 == 0);
        let (mut mask, mut shares) = (0u64, Vec::new());
        for (place, (dealer, _)) in given {
            mask |= 1 << place;
            let which = if authors & bit(*dealer) != 0 { 0 } else { 1 };
            shares.extend_from_slice(share(&pair.keys_root, &self.member_id(*dealer), &me, which).as_bytes());
        }
        [mask.to_le_bytes().to_vec(), shares].concat()
    }

    fn reveal(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        let bytes = self.shares_of(member, 0);
        self.post(member, bytes)
    }

    fn sum(&mut self, member: u8, root: &str, pooled: Option<u32>) -> Result<Vec<Effect>, Refusal> {
        self.vote(member, VoteBody::Summed { root: hash(root), pooled })
    }

    /// These give keys and deal, and the partners are fixed.
    fn pair_up(&mut self, members: &[u8]) {
        for member in members {
            self.give_keys(*member).expect("keys are asked for");
        }
        if self.pair().step == PairingStep::Keys {
            self.deadline();
        }
        self.reach_paired(members);
    }

    /// These deal, and the partners are fixed.
    fn reach_paired(&mut self, members: &[u8]) {
        for member in members {
            self.deal_all(*member).expect("a deal is asked for");
        }
        if self.pair().step == PairingStep::Deal {
            self.deadline();
        }
        assert_eq!(self.pair().step, PairingStep::Paired);
    }

    /// These mask; the list freezes, and these hold all of it.
    fn reach_revealing(&mut self, members: &[u8]) {
        for member in members {
            self.mask(*member).expect("a masked file is asked for");
        }
        while matches!(self.study.phase, Phase::Collecting(_)) {
            self.deadline();
        }
        for member in members {
            if matches!(self.study.phase, Phase::Gathering(_)) {
                self.gather(*member).expect("it is asked whether all are there");
            }
        }
        assert!(matches!(self.study.phase, Phase::Revealing(_)), "{:?}", self.study.phase);
    }

    fn reach_summing(&mut self, members: &[u8]) {
        for member in members {
            if matches!(self.study.phase, Phase::Revealing(_)) {
                self.reveal(*member).expect("shares are asked for");
            }
        }
        assert!(matches!(self.study.phase, Phase::Summing(_)), "{:?}", self.study.phase);
    }

    /// A whole round in which all take part, and this loss is pooled.
    fn masked_round(&mut self, pooled: Option<u32>) {
        let (all, round) = (self.all(), self.study.round);
        self.pair_up(&all);
        self.reach_revealing(&all);
        self.reach_summing(&all);
        for member in all {
            if matches!(self.study.phase, Phase::Summing(_)) {
                self.sum(member, &format!("merge {round}"), pooled).expect("the sum is asked for");
            }
        }
        assert_eq!((self.last_record().round, self.last_record().void()), (round, None));
    }

    /// All that are asked say that the sum cannot be used.
    fn call_void(&mut self, why: VoidReason) {
        for member in self.all() {
            if matches!(self.study.phase, Phase::Summing(_)) {
                self.vote(member, VoteBody::Void(why)).expect("the sum is asked for");
            }
        }
    }

    fn work(&self, member: u8) -> Option<DutyKind> {
        self.study.open_work(&self.world, &self.member_id(member)).map(|open| open.duty.kind)
    }
}

#[test]
fn a_round_goes_through_pairing_gathering_revealing_and_summing() {
    let mut shell = Shell::masking(masked(), 4);
    let opened = shell.world.now;
    assert_eq!(shell.work(2), Some(DutyKind::Train), "it trains meanwhile");
    (0..4).for_each(|member| drop(shell.give_keys(member).expect("asked for")));
    assert_eq!((shell.asks(1), shell.work(1)), (Some(DutyKind::Deal), Some(DutyKind::Train)));
    (0..4).for_each(|member| drop(shell.deal_all(member).expect("asked for")));
    assert_eq!((shell.asks(1), shell.work(1)), (Some(DutyKind::Mask), Some(DutyKind::Train)));
    (0..4).for_each(|member| drop(shell.mask(member).expect("asked for")));
    assert_eq!((shell.asks(1), shell.work(1)), (Some(DutyKind::Gather), None));
    let inputs_root = match &shell.study.phase {
        Phase::Gathering(m) => m.inputs_root,
        other => panic!("{other:?}"),
    };
    shell.world.now += 3;
    (0..3).for_each(|member| drop(shell.gather(member).expect("asked for")));
    assert_eq!((shell.asks(3), shell.fixed().inputs_root), (Some(DutyKind::Reveal), inputs_root));
    assert_eq!(shell.fixed().fixed_at, opened + 3);
    // three shares of each secret are enough, and are waited for
    (0..2).for_each(|member| drop(shell.reveal(member).expect("asked for")));
    assert_eq!(shell.asks(3), Some(DutyKind::Reveal));
    shell.reveal(2).expect("asked for");
    assert_eq!(shell.asks(3), Some(DutyKind::Merge));
    (0..3).for_each(|member| drop(shell.sum(member, "merge", Some(500)).expect("asked for")));
    let record = shell.last_record().clone();
    let kept = record.masked.expect("it was masked");
    assert_eq!((record.root, record.round, record.inputs.len()), (hash("merge"), 1, 4));
    assert_eq!((kept.pairing, kept.listed, kept.partners, kept.weight), (1, 0b1111, 0b1111, 400));
    assert_eq!((kept.pooled, kept.evaluated, kept.fixed_at), (Some(500), 0, opened + 3));
    assert_eq!((shell.study.round, shell.study.base, shell.study.masking.pairing), (2, hash("merge"), 2));
    assert_eq!(shell.asks(3), Some(DutyKind::Keys));
    // the last one comes late, and is noted
    let mut late = shell.answer(3, VoteBody::Summed { root: hash("merge"), pooled: Some(500) }).expect("something is");
    let of = shell.study.last.as_ref().expect("it has closed");
    let duty = shell.study.duty_on(&shell.world, DutyKind::Merge, of.round, &id(4), of.inputs_root);
    (late.kind, late.round, late.attempt, late.duty) = (DutyKind::Merge, of.round, of.attempt, duty.hash());
    shell.step(Event::Vote(late)).expect("it may still attest");
    assert_eq!(shell.last_record().attesters.len(), 4);
}

#[test]
fn what_is_asked_beside_is_never_told_but_for_its_failure() {
    let mut shell = Shell::masking(masked(), 4);
    let who = id(2);
    let open = shell.study.open_work(&shell.world, &who).expect("training is asked for");
    let vote = |body| Vote {
        study: open.duty.study,
        round: open.duty.round,
        attempt: open.attempt,
        resumed: open.resumed,
        kind: open.duty.kind,
        institution: who,
        duty: open.duty.hash(),
        body,
    };
    let update = VoteBody::Update { root: hash("bare"), len: shell.study.rules.update_len, metric: Some(3) };
    assert_eq!(shell.step(Event::Vote(vote(update))), Err(Refusal::WrongAnswer));
    let failure = vote(VoteBody::Failure(FailureCode::OneClass));
    shell.step(Event::Vote(failure)).expect("a failure is told");
    assert_eq!((shell.asks(1), shell.work(1)), (None, None));
    assert_eq!(shell.step(Event::Vote(failure)), Err(Refusal::AlreadyAnswered));
    // the others go on without it
    shell.pair_up(&[0, 2, 3]);
    assert_eq!(shell.pair().dealt(), 0b1101);
}
