//! A consortium around the machine: blocks advance one by one, honest sites answer after random delays, liars lie.
//!
//! An honest site that serves is reached by every other honest site within the fetch window. A site whose own link is
//! slower than the agreement says counts as a liar here: the chain cannot tell "cannot" from "will not".

mod answers;
mod files;
mod liars;
mod off;
mod watch;

pub(super) use liars::{BallotLie, CommitLie, Liar, Mood};

use super::{hash, Shell, World};
use crate::{
    duty::{Ahead, DutyKind, FailureCode},
    ids::{Hash, InstitutionId},
    round::{ballots::all_bits, *},
    rules::StudyRules,
    vote::{Next, Vote, VoteBody},
};
use codec::Encode;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Debug)]
pub(super) struct Scenario {
    pub members: u8,
    pub rules: StudyRules,
    pub validators: u32,
    pub first_liar: u8,
    pub liars: Vec<Liar>,
    /// How often, of a thousand, an honest site misses a deadline, reports a failure or withdraws.
    pub mishaps: u32,
    /// From this block on, and for so many, nothing becomes final.
    pub stall: Option<(u32, u32)>,
    /// Sites that are off, by position: from which block on, and for how many.
    pub off: Vec<(u64, u32, u32)>,
    /// Whether people vote on pauses; else these end by themselves, or not at all.
    pub people: bool,
    /// How often, of a thousand, an honest site answers the next duty together with a merge.
    pub ahead: u32,
    pub seed: u64,
}

/// What came out.
pub(super) struct Outcome {
    pub shell: Shell,
    pub pauses: u32,
    /// Honest serving sites' inputs that were dropped, and closed rounds that no honest site attested, in merges with
    /// more liars among the inputs than can be survived: nothing is promised for these.
    pub beyond: u32,
}

#[derive(Clone, Copy)]
struct File {
    author: u8,
    sound: bool,
    served: u64,
}

struct Plan {
    at: u32,
    report_at: u32,
    fails: bool,
}

struct Consortium {
    scenario: Scenario,
    shell: Shell,
    random: u64,
    files: BTreeMap<Hash, File>,
    arrivals: BTreeMap<(u8, Hash), u32>,
    plans: BTreeMap<(u8, Hash, u32, u32), Plan>,
    /// Votes on merges that sites have done, and have not cast yet.
    done: BTreeMap<u8, Vote>,
    leaves: BTreeMap<u8, (u32, Option<u32>)>,
    pauses: u32,
    paused_at: u32,
    /// Block in which the round was opened or resumed, and withdrawals since.
    opened: (u32, u32),
    /// Blocks since then that count for nothing: a merge's clock stood, or began anew after that.
    stood: u32,
    beyond: u32,
    /// Rounds whose models the chain has ceased to list.
    removed: BTreeSet<u32>,
}

fn merged(inputs_root: Hash) -> Hash {
    Hash::from(sp_crypto_hashing::blake2_256(&("merged", inputs_root).encode()))
}

fn wrong(inputs_root: Hash) -> Hash {
    Hash::from(sp_crypto_hashing::blake2_256(&("wrong", inputs_root).encode()))
}

/// Institutions, in another order than members enrol.
fn institution(member: u8) -> InstitutionId {
    InstitutionId([member.wrapping_mul(3).wrapping_add(2) % 13 + 1; 32])
}

pub(super) fn run(scenario: Scenario) -> Outcome {
    let world = World::new();
    let proposer = InstitutionId([200; 32]);
    let study = Study::new(proposer, scenario.rules.clone(), scenario.validators, world.now).expect("rules are sound");
    let shell = Shell { study, world, log: Vec::new(), moves: BTreeSet::new() };
    let mut consortium = Consortium {
        random: scenario.seed,
        scenario,
        shell,
        files: BTreeMap::new(),
        arrivals: BTreeMap::new(),
        plans: BTreeMap::new(),
        done: BTreeMap::new(),
        leaves: BTreeMap::new(),
        pauses: 0,
        paused_at: 0,
        opened: (0, 0),
        stood: 0,
        beyond: 0,
        removed: BTreeSet::new(),
    };
    consortium.enrol();
    for _ in 0..30_000 {
        consortium.block();
        if consortium.shell.study.ended() {
            // the last acknowledgements
            for _ in 0..60 {
                consortium.block();
            }
            let Consortium { shell, pauses, beyond, .. } = consortium;
            return Outcome { shell, pauses, beyond };
        }
    }
    panic!("it never ends: {:?}", consortium.shell.study.phase);
}

impl Consortium {
    /// SplitMix64.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `most`, both included.
    fn up_to(&mut self, most: u32) -> u32 {
        (self.draw() % (u64::from(most) + 1)) as u32
    }

    fn mishap(&mut self) -> bool {
        self.up_to(999) < self.scenario.mishaps
    }

    fn liar(&self, member: u8) -> Option<&Liar> {
        let place = (member + self.scenario.members - self.scenario.first_liar) % self.scenario.members;
        self.scenario.liars.get(usize::from(place))
    }

    fn mood(&self, member: u8, attempt: u32) -> Option<Mood> {
        let liar = self.liar(member)?;
        liar.moods.get((self.shell.study.round + attempt) as usize % liar.moods.len()).copied()
    }

    fn enrol(&mut self) {
        for member in 0..self.scenario.members {
            let samples = 10 + self.up_to(200);
            self.step(Event::Enrol { who: institution(member), samples }).expect("may enrol");
            if let Some((leaves, returns)) = self.liar(member).and_then(|l| l.withdraws) {
                self.leaves.insert(member, (leaves, returns));
            } else if self.liar(member).is_none() && self.mishap() {
                let leaves = 60 + self.up_to(300);
                let returns = (self.up_to(1) == 1).then_some(leaves + 30);
                self.leaves.insert(member, (leaves, returns));
            }
        }
    }

    fn block(&mut self) {
        let paused = matches!(self.shell.study.phase, Phase::Paused(_));
        self.shell.world.now += 1;
        if paused && self.scenario.people && (self.pauses > 4 || self.shell.world.now > self.paused_at + 100) {
            // nobody wants it any more
            self.shell.world.now = self.shell.study.deadline().expect("a pause ends");
        }
        if let Phase::Merging(m) = &self.shell.study.phase {
            // more liars than such a merge survives can keep its clock from running, for as long as a pause may take
            if m.stands && self.shell.world.now > m.stood.unwrap_or_default() + 2_000 {
                self.shell.world.now = m.until;
            }
        }
        self.step(Event::Tick).expect("a block can always begin");
        let count = self.scenario.members;
        let first = self.up_to(u32::from(count) - 1) as u8;
        for place in 0..count {
            let member = (first + place) % count;
            self.come_and_go(member);
            if self.is_off(member) {
                continue;
            }
            if paused && self.scenario.people && self.liar(member).is_none() && self.up_to(3) == 0 {
                let _ = self.step(Event::Resume { who: institution(member) });
            }
            self.act(member);
        }
    }

    fn come_and_go(&mut self, member: u8) {
        let now = self.shell.world.now;
        let who = institution(member);
        match self.leaves.get(&member).copied() {
            Some((leaves, _)) if leaves == now => {
                self.opened.1 += u32::from(self.step(Event::Withdraw { who }).is_ok());
            }
            Some((_, Some(returns))) if returns == now => {
                if let Some(samples) = self.shell.study.position(&who).and_then(|i| self.shell.study.member(i)) {
                    let samples = samples.samples;
                    let _ = self.step(Event::Enrol { who, samples });
                }
            }
            _ => {}
        }
    }

    fn act(&mut self, member: u8) {
        let open = self.shell.study.open_duty(&self.shell.world, &institution(member));
        if let Some(vote) = self.done.get(&member).copied() {
            if open.is_none_or(|open| open.duty.hash() != vote.duty) {
                self.done.remove(&member);
                // the merge has closed without it: sometimes its vote comes all the same
                if self.up_to(1) == 0 {
                    let _ = self.step(Event::Vote(vote));
                }
                return;
            }
        }
        let Some(open) = open else { return };
        let now = self.shell.world.now;
        let key = (member, open.duty.hash(), open.attempt, self.pauses);
        if !self.plans.contains_key(&key) {
            let plan = self.plan(open.duty.kind);
            self.plans.insert(key, plan);
        }
        let plan = &self.plans[&key];
        let (due, report_due, fails) = (now >= plan.at, now >= plan.report_at, plan.fails);
        let mood = self.mood(member, open.attempt);
        let body = match open.duty.kind {
            DutyKind::Train | DutyKind::Statistics => match mood {
                None if due && fails => Some(VoteBody::Failure(FailureCode::OutOfMemory)),
                None => due.then(|| self.update(member, &open, CommitLie::Honest, Some(self.loss(member)))),
                Some(mood) => self.lie_in_update(member, &open, mood, due),
            },
            DutyKind::Init => match mood.map(|m| m.ballot) {
                None | Some(BallotLie::Honest) => due.then(|| VoteBody::Root(hash("init"))),
                Some(BallotLie::WrongRoot) => Some(VoteBody::Root(hash("wrong init"))),
                Some(_) => None,
            },
            DutyKind::Merge | DutyKind::MergeStatistics => match mood {
                None => self.honest_ballot(member, &open, due, report_due),
                Some(mood) => self.lie_in_ballot(member, &open, mood.ballot),
            },
            DutyKind::Evaluate => match mood {
                None => due.then(|| VoteBody::Metric(Some(self.loss(member)))),
                Some(mood) => mood.loss.map(|loss| VoteBody::Metric(Some(loss))),
            },
            DutyKind::Acknowledge => match mood.map(|m| m.ballot) {
                None | Some(BallotLie::Honest) => due.then_some(VoteBody::Held(open.duty.base)),
                Some(_) => None,
            },
            DutyKind::Present => match mood.map(|m| m.ballot) {
                None | Some(BallotLie::Honest) => {
                    due.then(|| VoteBody::Present { held: self.all_models(open.duty.round) })
                }
                Some(BallotLie::Silent) => None,
                Some(_) => Some(VoteBody::Present { held: 0 }),
            },
            masked => panic!("{masked:?} is asked for, and nothing is masked"),
        };
        let Some(body) = body else { return };
        let vote = self.vote(member, &open, body);
        self.done.remove(&member);
        let taken = self.step(Event::Vote(vote)).is_ok();
        let other = match body {
            VoteBody::Root(_) => VoteBody::Root(hash("another")),
            VoteBody::Marked { marks, .. } => VoteBody::Marked { root: hash("another"), marks },
            VoteBody::Ahead { marks, next, .. } => VoteBody::Ahead { root: hash("another"), marks, next },
            VoteBody::Update { len, metric, .. } => VoteBody::Update { root: hash("another"), len, metric },
            same => same,
        };
        if taken && mood.is_some() {
            assert!(self.step(Event::Vote(Vote { body: other, ..vote })).is_err(), "a second vote was taken");
        }
    }

    fn plan(&mut self, kind: DutyKind) -> Plan {
        let now = self.shell.world.now;
        let windows = self.shell.windows();
        let slowest = match kind {
            DutyKind::Train | DutyKind::Statistics => self.scenario.rules.training_blocks,
            DutyKind::Merge | DutyKind::MergeStatistics => windows.fetch,
            DutyKind::Init | DutyKind::Evaluate | DutyKind::Acknowledge => windows.service - 2,
            DutyKind::Present => 3,
            masked => panic!("{masked:?} is asked for, and nothing is masked"),
        };
        let late = if self.up_to(1) == 0 { slowest + self.up_to(2 * windows.training) } else { u32::MAX };
        let at = if self.mishap() { now.saturating_add(late) } else { now + self.up_to(slowest) };
        let report_at = at.max(now + windows.fetch + self.up_to(windows.fetch / 2));
        Plan { at, report_at, fails: self.mishap() }
    }

    fn loss(&self, member: u8) -> u32 {
        let round = self.shell.study.round;
        700_000 - 50_000 * round.min(3) + 40_000 * round.saturating_sub(3) + 1_000 * u32::from(member)
    }
}
