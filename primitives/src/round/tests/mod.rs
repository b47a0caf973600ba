//! Tests of the machine: what the rules say step by step, what each lie gains, and properties of random studies.

mod ahead;
mod best;
mod ends;
mod fallback;
mod late;
mod lies;
mod masks;
mod off;
mod old;
mod pauses;
mod private;
mod promises;
mod properties;
mod restated;
mod silence;
mod simulate;
mod stalls;
mod states;
mod steps;
mod training;

use super::*;
use crate::{
    blobs::StudyBlobs,
    duty::{held_bit, DutyKind, FailureCode, HELD_BASE},
    masks::{PostStep, DEALT},
    rules::Windows,
    testing,
    vote::{Next, VoteBody},
};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn id(number: u8) -> InstitutionId {
    InstitutionId([number; 32])
}

pub(super) fn hash(name: &str) -> Hash {
    Hash::from(sp_crypto_hashing::blake2_256(name.as_bytes()))
}

/// What a shell keeps: the block number, losses, and the records of closed rounds.
#[derive(Clone)]
pub(super) struct World {
    pub genesis: Hash,
    pub study: StudyId,
    pub now: u32,
    pub losses: BTreeMap<u32, Vec<(InstitutionId, u32)>>,
    pub records: Vec<RoundRecord>,
    /// What was posted for masked sums, by pairing.
    pub postings: BTreeMap<(u32, PostStep, InstitutionId), Vec<u8>>,
    /// Whose data sets have no room for another round.
    pub spent_up: BTreeSet<InstitutionId>,
}

impl World {
    fn new() -> Self {
        let (losses, postings) = (BTreeMap::new(), BTreeMap::new());
        let spent_up = BTreeSet::new();
        Self { genesis: hash("genesis"), study: 3, now: 1, losses, records: Vec::new(), postings, spent_up }
    }
}

impl Surroundings for World {
    fn genesis(&self) -> Hash {
        self.genesis
    }
    fn study(&self) -> StudyId {
        self.study
    }
    fn agreement(&self) -> Hash {
        hash("agreement")
    }
    fn now(&self) -> u32 {
        self.now
    }
    fn losses(&self, round: u32) -> Vec<(InstitutionId, u32)> {
        self.losses.get(&round).cloned().unwrap_or_default()
    }
    fn root(&self, round: u32) -> Option<Hash> {
        let record = self.records.iter().find(|r| r.kind == Kind::Model && r.round == round);
        record.map(|r| r.root).filter(|root| *root != Hash::zero())
    }
    fn commitment(&self, share: &ShareId) -> Option<Hash> {
        let deal = self.postings.get(&(share.pairing, PostStep::Deal, share.dealer))?;
        let at = share.place as usize * DEALT as usize + usize::from(share.which) * 32;
        Some(Hash::from_slice(deal.get(at..at + 32)?))
    }
    fn affords(&self, who: &InstitutionId, _privacy: &Privacy, _training: (u32, Hash)) -> bool {
        !self.spent_up.contains(who)
    }
}

/// A study and its world: does for a test what the pallet does for a chain.
#[derive(Clone)]
pub(super) struct Shell {
    pub study: Study,
    pub world: World,
    pub log: Vec<Effect>,
    /// From which state to which one the study went.
    pub moves: BTreeSet<(&'static str, &'static str)>,
}

/// Rules without statistics, which most tests do not need.
pub(super) fn plain() -> StudyRules {
    StudyRules { statistics_len: 0, ..testing::rules() }
}

/// The best of so many rounds, as the machine finds it: one after the other.
pub(super) fn best_of(
    rounds: u32,
    voters: &[(InstitutionId, u32)],
    losses: impl Fn(u32) -> Vec<(InstitutionId, u32)>,
) -> Option<u32> {
    (1..=rounds).fold(None, |best, newest| best_round(best, newest, voters, &losses).or(best))
}

impl Shell {
    /// Enrolled, not started. Member i is institution i+1 with the i-th sample count; the first one proposes.
    pub fn enrolled(rules: StudyRules, samples: &[u32]) -> Self {
        let world = World::new();
        let study = Study::new(id(1), rules, 2, world.now).expect("rules are sound");
        let mut shell = Self { study, world, log: Vec::new(), moves: BTreeSet::new() };
        for (number, samples) in (1u8..).zip(samples) {
            shell.step(Event::Enrol { who: id(number), samples: *samples }).expect("may enrol");
        }
        shell
    }

    /// Started, with a common initial model: Training of round 1.
    pub fn training(rules: StudyRules, samples: &[u32]) -> Self {
        let mut shell = Self::enrolled(rules, samples);
        shell.step(Event::Start { who: id(1) }).expect("may start");
        for member in 0..samples.len() as u8 {
            // the last ones come too late where more than two thirds agree at once
            if matches!(shell.study.phase, Phase::Init { .. }) {
                shell.vote(member, VoteBody::Root(hash("init"))).expect("init is open");
            }
        }
        assert!(matches!(shell.study.phase, Phase::Collecting(_)));
        shell
    }

    /// As many equal members, in the first merge with everyone's input.
    pub fn merging(rules: StudyRules, members: u8) -> Self {
        let mut shell = Self::training(rules, &vec![100; usize::from(members)]);
        shell.commit_all();
        shell
    }

    /// Does a step as the chain would; a refused one must change nothing.
    pub fn step(&mut self, event: Event) -> Result<Vec<Effect>, Refusal> {
        let before = self.study.clone();
        let result = self.study.step(&self.world, event);
        match &result {
            Err(_) => assert_eq!(self.study, before, "a refused input changed the study"),
            Ok(effects) => {
                self.moves.extend(states::a_move(&before, &self.study));
                for effect in effects {
                    self.keep(effect);
                }
            }
        }
        result
    }

    fn keep(&mut self, effect: &Effect) {
        match effect {
            Effect::Loss { round, who, value } => {
                let losses = self.world.losses.entry(*round).or_default();
                losses.retain(|(id, _)| id != who);
                losses.push((*who, *value));
            }
            Effect::Closed(record) | Effect::Voided(record) => self.world.records.push((**record).clone()),
            Effect::Posted { who, pairing, step, bytes, .. } => {
                self.world.postings.insert((*pairing, *step, *who), bytes.clone());
            }
            Effect::PairingOver { pairing, .. } => self.world.postings.retain(|(of, ..), _| of != pairing),
            Effect::AttestedLate { kind, round, who, root, agrees } => {
                let records = &mut self.world.records;
                let record = records.iter_mut().find(|r| (r.kind, r.round) == (*kind, *round)).expect("it has closed");
                record.silent.retain(|silent| silent != who);
                match agrees {
                    true => record.attesters.try_push(*who).expect("room for all"),
                    false => record.dissenters.try_push((*who, *root)).expect("room for all"),
                }
            }
            _ => {}
        }
        self.log.push(effect.clone());
    }

    /// The vote that would answer what is open for a member.
    pub fn answer(&self, member: u8, body: VoteBody) -> Option<Vote> {
        let institution = self.study.member(member)?.id;
        let open = self.study.open_duty(&self.world, &institution)?;
        Some(Vote {
            study: open.duty.study,
            round: open.duty.round,
            attempt: open.attempt,
            resumed: open.resumed,
            kind: open.duty.kind,
            institution,
            duty: open.duty.hash(),
            body,
        })
    }

    pub fn vote(&mut self, member: u8, body: VoteBody) -> Result<Vec<Effect>, Refusal> {
        let vote = self.answer(member, body).ok_or(Refusal::NoSuchDuty)?;
        self.step(Event::Vote(vote))
    }

    pub fn commit(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        self.commit_with(member, None)
    }

    pub fn commit_with(&mut self, member: u8, metric: Option<u32>) -> Result<Vec<Effect>, Refusal> {
        let root = hash(&format!("update of {member} in round {}", self.study.round));
        self.vote(member, VoteBody::Update { root, len: self.study.rules.update_len, metric })
    }

    /// Everyone asked commits, so that the list freezes at once.
    pub fn commit_all(&mut self) {
        for member in 0..self.study.members.len() as u8 {
            if self.asks(member) == Some(DutyKind::Train) {
                self.commit(member).expect("an update is asked for");
            }
        }
        assert!(matches!(self.study.phase, Phase::Merging(_)));
    }

    pub fn root(&mut self, member: u8, root: &str) -> Result<Vec<Effect>, Refusal> {
        self.vote(member, VoteBody::Root(hash(root)))
    }

    pub fn partial(&mut self, member: u8, have: u64, invalid: u64) -> Result<Vec<Effect>, Refusal> {
        self.vote(member, VoteBody::Partial { have, invalid, not_final: false })
    }

    /// It holds these, and says that the freeze is not final where it is.
    pub fn not_final(&mut self, member: u8, have: u64) -> Result<Vec<Effect>, Refusal> {
        self.vote(member, VoteBody::Partial { have, invalid: 0, not_final: true })
    }

    /// It is there, and holds what it is asked for.
    pub fn there(&mut self, member: u8) -> Result<Vec<Effect>, Refusal> {
        self.vote(member, VoteBody::Present { held: HELD_BASE })
    }

    pub fn asks(&self, member: u8) -> Option<DutyKind> {
        let who = self.study.member(member)?.id;
        self.study.open_duty(&self.world, &who).map(|open| open.duty.kind)
    }

    /// Lets blocks pass up to this one, which begins.
    pub fn until(&mut self, block: u32) {
        while self.world.now < block {
            self.world.now += 1;
            self.step(Event::Tick).expect("a block can always begin");
        }
    }

    pub fn pass(&mut self, blocks: u32) {
        self.until(self.world.now + blocks);
    }

    /// The block of the deadline begins.
    pub fn deadline(&mut self) {
        self.world.now = self.study.deadline().expect("it still waits for something");
        self.step(Event::Tick).expect("a block can always begin");
    }

    /// The first block in which missing inputs may be reported begins.
    pub fn fetched(&mut self) {
        self.until(self.merge().frozen_at + self.windows().fetch);
    }

    /// What the chain says of the study's blobs now.
    pub fn blobs(&self) -> StudyBlobs {
        let record = |kind, round| self.world.records.iter().find(|r| (r.kind, r.round) == (kind, round)).cloned();
        self.study.blobs(self.world.study, self.world.now, record, |_| true)
    }

    pub fn windows(&self) -> Windows {
        self.study.windows()
    }

    pub fn collecting(&self) -> &Collecting {
        match &self.study.phase {
            Phase::Collecting(c) => c,
            other => panic!("not collecting but {other:?}"),
        }
    }

    pub fn merge(&self) -> &Merging {
        match &self.study.phase {
            Phase::Merging(m) => m,
            other => panic!("not merging but {other:?}"),
        }
    }

    pub fn paused(&self) -> PauseReason {
        match &self.study.phase {
            Phase::Paused(p) => p.reason,
            other => panic!("not paused but {other:?}"),
        }
    }

    /// Whose inputs were dropped so far, and why.
    pub fn dropped(&self) -> Vec<(InstitutionId, DropReason)> {
        let drops = self.log.iter().filter_map(|effect| match effect {
            Effect::Dropped { who, reason } => Some((*who, *reason)),
            _ => None,
        });
        drops.collect()
    }

    pub fn last_record(&self) -> &RoundRecord {
        self.world.records.last().expect("a round is closed")
    }

    /// One round in which all asked commit with these losses of the round before, and all attest.
    pub fn whole_round(&mut self, losses: &[Option<u32>]) {
        let round = self.study.round;
        for (member, loss) in (0u8..).zip(losses) {
            self.commit_with(member, *loss).expect("an update is asked for");
        }
        for member in 0..losses.len() as u8 {
            if matches!(self.study.phase, Phase::Merging(_)) {
                self.root(member, &format!("merge {round}")).expect("a merge is asked for");
            }
        }
        assert_eq!(self.last_record().round, round);
    }
}
