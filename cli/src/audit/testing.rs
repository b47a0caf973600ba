//! A study of three sites and three rounds, made up from the shared types, with all its files in a folder.
#![allow(clippy::unwrap_used)]

use super::history::History;
use crate::{chain::StudyInfo, show::Names};
use consilium_aggregation::{blob_hash, merge, ModelFile, Statistics};
use consilium_primitives::{
    round::{inputs_root, Certificate, Kind, Member, Phase, RecordedInput, RoundRecord, Study},
    Duty, DutyKind, Hash, InstitutionId, Merge, MergeRule, OnStall, StudyRules, Weighting,
};
use consilium_study::{initial_parameters, StudySpec};
use sp_crypto_hashing::blake2_256;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

const SPEC: &[u8] = include_bytes!("../../../study/tests/golden/spec.json");
const GENESIS: Hash = Hash::repeat_byte(7);
/// Number of the made-up study.
pub const STUDY: u32 = 4;
const SITES: [(u8, u32); 3] = [(1, 100), (2, 60), (3, 40)];

/// The study, and the folder of its files.
pub struct World {
    folder: TempDir,
    /// What its chain says.
    pub history: History,
}

impl World {
    /// A completed study, all of whose files are there.
    pub fn new() -> Self {
        Self::with(Merge::by(MergeRule::Mean(Weighting::Samples)))
    }

    /// One whose models are merged in this way.
    pub fn with(way: Merge) -> Self {
        let spec = StudySpec::from_canonical(SPEC).unwrap();
        let mut world = Self { folder: tempfile::tempdir().unwrap(), history: empty(&spec, way.clone()) };
        world.statistics(&spec);
        let layout = spec.layout().unwrap();
        let initial = ModelFile { layout: layout.clone(), duty: None, data: initial_parameters(&spec).unwrap() };
        let root = world.put(&initial.encode().unwrap());
        let inputs_root = Hash::zero();
        world.close(RoundRecord { inputs: Default::default(), inputs_root, root, ..record(0, Hash::zero()) });
        let mut base = initial.data;
        for round in 1..=3 {
            let from = world.history.info.state.base;
            let mut inputs = Vec::new();
            let mut parts = Vec::new();
            for (site, weight) in SITES {
                let duty = world.duty(DutyKind::Train, round, site, from);
                let step = f32::from(site) * 0.01 * round as f32;
                let data: Vec<f32> = base.iter().enumerate().map(|(i, x)| x + step * (i % 5) as f32).collect();
                let file = ModelFile { layout: layout.clone(), duty: Some(duty), data };
                inputs.push(input(site, duty, world.put(&file.encode().unwrap()), weight));
                parts.push((file.data, weight));
            }
            let parts: Vec<(&[f32], u32)> = parts.iter().map(|(data, weight)| (data.as_slice(), *weight)).collect();
            base = merge(&way, &parts, &base, &[]).unwrap().model;
            let merged = ModelFile { layout: layout.clone(), duty: None, data: base.clone() };
            let root = world.put(&merged.encode().unwrap());
            world.freeze(RoundRecord { inputs: inputs.try_into().unwrap(), root, ..record(round, from) });
        }
        let root = world.history.info.state.base;
        world.history.info.state.round = 3;
        world.history.info.state.phase = Phase::Completed(Certificate { round: 3, root, roster: 7, held: 7 });
        world
    }

    fn statistics(&mut self, spec: &StudySpec) {
        let columns = spec.data.statistics_columns();
        let mut inputs = Vec::new();
        let mut parts = Vec::new();
        for (site, weight) in SITES {
            let duty = self.duty(DutyKind::Statistics, 0, site, Hash::zero());
            let rows: Vec<f64> = (0..30).map(|row| f64::from(row * i32::from(site)) * 0.1).collect();
            let own = Statistics::of_columns(&vec![rows; columns]);
            inputs.push(input(site, duty, self.put(&own.encode(Some(&duty)).unwrap()), weight));
            parts.push(own);
        }
        let root = self.put(&Statistics::merge(&parts).unwrap().encode(None).unwrap());
        self.history.info.state.statistics = Some(root);
        let kind = Kind::Statistics;
        let record = RoundRecord { kind, inputs: inputs.try_into().unwrap(), root, ..record(0, Hash::zero()) };
        let inputs_root = root_of(&record, &self.history.info.state.rules.merge);
        self.history.records.push(RoundRecord { inputs_root, ..record });
    }

    fn freeze(&mut self, record: RoundRecord) {
        let inputs_root = root_of(&record, &self.history.info.state.rules.merge);
        self.close(RoundRecord { inputs_root, ..record });
    }

    fn close(&mut self, record: RoundRecord) {
        (self.history.info.state.base, self.history.info.state.base_round) = (record.root, record.round);
        self.history.records.push(record);
    }

    fn duty(&self, kind: DutyKind, round: u32, site: u8, base: Hash) -> Hash {
        let agreement = self.history.info.agreement;
        let statistics = match kind {
            DutyKind::Train => self.history.info.state.statistics.unwrap_or_default(),
            _ => Hash::zero(),
        };
        Duty { kind, genesis: GENESIS, study: STUDY, agreement, round, institution: id(site), base, statistics }.hash()
    }

    /// The folder of the files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a file is.
    pub fn path(&self, root: Hash) -> PathBuf {
        self.folder().join(hex::encode(root))
    }

    fn put(&self, bytes: &[u8]) -> Hash {
        let root = blob_hash(bytes);
        fs::write(self.path(root), bytes).unwrap();
        root
    }

    /// The record of a round, to be changed.
    pub fn round(&mut self, round: u32) -> &mut RoundRecord {
        let wanted = |record: &&mut RoundRecord| record.kind == Kind::Model && record.round == round;
        self.history.records.iter_mut().find(wanted).unwrap()
    }

    /// Gives a changed record the hash that its inputs have now.
    pub fn agree(&mut self, round: u32) {
        let rule = self.history.info.state.rules.merge.clone();
        let record = self.round(round);
        record.inputs_root = root_of(record, &rule);
    }

    /// Turns one bit of a file.
    pub fn flip(&self, root: Hash) {
        let mut bytes = fs::read(self.path(root)).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(self.path(root), bytes).unwrap();
    }

    /// Removes all updates of a round.
    pub fn delete_inputs(&mut self, round: u32) {
        for input in self.round(round).inputs.clone() {
            fs::remove_file(self.path(input.root)).unwrap();
        }
    }
}

/// A site's id.
pub fn id(site: u8) -> InstitutionId {
    InstitutionId([site; 32])
}

fn input(site: u8, duty: Hash, root: Hash, weight: u32) -> RecordedInput {
    RecordedInput { institution: id(site), duty, root, weight, committed_at: 9 }
}

fn root_of(record: &RoundRecord, rule: &Merge) -> Hash {
    let listed: Vec<_> = record.inputs.iter().map(|i| (i.institution, i.root, i.weight)).collect();
    inputs_root(&listed, rule, record.base)
}

fn record(round: u32, base: Hash) -> RoundRecord {
    let sites: Vec<InstitutionId> = SITES.iter().map(|(site, _)| id(*site)).collect();
    RoundRecord {
        kind: Kind::Model,
        round,
        base,
        inputs: Default::default(),
        inputs_root: Hash::zero(),
        root: Hash::zero(),
        marks: Default::default(),
        attesters: sites.try_into().unwrap(),
        dissenters: Default::default(),
        silent: Default::default(),
        dropped: Default::default(),
        attempts: 1,
        opened_at: 1,
        frozen_at: 2,
        closed_at: 3,
        masked: None,
    }
}

fn empty(spec: &StudySpec, way: Merge) -> History {
    let rules = StudyRules {
        training_blocks: 10,
        transfer_blocks: 2,
        enrolment_blocks: 50,
        auto_start: true,
        min_participants: 2,
        rule_min: 0,
        max_rounds: 3,
        max_share: 500_000,
        strict: false,
        on_stall: OnStall::Pause,
        keep_updates: 1,
        invited: Default::default(),
        merge: way,
        update_len: spec.update_len().unwrap(),
        merged_len: spec.merged_len(0).unwrap(),
        statistics_len: spec.statistics_len().unwrap(),
        target: None,
        patience: 0,
        masked: None,
        privacy: None,
    };
    let member = |(site, samples): (u8, u32)| Member {
        id: id(site),
        samples,
        weight: samples,
        active: true,
        since: 0,
        struck: None,
        benched_until: None,
    };
    let members: Vec<Member> = SITES.into_iter().map(member).collect();
    let agreement = crate::chain::agreement_hash(GENESIS, &id(1), &rules, SPEC);
    let state = Study {
        proposer: id(1),
        rules,
        validators: 3,
        members: members.try_into().unwrap(),
        round: 0,
        base: Hash::zero(),
        statistics: None,
        best: None,
        ended_at: None,
        opened_at: 1,
        resumed: 0,
        phase: Phase::Enrolling { until: 1 },
        slot_millis: 500,
        base_round: 0,
        taken_up: None,
        tries: 0,
        presence: Default::default(),
        ahead: Default::default(),
        last: None,
        missed: Default::default(),
        unawaited: 0,
        masking: Default::default(),
    };
    let info = StudyInfo { agreement, spec_hash: Hash::from(blake2_256(SPEC)), registered_at: 1, state };
    let names: Names = SITES.iter().map(|(site, _)| (id(*site), format!("site {site}"))).collect();
    History {
        genesis: GENESIS,
        study: STUDY,
        info,
        spec: Some(SPEC.to_vec()),
        records: Vec::new(),
        postings: Default::default(),
        counts: Default::default(),
        names,
        left_out: false,
        listed: true,
        now: 100,
    }
}
